"""Weights of derivatives, and weighted sums along an axis, in plain NumPy: the twin of kernels/weighted.pyx.

Here to be read and to be compared with: the kernel gives the same bits. Weights come from Fornberg's recursion, carried
in pairs of numbers, so that they are the exact ones, rounded. Tested in tests/test_weighted.py and
tests/test_grid_weights.py.
"""

from typing import NamedTuple

import numpy as np

MOST = 1000     # nodes of one derivative

# Pairs (high, low): unevaluated sums of two numbers, with twice the digits of one. T. J. Dekker, Numer. Math. 18 (1971)
# 224; Y. Hida, X. S. Li, D. H. Bailey, ARITH-15 (2001) 155.


def _sum(a, b):
    """a + b as a pair, exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _quick(a, b):
    """a + b as a pair, exactly, where |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def _halves(a):
    """Two numbers of half the digits each whose sum is a."""
    digits = np.finfo(a.dtype).nmant + 1
    t = a * a.dtype.type(2.0 ** ((digits + 1) // 2) + 1)
    high = t - (t - a)
    return high, a - high


def _product(a, b):
    """a * b as a pair, exactly."""
    p = a * b
    ah, al = _halves(a)
    bh, bl = _halves(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def _minus(a, b):
    s, e = _sum(a[0], -b[0])
    return _quick(s, e + (a[1] - b[1]))


def _times(a, b):
    p, e = _product(a[0], b[0])
    return _quick(p, e + (a[0] * b[1] + a[1] * b[0]))


def _scaled(a, k):
    """A pair times an exact number."""
    p, e = _product(a[0], k)
    return _quick(p, e + a[1] * k)


def _over(a, b):
    q = a[0] / b[0]
    p, e = _product(q, b[0])
    r = (((a[0] - p) - e) + a[1]) - q * b[1]
    return _quick(q, r / b[0])


def check_weights(n, nodes, at, out):
    """What the recursion relies on."""
    if not (0 <= n <= MOST and nodes.shape[0] <= MOST and at.shape[0] == nodes.shape[1]
            and tuple(out.shape) == tuple(nodes.shape)):
        raise ValueError(f"nodes and out must be (width, rows), at (rows,), width and n at most {MOST}")


def fornberg(nodes, at, n, out):
    """Write to `out` the weights of the n-th derivative at ``at[i]`` over the nodes ``nodes[:, i]``, for every i.

    `nodes` and `out` are (width, rows), `at` is (rows,), all C-contiguous and of one type, float64 or longdouble.
    The recursion of B. Fornberg, Math. Comp. 51 (1988) 699, over distances that are scaled to at most 1.
    """
    check_weights(n, nodes, at, out)
    width = len(nodes)
    far = abs(nodes - at).max(axis=0, initial=0)
    exponent = np.frexp(np.where(far > 0, far, 1))[1].astype(np.intc)
    nodes, at = np.ldexp(nodes, -exponent), np.ldexp(at, -exponent)
    one, zero = np.ones_like(at), np.zeros_like(at)
    away = [_sum(x, -at) for x in nodes]
    # table[k][j]: of the k-th derivative, the weight of node j
    table = [[(zero, zero) for _ in range(width)] for _ in range(n + 1)]
    if width:
        table[0][0] = one, zero
    before = one, zero
    for i in range(1, width):
        product, most = (one, zero), min(i, n)
        for j in range(i):
            apart = _sum(nodes[i], -nodes[j])
            product = _times(product, apart)
            if j == i - 1:
                ratio = _over(before, product)
                for k in range(most, -1, -1):
                    lower = _scaled(table[k - 1][j], one * k) if k else (zero, zero)
                    table[k][i] = _times(ratio, _minus(lower, _times(away[j], table[k][j])))
            for k in range(most, -1, -1):
                lower = _scaled(table[k - 1][j], one * k) if k else (zero, zero)
                table[k][j] = _over(_minus(_times(away[i], table[k][j]), lower), apart)
        before = product
    for j in range(width):
        out[j] = np.ldexp(table[n][j][0], -n * exponent)


# Forms of an interior row: differences of mirrored nodes, sums of mirrored differences to the centre, differences to
# the row's own node. A field that is constant makes exactly 0 in each.
ODD, EVEN, ANY = range(3)


class Plan(NamedTuple):
    """A rule in the shape that a sweep needs.

    `offsets` are those of one node of each pair, or of all nodes but the row's own; `weights` (count,), or (count,
    rows) C-contiguous where they vary, in the real type of the field. Edge row i, ``edge_rows[i]``, is made of
    ``edge_nodes[edge_first[i] : edge_first[i + 1]]``: differences of all nodes to the first one, whose own weight is
    not used, and ``edge_totals[i]`` times the first.
    """

    points: int
    form: int
    uniform: bool
    start: int
    stop: int
    offsets: np.ndarray
    weights: np.ndarray
    edge_rows: np.ndarray
    edge_first: np.ndarray
    edge_nodes: np.ndarray
    edge_weights: np.ndarray
    edge_totals: np.ndarray


def check_plan(plan):
    """Every node that a rule names is there, and so are its weights."""
    count, rows, points = len(plan.offsets), plan.stop - plan.start, plan.points
    if plan.form not in (ODD, EVEN, ANY) or not 0 <= plan.start <= plan.stop <= points or (
            plan.form != ANY and not plan.uniform):
        raise ValueError("the rule is of no known form, or not for so many points")
    real = plan.weights.dtype
    if real.kind != "f" or not real.isnative or plan.edge_weights.dtype != real:
        raise TypeError("weights must be of one floating type, in native byte order")
    if plan.weights.shape != ((count,) if plan.uniform else (count, rows)) or not plan.weights.flags.c_contiguous:
        raise ValueError("there must be a weight for each node, C-contiguous")
    reach = np.abs(plan.offsets).max(initial=0) if plan.form != ANY else 0
    low, high = min(-reach, plan.offsets.min(initial=0)), max(reach, plan.offsets.max(initial=0))
    if rows and not (count and plan.start + low >= 0 and plan.stop + high <= points):
        raise ValueError("the rule has no nodes, or reaches beyond the field")
    first, nodes = plan.edge_first, plan.edge_nodes
    if not (len(first) == len(plan.edge_rows) + 1 == len(plan.edge_totals) + 1 and first[0] == 0
            and first[-1] == len(nodes) == len(plan.edge_weights) and (np.diff(first) > 0).all()
            and plan.edge_weights.flags.c_contiguous):
        raise ValueError("every edge row must have nodes and weights")
    if ((nodes < 0) | (nodes >= points)).any():
        raise ValueError("an edge row names a node that is not there")
    outside = [*range(plan.start), *range(plan.stop, points)] if len(plan.edge_rows) + rows == points else None
    if outside is None or sorted(plan.edge_rows.tolist()) != outside:
        raise ValueError("every row must be made once")


def check_sums(plan, f, out, axis):
    """What applying a rule relies on."""
    real = plan.weights.dtype
    if f.dtype != out.dtype or f.shape != out.shape or not (0 <= axis < f.ndim and f.shape[axis] == plan.points):
        raise ValueError("f and out must be of one type and shape, and have the axis and its points")
    if f.dtype.kind not in "fc" or f.dtype.type(0).real.dtype != real:
        raise TypeError(f"f must be real or complex, its numbers {real}, not {f.dtype}")
    for name, array in (("f", f), ("out", out)):
        steps = any(stride % real.itemsize for stride in array.strides)
        if steps or not (array.dtype.isnative and array.flags.aligned):
            raise ValueError(f"{name} must be aligned, in native byte order, in steps of whole numbers")
    if not out.flags.writeable:
        raise ValueError("out must be writeable")


class WeightedSums:
    """A rule, ready to be applied to fields.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan):
        check_plan(plan)
        self.plan = plan._replace(**{name: value.copy() for name, value in plan._asdict().items()
                                     if isinstance(value, np.ndarray)})

    def apply(self, f, out, axis, share=None, threads=1):
        """Write to `out` what the rule makes of f along an axis.

        `f` and `out` are of one float or complex type and one shape and do not overlap, in any layout; complex numbers
        are two real ones. With `share` (`steepest.threads.share`), so many threads do it.
        """
        check_sums(self.plan, f, out, axis)
        parts, results = ((f.real, f.imag), (out.real, out.imag)) if f.dtype.kind == "c" else ((f,), (out,))
        with np.errstate(all="ignore"):
            for part, result in zip(parts, results, strict=True):
                _sums(self.plan, np.moveaxis(part, axis, 0), np.moveaxis(result, axis, 0))


def _sums(plan, f, out):
    """The axis is the first here."""
    inside, column = slice(plan.start, plan.stop), (-1,) + (1,) * (f.ndim - 1)

    def at(offset):
        return f[plan.start + offset : plan.stop + offset]

    if plan.start < plan.stop:
        total = None
        for offset, weight in zip(plan.offsets, plan.weights, strict=True):
            if plan.form == ODD:
                term = at(offset) - at(-offset)
            elif plan.form == EVEN:
                term = (at(offset) - at(0)) + (at(-offset) - at(0))
            else:
                term = at(offset) - at(0)
            term = (weight if plan.uniform else weight.reshape(column)) * term
            total = term if total is None else total + term
        out[inside] = total
    for i, row in enumerate(plan.edge_rows):
        here = slice(plan.edge_first[i] + 1, plan.edge_first[i + 1])
        base, rest = f[plan.edge_nodes[here.start - 1]], f.dtype.type(plan.edge_totals[i])
        total = None
        for node, weight in zip(plan.edge_nodes[here], plan.edge_weights[here], strict=True):
            term = weight * (f[node] - base)
            total = term if total is None else total + term
        if total is None:
            total = rest * base
        elif rest != 0:
            total = total + rest * base
        out[row] = total
