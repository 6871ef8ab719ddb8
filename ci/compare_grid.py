"""The kernels of sampled fields against their reference: what they are given, for the table of compare.py.

Here because their cases are arrays, not functions. Run by ci/compare and ci/test.
"""

import itertools

import numpy as np

from steepest.grid_rules import axis_rule


def every(**axes):
    """Every combination of the entries of the axes."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def field(shape, dtype, layout="plain"):
    """Samples on a grid."""
    shape = (*shape[:-1], 2 * shape[-1]) if layout == "apart" else shape
    f = 9 * np.random.default_rng(len(shape)).normal(size=(*shape, 2)).astype("f" if dtype in "fF" else "d")
    f = f.view(f"c{2 * f.itemsize}")[..., 0] if dtype in "FD" else f[..., 0].copy()
    f = abs(f).astype(dtype) if dtype in "BHIQ" else f.astype(dtype)
    return f[..., ::2] if layout == "apart" else f.astype(f.dtype.newbyteorder()) if layout == "foreign" else f


def sweep(side, dtype, shape, axis, given, edges, layout):
    """One derivative along one axis of a field: by a number, or by coordinates."""
    f = field(shape, dtype, layout)
    out = np.zeros(shape, np.float64 if f.dtype.kind in "iu" else f.dtype.newbyteorder("="))
    kind, n = out.dtype.char, shape[axis]
    inside = {"number": 0.6, "power of two": 2.0, "coordinates": np.cumsum(np.linspace(1, 2, n))}[given]
    wide = {"f": "d", "F": "D"}.get(kind, kind) if given == "coordinates" else kind
    first, last = ((-1.5, 2.0, -0.5), (0.5, -2.0, 1.5)) if edges == 2 else (0.3, 0.3)
    return (lambda: side.stencil.sweep(f, out, axis, (wide, inside), (kind, first), (kind, last)),
            lambda: {"out": out})


def even_spacing(side, dtype, x):
    """Coordinates that are, or are not, evenly spaced."""
    x = np.array(x).astype(dtype)
    return (lambda: side.stencil.even_spacing(x)), dict


def gradient_at_once(side, dtype, shape, varargs, edge_order):
    """Small plain arrays, and those that it leaves."""
    f = field(shape, dtype)
    return (lambda: side.stencil.gradient_at_once(f, varargs, None, edge_order, None)), dict


def weighted_sums(side, dtype, shape, axis, rule, layout):
    """A rule along one axis of a field, evenly spaced or not."""
    f, n = field(shape, dtype, layout), shape[axis]
    out = np.zeros_like(f)
    options = {**rule, "spacing": np.cumsum(np.linspace(1, 2, n)) if rule.get("spacing") else 0.7}
    sums = side.weighted.WeightedSums(axis_rule(n, **options).plan(f.real.dtype))
    return (lambda: sums.apply(f, out, axis)), lambda: {"out": out}


def fornberg(side, width, rows, n, spread):
    """Weights over random nodes."""
    source = np.random.default_rng(width)
    nodes, at, out = spread * source.normal(size=(width, rows)), source.normal(size=rows), np.zeros((width, rows))
    return (lambda: side.weighted.fornberg(nodes, at, n, out)), lambda: {"out": out}


RULES = [{}, {"order": 4}, {"order": 6, "boundary": "periodic"}, {"order": 8, "n": 3, "boundary": "nearest"},
         {"n": 2, "order": 12, "boundary": "antisymmetric"}, {"order": 3, "direction": "forward"},
         {"order": 1, "direction": "backward", "boundary": "symmetric"}, {"spacing": True},
         {"spacing": True, "n": 2, "order": 4, "boundary": "symmetric"}]
GIVEN = ["number", "power of two", "coordinates"]
# Name of the kernel, how a case of it is made ready, and the cases.
LINES = [
    ("stencil.sweep", sweep, [
        *every(dtype="fdFDbHiq", shape=[(9,), (5000,)], axis=[0], given=GIVEN, edges=[1, 2],
               layout=["plain", "apart", "foreign"]),
        *every(dtype="fdFDbHiq", shape=[(40, 200, 5), (3, 700)], axis=[0, 1], given=GIVEN, edges=[1, 2],
               layout=["plain", "apart"])]),
    ("stencil.even_spacing", even_spacing, every(
        dtype="fdbHiq", x=[range(5), range(0, 100, 7), [0, 1, 3], [0, 1], [3, 1, -1], [1, 1, 1], [1]])),
    ("stencil.gradient_at_once", gradient_at_once, every(
        dtype="fdi", shape=[(1,), (10,), (1000,), (7, 9), (4, 5, 6)], varargs=[(), (0.3,), (1,), (1e40,)],
        edge_order=[1, 2, 3])),
    ("weighted.WeightedSums", weighted_sums, [
        *every(dtype="fdFD", shape=[(17,), (5000,)], axis=[0], rule=RULES, layout=["plain", "apart"]),
        *every(dtype="fdFD", shape=[(40, 200, 5), (30, 700), (2000, 20)], axis=[0, 1], rule=RULES,
               layout=["plain", "apart"])]),
    ("weighted.fornberg", fornberg, every(
        width=[1, 3, 12, 31], rows=[1, 8, 100], n=[0, 1, 4], spread=[1e-30, 1, 1e30])),
]
