"""Derivatives of sampled fields by weighted sums beside the copy of the same bytes and peers: row G7 and its relatives.

Here because differentiating a field should cost what reading and writing it costs. Used by ci/benchmark.

Everything is written to `out`, on one thread. The reference is measured where it is not too slow; findiff and
`scipy.ndimage.correlate1d` where they are installed and have the rule (uniform, and for SciPy periodic).
"""

import numpy as np
from interleave import Table, command_line, compare, duration, ratio, share, text, verdict

import steepest as sd

try:
    import findiff
except ImportError:
    findiff = None
try:
    from scipy.ndimage import correlate1d
except ImportError:
    correlate1d = None

COPY, OURS, REFERENCE, FINDIFF, NDIMAGE = "np.copyto", "steepest", "reference", "findiff", "ndimage"
# Row of the targets, shape, axis, type, options, limit.
UNEVEN = "coordinates"
CASES = [
    ("G7", (10_000_000,), 0, "f8", {"order": 4}, 1.2),
    ("", (10_000_000,), 0, "f4", {"order": 4}, None),
    ("", (10_000_000,), 0, "c16", {"order": 4}, None),
    ("", (10_000_000,), 0, "f8", {"n": 2}, None),
    ("", (10_000_000,), 0, "f8", {"order": 8}, None),
    ("", (4096, 4096), 0, "f8", {"order": 4}, None),
    ("", (4096, 4096), 1, "f8", {"order": 4}, None),
    ("", (4096, 4096), 0, "f8", {"order": 8, "boundary": "periodic"}, None),
    ("", (200, 200, 200), 0, "f8", {"order": 4}, None),
    ("", (200, 200, 200), 1, "f8", {"order": 4}, None),
    ("", (200, 200, 200), 2, "f8", {"order": 4}, None),
    ("", (1000, 1000), 0, "f8", {"order": 4}, None),
    ("", (1000, 1000), 1, "f8", {"order": 4}, None),
    ("G8", (4096, 4096), 0, "f8", {"spacing": UNEVEN}, 2.0),
    ("G8", (4096, 4096), 1, "f8", {"spacing": UNEVEN}, 2.0),
    ("", (1_000_000, 4), 1, "f8", {}, None),
    ("", (1000,), 0, "f8", {"order": 4}, None),
]
STEP = 0.1


def contenders_of(shape, axis, dtype, options):
    """What is called: name to function."""
    f = np.random.default_rng(0).normal(size=shape).astype(dtype)
    out = np.zeros_like(f)
    spacing = STEP
    if options.get("spacing") is UNEVEN:
        spacing = np.cumsum(np.random.default_rng(1).uniform(1, 2, size=shape[axis]))
    options = {"axis": axis, "threads": 1, "out": out, **options, "spacing": spacing}
    order, n = options.get("order", 2), options.get("n", 1)
    found = {COPY: lambda: np.copyto(out, f), OURS: lambda: sd.grid.diff(f, **options)}

    def reference():
        with sd.backend("reference"):
            sd.grid.diff(f, **options)

    found[REFERENCE] = reference
    if findiff is not None and f.dtype.kind == "f" and "boundary" not in options and np.ndim(spacing) == 0:
        derivative = findiff.Diff(axis, spacing, acc=order) ** n
        found[FINDIFF] = lambda: derivative(f)
    if correlate1d is not None and f.dtype.kind == "f" and np.ndim(spacing) == 0:
        reach = (n + 1) // 2 - 1 + order // 2
        weights = sd.grid.weights(spacing * np.arange(-reach, reach + 1), n=n)
        found[NDIMAGE] = lambda: correlate1d(f, weights, axis, output=out, mode="wrap")
    return found


def table(quick):
    """All rows."""
    rows = []
    for row, shape, axis, dtype, options, limit in CASES:
        result = compare(contenders_of(shape, axis, dtype, options), COPY, quick)
        case = f"{'x'.join(map(str, shape))} {dtype} axis {axis}"
        rule = ", ".join(f"{key}={value}" for key, value in options.items()) or "order=2"
        ours = result.ratio(OURS)
        rows.append([row or "-", case, rule, limit, ours, result.spread(OURS), None if limit is None else ours <= limit,
                     *map(result.ratio, (REFERENCE, FINDIFF, NDIMAGE)), result.time(COPY), result.time(OURS)])
    columns = {
        "row": text, "field": text, "rule": text, "target": ratio, OURS: ratio, "spread": share, "reached": verdict,
        REFERENCE: ratio, FINDIFF: ratio, NDIMAGE: ratio, "copy": duration, "ours": duration,
    }
    return Table("sd.grid.diff, whole calls with out=, in times of np.copyto", columns, rows, [
        "Medians over interleaved rounds, one thread. Uneven coordinates: the weights are made in every call.",
    ])


def tables(quick):
    """One table."""
    yield table(quick)


if __name__ == "__main__":
    command_line(tables)
