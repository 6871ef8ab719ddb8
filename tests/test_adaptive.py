"""Adaptive differences are accurate, cheap, honest about their errors, and never call something wrong a success.

Here because that is all they are for. Tests adaptive.py; the tables by themselves are tested in test_ladder.py.
"""

import math
import sys
import warnings
from pathlib import Path

import more_garbow_hillstrom
import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

import steepest as sd

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
from adversarial import HARD
from problems import PROBLEMS

FLOATS = {"f": 3e-5, "d": 3e-12, "g": 1e-14}


def full(f, x, **options):
    """A derivative with everything about it; what NumPy warns of inside f does not matter here."""
    with np.errstate(all="ignore"):
        return sd.derivative(f, x, method="adaptive", full_output=True, **options)


def survey(points, **options):
    """Relative errors, calls, whether 10 bars cover the error, and successes, at points of the sixteen problems."""
    rows = []
    for problem in PROBLEMS:
        for x in points(problem):
            found, exact = full(problem.f, float(x), **options), problem.derivative(x)
            error = abs(found.value - exact)
            rows.append((error / abs(exact), found.nfev, error <= 10 * found.error, found.success))
    return np.array(rows, float).T


def grid(problem):
    return problem.points()


def scattered(problem):
    """Points that no constant was chosen on."""
    return np.random.default_rng(sum(map(ord, problem.name))).uniform(*problem.interval, 20)


# accuracy and calls


@pytest.mark.parametrize("points", [grid, scattered])
def test_the_sixteen_problems_are_accurate_cheap_and_covered(points):
    errors, calls, covered, success = survey(points)
    assert np.median(errors) <= 2e-14
    assert np.quantile(errors, 0.9) <= 1e-12
    assert calls.mean() <= 8.5
    assert covered.mean() >= 0.99
    assert success.all() and errors.max() < 1e-8


@pytest.mark.parametrize("points", [grid, scattered])
def test_a_tolerance_saves_calls_and_is_kept(points):
    errors, calls, covered, success = survey(points, rtol=1e-8)
    assert calls.mean() <= 6.7
    assert np.mean(errors <= 1e-8) >= 0.99
    assert covered.mean() >= 0.99 and success.all()


@pytest.mark.parametrize("n, digits", [(2, 1e-10), (3, 1e-7), (4, 1e-5)])
def test_higher_derivatives(backend, n, digits):
    cycle = [np.cos, lambda t: -np.sin(t), lambda t: -np.cos(t), np.sin]
    for f, exact in ((np.exp, np.exp), (np.sin, cycle[n - 1]),
                     (np.log, lambda t: (-1.0) ** (n - 1) * math.factorial(n - 1) / t**n)):
        x = np.linspace(0.3, 5, 12)
        found = full(f, x, n=n)
        error = abs(found.value - exact(x))
        assert found.success and (error <= 10 * found.error).all()
        assert np.median(error / abs(exact(x))) <= digits


def test_even_derivatives_evaluate_f_at_x_once():
    seen = []

    def f(t):
        seen.append(float(t))
        return math.exp(t)

    found = full(f, 1.0, n=2)
    assert seen.count(1.0) == 1 and found.nfev == len(seen) and found.nfev % 2


@pytest.mark.parametrize("char", FLOATS)
def test_every_floating_type(backend, char):
    x = np.array([0.7, 2.0], char)
    found = full(np.sin, x)
    assert found.value.dtype == x.dtype and found.success
    assert (abs(found.value - np.cos(x.astype("g"))) <= np.minimum(10 * found.error, FLOATS[char])).all()


def test_complex_x_is_differentiated_as_by_an_analytic_function(backend):
    x = np.array([0.7 - 0.2j, 1j])
    found = full(np.exp, x)
    assert found.success and (abs(found.value - np.exp(x)) <= 10 * found.error).all()
    assert found.error.max() < 1e-11


