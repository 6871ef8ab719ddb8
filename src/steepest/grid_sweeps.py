"""Sweeps over fields as they lie in memory: from rules along axes to plans of the kernel, whatever the layout.

Here so that vector operators, their sums, products and adjoints all go the same way: a sweep is a matrix of sums of
products of rules, and so is its transpose. Tested in tests/test_grid_fields.py and tests/test_grid_operator.py.
"""

from typing import NamedTuple

import numpy as np

from .backends import current
from .reference import fused as reference
from .reference.fused import Rule, check_rule
from .threads import share_at_once

# Numbers at a node up to which axes along which nothing is differentiated are taken together as one node.
WIDEST = 4096
# Numbers that are copied at a time.
PIECE = 2**20
# Of what is laid out, so many layouts are remembered for each sweep.
REMEMBERED = 8


class Product(NamedTuple):
    """A number times rules along some axes, of one of the sources: ``factor * rules[a] * rules[b] * ...``."""

    source: int
    factor: float
    rules: dict


def rule_of(given):
    """The `Rule` of an `AxisRule`: differences from the node itself, or from the nearest that is taken."""
    offsets = np.asarray(given.offsets, np.intp)
    weights = np.asarray(given.weights)
    if not given.uniform:
        along = np.zeros((len(offsets), given.points), weights.dtype)
        along[:, given.start:given.stop] = weights.T
        weights = along
    columns = [np.asarray(edge.indices, np.intp) for edge in given.edges]
    return Rule(
        given.points, given.start, given.stop, offsets, weights, int(np.argmin(abs(offsets))),
        np.cumsum([0, *map(len, columns)], dtype=np.intp), _joined(columns, np.intp),
        _joined([edge.weights for edge in given.edges], weights.dtype),
        np.array([int(np.argmin(abs(nodes - edge.row))) if len(nodes) else -1
                  for nodes, edge in zip(columns, given.edges, strict=True)], np.intp),
        np.array([edge.total for edge in given.edges], weights.dtype),
    )


def _joined(parts, dtype):
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def entries(rule):
    """(row, column, weight) of every entry of the matrix of a rule, in three arrays."""
    inside, taps = np.arange(rule.first, rule.last), len(rule.offsets)
    weights = rule.weights if rule.weights.ndim == 1 else rule.weights[:, rule.first:rule.last].T
    edges = np.repeat(np.array(rule.edges(), np.intp), np.diff(rule.starts))
    return (
        np.concatenate([np.repeat(inside, taps), edges]),
        np.concatenate([(inside[:, None] + rule.offsets).reshape(-1), rule.columns]),
        np.concatenate([np.broadcast_to(weights, (len(inside), taps)).reshape(-1), rule.edge_weights]),
    )


def transposed(rule):
    """The rule of the transposed matrix: node j takes node i times what node i took of node j; it has no origins.

    What the interior alone took is taken by the interior, reversed. The rest, near the edges, is listed.
    """
    rule = check_rule(rule, rule.extent, rule.weights.dtype)
    order = np.argsort(-rule.offsets, kind="stable")
    offsets, weights = -rule.offsets[order], rule.weights[order]
    first, last = _untouched(rule)
    if weights.ndim == 2:
        moved = np.zeros_like(weights)
        for t, offset in enumerate(offsets):
            moved[t, first:last] = weights[t, first + offset:last + offset]
        weights = moved
    edges = np.r_[0:first, last:rule.extent]
    starts, columns, edge_weights = _takers(rule, edges)
    return Rule(rule.extent, first, last, offsets, weights, -1, starts, columns, edge_weights,
                np.full(len(edges), -1, np.intp), np.zeros(len(edges), rule.weights.dtype))


def _untouched(rule):
    """The longest range of nodes that are taken by interior nodes only, and at every offset."""
    least, most = (rule.offsets.min(), rule.offsets.max()) if len(rule.offsets) else (0, 0)
    taken = np.unique(rule.columns)
    begins = np.maximum(np.r_[0, taken + 1], rule.first + most)
    ends = np.minimum(np.r_[taken, rule.extent], rule.last + least)
    widest = int(np.argmax(ends - begins))
    first, last = int(begins[widest]), int(ends[widest])
    return (first, last) if first < last else (rule.extent, rule.extent)


def _takers(rule, nodes):
    """For some nodes, in order: every node that took them, and its weight, in order."""
    number = np.full(rule.extent, -1, np.intp)
    number[nodes] = np.arange(len(nodes))
    rows, columns, weights = [], [], []
    for t, offset in enumerate(rule.offsets):
        takers = nodes - offset
        kept = (rule.first <= takers) & (takers < rule.last)
        rows.append(number[nodes[kept]])
        columns.append(takers[kept])
        each = rule.weights[t]
        weights.append(each[takers[kept]] if each.ndim else np.full(kept.sum(), each))
    takers = np.repeat(np.array(rule.edges(), np.intp), np.diff(rule.starts))
    kept = number[rule.columns] >= 0
    rows.append(number[rule.columns[kept]])
    columns.append(takers[kept])
    weights.append(rule.edge_weights[kept])
    rows, columns, weights = _joined(rows, np.intp), _joined(columns, np.intp), _joined(weights, rule.weights.dtype)
    by_row = np.lexsort((columns, rows))
    starts = np.r_[0, np.cumsum(np.bincount(rows, minlength=len(nodes)))].astype(np.intp)
    return starts, columns[by_row], weights[by_row]


