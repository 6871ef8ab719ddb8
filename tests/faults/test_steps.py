"""Steps, bounds, and numbers at the edge of what a float can hold.

Here because between a step too small and a step too large a derivative is quietly wrong.
It tests rows E1 to E13, E16, A11 and A12: the step really taken, inside the bounds, and what cannot be known said so.
"""

import warnings

import numpy as np
import pytest
from scipy.optimize import Bounds

import steepest as sd

from .contract import (
    X,
    attempt,
    bits,
    bowl,
    calls_of,
    case,
    counted,
    cube,
    curves,
    entries,
    name_of,
    on_call,
    right,
)

METHODS = [
    {"method": "central"}, {"method": "central", "order": 4}, {"method": "central", "order": 8}, {"method": "forward"},
    {"method": "forward", "order": 3}, {"method": "backward"}, {"method": "backward", "order": 2},
]
WITH_COMPLEX = [*METHODS, {"method": "complex"}]


def methods(entry, table=METHODS):
    """Those that an entry point has."""
    return [options for options in table if entry.takes >= set(options)]


STEPPED = entries("step", "method")
BOUNDED = entries("step", "method", "bounds", one_point=True)
FULL = entries("step", "method", "full_output")


def watched(f, seen):
    """F, noting every point that it is evaluated at."""
    return on_call(None, f, lambda x, result: (seen.append(np.array(x)), result)[1])


