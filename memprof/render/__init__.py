"""A report as text, JSON, CSV, Markdown, HTML, one file each: a function of a report and a stream, nothing more.

Every name from a model passes ``memprof.base.text.safe_text`` and then the escaping of its format.
"""
