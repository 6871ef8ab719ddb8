"""A sparse Jacobian is the dense one at its entries: values, error bars, steps and statuses; kernel equals reference.

Here because entries that share an evaluation must not know of each other. Tests compressed.py, kernels/compressed.pyx,
kernels/_groups.pxi and reference/compressed.py.
"""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from twins import COMPLEXES, FLOATS, SCHEMES, factor_of, same_bits

import steepest as sd
from steepest.kernels import compressed as kernel_compressed
from steepest.kernels import difference as kernel_difference
from steepest.kernels.callback import PythonFunction
from steepest.reference import callback as reference_callback
from steepest.reference import compressed as reference_compressed
from steepest.reference import difference as reference_difference
from steepest.reference.callback import GROUPS, working_type
from steepest.reference.difference import CENTRAL, COMPLEX, FORWARD, UNSUITED

SIDES = ((kernel_compressed.Compression, kernel_difference.Differences, PythonFunction),
         (reference_compressed.Compression, reference_difference.Differences, reference_callback.PythonFunction))
RULES = [{}, {"order": 4}, {"order": 6}, {"order": 8}, {"step": 1e-4}, {"rel_step": 1e-5}, {"x_scale": 3.0},
         *({"method": method, "order": order} for method in ("forward", "backward") for order in (1, 2, 3, 4)),
         {"method": "complex"}]


class Sums:
    """A function of a given pattern: result i is a sum over its entries, each term computed alike wherever it is."""

    def __init__(self, pattern):
        self.rows, self.columns = np.nonzero(pattern)
        self.m = len(pattern)

    def __call__(self, x):
        terms = np.sin(x[self.columns]) * (1 + self.columns % 3) + x[self.columns] * self.rows
        result = np.zeros(self.m, x.dtype)
        np.add.at(result, self.rows, terms)
        return result