@pytest.mark.parametrize("problem", more_garbow_hillstrom.PROBLEMS, ids=str)
def test_gradients_of_published_problems(problem):
    """At x0, and ten and a hundred times that far; the exact gradient is computed in longdouble."""
    for factor in (1, 10, 100):
        x = factor * problem.x0
        with np.errstate(all="ignore"):
            exact = problem.grad(x.astype("g"))
            if not (np.isfinite(exact).all() and np.isfinite(problem.f(x))):
                continue
            found = sd.gradient(problem.f, x, method="adaptive", full_output=True)
            error = abs(found.value - exact)
            assert (error <= 1e-6 * abs(exact) + 100 * found.error).all()
        assert found.nfev <= 16 * x.size + 1 or not found.success


def test_bars_cover_the_errors_of_published_gradients():
    covered, success, relative, calls = [], [], [], []
    for problem in more_garbow_hillstrom.PROBLEMS:
        for factor in (1, 10, 100):
            noise = np.random.default_rng(problem.number)
            x = factor * problem.x0 * (1 + 0.05 * noise.normal(size=problem.n))
            with np.errstate(all="ignore"):
                exact = problem.grad(x.astype("g"))
                if not (np.isfinite(exact).all() and np.isfinite(problem.f(x))):
                    continue
                found = sd.gradient(problem.f, x, method="adaptive", full_output=True)
                error = abs(found.value - exact)
            covered.extend(error <= 10 * found.error)
            success.extend(found.status <= sd.Status.FIXED)
            relative.extend(error[exact != 0] / abs(exact[exact != 0]))
            calls.append(found.nfev / problem.n)
    assert np.mean(covered) >= 0.98 and np.mean(success) >= 0.99
    assert np.median(relative) <= 1e-13 and np.mean(calls) <= 9


# what is hard

@pytest.mark.parametrize("options", [{}, {"rtol": 1e-8}], ids=str)
@pytest.mark.parametrize("case", HARD, ids=str)
def test_what_is_hard_is_solved_or_unresolved(backend, case, options):
    found = full(case.f, case.x, **options)
    error, exact = abs(found.value - case.exact), abs(case.exact)
    assert found.nfev <= 60
    if case.digits is None:
        assert not found.success or error <= min(10 * found.error, 0.1 * exact)
    elif not options:
        assert found.success and error <= min(10 * found.error, case.digits * exact)
        assert found.nfev <= 30


def test_what_is_unresolved_is_told():
    with pytest.warns(sd.DifferenceWarning, match="1 of 2 components unresolved"):
        sd.derivative(np.sin, [1.0, 1e20], method="adaptive")


@pytest.mark.parametrize("f, x", [(abs, 0.0), (lambda t: max(t, 0.0), 0.0), (lambda t: abs(t) + t**2, 0.0),
                                  (np.sign, 0.0), (lambda t: float(t > 1), 1.0)])
def test_kinks_and_jumps_are_unresolved(backend, f, x):
    found = full(f, x)
    assert found.status == sd.Status.UNRESOLVED and found.error >= 0.5


@pytest.mark.parametrize("f", [lambda t: 1.0, lambda t: 0.0, lambda t: -1e300])
def test_constants_have_derivative_0(backend, f):
    for x in (0.0, 0.3, -1e5):
        found = full(f, x)
        assert found.success and found.value == 0 and found.nfev <= 8


def test_a_minimum_has_derivative_0_within_its_bar(backend):
    for f, x in ((lambda t: (t - 1) ** 2, 1.0), (np.cos, 0.0), (lambda t: t**2 + 3, 0.0), (lambda t: t**3, 0.0)):
        found = full(f, x)
        assert found.success and abs(found.value) <= 10 * found.error <= 1e-9


def test_a_spike_at_x_is_seen_by_a_gradient():
    found = sd.gradient(lambda x: x[0] ** 2 + np.exp(-((x[0] - 0.5) * 1e4) ** 2), [0.50005, ], method="adaptive",
                        full_output=True)
    assert found.status[0] == sd.Status.UNRESOLVED
    assert sd.gradient(lambda x: x[0] ** 2, [0.5], method="adaptive", full_output=True).success


