"""Colourings are valid, never worse than the natural order, and as good as published ones; kernel equals reference.

Here because a wrong colouring is a wrong Jacobian without a word. Tests kernels/coloring.pyx, reference/coloring.py and
`color` in patterns.py.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import steepest as sd
from steepest.kernels import coloring as kernel
from steepest.patterns import ORDERS
from steepest.reference import coloring as reference

SIDES = (kernel, reference)
NAMES = ["best", *ORDERS]


def dense(data, symmetric=False, most=14):
    """A pattern of any density."""
    m, n = data.draw(st.integers(0, most)), data.draw(st.integers(0, most))
    shape = (n, n) if symmetric else (m, n)
    pattern = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(0, 1))) < data.draw(st.floats(0, 1))
    return pattern | pattern.T if symmetric else pattern


def compressed(pattern):
    """Its rows of columns, and how many columns there are."""
    array = sp.csr_array(pattern)
    return array.indptr.astype(np.intp), array.indices.astype(np.intp), pattern.shape[1]


def assert_no_row_has_a_colour_twice(pattern, colors):
    for row in np.asarray(pattern, bool):
        assert len(set(colors[row])) == row.sum()


def assert_star(pattern, colors):
    """Neighbours differ, and no path of four vertices has two colours only."""
    beside = [set(np.flatnonzero(row)) - {i} for i, row in enumerate(pattern)]
    for a, neighbours in enumerate(beside):
        for b in neighbours:
            assert colors[a] != colors[b]
            for c in beside[b] - {a}:
                for d in beside[c] - {a, b}:
                    assert len({colors[v] for v in (a, b, c, d)}) > 2


@given(st.data())
def test_no_row_has_two_columns_of_one_colour_whatever_the_order(data):
    pattern = dense(data)
    for order in NAMES:
        coloring = sd.sparsity.color(pattern, order=order)
        assert_no_row_has_a_colour_twice(pattern, coloring.colors)
        assert coloring.count == coloring.colors.max(initial=-1) + 1
        assert coloring.count >= pattern.sum(axis=1).max(initial=0)


@given(st.data())
def test_the_best_order_is_never_worse_than_any(data):
    for symmetric in (False, True):
        pattern = dense(data, symmetric)
        counts = {order: sd.sparsity.color(pattern, order=order, symmetric=symmetric).count for order in NAMES}
        assert counts["best"] == min(counts.values())


@given(st.data())
def test_star_colourings_are_such(data):
    pattern = dense(data, symmetric=True)
    for order in NAMES:
        coloring = sd.sparsity.color(pattern, order=order, symmetric=True)
        assert_star(pattern, coloring.colors)


@given(st.data())
def test_every_entry_of_a_symmetric_matrix_is_read_from_where_it_stands_alone(data):
    pattern = dense(data, symmetric=True)
    coloring = sd.sparsity.color(pattern, symmetric=True)
    matrix = np.where(pattern, np.add.outer(np.arange(len(pattern)) ** 2, np.arange(len(pattern)) ** 2) + 1.0, 0)
    sums = matrix @ np.eye(coloring.count)[coloring.colors]
    rows, columns = coloring.sources()
    assert (sums[rows, coloring.colors[columns]] == matrix[pattern]).all()
    read = sp.csr_array((rows * len(pattern) + columns, coloring.indices, coloring.indptr), pattern.shape).toarray()
    assert (read == read.T).all()


@given(st.data())
def test_kernel_and_reference_agree(data):
    indptr, indices, n = compressed(dense(data))
    seen = []
    for side in SIDES:
        by_column, rows = side.transposed(indptr, indices, n)
        sequences = [side.ordering(indptr, indices, by_column, rows, order) for order in range(4)]
        colors = [side.first_fit(by_column, rows, indptr.size - 1, sequence) for sequence in [None, *sequences]]
        seen.append([by_column, rows, *side.group(indices, n), *sequences, *colors])
    for ours, theirs in zip(*seen, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()


@given(st.data())
def test_kernel_and_reference_agree_on_stars(data):
    indptr, indices, n = compressed(dense(data, symmetric=True))
    sequence = np.array(data.draw(st.permutations(range(n))), np.intp)
    seen = []
    for side in SIDES:
        colors = side.star_coloring(indptr, indices, sequence)
        seen.append([colors, *side.star_sources(indptr, indices, colors)])
    for ours, theirs in zip(*seen, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()


def test_more_colours_than_a_word_has_bits(backend):
    pattern = np.ones((3, 200), bool)
    assert sd.sparsity.color(pattern).colors.tolist() == list(range(200))
    pattern = np.eye(300, 200, dtype=bool)
    pattern[250, :130] = True
    colors = sd.sparsity.color(pattern).colors
    assert colors[:130].tolist() == list(range(130))
    assert not colors[130:].any()


# Published counts: Curtis, Powell and Reid's bands; Coleman and Moré's arrow; the Laplacian of reference tables.

def laplacian(k):
    """The five-point pattern of a k by k grid."""
    line = sp.diags_array([np.ones(k - 1), np.ones(k), np.ones(k - 1)], offsets=[-1, 0, 1])
    return (sp.kron(line, sp.eye_array(k)) + sp.kron(sp.eye_array(k), line)).tocsr()


@pytest.mark.parametrize("order", NAMES)
def test_a_band_needs_its_width(order):
    line = np.subtract.outer(range(60), range(60))
    for lower, upper in ((1, 1), (0, 0), (2, 1), (0, 3), (5, 4)):
        pattern = (line <= lower) & (line >= -upper)
        count = sd.sparsity.color(pattern, order=order).count
        assert count == lower + upper + 1 if order in ("best", "natural") else count >= lower + upper + 1


def test_a_large_tridiagonal_needs_three(backend):
    n = 10_000 if backend == "kernels" else 500
    pattern = sp.diags_array([np.ones(n - 1), np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]).tocsr()
    assert sd.sparsity.color(pattern).count == 3
    assert sd.sparsity.color(pattern, symmetric=True).count == 3


def test_the_five_point_laplacian_needs_at_most_seven():
    for order in NAMES:
        assert sd.sparsity.color(laplacian(50), order=order).count <= 7
    assert sd.sparsity.color(laplacian(50), symmetric=True).count <= 6


@pytest.mark.parametrize("tip", [0, 7, 29])
@pytest.mark.parametrize("order", NAMES)
def test_an_arrow_needs_all_columns_or_two_star_colours(tip, order):
    pattern = np.eye(30, dtype=bool)
    pattern[tip], pattern[:, tip] = True, True
    assert sd.sparsity.color(pattern, order=order).count == 30
    assert sd.sparsity.color(pattern, order=order, symmetric=True).count == 2


def test_a_diagonal_needs_one_and_nothing_none():
    assert sd.sparsity.color(np.eye(9)).count == sd.sparsity.color(np.eye(9), symmetric=True).count == 1
    assert sd.sparsity.color(np.zeros((4, 3))).count == 1
    assert sd.sparsity.color(np.zeros((4, 0))).count == sd.sparsity.color(np.zeros((0, 0)), symmetric=True).count == 0


# What the kernels refuse

@pytest.mark.parametrize("side", SIDES)
def test_damaged_patterns_are_refused(side):
    good = np.array([0, 1, 2]), np.array([0, 1])
    for indptr, indices in (
        ([0, 1, 3], [0, 1]), ([1, 1, 2], [0, 1]), ([0, 2, 1], [0, 1]), ([], []), ([0, 1, 2], [0, 2]),
        ([0, 1, 2], [-1, 0]),
    ):
        bad = np.array(indptr, np.intp), np.array(indices, np.intp)
        for call in (lambda bad=bad: side.transposed(*bad, 2), lambda bad=bad: side.first_fit(*bad, 2),
                     lambda bad=bad: side.ordering(*bad, *good, 2), lambda bad=bad: side.ordering(*good, *bad, 2)):
            with pytest.raises(ValueError):
                call()
    with pytest.raises(ValueError, match="indices must lie from 0 to 1"):
        side.group(np.array([2]), 2)
    with pytest.raises(ValueError, match="no such order"):
        side.ordering(*good, *good, 4)
    for sequence in ([0], [0, 0], [1, 2], [-1, 0]):
        with pytest.raises(ValueError, match="every column once"):
            side.first_fit(*good, 2, np.array(sequence, np.intp))


@pytest.mark.parametrize("side", SIDES)
def test_stars_need_a_symmetric_pattern_in_order(side):
    for indptr, indices, words in (
        ([0, 1, 1], [1], r"has entry \(0, 1\) and not \(1, 0\)"),
        ([0, 1, 2], [0, 0], r"has entry \(1, 0\) and not \(0, 1\)"),
        ([0, 2, 3], [1, 0, 0], "must come in order"),
        ([0, 2, 3], [1, 1, 0], "must come in order"),
    ):
        pattern = np.array(indptr, np.intp), np.array(indices, np.intp)
        with pytest.raises(ValueError, match=words):
            side.star_coloring(*pattern)
        with pytest.raises(ValueError, match=words):
            side.star_sources(*pattern, np.zeros(2, np.intp))


@pytest.mark.parametrize("side", SIDES)
def test_colours_that_are_no_star_colouring_are_refused(side):
    indptr, indices, _ = compressed(np.ones((3, 3), bool))
    for colors in ([0, 0, 0], [0, 1, 0]):
        with pytest.raises(ValueError, match="no star colouring"):
            side.star_sources(indptr, indices, np.array(colors, np.intp))
    for colors in ([0, 1], [0, 1, 3], [0, 1, -1]):
        with pytest.raises(ValueError):
            side.star_sources(indptr, indices, np.array(colors, np.intp))


def test_kernels_take_arrays_of_their_own_type_only():
    for wrong in (np.array([0.0]), np.zeros((1, 1), np.intp), np.zeros(4, np.intp)[::2]):
        with pytest.raises(TypeError, match="array of intp"):
            kernel.group(wrong, 1)
    with pytest.raises(TypeError):
        kernel.transposed(None, np.zeros(0, np.intp), 1)
    with pytest.raises(ValueError):
        kernel.group(np.zeros(0, np.intp), -1)
