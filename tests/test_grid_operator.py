"""Operators on fields are their matrices, have exact adjoints, add and multiply, and serve SciPy and descent.

Here because descent on a grid is only as right as its adjoint. Tests grid_operator.py and grid_sweeps.py.
"""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg, lsqr
from twins import same_bits

import steepest as sd
from steepest.grid_rules import BOUNDARIES

Operator = sd.grid.Operator
KINDS = ("derivative", "laplacian", "gradient", "divergence", "curl")


def matrix(operator):
    """What it does to each unit vector."""
    units = np.eye(operator.shape[1])
    return np.stack([operator.apply(unit.reshape(operator.in_shape)).reshape(-1) for unit in units], 1)


def assert_adjoint(operator, seed=0):
    """<A x, y> is <x, A.T y> to rounding."""
    source = np.random.default_rng(seed)
    x, y = source.normal(size=operator.in_shape), source.normal(size=operator.out_shape)
    Ax, ATy = operator.apply(x), operator.T.apply(y)
    assert operator.T.in_shape == operator.out_shape and operator.T.out_shape == operator.in_shape
    bound = np.abs(operator.to_sparse()).dot(abs(x).reshape(-1)) @ abs(y).reshape(-1)
    bound += abs(x).max() * abs(y).max()    # weights that cancel are not 0 in the matrix
    assert abs(np.vdot(Ax, y) - np.vdot(x, ATy)) <= 1e-14 * bound


@st.composite
def operators(draw):
    """Any operator on a small field."""
    kind = draw(st.sampled_from(KINDS))
    ndim = draw(st.sampled_from((2, 3) if kind == "curl" else (1, 2, 3)))
    shape = tuple(draw(st.integers(1, 9)) for _ in range(ndim))
    source = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 3)) if kind == "derivative" else 2
    order = draw(st.sampled_from((2, 4)))
    sides = [draw(st.sampled_from(BOUNDARIES)) for _ in range(2)]
    boundary = "periodic" if "periodic" in sides else tuple(sides)
    if "one-sided" in boundary:
        shape = tuple(extent + n + order for extent in shape)
    axis = draw(st.integers(0, ndim - 1))
    uniform = draw(st.booleans())
    steps = [0.5 + k if uniform or extent == 1 else np.cumsum(source.uniform(0.5, 1.5, extent)) * (-1) ** k
             for k, extent in enumerate(shape)]
    options = {"order": order, "boundary": boundary, "kind": kind,
               "direction": draw(st.sampled_from(("central", "forward")))}
    periods = [None if np.ndim(x) == 0 else abs(x[-1] - x[0]) + 1 for x in steps]
    if kind == "derivative":
        if boundary == "periodic":
            options["period"] = periods[axis]
        return Operator(shape, steps[axis], axis=axis, n=n, **options)
    if boundary == "periodic":
        options["period"] = periods
    return Operator(shape, steps, **options)


@given(operators(), st.integers(0, 100))
def test_every_operator_has_its_adjoint(operator, seed):
    assert_adjoint(operator, seed)
    assert_adjoint(operator.T, seed)


@given(operators())
def test_every_operator_is_its_matrix(operator):
    sparse = operator.to_sparse()
    assert isinstance(sparse, scipy.sparse.csr_array) and sparse.shape == operator.shape
    scale = 1 + (abs(sparse).max() if sparse.nnz else 0)
    assert np.allclose(matrix(operator), sparse.toarray(), rtol=0, atol=1e-14 * scale)
    assert np.allclose(operator.T.to_sparse().toarray(), sparse.toarray().T, rtol=0, atol=1e-14 * scale)
    assert np.allclose(matrix(operator.T), sparse.toarray().T, rtol=0, atol=1e-14 * scale)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("kind", KINDS)
