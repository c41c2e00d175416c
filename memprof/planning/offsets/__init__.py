"""An offset for every buffer in one arena, and a proof of how close the arena is to the smallest possible.

problem.py    the question (buffers, alignment) and the answer (offsets, bound)
greedy.py     plans in milliseconds: a portfolio of orders and rules
shelves.py    who overlaps whom in time, among many
repair.py     lowers a plan of many buffers where it is too high
layout.py     the problem as integers by section, for the search
kernel.py     depth-first search for a plan within a capacity: one source, run plainly or compiled
engine.py     the two ways to run that source
solver.py     greedy, then search: brings arena and bound together until they meet or time is up
"""
