"""Hessians are right, symmetric to the last bit and as cheap as promised, from values and from gradients.

Here because standard errors, trust regions and saddle points rest on them. Tests hessian.py, curvature.py, slopes.py.
"""

import concurrent.futures
import math
import warnings

import numpy as np
import pytest
import sent
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, rosen, rosen_der, rosen_hess

import steepest as sd

from .faults.contract import bits, case, raising

START = np.tile([-1.2, 1.0], 5)
ROOMS = [(START, None), (None, START), (START - 1e-6, START + 1.0), (START - 1.0, START + 1e-5),
         (np.where(np.arange(10) % 3, -9, START), np.where(np.arange(10) % 2, 9, START))]


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


class Counted:
    """A function, and how often it was called, where."""

    def __init__(self, f):
        self.f, self.points = f, []

    def __call__(self, x, *args, **kwargs):
        self.points.append(np.array(x))
        return self.f(x, *args, **kwargs)

    @property
    def calls(self):
        return len(self.points)


def relative(found, expected):
    """The largest error, as a share of the largest entry."""
    return abs(found - expected).max() / abs(expected).max()


def quietly(call, *args, **kwargs):
    """What a call gives, and whether it warned of differences."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        result = call(*args, **kwargs)
    return result, any(issubclass(warning.category, sd.DifferenceWarning) for warning in caught)


# accuracy

def test_the_hessian_of_rosenbrock_takes_111_values_for_3e_9_at_its_minimum():
    f = Counted(rosen)
    found = sd.hessian(f, np.ones(10))
    assert f.calls == 111 == 10 * 10 + 10 + 1
    assert relative(found, rosen_hess(np.ones(10))) <= 3e-9


@pytest.mark.parametrize(("options", "calls", "tolerance"), [
    ({}, 111, 1e-8), ({"method": "3-point"}, 111, 1e-8), ({"method": "forward"}, 66, 1e-4),
    ({"method": "backward"}, 66, 1e-4), ({"method": "complex"}, 115, 1e-10), ({"method": "cs"}, 115, 1e-10),
    ({"step": 1e-4}, 111, 3e-8), ({"rel_step": 1e-4}, 111, 3e-8), ({"x_scale": 2.0}, 111, 4e-8),
    ({"full_output": True}, 221, 1e-8),
], ids=str)
def test_values_give_the_hessian_in_the_calls_that_are_promised(options, calls, tolerance):
    f = Counted(rosen)
    found = sd.hessian(f, START, **options)
    if options.get("full_output"):
        assert found.nfev == f.calls and found.success
        found = found.value
    assert relative(found, rosen_hess(START)) < tolerance
    assert f.calls == calls
    assert (found == found.T).all()


@pytest.mark.parametrize(("options", "calls", "tolerance"), [
    ({}, 20, 1e-10), ({"method": "forward"}, 11, 1e-7), ({"method": "backward"}, 11, 1e-7),
    ({"method": "complex"}, 13, 1e-15), ({"step": 1e-5}, 20, 1e-9), ({"full_output": True}, 41, 1e-10),
], ids=str)
def test_a_gradient_gives_the_hessian_in_the_calls_that_are_promised(options, calls, tolerance):
    grad = Counted(rosen_der)
    found = sd.hessian(None, START, grad=grad, **options)
    if options.get("full_output"):
        assert found.nfev == grad.calls and found.success
        found = found.value
    assert relative(found, rosen_hess(START)) < tolerance
    assert grad.calls == calls
    assert (found == found.T).all()


def test_f_is_not_called_when_its_gradient_is_given():
    f = Counted(rosen)
    assert bits(sd.hessian(f, START, grad=rosen_der)) == bits(sd.hessian(None, START, grad=rosen_der))
    assert f.calls == 0


def cubic(seed, n):
    """A random polynomial of degree 3, and its Hessian."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, n)), rng.normal(size=(n, n, n))
    a, b = a + a.T, sum(b.transpose(p) for p in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)))

    def f(x):
        return x @ a @ x / 2 + np.einsum("ijk,i,j,k", b, x, x, x) / 6 + x.sum()

    return f, lambda x: a + np.einsum("ijk,k", b, x)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 6), side=st.sampled_from(["free", "below", "above", "mixed"]))
