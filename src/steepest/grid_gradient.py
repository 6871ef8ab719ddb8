"""Derivatives of sampled fields as `numpy.gradient` defines them, without its temporary arrays.

Here as the drop-in: the arguments, containers, exceptions and bits of NumPy 2, and what it lacks: `out=` and threads.
What is none of our types is NumPy's own business, and handed to it. Tested in tests/test_grid_gradient.py.
"""

import numpy as np
from numpy import gradient as numpy_gradient

try:
    from numpy.lib.array_utils import normalize_axis_tuple
except ImportError:     # NumPy 1
    from numpy.core.numeric import normalize_axis_tuple  # type: ignore[no-redef]

from .backends import current
from .grid_arrays import as_outs, as_team, check_apart, has_overrides, new_like, plain
from .threads import share_at_once

__all__ = ["gradient"]

WIDE = np.dtype(np.float64)


def gradient(f, *varargs, axis=None, edge_order=1, out=None, threads=None):
    """The gradient of a sampled field: `numpy.gradient`, bit for bit, in one pass over memory.

    Inside the field central differences, exact for parabolas; at its edges differences of two points, or of three.

    Parameters
    ----------
    f : array_like
        Samples of a function on a grid, of any number of dimensions.
    *varargs : float or array_like
        The distance between samples in units of the grid: nothing for 1, one number for all axes, or for each axis a
        number or the coordinates of the samples, in the order of `axis`. Coordinates may be unevenly spaced,
        descending and unsorted. Where two neighbours are the same, the derivative is infinite or NaN, as in NumPy.
    axis : int, tuple of int or None
        The axes along which to differentiate, negative ones counted from the last; None for all.
    edge_order : {1, 2}
        The order of the error at the edges.
    out : ndarray or tuple of ndarray, optional
        Where the result goes: an array of the shape of `f` and of the type that the result has, in any layout; for
        several axes a tuple with one for each. No other memory is needed then. It may not overlap `f`, the coordinates
        or itself.
    threads : int or None
        How many threads may share the work; None for as many as there are cores where that pays, which it does from
        some hundred thousand elements on. The bits are those of one.

    Returns
    -------
    ndarray or tuple of ndarray
        The derivative along the one axis; a tuple for several axes, and for none. Units of f over units of the grid.
        The type is that of `f`, float64 for integers. `out`, if that is given.

    Raises
    ------
    numpy.exceptions.AxisError
        When `f` has no such axis.
    TypeError, ValueError, IndexError
        As `numpy.gradient`: when the number of spacings is not 0, 1 or that of the axes, coordinates do not match an
        axis, an axis is too short or is given twice, or `f` is of a type that has no differences. Naming `out` or
        `threads` when these are wrong; nothing is changed then.

    See Also
    --------
    steepest.gradient : Of a function that can be called.

    Notes
    -----
    Arrays of integers, float32, float64, complex64 and complex128 are differentiated here, in any memory layout and
    byte order, read without a copy. Everything else (float16, longdouble, dates, objects, masked arrays and other
    subclasses, arrays of other libraries, complex spacings) is given to `numpy.gradient` itself, which returns what it
    always does; plain results are then copied into `out`.

    It differs from NumPy in this: `edge_order` must be 1 or 2 (NumPy takes 0, -1 and 1.5 for 2); a warning of invalid
    numbers may name another operation.

    Where a value is NaN, so are the derivatives that its sample enters, and no others. Ctrl-C is answered within some
    milliseconds; `out` is then partly written.

    References
    ----------
    .. [1] A. Quarteroni, R. Sacco, F. Saleri, "Numerical Mathematics", 2nd ed., Springer (2007), section 10.10.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([0.0, 1.0, 1.5, 3.5, 4.0, 6.0])
    >>> sd.grid.gradient(x**2, x)
    array([ 1.,  2.,  3.,  7.,  8., 10.])
    >>> sd.grid.gradient(x**2, x, edge_order=2)
    array([ 0.,  2.,  3.,  7.,  8., 12.])
    >>> down, right = sd.grid.gradient(np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 5.0]]))
    >>> down
    array([[ 2.,  2., -1.],
           [ 2.,  2., -1.]])
    >>> out = np.empty((2, 3))
    >>> sd.grid.gradient(np.array([[1, 2, 6], [3, 4, 5]]), axis=1, out=out) is out
    True
    >>> out
    array([[1. , 2.5, 4. ],
           [1. , 1. , 1. ]])
    """
    if threads is None:
        result = current().gradient_at_once(f, varargs, axis, edge_order, out)
        if result is not None:
            return result
    as_team(threads, 0)
    if any(map(has_overrides, (f, *varargs))):
        return _by_numpy(f, varargs, axis, edge_order, out)
    given = np.asanyarray(f)
    f = plain(given)
    if f is None:
        return _by_numpy(given, varargs, axis, edge_order, out)
    axes = tuple(range(f.ndim)) if axis is None else normalize_axis_tuple(axis, f.ndim)
    spacings = _spacings(f, varargs, axes)
    edge_order = _checked_edge_order(edge_order)
    value = WIDE if f.dtype.kind in "iu" else f.dtype
    if value.char not in "fdFD" or not all(map(_is_known, spacings)):
        return _by_numpy(given, varargs, axes, edge_order, out)
    for i in axes:
        if f.shape[i] < edge_order + 1:
            raise ValueError(
                "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are "
                f"required: {edge_order + 1} along axis {i}, which has {f.shape[i]}"
            )
    outs = None
    if out is not None:
        outs = as_outs(out, len(axes), f.shape, value)
        check_apart(outs, f, [spacing for spacing in spacings if isinstance(spacing, np.ndarray)])
    rules = [_rules(spacing, value, edge_order) for spacing in spacings]
    if outs is None:
        outs = [new_like(given, value) for _ in axes]
    backend, team = current(), as_team(threads, f.size)
    for result, i, rule in zip(outs, axes, rules, strict=True):
        backend.sweep(f, np.asarray(result), i, *rule, share_at_once if team > 1 else None, team)
    return outs[0] if len(axes) == 1 else tuple(outs)


