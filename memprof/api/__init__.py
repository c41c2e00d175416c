"""The verbs. Those that need no runtime are here; ``running`` holds those that run a model in a child process."""

from memprof.api.asking import analyze, check, compare, from_networkx, load, plan, snapshot

__all__ = ["analyze", "check", "compare", "from_networkx", "load", "plan", "snapshot"]
