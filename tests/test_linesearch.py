"""Line searches alone: what they promise on kernel and reference, and what they say when they cannot keep it.

Here because a search is called by name, too. It tests linesearch.py and kernels/searches.pyx; the rules themselves are
tested in test_searches.py.
"""

import math

import pytest

import steepest as sd
from steepest.linesearch import SearchStatus

SEARCHES = {name: getattr(sd.linesearch, name) for name in ("armijo", "wolfe", "hager_zhang", "gll")}
ALL = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
WITH_SLOPES = pytest.mark.parametrize("search", [SEARCHES["wolfe"], SEARCHES["hager_zhang"]], ids=["wolfe", "hz"])


def phi(t):
    """The first function of Moré and Thuente [1994]."""
    return -t / (t * t + 2)


def slope(t):
    return (t * t - 2) / (t * t + 2) ** 2


def recorded(f):
    def seen(t):
        seen.steps.append(t)
        return f(t)

    seen.steps = []
    return seen


@ALL
@pytest.mark.parametrize("step", [1e-3, 1.0, 1e3])
def test_the_conditions_hold_at_the_step_that_is_found(backend, search, step):
    found = search(phi, slope, step=step)
    assert (found.status, found.success) == (SearchStatus.FOUND, True)
    assert found.f == phi(found.step)
    approximately = search is SEARCHES["hager_zhang"] and found.slope <= -0.8 * slope(0)
    assert found.f <= phi(0) + (0 if approximately else 1e-4 * found.step * slope(0))
    if search is SEARCHES["wolfe"]:
        assert abs(found.slope) <= 0.9 * abs(slope(0))
        assert abs(search(phi, slope, step=step, curvature=1e-3).slope) <= 1e-3 * abs(slope(0))
    if search is SEARCHES["hager_zhang"]:
        assert found.slope == slope(found.step) >= 0.9 * slope(0)


@ALL
def test_kernel_and_reference_look_at_the_same_steps(search):
    for step in (1e-4, 0.3, 7.0, 1e5):
        for options in ({}, {"longest": 2.0}, {"maxfev": 2}, {"decrease": 0.3}):
            looked = []
            for floor in ("kernels", "reference"):
                f = recorded(phi)
                with sd.backend(floor):
                    looked.append((search(f, slope, step=step, **options), f.steps))
            assert repr(looked[0]) == repr(looked[1])


@ALL
def test_slopes_may_come_by_differences_or_with_the_value_and_all_calls_are_counted(backend, search):
    f, g = recorded(phi), recorded(slope)
    given = search(f, g, step=0.5)
    assert (given.nfev, given.njev) == (len(f.steps), len(g.steps))
    f = recorded(lambda t: (phi(t), slope(t)))
    paired = search(f, True, step=0.5)
    assert (paired.nfev, paired.njev) == (len(f.steps), 0)
    assert paired.step == given.step
    f = recorded(phi)
    differenced = search(f, step=0.5)
    assert differenced.nfev == len(f.steps)
    assert differenced.step == pytest.approx(given.step, rel=1e-6)


@ALL
def test_what_is_known_is_not_asked_again(backend, search):
    f, g = recorded(phi), recorded(slope)
    found = search(f, g, f0=phi(0), slope0=slope(0))
    assert 0.0 not in f.steps + g.steps
    assert found.step == search(phi, slope).step


@ALL
@pytest.mark.parametrize("beyond", [math.nan, math.inf, -math.inf])
def test_a_trial_that_is_not_finite_shortens_the_step(backend, search, beyond):
    found = search(lambda t: (t - 0.9) ** 2 if t < 1 else beyond, lambda t: 2 * (t - 0.9), step=50.0)
    assert 0 < found.step < 1
    assert found.f < 0.81
    assert found.status != SearchStatus.HOPELESS


@ALL
def test_the_best_trial_is_never_lost(backend, search):
    """A slope that lies, and two looks: the conditions are not met, the lower of the two is kept."""
    f = recorded(lambda t: 1.0 - 1e-9 * (0 < t < 0.7) + t * (t >= 0.7))
    found = search(f, lambda t: -1.0, maxfev=3)
    assert found.status == SearchStatus.EXHAUSTED
    assert not found.success
    assert found.f == min(1.0 - 1e-9 * (0 < t < 0.7) + t * (t >= 0.7) for t in f.steps if t > 0) < 1.0
    assert found.step in f.steps


