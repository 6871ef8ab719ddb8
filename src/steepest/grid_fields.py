"""Vector operators on sampled fields: Laplacian, divergence, curl, the length of the gradient, mixed partials.

Here because made of single derivatives they go over memory once for each, and once more to add up. Each is one sweep:
every number is read once and every result written once. Tested in tests/test_grid_fields.py.
"""

import functools
from typing import NamedTuple

import numpy as np

from .grid_arrays import as_team, check_out, overlap
from .grid_rules import axis_rule, check_boundary
from .grid_sweeps import FieldSweep, Product, converted, rule_of
from .options import as_count, as_integer

__all__ = ["curl", "divergence", "laplacian", "magnitude", "mixed"]

TYPES = "fdgFDG"
# Plans of sweeps that are remembered, by shape, steps and options.
REMEMBERED = 64


def laplacian(f, spacing=1.0, *, axes=None, boundary="one-sided", order=2, edge_order=None, period=None, out=None,
              threads=None):
    """The Laplacian of a sampled field: the sum of its second derivatives, in one sweep over memory.

    Parameters
    ----------
    f : array_like
        Samples on a grid, of at least one dimension. float32, float64, longdouble and their complex types are kept,
        float16 becomes float32, integers and booleans become float64.
    spacing : float or sequence, optional
        The step of all axes, or a sequence with an entry for each axis that is differentiated along: its step, or the
        coordinates of its samples, ascending or descending. For a single axis also its coordinates as they are.
    axes : int or tuple of int, optional
        The axes to differentiate along; all by default.
    boundary : str, tuple of str or list, optional
        How the field goes on beyond its edges: ``"one-sided"`` (it does not: rows near the edge use the nearest
        2 + `edge_order` samples), ``"periodic"``, ``"symmetric"``, ``"antisymmetric"``, ``"nearest"``. A tuple of two
        is for the two sides of every axis; a list has an entry for each axis, a name or a tuple of two.
    order, edge_order : int, optional
        Orders of accuracy: even, inside the field; and near one-sided edges, as inside by default.
    period : float or sequence, optional
        After which periodic coordinates repeat: one number, or one or None for each axis.
    out : ndarray, optional
        Where the result goes; of the shape and the type of the result, apart from `f`. Any layout is taken, but one
        that is not contiguous along the same axis as `f` costs a copy.
    threads : int, optional
        How many threads may share the work; as many as there are cores, where that pays, by default.

    Returns
    -------
    ndarray
        Of the shape of `f`, and in memory as it is; units of f per square of the unit of length. `out`, if given.

    Raises
    ------
    TypeError
        For an `f`, `spacing`, `boundary` or `out` of the wrong kind.
    ValueError
        When an axis has too few samples for its rule, coordinates are not strictly monotonic, an option is unknown, or
        `out` is of another shape, read-only or overlaps `f`; the message names the axis. Nothing is changed then.

    See Also
    --------
    steepest.grid.Operator : The same planned once, with its adjoint and its sparse matrix.

    Notes
    -----
    Weights are Fornberg's [1]_; sums are those of differences from the sample itself, so that a constant field gives
    0 exactly. No memory is needed beside the result; an `f` whose numbers lie one after the other along no axis is
    copied, as is one of a type that has to be converted. NaN spreads to the samples whose rules use it. Ctrl-C is
    answered within some milliseconds; `out` is then partly written.

    References
    ----------
    .. [1] B. Fornberg, "Generation of finite difference formulas on arbitrarily spaced grids", Math. Comp. 51 (1988)
       699-706.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> y, x = np.mgrid[0:4, 0:5] * 0.5
    >>> sd.grid.laplacian(x**2 + 3 * y**2, 0.5)
    array([[8., 8., 8., 8., 8.],
           [8., 8., 8., 8., 8.],
           [8., 8., 8., 8., 8.],
           [8., 8., 8., 8., 8.]])
    >>> angle = np.arange(8) * np.pi / 4
    >>> print(sd.grid.laplacian(np.sin(angle), np.pi / 4, boundary="periodic", order=8).round(3) + 0.0)
    [ 0.    -0.707 -1.    -0.707  0.     0.707  1.     0.707]
    """
    team, f = as_team(threads), take_field(f, "f")
    axes = take_axes(axes, f.ndim)
    options = take_options(f.shape, axes, spacing, boundary, order, edge_order, period, f.dtype)
    return _finish("laplacian", [f], f, f.dtype, options, out, team, "f")


