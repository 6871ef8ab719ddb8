"""Sparse Hessians have the entries of dense ones, cost what their pattern costs, and find out a pattern that is wrong.

Here because ten thousand variables have a hundred million pairs. Tests sparse_hessian.py.
"""

import concurrent.futures

import numpy as np
import pytest
import scipy.sparse as sp
import sent
from scipy.optimize import rosen, rosen_der, rosen_hess

import steepest as sd

from .faults.contract import bits
from .test_hessian import Counted, quietly

N = 40
X = np.tile([-1.2, 1.0], N // 2)
EXACT = rosen_hess(X)
BAND = EXACT != 0
PATTERNS = {
    "widths": (1, 1), "dense": BAND, "csr": sp.csr_array(BAND), "csc": sp.csc_array(BAND), "coo": sp.coo_array(BAND),
    "coloured": sd.sparsity.color(BAND, symmetric=True), "coloured as a Jacobian": sd.sparsity.color(BAND),
}


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def error_of(found):
    """The largest error, as a share of the largest entry; what is not stored is zero."""
    return abs(found.toarray() - EXACT).max() / abs(EXACT).max()


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize(("method", "calls", "tolerance"), [
    ("central", N + 118 + 1, 1e-6), ("forward", N + N + 39 + N + 1 - N, 1e-3), ("complex", 2 * (N + 39), 1e-10)])
def test_only_the_entries_of_the_pattern_are_asked_for(pattern, method, calls, tolerance):
    f = Counted(rosen)
    found = sd.hessian(f, X, sparsity=pattern, method=method, verify=False)
    assert isinstance(found, sp.csr_array) and found.nnz == 118 and (found != found.T).nnz == 0
    assert error_of(found) < tolerance
    assert f.calls == calls + (5 if method == "complex" else 0)


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize(("method", "calls", "tolerance"), [
    ("central", 6, 1e-9), ("forward", 4, 1e-6), ("complex", 3, 1e-15)])
def test_a_gradient_is_asked_once_or_twice_for_each_colour(pattern, method, calls, tolerance):
    grad = Counted(rosen_der)
    found = sd.hessian(None, X, grad=grad, sparsity=pattern, method=method, verify=False)
    assert isinstance(found, sp.csr_array) and found.nnz == 118 and (found != found.T).nnz == 0
    assert error_of(found) < tolerance
    assert grad.calls == calls + (3 if method == "complex" else 0)


def test_the_entries_of_a_full_pattern_are_those_of_the_dense_hessian():
    for options in ({}, {"method": "forward"}, {"method": "complex"}, {"bounds": (X[:6], None)}):
        found = sd.hessian(rosen, X[:6], sparsity=np.ones((6, 6), bool), format="dense", verify=False, **options)
        assert bits(found) == bits(sd.hessian(rosen, X[:6], **options))


def test_verification_costs_five_values_or_two_gradients():
    f, grad = Counted(rosen), Counted(rosen_der)
    sd.hessian(f, X, sparsity=(1, 1))
    assert f.calls == N + 118 + 1 + 5
    sd.hessian(None, X, grad=grad, sparsity=(1, 1))
    assert grad.calls == 6 + 2


@pytest.mark.parametrize("missing", [(3, 4), (7, 7), (0, 1), (38, 39), (20, 20), (12, 13)])
def test_a_missing_entry_is_named(missing):
    pattern = BAND.copy()
    pattern[missing] = pattern[missing[::-1]] = False
    i, j = missing
    with pytest.raises(ValueError, match=rf"x\[{i}\] and x\[{j}\] is not zero, but row {i} .* no entry in column {j}"):
        sd.hessian(rosen, X, sparsity=pattern)
    with pytest.raises(ValueError, match=r"sparsity lacks an entry: result .* of grad depends on"):
        sd.hessian(None, X, grad=rosen_der, sparsity=pattern)
    found, _ = quietly(sd.hessian, rosen, X, sparsity=pattern, verify=False)
    assert found.nnz == pattern.sum()


def test_a_missing_entry_far_from_the_diagonal_is_named():
    def f(x):
        return rosen(x) + 100 * np.sin(x[2] * x[31])

    with pytest.raises(ValueError, match=r"x\[2\] and x\[31\]"):
        sd.hessian(f, X, sparsity=(1, 1))


@pytest.mark.parametrize("seed", range(5))
def test_a_right_pattern_is_never_called_wrong(seed):
    x = np.random.default_rng(seed).normal(size=N) * 10.0 ** np.random.default_rng(seed).integers(-3, 3, N)
    found, _ = quietly(sd.hessian, rosen, x, sparsity=(1, 1))
    assert found.nnz == 118
    found, _ = quietly(sd.hessian, None, x, grad=rosen_der, sparsity=(1, 1))
    np.testing.assert_allclose(found.toarray(), rosen_hess(x), atol=1e-6 * abs(rosen_hess(x)).max())


@pytest.mark.parametrize("options", [{}, {"grad": rosen_der}], ids=["values", "grad"])
def test_bounds_are_kept_and_what_is_fixed_is_zero(options):
    lower, upper = np.full(N, -9.0), np.full(N, 9.0)
    lower[5] = upper[5] = X[5]
    upper[::4] = X[::4]
    f = Counted(options.get("grad", rosen))
    found = sd.hessian(f, X, sparsity=(1, 1), bounds=(lower, upper), full_output=True,
                       **({"grad": f} if options else {}))
    exact = EXACT.copy()
    exact[5] = exact[:, 5] = 0
    assert abs(found.value.toarray() - exact).max() < 1e-6 * abs(exact).max()
    assert found.success and (found.status.toarray()[5, 4:7] == sd.Status.FIXED).all()
    assert all((lower <= point).all() and (point <= upper).all() for point in f.points)


@pytest.mark.parametrize("options", [{}, {"grad": rosen_der}, {"method": "complex"}], ids=str)
def test_full_output_has_the_pattern_in_every_part(options):
    found = sd.hessian(rosen, X, sparsity=(1, 1), full_output=True, **options)
    assert found.success and found.value.nnz == found.error.nnz == found.step.nnz == found.status.nnz == 118
    assert (abs(found.value.toarray() - EXACT) <= 3 * found.error.toarray() + 1e-12).mean() > 0.99


def test_noise_and_kinks_are_no_missing_entries():
    rng = np.random.default_rng(3)
    for f in (lambda x: rosen(x) * (1 + 1e-9 * rng.normal()), lambda x: rosen(x) + abs(x - 1.0).sum()):
        found, _ = quietly(sd.hessian, f, X, sparsity=(1, 1))
        assert found.nnz == 118


def test_formats_and_out():
    for form in ("csr", "csc", "coo"):
        assert sd.hessian(rosen, X, sparsity=(1, 1), format=form).format == form
    dense = sd.hessian(rosen, X, sparsity=(1, 1), format="dense")
    assert isinstance(dense, np.ndarray) and (dense == sd.hessian(rosen, X, sparsity=(1, 1)).toarray()).all()
    for options in ({}, {"grad": rosen_der}):
        out = sp.csr_array(BAND.astype(float))
        assert sd.hessian(rosen, X, sparsity=(1, 1), out=out, **options) is out
        assert bits(out.data) == bits(sd.hessian(rosen, X, sparsity=(1, 1), **options).data)


@pytest.mark.parametrize("options", [{}, {"method": "complex"}, {"full_output": True}], ids=str)
def test_workers_give_the_bits_of_one(options):
    def numbers(found):
        return bits(found.value.data if options.get("full_output") else found.data)

    x = X[:6]
    expected = numbers(sd.hessian(sent.valley, x, sparsity=(1, 1), **options))
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        for workers in (threads, map, 2):
            assert numbers(sd.hessian(sent.valley, x, sparsity=(1, 1), workers=workers, **options)) == expected


def test_compiled_functions_are_called_by_pointer(native):
    f, grad = native.given("rosenbrock", "ctypes", None), native.given("slopes", "ctypes", None)
    x = np.linspace(0.5, 1.5, 12)
    for workers in (None, 3):
        found = sd.hessian(f, x, sparsity=(1, 1), workers=workers)
        np.testing.assert_allclose(found.toarray(), sd.hessian(f, x), atol=1e-3)
        dense = sd.hessian(None, x, grad=grad)
        found = sd.hessian(None, x, grad=grad, sparsity=dense != 0, workers=workers)
        np.testing.assert_allclose(found.toarray(), dense, rtol=1e-6, atol=1e-6)


def test_ten_thousand_variables_take_six_gradients():
    n = 10_000
    x = np.linspace(-1, 1, n)
    grad = Counted(rosen_der)
    found = sd.hessian(None, x, grad=grad, sparsity=(1, 1), verify=False)
    assert grad.calls == 6 and found.nnz == 3 * n - 2 and (found != found.T).nnz == 0
    diagonal = 1200 * x**2 - 400 * np.append(x[1:], 0) + 202
    diagonal[0] -= 200
    np.testing.assert_allclose(found.diagonal()[:-1], diagonal[:-1], rtol=1e-6)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"sparsity": np.ones((3, 3))}, ValueError, "sparsity must have one column for each of the 40 entries"),
    ({"sparsity": np.ones((3, N))}, ValueError, "sparsity of a Hessian must be square"),
    ({"sparsity": np.tri(N)}, ValueError, "sparsity of a Hessian must be symmetric"),
    ({"sparsity": (1, 2)}, ValueError, "sparsity of a Hessian must be symmetric"),
    ({"sparsity": "all"}, TypeError, "sparsity must be"),
    ({"sparsity": (1, 1), "format": "bsr"}, ValueError, "format must be one of"),
    ({"format": "csr"}, ValueError, "with sparsity only"),
    ({"sparsity": (1, 1), "method": "adaptive"}, ValueError, "for second derivatives"),
    ({"sparsity": (1, 1), "verify": 1}, TypeError, "verify must be True or False"),
    ({"sparsity": (1, 1), "out": np.zeros((N, N))}, ValueError, "out must be a csr_array"),
], ids=str)
@pytest.mark.parametrize("grad", [None, rosen_der], ids=["values", "grad"])
def test_bad_patterns_are_refused_before_f_is_called(options, error, message, grad):
    f = Counted(rosen if grad is None else grad)
    with pytest.raises(error, match=message):
        sd.hessian(f, X, **options, **({"grad": f} if grad else {}))
    assert f.calls == 0


