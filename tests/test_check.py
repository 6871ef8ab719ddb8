"""The checker passes right derivatives, catches small errors, and says of kinks that they are kinks.

Here because a checker that cries wolf is switched off, and one that sleeps is worse than none. Tests check.py,
check_ladder.py, check_values.py and check_verdicts.py.
"""

import warnings

import numpy as np
import pytest
import scipy.sparse
from more_garbow_hillstrom import PROBLEMS

import steepest as sd
from steepest.check_ladder import BARS

PLANTED = 1e-4


def bowl(x):
    return (x * x).sum() + np.exp(x).sum()


def slopes(x):
    return 2 * x + np.exp(x)


X = np.array([0.5, -1.25, 2.0])


def changed(grad, i, factor):
    """Grad with one component multiplied."""

    def wrong(x):
        found = np.array(grad(x))
        found[i] *= found.dtype.type(factor)
        return found

    return wrong


# the targets: all functions of Moré, Garbow and Hillstrom


def scaled(problem, scale):
    """The problem in variables that are multiplied by 1 / scale."""
    return lambda y: problem.f(y * scale), lambda y: problem.grad(y * scale) * scale, problem.x0 / scale


def settings_of(problem):
    """``(name, f, grad, x)`` in several scales, and in float32."""
    rng = np.random.default_rng(problem.number)
    x = problem.x0 * rng.uniform(0.7, 1.3, problem.n) + rng.uniform(-0.1, 0.1, problem.n)
    yield "at x0", *scaled(problem, 1.0)
    yield "scale 1e-9", *scaled(problem, 1e9)
    yield "scale 1e8", *scaled(problem, 1e-8)
    yield "scales mixed", *scaled(problem, 10.0 ** rng.uniform(-8, 9, problem.n))
    yield "beside x0", problem.f, problem.grad, x
    yield "at 10 x0", problem.f, problem.grad, 10 * problem.x0
    yield "x in float32", problem.f, problem.grad, problem.x0.astype("f")
    yield "f in float32", lambda z: problem.f(z.astype("f")), problem.grad, x.astype("f")
    yield ("float32 inside", lambda z: float(problem.f(z.astype("f"))),
           lambda z: problem.grad(z.astype("f")).astype(float), x.astype("f").astype(float))


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_no_false_alarm_and_no_planted_error_missed(problem):
    """Of 315 checks of right gradients none calls one wrong; 1e-4 in a component that can be resolved is called so."""
    rng = np.random.default_rng(problem.number)
    for name, f, grad, x in settings_of(problem):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")     # overflow of f itself
            found = sd.check_gradient(f, grad, x)
            assert found.counts["wrong"] == found.counts["kink"] == 0, (name, str(found))
            assert found.ok or name in ("f in float32", "float32 inside"), (name, str(found))     # all noise
            if problem.n > 2 or name in ("at x0", "x in float32"):
                assert_planted_errors_are_caught(f, grad, x, found, rng)


def assert_planted_errors_are_caught(f, grad, x, found, rng):
    """Two of those components that the bars of the right check can resolve, at random."""
    table = found.table
    gap = abs(table["given"] - table["estimate"])
    tolerance = np.where(table["ratio"] > 0, gap / np.where(table["ratio"] > 0, table["ratio"], 1),
                         BARS * table["error"] + 1e-6 * abs(table["given"]))
    resolved = np.flatnonzero(PLANTED * abs(table["given"]) > 2 * tolerance)
    for i in rng.permutation(resolved)[:2]:
        for factor in (1 + PLANTED, 1 - PLANTED):
            caught = sd.check_gradient(f, changed(grad, i, factor), x)
            assert not caught.ok and caught.worst == i and caught.table["verdict"][i] == "wrong", str(caught)
            assert caught.counts["wrong"] == 1


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_cheap_mode_passes_right_gradients(problem):
    found = sd.check_gradient(problem.f, problem.grad, problem.x0, mode="cheap")
    assert found.ok and found.nfev < 20, str(found)
    wrong = sd.check_gradient(problem.f, lambda x: 1.01 * problem.grad(x), problem.x0, mode="cheap")
    assert not wrong.ok and wrong.nfev < 30, str(wrong)


