"""Rules along one axis: which nodes a derivative is made of, with which weights, inside and at the edges.

Here so that `diff`, operators and vector operators differentiate alike: a rule describes a linear map completely, with
the continuation beyond an edge folded back on real nodes. Tested in tests/test_grid_rules.py.
"""

import functools
from typing import NamedTuple

import numpy as np

from .backends import current
from .grid_spacing import Spacing, take_spacing
from .options import as_count
from .reference.weighted import ANY, EVEN, ODD, Plan, WeightedSums

BOUNDARIES = ("one-sided", "periodic", "symmetric", "antisymmetric", "nearest")
DIRECTIONS = ("central", "forward", "backward")
MOST = 100      # nodes of a stencil
KEPT = 128      # rules for uniform steps that are kept for the next call


class Edge(NamedTuple):
    """A row that the interior stencil does not serve: its nodes, their weights, and what it makes of a constant 1."""

    row: int
    indices: np.ndarray
    weights: np.ndarray
    total: float        # exactly 0 unless an antisymmetric continuation takes part


class AxisRule:
    """A linear map from `points` nodes to as many derivatives.

    Attributes
    ----------
    points : int
    start, stop : int
        Rows of the interior; ``start == stop`` when there are none.
    offsets : tuple of int
        Nodes of interior row i are ``i + offset`` for each, ascending. No weight is 0 by construction.
    uniform : bool
        Whether all interior rows have the same weights.
    weights : ndarray
        (width,) when uniform, else (stop - start, width), whose transpose is C-contiguous.
    edges : list of Edge
        All other rows, ascending.
    n, order, edge_order : int
    boundary : (str, str)
    direction : str
    descending : bool
        Whether coordinates, or steps, go down.
    """

    __slots__ = ("_sums", "boundary", "descending", "direction", "edge_order", "edges", "n", "offsets", "order",
                 "points", "start", "stop", "uniform", "weights")

    def __init__(self, points, start, stop, offsets, uniform, weights, edges, n, order, edge_order, boundary,
                 direction, descending):
        self.points, self.start, self.stop = points, start, stop
        self.offsets, self.uniform, self.weights, self.edges = offsets, uniform, weights, edges
        self.n, self.order, self.edge_order = n, order, edge_order
        self.boundary, self.direction, self.descending = boundary, direction, descending
        self._sums: dict = {}
        for array in (weights, *(part for edge in edges for part in (edge.indices, edge.weights))):
            array.flags.writeable = False

    def to_coo(self):
        """Return (row, column, weight), three arrays: every entry once, by rows, columns ascending."""
        width, inside = len(self.offsets), np.arange(self.start, self.stop)
        rows = [np.repeat(inside, width)]
        columns = [(inside[:, None] + np.array(self.offsets, int)).reshape(-1)]
        weights = [np.broadcast_to(self.weights, (len(inside), width)).reshape(-1)]
        for edge in self.edges:
            rows.append(np.full(len(edge.indices), edge.row))
            columns.append(edge.indices)
            weights.append(edge.weights)
        row, column, weight = map(np.concatenate, (rows, columns, weights))
        by_row = np.argsort(row, kind="stable")
        return row[by_row], column[by_row], weight[by_row]

    def sums(self, dtype=np.float64):
        """Return the `WeightedSums` of the backend in force, for fields whose real type is `dtype`."""
        real, backend = np.dtype(dtype), current()
        key = real, backend.name
        if key not in self._sums:
            make = backend.WeightedSums if real.char in "fd" else WeightedSums
            self._sums[key] = make(self.plan(real))
        return self._sums[key]

    def plan(self, dtype=np.float64):
        """Return the rule as `weighted_sums` takes it, for fields whose real type is `dtype`."""
        real = np.dtype(dtype)
        offsets, weights = np.array(self.offsets, np.intp), self.weights.T
        form = ANY
        if self.uniform and self.direction == "central":
            form = ODD if self.n % 2 else EVEN
        kept = offsets != 0 if form == ANY else offsets > 0
        first, nodes, edge_weights = [0], [], []
        for edge in self.edges:
            # differences to the row's own node are the smallest
            order = np.argsort(edge.indices != edge.row, kind="stable")
            nodes.append(edge.indices[order])
            edge_weights.append(edge.weights[order])
            first.append(first[-1] + len(order))
        rows = [edge.row for edge in self.edges]
        totals = [edge.total for edge in self.edges]
        return Plan(
            self.points, form, self.uniform, self.start, self.stop, offsets[kept], held(weights[kept], real),
            np.array(rows, np.intp), np.array(first, np.intp), np.concatenate([np.zeros(0, np.intp), *nodes]),
            held(np.concatenate([np.zeros(0), *edge_weights]), real), np.array(totals, np.float64),
        )


