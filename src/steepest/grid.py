"""Sampled fields: derivatives of arrays of numbers, at the speed of memory.

Here as the list of what there is; each part stands in a file of its own. Tested in tests/test_grid_gradient.py.
"""

from .grid_diff import diff
from .grid_gradient import gradient
from .grid_weights import weights

__all__ = [
    "diff",
    "gradient",
    "weights",
]
