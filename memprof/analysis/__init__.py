"""Pure functions from a graph and a schedule to lifetimes, timelines and peaks."""

from memprof.analysis.holders import Holder, Holders
from memprof.analysis.lifetimes import Buffer, Lifetimes, Schedule, Timeline

__all__ = ["Buffer", "Holder", "Holders", "Lifetimes", "Schedule", "Timeline"]
