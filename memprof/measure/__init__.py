"""The world's numbers: what a real runtime allocated, and how long it took. Everything runs in a child process."""
