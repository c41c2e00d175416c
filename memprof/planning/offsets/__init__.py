"""An offset for every buffer in one arena, and a proof of how close the arena is to the smallest possible.

problem.py    the question (buffers, alignment) and the answer (offsets, bound)
columns.py    the buffers that take room, column by column
greedy.py     plans in milliseconds: a portfolio of orders and rules
in_time.py    those of it that see one birth after the other
first_fits.py first fit of many buffers, in orders that suit the load and in orders that learn
rehearsal.py  how high an order will end, told by the first of it
abutting.py   the first of an order, laid close to each other in time, run plainly or compiled
shelving.py   the rest of it by first fit, run the same two ways
repair.py     lowers a plan of many buffers where it is too high
shelves.py    who overlaps whom in time, for repairs
layout.py     the problem as integers by section, for the search
kernel.py     depth-first search for a plan within a capacity: one source, run plainly or compiled
tree.py       its columns, and attempts that learn
engine.py     the two ways to run what may be compiled
solver.py     greedy, then search: brings arena and bound together until they meet or time is up
"""
