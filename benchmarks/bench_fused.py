"""Vector operators and operators on fields beside their limit, the copy, and peers: row G9, and its relatives.

Here because each of them is one sweep: it reads every number once and writes every result once. Used by ci/benchmark.

The limit is ``np.copyto`` of as many bytes into an array that is there: of one field for a Laplacian, of one and a half
for a divergence in two dimensions, which reads two and writes one. One thread, but where two are named; steps of 0.3.
"""

from functools import partial

import numpy as np
from interleave import Table, command_line, compare, duration, ratio, share, text, verdict

import steepest as sd
from steepest.kernels.isa import instruction_set

try:
    import findiff
except ImportError:
    findiff = None
try:
    import scipy.ndimage as ndimage
except ImportError:
    ndimage = None

COPY, OURS, FRESH, TWO, NUMPY, FINDIFF, NDIMAGE, REFERENCE = (
    "np.copyto", "steepest", "new array", "two threads", "np.gradient", "findiff", "ndimage", "reference")
CONTENDERS = (FRESH, TWO, NUMPY, FINDIFF, NDIMAGE, REFERENCE)
STEP = 0.3
TARGET = 1.5        # G9
# The most elements that peers and the reference are given, which take many times as long.
PEERS, REFERENCES = 16_000_000, 1_000_000


def by_numpy(kind, F):
    """The same by `np.gradient`, as it is usually written."""
    ndim = F[0].ndim

    def along(f, axis):
        return np.gradient(f, STEP, axis=axis)

    return {
        "laplacian": lambda: sum(along(along(F[0], axis), axis) for axis in range(ndim)),
        "divergence": lambda: sum(along(F[axis], axis) for axis in range(ndim)),
        "curl": lambda: along(F[1], 0) - along(F[0], 1) if ndim == 2 else
        np.stack([along(F[k - 1], k - 2) - along(F[k - 2], k - 1) for k in range(3)]),
        "magnitude": lambda: np.sqrt(sum(along(F[0], axis) ** 2 for axis in range(ndim))),
        "mixed": lambda: along(along(F[0], 0), 1),
    }.get(kind)


def by_findiff(kind, F, order):
    """The same by findiff, where it has it."""
    if findiff is None or kind not in ("laplacian", "divergence", "curl"):
        return None
    ndim = F[0].ndim
    if kind == "laplacian":
        made = findiff.Laplacian(h=[STEP] * ndim, acc=order)
        return lambda: made(F[0])
    if kind == "curl" and ndim != 3:
        return None
    made = {"divergence": findiff.Divergence, "curl": findiff.Curl}[kind](h=[STEP] * ndim, acc=order)
    together = np.stack(F)
    return lambda: made(together)


def by_ndimage(kind, f, order, out):
    """The same by SciPy's filters, where they have it."""
    return partial(ndimage.laplace, f, out) if ndimage and kind == "laplacian" and order == 2 else None


def contenders_of(kind, shape, dtype, order):
    """Everybody who has an operator, the copy of as many bytes first."""
    source = np.random.default_rng(1)
    vector = kind in ("divergence", "curl")
    F = [source.normal(size=shape).astype(dtype) for _ in range(len(shape) if vector else 1)]
    call = getattr(sd.grid, kind)
    given = F if vector else F[0]
    out = call(given, STEP, order=order)
    moved = (sum(f.size for f in F) + out.size) // 2
    from_, to = np.ones(moved, dtype), np.zeros(moved, dtype)

    def reference():
        with sd.backend("reference"):
            call(given, STEP, order=order, out=out)

    alone = F[0].dtype == np.float32 or F[0].size > PEERS
    found = {
        COPY: lambda: np.copyto(to, from_),
        OURS: partial(call, given, STEP, order=order, out=out, threads=1),
        TWO: partial(call, given, STEP, order=order, out=out, threads=2),
        FRESH: partial(call, given, STEP, order=order, threads=1),
        NUMPY: by_numpy(kind, F) if order == 2 and not alone else None,
        FINDIFF: None if alone else by_findiff(kind, F, order),
        NDIMAGE: None if alone else by_ndimage(kind, F[0], order, out),
        REFERENCE: reference if F[0].size <= REFERENCES else None,
    }
    return {name: contender for name, contender in found.items() if contender is not None}


CASES = [("laplacian", (4000, 4000), 2), ("laplacian", (4000, 4000), 4), ("divergence", (4000, 4000), 2),
         ("curl", (4000, 4000), 2), ("magnitude", (4000, 4000), 2), ("mixed", (4000, 4000), 2),
         ("laplacian", (10_000_000,), 2), ("laplacian", (1000, 1000), 2), ("laplacian", (200, 200, 200), 2),
         ("laplacian", (200, 200, 200), 4), ("divergence", (200, 200, 200), 2), ("curl", (200, 200, 200), 2),
         ("magnitude", (200, 200, 200), 2), ("laplacian", (20, 20), 2)]


def operators(quick):
    """G9 is the first row; the others have no target."""
    for dtype in (np.float64, np.float32):
        rows = []
        for kind, shape, order in CASES:
            result = compare(contenders_of(kind, shape, dtype, order), COPY, quick)
            judged = (kind, shape, order) == CASES[0]
            measured = result.ratio(OURS)
            rows.append(["G9" if judged else "", kind, "x".join(map(str, shape)), order, TARGET if judged else None,
                         measured, result.spread(OURS), measured <= TARGET if judged else None,
                         *map(result.ratio, CONTENDERS), result.time(OURS), result.time(COPY)])
        columns = {"row": text, "of": text, "shape": text, "order": text, "target": ratio, "measured": ratio,
                   "spread": share, "reached": verdict, **dict.fromkeys(CONTENDERS, ratio), "time": duration,
                   "of the copy": duration}
        yield Table(f"G9 and relatives: {np.dtype(dtype).name}, with out=", columns, rows, notes_of())


def adjoints(quick):
    """What a planned operator and its adjoint take, beside their sparse matrix."""
    rows = []
    for kind, shape in (("derivative", (1000, 1000)), ("laplacian", (1000, 1000)), ("gradient", (1000, 1000)),
                        ("laplacian", (20, 20))):
        A = sd.grid.Operator(shape, STEP, kind=kind)
        x, y = np.ones(A.in_shape), np.ones(A.out_shape)
        to, matrix, flat = np.zeros_like(y), A.to_sparse(), np.ones(A.shape[1])
        back = np.zeros_like(x)
        moved = (x.size + y.size) // 2
        source, target = np.ones(moved), np.zeros(moved)
        result = compare({
            COPY: partial(np.copyto, target, source), OURS: partial(A.apply, x, to, threads=1),
            "adjoint": partial(A.T.apply, y, back, threads=1), "CSR": partial(matrix.dot, flat),
        }, COPY, quick)
        rows.append([kind, "x".join(map(str, shape)), *map(result.ratio, (OURS, "adjoint", "CSR")), result.time(OURS)])
    yield Table("Operators, float64", {"kind": text, "shape": text, "apply": ratio, "adjoint": ratio, "CSR": ratio,
                                       "time": duration}, rows, notes_of())


def notes_of():
    """What stands under every table."""
    missing = [name for name, module in ((FINDIFF, findiff), (NDIMAGE, ndimage)) if module is None]
    return ["Ratios to the limit: medians over interleaved rounds.",
            f"Instruction set in force: {instruction_set()}.",
            *([f"Not installed, left out: {', '.join(missing)}."] if missing else [])]


def tables(quick):
    """All of them."""
    yield from operators(quick)
    yield from adjoints(quick)


if __name__ == "__main__":
    command_line(tables)