def test_rounding_that_looks_like_noise_is_no_spike(backend):
    """Where the tables were made anew for it, the bend between the steps is not known any more."""
    points = np.linspace(0.3, 2, 1000)[200:280]
    for here, x, there in zip(points, points[1:], points[2:], strict=False):
        found = sd.gradient(lambda x, a=here, b=there: (3 - 2 * x[0]) * x[0] + 1 - a - 2 * b, [x], method="adaptive",
                            full_output=True)
        assert found.success
        assert abs(found.value[0] - (3 - 4 * x)) <= 10 * found.error[0] + 1e-15



# noise


def noisy(f, level, seed):
    """F with uniform noise, which is another for each seed."""
    noise = np.random.default_rng(seed)
    return lambda t: f(t) + level * noise.uniform(-1, 1)


@pytest.mark.parametrize("level", [1e-10, 1e-6, 1e-3])
def test_noise_that_is_not_told_is_in_the_bar_or_unresolved(level):
    wrong = 0
    for seed in range(40):
        found = full(noisy(np.exp, level, seed), 1.0)
        wrong += found.success and not abs(found.value - np.e) <= 10 * found.error
        assert found.nfev <= 60
    assert wrong <= 2


@pytest.mark.parametrize("level", [1e-10, 1e-6, 1e-3])
def test_noise_that_is_given_makes_large_steps_and_honest_bars(level):
    covered, relative = [], []
    for seed in range(20):
        found = full(noisy(lambda t: np.exp(-t / 1e6), level, seed), 1.0, noise=level)
        error = abs(found.value + 1e-6)
        covered.append(error <= 10 * found.error)
        relative.append(error / 1e-6)
    assert np.mean(covered) >= 0.95
    assert np.median(relative) <= 0.02


@pytest.mark.parametrize("level", [1e-9, 1e-5])
def test_noise_may_be_found_out_before(level):
    covered = []
    for seed in range(20):
        found = full(noisy(np.exp, level, seed), 1.0, noise="auto")
        covered.append(not found.success or abs(found.value - np.e) <= 10 * found.error)
    assert np.mean(covered) >= 0.95


# vectors


def test_each_result_stops_by_itself_and_keeps_its_own_bar(backend):
    def f(x):
        return np.array([x[0] * x[1], np.sin(30 * x[0]), 1.0, 1e6 + np.exp(x[1])])

    found = sd.jacobian(f, [0.7, 2.0], method="adaptive", full_output=True)
    exact = np.array([[2.0, 0.7], [30 * np.cos(21.0), 0], [0, 0], [0, np.exp(2.0)]])
    assert found.success
    assert (abs(found.value - exact) <= 10 * found.error).all()
    assert found.error[0].max() < 1e-13 < found.error[3, 1]
    assert len(np.unique(found.step[:, 0])) > 1


def test_results_of_very_different_size_do_not_disturb_each_other(backend):
    scales = np.array([1e-200, 1e-8, 1.0, 1e8, 1e200])
    found = sd.jacobian(lambda x: scales * np.exp(x[0]), [1.3], method="adaptive", full_output=True)
    assert np.allclose(found.value[:, 0] / (scales * np.exp(1.3)), 1, rtol=1e-12, atol=0)


def test_variables_of_very_different_size():
    found = sd.gradient(lambda x: np.exp(1e8 * x[0]) + np.log(x[1]), [1e-8, 1e8], method="adaptive", full_output=True)
    assert found.success and np.allclose(found.value, [1e8 * np.e, 1e-8], rtol=1e-7, atol=0)


def test_many_rows_and_results_are_worked_on_in_pieces(monkeypatch):
    from steepest import adaptive

    x = np.linspace(-1, 2, 7)

    def f(x):
        return np.array([np.sin(x).sum(), (x**3).sum(), x.prod()])

    whole = sd.jacobian(f, x, method="adaptive")
    monkeypatch.setattr(adaptive, "COMPONENTS", 6)
    assert sd.jacobian(f, x, method="adaptive").tobytes() == whole.tobytes()


