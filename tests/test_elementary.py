"""exp, log, tanh and their like: errors in units in the last place, and what is right at the ends.

Here because the networks' bits are made of them. Tests reference/elementary.py; that kernels/elementary.pxi has
the same bits is tested in tests/test_layers.py.
"""

import math

import numpy as np
import pytest

from steepest.reference import elementary

WIDE = {"f": np.float64, "d": np.longdouble}
TYPES = [char for char in "fd" if np.finfo(WIDE[char]).nmant > np.finfo(char).nmant + 8]
EXACT = {
    "exp": np.exp, "exp_of_negative": np.exp, "expm1_of_negative": np.expm1, "log": np.log,
    "log1p_of_fraction": np.log1p, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, x * 0),
}


def points(name, dtype):
    """Numbers of every size that a function takes."""
    source, c = np.random.default_rng(1), elementary.CONSTANTS[np.dtype(dtype)]
    small = source.normal(size=20_000) * 10.0 ** source.uniform(-8, 1, 20_000)
    if name == "log":
        return (1 + abs(small) * 100).astype(dtype)
    if name == "log1p_of_fraction":
        return np.minimum(abs(small), 1).astype(dtype)
    whole = np.r_[small, source.uniform(c.lowest, c.highest, 20_000)].astype(dtype)
    if name == "exp_of_negative":
        return np.maximum(-abs(whole), whole.dtype.type(elementary.LOWEST_NORMAL[np.dtype(dtype)]))
    return -abs(whole) if name.endswith("negative") else whole


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", EXACT)
def test_errors_are_as_small_as_is_said(name, dtype):
    x = points(name, dtype)
    with np.errstate(all="ignore"):
        found = getattr(elementary, name)(x)
        exact = EXACT[name](x.astype(WIDE[dtype]))
        units = abs(found - exact) / np.spacing(abs(exact.astype(dtype)))
    assert found.dtype == dtype
    tiny = abs(exact) < (0 if name == "exp" else 2 * np.finfo(dtype).tiny)
    assert abs(found[tiny]).max(initial=0) <= 2 * np.finfo(dtype).tiny
    large = abs(exact) > np.finfo(dtype).max
    assert np.isinf(found[large]).all()
    assert units[~tiny & ~large].max() <= elementary.ULPS[name]


@pytest.mark.parametrize("dtype", "fd")
def test_the_tail_of_the_normal_distribution(dtype):
    w = np.linspace(0, 6, 200).astype(dtype)
    with np.errstate(all="ignore"):
        found = elementary.normal_tail(w, elementary.exp_of_negative((w * w) * w.dtype.type(-0.5)))
    exact = np.array([math.erfc(float(one) / math.sqrt(2)) / 2 for one in w])
    assert np.max(abs(found - exact) / (exact * (6 + w * w))) <= np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", "fd")
@pytest.mark.parametrize(("name", "expected"), [
    ("exp", [1, 1, math.inf, 0, math.nan, math.inf, 0]), ("sigmoid", [0.5, 0.5, 1, 0, math.nan, 1, 0]),
    ("tanh", [0, -0.0, 1, -1, math.nan, 1, -1]),
    ("softplus", [math.log(2), math.log(2), math.inf, 0, math.nan, 1000, 0]),
])
def test_what_they_are_at_the_ends(name, expected, dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1000, -1000], dtype)
    with np.errstate(all="ignore"):
        found = getattr(elementary, name)(x)
    assert found == pytest.approx(np.array(expected, dtype), rel=1e-6, nan_ok=True)
    assert name != "tanh" or np.signbit(found[1])


@pytest.mark.parametrize("dtype", "fd")
def test_exp_goes_down_into_subnormal_numbers(dtype):
    x = np.log(np.finfo(dtype).smallest_subnormal * np.array([1000, 2], dtype)).astype(dtype)
    with np.errstate(all="ignore"):
        assert elementary.exp(x) / np.finfo(dtype).smallest_subnormal == pytest.approx([1000, 2], rel=0.01)
