"""The first layers patch by patch: an estimate of what it saves, and of what the overlap of patches costs."""
