"""Settings that every test shares."""

from hypothesis import settings

# No deadline: the two cores may be busy. Derandomised: a run that failed fails again.
settings.register_profile("memprof", deadline=None, derandomize=True)
settings.load_profile("memprof")
