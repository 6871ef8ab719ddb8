"""Weights over any nodes are the exact ones, rounded.

Here because every derivative of a field stands on them. Tests grid_weights.py and Fornberg's recursion of
reference/weighted.py; that kernel and reference give the same bits is tested in test_weighted.py.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import steepest as sd

CLOSE = 4e-16       # of the largest weight


def exact(nodes, at, n):
    """Weights as fractions, from the derivatives of Lagrange's polynomials."""
    nodes = [Fraction(*x.as_integer_ratio()) - Fraction(*at.as_integer_ratio()) for x in nodes]
    found = []
    for j, own in enumerate(nodes):
        # the product of (x - other) / (own - other), as coefficients from the constant up
        coefficients = [Fraction(1)]
        for k, other in enumerate(nodes):
            if k != j:
                shifted = [Fraction(0), *coefficients]
                scaled = [-other * c for c in coefficients] + [Fraction(0)]
                coefficients = [(a + b) / (own - other) for a, b in zip(shifted, scaled, strict=True)]
        factorial = 1
        for k in range(2, n + 1):
            factorial *= k
        found.append(coefficients[n] * factorial)
    return found


def error(weights, right):
    """The largest difference, in units of the largest weight."""
    largest = max(map(abs, right))
    return float(max(abs(Fraction(*w.as_integer_ratio()) - r) for w, r in zip(weights, right, strict=True)) / largest)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("order", [2, 4, 8, 16, 24, 30])
def test_weights_of_central_and_one_sided_stencils_are_exact_up_to_order_30(backend, n, order):
    reach = (n + 1) // 2 - 1 + order // 2
    for nodes in (np.arange(-reach, reach + 1.0), np.arange(n + order + 0.0), 0.001 * np.arange(1.0 - n - order, 1)):
        assert error(sd.grid.weights(nodes, n=n), exact(nodes, 0.0, n)) <= CLOSE


@given(data=st.data(), width=st.integers(2, 14), n=st.integers(0, 6))
def test_weights_over_any_nodes_are_exact(data, width, n):
    if n >= width:
        n = width - 1
    source = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    scale = 10.0 ** data.draw(st.integers(-20, 20))
    nodes, at = source.normal(size=width) * scale, float(source.normal() * scale)
    assert error(sd.grid.weights(nodes, at, n), exact(nodes, at, n)) <= CLOSE


def test_nodes_far_from_zero_lose_nothing():
    nodes = 2.0**40 + np.array([-1.5, -0.25, 0.0, 1.0, 3.0])
    assert error(sd.grid.weights(nodes, 2.0**40, 2), exact(nodes, 2.0**40, 2)) <= CLOSE


def test_longdouble_nodes_give_weights_of_their_precision():
    nodes = np.arange(-4, 5).astype(np.longdouble)
    found = sd.grid.weights(nodes, n=2)
    assert found.dtype == np.longdouble
    assert error(found, exact(nodes.astype(float), 0.0, 2)) <= 2 * np.finfo(np.longdouble).eps


def test_the_textbook_weights(backend):
    assert sd.grid.weights([-1.0, 0.0, 1.0]).tolist() == [-0.5, 0.0, 0.5]
    assert sd.grid.weights([-1, 0, 1], n=2).tolist() == [1.0, -2.0, 1.0]
    assert sd.grid.weights([0.0, 2.0], 0.5, 0).tolist() == [0.75, 0.25]
    assert sd.grid.weights([3.0], 7.0, 0).tolist() == [1.0]
    assert sd.grid.weights([1.0, -1.0, 0.0], n=2).tolist() == [1.0, 1.0, -2.0]     # any order of nodes
    assert sd.grid.weights(np.arange(-2.0, 3.0)) * 12 == pytest.approx([1, -8, 0, 8, -1], abs=1e-15)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((np.zeros((2, 2)),), ValueError, "nodes must be an array of one dimension, not 2"),
    (([1.0],), ValueError, r"nodes must be at least n \+ 1 = 2 and at most 1000, not 1"),
    (([1.0, 2.0], 0.0, 2), ValueError, r"at least n \+ 1 = 3"),
    (([1.0, 2.0, 1.0],), ValueError, r"nodes\[0\] and nodes\[2\] are both 1.0"),
    (([1.0, np.nan],), ValueError, r"nodes\[1\] is nan"),
    (([1.0, 2.0], np.inf), ValueError, "at must be finite, not inf"),
    (([1.0, 2.0], [0.0]), ValueError, r"at must be a number, not an array of shape \(1,\)"),
    (([1.0, 2.0], 0.0, -1), ValueError, "n must be an integer from 0"),
    (([1.0, 2.0], 0.0, 1.5), TypeError, "n must be an integer"),
    (([1.0, 2j],), TypeError, "nodes must be real numbers, not of dtype complex128"),
    ((None,), TypeError, "nodes must be real numbers"),
    (("12",), TypeError, "nodes must be real numbers"),
    (([[1.0], [1.0, 2.0]],), ValueError, "nodes must be real numbers"),
    (([1.0, 2.0], None), TypeError, "at must be real numbers"),
    (([0.0, 5e-324],), ValueError, "too close to each other"),
    ((np.ma.masked_array([1.0, 2.0], [True, False]),), TypeError, "nodes must be real numbers"),
])
def test_bad_nodes_are_named(backend, arguments, error, message):
    with pytest.raises(error, match=message):
        sd.grid.weights(*arguments)
