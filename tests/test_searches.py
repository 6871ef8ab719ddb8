"""Line searches: the published test functions, points that are not finite, the best trial kept, kernel = reference.

Here because a walk is as reliable as its search. It tests reference/searches.py; kernels/_searches.pxi is held to it
through walks, in tests/test_descent.py.
"""

import math

import pytest

from steepest.reference.searches import (
    ARMIJO,
    AT_LIMIT,
    EXHAUSTED,
    FOUND,
    GLL,
    HAGER_ZHANG,
    HOPELESS,
    NEEDS_SLOPE,
    SEARCHES,
    TOO_CLOSE,
    WOLFE,
    Outcome,
)

KINDS = [ARMIJO, WOLFE, HAGER_ZHANG, GLL]


def search(kind, f, slope, step, **options):
    """``(outcome, the steps that were looked at)``."""
    machine, looked = SEARCHES[kind](f(0.0), slope(0.0), step, **options), []
    try:
        at = next(machine)
        while True:
            looked.append(at)
            at = machine.send((f(at), slope(at)))
    except StopIteration as stop:
        return stop.value, looked


def more_thuente(number):
    """The first three functions of Moré and Thuente [1994], and their slopes."""
    if number == 1:
        return lambda t: -t / (t * t + 2), lambda t: (t * t - 2) / (t * t + 2) ** 2
    if number == 2:
        return (lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
                lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3)
    width, waves = 0.01, 39

    def bent(t):
        if t <= 1 - width:
            return 1 - t
        return t - 1 if t >= 1 + width else (t - 1) ** 2 / (2 * width) + width / 2

    def bent_slope(t):
        if t <= 1 - width:
            return -1.0
        return 1.0 if t >= 1 + width else (t - 1) / width

    size = 2 * (1 - width) / (waves * math.pi)
    return (lambda t: bent(t) + size * math.sin(waves * math.pi / 2 * t),
            lambda t: bent_slope(t) + (1 - width) * math.cos(waves * math.pi / 2 * t))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1e-3, 1e-1, 1e1, 1e3])
@pytest.mark.parametrize("number", [1, 2])
def test_the_conditions_hold_where_a_search_says_so(kind, step, number):
    f, slope = more_thuente(number)
    outcome, looked = search(kind, f, slope, step)
    assert outcome.status == FOUND
    assert outcome.step == looked[-1]
    assert outcome.f == f(outcome.step)
    decreases = f(outcome.step) <= f(0.0) + (0.1 if kind == HAGER_ZHANG else 1e-4) * outcome.step * slope(0.0)
    approximately = kind == HAGER_ZHANG and outcome.f <= f(0.0) and slope(outcome.step) <= -0.8 * slope(0.0)
    assert decreases or approximately
    if kind == WOLFE:
        assert abs(slope(outcome.step)) <= 0.9 * abs(slope(0.0))
    if kind == HAGER_ZHANG:
        assert slope(outcome.step) >= 0.9 * slope(0.0)
    assert len(looked) <= 20


@pytest.mark.parametrize("kind", [WOLFE, HAGER_ZHANG])
def test_many_waves_do_not_lead_astray(kind):
    f, slope = more_thuente(3)
    outcome, looked = search(kind, f, slope, 0.1, **({"curvature": 0.1} if kind == WOLFE else {}))
    assert outcome.status == FOUND
    assert f(outcome.step) < f(0.0)
    assert len(looked) <= 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wall", [1e-6, 0.3, 0.999])
@pytest.mark.parametrize("beyond", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_shortens_the_step(kind, wall, beyond):
    """The minimum at 0.9 of the way to a wall, which the first step jumps over."""
    f = lambda t: (t / wall - 0.9) ** 2 if t < wall else beyond     # noqa: E731
    slope = lambda t: 2 * (t / wall - 0.9) / wall if t < wall else math.nan    # noqa: E731
    outcome, looked = search(kind, f, slope, 1.0)
    assert outcome.status in (FOUND, TOO_CLOSE)
    assert 0 < outcome.step < wall
    assert outcome.f < f(0.0)
    assert looked[0] == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_lowest_trial_is_the_outcome_of_a_search_that_fails(kind):
    """A slope that lies: f goes down by less than it promises, and not everywhere."""
    lowest = [math.inf, 0.0]

    def f(t):
        value = 1.0 if t == 0 else 1.0 - 1e-9 if 0.01 < t < 0.6 else 1.0 + t
        if t > 0 and value < lowest[0]:
            lowest[:] = value, t
        return value

    outcome, _ = search(kind, f, lambda t: -1.0, 1.0)
    if outcome.status in (EXHAUSTED, TOO_CLOSE):
        assert lowest[0] < 1.0
        assert (outcome.step, outcome.f) == (lowest[1], lowest[0])
    else:       # so near to 0 that rounding takes what was promised for nothing
        assert outcome.status == FOUND
        assert outcome.step < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slope", [0.0, 1.0, math.nan])
def test_a_direction_that_does_not_descend_is_not_looked_along(kind, slope):
    with pytest.raises(StopIteration) as over:
        next(SEARCHES[kind](1.0, slope, 1.0))
    assert over.value.value == Outcome(HOPELESS, 0.0, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_is_longer_than_allowed(kind):
    outcome, looked = search(kind, lambda t: -t, lambda t: -1.0, 1e6, ceiling=3.0)
    assert outcome == Outcome(AT_LIMIT, 3.0, -3.0)
    assert max(looked) == 3.0


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_finite_there_is_no_step(kind):
    outcome, looked = search(kind, lambda t: 1.0 if t == 0 else math.nan, lambda t: -1.0 if t == 0 else math.nan, 1.0)
    assert outcome.step == 0
    assert outcome.status != FOUND
    assert len(looked) <= 400


def test_approximate_conditions_are_seen_where_f_is_flat_to_rounding():
    """Near a minimum f says nothing any more, and its slope does."""
    f = lambda t: 1.0 + 1e-17 * (t - 1) ** 2        # noqa: E731
    slope = lambda t: 2e-17 * (t - 1)   # noqa: E731
    outcome, looked = search(HAGER_ZHANG, f, slope, 1.0, error=1e-16)
    assert outcome.status == FOUND
    assert looked == [1.0]


def test_a_nonmonotone_search_takes_what_is_lower_than_the_highest_of_late():
    f, slope = (lambda t: 1.0 + 0.5 * t), (lambda t: -1.0 if t == 0 else 0.5)
    assert search(GLL, f, slope, 1.0, above=2.0)[0] == Outcome(FOUND, 1.0, 1.5)
    assert search(ARMIJO, f, slope, 1.0)[0].step < 1e-10
    assert NEEDS_SLOPE == (False, True, True, False)