def quietly(call, *args, **kwargs):
    """What a call gives, and whether it warned of differences."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        result = call(*args, **kwargs)
    return result, any(issubclass(warning.category, sd.DifferenceWarning) for warning in caught)


def value_of(entry, result):
    found = entry.pick(result)
    return np.asarray(found.value if isinstance(found, sd.Derivative) else found)


@pytest.mark.parametrize("name", ["step", "rel_step", "x_scale"])
@pytest.mark.parametrize("entry", STEPPED, ids=str)
def test_E1_a_step_of_zero_is_a_value_error_that_names_it(backend, entry, name):
    f = counted(entry.f)
    for zero in (0, 0.0, -0.0, np.float32(0)):
        error = attempt(entry.call, f, X, **{name: zero})[1]
        assert isinstance(error, ValueError) and name in str(error) and f.calls == 0
    if not entry.name.startswith(("jvp", "hvp")) or name == "x_scale":
        error = attempt(entry.call, f, X, **{name: [1.0, 0.0, 1.0]})[1]
        assert isinstance(error, ValueError) and f"{name}[1]" in str(error) and f.calls == 0


@pytest.mark.parametrize("name", ["step", "rel_step", "x_scale"])
@pytest.mark.parametrize("entry", STEPPED, ids=str)
def test_E2_a_step_that_is_negative_or_not_finite_is_a_value_error(backend, entry, name):
    f = counted(entry.f)
    for bad in (np.nan, np.inf, -np.inf, -1e-3, -5e-324):
        with case(bad):
            error = attempt(entry.call, f, X, **{name: bad})[1]
            assert isinstance(error, ValueError) and name in str(error) and f.calls == 0
            if not entry.name.startswith(("jvp", "hvp")) or name == "x_scale":
                error = attempt(entry.call, f, X, **{name: [1.0, 1.0, bad]})[1]
                assert isinstance(error, ValueError) and f"{name}[2]" in str(error) and f.calls == 0


LOST = [{"step": 5e-324}, {"step": 1e-310}, {"step": 1e-30}, {"step": 1e-17}, {"rel_step": 1e-17}, {"rel_step": 1e-300}]


@pytest.mark.parametrize("lost", LOST, ids=name_of)
@pytest.mark.parametrize("entry", FULL, ids=str)
def test_E3_a_step_that_does_not_move_x_is_enlarged_and_reported(backend, entry, lost):
    for options in methods(entry):
        seen = []
        _, warned = quietly(entry.call, watched(entry.f, seen), X, **lost, **options)
        assert warned, f"{options}: a derivative from steps of a few units in the last place is unresolved"
        found = entry.pick(quietly(entry.call, entry.f, X, full_output=True, **lost, **options)[0])
        assert not found.success and (np.asarray(found.status) >= sd.Status.UNRESOLVED).all()
        assert (np.abs(found.step) > next(iter(lost.values()))).all()
        if entry.kind_name in ("scalar", "vector"):
            assert sum((point == X).all() for point in seen) <= 1       # f(x) once; all others are other points


@pytest.mark.parametrize("step", [1e-3, 1e-5, 3e-7, 1e-9, 0.1])
@pytest.mark.parametrize("x", [0.1, 1.0, 1e8, 1e-8, -3.0])
def test_E4_the_step_used_is_the_step_taken(backend, step, x):
    """From the points that f saw, to the last bit: (f(x+h) - f(x-h)) / ((x+h) - (x-h))."""
    for method in ("central", "forward", "backward"):
        seen = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sd.DifferenceWarning)
            found = sd.derivative(watched(cube, seen), x, step=step, method=method)
        points = {float(point) for point in seen}
        if method == "central":
            ahead, behind = max(points), min(points)
            points -= {float(x)}
        else:
            (moved,) = points - {x}
            ahead, behind = (moved, x) if method == "forward" else (x, moved)
        assert found == (cube(ahead) - cube(behind)) / (ahead - behind), (method, points)


@pytest.mark.parametrize("options", METHODS, ids=name_of)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("sign", [1, -1])
def test_E5_points_never_overflow(backend, sign, kind, options):
    """At the largest number there is room on one side only."""
    x = sign * np.array([np.finfo(kind).max, np.finfo(kind).max / 2, kind(1)], kind)
    seen = []
    scale = kind(2) ** (3 - np.finfo(kind).maxexp)

    def line(x):
        return (x * scale).sum()

    found, _ = quietly(sd.gradient, watched(line, seen), x, full_output=True, **options)
    assert np.isfinite(seen).all()
    np.testing.assert_allclose(np.asarray(found.value[:2] / scale, float), 1, rtol=1e-2)
    assert found.status[0] != sd.Status.NONFINITE


SIZES = [0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e-300, 1e-16, 1.0, 1e16, 1e300, -1e300]


@pytest.mark.parametrize("options", WITH_COMPLEX, ids=name_of)
@pytest.mark.parametrize("entry", entries("step", one_point=True, kinds=["number", "scalar", "batch"]), ids=str)
def test_E6_a_line_has_its_slope_at_every_size_of_x(backend, entry, options):
    for size in SIZES:
        x = np.full(3, size)

        def line(x):
            if entry.kind_name == "number":
                return 3 * x
            return (3 * x).sum(axis=-1)

        found, warned = quietly(entry.call, line, x, **options)
        assert not warned, size
        np.testing.assert_allclose(value_of(entry, found), 3.0, rtol=1e-5, err_msg=str(size))


@pytest.mark.parametrize("entry", entries("method", one_point=True), ids=str)
def test_E6_plus_and_minus_zero_have_the_same_step(backend, entry):
    points = []
    for zero in (0.0, -0.0):
        seen = []
        entry.call(watched(entry.f, seen), np.full(3, zero))
        points.append([np.abs(point[point != 0]) for point in map(np.atleast_1d, seen)])
    assert all(np.array_equal(a, b) for a, b in zip(*points, strict=True))


def box(lower, upper):
    """Bounds in the forms in which they may be given."""
    return [(lower, upper), [lower, upper], Bounds(lower, upper), (list(lower), tuple(upper))]


def inside(entry, seen, lower, upper):
    """Whether all points that f saw were inside the bounds."""
    if entry.kind_name in ("number", "numbers"):
        return all(np.any((lower <= t) & (t <= upper)) for point in seen for t in np.atleast_1d(point))
    return all(((lower <= point) & (point <= upper)).all() for point in seen)


@pytest.mark.parametrize("side", ["lower", "upper", "both"])
@pytest.mark.parametrize("entry", BOUNDED, ids=str)
def test_E7_f_is_never_evaluated_outside_the_bounds(backend, entry, side):
    """X sits on a bound, or close to it, or the room is a thousandth of a step; derivatives stay right."""
    lower, upper = np.full(3, -np.inf), np.full(3, np.inf)
    if side != "upper":
        lower = X - np.array([0.0, 1e-9, 1.0])
    if side != "lower":
        upper = X + np.array([1.0, 1e-3, 0.0])
    answer = entry.answer(entry.kind.answer(X))
    for options in methods(entry):
        for bounds in box(lower, upper):
            seen = []
            found, warned = quietly(entry.call, watched(entry.f, seen), X, bounds=bounds, **options)
            assert inside(entry, seen, lower, upper) and (seen or entry.name.startswith("hvp")), options
            found = value_of(entry, found)
            if side == "both" and entry.name.startswith(("jvp", "hvp")):
                assert np.isnan(found).all() and warned     # the direction leaves the box both ways
            else:
                np.testing.assert_allclose(found, answer, rtol=2e-3, atol=2e-3)


def test_E7_one_number_at_its_bound_is_never_left(backend):
    for options in METHODS:
        for x, bounds in ((1.0, (1.0, 2.0)), (2.0, (1.0, 2.0)), (1.0, (1.0, None)), (1.0, (None, 1.0))):
            seen = []
            found = sd.derivative(watched(cube, seen), x, bounds=bounds, **options)
            low, high = (-np.inf if bounds[0] is None else bounds[0]), (np.inf if bounds[1] is None else bounds[1])
            assert all(low <= t <= high for t in seen)
            np.testing.assert_allclose(found, 3 * x**2, rtol=1e-5)


@pytest.mark.parametrize("entry", entries("bounds", "full_output", kinds=["number", "scalar", "vector"]), ids=str)
def test_E7_a_difference_that_fell_to_one_side_says_so(backend, entry):
    if entry.name.startswith("jvp"):
        found = entry.call(entry.f, X, bounds=(X, X + 1), full_output=True)
        assert found.success and (found.status == sd.Status.ONE_SIDED).all() and (found.step > 0).all()
        return
    found = entry.pick(entry.call(entry.f, X, bounds=(X - np.array([0, 1, 1]), X + np.array([1, 1, 0])),
                                  full_output=True))
    status = np.atleast_2d(found.status)
    assert (status == [sd.Status.ONE_SIDED, sd.Status.RESOLVED, sd.Status.ONE_SIDED]).all()
    assert found.success and (np.sign(np.atleast_2d(found.step)) == [1, 1, -1]).all()


@pytest.mark.parametrize("width", [1e-4, 1e-7, 1e-10, 1e-13])
@pytest.mark.parametrize("entry", BOUNDED, ids=str)
def test_E8_a_step_is_shrunk_to_fit_a_box_narrower_than_itself(backend, entry, width):
    lower, upper = X - width / 3, X + width
    answer = entry.answer(entry.kind.answer(X))
    for options in methods(entry):
        seen = []
        found, warned = quietly(entry.call, watched(entry.f, seen), X, bounds=(lower, upper), step=1e-2, **options)
        assert seen and inside(entry, seen, lower, upper), options
        wrong = np.abs(value_of(entry, found) - answer) > 2e-2 * np.abs(answer).max() + 1e-14 / width
        assert not wrong.any() or warned, options


@pytest.mark.parametrize("entry", BOUNDED, ids=str)
def test_E9_a_fixed_entry_has_derivative_zero_and_is_not_moved(backend, entry):
    lower, upper = X - 1.0, X + 1.0
    lower[1] = upper[1] = X[1]
    jacobian = entry.kind.answer(X)
    jacobian[..., 1] = 0
    if entry.name.startswith(("hessian", "hvp")):
        jacobian[1] = 0
    for options in methods(entry, WITH_COMPLEX):
        seen = []
        found = value_of(entry, entry.call(watched(entry.f, seen), X, bounds=(lower, upper), **options))
        np.testing.assert_allclose(found, entry.answer(jacobian), rtol=1e-5, atol=1e-5, err_msg=name_of(options))
        if not entry.name.startswith("jvp"):
            assert (found[..., 1] == 0).all()
        if entry.kind_name not in ("number", "numbers"):
            assert all((point.reshape(-1, 3)[:, 1] == X[1]).all() for point in seen), options


@pytest.mark.parametrize("entry", entries("bounds", "full_output"), ids=str)
def test_E9_a_fixed_entry_has_its_status_and_no_evaluation(backend, entry):
    f = counted(entry.f)
    found = entry.pick(entry.call(f, X, bounds=(X, X), full_output=True))
    fixed = np.asarray(found.status) == sd.Status.FIXED
    assert found.success and (fixed.all() or entry.name.startswith("jvp"))      # a direction of length 0 is resolved
    assert not np.any(found.value) and not np.any(found.error) and not np.any(found.step)
    assert f.calls <= 1     # f(x), where it is wanted


BAD_BOUNDS = [
    ((1.0, 0.0), "bounds"), ((X + 1, X - 1), "bounds"), ((np.nan, 1.0), "bounds"), ((-1.0, np.nan), "bounds"),
    (([-9, np.nan, -9], [9, 9, 9]), "bounds"), ((np.inf, -np.inf), "bounds"), ((0.75, 9.0), "bounds"),
    ((-9.0, 1.5), "bounds"), ((np.full(2, -9.0), np.full(2, 9.0)), "bounds"), (("a", "b"), "bounds"),
    ((X + 1, X + 2), "x[0]"), ((X - 2, X - 1), "x[0]"), (([-9, -9, 2.5], [9, 9, 9]), "x[2]"),
    ((np.inf, np.inf), "bounds"),
]


@pytest.mark.parametrize("entry", entries("bounds"), ids=str)
def test_E10_impossible_bounds_are_refused_before_f_is_called(backend, entry):
    f = counted(entry.f)
    for bounds, word in BAD_BOUNDS:
        with case(repr(bounds)):
            error = attempt(entry.call, f, X, bounds=bounds)[1]
            assert isinstance(error, (ValueError, TypeError)) and word in str(error), error
            assert f.calls == 0


def root(x):
    """Defined for positive x only: it raises outside."""
    if np.any(np.real(x) < 0):
        raise ValueError("outside the domain")
    return np.sqrt(x).sum()


@pytest.mark.parametrize("options", METHODS, ids=name_of)
@pytest.mark.parametrize("entry", entries("bounds", kinds=["scalar", "number"], one_point=True), ids=str)
def test_E11_bounds_make_a_function_safe_that_raises_outside_its_domain(backend, entry, options):
    x = np.array([1e-12, 0.25, 1.0])
    found, _ = quietly(entry.call, root, x, bounds=(0.0, np.inf), **options)
    found = value_of(entry, found)
    np.testing.assert_allclose(found[1:], 0.5 / np.sqrt(x[1:]), rtol=1e-2)


def half_line(x):
    """NaN on the negative side of every entry."""
    with np.errstate(invalid="ignore"):
        return np.where(np.min(x) >= 0, (x * np.abs(x)).sum() + 2 * np.sum(x), np.nan)


@pytest.mark.parametrize("options", METHODS, ids=name_of)
@pytest.mark.parametrize("entry", entries("full_output", kinds=["scalar", "number"]), ids=str)
def test_A12_nan_on_one_side_leads_to_the_other_side_and_is_reported(backend, entry, options):
    x = np.array([0.0, 1e-9, 1.0])
    found, warned = quietly(entry.call, half_line, x, **options)
    np.testing.assert_allclose(value_of(entry, found), 2 * x + 2, rtol=1e-3)
    assert not warned
    found = entry.pick(quietly(entry.call, half_line, x, full_output=True, **options)[0])
    assert found.success and found.status[2] == sd.Status.RESOLVED
    assert options["method"] == "forward" or found.status[0] == sd.Status.ONE_SIDED


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("entry", FULL, ids=str)
def test_A12_one_value_that_is_not_finite_is_never_a_plausible_number(backend, entry, bad):
    answer = entry.answer(entry.kind.answer(X))
    for options in methods(entry):
        for k in range(1, calls_of(entry, **options) + 1):
            with case(options, k):
                f = on_call(k, entry.f, lambda x, result: result * 0 + bad)
                found, warned = quietly(entry.call, f, X, **options)
                found = value_of(entry, found)
                wrong = ~np.isnan(found) & ~(np.abs(found - answer) <= 2e-2 * np.abs(answer).max())
                assert not wrong.any(), found
                assert not np.isnan(found).any() or warned


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("entry", FULL, ids=str)
def test_A11_a_function_that_is_nowhere_finite_is_flagged_by_index(backend, entry, bad):
    f = on_call(None, entry.f, lambda x, result: result * 0 + bad)
    for options in methods(entry):
        with case(options), np.errstate(all="ignore"):
            error = attempt(entry.call, f, X, **options)[1]
            assert isinstance(error, sd.DifferenceWarning) and "not finite" in str(error) and "[0" in str(error)
            found = entry.pick(entry.call(f, X, full_output=True, **options))
            assert np.isnan(found.value).all() and not found.success
            assert (np.asarray(found.status) == sd.Status.NONFINITE).all() and "not finite" in found.message


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
def test_A11_only_the_results_that_are_not_finite_are_flagged(backend, bad):
    def f(x):
        return np.array([x[0], bad, x[1] * x[2]])

    found, warned = quietly(sd.jacobian, f, X)
    assert warned and np.isnan(found[1]).all() and np.isfinite(found[[0, 2]]).all()
    found, _ = quietly(sd.jacobian, f, X, full_output=True)
    assert (found.status[1] == sd.Status.NONFINITE).all() and (found.status[[0, 2]] == sd.Status.RESOLVED).all()


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_A11_a_point_where_f_is_not_finite_itself(backend, method):
    """The value comes back as it is; a one-sided difference that uses it is flagged."""
    def hole(x):
        return np.inf if np.all(x == 1.0) else float(np.sum(x))

    (value, slope), warned = quietly(sd.value_and_gradient, hole, np.ones(2), method=method)
    assert value == np.inf
    assert (np.isnan(slope).all() and warned) if method != "central" else np.allclose(slope, 1.0)


KINKS = {
    "abs": lambda t: np.abs(t),
    "relu": lambda t: np.maximum(t, 0),
    "steep and flat": lambda t: np.where(t > 0, 5 * t, 0.1 * t),
    "jump": lambda t: np.where(t >= 0, 1.0, 0.0) + t,
    "sign": np.sign,
    "root of abs": lambda t: np.sqrt(np.abs(t)),
}


@pytest.mark.parametrize("name", KINKS)
@pytest.mark.parametrize("entry", entries("full_output", kinds=["number", "numbers", "scalar"]), ids=str)
def test_E12_a_kink_or_jump_is_reported_unreliable(backend, entry, name):
    """At 0 there is no derivative: no success, or a bar as large as the difference of the slopes."""
    def f(x):
        return KINKS[name](x) if entry.kind_name != "scalar" else KINKS[name](x).sum()

    found = entry.pick(quietly(entry.call, f, np.zeros(2), full_output=True)[0])
    doubtful = (found.status >= sd.Status.UNRESOLVED) | (found.error >= 0.4)
    assert doubtful.all(), (found.value, found.error, found.status)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1e300, 5e-324, 1e-300], ids=str)
@pytest.mark.parametrize("entry", FULL, ids=str)
def test_E13_a_constant_has_derivative_zero(backend, entry, value):
    f = on_call(None, entry.f, lambda x, result: np.zeros_like(result) + value)
    for options in methods(entry):
        with case(options):
            assert not value_of(entry, entry.call(f, X, **options)).any()
            found = entry.pick(entry.call(f, X, full_output=True, **options))
            assert found.success and (np.asarray(found.error) <= 1e-3 * max(1.0, abs(value))).all()


@pytest.mark.parametrize("level", [1e-12, 1e-8, 1e-4, 1.0])
@pytest.mark.parametrize("entry", entries("full_output", kinds=["number", "scalar"]), ids=str)
def test_E13_the_bar_of_pure_noise_covers_zero_or_says_unresolved(backend, entry, level):
    rng = np.random.default_rng(7)
    missed = []
    for _ in range(30):
        found = entry.pick(quietly(entry.call, lambda x: level * rng.standard_normal(), X, full_output=True)[0])
        missed.append((found.status < sd.Status.UNRESOLVED) & (np.abs(found.value) > 5 * found.error))
    assert np.mean(missed) <= 0.05


FLAT = {
    "zero": lambda x, result: result * 0.0,
    "minus zero": lambda x, result: -(result * 0.0),
    "minus": lambda x, result: -result,
    "one of them": lambda x, result: result * (np.asarray(x).ravel()[0].real > 0.5),
    "denormal": lambda x, result: result * 1e-310,
    "huge": lambda x, result: result * 1e300,
}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("entry", STEPPED, ids=str)
def test_E16_kernel_and_reference_agree_on_every_bit_and_on_the_sign_of_zero(entry, name):
    for options in (*methods(entry, WITH_COMPLEX), {"step": 0.5}, {"rel_step": 1e-3}):
        for x in (X, np.array([0.0, -0.0, 1e-310]), np.array([-0.0, 1e200, -1e-200])):
            results = []
            for backend in ("kernels", "reference"):
                with sd.backend(backend), warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    results.append(bits(entry.call(on_call(None, entry.f, FLAT[name]), x, **options)))
            with case(options, repr(x)):
                assert results[0] == results[1]


def test_E7_the_bounds_themselves_are_points_of_the_table(backend):
    """The claims about bounds rest on functions that are evaluated on them."""
    seen = []
    sd.gradient(watched(bowl, seen), X, bounds=(X, X + 1))
    assert any((point == X).all() for point in seen)
    assert right(entries(kinds=["vector"])[0], f=curves) == bits(sd.jacobian(curves, X))
