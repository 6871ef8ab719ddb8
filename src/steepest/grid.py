"""Sampled fields: derivatives of arrays of numbers, at the speed of memory.

Here as the list of what there is; each part stands in a file of its own. Tested in tests/test_grid_gradient.py.
"""

from .grid_gradient import gradient

__all__ = [
    "gradient",
]
