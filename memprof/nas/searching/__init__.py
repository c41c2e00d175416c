"""The search itself: what to do next, the processes that do it, and what becomes of the networks it found."""
