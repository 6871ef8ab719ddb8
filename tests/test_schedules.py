"""Every schedule has the rates of its formula, at every step, whatever was asked before; bad arguments are named.

Here because a rate that depends on how the run came to its step is how resumed runs go astray. Tests schedules.py and
rates.py.
"""

import copy
import inspect
import math
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steepest as sd
from steepest.schedules import (
    Schedule,
    constant,
    cosine,
    cosine_restarts,
    cyclic,
    exponential,
    inverse_time,
    multistep,
    one_cycle,
    plateau,
    polynomial,
    step,
    warmup,
)

NAMES = {"constant", "cosine", "cosine_restarts", "cyclic", "exponential", "inverse_time", "multistep", "one_cycle",
         "plateau", "polynomial", "step", "warmup"}

# any schedule at all

rates = st.floats(0.0, 1e3)
positive = st.floats(1e-3, 1e3)
shares = st.floats(1e-3, 1.0)
counts = st.integers(1, 50)
lengths = st.none() | counts


def finite_schedules():
    """Schedules that have an end, of one piece."""
    return st.one_of(
        st.builds(constant, rates, counts),
        st.builds(step, rates, counts, shares, steps=counts),
        st.builds(exponential, rates, shares, steps=counts),
        st.builds(polynomial, rates, counts, rates, positive),
        st.builds(cosine, rates, counts, rates),
        st.builds(cosine_restarts, rates, counts, st.integers(1, 3), rates, cycles=st.integers(1, 4)),
        st.builds(warmup, rates, counts, rates),
        st.builds(one_cycle, rates, counts, pct_start=st.floats(0, 0.99), anneal=st.sampled_from(["cosine", "linear"])),
        st.builds(cyclic, rates, rates, counts, lengths, gamma=shares, cycles=st.integers(1, 4),
                  mode=st.sampled_from(["triangular", "triangular2", "exp_range"])),
    )


def pieces():
    """Schedules of one piece, with an end or without."""
    return st.one_of(
        finite_schedules(),
        st.builds(constant, rates),
        st.builds(step, rates, counts, shares, steps=lengths),
        st.builds(multistep, rates, st.sets(counts, min_size=1).map(sorted), shares, steps=lengths),
        st.builds(exponential, rates, shares, steps=lengths),
        st.builds(inverse_time, rates, rates, st.floats(0.1, 3), steps=lengths),
        st.builds(cosine_restarts, rates, counts, st.integers(1, 3), rates),
        st.builds(cyclic, rates, rates, counts, lengths),
        st.builds(plateau, rates, patience=counts),
    )


def schedules():
    """Pieces, joined and scaled."""
    joined = st.builds(lambda first, then: first >> then, finite_schedules(), pieces())
    return st.one_of(pieces(), joined, st.builds(lambda factor, inner: factor * inner, rates, pieces() | joined))


steps = st.lists(st.integers(0, 400) | st.integers(0, 2**62), min_size=1, max_size=20)


def test_schedules_are_those_that_are_promised_and_documented():
    assert set(sd.schedules.__all__) == NAMES | {"Schedule"}
    for name in NAMES:
        made = getattr(sd.schedules, name)
        doc = inspect.getdoc(made)
        for section in ("Parameters", "Examples"):
            assert f"\n{section}\n---" in doc, (name, section)
        for parameter in inspect.signature(made).parameters:
            assert re.search(rf"^(.*, )?{parameter}(, .*)? : ", doc, re.MULTILINE), (name, parameter)
        assert "torch" in doc and "optax" in doc, name


@given(schedules(), steps)
def test_array_has_the_bits_of_the_scalars(schedule, steps):
    alone = [schedule(t) for t in steps]
    assert all(type(rate) is float for rate in alone)
    together = schedule(np.array(steps))
    assert together.dtype == np.float64 and together.tolist() == alone
    assert schedule(steps).tolist() == schedule(tuple(steps)).tolist() == alone
    assert schedule(np.array(steps, np.uint64).reshape(1, -1)).tolist() == [alone]


