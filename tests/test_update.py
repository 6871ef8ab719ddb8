"""The rules of the update kernels equal their reference bit for bit, on every instruction set, and refuse wrong arrays.

Here because every descent walks on them. Tests kernels/update.pyx, kernels/update.pxi and reference/update.py; the
optimizers that are made of them are tested in test_optim.py.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from twins import same_bits

from steepest.kernels import update as kernel
from steepest.kernels.isa import INSTRUCTION_SETS, instruction_set
from steepest.reference import update as reference

SIDES = (kernel, reference)
HARD = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-30, 1e30, 1.0]


def arrays_for(rule, count, dtype, seed=0):
    """x, a gradient and states for a rule: states that a run could have left."""
    source = np.random.default_rng(seed)
    x, g, *states = (source.normal(size=count).astype(dtype) for _ in range(2 + reference.RULES[rule][1]))
    return x, g, [abs(state) for state in states]


@pytest.mark.parametrize("dtype", ["f", "d"])
@pytest.mark.parametrize("rule", reference.RULES)
def test_every_rule_has_the_same_bits_on_both_sides(rule, dtype):
    for count in (0, 1, 7, 8, 9, 33, 1000):
        seen = []
        for module in SIDES:
            x, g, states = arrays_for(rule, count, dtype)
            for numbers in ([0.1, 0.9, 0.99, 0.01, 1.1, 1e-8, 0.3], [1e-3, 0.5, 0.5, 2.0, 0.7, 1e-3, 1e-16]):
                module.step(rule, x, g, states, numbers)
            seen.append([x, g, *states])
        assert all(same_bits(ours, theirs) for ours, theirs in zip(*seen, strict=True))


@given(
    rule=st.sampled_from(list(reference.RULES)),
    data=st.data(),
    dtype=st.sampled_from("fd"),
    count=st.integers(0, 20),
    numbers=st.lists(st.floats(0, 2, width=32), min_size=7, max_size=7),
)
def test_every_rule_has_the_same_bits_for_any_numbers(rule, data, dtype, count, numbers):
    elements = st.floats(-1e6, 1e6, width=32) | st.sampled_from(HARD)
    made = [data.draw(hnp.arrays(np.float64, count, elements=elements)).astype(dtype)
            for _ in range(2 + reference.RULES[rule][1])]
    seen = []
    for module in SIDES:
        x, g, *states = (array.copy() for array in made)
        module.step(rule, x, g, states, numbers)
        seen.append([x, *states])
    assert all(same_bits(ours, theirs) for ours, theirs in zip(*seen, strict=True))


@pytest.mark.parametrize("module", SIDES)
def test_the_textbook_rules(module):
    x, g, v = np.array([1.0, 2.0]), np.array([0.5, -0.5]), np.array([1.0, 1.0])
    module.step("plain", x, g, (), [0.1])
    assert x == pytest.approx([0.95, 2.05])
    module.step("momentum", x, g, (v,), [0.1, 0.5, 1.0])
    assert v.tolist() == [1.0, 0.0]
    assert x == pytest.approx([0.85, 2.05])
    module.step("nesterov", x, g, (v,), [0.1, 0.5, 1.0])
    assert v.tolist() == [1.0, -0.5]
    assert x == pytest.approx([0.85 - 0.1 * (0.5 + 0.5), 2.05 - 0.1 * (-0.5 - 0.25)])


def test_the_kernel_refuses_arrays_it_cannot_step():
    good, frozen = np.zeros(4), np.zeros(4)
    frozen.flags.writeable = False
    for x, g, v in (
        (good, np.zeros(3), good.copy()),
        (good, np.zeros(4, "f"), good.copy()),
        (good, good.copy(), np.zeros(8)[::2]),
        (frozen, good.copy(), good.copy()),
        (good, good.copy(), frozen),
        (np.zeros(4, ">f8"), good.copy(), good.copy()),
    ):
        with pytest.raises(ValueError, match=r"must (have|be)"):
            kernel.step("momentum", x, g, (v,), [0.1, 0.5, 1.0])
    for dtype in (complex, np.longdouble, np.float16, int):
        with pytest.raises(TypeError, match="float32 or float64"):
            kernel.step("plain", np.zeros(4, dtype), np.zeros(4, dtype), (), [0.1])
    with pytest.raises(TypeError):
        kernel.step("plain", None, good, (), [0.1])
    for module in SIDES:
        with pytest.raises(ValueError, match="keeps 1 arrays, not 0"):
            module.step("momentum", good, good.copy(), (), [0.1, 0.5, 1.0])
        with pytest.raises(KeyError):
            module.step("guesswork", good, good.copy(), (), [0.1])


BITS = """
import hashlib, sys
import numpy as np
from steepest.kernels import update
from steepest.reference.update import RULES
digest = hashlib.sha256()
for dtype in "fd":
    for rule, (_, kept) in RULES.items():
        for count in (1, 8, 1003):
            source = np.random.default_rng(count)
            x, g, *states = (source.normal(size=count).astype(dtype) for _ in range(2 + kept))
            states = [abs(state) for state in states]
            update.step(rule, x, g, states, [0.1, 0.9, 0.99, 0.01, 1.1, 1e-8, 0.3])
            for array in (x, *states):
                digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_every_instruction_set_has_the_same_bits():
    widest = INSTRUCTION_SETS.index(instruction_set())
    found = set()
    for name in INSTRUCTION_SETS[: widest + 1]:
        run = subprocess.run([sys.executable, "-c", BITS], capture_output=True, text=True, timeout=120, check=True,
                             env=os.environ | {"STEEPEST_ISA": name})
        found.add(run.stdout)
    assert len(found) == 1


