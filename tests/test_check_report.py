"""The report says what is wrong where, in words and numbers that a person can act on.

Here because a verdict that nobody understands helps nobody. Tests check_report.py and the verdicts behind it.
"""

import numpy as np
import pytest

import steepest as sd
from steepest.check_report import ROWS, GradientCheck, Taylor
from steepest.check_verdicts import KINK, NONFINITE, RIGHT, UNRESOLVED, WRONG, judge

X = np.array([3.0, 4.0])


def report(grad, **options):
    return sd.check_gradient(lambda x: x @ x, grad, X, **options)


def test_the_table_has_the_documented_columns():
    table = report(lambda x: 2 * x).table
    assert table.dtype.names == ("index", "given", "estimate", "error", "ratio", "verdict")
    assert table["index"].tolist() == [0, 1] and table["given"].tolist() == [6, 8]
    assert (table["ratio"] <= 1).all() and (table["error"] > 0).all()


def test_the_report_of_a_wrong_gradient_names_the_component_and_both_values():
    text = str(report(lambda x: np.array([6.0, 8.5])))
    assert text.splitlines()[0] == "the gradient is WRONG in 1 of 2 components (1 right)"
    row = next(line for line in text.splitlines() if line.strip().startswith("x[1]")).split()
    assert row[1:3] == ["8.5", "8"] and row[-1] == "wrong"
    assert "x[0]" not in text
    assert "slope 1.00" in text and "chkder score" in text and "calls of f" in text


def test_the_report_of_a_right_gradient_is_short():
    found = report(lambda x: 2 * x)
    assert found.message == "the gradient is right in 2 components"
    assert len(str(found).splitlines()) <= 9 and repr(found) == f"<GradientCheck: {found.message}>"


def test_only_the_worst_rows_are_shown():
    x = np.ones(50)
    found = sd.check_gradient(lambda x: x @ x, lambda x: 2 * x + np.linspace(1, 2, 50), x)
    text = str(found)
    assert text.count("  wrong\n") + text.endswith("  wrong") == ROWS
    assert f"and {50 - ROWS} more" in text


def test_wrong_comes_before_unresolved_before_kinks_before_right():
    verdict = np.array([RIGHT, KINK, UNRESOLVED, WRONG, NONFINITE])
    numbers = np.zeros(5)
    found = GradientCheck("the gradient", numbers, numbers, numbers, np.array([0.5, 0, 0, 3.0, np.inf]), verdict, str)
    assert found._order().tolist() == [4, 3, 2, 1, 0]
    assert found.counts == {"right": 1, "wrong": 2, "kink": 1, "unresolved": 1}
    assert found.worst == 4 and not found.ok


def test_ok_needs_something_that_could_be_judged():
    def check(verdict, **more):
        numbers = np.zeros(len(verdict))
        return GradientCheck("the gradient", numbers, numbers, numbers, numbers, np.array(verdict, int), str, **more)

    assert check([]).ok and check([]).worst is None and "right" in str(check([]))
    assert check([RIGHT, UNRESOLVED]).ok and check([KINK, KINK]).ok
    assert not check([UNRESOLVED, UNRESOLVED]).ok and not check([RIGHT, WRONG]).ok
    line = Taylor(np.array([1.0]), np.array([1.0]), np.array([0.0]), "wrong")
    assert check([RIGHT, RIGHT], taylor=line).ok
    hidden = check([RIGHT, UNRESOLVED], taylor=line)
    assert not hidden.ok and "along a direction" in hidden.message


def test_an_error_is_an_assertion_error_with_the_report():
    found = report(lambda x: 3 * x)
    with pytest.raises(AssertionError) as caught:
        found.raise_if_wrong()
    assert type(caught.value) is sd.GradientError and str(caught.value) == str(found)


def test_taylors_slope_is_that_of_the_last_remainders_above_rounding():
    step = 2.0 ** -np.arange(5)
    noise = np.full(5, 1e-6)
    assert Taylor(step, step**2, noise, "right").slope == pytest.approx(2)
    assert Taylor(step, np.where(step > 0.2, step**2, 1e-9), noise, "right").slope == pytest.approx(2)
    assert np.isnan(Taylor(step, np.zeros(5), noise, "right").slope)


# verdicts

def verdicts(given, estimate, error, **options):
    arrays = (np.array(values, float)[:, None] for values in (given, estimate, error))
    ratio, verdict = judge(*arrays, **options)
    return ratio[:, 0], verdict[:, 0].tolist()


def test_wrong_is_what_differs_by_more_than_four_bars():
    ratio, verdict = verdicts([1.0, 1.0, 1.0], [1.0, 1.035, 1.045], [0.01, 0.01, 0.01])
    assert verdict == [RIGHT, RIGHT, WRONG]
    assert ratio == pytest.approx([0, 0.875, 1.125])


def test_rtol_and_slack_widen_what_is_tolerated():
    assert verdicts([1.0], [1.1], [1e-9])[1] == [WRONG]
    assert verdicts([1.0], [1.1], [1e-9], rtol=0.1)[1] == [RIGHT]
    assert verdicts([1.0], [1.1], [1e-9], slack=0.2)[1] == [RIGHT]


def test_a_bar_too_wide_for_a_verdict_leaves_it_open_unless_the_component_is_negligible():
    assert verdicts([1.0], [1.2], [0.1])[1] == [UNRESOLVED]
    assert verdicts([1.0, 1e-9], [1.0, 2e-9], [1e-9, 1e-9])[1] == [RIGHT, RIGHT]      # beside one that is large
    assert verdicts([1e-9], [2e-9], [1e-9], change=1.0)[1] == [RIGHT]                  # beside how much it changes
    assert verdicts([0.0], [0.0], [1.0])[1] == [RIGHT]


def test_no_estimate_no_verdict_and_no_number_no_right():
    found = verdicts([1.0, 1.0, np.nan], [np.nan, 1.0, 1.0], [1.0, np.inf, 1e-9])[1]
    assert found == [UNRESOLVED, UNRESOLVED, NONFINITE]


def test_at_a_kink_any_slope_between_the_two_will_do():
    there = np.array([[True], [True], [False]])
    kinks = there, np.full((3, 1), -1.0), np.full((3, 1), 1.0)
    ratio, verdict = verdicts([0.5, 2.0, 2.0], [0.0, 0.0, 2.0], [1.0, 1.0, 1e-9], kinks=kinks)
    assert verdict == [KINK, WRONG, RIGHT]
    assert ratio[0] == 0 and ratio[1] > 1
