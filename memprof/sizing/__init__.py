"""A peak as a function of the sizes that a model leaves open, and the largest size that fits.

axes.py      what "batch" or "height" means to one source, and how a request asks about another size
numbers.py   the model evaluated at one size: peak, process, weights
sweep.py     the table and the formula, from few evaluations
fit.py       the largest size that fits, from the formula, proven by the model at that size and the next
"""

from memprof.sizing.axes import parse_axes
from memprof.sizing.sweep import sweep

__all__ = ["parse_axes", "sweep"]
