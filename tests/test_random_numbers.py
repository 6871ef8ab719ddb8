"""A seed gives the same numbers everywhere, and they are distributed as they should be.

Here because results with a seed are compared between machines. Tests random_numbers.py and initializers.py.
"""

import hashlib

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from steepest.initializers import INITIALIZERS, default_for, initial_weights, parse
from steepest.random_numbers import Source, _log, _normal_quantile


def test_the_bits_of_a_seed_are_these_on_every_machine():
    source = Source(2026)
    bits = b"".join(array.astype("<f8").tobytes() for array in (source.uniform(1000), source.normal(1000)))
    bits += source.permutation(1000).astype("<i8").tobytes()
    assert hashlib.sha256(bits).hexdigest() == (
        "2bd0ad54b85c09c9a406442ad13e536b24d6f2167afa95d37774ed1c42600814")


def test_a_source_goes_on_from_its_state_and_streams_are_their_own():
    source = Source(3)
    source.uniform(17)
    state, expected = source.state, source.normal(5)
    again = Source(99)
    again.state = state
    np.testing.assert_array_equal(again.normal(5), expected)
    assert not np.array_equal(Source(3).uniform(5), Source(3, 1).uniform(5))
    assert not np.array_equal(Source().uniform(5), Source().uniform(5))


def test_numbers_follow_their_distributions():
    source = Source(1)
    assert stats.kstest(source.uniform(20_000), "uniform").pvalue > 1e-3
    assert stats.kstest(source.normal(20_000), "norm").pvalue > 1e-3
    assert abs(source.uniform(10**6).max() - 1) < 1e-4
    counts = np.zeros((4, 4))
    for _ in range(4000):
        counts[np.arange(4), source.permutation(4)] += 1
    assert stats.chisquare(counts.reshape(-1)).pvalue > 1e-3


def test_quantiles_and_logarithms_are_right_to_the_last_digits():
    p = np.concatenate([np.linspace(0.001, 0.999, 999), 10.0 ** -np.arange(3, 16), 1 - 10.0 ** -np.arange(3, 16)])
    p = p[p != 0.5]
    np.testing.assert_allclose(_normal_quantile(p), ndtri(p), rtol=5e-15, atol=1e-15)
    least, most = _normal_quantile(np.array([2.0**-53, 1 - 2.0**-53]))
    assert -8.3 < least < -8.1 < 8.1 < most < 8.3
    x = np.exp(np.linspace(-700, 700, 1001))
    np.testing.assert_allclose(_log(x), np.log(x), rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.5, TypeError), ("a", TypeError)])
def test_a_seed_is_a_number_of_at_least_0(seed, error):
    with pytest.raises(error, match="seed"):
        Source(seed)


VARIANCES = {"glorot": 2 / 500, "he": 2 / 200, "lecun": 1 / 200}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights_have_the_spread_that_their_rule_says(name):
    base, _, kind = name.rpartition("_")
    given = {"constant": (name, 0.5), "uniform": (name, 0.25)}.get(name, name)
    weights = initial_weights(*parse(given), 200, 300, Source(5))
    assert weights.shape == (200, 300)
    if name in ("zeros", "constant"):
        assert (weights == (0.5 if name == "constant" else 0)).all()
        return
    variance = VARIANCES.get(base, 0.01**2 if name == "normal" else 0.25**2 / 3)
    assert abs(weights.mean()) < 4 * np.sqrt(variance / weights.size)
    assert weights.var() == pytest.approx(variance, rel=0.03)
    if kind == "uniform":
        assert abs(weights).max() <= np.sqrt(3 * variance) * (1 + 1e-15)
    else:
        assert abs(weights).max() > 3.5 * np.sqrt(variance)


def test_rectifiers_start_by_he_and_others_by_glorot():
    assert {name: default_for(name) for name in ("relu", "tanh", "identity", "silu")} == {
        "relu": "he_uniform", "tanh": "glorot_uniform", "identity": "glorot_uniform", "silu": "he_uniform"}


@pytest.mark.parametrize("given", ["xavier", 3, ("he_normal", 2.0), "constant", ("normal", 0.0), ("uniform", -1.0),
                                   ("constant", "a"), ("normal", 1.0, 2.0)])
def test_an_initializer_that_is_none_is_refused(given):
    with pytest.raises((TypeError, ValueError), match="initializer"):
        parse(given)