@ALL
@pytest.mark.parametrize(("line", "its_slope"), [
    (lambda t: t, lambda t: 1.0), (lambda t: 1.0, lambda t: 0.0), (lambda t: math.nan, lambda t: -1.0),
    (lambda t: 1.0 if t == 0 else math.nan, lambda t: -1.0), (lambda t: 1.0, lambda t: math.nan),
])
def test_where_nothing_can_be_done_there_is_a_status_and_no_step(backend, search, line, its_slope):
    found = search(line, its_slope)
    assert found.step == 0
    assert not found.success
    assert found.message


@ALL
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_limits_are_exact(backend, search, limit):
    f = recorded(lambda t: 1.0 + t * t)     # never lower
    found = search(f, lambda t: -1.0, maxfev=limit, f0=1.0)
    assert len(f.steps) == found.nfev <= limit
    f = recorded(lambda t: -t)
    found = search(f, lambda t: -1.0, step=10.0, longest=3.0)
    assert max(f.steps) == 3.0 == found.step
    assert (found.status, found.success) == (SearchStatus.AT_LIMIT, True)


def test_a_nonmonotone_search_may_climb_below_its_recent_values(backend):
    line = {"phi": lambda t: 1.0 + 0.5 * t, "slope0": -1.0}
    assert sd.linesearch.gll(**line, recent=[3.0, 0.0]).step == 1.0
    assert sd.linesearch.gll(**line).step < 1e-6
    assert sd.linesearch.gll(phi, slope).step == sd.linesearch.gll(phi, slope, recent=[-5.0]).step


@ALL
def test_what_phi_raises_comes_back_as_the_same_object_with_a_note(backend, search):
    planned = ZeroDivisionError("planned")

    def f(t):
        if t > 0:
            raise planned
        return 1.0

    with pytest.raises(ZeroDivisionError) as caught:
        search(f, lambda t: -1.0, step=0.25)
    assert caught.value is planned
    assert any("evaluation 2 of phi, at t = 0.25" in note for note in planned.__notes__)


@ALL
@pytest.mark.parametrize(("options", "error", "text"), [
    ({"step": 0}, ValueError, "step"), ({"step": math.nan}, ValueError, "step"), ({"step": "1"}, TypeError, "step"),
    ({"longest": 0}, ValueError, "longest"), ({"longest": math.nan}, ValueError, "longest"),
    ({"decrease": 0}, ValueError, "decrease"), ({"decrease": 1.0}, ValueError, "decrease"),
    ({"maxfev": 0}, ValueError, "maxfev"), ({"maxfev": 1.5}, TypeError, "maxfev"), ({"slope": 3}, TypeError, "slope"),
    ({"phi": None}, TypeError, "phi"), ({"f0": "a"}, TypeError, "f0"), ({"slope0": 1j}, TypeError, "slope0"),
])
def test_bad_arguments_are_refused_before_phi_is_called(search, options, error, text):
    def never(t):
        raise AssertionError("called")

    with pytest.raises(error, match=text):
        search(**({"phi": never, "slope": never} | options))


@WITH_SLOPES
def test_a_curvature_that_cannot_hold_is_refused(search):
    for wrong in (1.0, 0.01, math.nan):
        with pytest.raises(ValueError, match="curvature"):
            search(phi, slope, decrease=0.1, curvature=wrong)
    with pytest.raises(ValueError, match="decrease"):
        sd.linesearch.hager_zhang(phi, slope, decrease=0.5)
    with pytest.raises(ValueError, match="error"):
        sd.linesearch.hager_zhang(phi, slope, error=-1.0)
    with pytest.raises(TypeError, match="recent"):
        sd.linesearch.gll(phi, slope, recent=3)


@ALL
@pytest.mark.parametrize("wrong", ["1", None, 1j, [1.0, 2.0]])
def test_what_is_no_number_is_refused(backend, search, wrong):
    with pytest.raises((TypeError, ValueError), match="phi"):
        search(lambda t: wrong, slope)
    with pytest.raises(TypeError, match="pair"):
        search(phi, True)


def test_machines_are_used_as_they_are_meant(backend):
    machine = sd.backends.current().LineSearch(1, 1.0, -1.0, 1.0, 1.0, 0.0, 1e-4, 0.9, 20, math.inf)
    machine.tell(0.5, 0.0)
    assert (machine.status, machine.step, machine.f) == (SearchStatus.FOUND, 1.0, 0.5)
    with pytest.raises(ValueError, match="over"):
        machine.tell(0.5, 0.0)
    for wrong in ((4, 20), (-1, 20), (1, 0)):
        with pytest.raises(ValueError, match="no such search"):
            sd.backends.current().LineSearch(wrong[0], 1.0, -1.0, 1.0, 1.0, 0.0, 1e-4, 0.9, wrong[1], math.inf)
