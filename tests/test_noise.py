"""The noise level of a function is found from few of its values, or it is said that it is not.

Here because every step for a noisy f rests on it. Tests noise.py, ecnoise.py and probing.py.
"""

import itertools
import math
import random
from fractions import Fraction

import native_library
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steepest as sd
from steepest.ecnoise import BROKEN, CLOSE, FOUND, SMOOTH, WIDE, judge, table_of

X = np.array([0.3, -2.0, 50.0])
SMOOTH_FUNCTIONS = {
    "sine": np.sin,
    "almost constant": lambda t: np.exp(-t / 1e6),
    "steep": lambda t: np.exp(100 * (t - 1)),
    "zero": lambda t: 0.0 * t,
}


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def never(x):
    raise AssertionError("f was called")


@pytest.mark.parametrize("sigma", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("name", SMOOTH_FUNCTIONS)
def test_the_standard_deviation_of_noise_is_found_in_few_evaluations(name, sigma):
    generator = np.random.default_rng(4)
    smooth = SMOOTH_FUNCTIONS[name]
    found = [sd.noise_level(lambda x: smooth(x[0]) + sigma * generator.standard_normal(), [1.0], full_output=True)
             for _ in range(60)]
    levels = np.array([one.level for one in found])
    assert np.mean([one.success for one in found]) >= 0.98
    assert 0.6 <= np.median(levels) / sigma <= 1.6
    assert np.mean((levels > sigma / 4) & (levels < 4 * sigma)) >= 0.95
    assert np.median([one.nfev for one in found]) == (13 if name == "zero" else 7)


@given(st.floats(-12, -2), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_level_is_right_within_a_small_factor_for_any_noise_and_dimension(exponent, n, seed):
    sigma, generator = 10.0**exponent, np.random.default_rng(seed)
    x = generator.uniform(-3, 3, n)
    found = sd.noise_level(lambda x: 2.0 + np.cos(x).sum() / n + sigma * generator.uniform(-1, 1) * math.sqrt(3), x,
                           full_output=True)
    assert found.success
    assert sigma / 10 < found.level < 5 * sigma


@given(st.integers(1, 6), st.floats(-1e3, 1e3), st.floats(1e-6, 1e6))
def test_the_table_does_not_see_what_is_a_polynomial(degree, shift, size):
    """Differences of a higher order than the degree vanish, but for rounding."""
    values = np.array([[size * (k + 0.0) ** degree + shift] for k in range(8)])
    table, _ = table_of(values)
    if degree < 7:
        assert (table[degree:] <= 1e-12 * (abs(values).max() + abs(shift))).all()
    assert table[0] > 0


def test_the_table_gives_white_noise_its_standard_deviation_at_every_order():
    values = np.random.default_rng(0).standard_normal((7, 4000))
    table, _ = table_of(values)
    assert np.sqrt(np.mean(table**2, axis=1)) == pytest.approx(np.ones(6), rel=0.05)


def test_the_table_is_that_of_exact_arithmetic():
    values = [Fraction(k * k * k % 11, 7) for k in range(7)]
    table, signs = table_of(np.array(values, float)[:, None])
    differences = values
    for k in range(1, 7):
        differences = [b - a for a, b in itertools.pairwise(differences)]
        gamma = Fraction(math.factorial(k) ** 2, math.factorial(2 * k))
        mean = sum(d * d for d in differences) / len(differences)
        assert table[k - 1, 0] == pytest.approx(math.sqrt(gamma * mean), rel=1e-12)
        assert signs[k - 1, 0] == (min(differences) < 0 < max(differences))


def test_verdicts_on_tables():
    k = np.arange(7.0)
    generator = np.random.default_rng(3)
    columns = {
        FOUND: 5 + 1e-8 * generator.standard_normal(7),
        CLOSE: np.where(k < 5, 5.0, 5.1),
        WIDE: k,
        SMOOTH: 5 + 1e-3 * np.exp(0.1 * k),
        BROKEN: np.where(k == 3, np.inf, 1.0),
    }
    _, verdict, _ = judge(np.stack(list(columns.values()), axis=1))
    assert verdict.tolist() == list(columns)


def test_rounding_is_noise_of_its_own_size():
    for f in (lambda x: x @ x, lambda x: np.sin(x).sum(), lambda x: np.exp(x / 50).prod()):
        assert 0 < sd.noise_level(f, X) <= 100 * np.finfo(float).eps * abs(f(X))
    level = sd.noise_level(lambda x: np.float32(np.sin(x).sum()), X)
    assert 1e-9 < level < 1e-6


def test_values_that_are_cut_off_have_the_noise_of_the_cut():
    found = sd.noise_level(lambda x: round(float(np.sin(x).sum()), 3), [0.3, 1.0], full_output=True)
    assert found.success
    assert 1e-4 < found.level < 2e-3
    assert found.nfev <= 25


def test_what_is_constant_or_zero_has_no_noise():
    for value in (0.0, 3.0, -1e300):
        found = sd.noise_level(lambda x, value=value: value, X, full_output=True)
        assert (found.level, found.success, found.message) == (0.0, True, "no noise was seen")
    assert sd.noise_level(lambda x: 1.0, X) == 0.0


def test_every_result_of_a_vector_function_has_its_own_level():
    generator = np.random.default_rng(5)
    sigma = np.array([1e-3, 1e-8, 1e-5])
    found = sd.noise_level(lambda x: np.array([x @ x, 1 + x[0], 7.0]) + sigma * generator.standard_normal(3), X,
                           full_output=True)
    assert found.level.shape == found.status.shape == (3,)
    assert found.table.shape == (6, 3)
    assert (abs(np.log10(found.level / sigma)) < 0.7).all()
    assert sd.noise_level(lambda x: np.array([x[0]]), X).shape == (1,)


def test_the_direction_is_the_same_in_every_call_and_another_with_another_seed():
    seen = []

    def f(x):
        seen.append(x)
        return x @ x

    first = sd.noise_level(f, X)
    points = np.array(seen)
    seen.clear()
    assert sd.noise_level(f, X) == first
    assert np.array_equal(points, seen)
    seen.clear()
    sd.noise_level(f, X, seed=1)
    assert not np.array_equal(points[:7], seen[:7])


def test_the_random_numbers_of_others_stay_as_they_are():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    sd.noise_level(lambda x: x @ x, X)
    assert random.random() == expected


def test_the_points_are_equally_spaced_on_a_line_through_x():
    seen = []
    sd.noise_level(lambda x: seen.append(x) or np.sin(x).sum(), X, spacing=1e-4)
    points = np.array(seen[:7]) - X
    along = points @ points[1] / (points[1] @ points[1])
    assert np.sort(along - along.min()) == pytest.approx(np.arange(7) * np.diff(np.sort(along)).mean(), abs=1e-9)
    assert abs(points).max(axis=0) == pytest.approx(3e-4 * np.maximum(abs(X), 1), rel=0.6)


def test_bounds_are_respected_and_fixed_variables_do_not_move():
    generator = np.random.default_rng(6)
    one_fixed = (np.minimum(X, [9, -2, 9]), X + np.array([1, 0, 1]))
    for lower, upper in ((X, X + 1), (X - 1, X), (X - 1e-9, X + 1e-9), one_fixed):
        seen = []

        def f(x, seen=seen):
            seen.append(x)
            return x.sum() + 1e-3 * generator.standard_normal()

        found = sd.noise_level(f, X, bounds=(lower, upper), full_output=True)
        assert ((np.array(seen) >= lower) & (np.array(seen) <= upper)).all()
        assert found.success and 1e-4 < found.level < 1e-2
    found = sd.noise_level(f, X, bounds=(X, X), full_output=True)
    assert not found.success and "cannot be moved" in found.message
    with pytest.raises(ValueError, match="x must lie within bounds"):
        sd.noise_level(never, X, bounds=(X + 1, X + 2))


def test_a_function_that_is_not_finite_has_no_level():
    with pytest.warns(sd.DifferenceWarning, match="not finite"):
        assert math.isnan(sd.noise_level(lambda x: math.nan, X))
    found = sd.noise_level(lambda x: math.nan, X, full_output=True)
    assert (found.status, found.success) == (sd.Status.NONFINITE, False)
    generator = np.random.default_rng(1)

    def f(x):   # a wall near x, within which the noise can still be seen
        return 1 + 1e-6 * generator.standard_normal() if abs(x[0] - 1) < 3e-9 else math.inf

    found = sd.noise_level(f, [1.0], full_output=True)
    assert found.success and 1e-7 < found.level < 1e-5


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"spacing": 0.0}, ValueError, "spacing must be above 0"),
    ({"spacing": math.nan}, ValueError, "spacing"),
    ({"spacing": "1"}, TypeError, "spacing must be a number"),
    ({"seed": -1}, ValueError, "seed must be an integer from 0"),
    ({"seed": 1.5}, TypeError, "seed must be an integer"),
    ({"x_scale": "auto"}, ValueError, "x_scale must be a positive number or an array"),
    ({"x_scale": -1.0}, ValueError, "x_scale must be positive"),
    ({"x_scale": [1.0, 2.0]}, ValueError, "x_scale must be a number or have the shape of x"),
    ({"bounds": (2, 1)}, ValueError, "bounds must have lb <= ub"),
    ({"workers": 0}, ValueError, "workers must be at least 1"),
])
def test_bad_arguments_are_named_before_f_is_called(options, error, words):
    with pytest.raises(error, match=words):
        sd.noise_level(never, X, **options)