def divergence(F, spacing=1.0, *, boundary="one-sided", order=2, edge_order=None, period=None, out=None, threads=None):
    """The divergence of a sampled vector field: the sum of the derivatives of each component along its own axis.

    Parameters
    ----------
    F : array_like or sequence of arrays
        The components first: ``F[i]`` is the component along axis i, and ``len(F)`` is the number of axes. Components
        that are arrays of one type are read where they are.
    spacing, boundary, order, edge_order, period, out, threads
        As for `laplacian`.

    Returns
    -------
    ndarray
        Of the shape of one component; units of F per unit of length. `out`, if given.

    Raises
    ------
    TypeError, ValueError
        As for `laplacian`, and when there is not one component for each axis.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> y, x = np.mgrid[0:3, 0:4] * 1.0
    >>> sd.grid.divergence([y * x, x**2])
    array([[0., 3., 6., 9.],
           [0., 3., 6., 9.],
           [0., 3., 6., 9.]])
    """
    team, parts = as_team(threads), take_vector(F)
    options = take_options(parts[0].shape, tuple(range(len(parts))), spacing, boundary, order, edge_order, period,
                           parts[0].dtype)
    return _finish("divergence", parts, parts[0], parts[0].dtype, options, out, team, "F")


def curl(F, spacing=1.0, *, boundary="one-sided", order=2, edge_order=None, period=None, out=None, threads=None):
    """The curl of a sampled vector field in two or three dimensions, axis 0 first: ``D0 F[1] - D1 F[0]``, and so on.

    Parameters
    ----------
    F : array_like or sequence of arrays
        The components first: ``F[i]`` is the component along axis i; two or three of as many dimensions. Components
        that are arrays of one type are read where they are.
    spacing, boundary, order, edge_order, period, out, threads
        As for `laplacian`. In three dimensions `out` has the shape of `F`.

    Returns
    -------
    ndarray
        In two dimensions the one component across the plane, of the shape of ``F[0]``. In three ``(3, *F[0].shape)``.
        Units of F per unit of length. `out`, if given.

    Raises
    ------
    TypeError, ValueError
        As for `laplacian`, and when there are not two components of two dimensions or three of three.

    Notes
    -----
    Axis 0 is the first direction, as everywhere in NumPy. With axes that stand for (y, x) instead, the components go
    as ``[F_y, F_x]``, and the result is that of a left-handed system: ``-(dF_y/dx - dF_x/dy)``.

    Examples
    --------
    A rotation has twice its angular velocity as curl.

    >>> import numpy as np, steepest as sd
    >>> x, y = np.mgrid[0:3, 0:4] * 1.0
    >>> sd.grid.curl([-y, x])
    array([[2., 2., 2., 2.],
           [2., 2., 2., 2.],
           [2., 2., 2., 2.]])
    """
    team, parts = as_team(threads), take_vector(F)
    if len(parts) not in (2, 3):
        raise ValueError(f"F must have 2 components of 2 dimensions or 3 of 3, not {len(parts)}")
    options = take_options(parts[0].shape, tuple(range(len(parts))), spacing, boundary, order, edge_order, period,
                           parts[0].dtype)
    return _finish("curl", parts, parts[0], parts[0].dtype, options, out, team, "F")


def magnitude(f, spacing=1.0, *, axes=None, boundary="one-sided", order=2, edge_order=None, period=None, out=None,
              threads=None):
    """The length of the gradient of a sampled field: the root of the sum of the squares of its first derivatives.

    Parameters
    ----------
    f, spacing, axes, boundary, order, edge_order, period, out, threads
        As for `laplacian`.

    Returns
    -------
    ndarray
        Of the shape of `f`, real: for a complex `f` the root of the sum of the squares of absolute values. Units of f
        per unit of length. `out`, if given.

    Raises
    ------
    TypeError, ValueError
        As for `laplacian`.

    Notes
    -----
    Where squares would overflow or be lost, the length is found at another scale, so that it is right wherever the
    derivatives are.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> y, x = np.mgrid[0:3, 0:4] * 1.0
    >>> sd.grid.magnitude(3 * x - 4 * y)
    array([[5., 5., 5., 5.],
           [5., 5., 5., 5.],
           [5., 5., 5., 5.]])
    """
    team, f = as_team(threads), take_field(f, "f")
    axes = take_axes(axes, f.ndim)
    options = take_options(f.shape, axes, spacing, boundary, order, edge_order, period, f.dtype)
    return _finish("magnitude", [f], f, f.real.dtype, options, out, team, "f")


