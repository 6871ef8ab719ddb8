"""Derivatives of noisy functions are as good as the noise allows, and say how good that is.

Here because a step made for rounding gives nothing but noise. Tests noisy.py and step_search.py.
"""

import math

import native_library
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der

import steepest as sd
from steepest.reference.difference import BACKWARD, CENTRAL, FORWARD
from steepest.step_search import scheme_of

X = np.linspace(-1.2, 1.5, 5)
# the noise table of the literature: function, derivative, point, noise, relative error (median) to be reached
TABLE = {
    "sin, 1e-6": (np.sin, np.cos, 1.0, 1e-6, 1e-4),
    "exp(100 x), 1e-3": (lambda x: np.exp(100 * x), lambda x: 100 * np.exp(100 * x), 0.01, 1e-3, 5e-3),
    "exp(-x/1e6), 1e-3": (lambda x: np.exp(-x / 1e6), lambda x: -1e-6 * np.exp(-x / 1e6), 1.0, 1e-3, 1e-2),
    "exp(-x/1e6), 1e-9": (lambda x: np.exp(-x / 1e6), lambda x: -1e-6 * np.exp(-x / 1e6), 1.0, 1e-9, 2e-6),
}


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def never(x):
    raise AssertionError("f was called")


class Noisy:
    """A function with uniform or normal noise; the same seed, the same noise. It counts its `calls`."""

    def __init__(self, f, sigma, seed=0, normal=False):
        self.f, self.sigma, self.normal, self.calls = f, sigma, normal, 0
        self.random = np.random.default_rng(seed)

    def __call__(self, x):
        self.calls += 1
        value = self.f(x)
        noise = self.random.standard_normal if self.normal else lambda size: self.random.uniform(-1, 1, size)
        return value + self.sigma * noise(np.shape(value))


@pytest.mark.parametrize("normal", [False, True], ids=["uniform", "normal"])
@pytest.mark.parametrize("given_level", [True, False], ids=["given", "auto"])
@pytest.mark.parametrize("name", TABLE)
def test_the_table_of_noisy_problems(name, given_level, normal):
    """A4: the error is what the noise allows, never much worse, inside ten bars, and never called unresolved."""
    f, slope, x, sigma, target = TABLE[name]
    found = [sd.derivative(Noisy(f, sigma, seed, normal), x, noise=sigma if given_level else "auto", full_output=True)
             for seed in range(30)]
    errors = np.array([abs(one.value - slope(x)) for one in found])
    assert np.median(errors) <= target * abs(slope(x))
    assert errors.max() <= 10 * target * abs(slope(x))
    assert np.mean(errors <= 10 * np.array([one.error for one in found])) >= 0.95
    assert all(one.success for one in found)
    assert np.median([one.nfev for one in found]) <= 50


@pytest.mark.parametrize("options", [
    {"method": "forward"}, {"method": "backward"}, {"method": "forward", "order": 2},
    {"method": "backward", "order": 3}, {"order": 4}, {"order": 6}, {"order": 8},
], ids=str)
@pytest.mark.parametrize("name", TABLE)
def test_every_scheme_finds_its_step(name, options):
    f, slope, x, sigma, _ = TABLE[name]
    exact = slope(x)
    found = [sd.derivative(Noisy(f, sigma, seed), x, noise=sigma, full_output=True, **options) for seed in range(10)]
    errors = np.array([abs(one.value - exact) for one in found])
    assert np.median(errors) <= 0.06 * abs(exact)
    assert (errors <= 10 * np.array([one.error for one in found])).all()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_higher_derivatives_find_their_steps(n):
    exact = [np.sin, np.cos, lambda t: -np.sin(t), lambda t: -np.cos(t), np.sin][n](0.7)
    found = [sd.derivative(Noisy(np.sin, 1e-8, seed), 0.7, n, noise=1e-8, full_output=True) for seed in range(10)]
    errors = np.array([abs(one.value - exact) for one in found])
    assert np.median(errors) <= {2: 1e-3, 3: 1e-2, 4: 5e-2}[n]
    assert (errors <= 10 * np.array([one.error for one in found])).all()


def test_the_schemes_of_the_literature():
    forward, central = scheme_of(FORWARD, 1, 1), scheme_of(CENTRAL, 2, 1)
    assert (forward.ratio, forward.total, forward.norm, forward.target) == (4, 2, 2, 3)     # 8 e / (4 h)
    assert (central.ratio, central.total, central.target) == (3, 1, pytest.approx(3))
    assert central.norm == pytest.approx(8 / 6)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize(("method", "order"), [(CENTRAL, p) for p in (2, 4, 6, 8)]
                         + [(side, p) for side in (FORWARD, BACKWARD) for p in (1, 2, 3, 4)])
