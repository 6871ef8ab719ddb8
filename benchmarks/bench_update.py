"""One step of the update rules beside their limits and peers: rows U1 to U4.

Here because a step on a large vector should cost what its memory traffic costs, and on a small one a call.
Used by ci/benchmark. What the contenders do stands in update_peers.py; trajectories are compared in compare_torch.py.

Three limits. Of long vectors: ``np.copyto``, counted at three words an element (read, fetched to be overwritten,
written); a step that updates x and k more vectors moves 3 + 2 k words, and its share is what it moves a second to what
the copy moves a second. Of small ones: one call of a numba loop ``a += s * b`` over as many elements as move the same
bytes; SGD is that with momentum. Of many arrays: one array of as many elements. One thread everywhere.
"""

from functools import partial

import numpy as np
from interleave import Comparison, Table, command_line, compare, count, duration, ratio, share, text, verdict
from update_peers import (
    CONTENDERS,
    FUSED,
    MISSING,
    OURS,
    RATE,
    REFERENCE,
    RULES,
    aligned,
    compiled,
    contenders_of,
    numba_add,
)

import steepest as sd
from steepest.kernels.isa import instruction_set

COPY, CALL, ONE = "np.copyto", "numba a += s b", "one array"
DTYPES = (np.float64, np.float32)
LONG = 2**25                # elements of U1
PLACES = 5                  # how often what fits in cache is made anew
# U1: the share of the copy's bandwidth; U3 and U3b: times the numba call.
SHARES = {"Adam": 0.95, "momentum": 0.95, "Lion": 0.88, "Adagrad": 0.88}
CALLS = [("U3", "momentum", 10, 1.6), ("U3", "Adam", 10, 3.3), ("U3b", "Adam", 1000, 3.5),
         ("U3b", "Adam", 100_000, 1.25 if instruction_set() == "avx512" else 2.0), ("U3b", "Adam", 10_000_000, 1.0)]
TIMES_FASTER = 1.3          # U2: than torch fused
MANY = 1.5                  # U4: times one array

# Every rule that sd.optim has: class, options, and how many vectors it keeps beside x.
EVERY = [
    ("SGD", {}, 0), ("SGD", {"momentum": 0.9}, 1), ("SGD", {"momentum": 0.9, "nesterov": True}, 1), ("ASGD", {}, 1),
    ("Adagrad", {}, 1), ("Adadelta", {}, 2), ("RMSprop", {}, 1), ("RMSprop", {"centered": True}, 2),
    ("RMSprop", {"momentum": 0.9}, 2), ("RMSprop", {"centered": True, "momentum": 0.9}, 3), ("Adam", {}, 2),
    ("Adam", {"amsgrad": True}, 3), ("AdamW", {}, 2), ("NAdam", {}, 2), ("RAdam", {}, 2), ("Adamax", {}, 2),
    ("AdaBelief", {}, 2), ("Lion", {}, 1), ("Rprop", {}, 2),
]
SHORT, MIDDLE = 10_000, 10_000_000      # of these: in the second cache, and beyond the last


def notes_of(*notes):
    """What stands under every table."""
    also = {"torch": " (and with it U2)", "numba": " (and with it U3)"}
    left_out = ", ".join(name + also.get(name, "") for name in MISSING)
    missing = [f"Not installed, left out: {left_out}."] if MISSING else []
    return [*notes, f"Instruction set in force: {instruction_set()}. One thread.", *missing]


