"""Sparse Jacobians whose steps are looked for are the dense ones at their entries, in a few calls: each option of them.

Here because columns that are moved together must still choose their steps each for itself. Tests compressed_search.py,
arrangement.py and the sparse side of scales.py, noisy.py, adaptive.py and switching.py.
"""

import copy
import warnings

import native_library
import numpy as np
import pytest
from twins import same_bits

import steepest as sd
from steepest.arrangement import ByEntry
from steepest.compressed_search import turns_of

ADAPTIVE, SWITCH, SCALED, NOISY = {"method": "adaptive"}, {"method": "switch"}, {"x_scale": "auto"}, {"noise": 1e-9}
OPTIONS = [
    ADAPTIVE, ADAPTIVE | {"rtol": 1e-6}, ADAPTIVE | {"step": 0.3}, ADAPTIVE | NOISY, ADAPTIVE | {"noise": "auto"},
    SWITCH, SWITCH | SCALED, SWITCH | NOISY, SCALED, SCALED | {"method": "forward"}, SCALED | {"rel_step": 1e-3}, NOISY,
    NOISY | {"step": 1e-4}, {"noise": "auto"}, {"noise": 1e-6, "method": "forward"},
    {"noise": 1e-6, "method": "backward", "order": 2}, {"noise": 1e-6, "order": 4},
]


@pytest.fixture(autouse=True)
def _on_both(backend):
    """Every test of this file runs on the kernels and on the reference."""


def chain(x):
    """Three diagonals, each of which bends."""
    y = np.sqrt(5 + x**2)
    y[1:] += np.sin(x[:-1])
    y[:-1] += 1 / (4 + x[1:] ** 2)
    return y


def mixed(x):
    """Six results of five numbers: one of none of them, one of all, and a number on which nothing depends."""
    return np.array([np.sin(x[0]), x[0] * x[1], 3.0 + 0 * x[0], np.sqrt(1 + x[2] ** 2) - x[0], np.sin(x[2]) * x[2],
                     x[0] + x[1] ** 2 + np.cos(x[2]) + np.sin(2 * x[3])])


MIXED = np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0], [0, 0, 1, 0, 0], [1, 1, 1, 1, 0]],
                 bool)
TRIDIAGONAL = abs(np.subtract.outer(range(7), range(7))) < 2
CASES = [(chain, TRIDIAGONAL, np.linspace(0.5, 2, 7)), (mixed, MIXED, np.array([1.3, 0.7, -1.1, 0.4, 2.0]))]