@pytest.mark.parametrize("k", range(1, 8))
def test_an_exception_of_f_comes_back_as_the_same_object(k):
    planned, calls = RuntimeError("planned"), []

    def f(x):
        calls.append(1)
        if len(calls) == k:
            raise planned
        return float(np.sin(x).sum())

    with pytest.raises(RuntimeError) as caught:
        sd.noise_level(f, X)
    assert caught.value is planned
    assert f"in evaluation {k} of f" in planned.__notes__[0]


def test_batches_workers_and_compiled_functions_give_the_same_level(native):
    x = np.array([0.4, -1.3, 2.0])

    def f(x):
        return native_library.rosenbrock(x)

    level = sd.noise_level(f, x)
    assert level > 0
    assert sd.noise_level(native.ctypes("rosenbrock"), x) == level
    assert sd.noise_level(f, x, workers=map) == level
    assert sd.noise_level(lambda points: np.array([f(x) for x in points]), x, vectorized=True) == level


@pytest.mark.parametrize("kind", ["f", "d", "g", "F", "D"])
def test_every_type_of_x_has_a_level_of_its_precision(kind):
    x = np.array([0.3, 1.5], kind)
    level = sd.noise_level(lambda x: (x**3).sum(), x)
    assert level.dtype == np.dtype(kind.lower())
    assert 0 <= level <= 20 * np.finfo(kind).eps


def test_full_output_can_be_read():
    text = repr(sd.noise_level(lambda x: float(np.sin(x).sum()), X, full_output=True))
    for word in ("level", "status", "nfev", "spacing", "success", "message"):
        assert word in text
