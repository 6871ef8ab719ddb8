"""The difference kernels equal their reference bit for bit, and both are right.

Here because everything else stands on them. Tests kernels/difference.pyx and reference/difference.py.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from twins import (
    COMPLEXES,
    FLOATS,
    SCHEMES,
    SIDES,
    assert_same,
    factor_of,
    kernel_difference,
    reference_difference,
    run_both,
    same_bits,
)

from steepest.reference.difference import (
    BACKWARD,
    CARE,
    CENTRAL,
    COMPLEX,
    DONE,
    FIXED,
    FORWARD,
    ONE_SIDED,
    RESOLVED,
    UNRESOLVED,
    UNSUITED,
    Differences,
    step_factor,
    weights,
)


def smooth(x):
    """A scalar function in the arithmetic of its x, which no library vectorises differently."""
    total = x.dtype.type(0)
    for k, item in enumerate(x.ravel()):
        total = total + item * item * x.dtype.type(k + 1) + item
    return total


def rows_of(x):
    return np.stack([x[0] * x[-1], x.sum(), x[0]])


@pytest.mark.parametrize("dtype", FLOATS + COMPLEXES, ids=str)
@pytest.mark.parametrize("method, order", SCHEMES)
def test_scalar_functions_have_the_same_bits_on_both_sides(method, order, dtype):
    x = np.array([0.0, -1.5, 3.25, 1e-30, 1e10]).astype(dtype)
    if dtype.kind == "c":
        x += np.array([1j, 0, -2j, 0, 1j]).astype(dtype)
    assert_same(run_both("PythonFunction", smooth, x, method, order))


@pytest.mark.parametrize("dtype", FLOATS + COMPLEXES, ids=str)
@pytest.mark.parametrize("method, order", SCHEMES)
def test_vector_functions_have_the_same_bits_on_both_sides(method, order, dtype):
    x = np.linspace(-2, 3, 5).astype(dtype)
    assert_same(run_both("PythonFunction", rows_of, x, method, order, vector=True))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_complex_step_has_the_same_bits_on_both_sides(dtype):
    x = np.linspace(-2, 3, 5).astype(dtype)
    assert_same(run_both("PythonFunction", smooth, x, COMPLEX, 1))
    assert_same(run_both("PythonFunction", rows_of, x, COMPLEX, 1, vector=True))


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", FLOATS + COMPLEXES, ids=str)
@pytest.mark.parametrize("method, order", SCHEMES)
def test_higher_derivatives_have_the_same_bits_on_both_sides(method, order, dtype, n):
    x = np.array([0.5, -1.5, 3.25]).astype(dtype)
    assert_same(run_both("ScalarFunction", lambda t: t * t * t - t, x, method, order, n=n))


def numbers(dtype, limit):
    return hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False, min_value=-limit, max_value=limit)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_point_step_and_bounds_give_the_same_bits_on_both_sides(data):
    dtype = data.draw(st.sampled_from(FLOATS[:2]))
    method, order = data.draw(st.sampled_from(SCHEMES))
    limit = float(np.finfo(dtype).max)
    x = data.draw(hnp.arrays(dtype, st.integers(0, 5), elements=numbers(dtype, limit)))
    real = np.dtype(np.float64)
    options = {}
    if data.draw(st.booleans()):
        rooms = hnp.arrays(real, x.shape, elements=st.floats(0, 1e3))
        with np.errstate(over="ignore"):
            lower, upper = (x - data.draw(rooms)).astype(dtype), (x + data.draw(rooms)).astype(dtype)
        options.update(lower=lower.astype(real), upper=upper.astype(real))
    if data.draw(st.booleans()):
        parts = [np.array([data.draw(st.floats(0, 1e3))]) for _ in range(2)]
        options["rule"] = (*parts, np.array([data.draw(st.floats(1e-3, 1.0))]))
    with np.errstate(all="ignore"):
        assert_same(run_both("PythonFunction", smooth, x, method, order, **options))


@settings(max_examples=200, deadline=None)
@given(
    x=hnp.arrays(np.float64, st.integers(1, 4), elements=st.floats(-1e6, 1e6)),
    below=hnp.arrays(np.float64, 4, elements=st.floats(0, 1e-3)),
    above=hnp.arrays(np.float64, 4, elements=st.floats(0, 1e-3)),
    scheme=st.sampled_from(SCHEMES),
)
def test_no_point_is_outside_the_bounds_and_every_step_is_real(x, below, above, scheme):
    lower, upper = x - below[: x.size], x + above[: x.size]
    for _, difference in SIDES:
        d = difference.Differences(x.size, x.dtype, *scheme, factor_of(x.dtype, *scheme), lower=lower, upper=upper)
        d.plan(x)
        counts = np.array([2 * d.reach, d.one_sided, 0, 1])[d.kind]
        for i in range(x.size):
            points = d.points[i, : counts[i]]
            assert ((lower[i] <= points) & (points <= upper[i])).all()
            assert (points != x[i]).any() or d.status[i] == FIXED
        assert ((d.status == FIXED) == (lower == upper)).all()


def test_weights_are_the_textbook_ones():
    assert weights(True, 1).tolist() == [1.0]
    assert weights(True, 2).tolist() == [4 / 3, -1 / 3]
    assert weights(True, 3).tolist() == [1.5, -0.6, 0.1]
    assert weights(True, 4).tolist() == [1.6, -0.8, 8 / 35, -1 / 35]
    assert weights(False, 2).tolist() == [2.0, -1.0]
    assert weights(False, 4).tolist() == [4.0, -6.0, 4.0, -1.0]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("method, order", SCHEMES)
def test_a_scheme_is_exact_for_the_polynomials_of_its_order(method, order, n):
    """On integers, with step 1, nothing is rounded: the n-th derivative of t**k at 0 is n! for k = n and 0 below."""
    for callback, difference in SIDES:
        for k in range(n + order):
            function = callback.ScalarFunction(lambda t, k=k: t**k, (), None, (1,), np.dtype(float))
            step = np.ones(1)
            d = difference.Differences(1, np.dtype(float), method, order, 1.0, rule=(step,) * 3, own_base=True, n=n)
            function.begin(np.zeros(1))
            d.plan(np.zeros(1))
            assert d.evaluate(function) == 0
            d.combine()
            assert d.result[0, 0] == pytest.approx(math.factorial(n) if k == n else 0, abs=1e-12)


def test_steps_follow_the_documented_rule():
    x = np.array([0.0, 0.5, -4.0, 1e6])
    for _, difference in SIDES:
        d = difference.Differences(4, x.dtype, CENTRAL, 2, factor_of(x.dtype, CENTRAL, 2))
        d.plan(x)
        assert same_bits(d.step, 0.5 * np.finfo(float).eps ** (1 / 3) * np.maximum(abs(x), 1))
    assert step_factor(2.0**-52, FORWARD, 1) == 2.0**-26


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_points_are_numbers_of_the_type_of_x(dtype):
    """Two roundings to float32 stored side by side are what gcc 12 drops."""
    x = np.array([1.0, 0.1, 3.7], dtype)
    for _, difference in SIDES:
        for order in (2, 4, 6, 8):
            d = difference.Differences(3, dtype, CENTRAL, order, factor_of(dtype, CENTRAL, order))
            d.plan(x)
            assert same_bits(d.points, d.points.astype(dtype).astype(d.points.dtype))


@pytest.mark.parametrize(
    "x, lower, upper, kind, status",
    [
        (1.0, 0.0, 2.0, 0, RESOLVED),
        (1.0, 1.0, 2.0, 1, ONE_SIDED),
        (1.0, 0.0, 1.0, 1, ONE_SIDED),
        (1.0, 1.0, 1.0, 2, FIXED),
        (1.0, 1.0 - 1e-6, 1.0 + 1e-6, 0, RESOLVED),     # tight: the nearer room
        (1.0, 1.0, 1.0 + 1e-6, 1, ONE_SIDED),           # tight, at the bound
        (1.0, 1.0, 1.0 + 1e-15, 1, UNRESOLVED),
    ],
)
def test_bounds_choose_the_kind_of_difference(x, lower, upper, kind, status):
    for _, difference in SIDES:
        d = difference.Differences(1, np.dtype(float), CENTRAL, 2, 3e-6, lower=np.array([lower]),
                                   upper=np.array([upper]))
        d.plan(np.array([x]))
        assert (d.kind[0], d.status[0]) == (kind, status)


def test_forward_turns_back_at_its_bound():
    for _, difference in SIDES:
        for method, sign, x in ((FORWARD, -1, 1.0), (BACKWARD, 1, 0.0), (FORWARD, 1, 0.0), (BACKWARD, -1, 1.0)):
            d = difference.Differences(1, np.dtype(float), method, 1, 1e-8, lower=np.zeros(1), upper=np.ones(1))
            d.plan(np.array([x]))
            assert np.sign(d.step[0]) == sign
            assert d.status[0] == (ONE_SIDED if (method == FORWARD) == (sign < 0) else RESOLVED)


def test_a_lost_step_is_enlarged_until_it_moves_x():
    for _, difference in SIDES:
        tiny = np.full(1, 1e-300)
        d = difference.Differences(1, np.dtype(float), CENTRAL, 2, 1.0, rule=(tiny, np.zeros(1), tiny))
        d.plan(np.array([1e3]))
        assert d.step[0] == np.spacing(1e3)
        assert d.status[0] == UNRESOLVED


def test_a_step_that_would_overflow_goes_the_other_way():
    x = np.array([np.finfo(float).max])
    for _, difference in SIDES:
        d = difference.Differences(1, x.dtype, CENTRAL, 2, 3e-6)
        d.plan(x)
        assert np.isfinite(d.points[0, :2]).all()
        assert d.step[0] < 0


def test_points_that_are_not_finite_are_named():
    for _, difference in SIDES:
        d = difference.Differences(3, np.dtype(float), CENTRAL, 2, 3e-6)
        with pytest.raises(ValueError, match=r"x\[1\] is inf"):
            d.plan(np.array([0.0, np.inf, np.nan]))


def test_gradient_says_what_it_could_not_do():
    x = np.ones(2)
    for callback, difference in SIDES:
        out = np.zeros(2)
        function = callback.PythonFunction(lambda x: x[0] + np.log(x[1]), (), None, (2,), x.dtype)
        d = difference.Differences(2, x.dtype, CENTRAL, 2, 3e-6)
        assert d.gradient(function, [1.0, 1.0], out) == UNSUITED
        assert d.gradient(function, np.ones((1, 2)), out) == UNSUITED
        assert d.gradient(function, x.astype("f"), out) == UNSUITED
        assert d.gradient(function, x, np.zeros(2)[::-1]) == UNSUITED
        assert not out.any()
        assert d.gradient(function, x, out) == DONE
        assert out == pytest.approx([1, 1])
        kept = out.copy()
        with np.errstate(all="ignore"):
            assert d.gradient(function, np.array([1.0, 1e-9]), out) == CARE
        assert same_bits(out, kept)


def test_blocks_give_the_same_as_one_sweep():
    x = np.linspace(1, 2, 7)
    for callback, difference in SIDES:
        results = []
        for block in (7, 3, 1):
            function = callback.PythonFunction(rows_of, (), None, (7,), x.dtype, True)
            function.value_at(x)
            d = difference.Differences(7, x.dtype, CENTRAL, 2, 3e-6, 3, block)
            function.begin(x)
            d.plan(x)
            parts = []
            for first in range(0, 7, block):
                last = min(7, first + block)
                assert d.evaluate(function, first, last) == 0
                d.combine(first, last)
                parts.append(d.result[: last - first])
            results.append(np.concatenate(parts))
        assert same_bits(results[0], results[1])
        assert same_bits(results[0], results[2])


def test_sizes_that_cannot_be_addressed_are_refused_before_anything_is_allocated():
    for rows, size in ((2**62, 1), (2**40, 2**40)):
        with pytest.raises((OverflowError, MemoryError)):
            SIDES[0][1].Differences(rows, np.dtype(float), CENTRAL, 2, 1e-6, size)


def test_the_reference_is_the_one_the_package_exports():
    assert Differences is SIDES[1][1].Differences


def test_the_numbers_of_the_names_are_those_of_the_reference():
    """difference.pxd repeats them, because C cannot read Python's."""
    text = (Path(kernel_difference.__file__).parent / "difference.pxd").read_text()
    names = re.findall(r"^    ([A-Z_]+) = (-?\d+)$", text, re.MULTILINE)
    assert len(names) >= 16
    for name, number in names:
        assert getattr(reference_difference, name) == int(number), name
