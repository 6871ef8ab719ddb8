"""Second derivatives of noisy functions, and of functions whose scales are not known.

Here because a second difference with a step made for rounding shows nothing but noise. Tests probed_curvature.py.
"""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as sd

from .faults.contract import bits
from .test_hessian import Counted, quietly

X = np.tile([-1.2, 1.0], 3)
V = np.cos(X)
EXACT = rosen_hess(X)


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def noisy(f, level):
    """F with noise of its own, the same on every run."""
    rng = np.random.default_rng(1)

    def call(x):
        value = f(x)
        return value + level * rng.standard_normal(np.shape(value))

    return call


def found_by(what, level, **options):
    """The second derivative of a noisy function, as a matrix or its product with V; and what it should be."""
    by_grad = {"grad": noisy(rosen_der, level)} if "grad" in what else {}
    f = noisy(rosen, level)
    if what.startswith("hvp"):
        return quietly(sd.hvp, f, X, V, full_output=True, **by_grad, **options)[0], EXACT @ V
    return quietly(sd.hessian, f, X, full_output=True, **by_grad, **options)[0], EXACT


# Errors with steps that balance the noise grow with its root, or its third root of the square for gradients.
ALLOWED = {"hessian": lambda level: 200 * level**0.5, "hvp": lambda level: 200 * level**0.5,
           "hessian grad": lambda level: 50 * level ** (2 / 3), "hvp grad": lambda level: 50 * level ** (2 / 3)}


@pytest.mark.parametrize("what", ALLOWED)
@pytest.mark.parametrize("level", [1e-8, 1e-5, 1e-3])
@pytest.mark.parametrize("auto", [False, True], ids=["given", "estimated"])
def test_steps_balance_the_noise_and_bars_cover_it(what, level, auto):
    found, exact = found_by(what, level, noise="auto" if auto else level)
    assert found.success
    assert abs(found.value - exact).max() < ALLOWED[what](level)
    assert (abs(found.value - exact) <= 5 * found.error).mean() > 0.9


@pytest.mark.parametrize("what", ALLOWED)
def test_without_a_word_about_the_noise_nothing_large_and_wrong_is_called_a_success(what):
    found, exact = found_by(what, 1e-3)
    wrong = (abs(found.value - exact) > 10 * found.error) & (found.status < sd.Status.UNRESOLVED)
    assert wrong.mean() < 0.2


def test_the_caller_s_steps_are_kept_and_bars_know_of_the_noise():
    found = sd.hessian(noisy(rosen, 1e-6), X, step=1e-2, noise=1e-6, full_output=True)
    np.testing.assert_allclose(found.step, 1e-2, rtol=1e-9)
    assert (found.error >= 1e-6 / 1e-2**2).all()


@pytest.mark.parametrize("scale", ["auto", "given"])
def test_entries_of_very_different_sizes(scale):
    sizes = np.array([1e-6, 1.0, 1e6] * 2)
    x_scale = sizes if scale == "given" else "auto"

    def f(y):
        return rosen(y / sizes)

    def grad(y):
        return rosen_der(y / sizes) / sizes

    exact = EXACT / np.outer(sizes, sizes)
    for found in (sd.hessian(f, X * sizes, x_scale=x_scale), sd.hessian(None, X * sizes, grad=grad, x_scale=x_scale)):
        assert (found == found.T).all()
        assert (abs(found - exact) * np.outer(sizes, sizes)).max() < 1e-3
    for found in (sd.hvp(f, X * sizes, V * sizes, x_scale=x_scale),
                  sd.hvp(None, X * sizes, V * sizes, grad=grad, x_scale=x_scale)):
        assert abs((found - exact @ (V * sizes)) * sizes).max() < 1e-3


def test_every_call_is_counted():
    for options in ({"noise": 1e-8}, {"noise": "auto"}, {"x_scale": "auto"}, {"noise": "auto", "x_scale": "auto"}):
        f = Counted(rosen)
        assert sd.hessian(f, X, full_output=True, **options).nfev == f.calls
        f = Counted(rosen)
        assert sd.hvp(f, X, V, full_output=True, **options).nfev == f.calls
        grad = Counted(rosen_der)
        assert sd.hessian(None, X, grad=grad, full_output=True, **options).nfev == grad.calls
        assert sd.hvp(None, X, V, grad=grad, full_output=True, **options).success


def test_bounds_are_kept_in_noise():
    f = Counted(noisy(rosen, 1e-5))
    found, _ = quietly(sd.hessian, f, X, bounds=(X, X + 1), noise=1e-5)
    assert all((point >= X).all() and (point <= X + 1).all() for point in f.points)
    assert abs(found - EXACT).max() < 30


def test_workers_give_the_bits_of_one():
    for options in ({"noise": 1e-8}, {"x_scale": "auto"}):
        assert bits(sd.hessian(rosen, X, workers=map, **options)) == bits(sd.hessian(rosen, X, **options))
        assert bits(sd.hvp(rosen, X, V, workers=map, **options)) == bits(sd.hvp(rosen, X, V, **options))