@given(schedules(), steps)
def test_rate_of_a_step_does_not_depend_on_what_was_asked_before(schedule, steps):
    resumed = pickle.loads(pickle.dumps(schedule))
    forward = {t: schedule(t) for t in sorted(steps)}
    assert forward == {t: resumed(t) for t in sorted(steps, reverse=True)}
    assert schedule == resumed == copy.deepcopy(schedule)


@given(schedules())
def test_schedule_prints_as_what_makes_it_again(schedule):
    again = eval(repr(schedule), vars(sd.schedules).copy())
    assert again == schedule and type(again) is type(schedule) and again.steps == schedule.steps


def test_print_leaves_out_what_is_default_and_keeps_the_order_of_operations():
    joined = warmup(0.1, 5) >> cosine(0.1, 100, end=1e-3)
    assert repr(joined) == "warmup(lr=0.1, steps=5) >> cosine(lr=0.1, steps=100, end=0.001)"
    assert repr(2 * joined) == f"2.0 * ({joined!r})"
    assert repr(3 * (2 * constant(1))) == "3.0 * (2.0 * constant(lr=1.0))"
    assert repr(2 * constant(1, 3) >> constant(0)) == "2.0 * constant(lr=1.0, steps=3) >> constant(lr=0.0)"


@given(schedules(), st.integers(0, 2**61))
def test_after_its_end_a_schedule_stays_at_its_last_rate(schedule, later):
    if schedule.steps is not None:
        assert type(schedule.steps) is int and schedule.steps >= 1
        assert schedule(schedule.steps + later) == schedule(schedule.steps)


@given(finite_schedules(), finite_schedules(), pieces(), steps)
def test_joined_is_the_first_and_after_its_steps_the_second(a, b, c, steps):
    joined = a >> c
    assert [joined(t) for t in steps] == [a(t) if t < a.steps else c(t - a.steps) for t in steps]
    assert joined.steps == (None if c.steps is None else a.steps + c.steps)
    assert (a >> b) >> c == a >> (b >> c)
    assert ((a >> b) >> c)(steps).tolist() == (a >> (b >> c))(steps).tolist()


@given(schedules(), rates, steps)
def test_scaled_is_the_product(schedule, factor, steps):
    expected = [factor * schedule(t) for t in steps]
    for scaled in (factor * schedule, schedule * factor, np.float64(factor) * schedule):
        assert isinstance(scaled, Schedule) and scaled.steps == schedule.steps
        assert [scaled(t) for t in steps] == expected


@given(finite_schedules() | pieces(), steps)
def test_rates_stay_between_those_that_were_given(schedule, steps):
    if isinstance(schedule, (step, multistep, exponential, inverse_time)):
        low, high = 0.0, schedule.lr
    elif isinstance(schedule, one_cycle):
        low, high = sorted([schedule.lr, schedule.lr / 25.0 / 1e4])
    else:
        named = [getattr(schedule, name) for name in ("lr", "end", "start", "peak") if hasattr(schedule, name)]
        low, high = min(named), max(named)
    assert all(low <= schedule(t) <= high for t in steps)


@given(rates, rates, counts)
def test_ends_are_exact(lr, other, steps):
    for falling in (polynomial(lr, steps, other), cosine(lr, steps, other), cosine_restarts(lr, steps, 2, other)):
        assert falling(0) == lr
    assert polynomial(lr, steps, other)(steps) == cosine(lr, steps, other)(steps) == other
    assert cosine_restarts(lr, steps, 2, other, cycles=3)(7 * steps) == other
    assert warmup(lr, steps, other)(0) == other and warmup(lr, steps, other)(steps) == lr
    wave = cyclic(lr, other, steps, 3)
    assert wave(0) == wave(steps + 3) == lr and wave(steps) == other
    bump = one_cycle(lr, 2 * steps, pct_start=0.5)
    assert (bump(0), bump(steps), bump(2 * steps)) == (lr / 25.0, lr, lr / 25.0 / 1e4)


# formulas, in exact arithmetic

