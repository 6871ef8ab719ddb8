"""Samples that are made have the shapes, classes and places that they should.

Here because examples and tests stand on them. Tests made_data.py.
"""

import numpy as np
import pytest

from steepest.network import moons, spirals, xor


def test_classes_of_xor_are_where_signs_differ():
    X, y = xor(401, noise=0.05, seed=3)
    np.testing.assert_array_equal(y, X[:, 0] * X[:, 1] < 0)
    assert abs(abs(X) - 1).max() < 0.3
    assert abs(y.sum() - 200) <= 1


def test_moons_are_half_circles():
    X, y = moons(300, noise=0.0, seed=3)
    np.testing.assert_allclose(np.linalg.norm(X[y == 0], axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(X[y == 1] - [1, 0.5], axis=1), 1)
    assert (X[y == 0, 1] >= 0).all()
    assert (X[y == 1, 1] <= 0.5).all()


def test_spirals_have_an_arm_for_each_class():
    X, y = spirals(400, classes=4, noise=0.0, turns=0.5, seed=3)
    radius, angle = np.linalg.norm(X, axis=1), np.arctan2(X[:, 1], X[:, 0])
    start = (angle / (2 * np.pi) - 0.5 * radius) % 1
    apart = (start - y / 4) % 1
    assert np.minimum(apart, 1 - apart).max() < 1e-9
    assert np.bincount(y).tolist() == [100] * 4


@pytest.mark.parametrize("make", [xor, moons, spirals])
def test_samples_are_those_of_their_seed_in_another_order_than_they_were_made(make):
    X, y = make(120, seed=1)
    again, labels = make(120, seed=1)
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(y, labels)
    assert not np.array_equal(X, make(120, seed=2)[0])
    assert len(set(y[:20].tolist())) > 1
    assert (np.diff(y[:20]) != np.diff(np.arange(120) % (y.max() + 1))[:19]).any()


@pytest.mark.parametrize(("make", "options"), [(xor, {"rows": 0}), (moons, {"noise": -1.0}), (spirals, {"classes": 0}),
                                               (spirals, {"turns": float("nan")}), (xor, {"seed": -3})])
def test_what_makes_no_samples_is_refused(make, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)