def test_most_components_are_resolved():
    """The bars are narrow enough to be of use: an error of 1e-4 shows in nearly every component."""
    narrow = total = 0
    for problem in PROBLEMS:
        table = sd.check_gradient(problem.f, problem.grad, problem.x0).table
        narrow += np.count_nonzero(BARS * table["error"] <= 5e-5 * abs(table["given"]))
        total += np.count_nonzero(table["given"])
    assert narrow >= 0.9 * total


# kinds of wrong

MUTATIONS = {
    "sign": lambda g: -g,
    "factor": lambda g: 2 * g,
    "one missing": lambda g: np.where(np.arange(g.size) == 1, 0, g),
    "turned": lambda g: g[::-1],
    "divided twice": lambda g: g / 3,
    "constant added": lambda g: g + 1e-3,
    "one in a thousand": lambda g: g * 1.001,
}


@pytest.mark.parametrize("mode", ["full", "cheap"])
@pytest.mark.parametrize("name", MUTATIONS)
def test_what_people_do_wrong_is_caught(backend, name, mode):
    found = sd.check_gradient(bowl, lambda x: MUTATIONS[name](slopes(x)), X, mode=mode)
    assert not found.ok and found.counts["wrong"] > 0
    with pytest.raises(sd.GradientError, match="WRONG"):
        found.raise_if_wrong()


