"""The networks that a search may find, and what each of them takes: no torch, no file, nothing trained."""
