"""Tables of slopes are right and read well; formulas behind tables are found, and none where there is none.

Here because these are the first things that a newcomer prints. Tests slope_tables.py, fits.py and formula.py.
"""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steepest import formula

C = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def test_slopes_of_a_function(backend):
    table = formula.slope_table(lambda t: t * np.exp(-t), np.linspace(0, 3, 7))
    right = (1 - table.x) * np.exp(-table.x)
    np.testing.assert_array_equal(table.y, table.x * np.exp(-table.x))
    assert (abs(table.slope - right) <= 10 * table.error + 1e-15).all()
    assert abs(table.slope - right).max() < 1e-9
    assert len(table) == 7


def test_slopes_of_samples_on_uneven_coordinates(backend):
    x = np.array([0.0, 0.1, 0.3, 0.4, 0.8, 1.0, 1.1])
    table = formula.slope_table(x**2, x)
    np.testing.assert_allclose(table.slope, 2 * x, atol=1e-14)
    assert table.error.max() < 1e-13
    table = formula.slope_table(np.sin(x), x)
    assert (abs(table.slope - np.cos(x)) <= 2 * table.error + 1e-6).all()
    descending = formula.slope_table(np.sin(x[::-1]), x[::-1])
    np.testing.assert_allclose(descending.slope[::-1], table.slope, rtol=1e-13)
    assert np.isnan(formula.slope_table([1.0, 4.0, 9.0], [1, 2, 3]).error).all()


def test_tables_are_text_markdown_and_csv():
    table = formula.slope_table([1.0, 4.0, 9.0, 16.0, 25.5], [1, 2, 3, 4, 5])
    lines = str(table).splitlines()
    assert lines[0].split() == ["x", "y", "slope", "error"]
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 7
    rows = table.markdown().splitlines()
    assert rows[1] == "| ---: | ---: | ---: | ---: |"
    assert all(row.count("|") == 5 for row in rows)
    read = list(csv.reader(io.StringIO(table.csv())))
    assert read[0] == ["x", "y", "slope", "error"]
    np.testing.assert_array_equal(np.array(read[1:], float), np.array(list(table)))
    assert repr(table) == "<SlopeTable: 5 rows>"


@pytest.mark.parametrize(("samples", "points", "error", "words"), [
    ([1, 2, 3], [1, 2, 2], ValueError, r"points\[1\] is 2 and points\[2\] is 2"),
    ([1, 2, 3], [1, 3, 2], ValueError, "strictly ascending or descending"),
    ([1, 2], [1, 2], ValueError, "at least 3"),
    ([1, 2, 3], [1, 2], ValueError, "as many values as there are points"),
    ([1, np.nan, 3], [1, 2, 3], ValueError, r"f_or_samples\[1\] is nan"),
    (["a", "b", "c"], [1, 2, 3], TypeError, "f_or_samples must be real numbers"),
    ([1, 2, 3], [[1, 2, 3]], ValueError, "points must be a vector"),
    (np.sin, [], ValueError, "points must be a vector of at least one"),
    (np.sin, [np.inf], ValueError, r"points\[0\] is inf"),
    (lambda t: [t, t], [1.0], ValueError, "must give one number"),
])
def test_what_is_no_table_is_refused(samples, points, error, words):
    with pytest.raises(error, match=words):
        formula.slope_table(samples, points)


@pytest.mark.parametrize(("y", "law", "gradient"), [
    (C, "c", "1"), (C**2, "c²", "2·c"), (C**3, "c³", "3·c²"), (5 / C, "5·c⁻¹", "-5·c⁻²"),
    (2 * np.sqrt(C), "2·c^0.5", "c^-0.5"), (3 * C**2 + 7, "3·c² + 7", "6·c"), (-(C**4), "-c⁴", "-4·c³"),
    (0.25 * C**1.5 - 2, "0.25·c^1.5 - 2", "0.375·c^0.5"), (np.full(5, 3.0), "3", "0"), (np.zeros(5), "0", "0"),
    (C**1.37, "c^1.37", "1.37·c^0.37"), (7 - 2 / C, "-2·c⁻¹ + 7", "2·c⁻²"),
])
def test_power_laws_are_found(y, law, gradient):
    found = formula.power_law(C, y, variable="c")
    assert found.ok
    assert found.text == law
    assert str(found.gradient) == gradient
    np.testing.assert_allclose(found(C), y, rtol=1e-6, atol=1e-9)
    assert str(found) == f"{law}   gradient: {gradient}   residual: {found.residual:.1e}"
    differences = (found(C + 1e-6) - found(C - 1e-6)) / 2e-6
    np.testing.assert_allclose(found.gradient(C), differences, rtol=1e-6, atol=1e-8)


