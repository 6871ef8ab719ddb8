"""One more difference in every table: kernel and reference have the same bits, and what they want next is right.

Here because adaptive differences stand on these tables. Tests kernels/ladder.pyx and reference/ladder.py.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from levels import levels
from twins import same_bits

from steepest.kernels.ladder import Ladder as KernelLadder
from steepest.reference.ladder import (
    COLUMNS,
    DONE,
    DOWN,
    FAR_DOWN,
    GIVEN_UP,
    LOST,
    NOTHING,
    RATIO,
    RISING,
    UP,
    Ladder,
)

SIDES = [KernelLadder, Ladder]
EPS = 2.0**-52
ATTRIBUTES = [name for name, value in vars(Ladder(1, 1, np.dtype("d"), 2, 1, 1.0)).items()
              if isinstance(value, np.ndarray)]


@given(st.integers(0, 2**32), st.sampled_from("fdg"), st.integers(1, 2), st.integers(1, 4), st.integers(0, 4),
       st.integers(0, 3))
def test_both_sides_have_the_same_bits(seed, char, power, n, rows, results):
    dtype = np.dtype(char)
    real = np.dtype("g" if char == "g" else "d")
    ours, twin = (side(rows, results, dtype, power, n, 1.5) for side in SIDES)
    for number, arguments in enumerate(levels(seed, 12, rows, results, real)):
        wants = [side.climb(*arguments) for side in (ours, twin)]
        assert same_bits(*wants), number
        for name in ATTRIBUTES:
            assert same_bits(getattr(ours, name), getattr(twin, name)), (number, name)


def level(ladder, difference, largest, even, size, step, may_rise=1, last=False, rtol=0.0):
    """One more difference of one row, given in numbers and lists; what the row wants."""
    tables = [np.array(part, float).reshape(1, -1) for part in (difference, largest, even)]
    return ladder.climb(np.array([0]), *tables, np.array([size], float), np.array([step], float),
                        np.array([may_rise], np.int8), np.array([last]), EPS, rtol)[0]


def climb(f, x, h, side=KernelLadder, steps=None, **more):
    """Take central differences of f at x into a ladder of one component until nothing more is wanted."""
    ladder = side(1, 1, np.dtype("d"), 2, 1, 1.0)
    wanted = []
    for _ in range(40):
        plus, minus = f(x + h), f(x - h)
        want = level(ladder, (plus - minus) / ((x + h) - (x - h)), max(abs(plus), abs(minus)), plus + minus, abs(x), h,
                     **more)
        wanted.append(want)
        if want == NOTHING or len(wanted) == steps:
            break
        h = 16 * h if want == UP else h / RATIO if want == DOWN else h / RATIO**3
    return ladder, wanted


@pytest.mark.parametrize("side", SIDES)
def test_a_smooth_function_is_done_at_rounding_after_a_few_steps_down(side):
    ladder, wanted = climb(np.exp, 1.0, 0.055, side)
    assert wanted == [DOWN, DOWN, DOWN, NOTHING]
    assert ladder.state[0, 0] == DONE
    assert abs(ladder.value[0, 0] - np.e) <= ladder.error[0, 0] < 1e-11
    assert ladder.rounding[0, 0] >= ladder.error[0, 0] / 2


@pytest.mark.parametrize("side", SIDES)
def test_three_levels_are_looked_at_even_where_two_agree(side):
    ladder, wanted = climb(lambda t: 3 * t, 1.0, 0.055, side)
    assert len(wanted) == 3 and ladder.count[0, 0] == 3 and ladder.agreed[0, 0] >= 2


@pytest.mark.parametrize("side", SIDES)
def test_extrapolation_is_exact_for_polynomials(side):
    """With k + 1 steps a polynomial of degree 2k + 2 is differenced without truncation."""
    ladder = side(1, 1, np.dtype("d"), 2, 1, 1.0)
    for k, h in enumerate(0.5 / RATIO ** np.arange(COLUMNS)):
        D = 1 + h**2 - 3 * h**4 + 2 * h**6
        level(ladder, D, 1e-9, 0.0, 0.0, h, 0)
        if k >= 3:
            assert ladder.tables[0][0, 0, 3] == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("side", SIDES)
def test_the_bound_of_rounding_is_that_of_the_weights_of_the_extrapolation(side):
    ladder = side(1, 1, np.dtype("d"), 2, 1, 1.0)
    h = np.array([1.0, 1 / RATIO])
    for step in h:
        level(ladder, 1.0, 1.0, 2.0, 0.0, step, 0)
    g = 1 / (RATIO**2 - 1)
    assert ladder.tables[1][0, 0, :2] == pytest.approx([EPS / h[1], (1 + g) * EPS / h[1] + g * EPS / h[0]])


@pytest.mark.parametrize("side", SIDES)
def test_what_drowns_in_rounding_wants_a_larger_step(side):
    def f(t):
        return np.exp(-1e-6 * t)

    ladder, wanted = climb(f, 1.0, 0.055, side)
    assert wanted[0] == UP and ladder.state[0, 0] == DONE
    assert ladder.value[0, 0] == pytest.approx(-1e-6 * f(1.0), rel=1e-9)
    assert climb(f, 1.0, 0.055, side, may_rise=0, steps=3)[1][0] == DOWN


@pytest.mark.parametrize("side", SIDES)
def test_a_step_that_was_too_large_is_taken_back(side):
    ladder, wanted = climb(lambda t: 1e6 + np.sin(t), 1.0, 0.055, side)
    assert wanted[0] == UP and DOWN in wanted
    assert abs(ladder.value[0, 0] - np.cos(1.0)) <= ladder.error[0, 0] < 1e-6


@pytest.mark.parametrize("side", SIDES)
def test_a_tolerance_ends_it_early(side):
    ladder, wanted = climb(np.exp, 1.0, 0.055, side, rtol=1e-6)
    assert len(wanted) == 3
    assert abs(ladder.value[0, 0] - np.e) <= ladder.error[0, 0] < 3e-6


@pytest.mark.parametrize("side", SIDES)
def test_estimates_that_contradict_each_other_want_a_much_smaller_step(side):
    ladder, wanted = climb(lambda t: 1 / (t + 1e-7), 0.0, 0.0275, side)
    assert FAR_DOWN in wanted and ladder.state[0, 0] == DONE
    assert abs(ladder.value[0, 0] + 1e14) <= 10 * ladder.error[0, 0] < 1e6


@pytest.mark.parametrize("side", SIDES)
def test_noise_is_found_out_and_widens_the_bar(side):
    noise = np.random.default_rng(5)
    ladder, _ = climb(lambda t: np.exp(t) + 1e-5 * noise.uniform(-1, 1), 1.0, 0.055, side)
    assert ladder.guessed[0, 0] and 1e-7 < ladder.noise[0, 0] < 1e-3
    assert abs(ladder.value[0, 0] - np.e) <= 10 * ladder.error[0, 0]


@pytest.mark.parametrize("side", SIDES)
def test_noise_that_is_known_before_is_believed(side):
    ladder = side(1, 1, np.dtype("d"), 2, 1, 1.0)
    ladder.noise[...] = 1e-3
    want = level(ladder, 1e-6, 1.0, 2.0, 1.0, 0.05)
    assert want == UP and ladder.tables[1][0, 0, 0] == pytest.approx(0.02)


@pytest.mark.parametrize("side", SIDES)
def test_a_kink_shows(side):
    ladder, _ = climb(lambda t: max(t, 0.0), 0.0, 0.0275, side)
    assert ladder.kink[0, 0] == pytest.approx(0.5)
    assert climb(np.exp, 0.0, 0.0275, side)[0].kink[0, 0] == 0


@pytest.mark.parametrize("side", SIDES)
def test_differences_that_are_not_finite_are_left_out(side):
    with np.errstate(all="ignore"):
        ladder, wanted = climb(np.log, 0.001, 0.0275, side)
        assert wanted[:2] == [FAR_DOWN, DOWN] and ladder.state[0, 0] == DONE
        assert ladder.value[0, 0] == pytest.approx(1000, rel=1e-11)
        lost, wanted = climb(lambda t: np.nan, 0.0, 0.0275, side, steps=5)
    assert wanted == [FAR_DOWN] * 5 and lost.state[0, 0] == LOST and np.isnan(lost.value[0, 0])


@pytest.mark.parametrize("side", SIDES)
def test_the_last_level_gives_up(side):
    ladder, wanted = climb(np.exp, 1.0, 0.055, side, last=True)
    assert wanted == [NOTHING] and ladder.state[0, 0] == GIVEN_UP


@pytest.mark.parametrize("side", SIDES)
def test_components_of_a_row_are_done_one_by_one(side):
    """A straight line is done after three levels, and changes no more; the row goes on for the exponential."""
    ladder = side(1, 2, np.dtype("d"), 2, 1, 1.0)
    values, h = [], 0.055
    for _ in range(4):
        plus, minus = (np.array([3 * t, np.exp(t)]) for t in (1 + h, 1 - h))
        want = level(ladder, (plus - minus) / ((1 + h) - (1 - h)), plus, plus + minus, 1.0, h)
        values.append((ladder.value[0, 0], ladder.state[0, 0], want))
        h /= RATIO
    assert [state == DONE for _, state, _ in values] == [False, False, True, True]
    assert values[2][0] == values[3][0]
    assert [want for *_, want in values] == [DOWN, DOWN, DOWN, NOTHING]


@pytest.mark.parametrize("side", SIDES)
def test_smaller_steps_come_first_and_larger_ones_when_only_those_are_wanted(side):
    ladder = side(1, 2, np.dtype("d"), 2, 1, 1.0)

    def wanted(h):
        plus, minus = (np.array([1 + 1e-9 * t, np.exp(t)]) for t in (1 + h, 1 - h))
        return level(ladder, (plus - minus) / ((1 + h) - (1 - h)), plus, plus + minus, 1.0, h)

    wants = [wanted(0.055 / RATIO**k) for k in range(4)]
    assert wants == [DOWN, DOWN, DOWN, UP]
    assert ladder.state.tolist() == [[RISING, DONE]]


def test_arguments_of_the_wrong_shape_are_refused_before_anything_is_changed():
    ladder = KernelLadder(2, 3, np.dtype("d"), 2, 1, 1.0)
    good = {"rows": [0, 1], "difference": np.ones((2, 3)), "largest": np.ones((2, 3)), "even": np.ones((2, 3)),
            "size": np.ones(2), "step": np.ones(2), "may_rise": [1, 1], "last": [False, False], "eps": EPS, "rtol": 0.0}
    for name, wrong in (("difference", np.ones((2, 2))), ("even", np.ones(3)), ("step", np.ones(3)), ("last", [True])):
        with pytest.raises(ValueError, match="expected an array of shape"):
            ladder.climb(**{**good, name: wrong})
    with pytest.raises(IndexError):
        ladder.climb(**{**good, "rows": [0, 2]})
    with pytest.raises(IndexError):
        ladder.climb(**{**good, "rows": [-1, 0]})
    assert not ladder.count.any()
    for rows, results in ((-1, 1), (1, -1)):
        with pytest.raises(ValueError, match="negative"):
            KernelLadder(rows, results, np.dtype("d"), 2, 1, 1.0)
    with pytest.raises(TypeError, match="made once"):
        ladder.__init__(2, 3, np.dtype("d"), 2, 1, 1.0)
    with pytest.raises(ValueError, match="never made"):
        KernelLadder.__new__(KernelLadder).climb(**good)