def test_a_right_gradient_raises_nothing(backend):
    found = sd.check_gradient(bowl, slopes, X)
    assert found.ok and bool(found) and found.raise_if_wrong() is None
    assert found.counts == {"right": 3, "wrong": 0, "kink": 0, "unresolved": 0}
    np.testing.assert_allclose(found.table["estimate"], slopes(X), rtol=1e-7)
    assert (abs(found.table["estimate"] - slopes(X)) <= BARS * found.table["error"]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_component_that_is_not_finite_is_wrong(backend, bad):
    found = sd.check_gradient(bowl, lambda x: np.where(np.arange(3) == 1, bad, slopes(x)), X)
    assert not found.ok and found.worst == 1
    assert found.table["verdict"].tolist() == ["right", "wrong (non-finite)", "right"]
    assert not sd.check_gradient(bowl, lambda x: np.full(3, bad), X, mode="cheap").ok


def test_structural_zeros_are_told(backend):
    found = sd.check_gradient(lambda x: x[0] ** 2, lambda x: np.array([2 * x[0], 0.0, 0.0]), X)
    assert found.ok and found.zeros.tolist() == [1, 2]
    wrong = sd.check_gradient(lambda x: x[0] ** 2, lambda x: np.array([2 * x[0], 0.0, 1e-9]), X)
    assert wrong.table["verdict"].tolist() == ["right", "right", "wrong"] and wrong.zeros.tolist() == [1]


def test_an_optimum_is_no_cause_for_alarm(backend):
    found = sd.check_gradient(lambda x: ((x - 1) ** 2).sum(), lambda x: 2 * (x - 1), np.ones(3))
    assert found.counts["right"] == 3


def test_micro_structure_counts_as_the_derivative():
    """The slope at x is that of the shortest steps, not that of the longer ones, which agree among themselves."""
    def f(x):
        return x[0] + 1e-12 * np.tanh(1e9 * x[0])

    assert sd.check_gradient(f, lambda x: np.array([1.001]), np.zeros(1)).ok
    assert not sd.check_gradient(f, lambda x: np.array([1.002]), np.zeros(1)).ok


# kinks

def relu(t):
    return np.maximum(t, 0)


KINKS = {
    "abs": (lambda x: abs(x).sum(), np.sign, np.zeros(3), 3),
    "abs, from the right": (lambda x: abs(x).sum(), lambda x: np.where(x >= 0, 1.0, -1.0), np.zeros(3), 3),
    "relu": (lambda x: relu(x).sum(), lambda x: (x > 0) * 1.0, np.zeros(3), 3),
    "relu, half": (lambda x: relu(x).sum(), lambda x: np.heaviside(x, 0.5), np.zeros(3), 3),
    "leaky relu": (lambda x: np.where(x > 0, x, 0.01 * x).sum() + (x * x).sum(),
                   lambda x: np.where(x > 0, 1, 0.01) + 2 * x, np.zeros(3), 3),
    "max, the first": (lambda x: x.max(), lambda x: np.eye(3)[x.argmax()], np.ones(3), 3),
    "max, shared": (lambda x: x.max(), lambda x: np.full(3, 1 / 3), np.ones(3), 3),
    "norm": (np.linalg.norm, lambda x: np.zeros(3), np.zeros(3), 3),
    "hinge": (lambda x: relu(1 - x).sum() ** 2 + x.sum(), lambda x: 1 - 2 * relu(1 - x).sum() * (x < 1),
              np.array([1.0, 0.5, 2.0]), 1),
    "clip": (lambda x: np.clip(x, -1, 1).sum(), lambda x: (abs(x) <= 1) * 1.0, np.array([1.0, -1.0, 0.0]), 2),
    "abs and more": (lambda x: abs(x - 1).sum() + np.exp(x).sum(), lambda x: np.sign(x - 1) + np.exp(x),
                     np.array([1.0, 1.0, 2.0]), 2),
    "a small kink": (lambda x: 1000 * x.sum() + abs(x).sum(), lambda x: 1000 + np.sign(x), np.zeros(3), 3),
    "a jump": (lambda x: np.sign(x).sum() + x.sum(), np.ones_like, np.array([0.0, 1.0, -1.0]), 1),
    "a jump to one side": (lambda x: np.floor(x).sum() + x.sum(), np.ones_like, np.array([1.0, 2.5, -1.0]), 2),
    "a cusp": (lambda x: np.sqrt(abs(x)).sum(), np.zeros_like, np.zeros(3), 3),
    "half smooth": (lambda x: (abs(x) ** 1.5).sum(), lambda x: 1.5 * np.sqrt(abs(x)) * np.sign(x),
                    np.array([0.0, 0.5, 1e-3]), 0),
}


@pytest.mark.parametrize("mode", ["full", "cheap"])
@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_told_and_no_alarm_is_raised(backend, name, mode):
    f, grad, x, kinks = KINKS[name]
    found = sd.check_gradient(f, grad, x, mode=mode)
    assert found.ok and found.counts["wrong"] == 0, str(found)
    if mode == "full":
        assert found.counts["kink"] == kinks, str(found)
        assert found.counts["right"] == 3 - kinks


@pytest.mark.parametrize("distance", 10.0 ** -np.arange(2, 16))
@pytest.mark.parametrize("mode", ["full", "cheap"])
def test_a_kink_close_by_is_stepped_over_or_told(distance, mode):
    x = 1 + distance * np.array([1, -1, 3])
    found = sd.check_gradient(lambda x: abs(x - 1).sum() + np.sin(x).sum(), lambda x: np.sign(x - 1) + np.cos(x), x,
                              mode=mode)
    assert found.ok and found.counts["unresolved"] == 0, str(found)
    if distance > 3e-6:
        assert found.counts["kink"] == 0


@pytest.mark.parametrize("name", ["abs", "relu", "max, shared", "hinge", "clip", "abs and more", "a small kink"])
def test_at_a_kink_a_slope_outside_the_two_is_wrong(name):
    f, grad, x, _ = KINKS[name]
    found = sd.check_gradient(f, lambda x: grad(x) + np.array([5.0, 0.0, 0.0]), x)
    assert not found.ok and found.worst == 0 and found.table["verdict"][0] == "wrong"
    assert found.counts["wrong"] == 1


def test_taylors_slope_tells_right_from_wrong_and_kinks():
    assert sd.check_gradient(bowl, slopes, X).taylor.slope == pytest.approx(2, abs=0.05)
    assert sd.check_gradient(bowl, lambda x: 1.1 * slopes(x), X).taylor.slope == pytest.approx(1, abs=0.05)
    assert sd.check_gradient(lambda x: abs(x).sum(), np.sign, np.zeros(3)).taylor.slope == pytest.approx(1, abs=0.05)


def test_minpacks_score_tells_right_from_wrong():
    right = sd.check_jacobian(lambda x: np.array([x @ x, np.exp(x).sum()]), lambda x: np.array([2 * x, np.exp(x)]), X)
    wrong = sd.check_jacobian(lambda x: np.array([x @ x, np.exp(x).sum()]), lambda x: np.array([3 * x, np.exp(x)]), X)
    assert right.score.shape == (2,) and (right.score > 0.5).all()
    assert wrong.score[0] < 0.5 < wrong.score[1]


# large, cheap, noisy, in other types

def test_the_cheap_mode_takes_five_calls_of_ten_thousand_parameters():
    x = np.random.default_rng(0).normal(size=10_000)
    found = sd.check_gradient(bowl, slopes, x, mode="cheap")
    assert found.ok and found.nfev == 5 and found.njev == 1 and len(found.table) == 2
    wrong = sd.check_gradient(bowl, lambda x: 1.001 * slopes(x), x, mode="cheap")
    assert not wrong.ok and wrong.nfev < 20
    assert wrong.worst_name.startswith("direction")


def test_the_full_mode_takes_four_calls_for_a_good_component():
    x = np.linspace(1, 2, 500)
    found = sd.check_gradient(bowl, slopes, x)
    assert found.counts["right"] == 500 and found.nfev <= 4 * 500 + 30


def test_directions_can_be_given_or_counted():
    found = sd.check_gradient(bowl, slopes, X, mode="cheap", directions=3)
    assert len(found.table) == 3 and found.ok
    along = sd.check_gradient(bowl, changed(slopes, 2, 2.0), X, mode="cheap", directions=[[1.0, 0, 0], [0, 0, 1.0]])
    assert along.table["verdict"].tolist() == ["right", "wrong"]


def test_random_directions_are_orthogonal_and_the_same_every_time():
    seen = []

    def f(x):
        seen.append(x - X)
        return bowl(x)

    tables = [sd.check_gradient(f, slopes, X, mode="cheap").table for _ in range(2)]
    assert (tables[0] == tables[1]).all()
    first, second = (seen[i] / X for i in (1, 3))
    assert abs(first @ second) < 1e-6 * np.linalg.norm(first) * np.linalg.norm(second)


@pytest.mark.parametrize("level", [1e-8, 1e-5, 1e-3])
def test_noise_is_measured_or_given_and_granted(level):
    rng = np.random.default_rng(1)

    def noisy(x):
        return bowl(x) + level * rng.standard_normal()

    for options in ({}, {"noise": 3 * level}):
        found = sd.check_gradient(noisy, slopes, X, **options)
        assert found.counts["wrong"] == 0 and found.noise > level / 10
        assert not sd.check_gradient(noisy, lambda x: 2 * slopes(x), X, **options).ok


def test_f_sees_float64_and_grad_the_type_of_x(backend):
    seen = {"f": set(), "grad": set()}

    def f(x):
        seen["f"].add(x.dtype)
        return bowl(x)

    def grad(x):
        seen["grad"].add(x.dtype)
        return slopes(x.astype("f"))

    found = sd.check_gradient(f, grad, X.astype("f"))
    assert found.ok and seen["f"] == {np.dtype("d")} and np.dtype("f") in seen["grad"]
    assert (found.table["error"] < 1e-7).all()


def test_an_f_that_refuses_float64_is_asked_in_float32(backend):
    def f(x):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return bowl(x)

    def grad(x):
        if x.dtype != np.float32:
            raise TypeError("float32 only")
        return slopes(x)

    found = sd.check_gradient(f, grad, X.astype("f"))
    assert found.ok and found.counts["right"] == 3
    assert not sd.check_gradient(f, lambda x: np.float32(1.1) * grad(x), X.astype("f")).ok
    with pytest.raises(TypeError, match="float32 only"):
        sd.check_gradient(f, slopes, X)


def test_rtol_widens_the_bars():
    def rounded(x):
        return slopes(x) * (1 + 3e-4 * np.array([1, -1, 1]))

    assert not sd.check_gradient(bowl, rounded, X).ok
    assert sd.check_gradient(bowl, rounded, X, rtol=1e-3).ok


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, int])
def test_every_real_type_of_x_is_taken(backend, dtype):
    x = np.array([1, -2, 3], dtype)
    assert sd.check_gradient(bowl, slopes, x).ok
    assert not sd.check_gradient(bowl, lambda x: 1.05 * slopes(x), x).ok