def test_every_scheme_has_a_window_above_the_noise_that_a_longer_step_leaves(method, order, n):
    """Noise alone makes the ratio 1 at most; steps apart by the ratio of the scheme cannot both lie in the window."""
    scheme = scheme_of(method, order, n)
    assert scheme.target / 2 > 1
    assert scheme.ratio**scheme.power >= 4


@given(st.floats(-9, -3), st.sampled_from(["forward", "central"]), st.integers(0, 2**32 - 1))
def test_the_error_is_near_the_best_for_any_noise(exponent, method, seed):
    sigma = 10.0**exponent
    found = sd.derivative(Noisy(np.exp, sigma, seed), 0.5, noise=sigma, method=method, full_output=True)
    best = 2 * math.sqrt(sigma * 1.65) if method == "forward" else 1.5 * (3 * sigma**2 * 1.65) ** (1 / 3)
    error = abs(found.value - math.exp(0.5))
    assert error <= 5 * best
    assert error <= 10 * found.error
    assert found.success


@pytest.mark.parametrize("sigma", [1e-3, 1e-6])
def test_a_gradient_costs_one_line_of_noise_for_all_variables(sigma):
    f = Noisy(rosen, sigma)
    given_level, auto = (sd.gradient(f, X, noise=noise, full_output=True) for noise in (sigma, "auto"))
    assert f.calls == given_level.nfev + auto.nfev
    for found in (given_level, auto):
        assert found.success
        assert (abs(found.value - rosen_der(X)) <= 10 * found.error).all()
        assert (abs(found.value - rosen_der(X)) <= 2000 * sigma ** (2 / 3)).all()
    assert "noise level" in auto.message and "noise" not in given_level.message
    value, gradient = sd.value_and_gradient(Noisy(rosen, sigma), X, noise=sigma)
    assert abs(value - rosen(X)) <= sigma
    assert gradient == pytest.approx(rosen_der(X), abs=2000 * sigma ** (2 / 3))


def test_every_result_of_a_vector_function_has_a_step_of_its_own():
    def f(x):
        return np.array([np.sin(x[0]) + x[1], np.exp(100 * (x[0] - 1)), 1e-6 * np.cos(x[1])])

    sigma = np.array([1e-3, 1e-3, 1e-12])
    x = np.array([1.0, 0.5])
    exact = np.array([[np.cos(1.0), 1], [100, 0], [0, -1e-6 * np.sin(0.5)]])
    with np.errstate(over="ignore"):    # the search for a slope of zero goes far
        found = sd.jacobian(Noisy(f, sigma, normal=True), x, noise="auto", full_output=True)
    assert (abs(found.value - exact) <= 10 * found.error + 1e-300).all()
    assert found.success
    assert abs(found.step[0, 0]) > 5 * abs(found.step[1, 0])
    relative = abs(found.value - exact)[exact != 0] / abs(exact[exact != 0])
    assert relative.max() <= 0.05
    along = sd.jvp(Noisy(f, sigma, normal=True), x, [1.0, 1.0], noise="auto", full_output=True)
    assert along.value == pytest.approx(exact.sum(axis=1), rel=0.05)


@pytest.mark.parametrize("noise", [1e-3, "auto"])
def test_a_constant_has_derivative_zero_and_says_why_it_may_not_have(noise):
    found = sd.gradient(lambda x: 3.0, X, noise=noise, full_output=True)
    assert found.success and not found.value.any() and (found.error <= 1e-8).all()
    found = sd.gradient(Noisy(lambda x: 3.0, 1e-3), X, noise=noise, full_output=True)
    assert not found.success
    assert (abs(found.value) <= 10 * found.error).all()
    assert "does not rise above its noise" in found.message
    with pytest.warns(sd.DifferenceWarning, match="does not rise above its noise"):
        sd.gradient(Noisy(lambda x: 3.0, 1e-3), X, noise=noise)


def test_a_component_that_is_zero_beside_others_is_resolved():
    found = sd.gradient(Noisy(lambda x: np.sin(x[0]) * 5, 1e-3, normal=True), X, noise=1e-3, full_output=True)
    assert found.success
    assert (abs(found.value[1:]) <= 1e-6).all()


def test_a_failed_search_never_becomes_a_zero():
    """The noise is as large as f itself: no verdict, and a bar that covers the truth."""
    for seed in range(10):
        found = sd.derivative(Noisy(np.sin, 10.0, seed), 0.3, noise=10.0, full_output=True)
        assert found.status == sd.Status.UNRESOLVED or abs(found.value - np.cos(0.3)) <= 10 * found.error
    for f, x in ((np.sin, 1e20), (lambda t: np.sin(1e12 * t), 1e5)):
        assert sd.derivative(f, x, noise="auto", full_output=True).status >= sd.Status.UNRESOLVED


