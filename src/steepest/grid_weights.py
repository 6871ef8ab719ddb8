"""Weights of derivatives over any nodes.

Here for those who write a stencil of their own. Tested in tests/test_grid_weights.py.
"""

import numpy as np

from .backends import current
from .options import as_count
from .reference.weighted import MOST, fornberg

__all__ = ["weights"]


def weights(nodes, at=0.0, n=1):
    """Weights w such that ``w @ f(nodes)`` is the n-th derivative at a point, exactly so for polynomials.

    Parameters
    ----------
    nodes : array_like
        At least n + 1 different real numbers, in any order: where f is known.
    at : float, optional
        Where the derivative is wanted; it need not be a node, nor lie among them.
    n : int, optional
        Which derivative; 0 interpolates.

    Returns
    -------
    ndarray
        As many weights as nodes, in units of 1 / node**n: float64, longdouble for nodes of that type. k nodes make a
        derivative of order of accuracy k - n at least, one more where symmetry helps.

    Raises
    ------
    TypeError, ValueError
        When `nodes` are not such numbers, `at` is not finite, `n` is not an integer from 0, or a weight would overflow.

    See Also
    --------
    diff : Derivatives of fields by such weights.

    Notes
    -----
    Fornberg's recursion [1]_ in pairs of numbers, which carry twice the digits: weights are the exact ones, rounded. A
    Vandermonde system would lose all digits at 30 nodes.

    References
    ----------
    .. [1] B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids", Math. Comp. 51 (1988)
       699-706.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.grid.weights([-1.0, 0.0, 1.0], n=2)
    array([ 1., -2.,  1.])
    >>> sd.grid.weights([0.0, 1.0, 2.0])
    array([-1.5,  2. , -0.5])
    """
    n = as_count(n, "n", at_least=0)
    x = _numbers(nodes, "nodes")
    if x.ndim != 1:
        raise ValueError(f"nodes must be an array of one dimension, not {x.ndim}")
    real = np.dtype(np.longdouble if x.dtype == np.longdouble else np.float64)
    here = _numbers(at, "at")
    if here.ndim:
        raise ValueError(f"at must be a number, not an array of shape {here.shape}")
    if not n < len(x) <= MOST:
        raise ValueError(f"nodes must be at least n + 1 = {n + 1} and at most {MOST}, not {len(x)}")
    x, here = np.ascontiguousarray(x, real), here.astype(real)
    if not np.isfinite(x).all():
        bad = np.flatnonzero(~np.isfinite(x))[0]
        raise ValueError(f"nodes must be finite, but nodes[{bad}] is {x[bad]}")
    if not np.isfinite(here):
        raise ValueError(f"at must be finite, not {here}")
    order = np.argsort(x, kind="stable")
    same = np.flatnonzero(np.diff(x[order]) == 0)
    if same.size:
        i, j = sorted(order[same[0] : same[0] + 2])
        raise ValueError(f"nodes must differ, but nodes[{i}] and nodes[{j}] are both {x[i]}")
    out = np.empty((len(x), 1), real)
    with np.errstate(all="ignore"):
        (current().fornberg if real == np.float64 else fornberg)(x.reshape(-1, 1), here.reshape(1), n, out)
    if not np.isfinite(out).all():
        raise ValueError(f"nodes are too close to each other, or too far apart: weights for n={n} overflow {real}")
    return out[:, 0]


def _numbers(value, name):
    """Real numbers as an array."""
    if value is None or isinstance(value, (str, bytes)) or np.ma.is_masked(value):
        raise TypeError(f"{name} must be real numbers, not {value!r}")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be real numbers: {error}") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, not of dtype {array.dtype}")
    return array
