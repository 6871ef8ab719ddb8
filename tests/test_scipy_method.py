"""The walks as methods of SciPy's minimize: its arguments mean what they mean there.

Here so that code which calls SciPy can switch by one word. Tests scipy_interface.py.
"""

import warnings

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, basinhopping, minimize, rosen, rosen_der

import steepest as sd
from steepest.descent import RULES
from steepest.reference.descent import METHODS

X0 = [-1.2, 1.0]


@pytest.mark.parametrize("method", METHODS + RULES)
def test_every_method_is_one_of_scipys(backend, method):
    lr = {"lr": 1e-3} if method in ("gd", "sgd", "asgd") else {}
    result = minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(method, **lr), options={"maxiter": 20})
    ours = sd.minimize(rosen, X0, grad=rosen_der, method=method, maxiter=20, **lr)
    assert (result.x.tobytes(), result.fun, result.nit) == (ours.x.tobytes(), ours.fun, ours.nit)


@pytest.mark.parametrize("jac", [rosen_der, True, None, "2-point"])
def test_gradients_come_as_scipy_has_them(backend, jac):
    f = (lambda x: (rosen(x), rosen_der(x))) if jac is True else rosen
    result = minimize(f, X0, jac=jac, method=sd.scipy_method())
    assert result.success
    assert np.allclose(result.x, 1, atol=1e-4)


def test_arguments_reach_f_and_its_gradient(backend):
    result = minimize(lambda x, a, b: a * (x[0] - b) ** 2, [0.0], args=(2.0, 3.0), method=sd.scipy_method(),
                      jac=lambda x, a, b: 2 * a * (x - b))
    assert np.allclose(result.x, 3)
    assert np.allclose(minimize(lambda x, b: (x - b) ** 2, 1.0, args=5.0, method=sd.scipy_method()).x, 5)


@pytest.mark.parametrize("bounds", [[(None, 0.5), (0, 1)], ((-2.0, 0.5), (0.0, None)), (([-2, 0]), ([0.5, 9]))])
def test_bounds_are_scipys_pairs(backend, bounds):
    if bounds == ([-2, 0], [0.5, 9]):       # one pair for each variable, as ever in SciPy
        bounds = list(zip(*bounds, strict=True))
    seen = []

    def f(x):
        seen.append(x.copy())
        return rosen(x)

    result = minimize(f, [-1.2, 0.5], method=sd.scipy_method("lbfgs"), bounds=bounds)
    assert result.success
    assert np.allclose(result.x, [0.5, 0.25], atol=1e-5)
    assert max(x[0] for x in seen) <= 0.5
    with pytest.raises(ValueError, match="cannot keep bounds"):
        minimize(rosen, X0, method=sd.scipy_method("cg"), bounds=bounds)


def test_tolerances_and_limits_have_scipys_names(backend):
    tight = minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method("bfgs"), tol=1e-9)
    assert tight.success
    assert abs(tight.jac).max() <= 1e-9
    assert minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(), options={"gtol": 1e-9}).success
    assert minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(), options={"maxiter": 3}).nit == 3
    assert minimize(rosen, X0, method=sd.scipy_method(), options={"maxfun": 17}).nfev <= 17
    assert minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(tol=1e9), tol=1e-6).nit > 3    # what comes last
    options = {"maxcor": 5, "eps": 1e-7, "maxls": 20}
    assert minimize(rosen, X0, method=sd.scipy_method(memory=3), options=options).success
    with pytest.raises(TypeError, match="colour"):
        minimize(rosen, X0, method=sd.scipy_method(), options={"colour": 1})
    both = minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(), tol=1e9, options={"gtol": 1e-6})
    assert both.nit > 3     # what is meant for the gradient goes first


def test_callbacks_are_of_both_kinds(backend):
    seen, told = [], []
    minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(), callback=seen.append, options={"maxiter": 4})
    assert len(seen) == 4
    assert all(x.shape == (2,) for x in seen)

    def callback(intermediate_result):
        told.append(intermediate_result.fun)
        if len(told) == 2:
            raise StopIteration

    result = minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(), callback=callback)
    assert told == [rosen(x) for x in seen[:2]]
    assert (result.nit, result.success) == (2, False)


def test_the_path_and_a_report_are_given_when_asked_for(backend, capsys):
    result = minimize(rosen, X0, jac=rosen_der, method=sd.scipy_method(), options={"disp": True, "return_all": True})
    assert len(result.allvecs) == result.nit + 1
    assert (result.allvecs[0] == X0).all()
    out = capsys.readouterr().out
    assert result.message in out
    assert f"{result.nit} iterations" in out


def test_what_it_cannot_do_is_said(backend):
    with pytest.raises(ValueError, match="constraints"):
        minimize(rosen, X0, method=sd.scipy_method(), constraints=LinearConstraint([[1, 1]], 0, 1))
    with pytest.raises(ValueError, match="constraints"):
        minimize(rosen, X0, method=sd.scipy_method(), constraints={"type": "eq", "fun": rosen})
    with pytest.warns(RuntimeWarning, match="hess"):
        minimize(rosen, X0, method=sd.scipy_method(), hess=lambda x: np.eye(2))
    for wrong in ("newton", None, 3):
        with pytest.raises(ValueError, match="'lbfgs'"):
            sd.scipy_method(wrong)
    with pytest.raises(TypeError, match="bounds"):
        minimize(rosen, X0, method=sd.scipy_method(), bounds=[1, 2])
    assert repr(sd.scipy_method("cg", beta="pr+")) == "scipy_method('cg', beta='pr+')"


def test_other_functions_of_scipy_take_it_too(backend):
    found = basinhopping(rosen, X0, niter=2, rng=1, minimizer_kwargs={"method": sd.scipy_method(), "jac": rosen_der})
    assert np.allclose(found.x, 1, atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert minimize(rosen, X0, method=sd.scipy_method()).success
