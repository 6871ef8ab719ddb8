"""Long arrays are stepped by several threads, with the bits of one.

Here because sd.optim shares its blocks by itself, whatever the number of cores. It tests optimizer._sharing, the blocks
of kernels/update.pyx and threads.py together.
"""

import numpy as np
import pytest

import steepest as sd
from steepest import threads


@pytest.mark.parametrize("rule", ["SGD", "Adam", "Lion", "RMSprop"])
@pytest.mark.parametrize("clip", [None, ("global_norm", 1.0)])
def test_any_number_of_threads_makes_the_same_steps(monkeypatch, rule, clip):
    monkeypatch.setattr(threads, "PAYS", 0)
    made, before = [], sd.set_num_threads(1)
    try:
        for count in (1, 2, 5):
            sd.set_num_threads(count)
            monkeypatch.setattr("steepest.optimizer.cores", lambda count=count: count)
            source = np.random.default_rng(7)
            x = source.normal(size=700_000)
            opt = getattr(sd.optim, rule)(x, lr=0.01, clip=clip)
            for _ in range(3):
                opt.step(source.normal(size=x.size))
            made.append(x.tobytes())
    finally:
        sd.set_num_threads(before)
    assert len(set(made)) == 1