def test_polynomials_of_degree_3_are_exact_but_for_rounding_in_any_corner(seed, n, side):
    """Central differences of second order, and one-sided ones of a quadratic, leave no truncation."""
    f, hessian = cubic(seed, n)
    x = np.random.default_rng(seed).normal(size=n)
    turn = np.arange(n) % 3
    lower = {"below": x, "mixed": np.where(turn == 0, x, -np.inf)}.get(side, np.full(n, -np.inf))
    upper = {"above": x, "mixed": np.where(turn == 1, x, np.inf)}.get(side, np.full(n, np.inf))
    found = sd.hessian(f, x, bounds=(lower, upper))
    assert (found == found.T).all()
    size = 1 + abs(hessian(x)).max() + abs(x).max() ** 3
    assert abs(found - hessian(x)).max() < (1e-5 if side == "free" else 1e-4) * size


def test_a_quadratic_is_exact_where_its_numbers_are():
    matrix = np.array([[4.0, -2.0, 0.0], [-2.0, 8.0, 1.0], [0.0, 1.0, 16.0]])
    x = np.array([1.0, -2.0, 0.5])
    for options in ({}, {"method": "forward"}, {"bounds": (x, None)}, {"bounds": (None, x)}):
        with case(options):
            found = sd.hessian(lambda x: x @ matrix @ x / 2, x, step=2.0**-10, **options)
            assert (found == matrix).all()
    assert (sd.hessian(None, x, grad=lambda x: matrix @ x, step=2.0**-10) == matrix).all()


@pytest.mark.parametrize("options", [{}, {"method": "complex"}], ids=str)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 40])
def test_any_number_of_entries(n, options):
    x = np.linspace(-1, 1, n)
    f = Counted(lambda x: np.exp(x).sum() * (1 + x[:1].sum()))
    found = sd.hessian(f, x, **options)
    expected = np.diag(np.exp(x) * (1 + x[:1].sum()))
    expected[:1] += np.exp(x)
    expected[:, :1] += np.exp(x)[:, None]
    assert found.shape == (n, n)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert f.calls == (0 if n == 0 else n * n + n + 5 if options else n * n + n + 1)


def test_a_number_is_a_vector_of_one():
    found = sd.hessian(lambda x: x[0] ** 3, 2.0)
    assert found.shape == (1, 1) and found[0, 0] == pytest.approx(12, rel=1e-6)
    with pytest.raises(ValueError, match=r"x must have one dimension for a Hessian, but has shape \(2, 2\)"):
        sd.hessian(np.sum, np.ones((2, 2)))
    with pytest.raises(ValueError, match="one dimension for a Hessian"):
        sd.hvp(np.sum, np.ones((2, 2)), np.ones((2, 2)))


@pytest.mark.parametrize("char, tolerance", [("f", 3e-3), ("d", 1e-7), ("g", 1e-9)])
@pytest.mark.parametrize("grad", [None, lambda x: 3 * x**2 + x.sum() - x])
def test_the_type_of_x_is_what_f_sees_and_what_comes_back(char, tolerance, grad):
    seen = set()

    def watched(f):
        return lambda x: (seen.add(x.dtype.char), f(x))[1]

    def f(x):
        return (x**3).sum() + (x.sum() ** 2 - (x * x).sum()) / 2

    x = np.array([1.0, -2.0, 0.5], char)
    found = sd.hessian(watched(f), x) if grad is None else sd.hessian(None, x, grad=watched(grad))
    assert seen == {char} and found.dtype.char == char
    assert abs(found - (6 * np.diag(x) + np.ones((3, 3)) - np.eye(3))).max() < tolerance * 12


@pytest.mark.parametrize("char, tolerance", [("F", 3e-2), ("D", 1e-6), ("G", 1e-8)])
def test_a_complex_x_is_differentiated_as_of_a_holomorphic_function(char, tolerance):
    x = np.array([1 + 2j, -0.5j, 3]).astype(char)
    expected = 6 * np.diag(x) + np.ones((3, 3)) - np.eye(3)
    for found in (sd.hessian(lambda z: (z**3).sum() + (z.sum() ** 2 - (z * z).sum()) / 2, x),
                  sd.hessian(None, x, grad=lambda z: 3 * z**2 + z.sum() - z)):
        assert found.dtype.char == char and (found == found.T).all()
        assert abs(found - expected).max() < tolerance * 20


def test_f_of_less_precision_gets_the_steps_that_suit_it():
    f = Counted(lambda x: np.float32(rosen(x)))
    assert relative(sd.hessian(f, START), rosen_hess(START)) < 2e-2
    assert f.calls <= 111 + 25      # what was evaluated before that was known


# bounds

