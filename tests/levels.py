"""Differences for ladders to climb by, with everything in them that can happen.

Here so that the test of the ladder and ci/compare.py show both sides the same. Used by test_ladder.py.
"""

import numpy as np

from steepest.reference.ladder import RATIO

EPS = 2.0**-52


def levels(seed, count, rows, results, real):
    """Arguments of `climb` for so many levels: steps both ways, zeros, NaN, noise, smooth differences."""
    rng = np.random.default_rng(seed)
    h, exact = np.full(rows, 0.5, real), rng.normal(size=(rows, results))
    for number in range(count):
        chosen = np.flatnonzero(rng.random(rows) < 0.9)
        shape = (chosen.size, results)
        steps = h[chosen][:, None]
        D = exact[chosen] * (1 + rng.integers(0, 3, shape) * steps**2)
        D = D + rng.choice([0, 0, 1e-14, 1e-3], shape) / steps
        D = np.where(rng.random(shape) < 0.05, rng.choice([np.nan, np.inf, 0.0], shape), D)
        D[:, : int(rng.integers(0, 2))] = 0
        largest = rng.choice([0.0, 1.0, 1e6], shape)
        both = rng.choice([2.0, 2.0 + 1e-9], shape) + rng.choice([0, 1, 2.5], shape) * steps
        size = abs(rng.normal(size=chosen.size))
        yield (chosen, D.astype(real), largest.astype(real), both.astype(real), size.astype(real), h[chosen],
               rng.integers(0, 3, chosen.size).astype(np.int8), rng.random(chosen.size) < number / 30,
               EPS, float(rng.choice([0, 1e-6])))
        h = (h * rng.choice([1 / RATIO, RATIO**-3, 16.0], rows)).astype(real)