def held(weights, real):
    """Weights in the type of a field; float32 cannot hold all that float64 can."""
    with np.errstate(over="ignore", under="ignore"):
        found = np.ascontiguousarray(weights, real)
    largest = abs(weights).max(initial=0)
    if not (np.finfo(real).tiny <= abs(found).max(initial=0) < np.inf or largest == 0):
        raise ValueError(f"the spacing is too small or too large: weights up to {largest} cannot be held by {real}")
    return found


def axis_rule(points, spacing=1.0, n=1, order=2, edge_order=None, boundary="one-sided", period=None,
              direction="central", *, unit=None, axis=0, dtype=np.float64):
    """Return the rule of a derivative along an axis of so many points.

    Parameters
    ----------
    points : int
        Nodes along the axis.
    spacing : number or array_like
        The step, or the coordinates of the nodes; datetime64 and timedelta64 with `unit`.
    n : int, optional
        Which derivative.
    order, edge_order : int, optional
        Order of accuracy inside, and near one-sided edges (as inside when None).
    boundary : str or pair of str, optional
        One of `BOUNDARIES`, or one for each side.
    period : number, optional
        After which periodic coordinates repeat.
    direction : {"central", "forward", "backward"}, optional
        Where the nodes of the interior lie.
    unit : str, optional
        Of time: "s", "h", "D", ...
    axis : int, optional
        Named in errors.
    dtype : dtype, optional
        Of the weights: float64 or longdouble.

    Returns
    -------
    AxisRule

    Raises
    ------
    TypeError, ValueError
        When an argument is none of these, or does not go with the others; the message names axis and rule.
    """
    n, order = as_count(n, "n"), as_count(order, "order")
    edge_order = order if edge_order is None else as_count(edge_order, "edge_order")
    boundary = check_boundary(boundary, axis)
    offsets = offsets_of(n, order, direction, uniform=True)
    if n + edge_order > MOST:
        raise ValueError(f"n + edge_order must be at most {MOST}, not {n + edge_order}")
    needed = n + edge_order if "one-sided" in boundary else 1
    if points < needed:
        raise ValueError(
            f"axis {axis} has {points} points, but the one-sided rule for n={n} and edge_order={edge_order} "
            f"needs at least {needed}" if needed > 1 else f"axis {axis} has no points"
        )
    grid = take_spacing(spacing, points, axis, period if boundary[0] == "periodic" else None, unit, dtype)
    if boundary[0] == "periodic":
        if np.ndim(spacing) and grid.period is None:
            raise ValueError(f"axis {axis} has periodic coordinates: period= must say after which they repeat")
    elif period is not None:
        raise ValueError(f"period is for boundary='periodic', but axis {axis} has {boundary[0]!r} and {boundary[1]!r}")
    if grid.step is None:
        offsets = offsets_of(n, order, direction, uniform=False)
        return _build(points, grid, n, offsets, order, edge_order, boundary, direction)
    return _uniform(points, grid.step, axis, np.dtype(dtype), n, offsets, order, edge_order, boundary, direction)


def check_boundary(boundary, axis=0):
    """Return the names of the two sides."""
    pair = (boundary, boundary) if isinstance(boundary, str) else boundary
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(isinstance(side, str) for side in pair):
        raise TypeError(f"boundary of axis {axis} must be a name or a pair of names, not {boundary!r}")
    for side in pair:
        if side not in BOUNDARIES:
            raise ValueError(f"boundary of axis {axis} must be one of {', '.join(map(repr, BOUNDARIES))}, not {side!r}")
    if (pair[0] == "periodic") != (pair[1] == "periodic"):
        raise ValueError(f"boundary of axis {axis} must be periodic on both sides or on none, not {tuple(pair)!r}")
    return tuple(pair)