def mixed(f, spacing=1.0, *, axes=(0, 1), n=1, boundary="one-sided", order=2, edge_order=None, period=None, out=None,
          threads=None):
    """A mixed partial derivative of a sampled field, along several axes at once, in one sweep over memory.

    Parameters
    ----------
    f : array_like
        As for `laplacian`.
    spacing, boundary, order, edge_order, period, out, threads
        As for `laplacian`; entries go with `axes`, in its order.
    axes : tuple of int, optional
        The axes to differentiate along, each at most once.
    n : int or tuple of int, optional
        How often: for all axes, or for each.

    Returns
    -------
    ndarray
        Of the shape of `f`. `out`, if given.

    Raises
    ------
    TypeError, ValueError
        As for `laplacian`, and when an axis is given twice.

    Notes
    -----
    Every sample is made of the products of the nodes of its axes: 4 for two first derivatives of order 2, 16 of order
    4. For high orders along several axes one derivative after the other is less work.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> y, x = np.mgrid[0:3, 0:4] * 1.0
    >>> sd.grid.mixed(x**2 * y)
    array([[0., 2., 4., 6.],
           [0., 2., 4., 6.],
           [0., 2., 4., 6.]])
    """
    team, f = as_team(threads), take_field(f, "f")
    axes = take_axes(axes, f.ndim)
    counts = tuple(as_count(one, "n") for one in n) if isinstance(n, (tuple, list)) else (as_count(n, "n"),) * len(axes)
    if len(counts) != len(axes):
        raise ValueError(f"n must be one number or {len(axes)}, one for each axis, not {len(counts)}")
    options = take_options(f.shape, axes, spacing, boundary, order, edge_order, period, f.dtype, counts)
    return _finish("mixed", [f], f, f.dtype, options, out, team, "f")


def take_field(f, name):
    """An array of numbers of one of `TYPES`, native; a copy only where it has to be converted."""
    if isinstance(f, np.ma.MaskedArray) and np.ma.is_masked(f):
        raise TypeError(f"{name} must not be a masked array with masked entries")
    try:
        f = np.asarray(f)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from None
    if f.dtype.kind not in "biufc":
        raise TypeError(f"{name} must be an array of numbers, not of dtype {f.dtype}")
    if f.ndim == 0:
        raise ValueError(f"{name} must have at least one axis, but is a single number")
    dtype = _type_of(f.dtype)
    return f if f.dtype == dtype and f.dtype.isnative else converted(f, dtype)


def _type_of(dtype):
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype.char == "e" else dtype.newbyteorder("=")


def take_vector(F):
    """The components of a vector field, one for each axis, of one shape and type."""
    if isinstance(F, (list, tuple)):
        parts = [take_field(part, f"F[{i}]") for i, part in enumerate(F)]
        for i, part in enumerate(parts):
            if part.shape != parts[0].shape:
                raise ValueError(f"F[{i}] must have the shape of F[0], {parts[0].shape}, but has {part.shape}")
        common = np.result_type(*parts) if parts else None
        parts = [part.astype(common, copy=False) for part in parts]
    else:
        parts = list(take_field(F, "F"))
    if not parts or parts[0].ndim != len(parts):
        raise ValueError(f"F must have its components first, one for each axis, but has {len(parts)} of "
                         f"{parts[0].ndim if parts else 0} dimensions")
    return parts


def take_axes(axes, ndim):
    """Axes as a tuple of numbers from 0, each at most once."""
    if axes is None:
        return tuple(range(ndim))
    try:
        given = tuple(axes)
    except TypeError:
        given = (axes,)
    taken = []
    for axis in given:
        number = as_integer(axis, "an axis in axes")
        if not -ndim <= number < ndim:
            raise np.exceptions.AxisError(number, ndim)
        taken.append(number % ndim)
    if len(set(taken)) != len(taken) or not taken:
        raise ValueError(f"axes must be at least one axis, each at most once, not {axes!r}")
    return tuple(taken)


class Options(NamedTuple):
    """How a field is differentiated along some axes: a spacing, a pair of boundaries and a period for each."""

    shape: tuple
    axes: tuple
    spacings: tuple
    boundaries: tuple
    periods: tuple
    order: int
    edge_order: int | None
    counts: tuple | None
    type: np.dtype
    direction: str

    def rule(self, k, n):
        """The rule of the n-th derivative along axis number k of `axes`."""
        axis = self.axes[k]
        return rule_of(axis_rule(self.shape[axis], self.spacings[k], n, self.order, self.edge_order,
                                 self.boundaries[k], self.periods[k], self.direction, axis=axis,
                                 dtype=self.type))

    def coordinates(self):
        """The spacings that are arrays."""
        return [entry for entry in self.spacings if isinstance(entry, np.ndarray)]


def take_options(shape, axes, spacing, boundary, order, edge_order, period, dtype, counts=None,
                 direction="central"):
    """Check what tells how to differentiate along some axes of a field."""
    order = as_count(order, "order")
    edge_order = None if edge_order is None else as_count(edge_order, "edge_order")
    spacings = each_spacing(spacing, [shape[axis] for axis in axes])
    boundaries = tuple(check_boundary(entry, axis)
                       for entry, axis in zip(each_boundary(boundary, len(axes)), axes, strict=True))
    return Options(tuple(shape), axes, tuple(spacings), boundaries, tuple(each_period(period, boundaries)), order,
                   edge_order, counts, np.dtype(np.longdouble if dtype.char in "gG" else np.float64), direction)