def test_operators_apply_as_the_functions_do(kind):
    source = np.random.default_rng(1)
    A = Operator((7, 8), (0.5, 0.25), kind=kind, order=4) if kind != "derivative" else Operator((7, 8), 0.5, axis=0)
    f = source.normal(size=A.in_shape)
    if kind in ("laplacian", "divergence", "curl"):
        assert same_bits(A.apply(f), getattr(sd.grid, kind)(f, (0.5, 0.25), order=4))
    elif kind == "gradient":
        assert np.allclose(np.hypot(*A.apply(f)), sd.grid.magnitude(f, (0.5, 0.25), order=4), rtol=1e-13)
    else:
        assert np.allclose(A.apply(f), np.gradient(f, 0.5, axis=0, edge_order=2), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f", "d", "g", "F", "D", "i4", "e"])
def test_every_type_is_taken_and_kept(dtype):
    A = Operator((9, 8), kind="laplacian", boundary="symmetric")
    f = np.random.default_rng(2).integers(0, 9, A.in_shape).astype(dtype)
    found = A.apply(f)
    assert found.dtype == {"i4": "d", "e": "f"}.get(dtype, dtype)
    assert np.allclose(found, A.apply(f.astype("D" if dtype in "FD" else "d")), rtol=1e-5, atol=1e-4)
    out = np.empty(A.out_shape, found.dtype)
    assert A.apply(f, out) is out and same_bits(out, found)


def test_an_operator_is_a_linear_operator():
    A = Operator((5, 6), kind="gradient")
    assert isinstance(A, LinearOperator) and A.shape == (60, 30) and A.dtype == np.float64
    dense, source = A.to_sparse().toarray(), np.random.default_rng(3)
    x, y, X = source.normal(size=30), source.normal(size=60), source.normal(size=(30, 4))
    assert np.allclose(A @ x, dense @ x) and np.allclose(A.matvec(x[:, None]), (dense @ x)[:, None])
    assert np.allclose(A.rmatvec(y), dense.T @ y)
    assert np.allclose(A.T @ y, dense.T @ y) and np.allclose(A.H @ y, dense.T @ y)
    assert np.allclose(A @ X, dense @ X) and np.allclose(A.T @ (A @ X), dense.T @ dense @ X)
    assert np.allclose(A.matmat(X[:, :0]), dense @ X[:, :0])
    assert np.allclose((A @ aslinearoperator(np.diag(x))) @ x, dense @ (x * x))
    assert np.allclose((A + aslinearoperator(dense)) @ x, 2 * dense @ x)
    assert np.allclose((A - aslinearoperator(dense)) @ x, 0)
    assert "Operator" in repr(A) and "(5, 6)" in repr(A)


def test_scipy_solves_with_it():
    A = -Operator((12, 12), 1 / 12, kind="laplacian", boundary="antisymmetric")
    b = np.random.default_rng(4).normal(size=144)
    u, info = cg(A, b, rtol=1e-10)
    assert info == 0 and np.allclose(A.to_sparse() @ u, b)
    D = Operator(30, boundary="symmetric", direction="forward", order=1)
    found = lsqr(D, D @ np.arange(30.0), atol=1e-13, btol=1e-13)[0]
    assert np.allclose(np.diff(found), 1)


@given(operators(), st.floats(-3, 3), st.integers(0, 9))
def test_sums_and_multiples_are_those_of_matrices(A, factor, seed):
    dense = A.to_sparse().toarray()
    scale = 1e-13 * (abs(dense).max(initial=0) + 1)
    for found, expected in ((A + A, 2 * dense), (A - 2 * A, -dense), (factor * A, factor * dense), (A * 2, 2 * dense),
                            (-A, -dense), (A / 4, dense / 4), ((1j * A), 1j * dense)):
        x = np.random.default_rng(seed).normal(size=A.shape[1])
        assert np.allclose(found @ x, expected @ x, rtol=0, atol=20 * scale)
        assert np.allclose(found.to_sparse().toarray(), expected, rtol=0, atol=scale)
        y = np.random.default_rng(seed).normal(size=A.shape[0])
        assert np.allclose(found.H @ y, expected.conj().T @ y, rtol=0, atol=20 * scale)
        assert np.allclose(found.T @ y, expected.T @ y, rtol=0, atol=20 * scale)
    assert type(A + A) is Operator and type(factor * A) is Operator


def test_products_are_those_of_matrices():
    x = np.cumsum(np.random.default_rng(5).uniform(1, 2, 9))
    Dx, Dy = Operator((9, 8), x, axis=0), Operator((9, 8), 0.5, axis=1, order=4, boundary="periodic")
    G, V = Operator((9, 8), kind="gradient"), Operator((9, 8), kind="divergence", boundary="symmetric")
    L = Operator((9, 8), kind="laplacian")
    for first, second in ((Dx, Dy), (Dy, Dx), (Dx, Dx), (V, G), (G, V), (L, Dx), (L @ Dx, Dy + L), (G, Dx), (Dx, L.T),
                          ((Dx @ Dx) + L, Dy), (2 * (V @ G), L), ((1 + 2j) * Dx, Dy), (L + 1j * L, Dx)):
        product = first @ second
        expected = first.to_sparse().toarray() @ second.to_sparse().toarray()
        assert np.allclose(product.to_sparse().toarray(), expected)
        for operator, dense in ((product, expected), (product.T, expected.T), (product.H, expected.conj().T)):
            v = np.random.default_rng(6).normal(size=operator.shape[1])
            assert np.allclose(operator @ v, dense @ v, rtol=1e-10, atol=1e-10)
        out = np.empty(product.out_shape, product.apply(np.ones(product.in_shape)).dtype)
        assert product.apply(np.ones(product.in_shape), out=out) is out
    assert type(Dx @ Dy) is Operator      # one sweep
    assert type(Dx @ Dx) is not Operator
    assert np.allclose((Dx**3).to_sparse().toarray(), np.linalg.matrix_power(Dx.to_sparse().toarray(), 3))
    f = np.random.default_rng(7).normal(size=(9, 8))
    assert np.allclose((Dx @ Dy).apply(f), Dx.apply(Dy.apply(f)), rtol=1e-12, atol=1e-12)


def test_mixed_partials_are_products():
    f = np.random.default_rng(8).normal(size=(9, 8))
    Dx, Dy = (Operator((9, 8), 0.5, axis=axis) for axis in (0, 1))
    assert np.allclose((Dx @ Dy).apply(f), sd.grid.mixed(f, 0.5), rtol=0, atol=1e-12)


def test_adjoints_of_long_axes_stay_short():
    """The transposed rule keeps its interior: it does not list a million nodes."""
    A = Operator(1_000_000, order=4)
    rule = A.T._sweep.outputs[0][0].rules[0]
    assert len(rule.columns) < 100
    assert_adjoint(A)


def test_adjoints_of_long_fields_lie_in_every_layout():
    A = Operator((40, 50, 30), kind="gradient", order=4, boundary=["periodic", "symmetric", ("nearest", "one-sided")])
    assert_adjoint(A)
    y = np.random.default_rng(9).normal(size=A.out_shape)
    plain = A.T.apply(y)
    turned = y.transpose(0, 3, 2, 1).copy().transpose(0, 3, 2, 1)
    for other in (np.asfortranarray(y), turned, y[:, ::-1].copy()[:, ::-1]):
        assert np.allclose(A.T.apply(other), plain, rtol=0, atol=1e-12)


def test_gradient_descent_with_the_adjoint_finds_what_a_solver_finds():
    """Tikhonov: |x - y|^2 + 4 |D x|^2, whose minimum solves a linear system."""
    D = Operator((8, 9), kind="gradient", boundary="symmetric", direction="forward", order=1)
    y = np.random.default_rng(10).normal(size=(8, 9))
    loss = lambda x: 0.5 * np.sum((x - y) ** 2) + 2 * np.sum(D.apply(x) ** 2)       # noqa: E731
    found = sd.gradient_descent(loss, y, lr=0.03, steps=600, grad=lambda x: x - y + 4 * D.T.apply(D.apply(x)))
    matrix = np.eye(72) + 4 * (D.T @ D).to_sparse().toarray()
    assert np.allclose(found.x.reshape(-1), np.linalg.solve(matrix, y.reshape(-1)), atol=1e-6)
    assert np.allclose(sd.gradient(loss, y), 4 * D.T.apply(D.apply(y)), atol=1e-6)


def test_operators_are_copied_and_pickled():
    A = Operator((9, 8), [np.arange(9.0) ** 1.5, 0.5], kind="laplacian")
    f = np.random.default_rng(11).normal(size=(9, 8))
    expected = A.apply(f)
    for other in (copy.copy(A), copy.deepcopy(A), pickle.loads(pickle.dumps(A)), pickle.loads(pickle.dumps(A.T)).T):
        assert np.allclose(other.apply(f), expected, rtol=0, atol=1e-12)
    for composed in (A @ A, A + A @ A, 1j * A):
        assert np.array_equal(pickle.loads(pickle.dumps(composed)).apply(f), composed.apply(f))


def test_mistakes_are_named():
    A, f = Operator((6, 7), axis=0), np.ones((6, 7))
    for call, error, words in (
        (lambda: Operator((6, 7), kind="hessian"), ValueError, "kind must be one of 'derivative'"),
        (lambda: Operator((6, 7), axis=2), np.exceptions.AxisError, "axis 2 is out of bounds"),
        (lambda: Operator((6, 7), axis=0.0), TypeError, "axis must be an integer"),
        (lambda: Operator(()), ValueError, "shape must have at least one axis"),
        (lambda: Operator((6, 0)), ValueError, "points along each"),
        (lambda: Operator((6, 7.5)), TypeError, "integer"),
        (lambda: Operator("67"), TypeError, "integer"),
        (lambda: Operator((6, 7), dtype=np.float32), TypeError, "dtype must be float64"),
        (lambda: Operator((6, 7), kind="laplacian", axis=0), ValueError, "axis is for kind='derivative'"),
        (lambda: Operator((6, 7), kind="laplacian", n=2), ValueError, "n is for kind='derivative'"),
        (lambda: Operator((6, 7), np.ones(7)), ValueError, "coordinates of axis 1 .* are equal"),
        (lambda: Operator((6, 2)), ValueError, "axis 1 has 2 points"),
        (lambda: Operator((6, 7), boundary="wrap"), ValueError, "boundary of axis 1 must be one of"),
        (lambda: Operator(6, kind="curl"), ValueError, "2 or 3 axes"),
        (lambda: A.apply(np.ones((7, 6))), ValueError, r"f must have shape \(6, 7\)"),
        (lambda: A.apply(f, np.ones((7, 6))), ValueError, "out must have shape"),
        (lambda: A.apply(f, np.ones((6, 7), "f")), TypeError, "out must have dtype"),
        (lambda: A.apply(f, f), ValueError, "out must not overlap f"),
        (lambda: A.apply(f, threads=0), ValueError, "threads"),
        (lambda: A + Operator((7, 6)), ValueError, "same shapes"),
        (lambda: A @ Operator((7, 6)), ValueError, "cannot follow"),
        (lambda: A ** 0, ValueError, "powers, from 1 on"),
        (lambda: Operator((6, 7), kind="gradient") ** 2, ValueError, "powers"),
        (lambda: A @ np.ones(6), ValueError, "mismatch"),
    ):
        with pytest.raises(error, match=words):
            call()
    assert (f == 1).all()


def test_importing_the_namespace_leaves_scipys_solvers_alone():
    program = "import sys, steepest as sd; sd.grid.laplacian; print('scipy.sparse' in sys.modules); sd.grid.Operator"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout == "False\n"
