"""Sums of products of derivatives along axes, in one sweep over a field, in plain NumPy: the twin of kernels/fused.pyx.

Here to be read and to be compared with: the kernel gives the same bits. Laplacian, divergence, curl, the length of the
gradient, mixed partials and the adjoints of all of them are such sums. Tested in tests/test_fused.py.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np


def scales_of(dtype):
    """Where squares would be lost or too large, a length is found at another scale.

    The smallest and the largest that is squared as it is, and the powers of 2 by which others are multiplied.
    """
    info, two = np.finfo(dtype), np.dtype(dtype).type(2)
    return (two ** (info.minexp // 2 + info.nmant), two ** (info.maxexp // 2 - 12),
            two ** (info.nmant - info.minexp // 2 + 8), two ** -(info.maxexp // 2 + 12))


class Rule(NamedTuple):
    """How a field is differentiated along an axis of `extent` nodes: which nodes, times which weights, for each node.

    Nodes ``first <= i < last`` take nodes ``i + offsets[t]`` times ``weights[t]``, or ``weights[t, i]`` where the
    spacing is not uniform. The others, the edge nodes, come one after the other, those before `first` first: number e
    of them takes nodes ``columns[k]`` times ``edge_weights[k]`` for ``starts[e] <= k < starts[e + 1]``.

    Weights whose sum is 0 are those of differences from one of the nodes, its origin: number `origin` of those that an
    interior node takes, number ``edge_origins[e]`` of edge node e; what a constant has rounded to stays 0 then. What
    edge node e makes of a constant 1 is ``totals[e]``. Without origins, `origin` and ``edge_origins[e]`` are -1.
    """

    extent: int
    first: int
    last: int
    offsets: Any
    weights: Any
    origin: int
    starts: Any
    columns: Any
    edge_weights: Any
    edge_origins: Any
    totals: Any

    def edges(self):
        """The nodes that are not interior, in order."""
        return [*range(self.first), *range(self.last, self.extent)]


class Term(NamedTuple):
    """A product of derivatives of one source, times a sign: `rules` has a `Rule` or None for each axis."""

    source: int
    sign: float
    rules: tuple


def check_rule(rule, extent, dtype):
    """Refuse a rule that would look beyond its axis; return it with arrays of the types that the kernel reads."""
    if rule.extent != extent or not 0 <= rule.first <= rule.last <= extent:
        raise ValueError(f"a rule for {rule.extent} nodes does not fit an axis of {extent}")
    names = ("offsets", "starts", "columns", "edge_origins")
    offsets, starts, columns, origins = (np.ascontiguousarray(getattr(rule, name), np.intp) for name in names)
    with np.errstate(over="ignore", under="ignore"):
        weights, edge_weights, totals = (np.ascontiguousarray(getattr(rule, name), dtype)
                                         for name in ("weights", "edge_weights", "totals"))
    count = extent - (rule.last - rule.first)
    if weights.shape not in (offsets.shape, (*offsets.shape, extent)) or edge_weights.shape != columns.shape:
        raise ValueError("a rule needs a weight for each node that it takes")
    if offsets.ndim != 1 or columns.ndim != 1 or starts.shape != (count + 1,) or origins.shape != (count,) \
            or totals.shape != (count,):
        raise ValueError("a rule needs the nodes of each edge node")
    if rule.first < rule.last and len(offsets) and (rule.first + offsets.min() < 0
                                                    or rule.last - 1 + offsets.max() >= extent):
        raise ValueError("the interior of a rule reaches beyond its axis")
    if starts[0] != 0 or starts[-1] != len(columns) or (np.diff(starts) < 0).any() or (
            len(columns) and not 0 <= columns.min() <= columns.max() < extent):
        raise ValueError("an edge node of a rule reaches beyond its axis")
    if not -1 <= rule.origin < max(len(offsets), 1) or (origins < -1).any() or (origins >= np.diff(starts)).any():
        raise ValueError("the origin of a rule is one of the nodes that are taken")
    return Rule(extent, rule.first, rule.last, offsets, weights, int(rule.origin), starts, columns, edge_weights,
                origins, totals)


class FusedSweep:
    """Sums of terms over fields of one shape, planned once.

    Parameters
    ----------
    shape : tuple of int
        Extents of the axes, at least one.
    width : int
        Numbers at each node: 1, 2 for complex ones; axes that nothing is differentiated along, as one.
    dtype : dtype
        float32 or float64; the twin takes longdouble too.
    outputs : sequence of sequence of Term
        What is summed up for each result, from 0, in order.
    root : bool, optional
        Add up the squares of the terms, and take the root.
    paired : bool, optional
        Add up the squares of pairs of numbers too, so that the results have half the width. Needs `root`.

    Examples
    --------
    >>> import numpy as np
    >>> from steepest.reference.fused import Rule, FusedSweep, Term
    >>> second = Rule(4, 1, 3, [-1, 0, 1], [1.0, -2.0, 1.0], 1, [0, 0, 0], [], [], [-1, -1], [0, 0])
    >>> out = np.empty((4, 1))
    >>> FusedSweep((4,), 1, "d", [[Term(0, 1.0, (second,))]]).run([np.array([[0.0], [1.0], [4.0], [9.0]])], [out])
    >>> print(out.ravel())
    [0. 2. 2. 0.]
    """

    def __init__(self, shape, width, dtype, outputs, root=False, paired=False):
        self.shape, self.width, self.dtype = tuple(shape), width, np.dtype(dtype)
        self.root, self.paired = bool(root), bool(paired)
        self.outputs = [[checked(term, self.shape, self.dtype) for term in terms] for terms in outputs]
        check_sweep(self, "fdg")

    def run(self, sources, outs, share=None, threads=1):
        """Write the results to `outs`, arrays of shape ``(*shape, width)`` like the sources; nothing may overlap."""
        check_fields(self, sources, outs)
        with np.errstate(all="ignore"):
            for terms, out in zip(self.outputs, outs, strict=True):
                parts = [np.zeros((*self.shape, self.width), self.dtype) for _ in (terms if self.root else terms[:1])]
                for k, term in enumerate(terms):
                    _add(parts[k if self.root else 0], sources[term.source], term)
                out[...] = self._length(parts) if self.root else parts[0] if parts else 0

    def _length(self, parts):
        """The root of the sum of squares, at a scale at which they can be squared."""
        smallest, largest, up, down = scales_of(self.dtype)
        most = np.zeros((*self.shape, self.width), self.dtype)
        for part in parts:
            most = np.fmax(most, abs(part))
        if self.paired:
            most = np.repeat(np.fmax(most[..., ::2], most[..., 1::2]), 2, axis=-1)
        one = self.dtype.type(1)
        scale = np.where(most > largest, down, np.where((most < smallest) & (most > 0), up, one))
        total = np.zeros_like(most)
        for part in parts:
            total += (part * scale) * (part * scale)
        if self.paired:
            total, scale = total[..., ::2] + total[..., 1::2], scale[..., ::2]
        return np.sqrt(total) * (one / scale)


def checked(term, shape, dtype):
    """A term whose rules fit the axes."""
    source, sign, rules = term
    if len(rules) != len(shape):
        raise ValueError(f"a term needs a rule or None for each of {len(shape)} axes")
    return Term(source, float(sign), tuple(
        None if rule is None else check_rule(rule, extent, dtype) for rule, extent in zip(rules, shape, strict=True)))


def check_sweep(sweep, types):
    """Refuse what no field can have."""
    if not sweep.shape or min(sweep.shape) < 0 or sweep.width < 1 or math.prod(sweep.shape) * sweep.width >= 2**56:
        raise ValueError(f"a sweep needs axes and a width that memory can hold, not {sweep.shape} and {sweep.width}")
    if sweep.dtype.char not in types or not sweep.dtype.isnative:
        raise TypeError(f"a sweep is over float32 or float64, not {sweep.dtype}")
    if sweep.paired and (not sweep.root or sweep.width % 2):
        raise ValueError("pairs of numbers need squares and an even width")


def check_fields(sweep, sources, outs):
    """Refuse fields that are not of the shape that was planned for, or lie so that the kernel could not read them."""
    if len(outs) != len(sweep.outputs):
        raise ValueError(f"there must be {len(sweep.outputs)} results, not {len(outs)}")
    needed = 1 + max((term.source for terms in sweep.outputs for term in terms), default=-1)
    if len(sources) < needed or any(term.source < 0 for terms in sweep.outputs for term in terms):
        raise ValueError(f"there must be {needed} sources, not {len(sources)}")
    for name, arrays, width in (("sources", sources, sweep.width), ("outs", outs, sweep.width // (1 + sweep.paired))):
        for i, array in enumerate(arrays):
            if not isinstance(array, np.ndarray) or array.dtype != sweep.dtype or not array.flags.aligned:
                raise TypeError(f"{name}[{i}] must be an aligned array of {sweep.dtype}")
            if array.shape != (*sweep.shape, width):
                raise ValueError(f"{name}[{i}] must have shape {(*sweep.shape, width)}, not {array.shape}")
            if not runs_on(array):
                raise ValueError(f"{name}[{i}] must be contiguous along its last axis")
            if name == "sources" and array.size and array.strides != arrays[0].strides:
                raise ValueError("sources must lie alike in memory")
            if name == "outs" and not array.flags.writeable:
                raise ValueError(f"{name}[{i}] must be writeable")


def runs_on(array):
    """Whether the numbers along the last axis of a field, and at each of its nodes, lie one after the other."""
    *_, extent, width = array.shape
    *_, stride, within = array.strides
    return array.size == 0 or ((width == 1 or within == array.itemsize)
                               and (extent == 1 or stride == width * array.itemsize))


class _Piece(NamedTuple):
    """Nodes of an axis that are served alike: for each node they take, its place and weight; which is the origin."""

    nodes: slice
    taken: list
    origin: int
    total: float


def _pieces(rule):
    """The interior, then each edge node."""
    inside = slice(rule.first, rule.last)
    if rule.first < rule.last:
        taken = [(slice(rule.first + offset, rule.last + offset), weight[inside] if weight.ndim else weight)
                 for offset, weight in zip(rule.offsets, rule.weights, strict=True)]
        yield _Piece(inside, taken, rule.origin, 0)
    for e, node in enumerate(rule.edges()):
        taken = [(slice(rule.columns[k], rule.columns[k] + 1), rule.edge_weights[k])
                 for k in range(rule.starts[e], rule.starts[e + 1])]
        yield _Piece(slice(node, node + 1), taken, rule.edge_origins[e], rule.totals[e])


def _add(total, source, term):
    """total += sign * (a product of derivatives of source), one node that is taken after the other."""
    ndim, one = len(term.rules), total.dtype.type(term.sign)
    axes = [axis for axis in range(ndim) if term.rules[axis] is not None]

    def place(nodes):
        """An index of the field."""
        index = [slice(None)] * ndim
        for axis, taken in zip(axes, nodes, strict=True):
            index[axis] = taken
        return tuple(index)

    for pieces in itertools.product(*(_pieces(term.rules[axis]) for axis in axes)):
        here = total[place([piece.nodes for piece in pieces])]
        origin = None
        if axes and all(piece.origin >= 0 for piece in pieces):
            origin = source[place([piece.taken[piece.origin][0] for piece in pieces])]
        for chosen in itertools.product(*(range(len(piece.taken)) for piece in pieces)):
            if origin is not None and all(k == piece.origin for k, piece in zip(chosen, pieces, strict=True)):
                continue
            taken = [piece.taken[k] for k, piece in zip(chosen, pieces, strict=True)]
            weight = one
            for axis, (_, each) in zip(axes, taken, strict=True):
                weight = weight * np.reshape(each, (-1,) + (1,) * (ndim - axis))
            values = source[place([node for node, _ in taken])]
            here += weight * (values if origin is None else values - origin)
        constant = math.prod((piece.total for piece in pieces), start=one)
        if origin is not None and constant != 0:
            here += constant * origin