def test_directional_derivatives(backend):
    x, v = np.array([0.5, -1.25, 2.0]), np.array([1.0, 2.0, -0.5])

    def f(x):
        return np.array([(x * x).sum(), np.exp(x).sum()])

    found = sd.jvp(f, x, v, method="adaptive", full_output=True)
    exact = np.array([2 * x @ v, np.exp(x) @ v])
    assert found.success and (abs(found.value - exact) <= 10 * found.error).all() and found.error.max() < 1e-10
    for scale in (1e-6, 1e6):
        assert sd.jvp(f, x, scale * v, method="adaptive") == pytest.approx(scale * exact, rel=1e-11)
    assert (sd.jvp(f, x, 0 * v, method="adaptive") == 0).all()


# domains and bounds


def recorded(f):
    seen = []

    def g(x):
        seen.append(np.array(x, copy=True))
        return f(x)

    return g, seen


@pytest.mark.parametrize("bounds, status", [
    ((1.0, None), sd.Status.ONE_SIDED), ((None, 1.0), sd.Status.ONE_SIDED), ((1 - 1e-9, None), sd.Status.ONE_SIDED),
    ((0.99, 1.01), sd.Status.RESOLVED), ((0.9, None), sd.Status.RESOLVED), ((0, 3), sd.Status.RESOLVED),
    ((1 - 1e-7, 1 + 2e-7), sd.Status.RESOLVED),
])
def test_f_is_never_evaluated_outside_its_bounds(backend, bounds, status):
    f, seen = recorded(lambda x: np.exp(x[0]) + x[1] ** 2)
    lower, upper = (np.nan_to_num(np.array([b, b], float), nan=sign * np.inf)
                    for b, sign in zip(bounds, (-1, 1), strict=True))
    found = sd.gradient(f, [1.0, 1.0], method="adaptive", bounds=(lower, upper), full_output=True)
    assert all(((lower <= x) & (x <= upper)).all() for x in seen)
    assert (found.status == status).all()
    assert (abs(found.value - [np.e, 2]) <= 10 * found.error).all()
    assert (found.step < 0).all() if bounds[1] == 1.0 else (found.step > 0).all()
    room = min(3.0, *(abs(b - 1) for b in bounds if b not in (None, 1.0)), 3.0)
    assert found.error.max() <= max(1e-10, 1e-14 / room)


def test_a_box_without_room_is_unresolved_and_fixed_variables_are_fixed():
    found = sd.gradient(lambda x: np.exp(x).sum(), [1.0, 1.0, 1.0], method="adaptive",
                        bounds=([1 - 1e-15, 1, 0], [1 + 1e-15, 1, 2]), full_output=True)
    assert found.status.tolist() == [sd.Status.UNRESOLVED, sd.Status.FIXED, sd.Status.RESOLVED]
    assert found.value[1] == 0 and found.error[0] == np.inf


def test_where_f_ends_one_side_is_taken(backend):
    for f, x, exact in ((lambda t: t * np.sqrt(t) if t >= 0 else np.nan, 0.0, 0.0),
                        (lambda t: np.exp(t) if t <= 2 else np.nan, 2.0, np.exp(2.0)),
                        (lambda t: np.exp(t) if t >= 2 else np.inf, 2.0, np.exp(2.0))):
        found = full(f, x)
        assert found.status in (sd.Status.ONE_SIDED, sd.Status.UNRESOLVED)
        if found.success:
            assert abs(found.value - exact) <= 10 * found.error <= 1e-6
    assert full(lambda t: np.exp(t) if t <= 2 else np.nan, 2.0).status == sd.Status.ONE_SIDED


def test_an_end_of_the_domain_near_x_shortens_the_steps(backend):
    found = full(lambda t: np.log(t - 1), 1.001)
    assert found.status == sd.Status.RESOLVED
    assert abs(found.value - 1 / (1.001 - 1)) <= 10 * found.error <= 1e-6


def test_where_f_is_not_finite_there_is_no_derivative(backend):
    assert full(lambda t: np.nan, 1.0).status == sd.Status.NONFINITE
    found = sd.gradient(lambda x: np.nan if x[0] == 1 else x[0] + x[1], [1.0, 2.0], method="adaptive", full_output=True)
    assert (found.status == sd.Status.NONFINITE).all() and np.isnan(found.value).all()
    both = sd.jacobian(lambda x: np.array([np.nan, x[0] ** 2]), [3.0], method="adaptive", full_output=True)
    assert both.status.tolist() == [[sd.Status.NONFINITE], [sd.Status.RESOLVED]]
    assert both.value[1, 0] == pytest.approx(6)


