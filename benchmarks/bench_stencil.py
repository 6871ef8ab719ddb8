"""Derivatives of sampled fields beside their limit, the copy, and peers: rows G1 to G6 and G8.

Here because a derivative reads its field once and writes its result once, as a copy does. Used by ci/benchmark. What
the contenders do stands in stencil_peers.py.

The limit is ``np.copyto`` of the same array into one that is there, in G2 ``np.copy``. Steps are 1, which is NumPy's
default and multiplied with, and 0.3, which is divided by; one thread, but where two are named.
"""

from functools import partial

import numpy as np
from interleave import Comparison, Table, command_line, compare, duration, ratio, share, text, verdict
from stencil_peers import CONTENDERS, COPY, MISSING, NUMPY, OURS, TWO, check, contenders_of, field

import steepest as sd
from steepest.kernels import stencil
from steepest.kernels.isa import instruction_set

STEPS = (1.0, 0.3)
PLACES = 5              # how often what fits in cache is made anew
# row, shape, what one thread and two may take of the copy's time
FIELDS = [("G1", (4000, 4000), 1.05, 0.95), ("G3", (1000, 1000), 1.2, 0.75), ("G4", (200, 200, 200), 1.15, None)]
FRESH, UNEVEN, CALL, KERNEL = 1.1, 2.0, 2.5, 1.6
KERNEL_ALONE, COPY_NEW = "kernel alone", "np.copy"


def notes_of(*notes):
    """What stands under every table."""
    missing = [f"Not installed, left out: {', '.join(MISSING)}."] if MISSING else []
    return ["Ratios to the limit: medians over interleaved rounds.",
            "A spread above 20 % tells of other memory traffic: run again.",
            *notes, f"Instruction set in force: {instruction_set()}.", *missing]


def compare_anew(make, limit, quick, places=PLACES):
    """Compare what ``make()`` makes, several times over: in cache, where memory lies can decide on a factor of 2."""
    found = [compare(make(), limit, quick) for _ in range(places)]
    seconds = {name: np.concatenate([one.seconds[name] for one in found]) for name in found[0].seconds}
    return Comparison(limit, seconds, sum(one.repeated for one in found))


def line(row, what, result, target, judged=OURS):
    """One row of a table: what was measured, of whom, and how the others did."""
    measured = result.ratio(judged)
    others = [result.ratio(name) for name in CONTENDERS]
    return [row, *what, target, measured, result.spread(judged), measured <= target, *others, result.time(judged),
            result.time(result.limit)]


def columns_of(*before):
    """The columns of `line`."""
    return {"row": text, **dict.fromkeys(before, text), "target": ratio, "measured": ratio, "spread": share,
            "reached": verdict, **dict.fromkeys(CONTENDERS, ratio), "time": duration, "of the limit": duration}


def fields(quick):
    """G1, G3, G4 and, as float32, G5."""
    for dtype in (np.float64, np.float32):
        rows = []
        for row, shape, target, of_two in FIELDS:
            f = field(shape, dtype)
            name, places = "G5" if dtype is np.float32 else row, PLACES if f.size <= 2**20 else 1
            for axis in range(len(shape)):
                for h in STEPS:
                    check(f, h, axis)
                    result = compare_anew(partial(contenders_of, f, h, axis, of_two), COPY, quick, places)
                    what = ["x".join(map(str, shape)), str(axis), str(h)]
                    rows.append(line(name, what, result, target))
                    if of_two:
                        rows.append(line(name, [*what[:-1], f"{h}, two threads"], result, of_two, TWO))
        title = f"G1, G3, G4: {np.dtype(dtype).name}, with out=" if dtype is np.float64 else "G5: float32, with out="
        yield Table(title, columns_of("shape", "axis", "step"), rows, notes_of())


def fresh(quick):
    """G2."""
    rows = []
    f = field((4000, 4000), np.float64)
    for axis in (0, 1):
        for h in STEPS:
            calls = {COPY_NEW: lambda: np.copy(f), NUMPY: partial(np.gradient, f, h, axis=axis),
                     OURS: partial(sd.grid.gradient, f, h, axis=axis, threads=1)}
            rows.append(line("G2", ["4000x4000", str(axis), str(h)], compare(calls, COPY_NEW, quick), FRESH))
    yield Table("G2: a new array, float64", columns_of("shape", "axis", "step"), rows, notes_of())


def small(quick):
    """G6."""
    rows = []
    for dtype in (np.float64, np.float32):
        f = field((1000,), dtype)
        out = np.empty_like(f)
        for h in STEPS:
            check(f, h, 0)

            def make(f=f, out=out, h=h):
                alone = {KERNEL_ALONE: lambda: stencil.gradient_at_once(f, (h,), None, 1, out)}
                return contenders_of(f, h, 0) | alone

            result = compare_anew(make, COPY, quick)
            what = [np.dtype(dtype).name, str(h)]
            rows.append(line("G6", [*what, "whole call"], result, CALL))
            rows.append(line("G6", [*what, KERNEL_ALONE], result, KERNEL, KERNEL_ALONE))
    yield Table("G6: 1000 elements, with out=", columns_of("type", "step", "what"), rows, notes_of())


def uneven(quick):
    """G8."""
    rows = []
    for dtype in (np.float64, np.float32):
        f = field((4096, 4096), dtype)
        x = np.cumsum(np.random.default_rng(0).uniform(0.5, 2.0, 4096)).astype(dtype)
        for axis in (0, 1):
            check(f, x, axis)
            result = compare(contenders_of(f, x, axis), COPY, quick)
            rows.append(line("G8", [np.dtype(dtype).name, "4096x4096", str(axis)], result, UNEVEN))
    yield Table("G8: coordinates that are not evenly spaced, with out=", columns_of("type", "shape", "axis"), rows,
                notes_of("Coordinates are of the type of the field."))


def tables(quick):
    """All of them."""
    yield from fields(quick)
    yield from fresh(quick)
    yield from small(quick)
    yield from uneven(quick)


if __name__ == "__main__":
    command_line(tables)