@pytest.mark.parametrize("bounds", ROOMS, ids=range(len(ROOMS)))
@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"method": "backward"}, {"method": "complex"}], ids=str)
def test_no_point_is_outside_the_bounds(bounds, options):
    f = Counted(rosen)
    lower, upper = (np.full(10, end) if bound is None else bound
                    for bound, end in zip(bounds, (-np.inf, np.inf), strict=True))
    found, _ = quietly(sd.hessian, f, START, bounds=Bounds(lower, upper), **options)
    assert all((lower <= point.real).all() and (point.real <= upper).all() for point in f.points)
    expected = rosen_hess(START)
    free = lower < upper
    assert relative(found, expected * free * free[:, None]) < (1e-2 if options else 1e-5)
    grad = Counted(rosen_der)
    found, _ = quietly(sd.hessian, None, START, grad=grad, bounds=bounds, **options)
    assert all((lower <= point.real).all() and (point.real <= upper).all() for point in grad.points)
    assert relative(found, expected * free * free[:, None]) < 1e-4


def test_one_sided_differences_are_of_second_order_too():
    x = np.array([0.3, -0.7, 1.1])
    errors = []
    for step in (1e-2, 5e-3):
        found = sd.hessian(lambda x: np.exp(x @ [1, 2, 0.5]), x, bounds=(x, None), step=step)
        errors.append(abs(found - np.exp(x @ [1, 2, 0.5]) * np.outer([1, 2, 0.5], [1, 2, 0.5])).max())
    assert 3.4 < errors[0] / errors[1] < 4.6


def test_what_is_fixed_has_a_row_and_a_column_of_zeros_and_is_not_moved():
    lower, upper = START - 1, START + 1
    lower[3] = upper[3] = START[3]
    for options in ({}, {"method": "complex"}, {"method": "forward"}, {"grad": rosen_der}):
        with case(options):
            f = Counted(options.get("grad", rosen))
            options = options | ({"grad": f} if "grad" in options else {})
            found = sd.hessian(f, START, bounds=(lower, upper), full_output=True, **options)
            fixed = np.zeros((10, 10), bool)
            fixed[3, :] = fixed[:, 3] = True
            assert ((found.status == sd.Status.FIXED) == fixed).all() and found.success
            assert not found.value[fixed].any() and not found.error[fixed].any() and not found.step[fixed].any()
            assert all(point[3] == START[3] for point in f.points)
    f = Counted(rosen)
    assert not sd.hessian(f, START, bounds=(START, START)).any() and f.calls == 0
    with pytest.raises(ValueError, match=r"x must lie within bounds, but x\[0\]"):
        sd.hessian(f, START, bounds=(START + 1, START + 2))
    assert f.calls == 0


def test_a_box_too_narrow_for_second_differences_is_unresolved_not_quietly_wrong():
    found, warned = quietly(sd.hessian, rosen, START, bounds=(START - 1e-8, START + 1e-8))
    assert warned
    found, _ = quietly(sd.hessian, rosen, START, bounds=(START - 1e-8, START + 1e-8), full_output=True)
    assert (found.status == sd.Status.UNRESOLVED).all() and not found.success


# what is known about the result

@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"method": "complex"}, {"bounds": (START, None)},
                                     {"grad": rosen_der}, {"grad": rosen_der, "method": "forward"}], ids=repr)
def test_the_true_error_is_within_the_bars(options):
    missed = []
    for seed in range(10):
        x = np.random.default_rng(seed).uniform(-2, 2, 10) if "bounds" not in options else START
        found = sd.hessian(rosen, x, full_output=True, **options)
        assert found.success and found.error.shape == found.step.shape == (10, 10)
        missed.append(abs(found.value - rosen_hess(x)) > 3 * found.error + 1e-12)
    assert np.mean(missed) <= 0.02


def test_the_step_of_an_entry_is_that_of_the_x_that_is_moved():
    found = sd.hessian(rosen, START, step=np.linspace(1, 2, 10) * 1e-4, full_output=True)
    np.testing.assert_allclose(found.step, np.tile(np.linspace(1, 2, 10) * 1e-4, (10, 1)), rtol=1e-9)
    found = sd.hessian(None, START, grad=rosen_der, step=np.linspace(1, 2, 10) * 1e-4, full_output=True)
    np.testing.assert_allclose(found.step, np.tile(np.linspace(1, 2, 10) * 1e-4, (10, 1)), rtol=1e-9)