def _by_numpy(f, varargs, axis, edge_order, out):
    """What is none of our types; what comes of it is copied into `out`."""
    found = numpy_gradient(f, *varargs, axis=axis, edge_order=edge_order)
    if out is None:
        return found
    arrays = found if isinstance(found, (tuple, list)) else [found]
    for array in arrays:
        if type(array) is not np.ndarray:
            raise TypeError(f"out must be left out for f of type {type(f).__name__}: the result is more than an array "
                            f"of numbers, {type(array).__name__}")
    outs = as_outs(out, len(arrays), np.shape(f), arrays[0].dtype if arrays else None)
    check_apart(outs)
    for array, to in zip(arrays, outs, strict=True):
        np.copyto(to, array)
    return out if isinstance(found, np.ndarray) else tuple(outs)


def _checked_edge_order(edge_order):
    if edge_order > 2:
        raise ValueError(f"'edge_order' greater than 2 not supported: {edge_order!r}")
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order must be 1 or 2, not {edge_order!r}")
    return 1 if edge_order == 1 else 2


def _spacings(f, varargs, axes):
    """A step or an array of coordinates for every axis."""
    if not varargs:
        return [1.0] * len(axes)
    if len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        return [*varargs] * len(axes)
    if len(varargs) != len(axes):
        raise TypeError(f"invalid number of arguments: {len(varargs)} spacings for {len(axes)} axes")
    return [_spacing(given, f.shape[i], i) for given, i in zip(varargs, axes, strict=True)]


def _spacing(given, length, axis):
    x = np.asanyarray(given)
    if x.ndim == 0:
        return given
    if x.ndim != 1:
        raise ValueError(f"distances must be either scalars or 1d, but those of axis {axis} are {x.ndim}d")
    if len(x) != length:
        raise ValueError("when 1d, distances must match the length of the corresponding dimension: "
                         f"axis {axis} has {length} elements, the distances {len(x)}")
    if length < 2:
        raise IndexError(f"coordinates must be two numbers at least, but those of axis {axis} are {length}")
    return x


def _is_known(spacing):
    """Whether a spacing is of a type that is worked with here."""
    if type(spacing) in (float, int, bool):
        return True
    if type(spacing) is np.ndarray and spacing.ndim:
        return spacing.dtype.kind in "iu" or spacing.dtype.char in "fd"
    return ((isinstance(spacing, np.generic) or type(spacing) is np.ndarray)
            and (spacing.dtype.kind in "biu" or spacing.dtype.char in "efd"))


def _rules(spacing, value, edge_order):
    """What the kernels are to do inside, at the first point and at the last: see `reference.stencil.sweep`."""
    if isinstance(spacing, np.ndarray) and spacing.ndim:
        step = current().even_spacing(spacing)
        if step is None:
            return _uneven_rules(spacing, value, edge_order)
        spacing = step
    inside = _rule(value, 2.0 * spacing)
    if edge_order == 1:
        return inside, _rule(value, spacing), _rule(value, spacing)
    first = _rule(value, -1.5 / spacing, 2.0 / spacing, -0.5 / spacing)
    return inside, first, _rule(value, 0.5 / spacing, -2.0 / spacing, 1.5 / spacing)


def _uneven_rules(x, value, edge_order):
    kind = WIDE if x.dtype.kind in "iu" else x.dtype
    h, *_, k = np.diff(x[:3].astype(kind)), np.diff(x[-3:].astype(kind))
    inside = np.promote_types(value, kind).char, x
    if edge_order == 1:
        return inside, _rule(value, h[0]), _rule(value, k[-1])
    (h, k), (before, after) = h, k
    first = _rule(value, -(2.0 * h + k) / (h * (h + k)), (h + k) / (h * k), -h / (k * (h + k)))
    h, k = before, after
    last = _rule(value, k / (h * (h + k)), -(k + h) / (h * k), (2.0 * k + h) / (k * (h + k)))
    return inside, first, last


def _rule(value, *numbers):
    """Numbers, and the type that they are worked with in: Python's own take that of the values."""
    number = numbers[0]
    kind = value.char if type(number) in (float, int, bool) else np.promote_types(value, number.dtype).char
    return kind, tuple(map(float, np.array(numbers).astype(np.float32) if kind in "fF" else numbers))