@pytest.mark.parametrize("x", [2.0, np.array(2.0), np.full((2, 3), 0.5), np.zeros((0,)), np.zeros((3, 0))])
def test_every_shape_of_x_is_taken(backend, x):
    assert sd.check_gradient(lambda x: np.sum(x * x * x), lambda x: 3 * x * x, x).ok
    assert sd.check_gradient(lambda x: np.sum(x * x * x), lambda x: 3 * x * x, x, mode="cheap").ok


def test_components_of_matrices_are_named_by_their_place():
    found = sd.check_gradient(lambda x: np.sum(x * x), lambda x: 2 * x + np.eye(2), np.ones((2, 2)))
    assert {found._name(int(i)) for i in np.flatnonzero(found.table["verdict"] == "wrong")} == {"x[0, 0]", "x[1, 1]"}


# bounds, arguments, workers

def test_f_is_never_evaluated_outside_the_bounds(backend):
    x, lower, upper = np.array([0.0, 1.0, 0.5]), np.zeros(3), np.ones(3)

    def f(x):
        assert (x >= lower).all() and (x <= upper).all()
        return np.sum(x**3) + np.sum(np.sqrt(x))

    def grad(x):
        return 3 * x**2 + 0.5 / np.sqrt(np.where(x > 0, x, 1))

    for mode in ("full", "cheap"):
        assert sd.check_gradient(f, grad, x + np.array([0.1, 0, 0]), bounds=(lower, upper), mode=mode).ok
    tight = sd.check_gradient(f, grad, x + np.array([0.1, 0, 0]), bounds=([0.1, 0, 0], [1, 1, 0.5]))
    assert tight.counts["right"] == 3


