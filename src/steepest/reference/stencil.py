"""Derivatives of sampled fields along one axis, in plain NumPy: what the kernels of the same names compute.

Here as the mathematics of kernels/stencil.pyx, to be read and to be compared with. Tested in tests/test_stencil.py.

At evenly spaced points a distance h apart the derivative is (f[i+1] - f[i-1]) / 2h. Where the distances to the left and
to the right are h and k, it is that of the parabola through three points::

    -k / (h (h + k)) f[i-1]  +  (k - h) / (h k) f[i]  +  h / (k (h + k)) f[i+1]

with an error of the second order [1]_. At the ends it is the slope of the line through two points, or that of the
parabola through three. The order of the operations is NumPy's, so that the bits are, too.

References
----------
.. [1] A. Quarteroni, R. Sacco, F. Saleri, "Numerical Mathematics", 2nd ed., Springer (2007), section 10.10.
"""

import numpy as np

# Elements up to which an array is differentiated at once: by the calling thread, with the GIL.
LARGEST_AT_ONCE = 16384
# What arithmetic can meet, by its bit, and operands that meet it again.
TROUBLE = {
    1: {"subtract": (np.inf, np.inf), "divide": (0.0, 0.0), "multiply": (0.0, np.inf)},
    2: {"divide": (1.0, 0.0)},
    4: {"subtract": (1.7e308, -1.7e308), "divide": (1e308, 1e-308), "multiply": (1e308, 1e308)},
}


def report(met, operation):
    """Have NumPy say what arithmetic has met, in the way that the caller wants it: see `numpy.errstate`."""
    for bit, operands in TROUBLE.items():
        if met & bit:
            name = operation if operation in operands else "divide"
            left, right = operands[name]
            getattr(np, name)(np.array([left]), np.array([right]))


def weights(x):
    """Weights a, b, c of f[i-1], f[i], f[i+1] in the derivative at every x[i] but the first and the last."""
    before, after = x[1:-1] - x[:-2], x[2:] - x[1:-1]
    a = -after / (before * (before + after))
    b = (after - before) / (before * after)
    c = before / (after * (before + after))
    return a, b, c


def sweep(f, out, axis, inside, first, last, share=None, threads=1):
    """Differentiate a field along one axis.

    Parameters
    ----------
    f : ndarray
        Of integers, float32, float64, complex64 or complex128, in any byte order.
    out : ndarray
        Where the derivative goes: of the shape of f and its type, of float64 for integers.
    axis : int
        From 0.
    inside, first, last : tuple
        For all points but the first and last along the axis, for the first, and for the last: the character of the type
        that is worked in, and a number that differences are divided by; for `inside` this may be an array of
        coordinates, for `first` and `last` a tuple of one number, or of three weights.
    share, threads
        How several threads do it, if they do; see `steepest.threads.share`.
    """
    f, out = np.moveaxis(f, axis, 0), np.moveaxis(out, axis, 0)
    if f.dtype.kind in "iu":
        f = f.astype(np.float64)
    kind, given = inside
    if isinstance(given, np.ndarray):
        x = given.astype(np.float64) if given.dtype.kind in "iu" else given
        a, b, c = (numbers.reshape(-1, *[1] * (f.ndim - 1)) for numbers in weights(x))
        out[1:-1] = a * f[:-2] + b * f[1:-1] + c * f[2:]
    else:
        out[1:-1] = (f[2:] - f[:-2]) / np.array([given], kind)
    out[:1] = end_of(f[:3], first, 1, 0)
    out[-1:] = end_of(f[-3:], last, -1, -2)


def end_of(f, rule, high, low):
    """The derivative at an end: the difference of two planes over a number, or three planes with weights."""
    kind, numbers = rule
    numbers = np.atleast_1d(np.array(numbers, kind))
    if len(numbers) == 1:
        return (f[high] - f[low])[None] / numbers
    a, b, c = numbers[:, None]
    return a * f[:1] + b * f[1:2] + c * f[2:3]


def even_spacing(x):
    """The step between coordinates that are all exactly the same distance apart, as a NumPy scalar; None if any is not.

    Raises
    ------
    IndexError
        When there is no step.
    """
    steps = np.diff(x.astype(np.float64) if x.dtype.kind in "iu" else x)
    if x.ndim != 1 or not len(steps):
        raise IndexError("coordinates must be two numbers at least")
    return steps.dtype.type(steps[0]) if (steps == steps[0]).all() else None


def gradient_at_once(f, varargs, axis, edge_order, out):
    """The gradient of a small plain array.

    Parameters
    ----------
    f, varargs, axis, edge_order, out
        Those of `steepest.grid.gradient`.

    Returns
    -------
    ndarray, tuple of ndarray or None
        The gradient; None for all that is not: a C-contiguous float32 or float64 array of at most `LARGEST_AT_ONCE`
        elements, long enough; no spacing or one float that is neither huge nor tiny; one axis or all; edges of order 1
        or 2; and an `out`, if there is one, for one axis, that can take the result as it is.
    """
    if not _small_and_plain(f) or type(edge_order) is not int or not 1 <= edge_order <= 2:
        return None
    if len(varargs) > 1 or (len(varargs) == 1 and type(varargs[0]) is not float):
        return None
    step = varargs[0] if varargs else 1.0
    if not 1e-30 < abs(step) < 1e30:
        return None
    if axis is not None:
        if type(axis) is not int or not -f.ndim <= axis < f.ndim:
            return None
        axes = [axis % f.ndim]
    else:
        axes = list(range(f.ndim))
    if any(f.shape[i] <= edge_order for i in axes) or (len(axes) > 1 and out is not None):
        return None
    if out is not None and not _suits(f, out):
        return None
    first, last = step, step
    if edge_order == 2:
        first, last = (-1.5 / step, 2 / step, -0.5 / step), (0.5 / step, -2 / step, 1.5 / step)
    found = []
    for i in axes:
        result = np.empty_like(f) if out is None else out
        sweep(f, result, i, (f.dtype.char, 2 * step), (f.dtype.char, first), (f.dtype.char, last))
        found.append(result)
    return found[0] if axis is not None or f.ndim == 1 else tuple(found)


def _small_and_plain(f):
    return (type(f) is np.ndarray and f.dtype.char in "fd" and f.dtype.isnative and f.flags.c_contiguous
            and f.flags.aligned and 0 < f.size <= LARGEST_AT_ONCE and f.ndim > 0)


def _suits(f, out):
    return (type(out) is np.ndarray and out.dtype == f.dtype and out.shape == f.shape and out.flags.carray
            and not np.may_share_memory(f, out))
