"""One training step of small networks beside peers, and beside the products that it cannot do without: N1 to N4, N7.

Here because of a step on a small network all but a few microseconds is overhead in every peer.
Used by ci/benchmark. What the contenders do stands in network_peers.py. A call is an epoch of some batches; times and
ratios are those of one step: gather, forward, backward, update by plain SGD. One thread everywhere.

The limits: the best of our own products and of BLAS (`np.matmul`) on matrices that suit them, as the peak of additions
and multiplications a second; and for N7 the five products of a step alone, each by the faster of the two.
"""

import time

import numpy as np
from interleave import Table, command_line, compare, duration, ratio, share, text, verdict
from network_peers import (
    CONTENDERS,
    MISSING,
    NUMPY,
    OURS,
    SKLEARN,
    TORCH,
    Case,
    check,
    contenders_of,
    threadpoolctl,
)

from steepest.kernels.isa import instruction_set
from steepest.kernels.layers import multiply

CASES = [
    Case("N1", (2, 16, 16, 2), "tanh", 32, "f", 32), Case("N2", (64, 100, 10), "relu", 32, "d", 32),
    Case("N3", (64, 100, 10), "relu", 200, "f", 8), Case("N4", (784, 128, 10), "relu", 128, "f", 8),
]
SHORT = [Case("N7", (64, 32, 10), "relu", 32, "d", 32), Case("N7", (64, 32, 10), "relu", 200, "d", 8)]
# How many times the time of a peer ours may take, at most.
LIMITS = {"N1": {TORCH: 1 / 20, SKLEARN: 1 / 20}, "N2": {TORCH: 1 / 4}, "N3": {TORCH: 1 / 2, NUMPY: 1 / 1.3},
          "N4": {NUMPY: 1.0}}
PRODUCTS, OVER_PRODUCTS = "five products", 1.4


def best(call, count, rounds=9):
    """Least seconds of one of `count` things that a call does."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) / count)
    return min(times)


def timed_product(a, b):
    """Seconds of a product, by our kernel and by BLAS."""
    repeats = max(3, int(2e8 / (2 * a.shape[0] * a.size // a.shape[0] * b.shape[1] + 1)) // 10)
    start, out = np.zeros((a.shape[0], b.shape[1]), a.dtype), np.empty((a.shape[0], b.shape[1]), a.dtype)
    start_b = b / 1e3       # sums stay small

    def by_blas():
        for _ in range(repeats):
            np.matmul(a, b, out=out)

    return best(lambda: multiply(start, a, start_b, repeats), repeats), best(by_blas, repeats)


def peaks():
    """Additions and multiplications a second: of our products and of BLAS, by type."""
    found = {}
    for dtype in "fd":
        source = np.random.default_rng(0)
        sizes = ((192, 128, 192), (1024, 1024, 1024))
        rates = []
        for n, k, m in sizes:
            a, b = source.normal(size=(n, k)).astype(dtype), source.normal(size=(k, m)).astype(dtype)
            rates.append([2 * n * k * m / seconds for seconds in timed_product(a, b)])
        found[dtype] = np.max(rates, axis=0)
    return found


def five_products(case):
    """A call that makes the products of so many steps, each by the faster of our kernel and BLAS."""
    source = np.random.default_rng(0)
    n0, n1, n2 = case.sizes
    x, v, d, e = (source.normal(size=(case.batch, n)).astype(case.dtype) for n in (n0, n1, n2, n1))
    w1, w2 = (source.normal(size=shape).astype(case.dtype) for shape in ((n0, n1), (n1, n2)))
    products = []
    for a, b in ((x, w1), (v, w2), (v.T, d), (d, np.ascontiguousarray(w2.T)), (x.T, e)):
        by_us, by_blas = timed_product(a, b)
        products.append((by_us <= by_blas, np.zeros((a.shape[0], b.shape[1]), case.dtype), a, b))

    def call():
        for by_us, out, a, b in products:
            if by_us:
                multiply(out, a, b, case.batches)
            else:
                for _ in range(case.batches):
                    np.matmul(a, b, out=out)

    return call


def blas():
    """Which BLAS was found, and which of its kernels."""
    if not threadpoolctl:
        return "BLAS: threadpoolctl is not installed"
    found = [f"{one['internal_api']} {one['version']}, kernel {one.get('architecture', 'unknown')}"
             for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"]
    return "BLAS: " + "; ".join(sorted(set(found)))


def steps(quick, peak):
    """Every case beside the peers."""
    rows = []
    for case in CASES:
        check(case)
        timed = compare(contenders_of(case), OURS, quick)
        seconds = {name: timed.time(name) / case.batches for name in timed.seconds}
        limits = {name: limit for name, limit in LIMITS[case.name].items() if name in seconds}
        reached = all(1 / timed.ratio(name) <= limit for name, limit in limits.items())
        speed = case.operations() / seconds[OURS]
        rows.append([case.name, str(case), *(seconds.get(name) for name in CONTENDERS),
                     *(timed.ratio(name) for name in CONTENDERS[1:]), speed / 1e9, speed / peak[case.dtype].max(),
                     reached])
    columns = {"": text, "network, batch, type": text, **dict.fromkeys(CONTENDERS, duration),
               **{f"{name} / ours": ratio for name in CONTENDERS[1:]}, "GFLOP/s": ratio, "of the peak": share,
               "target": verdict}
    notes = ["Targets: " + "; ".join(
        f"{name} " + ", ".join(f"ours <= {limit:.3g} {peer}" for peer, limit in limits.items())
        for name, limits in LIMITS.items()) + "."]
    return Table("One training step", columns, rows, notes)


def over_products(quick):
    """N7: a whole step to its five products."""
    rows = []
    for case in SHORT:
        check(case)
        timed = compare({PRODUCTS: five_products(case)} | contenders_of(case), PRODUCTS, quick)
        rows.append([case.name, str(case), timed.time(PRODUCTS) / case.batches,
                     *(timed.ratio(name) for name in CONTENDERS), timed.ratio(OURS) <= OVER_PRODUCTS])
    columns = {"": text, "network, batch, type": text, PRODUCTS: duration,
               **{f"{name} / products": ratio for name in CONTENDERS}, "target": verdict}
    return Table("A whole step, to its five products alone", columns, rows,
                 [f"Target: at most {OVER_PRODUCTS}. Each product by the faster of our kernel and np.matmul(out=)."])


def make_tables(quick):
    """N1 to N4, N7."""
    peak = peaks()
    table = steps(quick, peak)
    table.notes += [blas() + ".", *(
        f"Peak of products, {np.dtype(dtype).name}: ours {ours / 1e9:.0f}, BLAS {theirs / 1e9:.0f} GFLOP/s."
        for dtype, (ours, theirs) in peak.items())]
    table.notes.append(f"Instruction set in force: {instruction_set()}. One thread."
                       + (f" Not installed, left out: {', '.join(MISSING)}." if MISSING else ""))
    yield table
    yield over_products(quick)


if __name__ == "__main__":
    command_line(make_tables)