def test_what_is_left_to_the_check_is_the_default():
    plain = sd.check_gradient(bowl, slopes, X)
    for options in ({"x_scale": "auto"}, {"noise": "auto"}, {"x_scale": 1.0}):
        assert (sd.check_gradient(bowl, slopes, X, **options).table == plain.table).all()


def test_fixed_components_are_unresolved(backend):
    found = sd.check_gradient(bowl, slopes, X, bounds=([0.5, -2, 1], [0.5, 2, 3]))
    assert found.table["verdict"].tolist() == ["unresolved", "right", "right"] and found.ok
    assert "fixed" in str(found)
    assert not sd.check_gradient(bowl, slopes, X, bounds=(X, X)).ok


def test_arguments_go_to_f_and_grad(backend):
    found = sd.check_gradient(lambda x, a, b=1: a * b * x @ x, lambda x, a, b=1: 2 * a * b * x, X, args=(3.0,),
                              kwargs={"b": 2.0})
    assert found.ok


def test_workers_and_batches_give_the_bits_of_one(backend):
    def batch(x):
        return (x * x).sum(axis=-1) + np.exp(x).sum(axis=-1)

    plain = sd.check_gradient(batch, slopes, X)
    assert (sd.check_gradient(batch, slopes, X, vectorized=True).table == plain.table).all()
    assert (sd.check_gradient(batch, slopes, X, workers=map).table == plain.table).all()


def test_the_kernels_and_the_reference_give_the_same_table():
    tables = []
    for name in ("kernels", "reference"):
        with sd.backend(name):
            found = [sd.check_gradient(p.f, p.grad, p.x0) for p in PROBLEMS[:12]]
            tables.append([(one.table.tobytes(), one.nfev) for one in found])
    assert tables[0] == tables[1]


