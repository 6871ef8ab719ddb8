"""The spacing of one axis: a step or coordinates, checked, continued beyond the edges, and weights over them.

Here so that every rule takes numbers and times alike. Tested in tests/test_grid_rules.py.
"""

import numpy as np

from .backends import current
from .options import as_float
from .reference.weighted import fornberg

UNITS = ("W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")
TINY = 2.0**-80


class Spacing:
    """A uniform step, or coordinates that are strictly ascending or descending.

    `step` is None where there are coordinates, which may be integers: times, whose differences are exact, in units of
    `scale`. `period` has the sign of the coordinates' direction.
    """

    def __init__(self, points, axis, dtype, step=None, coordinates=None, period=None, scale=1.0):
        self.points, self.axis, self.dtype, self.step = points, axis, dtype, step
        self.coordinates, self.period, self.scale = coordinates, period, scale

    @property
    def descending(self):
        """Whether coordinates, or steps, go down."""
        return bool(self.step < 0 if self.step is not None else self.coordinates[-1] < self.coordinates[0])

    def weights(self, rows, nodes, n, boundary):
        """Return the weights of the n-th derivative at rows (R,) over nodes (width, R), which may lie beyond an edge.

        One row is a number, and its nodes and weights are (width,).
        """
        shape, nodes = np.shape(nodes), np.atleast_2d(np.asarray(nodes).T).T
        if self.step is not None:
            away = (nodes - rows).astype(self.dtype)
            at = np.zeros(away.shape[1], self.dtype)
        else:
            away, at = self.at(nodes, boundary), self.at(np.atleast_1d(rows), boundary)
            if away.dtype.kind == "i":
                away, at = away - at, np.zeros(len(at))
            away, at = np.ascontiguousarray(away, self.dtype), np.ascontiguousarray(at, self.dtype)
        out = np.empty_like(away)
        (current().fornberg if self.dtype == np.float64 else fornberg)(away, at, n, out)
        with np.errstate(all="ignore"):
            if self.step is not None:       # 0 by symmetry, but for the rounding of the recursion
                out[abs(out) < TINY * abs(out).max(axis=0, initial=0)] = 0
            out /= (self.dtype.type(self.scale) if self.step is None else self.step) ** n
        self.refuse_unholdable(out, n)
        return out.reshape(shape)

    def refuse_unholdable(self, weights, n):
        """Weights that overflow, or vanish, belong to a step that is too small or too large for their type."""
        info, largest = np.finfo(self.dtype), abs(weights).max(axis=0, initial=0)
        # written so that NaN is refused
        if weights.size and not ((largest <= info.max) & (largest >= info.tiny)).all():
            raise ValueError(f"the spacing of axis {self.axis} is too small or too large: the weights of its "
                             f"derivatives of order {n} cannot be held by {self.dtype}")

    def at(self, nodes, boundary):
        """Coordinates of nodes, those beyond an edge included: cells are mirrored there, or repeated when periodic."""
        x, points = self.coordinates, self.points
        if boundary[0] == "periodic":
            return x[nodes % points] + nodes // points * self.period
        inside = np.clip(nodes, 0, points - 1)
        found = x[inside]
        if points == 1 or (inside == nodes).all():
            return found
        # the mirror stands half a cell beyond the last node: its coordinate twice
        ends = 3 * x[0] - x[1], 3 * x[-1] - x[-2]
        left, right = nodes < 0, nodes >= points
        found[left] = ends[0] - self.at(-1 - nodes[left], boundary)
        found[right] = ends[1] - self.at(2 * points - 1 - nodes[right], boundary)
        return found


def take_spacing(spacing, points, axis, period=None, unit=None, dtype=np.float64):
    """Check a step or coordinates, and the period, of an axis of so many points; return a `Spacing`."""
    if isinstance(spacing, np.ma.MaskedArray) and np.ma.is_masked(spacing):
        raise TypeError(f"spacing of axis {axis} must not be masked")
    if spacing is None or isinstance(spacing, (str, bytes)):
        raise TypeError(f"spacing of axis {axis} must be a number or an array of coordinates, not {spacing!r}")
    try:
        x = np.asarray(spacing)
    except ValueError as error:
        raise ValueError(f"spacing of axis {axis} must be a number or an array of coordinates: {error}") from None
    if x.ndim > 1 or (x.ndim == 1 and len(x) != points):
        raise ValueError(f"spacing of axis {axis} must be a step or the {points} coordinates of the points, "
                         f"not an array of shape {x.shape}")
    x, period, scale = _in_units(x, period, axis, unit)
    if x.dtype.kind not in "iuf":
        raise TypeError(f"spacing of axis {axis} must be real numbers or times, not of dtype {x.dtype}")
    return (_steps if x.ndim == 0 else _coordinates)(x, points, axis, period, scale, np.dtype(dtype))


