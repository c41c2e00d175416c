"""From a source to a Model: one file or folder per format, each with its tables of what operations mean."""