# Jacobians and Hessians

def residuals_of(problem, i, j, factor):
    def jacobian(x):
        found = problem.jacobian(x)
        found[i, j] *= factor
        return found

    return jacobian


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_jacobians_of_the_test_functions_are_right_and_planted_errors_are_found(problem):
    x = problem.x0
    found = sd.check_jacobian(problem.residuals, problem.jacobian, x)
    assert found.ok and found.counts["wrong"] == 0, str(found)
    assert len(found.table) == problem.m * problem.n
    assert sd.check_jacobian(problem.residuals, problem.jacobian, x, mode="cheap").ok
    i, j = np.unravel_index(np.argmax(abs(problem.jacobian(x))), (problem.m, problem.n))
    caught = sd.check_jacobian(problem.residuals, residuals_of(problem, i, j, 1 + PLANTED), x)
    assert not caught.ok and caught.worst_name == f"J[{i}, {j}]" and caught.counts["wrong"] == 1


def test_sparse_jacobians_are_taken(backend):
    def f(x):
        return x**2

    assert sd.check_jacobian(f, lambda x: scipy.sparse.diags_array(2 * x).tocsr(), X).ok
    found = sd.check_jacobian(f, lambda x: scipy.sparse.diags_array(3 * x).tocsr(), X)
    assert [found._name(int(i)) for i in np.flatnonzero(found.table["verdict"] == "wrong")] == ["J[0, 0]", "J[1, 1]",
                                                                                         "J[2, 2]"]


def test_a_jacobian_of_one_result_may_be_a_row(backend):
    assert sd.check_jacobian(bowl, lambda x: slopes(x)[None], X).ok


def rosen_hessian(x):
    from scipy.optimize import rosen_hess

    return rosen_hess(x)


@pytest.mark.parametrize("with_grad", [True, False])
def test_hessians_are_checked_by_gradients_or_by_values(backend, with_grad):
    from scipy.optimize import rosen, rosen_der

    x = np.array([-1.2, 1.0, 0.7])
    options = {"grad": rosen_der} if with_grad else {}
    f = None if with_grad else rosen
    for mode in ("full", "cheap"):
        found = sd.check_hessian(f, rosen_hessian, x, mode=mode, **options)
        assert found.ok and found.counts["wrong"] == 0, str(found)
    planted = np.ones((3, 3))
    planted[1, 2] = 1.001
    wrong = sd.check_hessian(f, lambda x: rosen_hessian(x) * planted, x, **options)
    assert not wrong.ok and wrong.worst_name == "H[1, 2]" and wrong.counts["wrong"] == 1


# bad input