def test_the_minimum_of_an_even_function_is_resolved():
    for f in (lambda x: (x * x).sum(), lambda x: np.cosh(x).sum(), lambda x: np.sqrt(1 + x * x).sum()):
        found = sd.gradient(Noisy(f, 1e-4), np.zeros(3), noise=1e-4, full_output=True)
        assert found.success
        assert (abs(found.value) <= 10 * found.error).all() and (found.error < 0.01).all()


@pytest.mark.parametrize("kink", [abs, lambda t: max(t, 0.0), lambda t: abs(t) + t])
def test_a_kink_is_unresolved(kink):
    found = sd.derivative(kink, 0.0, noise=1e-6, full_output=True)
    assert found.status == sd.Status.UNRESOLVED
    assert found.error >= 0.5


def test_values_that_are_not_finite_shorten_the_step_or_turn_it():
    with np.errstate(all="ignore"):
        found = sd.derivative(np.log, [1e-10, 1e-3, 1.0], noise=1e-12, full_output=True)
    assert found.success
    assert found.value == pytest.approx([1e10, 1e3, 1], rel=1e-2)
    turned = sd.derivative(lambda t: t + t * t if t >= 0 else math.nan, 0.0, noise=1e-6, full_output=True)
    assert turned.status == sd.Status.ONE_SIDED and turned.step > 0
    assert turned.value == pytest.approx(1, abs=1e-2)
    lost = sd.gradient(lambda x: math.nan, X, noise=1e-6, full_output=True)
    assert (lost.status == sd.Status.NONFINITE).all() and np.isnan(lost.value).all()
    some = sd.jacobian(lambda x: np.array([np.sin(x[0]), math.inf]), [1.0], noise=1e-6, full_output=True)
    assert some.status.tolist() == [[sd.Status.RESOLVED], [sd.Status.NONFINITE]]


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
@pytest.mark.parametrize("room", [1e-3, 0.3, 5.0])
def test_bounds_are_respected(method, room):
    for lower, upper in ((X, X + room), (X - room, X), (X - room, X + room), (X - room / 9, X + room)):
        seen = []

        def f(x, seen=seen):
            seen.append(x)
            return rosen(x)

        noisy = Noisy(f, 1e-6)
        found = sd.gradient(noisy, X, method=method, noise=1e-6, bounds=(lower, upper), full_output=True)
        seen = np.array(seen)
        assert ((seen >= lower) & (seen <= upper)).all()
        assert (abs(found.value - rosen_der(X)) <= 10 * found.error).all()


def test_what_its_bounds_fix_is_not_moved():
    lower, upper = X.copy(), X.copy()
    upper[1:] += 1
    found = sd.gradient(Noisy(rosen, 1e-6), X, noise=1e-6, bounds=(lower, upper), full_output=True)
    assert found.status.tolist()[0] == sd.Status.FIXED and found.value[0] == found.error[0] == found.step[0] == 0
    assert (found.step[1:] > 0).all()
    fixed = sd.gradient(Noisy(rosen, 1e-6), X, noise="auto", bounds=(X, X), full_output=True)
    assert (fixed.status == sd.Status.FIXED).all() and not fixed.value.any() and not fixed.error.any()


@pytest.mark.parametrize("steps", [{"step": 1e-2}, {"rel_step": 1e-2}])
@pytest.mark.parametrize("noise", [1e-4, "auto"])
def test_the_callers_steps_are_kept_and_the_bars_know_of_the_noise(noise, steps):
    f = Noisy(rosen, 1e-4)
    found = sd.gradient(f, X, noise=noise, full_output=True, **steps)
    plain = sd.gradient(rosen, X, full_output=True, **steps)
    assert np.array_equal(found.step, plain.step)
    assert (found.error >= 1e-5 / found.step).all()     # of a noise of 1e-4, or what is taken for it
    assert (abs(found.value - rosen_der(X)) <= 10 * found.error).all()
    before = f.calls
    sd.gradient(f, X, noise=noise, **steps)
    assert f.calls == before + 10


@pytest.mark.parametrize("kind", ["f", "d", "g", "F", "D"])
def test_every_type_of_x_is_kept(kind):
    x = np.array([0.3, 1.5], kind)
    level = 1e-4 if kind in "fF" else 1e-8
    found = sd.gradient(lambda x: (x**3).sum(), x, noise=level, full_output=True)
    assert found.value.dtype == np.dtype(kind)
    assert found.error.dtype == np.dtype(kind.lower())
    assert found.value == pytest.approx(3 * x**2, abs=200 * level ** (2 / 3))