def memory():
    """Bytes that are free, as far as the system tells."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except OSError:
        return 2**32


def affordable(n, vectors):
    """As many of n elements, halved until that many float64 vectors fit in half of what is free."""
    while n * 8 * vectors > memory() // 2:
        n //= 2
    return n


def copy_of(n, dtype):
    """The limit of long vectors."""
    source, target = aligned(n, dtype, 3), aligned(n, dtype, None)
    return lambda: np.copyto(target, source)


def compare_anew(make, limit, quick, places=PLACES):
    """Compare what ``make()`` makes, several times over: in cache, where memory lies can decide on a factor of 2."""
    found = [compare(make(), limit, quick) for _ in range(places)]
    seconds = {name: np.concatenate([one.seconds[name] for one in found]) for name in found[0].seconds}
    return Comparison(limit, seconds, sum(one.repeated for one in found))


def table_of(title, rows, columns, after, *notes):
    """A table with a column for each contender that ran. A row: cells before, contender to its value, cells after."""
    names = [name for name in CONTENDERS if any(name in values for _, values, _ in rows)]
    cells = [[*before, *map(values.get, names), *behind] for before, values, behind in rows]
    return Table(title, {**columns, **dict.fromkeys(names, ratio), **after}, cells, notes_of(*notes))


def long_vectors(quick):
    """U1."""
    n = affordable(LONG, 30)    # seven contenders with two states each, optax's own x and g, temporaries
    rows = []
    for dtype in DTYPES:
        for rule, target in SHARES.items():
            words, itemsize = RULES[rule].words, np.dtype(dtype).itemsize
            result = compare({COPY: copy_of(n, dtype), **contenders_of(rule, dtype, [n])}, COPY, quick)
            shares = {name: words / 3 / result.ratio(name) for name in result.seconds}
            before = ["U1", rule, np.dtype(dtype).name, words, words * itemsize, target, shares[OURS],
                      result.spread(OURS), shares[OURS] >= target]
            rows.append((before, shares, [3 * itemsize * n / result.time(COPY) / 1e9, result.time(OURS)]))
    columns = {
        "row": text, "rule": text, "type": text, "words": count, "bytes": count, "target": ratio, "measured": ratio,
        "spread": share, "reached": verdict,
    }
    notes = [
        "Shares of the copy's bandwidth: medians over interleaved rounds. Words and bytes are moved per element.",
        "A spread above 20 % tells of other memory traffic, which takes no processor time from us: run again.",
    ]
    if n < LONG:
        notes.append(f"Fewer elements than the {LONG} of the target: memory is short.")
    yield table_of(f"U1: long vectors, n = {n}", rows, columns,
                   {"copy, GB/s": ratio, "time": duration}, *notes)


def in_cache(quick):
    """U2."""
    n, rows = 1_000_000, []
    for dtype in DTYPES:
        result = compare_anew(partial(contenders_of, "Adam", dtype, [n]), FUSED, quick)
        faster = {name: 1 / result.ratio(name) for name in result.seconds}
        before = ["U2", "Adam", np.dtype(dtype).name, TIMES_FASTER, faster[OURS], result.spread(OURS),
                  faster[OURS] >= TIMES_FASTER]
        rows.append((before, faster, [result.time(OURS), result.time(FUSED)]))
    columns = {"row": text, "rule": text, "type": text, "target": ratio, "measured": ratio, "spread": share,
               "reached": verdict}
    yield table_of(f"U2: in cache, n = {n}", rows, columns, {"time": duration, f"of {FUSED}": duration},
                   "How many times faster than torch's fused step: medians over interleaved rounds.")


def beside_a_call(rule, dtype, n):
    """The contenders, and the limit of small steps."""
    a, b = (aligned(n * RULES[rule].words // 3, dtype, seed) for seed in (None, 3))
    add = compiled(numba_add)
    return {CALL: lambda: add(a, b, 1e-9), **contenders_of(rule, dtype, [n])}


def against_a_call(quick):
    """U3 and U3b."""
    rows = []
    for dtype in DTYPES:
        for row, rule, n, target in CALLS:
            words, itemsize = RULES[rule].words, np.dtype(dtype).itemsize
            places = PLACES if n <= 10**6 else 1
            result = compare_anew(partial(beside_a_call, rule, dtype, n), CALL, quick, places)
            times = {name: result.ratio(name) for name in result.seconds}
            before = [row, rule, np.dtype(dtype).name, str(n), words * itemsize, target, times[OURS],
                      result.spread(OURS), times[OURS] <= target]
            rows.append((before, times, [result.time(OURS), result.time(CALL)]))
    columns = {
        "row": text, "rule": text, "type": text, "n": text, "bytes": count, "target": ratio, "measured": ratio,
        "spread": share, "reached": verdict,
    }
    yield table_of("U3, U3b: one step against one numba call that moves the same bytes", rows,
                   columns, {"time": duration, "of the call": duration},
                   "Ratios to the call: medians over interleaved rounds. Bytes are moved per element.")


def many_and_one(dtype):
    """Adam on many arrays by name, and on one."""
    one = {f"{name}, one": call for name, call in contenders_of("Adam", dtype, [100_000]).items()}
    return contenders_of("Adam", dtype, [1000] * 100) | one


def many_arrays(quick):
    """U4: and what many arrays cost everybody else, against our one array and against their own."""
    rows = []
    for dtype in DTYPES:
        result = compare_anew(partial(many_and_one, dtype), f"{OURS}, one", quick)
        for name in [name for name in CONTENDERS if name in result.seconds]:
            measured, judged = result.ratio(name), name == OURS
            rows.append([
                "U4" if judged else "", name, np.dtype(dtype).name, MANY if judged else None, measured,
                result.spread(name), measured <= MANY if judged else None,
                float(np.median(result.seconds[name] / result.seconds[f"{name}, one"])),
                result.time(name), result.time(f"{name}, one"),
            ])
    columns = {
        "row": text, "of": text, "type": text, "target": ratio, "measured": ratio, "spread": share,
        "reached": verdict, "to its own": ratio, "100 arrays": duration, ONE: duration,
    }
    yield Table("U4: Adam on 100 arrays of 1000, against ours on one of 100 000", columns, rows,
                notes_of("Ratios of times: medians over interleaved rounds."))


def ours_and_reference(name, options, dtype, n):
    """The step of one of EVERY and its twin, and the copy of as many elements."""
    x, gradient = aligned(n, dtype, 1), aligned(n, dtype, 2)
    made = getattr(sd.optim, name)
    kernel = made(x, lr=RATE, **options)
    with sd.backend("reference"):
        twin = made(x, lr=RATE, **options)
    return {COPY: copy_of(n, dtype), OURS: lambda: kernel.step(gradient), REFERENCE: lambda: twin.step(gradient)}


def every_rule(quick):
    """What each rule moves, and how fast, in cache and beyond."""
    long, rows = affordable(LONG // 4 if quick else MIDDLE, 8), []
    for name, options, kept in EVERY:
        for dtype in DTYPES:
            words, itemsize = 3 + 2 * kept, np.dtype(dtype).itemsize
            short = compare_anew(partial(ours_and_reference, name, options, dtype, SHORT), COPY, True)
            result = compare(ours_and_reference(name, options, dtype, long), COPY, True)
            rows.append([
                name, ", ".join(f"{key}={value}" for key, value in options.items()), np.dtype(dtype).name,
                words, words * itemsize, short.time(OURS) / SHORT, short.ratio(REFERENCE) / short.ratio(OURS),
                words / 3 / result.ratio(OURS), result.ratio(REFERENCE) / result.ratio(OURS),
            ])
    columns = {
        "rule": text, "options": text, "type": text, "words": count, "bytes": count,
        f"an element, n = {SHORT}": duration, "reference": ratio, f"share of copy, n = {long}": ratio,
        "reference ": ratio,
    }
    yield Table("Every rule: what it moves per element, and how fast", columns, rows,
                notes_of("Reference: how many times as long its step takes."))


def tables(quick):
    """All of them, but for what is measured against a peer that is not there."""
    yield from long_vectors(quick)
    if "torch" not in MISSING:
        yield from in_cache(quick)
    if "numba" not in MISSING:
        yield from against_a_call(quick)
    yield from many_arrays(quick)
    yield from every_rule(quick)


if __name__ == "__main__":
    command_line(tables)