def _steps(x, points, axis, period, scale, dtype):
    step = dtype.type(x) * dtype.type(scale)
    if not np.isfinite(step) or step == 0:
        raise ValueError(f"the step of axis {axis} must be finite and not 0, not {step}")
    if period is not None:
        period = _period(period, axis) * scale
        if not np.isclose(period, points * abs(step), rtol=1e-9, atol=0):
            raise ValueError(f"period must be {points} steps of axis {axis}, {points * abs(step)}, not {period}")
    return Spacing(points, axis, dtype, step=step)


def _coordinates(x, points, axis, period, scale, dtype):
    if x.dtype.kind == "f":
        x = x.astype(dtype)
    if not np.isfinite(x).all():
        bad = np.flatnonzero(~np.isfinite(x))[0]
        raise ValueError(f"coordinates of axis {axis} must be finite, but number {bad} is {x[bad]}")
    x = _exact(x, dtype)
    ascending = points < 2 or x[-1] > x[0]
    apart = np.diff(x)
    wrong = np.flatnonzero(~(apart > 0 if ascending else apart < 0))
    if wrong.size:
        i = int(wrong[0])
        what = "are equal" if x[i] == x[i + 1] else "turn back"
        raise ValueError(f"coordinates of axis {axis} must be strictly ascending or descending, "
                         f"but numbers {i} and {i + 1} {what}")
    if period is not None:
        period = _period(period, axis)
        if not period > abs(x[-1] - x[0]):
            raise ValueError(f"period of axis {axis} must be larger than the distance from the first coordinate to the "
                             f"last, {abs(x[-1] - x[0]) * scale}, not {period * scale}")
        if x.dtype.kind == "i":
            x, period = (x, int(period)) if period == int(period) else (x.astype(dtype), dtype.type(period))
        else:
            period = dtype.type(period)
        period = period if ascending else -period
    even = points > 1 and (apart == apart[0]).all() and (period is None or period == points * apart[0])
    if points == 1 and period is not None:
        even, apart = True, [period]
    if even:
        return Spacing(points, axis, dtype, dtype.type(apart[0]) * dtype.type(scale), period=period)
    if points == 1:
        raise ValueError(f"axis {axis} has one point: its spacing must be a step, not coordinates")
    return Spacing(points, axis, dtype, None, x, period, scale)


def _exact(x, dtype):
    """Integers counted from the first, as far as they can be subtracted and continued beyond the edges."""
    if x.dtype.kind == "f" or not len(x):
        return x
    first = int(x[0])
    if max(int(x.max()) - first, first - int(x.min())) >= 2**61:
        return x.astype(dtype)
    return (x.astype(np.uint64) - np.uint64(first % 2**64)).astype(np.int64)    # modulo 2**64


def _period(period, axis):
    try:
        number = period if isinstance(period, (int, np.integer)) else as_float(period, "period")
    except (TypeError, ValueError):
        raise TypeError(f"period of axis {axis} must be a number, not {period!r}") from None
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"period of axis {axis} must be positive and finite, not {period}")
    return number


def _in_units(x, period, axis, unit):
    """Times as integers; return them, the period in the same, and how many units each is."""
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(map(repr, UNITS))}, not {unit!r}")
    if x.dtype.kind not in "mM":
        if unit is not None:
            raise ValueError(f"unit is for times, but the spacing of axis {axis} is of dtype {x.dtype}")
        if isinstance(period, np.timedelta64):
            raise TypeError(f"period of axis {axis} must be a number, not {period!r}")
        return x, period, 1.0
    if unit is None:
        raise ValueError(f"the spacing of axis {axis} is of dtype {x.dtype}: unit= must name a unit, as 's' or 'D'")
    if x.dtype.kind == "M" and x.ndim == 0:
        raise TypeError(f"the step of axis {axis} must be a number or a timedelta64, not a datetime64")
    if np.isnat(x).any():
        raise ValueError(f"spacing of axis {axis} must not be NaT")
    if x.dtype.kind == "M":
        if np.datetime_data(x.dtype)[0] in ("Y", "M"):      # which have no fixed length, but begin on a day
            x = x.astype("M8[D]")
        x = x.view(x.dtype.str.replace("M8", "m8"))     # counted from 1970; differences might not be held
    if np.datetime_data(x.dtype)[0] in ("Y", "M", "generic"):
        raise ValueError(f"spacing of axis {axis} must be in a unit of fixed length, not of dtype {x.dtype}")
    if period is not None:
        if not isinstance(period, np.timedelta64):
            raise TypeError(f"period of axis {axis} must be a timedelta64 as its coordinates are times, not {period!r}")
        if np.isnat(period) or np.datetime_data(period.dtype)[0] in ("Y", "M", "generic"):
            raise ValueError(f"period of axis {axis} must be in a unit of fixed length, not {period!r}")
        common = np.result_type(x.dtype, period.dtype)
        x, period = x.astype(common), int(period.astype(common).astype(np.int64))
    scale = np.array(1, x.dtype) / np.timedelta64(1, unit)
    return x.astype(np.int64), period, float(scale)