T, A, B = 30, Fraction(1, 8), Fraction(1, 1024)     # floats that are exact
EXACT = {
    "step": (step(A, 4, gamma=0.25), lambda t: A / 4 ** (t // 4)),
    "multistep": (multistep(A, [2, 9], gamma=0.5), lambda t: A / 2 ** ((t >= 2) + (t >= 9))),
    "exponential": (exponential(A, 0.5), lambda t: A / 2**t),
    "growing": (exponential(A, 1.5), lambda t: A * Fraction(3, 2) ** t),
    "inverse time": (inverse_time(A, 0.75), lambda t: A / (1 + Fraction(3, 4) * t)),
    "inverse time squared": (inverse_time(A, 0.75, 2), lambda t: A / (1 + Fraction(3, 4) * t) ** 2),
    "linear": (polynomial(A, T, B), lambda t: B + (A - B) * (1 - Fraction(min(t, T), T))),
    "cubic": (polynomial(A, T, B, power=3), lambda t: B + (A - B) * (1 - Fraction(min(t, T), T)) ** 3),
    "warm-up": (warmup(A, T, start=B), lambda t: B + (A - B) * Fraction(min(t, T), T)),
    "warm-up from 1/n": (warmup(A, T - 1, start=A / T), lambda t: A * Fraction(min(t + 1, T), T)),
    "triangular": (cyclic(B, A, 3, 5), lambda t: B + (A - B) * min(Fraction(t % 8, 3), Fraction(8 - t % 8, 5))),
    "triangular2": (cyclic(B, A, 3, 5, mode="triangular2"),
                    lambda t: B + (A - B) * min(Fraction(t % 8, 3), Fraction(8 - t % 8, 5)) / 2 ** (t // 8)),
    "one cycle": (one_cycle(A, 40, pct_start=0.25, div_factor=4, final_div_factor=8, anneal="linear"),
                  lambda t: (A / 4 + A * Fraction(3, 4) * Fraction(t, 10) if t < 10
                             else A / 32 + A * Fraction(31, 32) * Fraction(40 - min(t, 40), 30))),
}


@pytest.mark.parametrize("name", EXACT)
def test_rates_are_those_of_the_formula_to_two_units_in_the_last_place_of_the_largest(name):
    schedule, formula = EXACT[name]
    for t in range(60):
        exact = formula(t)
        largest = max(exact, A if name in ("linear", "cubic") else exact)     # differences of rates round as the larger
        assert abs(Fraction(schedule(t)) - exact) <= 2 * Fraction(np.spacing(float(largest))), t


# cos(pi t / 12): what is known in closed form
SURD = {0: 1.0, 3: math.sqrt(0.5), 4: 0.5, 6: 0.0, 8: -0.5, 9: -math.sqrt(0.5), 12: -1.0}


@pytest.mark.parametrize("t", SURD)
def test_cosines_are_those_of_the_formula(t):
    expected = 0.02 + 0.5 * (0.3 - 0.02) * (1.0 + SURD[t])
    assert cosine(0.3, 12, 0.02)(t) == pytest.approx(expected, rel=0, abs=1e-16)
    assert one_cycle(0.3, 12, pct_start=0.0, div_factor=5, final_div_factor=3)(t) == pytest.approx(
        expected, rel=0, abs=1e-16)
    if t < 12:
        assert cosine_restarts(0.3, 3, 2, 0.02)(3 + 6 + t) == cosine(0.3, 12, 0.02)(t)


def test_restarts_are_at_whole_steps_however_many_cycles():
    for mult, cycles in ((1, 1000), (2, 60), (3, 38), (7, 22)):
        schedule = cosine_restarts(1.0, 5, mult, cycles=cycles)
        for cycle in range(1, cycles):
            restart = 5 * sum(mult**i for i in range(cycle)) if mult > 1 else 5 * cycle
            assert schedule(restart) == 1.0
            assert schedule(restart - 1) < 0.5


def test_growth_beyond_floats_is_infinite_and_refused_where_it_is_used():
    assert exponential(0.1, 2.0)(10_000) == math.inf and exponential(0.0, 2.0)(10_000) == 0.0
    assert exponential(0.1, 0.5)(10_000) == 0.0 and step(0.1, 1, 0.5)(2**62) == 0.0
    assert inverse_time(0.1, 1e300, 3)(2**62) == 0.0
    with pytest.raises(ValueError, match=r"schedule\(1\) must be at least 0 and below inf, not inf"):
        sd.gradient_descent(lambda x: x[0], [0.0], schedule=exponential(1e300, 1e300))


# arguments

BAD = [
    (lambda: constant(-0.1), ValueError, "lr must be at least 0 and below inf, not -0.1"),
    (lambda: constant(math.nan), ValueError, "lr must be at least 0"),
    (lambda: constant(math.inf), ValueError, "lr must be at least 0"),
    (lambda: constant(10**400), ValueError, "lr must be a number that a float can hold"),
    (lambda: constant("0.1"), TypeError, "lr must be a number, not '0.1'"),
    (lambda: constant(np.complex128(1j)), TypeError, "lr must be a number"),
    (lambda: constant(0.1, 0), ValueError, "steps must be an integer from 1 to"),
    (lambda: cosine(0.1, 0), ValueError, "steps must be an integer from 1 to .*, not 0"),
    (lambda: cosine(0.1, True), ValueError, "steps must be an integer"),
    (lambda: cosine(0.1, None), TypeError, "steps must be an integer, not None"),
    (lambda: cosine(0.1, 10.0), TypeError, "steps must be an integer, not 10.0"),
    (lambda: cosine(0.1, 2**63), ValueError, "steps must be an integer from 1"),
    (lambda: cosine(0.1, 10, end=-1e-9), ValueError, "end must be at least 0"),
    (lambda: polynomial(0.1, 10, power=0), ValueError, "power must be above 0"),
    (lambda: warmup(0.1, 5, start=math.nan), ValueError, "start must be at least 0"),
    (lambda: step(0.1, 0), ValueError, "every must be an integer from 1"),
    (lambda: step(0.1, 5, gamma=0), ValueError, "gamma must be above 0"),
    (lambda: exponential(0.1, -0.9), ValueError, "gamma must be above 0"),
    (lambda: inverse_time(0.1, -1), ValueError, "decay must be at least 0"),
    (lambda: multistep(0.1, []), ValueError, "milestones must be integers in increasing order"),
    (lambda: multistep(0.1, [5, 5]), ValueError, "milestones must be integers in increasing order"),
    (lambda: multistep(0.1, [5, 3]), ValueError, "milestones must be integers in increasing order"),
    (lambda: multistep(0.1, [0, 3]), ValueError, r"milestones\[0\] must be an integer from 1"),
    (lambda: multistep(0.1, [1.5]), TypeError, r"milestones\[0\] must be an integer"),
    (lambda: multistep(0.1, 5), TypeError, "milestones must be a sequence of integers"),
    (lambda: cosine_restarts(0.1, 0), ValueError, "period must be an integer from 1"),
    (lambda: cosine_restarts(0.1, 5, 1.5), TypeError, "mult must be an integer"),
    (lambda: cosine_restarts(0.1, 5, 2, cycles=64), ValueError, "cycles must be at most 63 where mult is above 1"),
    (lambda: one_cycle(0.1, 10, pct_start=1.0), ValueError, "pct_start must be at least 0 and below 1, not 1.0"),
    (lambda: one_cycle(0.1, 10, div_factor=0), ValueError, "div_factor must be above 0"),
    (lambda: one_cycle(0.1, 10, anneal="cos"), ValueError, "anneal must be one of 'cosine', 'linear', not 'cos'"),
    (lambda: cyclic(0.1, 0.2, 0), ValueError, "up must be an integer from 1"),
    (lambda: cyclic(0.1, 0.2, 5, 0), ValueError, "down must be an integer from 1"),
    (lambda: cyclic(0.1, 0.2, 5, mode=2), ValueError, "mode must be one of 'triangular', 'triangular2', 'exp_range'"),
    (lambda: cyclic(0.1, 0.2, 5, gamma=1.1), ValueError, "gamma must be at most 1, not 1.1"),
    (lambda: cyclic(0.1, -0.2, 5), ValueError, "peak must be at least 0"),
    (lambda: plateau(0.1, factor=1.0), ValueError, "factor must be above 0 and below 1, not 1.0"),
    (lambda: plateau(0.1, patience=-1), ValueError, "patience must be an integer from 0"),
    (lambda: plateau(0.1, threshold=-1e-4), ValueError, "threshold must be at least 0"),
    (lambda: plateau(0.1, threshold=1.0), ValueError, "threshold must be below 1 where threshold_mode is 'rel'"),
    (lambda: plateau(0.1, threshold_mode="relative"), ValueError, "threshold_mode must be one of 'rel', 'abs'"),
    (lambda: plateau(0.1, min_lr=0.2), ValueError, "min_lr must be at most lr, 0.1, not 0.2"),
    (lambda: plateau(0.1, mode="lowest"), ValueError, "mode must be one of 'min', 'max', not 'lowest'"),
    (lambda: plateau(0.1, state=[]), ValueError, "state must be a dict"),
    (lambda: cosine(0.1), TypeError, "steps"),
    (lambda: cosine(0.1, 10, ends=0), TypeError, "ends"),
    (lambda: constant(0.1) >> constant(0.2), ValueError, r"steps must be given .* before >>: constant\(lr=0.1\) has"),
    (lambda: cosine(0.1, 5) >> 0.1, TypeError, "unsupported operand type"),
    (lambda: -1.0 * cosine(0.1, 5), ValueError, "factor must be at least 0"),
    (lambda: cosine(0.1, 5) * "2", TypeError, "factor must be a number"),
    (lambda: np.ones(2) * cosine(0.1, 5), TypeError, "factor must be a number"),
    (lambda: cosine(0.1, 5) * cosine(0.1, 5), TypeError, "unsupported operand type"),
    (lambda: cosine(0.1, 5)(-1), ValueError, "t must be an integer from 0 to .*, not -1"),
    (lambda: cosine(0.1, 5)(2**63), ValueError, "t must be an integer from 0 to"),
    (lambda: cosine(0.1, 5)(1.0), TypeError, "t must be an integer, not 1.0"),
    (lambda: cosine(0.1, 5)(np.float64(1.0)), TypeError, "t must be an integer"),
    (lambda: cosine(0.1, 5)(True), ValueError, "t must be an integer"),
    (lambda: cosine(0.1, 5)(None), TypeError, "t must be an integer, not None"),
    (lambda: cosine(0.1, 5)([1.0, 2.0]), TypeError, "t must be integers, not of dtype float64"),
    (lambda: cosine(0.1, 5)(["1"]), TypeError, "t must be integers"),
    (lambda: cosine(0.1, 5)([0, -3, 1]), ValueError, "t must be at least 0, but one entry is -3"),
]


@pytest.mark.parametrize("call, error, message", BAD, ids=[message for _, _, message in BAD])
def test_bad_arguments_get_an_error_that_names_them(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_integers_of_any_kind_are_steps():
    schedule = cosine(0.1, 10)
    for t in (3, np.int8(3), np.uint64(3), np.array(3)):
        assert type(schedule(t)) is float and schedule(t) == schedule(3)
    assert schedule(range(0)).shape == schedule([]).shape == (0,)
    assert schedule(np.zeros((2, 0, 3), int)).shape == (2, 0, 3)
    assert schedule(np.arange(6).reshape(2, 3).T).tolist() == [[schedule(0), schedule(3)], [schedule(1), schedule(4)],
                                                               [schedule(2), schedule(5)]]


@pytest.mark.parametrize("schedule", [cosine(0.1, 5), warmup(0.1, 5) >> constant(0.1), 2.0 * constant(0.1)], ids=repr)
def test_schedules_do_not_change_and_serve_as_keys(schedule):
    with pytest.raises(AttributeError):
        schedule.steps = 3
    with pytest.raises(AttributeError):
        schedule.extra = 3
    assert {schedule: 1}[copy.copy(schedule)] == 1
    assert schedule != cosine(0.1, 6) and schedule != 0.1
    with pytest.raises(TypeError, match="unhashable"):
        hash(plateau(0.1))


def test_gradient_descent_walks_at_the_rates_of_a_schedule(backend):
    schedule = warmup(0.2, 3) >> cosine(0.2, 5)
    run = sd.gradient_descent(lambda x: x @ x, [1.0, 2.0], steps=10, schedule=schedule, history=True)
    assert run.history.lr.tolist() == schedule(range(10)).tolist()