# options


def test_a_given_step_is_the_first(backend):
    f, seen = recorded(lambda x: float(np.exp(x[0])))
    sd.gradient(f, [1.0], method="adaptive", step=0.25)
    assert max(abs(x[0] - 1) for x in seen) == 0.25
    f, seen = recorded(lambda x: float(np.exp(x[0])))
    sd.gradient(f, [4.0], method="adaptive", rel_step=0.01)
    assert max(abs(x[0] - 4) for x in seen) == pytest.approx(0.04)


def test_x_scale_is_the_least_size_of_x(backend):
    f, seen = recorded(lambda x: float(np.sin(x[0] / 100)))
    found = sd.gradient(f, [1e-3], method="adaptive", x_scale=100.0, full_output=True)
    assert 1 < max(abs(x[0]) for x in seen) < 10
    assert found.value[0] == pytest.approx(0.01 * np.cos(1e-5), rel=1e-12)


def test_orders_cannot_be_given_and_tolerances_only_here():
    with pytest.raises(ValueError, match="order cannot be given with method='adaptive'"):
        sd.gradient(abs, [1.0], method="adaptive", order=4)
    with pytest.raises(ValueError, match="rtol can be given with method='adaptive' only"):
        sd.gradient(abs, [1.0], rtol=1e-3)
    for rtol in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="rtol must be"):
            sd.gradient(abs, [1.0], method="adaptive", rtol=rtol)


def test_all_ways_to_evaluate_give_the_same_bits(backend):
    x = np.array([0.5, -1.25, 2.0])

    def f(x):
        return np.sin(x[..., 0]) * np.exp(x[..., 1]) + x[..., 2] ** 3

    alone = sd.gradient(f, x, method="adaptive", full_output=True)
    for options in ({"vectorized": True}, {"workers": map}):
        other = sd.gradient(f, x, method="adaptive", full_output=True, **options)
        assert other.value.tobytes() == alone.value.tobytes() and other.nfev == alone.nfev
    prepared = sd.Gradient(f, x, method="adaptive")
    assert prepared(x).tobytes() == prepared(x).tobytes() == alone.value.tobytes()
    value, gradient = sd.value_and_gradient(f, x, method="adaptive")
    assert value == f(x) and gradient.tobytes() == alone.value.tobytes()
    known = sd.gradient(f, x, method="adaptive", f0=f(x), full_output=True)
    assert known.value.tobytes() == alone.value.tobytes() and known.nfev == alone.nfev - 1


def test_compiled_functions(native, backend):
    x = np.array([-1.2, 1.0, 0.7])
    found = sd.gradient(native.given("rosenbrock", "ctypes"), x, method="adaptive", full_output=True)
    assert found.success
    assert (abs(found.value - rosen_der(x)) <= 10 * found.error).all()


def test_functions_that_compute_in_float32_get_wide_bars(backend):
    found = sd.gradient(lambda x: np.float32(np.exp(np.float32(x[0]))), [1.0], method="adaptive", full_output=True)
    assert abs(found.value[0] - np.e) <= 10 * found.error[0] and 1e-6 < found.error[0] < 1e-2
    hidden = sd.gradient(lambda x: float(np.exp(np.float32(x[0]))), [1.0], method="adaptive", full_output=True)
    assert not hidden.success or abs(hidden.value[0] - np.e) <= 10 * hidden.error[0]


def test_nothing_is_evaluated_for_nothing():
    assert sd.gradient(abs, np.empty(0), method="adaptive").size == 0
    assert sd.derivative(abs, np.empty((2, 0)), method="adaptive").shape == (2, 0)


def test_it_serves_an_optimiser_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error", sd.DifferenceWarning)
        found = minimize(rosen, [-1.2, 1.0], jac=sd.Gradient(rosen, np.zeros(2), method="adaptive"), method="BFGS")
    assert np.allclose(found.x, 1, atol=1e-8)