def patterns(most=9):
    """Patterns of any density, empty rows and columns included."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng).map(
        lambda source: source.random(source.integers(0, most, 2)) < source.random())


def point(n, dtype, seed=0):
    """An x."""
    source = np.random.default_rng(seed)
    x = source.normal(scale=2, size=n)
    return (x + 1j * source.normal(size=n) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def close(sparse, dense, dtype):
    """Equal but for the last units: one reciprocal serves all entries of a column."""
    eps = np.finfo(dtype).eps
    return np.allclose(sparse, dense, rtol=4 * eps, atol=0, equal_nan=True)


@pytest.mark.parametrize("options", RULES, ids=str)
@given(pattern=patterns(), dtype=st.sampled_from([*FLOATS, *COMPLEXES]), full=st.booleans(), seed=st.integers(0, 9))
def test_it_is_the_dense_jacobian_at_the_entries(options, pattern, dtype, full, seed):
    x, f = point(pattern.shape[1], dtype, seed), Sums(pattern)
    if dtype.kind == "c" and options.get("method") == "complex":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sd.DifferenceWarning)   # some steps are small for float32
        sparse = sd.jacobian(f, x, sparsity=pattern, full_output=full, **options)
        dense = sd.jacobian(f, x, full_output=full, **options)
    names = ("value", "error", "step", "status") if full else (None,)
    for name in names:
        ours, theirs = (getattr(result, name) if name else result for result in (sparse, dense))
        assert ours.format == "csr" and ours.shape == theirs.shape and ours.dtype == theirs.dtype
        theirs = theirs[pattern]
        if name == "error":
            rounding = 1e3 * np.finfo(dtype).eps * abs(theirs).max(initial=0)
            assert np.allclose(ours.data, theirs, rtol=1e-3, atol=rounding)
        elif name == "status":
            assert (ours.data == theirs).all()
        else:
            assert close(ours.data, theirs, dtype)


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_bounds_send_columns_to_one_side_each_for_itself(backend, method):
    """Free, at either bound, in a tight box and fixed columns share a colour; f is never evaluated outside."""
    n = 12
    x = np.linspace(0.5, 2, n)
    inf = np.full(n, np.inf)
    kinds = np.arange(n) % 6
    lower = np.choose(kinds, [-inf, x, -inf, x - 1e-7, x, x - 1])
    upper = np.choose(kinds, [inf, inf, x, x + 1e-7, x, x + 1e-9])
    pattern = np.subtract.outer(range(n), range(n)) % (n - 1) == 0
    seen = []

    def f(x):
        seen.append(x.copy())
        return Sums(pattern)(x)

    sparse = sd.jacobian(f, x, sparsity=pattern, bounds=(lower, upper), method=method, full_output=True)
    assert all(((lower <= point) & (point <= upper)).all() for point in seen)
    dense = sd.jacobian(Sums(pattern), x, bounds=(lower, upper), method=method, full_output=True)
    assert (sparse.status.data == dense.status[pattern]).all()
    assert close(sparse.value.data, dense.value[pattern], x.dtype)
    assert close(sparse.step.data, dense.step[pattern], x.dtype)
    assert {sd.Status.FIXED, sd.Status.ONE_SIDED} <= set(sparse.status.data)
    assert sparse.nfev < 20
    plain = sd.jacobian(Sums(pattern), x, sparsity=pattern, bounds=(lower, upper), method=method)
    assert same_bits(plain.data, sparse.value.data)


def test_colours_of_fixed_columns_cost_nothing(backend):
    calls = []

    def f(x):
        calls.append(1)
        return x**2

    x = np.ones(4)
    J = sd.jacobian(f, x, sparsity=np.eye(4), bounds=(x, x))
    assert J.toarray().tolist() == np.zeros((4, 4)).tolist()
    assert len(calls) == 1


def test_linear_functions_are_exact(backend):
    source = np.random.default_rng(1)
    matrix = sp.random_array((40, 30), density=0.1, rng=source).tocsr()
    matrix.data = source.integers(-8, 9, matrix.nnz).astype(float)
    for method in ("central", "forward", "complex"):
        J = sd.jacobian(lambda x: matrix @ x, np.zeros(30), step=0.5, method=method, sparsity=matrix)
        assert (matrix != J).nnz == 0


@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"order": 4}, {"method": "complex"}], ids=str)
def test_the_smallest_number_of_evaluations(backend, options):
    n, calls = 50, []

    def f(x):
        calls.append(1)
        y = (3 - 2 * x) * x + 1
        y[1:] -= x[:-1]
        y[:-1] -= 2 * x[1:]
        return y

    x = np.linspace(-1, 1, n)
    J = sd.Jacobian(f, x, sparsity=(1, 1), **options)
    J(x)
    calls.clear()
    J(x + 0.1)
    if options == {"method": "complex"}:
        assert len(calls) == 3 + 3      # and the check against a central difference in one direction
    else:
        assert len(calls) == {"forward": 4}.get(options.get("method"), 6 * options.get("order", 2) // 2)


# Functions that are not smooth, finite, or precise

def test_a_row_that_is_not_finite_is_mended_alone(backend):
    x = np.array([0.0, 1.0, 1e-9, 2.0])

    def f(x):
        return np.sqrt(np.where(x < 0, np.nan, x))

    sparse = sd.jacobian(f, x, sparsity=np.eye(4), full_output=True, verify=False)
    dense = sd.jacobian(f, x, full_output=True)
    assert sparse.status.diagonal().tolist() == np.diag(dense.status).tolist()
    assert sparse.value.diagonal() == pytest.approx(np.diag(dense.value), rel=1e-9)
    assert sparse.error.diagonal() == pytest.approx(np.diag(dense.error), rel=0.5)


def test_what_stays_unresolved_is_told(backend):
    with pytest.warns(sd.DifferenceWarning, match=r"1 of 3 components not finite \(the first at \[1, 1\]\)"):
        J = sd.jacobian(lambda x: np.where(abs(x - 1) < 0.4, np.nan, x), np.array([0.5, 1.0, 1.5]), sparsity=np.eye(3))
    assert np.isnan(J.toarray()).tolist() == np.diag([False, True, False]).tolist()
    full = sd.jacobian(lambda x: abs(x), np.array([0.5, 0.0, 1.5]), sparsity=np.eye(3), full_output=True)
    assert full.status.diagonal().tolist() == [0, sd.Status.UNRESOLVED, 0]
    assert not full.success and "[1, 1]" in full.message


def test_an_overflow_is_not_tried_again(backend):
    calls = []

    def f(x):
        calls.append(1)
        return np.where(x > 1, 1.7e308, -1.7e308) * (abs(x - 1) < 0.5) + x

    with pytest.warns(sd.DifferenceWarning, match="not finite"):
        sd.jacobian(f, np.array([1.0, 3.0]), sparsity=np.eye(2), verify=False)
    assert len(calls) <= 4


def test_functions_in_single_precision_get_larger_steps(backend):
    x = np.linspace(0.5, 1, 6)
    for sparsity in (np.eye(6), None):
        J = sd.jacobian(lambda x: np.exp(x.astype("f")), x, sparsity=sparsity, format="dense")
        assert np.diag(J) == pytest.approx(np.exp(x), rel=1e-4)


def test_a_complex_step_that_f_breaks_is_told(backend):
    with pytest.warns(sd.DifferenceWarning, match="complex step disagrees"):
        sd.jacobian(lambda x: abs(x) * (1 + 0 * x), np.array([1.0, -2.0]), sparsity=np.eye(2), method="complex")


def test_a_function_may_do_what_it_likes_with_x(backend):
    x, kept = np.linspace(-1, 1, 9), []

    def f(x):
        y = x**3
        x *= 7
        kept.append(x)
        return y

    J = sd.Jacobian(f, x, sparsity=np.eye(9))
    for _ in range(3):
        assert J(x).diagonal() == pytest.approx(3 * x**2, abs=1e-9)
    assert len({id(view) for view in kept}) == len(kept)


def test_a_function_may_use_the_same_memory_for_all_results(backend):
    out = np.empty(9)

    def f(x):
        out[:] = x**2
        return out

    assert sd.jacobian(f, np.arange(9.0), sparsity=np.eye(9)).diagonal() == pytest.approx(2 * np.arange(9.0))


# The kernel

@pytest.mark.parametrize("dtype", [*FLOATS, *COMPLEXES], ids=str)
@pytest.mark.parametrize("scheme", [*SCHEMES, (COMPLEX, 1)], ids=str)
@given(pattern=patterns(), bounded=st.booleans(), seed=st.integers(0, 9), block=st.integers(1, 4))
def test_kernel_and_reference_have_the_same_bits(dtype, scheme, pattern, bounded, seed, block):
    method, order = scheme
    if dtype.kind == "c" and (method == COMPLEX or bounded):
        return
    n, x = pattern.shape[1], point(pattern.shape[1], dtype, seed)
    coloring = sd.sparsity.color(pattern)
    plan, real = coloring.plan(), working_type(dtype)
    lower = upper = None
    if bounded:
        gathered = x[plan[1]].astype(real)
        lower = np.where(np.arange(n) % 3 == 0, gathered, -np.inf).astype(real)
        upper = np.where(np.arange(n) % 4 == 0, gathered, np.inf).astype(real)
    seen = []
    for compression_of, differences_of, function_of in SIDES:
        function = function_of(Sums(pattern), (), None, x.shape, x.dtype, True, method == COMPLEX)
        function.value_at(x)
        function.fresh = True
        compression = compression_of(*plan, n, len(pattern), 8, dtype)
        columns = differences_of(n, dtype, method, order, factor_of(dtype, method, order), 1, 0, None, lower, upper)
        one = np.ones(1, real)
        colors = differences_of(
            coloring.count, dtype, method, order, 1.0, function.size, block, (one, 0 * one, one), None, None,
            np.ascontiguousarray(GROUPS - np.arange(coloring.count), np.intp), False, 1, bounded)
        parts = 2 if dtype.kind == "c" else 1
        out = np.zeros(coloring.indices.size * parts, real)
        at_once = compression.difference(function, columns, colors, x, np.zeros_like(out))
        planned = compression.plan(columns, x)
        function.begin(x)
        function.in_groups(compression)
        colors.plan(np.zeros(coloring.count, dtype))
        bad = 0
        for first in range(0, coloring.count, block):
            last = min(first + block, coloring.count)
            assert colors.evaluate(function, first, last) == 0
            bad += compression.decompress(colors, first, last, out)
        assert at_once[0] == (UNSUITED if method == CENTRAL and planned[0] else 0)
        seen.append([at_once, planned, bad, out, compression.width, compression.central, compression.count])
    for ours, theirs in zip(*seen, strict=True):
        assert same_bits(ours, theirs)


def test_steps_without_a_reciprocal_are_divided_by():
    x = np.zeros(2)
    for backend in ("kernels", "reference"):
        with sd.backend(backend):
            for method in ("central", "forward"):
                J = sd.jacobian(lambda x: 3 * x, x, step=1e-310, method=method, sparsity=np.eye(2), verify=False)
                assert J.diagonal() == pytest.approx([3, 3])


def made(side=0, **changes):
    """A sound compression, but for what is changed."""
    parts = {"starts": [0, 2, 3], "columns": [0, 2, 1], "first": [0, 1, 2, 3], "rows": [0, 1, 0], "places": [0, 2, 1]}
    numbers = {"entries": 3, "results": 2, "capacity": 2}
    arrays = [np.array(changes.get(name, value), np.intp) for name, value in parts.items()]
    return SIDES[side][0](*arrays, *(changes.get(name, value) for name, value in numbers.items()), np.dtype("d"))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("changes", [
    {"starts": []}, {"starts": [1, 2, 3]}, {"starts": [0, 2, 2]}, {"starts": [0, 3, 2, 3]}, {"columns": [0, 2, 3]},
    {"columns": [0, -1, 1]}, {"first": [0, 1, 3]}, {"first": [0, 1, 2, 2]}, {"first": [0, 2, 1, 3]},
    {"rows": [0, 2, 0]}, {"rows": [-1, 0, 0]}, {"places": [0, 3, 1]}, {"places": [0, -1, 1]}, {"places": [0, 1]},
    {"capacity": 0}, {"entries": -1},
], ids=str)
def test_damaged_compressions_are_refused(side, changes):
    made(side)
    with pytest.raises(ValueError):
        made(side, **changes)


@pytest.mark.parametrize("side", [0, 1])
def test_a_compression_refuses_what_does_not_suit_it(side):
    _, differences_of, function_of = SIDES[side]
    compression = made(side)

    def differences(rows, method=CENTRAL, order=2, size=1):
        return differences_of(rows, np.dtype("d"), method, order, 1e-5, size)

    function = function_of(lambda x: x[:2], (), None, (3,), np.dtype("d"), True)
    with pytest.raises(ValueError):
        function.in_groups(compression)     # it has no points
    for columns, x in ((differences(2), np.ones(3)), (differences(3, order=4), np.ones(3)),
                       (differences(3), np.ones(2)), (differences(3), np.ones(3, "f"))):
        with pytest.raises(ValueError):
            compression.plan(columns, x)
    with pytest.raises(ValueError, match=r"x\[1\] is nan"):
        compression.plan(differences(3), np.array([1, np.nan, 1]))
    assert compression.plan(differences(3), np.ones(3)) == (0, 0)
    colors = differences(2, size=2)
    colors.plan(np.zeros(2))
    for first, last, out in ((0, 3, np.empty(3)), (-1, 1, np.empty(3)), (0, 1, np.empty(2)), (0, 1, np.empty(3, "f"))):
        with pytest.raises(ValueError):
            compression.decompress(colors, first, last, out)
    other = differences(2, FORWARD, 1, size=2)
    other.plan(np.zeros(2))
    with pytest.raises(ValueError):
        compression.decompress(other, 0, 1, np.empty(3))


def test_a_group_that_is_not_there_is_refused(backend):
    side = 0 if backend == "kernels" else 1
    _, differences_of, function_of = SIDES[side]
    compression, one = made(side), np.ones(1)
    compression.plan(differences_of(3, np.dtype("d"), CENTRAL, 2, 1e-5, 1), np.ones(3))
    function = function_of(lambda x: x[:2], (), None, (3,), np.dtype("d"), True)
    function.value_at(np.ones(3))
    for entry, order in ((GROUPS - 2, 2), (GROUPS, 4)):
        function.begin(np.ones(3))
        function.in_groups(compression)
        differences = differences_of(1, np.dtype("d"), CENTRAL, order, 1.0, 2, 1, (one, 0 * one, one), None, None,
                                     np.array([entry], np.intp))
        differences.plan(np.zeros(1))
        with pytest.raises(ValueError, match="no such"):
            differences.evaluate(function)
    function.begin(np.ones(3))
    with pytest.raises((ValueError, AttributeError)):
        differences.evaluate(function)
