"""Sums of whole vectors, in a fixed order: the twin of kernels/vectors.pxi.

Here so that the bits of a walk depend on nothing but its numbers. Tested in tests/test_descent.py.
"""

import numpy as np

PARTS = 16          # of a sum


def dot(a, b):
    """Sum of products, in sixteen parts that are added up in a fixed order."""
    products = np.zeros((a.size + PARTS - 1) // PARTS * PARTS + PARTS)
    products[PARTS : PARTS + a.size] = a * b
    sums = np.add.accumulate(products.reshape(-1, PARTS))[-1]
    while sums.size > 1:
        sums = sums[: sums.size // 2] + sums[sums.size // 2 :]
    return float(sums[0])


def largest(a):
    """The largest size of an entry; NaN when one is NaN."""
    return float(np.abs(a).max(initial=0.0))
