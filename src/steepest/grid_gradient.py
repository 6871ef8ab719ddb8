"""Derivatives of sampled fields as `numpy.gradient` defines them.

Here as the drop-in: the same arguments, containers and bits. Tested in tests/test_grid_gradient.py.
"""

import numpy as np


def gradient(f, *varargs, axis=None, edge_order=1):
    """The gradient of a sampled field; see `numpy.gradient`.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.grid.gradient([0.0, 1.0, 4.0])
    array([1., 2., 3.])
    """
    return np.gradient(f, *varargs, axis=axis, edge_order=edge_order)