def test_noise_and_scales_are_heeded():
    rng = np.random.default_rng(1)
    found = sd.hessian(lambda x: rosen(x) + 1e-5 * rng.normal(), X, sparsity=(1, 1), noise=1e-5, verify=False)
    assert error_of(found) < 1e-3
    sizes = np.tile([1e-4, 1e4], N // 2)
    found = sd.hessian(lambda x: rosen(x / sizes), X * sizes, sparsity=(1, 1), x_scale="auto", verify=False)
    assert abs(found.toarray() * np.outer(sizes, sizes) - EXACT).max() < 1e-3 * abs(EXACT).max()
    for noise in (1e-5, "auto"):
        g = Counted(lambda x: rosen_der(x) + 1e-5 * rng.normal(size=N))
        found = sd.hessian(None, X, grad=g, sparsity=(1, 1), noise=noise, full_output=True)
        assert (abs(found.value.toarray() - EXACT) <= 10 * found.error.toarray()).all()
        assert error_of(found.value) < 1e-3 and g.calls == found.nfev < 150
    found = sd.hessian(None, X * sizes, grad=lambda x: rosen_der(x / sizes) / sizes, sparsity=(1, 1), x_scale="auto")
    assert abs(found.toarray() * np.outer(sizes, sizes) - EXACT).max() < 1e-6 * abs(EXACT).max()
