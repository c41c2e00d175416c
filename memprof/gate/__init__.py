"""The gate of a project: which models it watches, their budgets, and how they stand. For CI.

config.py      memprof.toml or [tool.memprof] -> what is watched, checked field by field
baseline.py    the numbers that a project saved, to be compared with
judge.py       what is watched + baseline -> results.gate.Gate
advice.py      what would help a model that is over: another order, or the proof that none does
"""
