"""A peak as a function of the sizes that a model leaves open, and the largest size that fits.

axes.py      what "batch" or "height" means to one source, and how a request asks about another size
numbers.py   the model evaluated at one size: peak, process, weights
sweeping.py  the table and the formula, from few evaluations
fitting.py   what counts in a memory, part by part, and the largest size that fits it
search.py    that size, from the formula, proven by the model there and at the next one

Nothing is imported here: what would help asks for sizes after every analysis, and needs neither boards nor plans.
"""