@given(a=st.floats(0.01, 100), p=st.floats(-5, 5), c=st.sampled_from([0.0, 0.0, 3.0]))
def test_any_power_law_is_found(a, p, c):
    x = np.linspace(0.5, 4, 12)
    y = a * x**p + c
    found = formula.power_law(x, y)
    assert found.ok
    np.testing.assert_allclose(found(x), y, rtol=3e-3)


def test_negative_coordinates_follow_integer_powers():
    x = np.linspace(-3, 3, 13)
    assert formula.power_law(x, x**3).text == "x³"
    assert formula.power_law(x, 2 * x**2 - 1).text == "2·x² - 1"
    assert not formula.power_law(x, np.sin(x)).ok


@pytest.mark.parametrize("y", [np.exp(C), np.array([1.0, 3, 2, 5, 4]), np.sin(3 * C), np.array([0, 0, 0, 0, 1.0])])
def test_what_is_no_power_law_is_said_to_be_none(y):
    found = formula.power_law(C, y)
    assert not found.ok
    assert str(found).startswith("not a power law (the nearest")


def test_noise_is_left_over():
    x = np.linspace(1, 10, 200)
    noisy = 2 * x**1.5 * (1 + 1e-3 * np.random.default_rng(0).normal(size=200))
    found = formula.power_law(x, noisy, rtol=3e-3)
    assert found.ok
    assert abs(found.p - 1.5) < 1e-3
    assert 5e-4 < found.residual < 2e-3


@pytest.mark.parametrize(("coefficients", "text", "gradient"), [
    ([1, 0, 1], "x² + 1", "2·x"), ([1, -2, 0, 3], "3·x³ - 2·x + 1", "9·x² - 2"), ([4], "4", "0"),
    ([0, -0.5], "-0.5·x", "-0.5"), ([0], "0", "0")])
def test_polynomials_are_found_with_their_degree(coefficients, text, gradient):
    x = np.linspace(0, 10, 21)
    found = formula.polynomial(x, np.polynomial.polynomial.polyval(x, coefficients))
    assert found.ok
    assert (found.text, str(found.gradient), found.degree) == (text, gradient, len(coefficients) - 1)
    np.testing.assert_allclose(found.coefficients, coefficients, atol=1e-12)


def test_the_degree_follows_the_data_and_not_their_noise():
    x = np.linspace(0, 10, 60)
    noisy = x**2 - 3 * x + np.random.default_rng(0).normal(size=60)
    found = formula.polynomial(x, noisy)
    assert found.degree == 2
    assert not found.ok
    assert "no polynomial of low degree" in str(found)
    assert formula.polynomial(x, noisy, degree=5).degree == 5
    np.testing.assert_allclose(found.gradient(4.0), 5.0, atol=0.3)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: formula.power_law([1, 2], [1, 2]), ValueError, "x must have at least 3"),
    (lambda: formula.power_law([1, 2, 3], [1, 2]), ValueError, "same length"),
    (lambda: formula.power_law([1, 2, 2], [1, 2, 3]), ValueError, "2 is there twice"),
    (lambda: formula.power_law([1, 2, np.nan], [1, 2, 3]), ValueError, r"x\[2\] is nan"),
    (lambda: formula.power_law([1, 2, 3], [1, 2, 3], rtol=0.0), ValueError, "rtol"),
    (lambda: formula.power_law([1, 2, 3], [1, 2, 3], variable=3), ValueError, "variable"),
    (lambda: formula.polynomial([1], [1]), ValueError, "at least 2"),
    (lambda: formula.polynomial([1, 2], [1, 2], degree=2), ValueError, "degree must be from 0 to 1"),
    (lambda: formula.polynomial([1, 2], [1, 2], degree=1.5), TypeError, "degree must be an integer"),
])
def test_tables_that_cannot_be_fitted_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
