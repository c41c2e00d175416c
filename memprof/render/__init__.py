"""A report as text, JSON, CSV, Markdown, HTML: one file each. A renderer takes a report and a stream and decides nothing.

Every name from a model passes ``memprof.text.safe_text`` and then the escaping of its format.
"""