BAD = {
    "grad none": (lambda: sd.check_gradient(bowl, None, X), TypeError, "grad must be callable"),
    "f none": (lambda: sd.check_gradient(None, slopes, X), TypeError, "f must be callable"),
    "hess none": (lambda: sd.check_hessian(bowl, 1.0, X), TypeError, "hess must be callable"),
    "hess's grad": (lambda: sd.check_hessian(None, bowl, X, grad=3), TypeError, "grad must be callable"),
    "grad's size": (lambda: sd.check_hessian(None, lambda x: np.eye(3), X, grad=lambda x: x[:2]), ValueError,
                    "grad returned shape"),
    "f none, no grad": (lambda: sd.check_hessian(None, bowl, X), TypeError, "f must be callable"),
    "shape": (lambda: sd.check_gradient(bowl, lambda x: x[:2], X), ValueError, r"grad returned .*\(2,\).*\(3,\)"),
    "text": (lambda: sd.check_gradient(bowl, lambda x: "1", X), TypeError, "grad returned str"),
    "complex": (lambda: sd.check_gradient(bowl, lambda x: x + 1j, X), TypeError, "complex"),
    "complex x": (lambda: sd.check_gradient(bowl, slopes, X + 1j), TypeError, "x must be real"),
    "nan in x": (lambda: sd.check_gradient(bowl, slopes, [1, np.nan, 2]), ValueError, r"x must be finite.*x\[1\]"),
    "mode": (lambda: sd.check_gradient(bowl, slopes, X, mode="fast"), ValueError, "'full', 'cheap'"),
    "rtol": (lambda: sd.check_gradient(bowl, slopes, X, rtol=-1), ValueError, "rtol must be at least 0"),
    "scale": (lambda: sd.check_gradient(bowl, slopes, X, x_scale=-1), ValueError, "x_scale must be positive"),
    "scales": (lambda: sd.check_gradient(bowl, slopes, X, x_scale=[1, 2]), ValueError, "x_scale must .* shape of x"),
    "scale text": (lambda: sd.check_gradient(bowl, slopes, X, x_scale="large"), ValueError, "x_scale must be"),
    "noise": (lambda: sd.check_gradient(bowl, slopes, X, noise=np.nan), ValueError, "noise"),
    "no directions": (lambda: sd.check_gradient(bowl, slopes, X, directions=0), ValueError, "at least 1"),
    "directions": (lambda: sd.check_gradient(bowl, slopes, X, directions=[[1.0, 2.0]]), ValueError, r"\(k, 3\)"),
    "direction 0": (lambda: sd.check_gradient(bowl, slopes, X, directions=[[0.0, 0, 0]]), ValueError, "not zero"),
    "rows": (lambda: sd.check_jacobian(lambda x: x[:2], lambda x: np.eye(3), X), ValueError, r"\(2,\).*\(3, 3\)"),
    "outside": (lambda: sd.check_gradient(bowl, slopes, X, bounds=(0, 1)), ValueError, "x must lie within bounds"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(backend, name):
    call, error, words = BAD[name]
    with pytest.raises(error, match=words):
        call()


def test_what_f_and_grad_raise_comes_back_with_the_evaluation(backend):
    class Planned(Exception):
        pass

    error = Planned()

    def fail(x):
        raise error

    with pytest.raises(Planned) as caught:
        sd.check_gradient(bowl, fail, X)
    assert caught.value is error and "in evaluation 1 of grad" in error.__notes__[0]
    error.__notes__.clear()
    with pytest.raises(Planned) as caught:
        sd.check_gradient(fail, slopes, X)
    assert caught.value is error and "in evaluation 1 of f" in error.__notes__[0]


def test_notes_count_through_all_stages():
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        if calls == 25:
            raise ZeroDivisionError
        return bowl(x)

    with pytest.raises(ZeroDivisionError) as caught:
        sd.check_gradient(f, slopes, X)
    assert "in evaluation 25 of f" in caught.value.__notes__[0]


def test_neither_f_nor_grad_can_change_x(backend):
    def spoil(function):
        def spoiled(x):
            found = function(x)
            x[...] = 7.0
            return found
        return spoiled

    x = X.copy()
    found = sd.check_gradient(spoil(bowl), spoil(slopes), x)
    assert found.ok and (x == X).all()


def test_a_gradient_may_return_one_buffer_every_time(backend):
    buffer = np.empty(3)

    def grad(x):
        buffer[:] = slopes(x)
        return buffer

    found = sd.check_gradient(bowl, grad, X.astype("f"))
    buffer[:] = 0
    assert found.ok and (found.table["given"] != 0).all()


def test_where_f_is_not_finite_nothing_is_called_right(backend):
    found = sd.check_gradient(lambda x: np.nan, slopes, X)
    assert not found.ok and found.counts["unresolved"] == 3 and found.counts["wrong"] == 0
    with pytest.raises(sd.GradientError, match="NOT BE CHECKED"):
        found.raise_if_wrong()
    assert not sd.check_gradient(lambda x: np.nan, slopes, X, mode="cheap").ok


def test_nested_checks_work_and_share_nothing(backend):
    def f(x):
        assert sd.check_gradient(bowl, slopes, x).ok
        return bowl(x)

    assert sd.check_gradient(f, slopes, X, mode="cheap").ok
