"""Sums of derivatives in one sweep against their reference: what they are given, for the table of compare.py.

Here because their cases are plans. Run by ci/compare and ci/test.
"""

import numpy as np
from compare_grid import every, field

from steepest.grid_fields import plan, take_options


def fused(side, dtype, kind, shape, order, boundary, even, adjoint=False, width=1):
    """An operator on fields, or its adjoint, planned and run."""
    axes = tuple(range(len(shape)))
    spacing = 0.7 if even else [np.cumsum(np.linspace(1, 2, extent)) for extent in shape]
    periods = [None if even or boundary != "periodic" else 2.0 * extent for extent in shape]
    counts = (1,) * len(shape) if kind == "mixed" else None
    options = take_options(shape, axes, spacing, boundary, order, None, None if even else periods, np.dtype("d"),
                           counts)
    sweep = plan(kind, options)
    outputs, sources = sweep.outputs, sweep.sources
    if adjoint:
        sweep, sources = sweep.transposed(), len(outputs)
        outputs = sweep.outputs
    outputs = [[(source, factor, tuple(rules.get(axis) for axis in axes)) for source, factor, rules in products]
               for products in outputs]
    fields = list(field((sources, *shape, width), dtype))
    made = side.fused.FusedSweep(shape, width, dtype, outputs, sweep.root, sweep.root and width % 2 == 0)
    outs = [np.zeros((*shape, width // (1 + made.paired)), dtype) for _ in outputs]
    return (lambda: made.run(fields, outs)), lambda: {"outs": outs}


KINDS = ["laplacian", "divergence", "curl", "magnitude", "mixed", "gradient"]
LINES = [
    ("fused.FusedSweep", fused, [
        *every(dtype="fd", kind=KINDS, shape=[(9, 300), (200, 12), (12, 13, 50)], order=[2, 4], even=[True, False],
               boundary=["one-sided", "periodic", "symmetric", "antisymmetric", "nearest"], width=[1, 2]),
        *every(dtype="fd", kind=["laplacian", "divergence", "gradient", "curl"], shape=[(12, 300), (12, 13, 50)],
               order=[2, 4], even=[True, False], boundary=["one-sided", "periodic", ("nearest", "antisymmetric")],
               adjoint=[True]),
        *every(dtype="fd", kind=["laplacian", "magnitude"], shape=[(1500, 1500)], order=[2], even=[True, False],
               boundary=["one-sided"], width=[1])]),
]
