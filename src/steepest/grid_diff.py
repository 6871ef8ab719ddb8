"""Derivatives of sampled fields of any order, to any order, on any grid of lines, with any continuation at the edges.

Here because `numpy.gradient` knows first derivatives of second order with edges of their own only. The rules stand in
grid_rules.py; this file looks at arguments. Tested in tests/test_grid_diff.py.
"""

import operator

import numpy as np

from .grid_arrays import as_outs, as_team, check_apart
from .grid_rules import axis_rule
from .threads import share_at_once

__all__ = ["diff"]

AxisError = np.exceptions.AxisError
PIECE = 2**20       # elements that NumPy may copy in one go


def diff(f, spacing=1.0, *, axis=-1, n=1, order=2, edge_order=None, boundary="one-sided", period=None,
         direction="central", velocity=None, unit=None, out=None, threads=None):
    """The n-th derivative of a sampled field along one axis.

    Parameters
    ----------
    f : array_like
        Samples, of any shape; real or complex numbers.
    spacing : float or array_like, optional
        The distance from each sample to the next, not 0; or the coordinates of the samples along the axis, strictly
        ascending or descending. Steps may be timedelta64, coordinates datetime64 or timedelta64, with `unit`.
    axis : int, optional
        Along which axis; negative ones count from the last.
    n : int, optional
        Which derivative, from 1.
    order : int, optional
        Order of accuracy inside: the error is proportional to this power of the spacing. Even for central differences.
    edge_order : int, optional
        The same near one-sided edges; None for `order`. Rows that the stencil of the interior does not fit take the
        nearest n + edge_order samples.
    boundary : str or pair of str, optional
        How the field goes on beyond its edges: ``"one-sided"`` not at all; ``"periodic"`` from the other end;
        ``"symmetric"`` mirrored, half a cell beyond the last sample, as by ``np.pad(mode="symmetric")``;
        ``"antisymmetric"`` the same with the sign changed; ``"nearest"`` with the last sample. A pair gives the first
        side and the last.
    period : float, optional
        With periodic coordinates: the distance after which they repeat, larger than that from first to last.
    direction : {"central", "forward", "backward", "upwind"}, optional
        Where the samples lie that an interior row is made of: around it, from it on, up to it, or against `velocity`.
    velocity : float or array_like, optional
        For ``"upwind"``: real, one number or an array that broadcasts to `f`, positive towards larger coordinates.
        Where it is positive or 0, the samples lie at smaller coordinates; where it is negative, at larger ones; where
        it is NaN, so is the result.
    unit : str, optional
        Of times: ``"s"``, ``"h"``, ``"D"``, ...; the derivative is per unit**n.
    out : ndarray, optional
        Where the result goes, of its shape and type. No other memory of that size is needed then, but for coordinates
        that are not evenly spaced (their weights) and for a `velocity` array.
    threads : int, optional
        At most so many threads; by default as many as there are cores, where the field is large enough.

    Returns
    -------
    ndarray
        Of the shape of `f`, in units of f / spacing**n; `out` if it was given. float32, float64, longdouble and their
        complex types are kept; float16 becomes float32, integers and booleans float64.

    Raises
    ------
    numpy.exceptions.AxisError
        When there is no such axis.
    TypeError, ValueError
        When an argument is none of these; too few samples for a one-sided edge; coordinates that are not finite, repeat
        or turn back, or are not as many as samples; `out` of another shape or type, read-only, or overlapping what is
        read. Before anything is changed.

    See Also
    --------
    gradient : First derivatives along several axes, with NumPy's bits.
    weights : The weights of one row.

    Notes
    -----
    Rows are sums of weighted differences, so that a constant field has the derivative 0 exactly, except by
    antisymmetric continuation. Weights are Fornberg's [1]_. NaN spreads to the rows whose stencil holds it, and no
    further. Coordinates that are exactly evenly spaced are a step; even derivatives over others take one node more to
    keep their order. Ctrl-C is answered within some milliseconds; `out` is then partly written.

    References
    ----------
    .. [1] B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids", Math. Comp. 51 (1988)
       699-706.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    >>> slope = sd.grid.diff(np.sin(x), x[1], order=6, boundary="periodic")
    >>> float(abs(slope - np.cos(x)).max()) < 1e-8
    True
    >>> days = np.array(["2024-01-01", "2024-01-02", "2024-01-04", "2024-01-07"], "M8[D]")
    >>> sd.grid.diff([0.0, 24.0, 72.0, 144.0], days, unit="h")
    array([1., 1., 1., 1.])
    """
    f = _field(f)
    axis = _axis(axis, f.ndim)
    real = f.real.dtype
    team = as_team(threads)
    directions, velocity = _directions(direction, velocity, f, axis)
    work = np.dtype(np.longdouble if real == np.longdouble else np.float64)
    rules = [
        axis_rule(f.shape[axis], spacing, n, order, edge_order, boundary, period, towards, unit=unit, axis=axis,
                  dtype=work)
        for towards in directions
    ]
    if out is None:
        result = np.empty_like(f)
    else:
        [result] = as_outs(out, 1, f.shape, f.dtype)
        check_apart([result], f, [x for x in (spacing, velocity) if isinstance(x, np.ndarray)])
    plain = result if _is_plain(result) else np.empty_like(f)
    sums = [rule.sums(real) for rule in rules]
    if len(rules) > 1 and rules[0].descending:
        sums.reverse()
    _apply(sums[0], f, plain, axis, team)
    if velocity is not None:
        other = np.empty_like(f)
        _apply(sums[1], f, other, axis, team)
        np.copyto(plain, other, where=velocity < 0)
        np.copyto(plain, np.nan, where=np.isnan(velocity))
    if plain is not result:
        copy_in_pieces(result, plain)
    return result if out is None else out