def test_a_value_that_is_not_finite_on_one_side_leads_to_the_other():
    def f(x):
        return x[0] ** 2 + x[0] * x[1] + x[1] ** 4 if x[0] >= 1 else math.nan

    found = sd.hessian(f, [1.0, 2.0], full_output=True)
    assert found.success and (found.status == [[1, 1], [1, 0]]).all()
    np.testing.assert_allclose(found.value, [[2, 1], [1, 48]], rtol=1e-5)
    found = sd.hessian(lambda x: np.log(x[0]) + x[0] * x[1] if x[0] > 0 else -np.inf, [1e-8, 1.0], full_output=True)
    assert found.success and (abs(found.value - [[-1e16, 1], [1, 0]]) <= found.error).all()
    assert found.value[0, 0] == pytest.approx(-1e16, rel=1e-6)


def test_a_pair_that_is_not_finite_is_flagged_alone():
    def f(x):
        return math.inf if x[0] > 1 and x[1] > 1 else (x * x).sum()

    found, warned = quietly(sd.hessian, f, np.ones(3))
    assert warned and (np.isnan(found) == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]).all()
    found = sd.hessian(f, np.ones(3), full_output=True)
    assert found.status[0, 1] == found.status[1, 0] == sd.Status.NONFINITE and found.error[0, 1] == np.inf
    assert found.status[0, 2] == sd.Status.RESOLVED and "[0, 1]" in found.message


def test_a_function_that_is_nowhere_finite_is_not_asked_for_pairs():
    f = Counted(lambda x: math.nan)
    found, warned = quietly(sd.hessian, f, np.ones(10))
    assert warned and np.isnan(found).all() and f.calls <= 21


def test_a_kink_is_not_resolved():
    found = sd.hessian(lambda x: abs(x[0]) + x[1] ** 2, np.zeros(2), full_output=True)
    assert found.status[0, 0] == sd.Status.UNRESOLVED and found.status[1, 1] == sd.Status.RESOLVED


def test_a_gradient_that_is_none_is_found_out_by_its_asymmetry():
    found = sd.hessian(None, np.ones(2), grad=lambda x: np.array([x[1], -x[0]]), full_output=True)
    assert not found.success and "grad is not the gradient of a function" in found.message
    assert found.status[0, 1] == sd.Status.UNRESOLVED and found.status[0, 0] == sd.Status.RESOLVED