def each_spacing(spacing, extents):
    """A step or coordinates for each of some axes."""
    count = len(extents)
    if isinstance(spacing, (str, bytes)) or spacing is None:
        raise TypeError(f"spacing must be a number, or a sequence with an entry for each axis, not {spacing!r}")
    if not isinstance(spacing, (list, tuple)) and np.ndim(spacing) == 0:
        return [_as_step(spacing)] * count
    if count == 1 and len(spacing) == extents[0] and all(np.ndim(entry) == 0 for entry in spacing) and (
            len(spacing) > 1):
        return [np.asarray(spacing)]
    if len(spacing) != count:
        raise ValueError(f"spacing must be one number or have {count} entries, one for each axis, not {len(spacing)}")
    return [_as_step(entry) if np.ndim(entry) == 0 else np.asarray(entry) for entry in spacing]


def _as_step(step):
    """A number, which tells plans apart."""
    step = np.asarray(step)
    if step.dtype.kind not in "iuf":
        raise TypeError(f"spacing must be numbers or arrays of coordinates, not {step[()]!r}")
    return step[()] if step.dtype.char == "g" else float(step)


def each_boundary(boundary, count):
    """A name or a pair of names for each of some axes."""
    if isinstance(boundary, list) or (isinstance(boundary, tuple) and not (
            len(boundary) == 2 and all(isinstance(side, str) for side in boundary))):
        if len(boundary) != count:
            raise ValueError(f"boundary must be a name, a pair of names, or a list with an entry for each of {count} "
                             f"axes, not {boundary!r}")
        return [tuple(entry) if isinstance(entry, list) else entry for entry in boundary]
    return [boundary] * count


def each_period(period, boundaries):
    """A period or None for each of some axes; one number is for those that are periodic."""
    if period is None:
        return [None] * len(boundaries)
    if isinstance(period, (list, tuple, np.ndarray)) and np.ndim(period):
        if len(period) != len(boundaries):
            raise ValueError(f"period must be one number or have {len(boundaries)} entries, not {len(period)}")
        return [None if entry is None else _as_step(entry) for entry in period]
    period = _as_step(period)
    if not any("periodic" in entry for entry in boundaries):
        raise ValueError("period is for boundary='periodic', but no axis has it")
    return [period if "periodic" in entry else None for entry in boundaries]


def plan(kind, options):
    """The sweep of one of the operators."""
    axes, count = options.axes, len(options.axes)
    if kind == "laplacian":
        outputs = [[Product(0, 1.0, {axis: options.rule(k, 2)}) for k, axis in enumerate(axes)]]
    elif kind == "mixed":
        outputs = [[Product(0, 1.0, {axis: options.rule(k, options.counts[k]) for k, axis in enumerate(axes)})]]
    else:
        first = [options.rule(k, 1) for k in range(count)]
        if kind == "divergence":
            outputs = [[Product(k, 1.0, {k: first[k]}) for k in range(count)]]
        elif kind == "magnitude":
            outputs = [[Product(0, 1.0, {axis: first[k]}) for k, axis in enumerate(axes)]]
        elif kind == "gradient":
            outputs = [[Product(0, 1.0, {axis: first[k]})] for k, axis in enumerate(axes)]
        else:
            turns = [(0, 1)] if count == 2 else [(1, 2), (2, 0), (0, 1)]
            outputs = [[Product(j, 1.0, {i: first[i]}), Product(i, -1.0, {j: first[j]})] for i, j in turns]
    return FieldSweep(options.shape, outputs, count if kind in ("divergence", "curl") else 1, kind == "magnitude")


_remembered = functools.lru_cache(REMEMBERED)(plan)


def _finish(kind, sources, like, dtype, options, out, team, name):
    """Check `out`, find the plan, and sweep."""
    vector = kind == "curl" and len(sources) == 3
    shape = (3, *like.shape) if vector else like.shape
    if out is not None:
        check_out(out, "out", shape, dtype)
        for field in [*sources, *options.coordinates()]:
            if overlap(out, field):
                raise ValueError(f"out must not overlap {name} or its coordinates, which are still to be read")
    sweep = (plan if options.coordinates() else _remembered)(kind, options)
    result = out
    if out is None:
        result = np.empty((3, *like.shape), dtype) if vector else np.empty_like(like, dtype)
    sweep.run(sources, [result[i] for i in range(3)] if vector else [result], team)
    return result