def _apply(sums, f, out, axis, team):
    sums.apply(f, out, axis, share_at_once if team > 1 else None, team)


def _is_plain(array):
    """Whether a kernel can read and write it as it lies."""
    itemsize = array.real.dtype.itemsize
    return array.dtype.isnative and array.flags.aligned and not any(stride % itemsize for stride in array.strides)


def _field(f):
    """The samples as an array of a type that has derivatives, copied only if a kernel could not read them."""
    if f is None or isinstance(f, (str, bytes, bytearray, dict, set, frozenset)):
        raise TypeError(f"f must be an array of numbers, not {type(f).__name__}")
    if isinstance(f, np.ma.MaskedArray) and np.ma.is_masked(f):
        raise TypeError("f must not be a masked array with masked entries")
    try:
        array = np.asarray(f)
    except ValueError as error:
        raise ValueError(f"f must be an array of numbers: {error}") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"f must be numeric, not of dtype {array.dtype}")
    if array.dtype.kind in "fc" and array.dtype.char != "e" and _is_plain(array):
        return array
    dtype = np.float64 if array.dtype.kind in "biu" else np.float32 if array.dtype.char == "e" else array.dtype.type
    found = np.empty_like(array, dtype, subok=False)
    copy_in_pieces(found, array)
    return found


def copy_in_pieces(to, array):
    """Copy so that Ctrl-C is answered on the way."""
    if array.size <= PIECE:
        np.copyto(to, array)
        return
    longest = np.argmax(array.shape)
    to, array = np.moveaxis(to, longest, 0), np.moveaxis(array, longest, 0)
    half = len(array) // 2
    copy_in_pieces(to[:half], array[:half])
    copy_in_pieces(to[half:], array[half:])


def _axis(axis, ndim):
    try:
        number = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, not {axis!r}") from None
    if not -ndim <= number < ndim:
        raise AxisError(number, ndim)
    return number % ndim


def _directions(direction, velocity, f, axis):
    """Which rules are needed, and the array that chooses between two of them."""
    if not (isinstance(direction, str) and direction == "upwind"):
        if velocity is not None:
            raise ValueError(f"velocity is for direction='upwind', not {direction!r}")
        return [direction], None
    if velocity is None:
        raise ValueError(f"direction='upwind' along axis {axis} needs velocity=, whose sign tells where to look")
    given = np.asarray(velocity)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"velocity must be real numbers, not of dtype {given.dtype}")
    try:
        given = np.broadcast_to(given, f.shape)
    except ValueError:
        raise ValueError(f"velocity must be a number or broadcast to the shape of f, {f.shape}, "
                         f"not of shape {given.shape}") from None
    return ["backward", "forward"], given