def offsets_of(n, order, direction="central", uniform=True):
    """Return the offsets of the nodes of an interior row, ascending.

    2 r + 1 central nodes give an odd derivative the order 2 r + 1 - n on any grid, an even one the order 2 r + 2 - n on
    a uniform grid only, by symmetry: elsewhere it takes the node after, too.
    """
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(map(repr, DIRECTIONS))}, not {direction!r}")
    if n + order > MOST:
        raise ValueError(f"n + order must be at most {MOST}, not {n + order}")
    if direction != "central":
        nodes = range(n + order)
        return tuple(nodes) if direction == "forward" else tuple(-k for k in reversed(nodes))
    if order % 2:
        raise ValueError(f"order must be even for direction='central', not {order}")
    reach = (n + 1) // 2 - 1 + order // 2
    if not uniform:
        return tuple(range(-reach, reach + 1 + (n % 2 == 0)))
    return tuple(k for k in range(-reach, reach + 1) if k or n % 2 == 0)


# one rule

@functools.lru_cache(KEPT)
def _uniform(points, step, axis, dtype, *others):
    """Rules for steps are small, and asked for again and again."""
    return _build(points, Spacing(points, axis, dtype, step), *others)


def _build(points, grid, n, offsets, order, edge_order, boundary, direction):
    before, after = max(0, -offsets[0]), max(0, offsets[-1])
    start = min(before, points)
    stop = max(start, points - after)
    if grid.step is not None:
        weights = grid.weights(0, np.array(offsets), n, boundary)
    else:
        rows = np.arange(start, stop)
        weights = grid.weights(rows, rows + np.array(offsets)[:, None], n, boundary).T
    edges = [_edge(i, points, grid, n, offsets, edge_order, boundary) for i in (*range(start), *range(stop, points))]
    return AxisRule(points, start, stop, offsets, grid.step is not None, weights, edges, n, order, edge_order, boundary,
                    direction, grid.descending)


def _edge(i, points, grid, n, offsets, edge_order, boundary):
    """One row near an edge: the nearest nodes where a side ends, the interior's stencil where it is continued."""
    beyond = i + offsets[0] < 0, i + offsets[-1] >= points
    if any(out and side == "one-sided" for out, side in zip(beyond, boundary, strict=True)):
        count = n + edge_order
        # rows at the right are those at the left, mirrored
        left = beyond[0] and boundary[0] == "one-sided"
        first = min(max(i - (count - 1) // 2 if left else i - count // 2, 0), points - count)
        nodes = np.arange(first, first + count)
    else:
        nodes = i + np.array(offsets)
    weights = grid.weights(i, nodes, n, boundary)
    indices, signs = fold(nodes, points, boundary)
    total = -2 * weights[signs < 0].sum() if (signs < 0).any() else weights.dtype.type(0)
    real, place = np.unique(indices, return_inverse=True)
    folded = np.zeros(len(real), weights.dtype)
    np.add.at(folded, place, weights * signs)
    kept = np.ones(len(real), bool)
    if len(nodes) == len(real):         # a weight that is 0 by symmetry; one that folding has cancelled stays
        kept = folded != 0
    return Edge(i, real[kept], folded[kept], total)


def fold(nodes, points, boundary):
    """Return, for nodes beyond an edge too, the real node that stands for each, and the sign it is taken with."""
    indices, signs = np.array(nodes), np.ones(len(nodes), int)
    if boundary[0] == "periodic":
        return indices % points, signs
    while True:     # a reflection at one edge may lie beyond the other
        left, right = indices < 0, indices >= points
        if not (left | right).any():
            return indices, signs
        for side, out, mirrored in ((0, left, -1 - indices), (1, right, 2 * points - 1 - indices)):
            inside = side * (points - 1) if boundary[side] == "nearest" else mirrored
            indices = np.where(out, inside, indices)
            signs = np.where(out & (boundary[side] == "antisymmetric"), -signs, signs)
