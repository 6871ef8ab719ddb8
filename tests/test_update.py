"""The update kernels equal their reference bit for bit and refuse what they cannot step.

Here because every descent walks on them. Tests kernels/update.pyx and reference/update.py.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from twins import same_bits

from steepest.kernels import update as kernel
from steepest.reference import update as reference


@settings(max_examples=200, deadline=None)
@given(
    data=st.data(),
    char=st.sampled_from("fdg"),
    size=st.integers(0, 40),
    lr=st.floats(-2, 2),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    nesterov=st.booleans(),
)
def test_a_momentum_step_has_the_same_bits_on_both_sides(data, char, size, lr, momentum, nesterov):
    elements = st.floats(-1e6, 1e6, width=32)
    arrays = [data.draw(hnp.arrays(np.float64, size, elements=elements)).astype(char) for _ in range(3)]
    sides = []
    for module in (kernel, reference):
        x, g, v = (array.copy() for array in arrays)
        module.momentum_step(x, g, v, lr, momentum, nesterov)
        sides.append((x, v))
        assert same_bits(g, arrays[1])
    assert same_bits(sides[0][0], sides[1][0])
    assert same_bits(sides[0][1], sides[1][1])


@pytest.mark.parametrize("module", [kernel, reference])
def test_the_textbook_rules(module):
    x, g, v = np.array([1.0, 2.0]), np.array([0.5, -0.5]), np.array([1.0, 1.0])
    module.momentum_step(x, g, v, 0.1, 0.0, False)
    assert x == pytest.approx([0.95, 2.05])
    assert v.tolist() == [1, 1]
    module.momentum_step(x, g, v, 0.1, 0.5, False)
    assert v.tolist() == [1.0, 0.0]
    assert x == pytest.approx([0.85, 2.05])
    module.momentum_step(x, g, v, 0.1, 0.5, True)
    assert v.tolist() == [1.0, -0.5]
    assert x == pytest.approx([0.85 - 0.1 * (0.5 + 0.5), 2.05 - 0.1 * (-0.5 - 0.25)])


def test_the_kernel_refuses_arrays_it_cannot_step():
    good = np.zeros(4)
    frozen = np.zeros(4)
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
            kernel.momentum_step(x, g, v, 0.1, 0.0, False)
    with pytest.raises(TypeError, match="float32, float64 or longdouble"):
        kernel.momentum_step(*(np.zeros(4, complex) for _ in range(3)), 0.1, 0.0, False)
    with pytest.raises(TypeError):
        kernel.momentum_step(None, good, good, 0.1, 0.0, False)