def both(f, x, pattern, **options):
    """The sparse and the dense Jacobian, with everything that is known of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return (sd.jacobian(f, x, sparsity=pattern, full_output=True, **options),
                sd.jacobian(f, x, full_output=True, **options))


def assert_equal(sparse, dense, pattern):
    """Entry by entry: values and steps but for the last units, error bars but for rounding, and statuses."""
    eps = np.finfo(dense.value.dtype).eps
    value, step, error, status = (getattr(dense, name)[pattern] for name in ("value", "step", "error", "status"))
    scale = abs(np.where(np.isfinite(value), value, 0)).max(initial=0)
    assert np.allclose(sparse.value.data, value, rtol=1e3 * eps, atol=16 * eps * scale, equal_nan=True)
    assert np.allclose(sparse.step.data, step, rtol=1e3 * eps, atol=0)
    assert np.allclose(sparse.error.data, error, rtol=0.02, atol=1e3 * eps * scale)
    assert (sparse.status.data == status).all()


@pytest.mark.parametrize("dtype", ["d", "f", "g", "D"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_the_dense_jacobian_at_the_entries(options, dtype):
    for f, pattern, x in CASES:
        x = x.astype(dtype)
        sparse, dense = both(f, x, pattern, **options)
        if dtype == "f" and options.get("method") == "adaptive" and "noise" in options:
            # results that do not depend on x[j] send the dense ladders of x[j] another way
            assert (abs(sparse.value.data - dense.value[pattern]) <= sparse.error.data + dense.error[pattern]).all()
        else:
            assert_equal(sparse, dense, pattern)
        assert sparse.success and sparse.nfev < dense.nfev
        assert sparse.message.split(";")[1:] == dense.message.split(";")[1:]    # what is said of noise and switches
        plain = sd.jacobian(f, x, sparsity=pattern, **options)
        assert np.allclose(plain.data, sparse.value.data, rtol=1e-3)


@pytest.mark.parametrize("options", [ADAPTIVE, SCALED, NOISY, SWITCH], ids=str)
def test_bounds_hold_for_each_column(options):
    """Free, at either bound, in a tight box and fixed columns share a colour; f is never evaluated outside."""
    x = np.linspace(0.5, 2, 10)
    inf, kinds = np.full(10, np.inf), np.arange(10) % 5
    lower = np.choose(kinds, [-inf, x, -inf, x - 1e-3, x])
    upper = np.choose(kinds, [inf, inf, x, x + 1e-3, x])
    seen = []

    def f(x):
        seen.append(x.copy())
        return np.sqrt(5 + x**2)

    pattern = np.eye(10, dtype=bool)
    sparse = sd.jacobian(f, x, sparsity=pattern, bounds=(lower, upper), full_output=True, **options)
    assert all(((lower <= point) & (point <= upper)).all() for point in seen)
    dense = sd.jacobian(f, x, bounds=(lower, upper), full_output=True, **options)
    assert_equal(sparse, dense, pattern)
    assert (sparse.status.diagonal()[kinds == 4] == sd.Status.FIXED).all()


@pytest.mark.parametrize("options", [ADAPTIVE, SCALED, NOISY, SWITCH, ADAPTIVE | NOISY], ids=str)
def test_what_is_not_finite_or_has_a_kink_is_told_of_its_entry_alone(options):
    x = np.array([0.5, 1.0, -1.0, 0.0, 1.2])

    def f(x):
        y = np.sin(x)
        y[2] = np.nan if x[2] < 0 else y[2]
        y[3] = abs(x[3])
        return y

    sparse, dense = (sd.jacobian(f, x, sparsity=pattern, full_output=True, **options) for pattern in (np.eye(5), None))
    assert sparse.status.diagonal().tolist() == np.diag(dense.status).tolist()
    assert sparse.status.diagonal()[2] == sd.Status.NONFINITE and np.isnan(sparse.value[2, 2])
    assert (sparse.status.diagonal()[[0, 1, 4]] == sd.Status.RESOLVED).all()
    if options != SWITCH:   # forward differences do not see the kink
        assert sparse.status[3, 3] == sd.Status.UNRESOLVED
    with pytest.warns(sd.DifferenceWarning, match="not finite"):
        sd.jacobian(f, x, sparsity=np.eye(5), **options)


# Calls of f

def counted(f, x, **options):
    """How often f is called."""
    calls = []
    sd.jacobian(lambda x: calls.append(1) or f(x), x, **options)
    return len(calls)


def ring(x):
    """Every result depends on three neighbours on a ring, all alike."""
    return np.sqrt(5 + x**2) + np.sin(np.roll(x, 1)) * np.roll(x, -1)


def ring_pattern(n):
    return np.eye(n) + np.roll(np.eye(n), 1, axis=0) + np.roll(np.eye(n), -1, axis=0)


@pytest.mark.parametrize("options", [ADAPTIVE, ADAPTIVE | NOISY, NOISY, SCALED, SWITCH], ids=str)
def test_three_groups_cost_as_much_as_three_columns(options):
    few, many = (counted(ring, np.full(n, 1.3), sparsity=ring_pattern(n), verify=False, **options) for n in (6, 60))
    dense = counted(ring, np.full(3, 1.3), **options)   # where all depend on all
    assert few == many == dense


@pytest.mark.parametrize(("options", "calls"), [
    (SWITCH, 1 + 3 + 2), (SCALED, 1 + 3 + 6), (SCALED | {"method": "forward"}, 1 + 3 + 3), (ADAPTIVE, 1 + 3 * 8),
], ids=str)
def test_calls_of_f_at_x_and_of_three_groups(options, calls):
    """A trial of the scale, then the difference; forward differences and one along a line; four central differences."""
    assert counted(ring, np.full(60, 1.3), sparsity=ring_pattern(60), verify=False, **options) == calls


def test_columns_of_one_group_stop_each_for_itself():
    """What one column wants does not move another one that is done."""
    points = []

    def f(x):
        points.append(x.copy())
        return np.array([3 * x[0], np.sin(40 * x[1])])

    x = np.array([1.0, 1.0])
    found = sd.jacobian(f, x, sparsity=np.eye(2), method="adaptive", verify=False)
    assert found.diagonal() == pytest.approx([3, 40 * np.cos(40)], rel=1e-10)
    moved = np.array(points) != x
    assert moved[:, 1].sum() > moved[:, 0].sum() >= 6


# What a prepared Jacobian remembers

def costs(J, calls, points):
    found = []
    for x in points:
        before = len(calls)
        J(x)
        found.append(len(calls) - before)
    return found


@pytest.mark.parametrize("options", [SCALED, {"noise": 1e-6}, {"noise": "auto"}, SWITCH | {"noise": 1e-6}], ids=str)
def test_steps_and_scales_are_remembered(options):
    x, calls, random = np.linspace(0.5, 2, 9), [], np.random.default_rng(7)
    points = [x + 1e-3 * k for k in range(7)]

    def f(x):
        calls.append(1)
        return chain(x) + 1e-6 * random.standard_normal(9) * ("noise" in options)

    J = sd.Jacobian(f, x, sparsity=(1, 1), verify=False, memory=3, **options)
    found = costs(J, calls, points)
    assert found[0] == found[3] == found[6] or "noise" in options
    assert max(found[1:3] + found[4:6]) < min(found[0], found[3], found[6])
    exact = sd.jacobian(chain, points[-1], sparsity=(1, 1))
    assert abs(J(points[-1]) - exact).max() < 1e-2
    twin = copy.copy(J)     # which starts without memories
    assert costs(twin, calls, points[:2])[0] > found[1]


def test_a_prepared_switch_stays_with_central_differences_for_a_while():
    calls = []

    def f(x):
        calls.append(1)
        return np.cosh(x - 1)

    near, far = 1 + 1e-9 * np.linspace(-1.2, 1.5, 6), np.linspace(-1.2, 0.4, 6)
    J = sd.Jacobian(f, near, sparsity=np.eye(6), verify=False, method="switch")
    assert costs(J, calls, [far, far, near, near, far]) == [1 + 1 + 2, 1 + 1, 1 + 1 + 2, 2, 2]
    assert abs(J(far).diagonal() - np.sinh(far - 1)).max() < 1e-8


def test_noise_that_differs_from_call_to_call_does_not_spoil_it():
    random = np.random.default_rng(5)
    x = np.linspace(0.5, 2, 12)
    level = np.where(np.arange(12) < 6, 1e-3, 1e-7)
    exact = sd.jacobian(chain, x, method="adaptive")
    for noise in (1e-3, "auto"):
        found = sd.jacobian(lambda x: chain(x) + level * random.standard_normal(12), x, sparsity=(1, 1), noise=noise,
                            full_output=True)
        error = abs(found.value.toarray() - exact)
        assert (error <= 10 * found.error.toarray()).all()
        if noise == "auto":
            assert error[6:].max() < 1e-3       # results that are less noisy have shorter steps and smaller bars


# Is an entry missing?

@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_entry_that_is_missing_is_named(options):
    pattern = MIXED.copy()
    pattern[3, 2] = False
    with pytest.raises(ValueError, match=r"result 3 of f depends on x\[2\]"):
        sd.jacobian(mixed, CASES[1][2], sparsity=pattern, **options)


@pytest.mark.parametrize("options", [{"noise": 1e-3}, {"noise": "auto"}, ADAPTIVE | {"noise": "auto"},
                                     SWITCH | {"noise": 1e-3}], ids=str)
def test_noise_is_not_taken_for_a_missing_entry_nor_hides_one(options):
    pattern = MIXED.copy()
    pattern[3, 2] = False
    for seed in range(5):
        random = np.random.default_rng(seed)

        def f(x, random=random):
            return mixed(x) + 1e-3 * random.standard_normal(6)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sd.DifferenceWarning)
            sd.jacobian(f, CASES[1][2], sparsity=MIXED, **options)
            if "method" not in options:
                with pytest.raises(ValueError, match=r"result 3 of f depends on x\[2\]"):
                    sd.jacobian(f, CASES[1][2], sparsity=pattern, **options)


# Who evaluates f

@pytest.mark.parametrize("options", [ADAPTIVE, SWITCH, SCALED, {"noise": 1e-6}], ids=str)
def test_workers_and_batches_give_the_same_bits(options):
    x = np.linspace(0.5, 2, 7)
    expected = sd.jacobian(chain, x, sparsity=(1, 1), **options)
    for how in ({"workers": map}, {"workers": 2}):
        assert same_bits(sd.jacobian(chain, x, sparsity=(1, 1), **options, **how).data, expected.data)

    def chains(points):
        return np.array([chain(x) for x in points])

    batch = sd.jacobian(chains, x, sparsity=(1, 1), vectorized=True, **options)
    assert same_bits(batch.data, expected.data)


@pytest.mark.parametrize("options", [ADAPTIVE, SWITCH, SCALED, {"noise": 1e-6}], ids=str)
@pytest.mark.parametrize("workers", [None, 2])
def test_compiled_functions_too(native, options, workers):
    x, pattern = np.linspace(0.5, 2, 5), np.eye(5) + np.roll(np.eye(5), 1, axis=1)
    compiled = sd.compiled(native.ctypes("curves"), size=5)
    found = sd.jacobian(compiled, x, sparsity=pattern, workers=workers, **options)
    expected = sd.jacobian(lambda x: native_library.curves(x, 5), x, sparsity=pattern, **options)
    assert same_bits(found.data, expected.data)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_kernels_and_reference_give_the_same_bits(options):
    for f, pattern, x in CASES:
        here = sd.jacobian(f, x, sparsity=pattern, full_output=True, **options)
        with sd.backend("reference"):
            there = sd.jacobian(f, x, sparsity=pattern, full_output=True, **options)
        for name in ("value", "step", "error", "status"):
            assert same_bits(getattr(here, name).data, getattr(there, name).data)


# The parts

def test_every_column_has_one_step_in_each_sweep():
    columns, steps = np.array([3, 1, 3, 3, 1, 0]), np.array([2.0, 1.0, 1.0, 2.0, 1.0, 5.0])
    assert turns_of(columns, steps).tolist() == [1, 0, 0, 1, 0, 0]
    assert turns_of(columns[:0], steps[:0]).size == 0


def test_what_shares_a_step_is_joined_whatever_the_order():
    rows = ByEntry()
    rows.coloring = sd.sparsity.color(np.ones((3, 3)))
    rows.moved, rows.shown = np.array([0, 2, 1, 2, 0]), np.array([0, 0, 1, 1, 2])
    some = np.array([4, 1, 0, 3])
    assert rows.joined(np.maximum, np.array([[1.0], [2.0], [7.0], [3.0]]), some, 0.0).tolist() == [7, 3, 7, 3]
    assert rows.any_of(np.array([[True], [False], [False], [False]]), some).tolist() == [True, False, True, False]
    assert rows.of_rows(np.array([5.0, 6.0, 7.0])).tolist() == [5, 7, 6, 7, 5]