def test_an_unknown_instruction_set_is_refused():
    run = subprocess.run([sys.executable, "-c", "import steepest"], capture_output=True, text=True, timeout=60,
                         env=os.environ | {"STEEPEST_ISA": "avx1024"})
    assert run.returncode != 0
    assert "STEEPEST_ISA must be one of baseline, avx2, avx512, not 'avx1024'" in run.stderr


@pytest.mark.parametrize("clip", [None, "global_norm"])
def test_threads_make_the_steps_of_one(clip):
    """More blocks than are done by one thread, whatever their share."""
    def shuffled(part, first, last, halts):
        for i, k in enumerate(np.random.default_rng(0).permutation(np.arange(first, last))):
            part(i % len(halts), int(k), int(k) + 1)
        return 0

    made = []
    for share in (None, shuffled):
        source = np.random.default_rng(3)
        arrays = [source.normal(size=size) for size in (5, 70_000, 300_000)]
        states = [[np.zeros_like(array) for _ in range(2)] for array in arrays]
        optimizer = kernel.Optimizer("adam", arrays, False, [0] * 3, [[1e-3, 0.01, 0.9, 0.999, 1e-8, 0, 0]], states,
                                     clip=clip, bound=0.1, share=share, threads=3)
        for _ in range(3):
            optimizer.step([source.normal(size=array.shape) for array in arrays])
        made.append(arrays)
    assert all(same_bits(one, other) for one, other in zip(*made, strict=True))


def test_a_step_that_is_interrupted_is_made_all_the_same():
    def interrupted(part, first, last, halts):
        part(0, first, first + 2)
        raise KeyboardInterrupt

    x, expected = np.ones(400_000), np.ones(400_000)
    kernel.step("plain", expected, expected.copy(), (), [0.25])
    optimizer = kernel.Optimizer("sgd", [x], True, [0], [[0.25, 0, 0, 0, 0]], [[]], share=interrupted, threads=2)
    with pytest.raises(KeyboardInterrupt):
        optimizer.step(np.ones(400_000))
    assert same_bits(x, expected)
    assert optimizer.t == 1