@pytest.mark.parametrize(("noise", "error", "words"), [
    (0.0, ValueError, "noise must be above 0"),
    (-1e-3, ValueError, "noise must be above 0"),
    (math.nan, ValueError, "noise must be above 0"),
    (math.inf, ValueError, "noise must be above 0"),
    ("automatic", ValueError, "noise must be a positive number, 'auto' or None, not 'automatic'"),
    ([1e-3, 1e-3], TypeError, "noise must be a number"),
    (1j, TypeError, "noise must be a number"),
])
@pytest.mark.parametrize("call", [
    sd.gradient, sd.value_and_gradient, sd.jacobian, sd.derivative, sd.Gradient, sd.Jacobian,
    lambda f, x, noise: sd.jvp(f, x, np.ones(5), noise=noise),
], ids=["gradient", "value_and_gradient", "jacobian", "derivative", "Gradient", "Jacobian", "jvp"])
def test_a_noise_that_is_none_is_named_before_f_is_called(call, noise, error, words):
    with pytest.raises(error, match=words):
        call(never, X, noise=noise)


def test_the_complex_step_and_noise_do_not_go_together():
    with pytest.raises(ValueError, match="noise cannot be given with method='complex'"):
        sd.gradient(never, X, noise=1e-3, method="complex")


@pytest.mark.parametrize("noise", [1e-6, "auto"])
def test_an_exception_of_any_call_comes_back_as_the_same_object(noise):
    calls = sd.gradient(Noisy(rosen, 1e-6), X, noise=noise, full_output=True).nfev
    out = np.full(5, 7.0)
    for k in range(1, calls + 1):
        planned = RuntimeError("planned")
        noisy = Noisy(rosen, 1e-6)

        def f(x, noisy=noisy, planned=planned, k=k):
            if noisy.calls == k - 1:
                raise planned
            return noisy(x)

        with pytest.raises(RuntimeError) as caught:
            sd.gradient(f, X, noise=noise, out=out)
        assert caught.value is planned
        assert f"in evaluation {k} of f" in planned.__notes__[0]
        assert (out == 7.0).all()


def test_workers_batches_and_compiled_functions_give_the_same_bits(native):
    x = np.array([0.4, -1.3, 2.0])

    def f(x):
        return native_library.rosenbrock(x)

    for options in ({"noise": 1e-6}, {"noise": "auto"}, {"noise": 1e-6, "method": "forward"}):
        expected = sd.gradient(f, x, **options)
        assert np.array_equal(sd.gradient(native.ctypes("rosenbrock"), x, **options), expected)
        assert np.array_equal(sd.gradient(native.ctypes("rosenbrock"), x, workers=2, **options), expected)
        assert np.array_equal(sd.gradient(f, x, workers=map, **options), expected)
        assert np.array_equal(
            sd.gradient(lambda points: np.array([f(x) for x in points]), x, vectorized=True, **options), expected
        )


def test_kernels_and_reference_agree_on_every_bit():
    for options in ({}, {"method": "forward"}, {"order": 4}, {"method": "backward", "order": 2}):
        for noise in (1e-6, "auto"):
            found = []
            for name in ("kernels", "reference"):
                with sd.backend(name):
                    f = Noisy(rosen, 1e-6, normal=True)
                    full = sd.gradient(f, X, noise=noise, full_output=True, **options)
                    found.append((full.value.tobytes(), full.error.tobytes(), full.step.tobytes(), full.nfev))
            assert found[0] == found[1]


def test_nothing_is_asked_of_f_where_there_is_no_x():
    assert sd.gradient(never, np.zeros(0), noise=1e-3).shape == (0,)
    assert sd.derivative(never, np.zeros((0, 3)), noise="auto").shape == (0, 3)


@pytest.mark.parametrize("sigma", [1e-3, 1e-6, 1e-9])
def test_adaptive_differences_take_the_noise_given_or_found(sigma):
    for noise in (sigma, "auto"):
        found = [sd.derivative(Noisy(np.sin, sigma, seed, normal=True), 1.0, method="adaptive", noise=noise,
                               full_output=True) for seed in range(10)]
        errors = np.array([abs(one.value - math.cos(1)) for one in found])
        assert np.median(errors) <= 300 * sigma
        assert (errors <= 10 * np.array([one.error for one in found])).all()
        assert all(one.success for one in found)
    along = sd.jvp(Noisy(rosen, sigma), X, np.ones(5), method="adaptive", noise="auto", full_output=True)
    assert abs(along.value - rosen_der(X).sum()) <= 10 * along.error
    assert "noise level" in along.message