def test_what_is_not_finite_in_one_row_of_differences_is_taken_from_the_other():
    def grad(x):
        return np.array([2 * x[0] + x[1], x[0] + (math.nan if x[0] != 1 else 4 * x[1])])

    found, _ = quietly(sd.hessian, None, np.ones(2), grad=grad, full_output=True)
    assert found.status[0, 1] == found.status[1, 0] == sd.Status.RESOLVED
    assert found.value[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("f", [lambda x: x[0].real ** 2 + x[0] * 0, lambda x: (x * x.conj()).sum()])
def test_a_complex_step_of_what_is_not_analytic_is_found_out(f):
    found = sd.hessian(f, np.array([0.5, 2.0]), method="complex", full_output=True)
    assert not found.success and "not analytic" in found.message
    with pytest.raises(TypeError, match="drops the imaginary part"):
        sd.hessian(lambda x: float((x.real**2).sum()), np.ones(2), method="complex")
    with pytest.raises(ValueError, match="needs a real x"):
        sd.hessian(f, np.ones(2, complex), method="complex")


# who evaluates

def test_a_vectorised_f_is_asked_for_many_points_at_once():
    batches = []

    def many(x):
        batches.append(x.shape)
        return np.array([rosen(point) for point in x])

    assert bits(sd.hessian(many, START, vectorized=True)) == bits(sd.hessian(rosen, START))
    assert sum(shape[0] for shape in batches) == 111 and len(batches) == 2
    assert bits(sd.hessian(None, START, grad=lambda x: np.array([rosen_der(point) for point in x]), vectorized=True)) \
        == bits(sd.hessian(None, START, grad=rosen_der))


@pytest.mark.parametrize("options", [{}, {"method": "complex"}, {"full_output": True}, {"bounds": (START, None)}],
                         ids=repr)
def test_workers_give_the_bits_of_one(options):
    x = START[:4]
    options = {name: (x, None) if name == "bounds" else value for name, value in options.items()}
    expected = bits(sd.hessian(sent.valley, x, **options))
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        for workers in (threads, map):
            assert bits(sd.hessian(sent.valley, x, workers=workers, **options)) == expected
    assert bits(sd.hessian(sent.valley, x, workers=2, **options)) == expected


def test_a_compiled_f_and_a_compiled_gradient_are_called_by_pointer(native):
    f, plain = native.given("rosenbrock", "ctypes", None), sd.compiled(native.ctypes("rosenbrock"))
    x = np.linspace(0.5, 1.5, 6)
    found = sd.hessian(f, x)
    assert bits(found) == bits(sd.hessian(lambda x: plain(x), x))
    for workers in (1, 2, 5):
        assert bits(sd.hessian(f, x, workers=workers)) == bits(found)
    grad, called = native.given("slopes", "ctypes", None), sd.compiled(native.ctypes("slopes"), size=6)
    expected = sd.hessian(None, x, grad=lambda x: called(x))
    for workers in (None, 2, 5):
        assert bits(sd.hessian(None, x, grad=grad, workers=workers)) == bits(expected)
    with pytest.raises(ValueError, match="grad gives 5 numbers, expected 6, as many as x has"):
        sd.hessian(None, x, grad=sd.compiled(native.ctypes("slopes"), size=5))


def test_the_note_on_an_exception_names_both_entries():
    for call in range(1, 112):
        f = Counted(raising(call, rosen, ZeroDivisionError()))
        with pytest.raises(ZeroDivisionError) as caught:
            sd.hessian(f, START)
        moved = np.flatnonzero(f.points[-1] != START)
        where = ", ".join(f"x[{i}] = {f.points[-1][i]}" for i in moved)
        assert caught.value.__notes__ == [
            f"steepest: in evaluation {call} of f, {'with ' + where if where else 'at x itself'}"]


def test_progress_counts_every_evaluation(capsys):
    pytest.importorskip("tqdm")
    sd.hessian(rosen, START, progress=True)
    assert "111/111" in capsys.readouterr().err.replace(" ", "")


# what is refused

@pytest.mark.parametrize(("options", "error", "message"), [
    ({"method": "adaptive"}, ValueError, "method must be one of 'central'.* for second derivatives, not 'adaptive'"),
    ({"method": "switch"}, ValueError, "for second derivatives, not 'switch'"),
    ({"method": "newton"}, ValueError, "method must be one of"),
    ({"grad": 3}, TypeError, "grad must be callable, not int"),
    ({"out": np.zeros((3, 2))}, ValueError, r"out must have shape \(3, 3\)"),
    ({"out": np.zeros((3, 3), "f")}, TypeError, "out must have dtype float64"),
    ({"step": [1e-3, 0.0, 1e-3]}, ValueError, r"step\[1\]"),
    ({"bounds": (2.0, 1.0)}, ValueError, "lb <= ub"),
    ({"noise": -1.0}, ValueError, "noise must be above 0"),
    ({"progress": 1}, TypeError, "progress"),
], ids=str)
def test_bad_options_are_refused_before_f_is_called(options, error, message):
    f = Counted(rosen)
    with pytest.raises(error, match=message):
        sd.hessian(f, np.ones(3), **options)
    assert f.calls == 0


@pytest.mark.parametrize("f", [None, 3, "f"])
def test_what_is_no_function_is_refused(f):
    with pytest.raises(TypeError, match="f must be callable"):
        sd.hessian(f, np.ones(3))


def test_a_gradient_of_another_length_is_refused_by_name():
    with pytest.raises(ValueError, match=r"grad returned shape \(2,\) in evaluation 1, but x has shape \(3,\)"):
        sd.hessian(None, np.ones(3), grad=lambda x: x[:2])
    with pytest.raises(ValueError, match=r"grad returned shape \(2,\) in evaluation 1, but x has shape \(3,\)"):
        sd.hessian(None, np.ones(3), grad=lambda x: x[:2], workers=map)


def test_out_takes_the_hessian_and_is_committed_last():
    out = np.full((10, 10), 7.0)
    with pytest.raises(ZeroDivisionError):
        sd.hessian(lambda x: 1 / 0, START, out=out)
    assert (out == 7).all()
    assert sd.hessian(rosen, START, out=out) is out
    assert bits(out) == bits(sd.hessian(rosen, START))


def test_one_number_in_any_wrapping_is_that_number():
    for wrap in (lambda value: [value], lambda value: np.array([[value]])):
        for method in ("central", "complex"):
            found = sd.hessian(lambda x, wrap=wrap: wrap(rosen(x)), START, method=method)
            assert bits(found) == bits(sd.hessian(rosen, START, method=method))