class FieldSweep:
    """A matrix of sums of products of rules, for fields of one shape.

    Parameters
    ----------
    shape : tuple of int
        Of each field.
    outputs : sequence of sequence of Product
        What each result is the sum of.
    sources : int
        How many fields there are.
    root : bool
        Results are the roots of the sums of the squares of the absolute values.
    """

    def __init__(self, shape, outputs, sources=1, root=False):
        self.shape, self.outputs, self.sources, self.root = tuple(shape), outputs, sources, root
        self._layouts = {}

    def __getstate__(self):
        return self.__dict__ | {"_layouts": {}}

    def transposed(self):
        """The sweep of the transposed matrix."""
        rules = {}

        def turned(rule):
            if id(rule) not in rules:
                rules[id(rule)] = transposed(rule)
            return rules[id(rule)]

        outputs = [[] for _ in range(self.sources)]
        for number, products in enumerate(self.outputs):
            for source, factor, along in products:
                outputs[source].append(Product(number, factor, {axis: turned(rule) for axis, rule in along.items()}))
        return FieldSweep(self.shape, outputs, len(self.outputs))

    def run(self, fields, outs, team=1):
        """Write results; fields and results are arrays of one shape, the results apart from all else.

        Fields are of one type of `TYPES`, native; a field or a result that has no axis along which its numbers lie one
        after the other, or not the same as the others, is copied.
        """
        if 0 in self.shape:
            return
        order = _order(fields[0]) if fields else tuple(range(len(self.shape)))
        placed = [field.transpose(order) for field in fields]
        laid = placed
        if not all(_lies_well(field) and field.strides == placed[0].strides for field in placed):
            laid = [converted(field, field.dtype, "C") for field in placed]
        kind = outs[0].dtype.newbyteorder("=") if outs else None
        given = [out.transpose(order) for out in outs]
        written = [out if _lies_well(out) and out.dtype.isnative and out.flags.aligned
                   else np.empty(out.shape, kind) for out in given]
        shape, width = self._merged(order, [*laid, *written])
        sweep = self._laid_out(fields[0].dtype, order, shape, width)
        inner = width * (2 if fields[0].dtype.kind == "c" else 1)
        outer = width * (2 if kind.kind == "c" else 1)
        sweep.run([_numbers(field, shape, inner) for field in laid], [_numbers(out, shape, outer) for out in written],
                  share_at_once if team > 1 else None, team)
        for out, result in zip(given, written, strict=True):
            if out is not result:
                copy_to(out, result)

    def _merged(self, order, arrays):
        """The extents of the axes that the kernel sees, and how many nodes of the axes after them are one."""
        shape, width = [self.shape[axis] for axis in order], 1
        ruled = {axis for products in self.outputs for product in products for axis in product.rules}
        while len(shape) > 1 and order[len(shape) - 1] not in ruled and width * shape[-1] <= WIDEST and all(
                shape[-2] == 1 or array.strides[len(shape) - 2] == shape[-1] * width * array.itemsize
                for array in arrays):
            width *= shape.pop()
        return shape, width

    def _laid_out(self, dtype, order, shape, width):
        """The kernel's sweep for a layout."""
        backend = current()
        real = np.zeros(0, dtype).real.dtype
        paired = self.root and dtype.kind == "c"
        key = backend.name, dtype.char, order, width
        sweep = self._layouts.get(key)
        if sweep is None:
            made = reference.FusedSweep if real.char == "g" else backend.FusedSweep
            place = {axis: k for k, axis in enumerate(order)}
            outputs = [
                [(source, factor, tuple(_on_axes(rules, place, len(shape)))) for source, factor, rules in products]
                for products in self.outputs
            ]
            sweep = made(shape, width * (2 if dtype.kind == "c" else 1), real, outputs, self.root, paired)
            if len(self._layouts) >= REMEMBERED:
                self._layouts = {}
            self._layouts[key] = sweep
        return sweep


def converted(array, dtype, order="K"):
    """A copy of an array, of a type."""
    copy = np.empty_like(array, dtype, order, subok=False)
    copy_to(copy, array)
    return copy


def copy_to(out, array):
    """Copy a field in pieces: between them Ctrl-C is answered."""
    if array.size <= PIECE:
        out[...] = array
        return
    axis = max((k for k in range(out.ndim) if out.shape[k] > 1), key=lambda k: abs(out.strides[k]))
    middle, before = out.shape[axis] // 2, (slice(None),) * axis
    for part in (slice(middle), slice(middle, None)):
        copy_to(out[(*before, part)], array[(*before, part)])


def _on_axes(rules, place, count):
    """A rule or None for each axis that the kernel sees."""
    on = [None] * count
    for axis, rule in rules.items():
        on[place[axis]] = rule
    return on


def _order(field):
    """The axes from the one with the longest stride to the one with the shortest; those of one node first."""
    return tuple(sorted(range(field.ndim), key=lambda axis: (field.shape[axis] > 1, -abs(field.strides[axis]))))


def _lies_well(array):
    """Whether numbers follow each other along the last axis, each at an address that the processor can read."""
    return array.flags.aligned and (array.shape[-1] == 1 or array.strides[-1] == array.itemsize)


def _numbers(array, shape, width):
    """The numbers of an array, `width` of them at each node: the real and the imaginary ones one after the other."""
    real = array.real if array.dtype.kind == "c" else array
    strides = [*array.strides[:len(shape) - 1], width * real.itemsize, real.itemsize]
    return np.lib.stride_tricks.as_strided(real, (*shape, width), strides, writeable=array.flags.writeable)
