"""Weights of derivatives, and weighted sums along an axis, in plain NumPy: the twin of kernels/weighted.pyx.

Here to be read and to be compared with: the kernel gives the same bits. Weights come from Fornberg's recursion, carried
in pairs of numbers, so that they are the exact ones, rounded. Tested in tests/test_weighted.py and
tests/test_grid_weights.py.
"""

import numpy as np

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


def fornberg(nodes, at, n, out):
    """Write to `out` the weights of the n-th derivative at ``at[i]`` over the nodes ``nodes[:, i]``, for every i.

    `nodes` and `out` are (width, rows), `at` is (rows,), all C-contiguous and of one type, float64 or longdouble.
    The recursion of B. Fornberg, Math. Comp. 51 (1988) 699, over distances that are scaled to at most 1.
    """
    if n < 0 or nodes.ndim != 2 or at.shape != nodes.shape[1:] or out.shape != nodes.shape:
        raise ValueError("nodes and out must be (width, rows), at (rows,), and n not negative")
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
