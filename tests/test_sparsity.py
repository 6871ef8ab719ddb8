"""Patterns in every form are read right, wrong ones refused by name, and missing entries found; patterns are detected.

Here because a wrong pattern gives a wrong Jacobian that looks right. Tests patterns.py, missing_entries.py,
detection.py, sparsity.py and what compressed.py does with them.
"""

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

import steepest as sd
from steepest.missing_entries import ASKED

N = 20
X = np.random.default_rng(0).uniform(-1, 1, N)
BAND = abs(np.subtract.outer(range(N), range(N))) <= 1


def broyden(x):
    """Broyden's tridiagonal function."""
    y = (3 - 2 * x) * x + 1
    y[1:] -= x[:-1]
    y[:-1] -= 2 * x[1:]
    return y


def many_broydens(points):
    """The same of many points at once."""
    return np.stack([broyden(x) for x in points])


def exact(x):
    """Its Jacobian."""
    return np.diag(3 - 4 * x) - np.eye(len(x), k=-1) - 2 * np.eye(len(x), k=1)


class Counted:
    """F, counting its calls."""

    def __init__(self, f):
        self.f, self.calls = f, 0

    def __call__(self, *args):
        self.calls += 1
        return self.f(*args)


# Every form of a pattern

FORMS = {
    **{form: (lambda p, form=form: sp.csr_array(p).asformat(form))
       for form in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")},
    "csr_matrix": sp.csr_matrix,
    "bool": np.asarray,
    "list": lambda p: p.tolist(),
    "numbers": lambda p: np.where(p, 3.5, 0),
    "int64 indices": lambda p: _with_indices(p, np.int64),
    "int32 indices": lambda p: _with_indices(p, np.int32),
    "stored zeros": lambda p: _stored(p, np.zeros),
    "objects": lambda p: _stored(p, lambda size: np.full(size, None)),
    "unsorted": lambda p: _shuffled(p),
    "repeated": lambda p: sp.coo_array((np.ones(2 * p.sum()), np.tile(np.nonzero(p), 2)), shape=p.shape),
    "repeated in rows": lambda p: _repeated(p),
    "coloring": sd.sparsity.color,
}


def _with_indices(pattern, kind):
    array = sp.csr_array(pattern)
    array.indices, array.indptr = array.indices.astype(kind), array.indptr.astype(kind)
    return array


def _stored(pattern, data):
    array = sp.csr_array(pattern)
    array.data = data(array.nnz)
    return array


def _shuffled(pattern):
    array = sp.csr_array(pattern)
    for i in range(len(pattern)):
        row = slice(array.indptr[i], array.indptr[i + 1])
        array.indices[row] = array.indices[row][::-1]
    return sp.csr_array((array.data, array.indices, array.indptr), shape=array.shape)


def _repeated(pattern):
    array = sp.csr_array(pattern)
    return sp.csr_array((np.tile(array.data, 2), np.concatenate([np.tile(row, 2) for row in np.split(
        array.indices, array.indptr[1:-1])]) if len(pattern) else array.indices, 2 * array.indptr), shape=array.shape)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_pattern_gives_the_same_jacobian(backend, form):
    expected = sd.jacobian(broyden, X, sparsity=BAND)
    J = sd.jacobian(broyden, X, sparsity=FORMS[form](BAND))
    assert type(J) is sp.csr_array
    assert J.has_canonical_format
    assert J.indices.dtype == J.indptr.dtype == np.int32
    assert (J.indptr == expected.indptr).all() and (J.indices == expected.indices).all()
    assert (J.data == expected.data).all()
    assert J.toarray() == pytest.approx(exact(X), abs=1e-9)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "bsr"])    # whose blocks hold zeros
@given(seed=st.integers(0, 2**32 - 1))
def test_every_form_is_read_as_what_it_stores(form, seed):
    source = np.random.default_rng(seed)
    pattern = source.random(source.integers(0, 8, 2)) < source.random()
    if form == "list" and 0 in pattern.shape:
        return
    coloring = sd.sparsity.color(FORMS[form](pattern))
    assert (coloring.pattern.toarray() == pattern).all()
    assert coloring.pattern.dtype == bool


def test_band_widths():
    for lower, upper in ((1, 1), (0, 2), (3, 0), (99, 99)):
        J = sd.jacobian(lambda x: x, X, sparsity=(lower, upper))
        line = np.subtract.outer(range(N), range(N))
        assert J.nnz == ((line <= lower) & (line >= -upper)).sum()
    assert sd.jacobian(lambda x: x, [], sparsity=(1, 1)).shape == (0, 0)


@pytest.mark.parametrize(("sparsity", "error", "words"), [
    (np.ones((N, N - 1)), ValueError, "sparsity must have one column for each of the 20 entries of x"),
    (np.ones((N + 1, N)), ValueError, "sparsity must have one row for each result of f, but has 21 and f gives 20"),
    (np.ones(N), ValueError, "two dimensions"),
    (np.ones((N, N, 1)), ValueError, "two dimensions"),
    (sp.coo_array(np.ones(N)), ValueError, "two dimensions"),
    ("tridiagonal", TypeError, "sparsity must be a sparse array"),
    (1, ValueError, "two dimensions"),
    ({}, TypeError, "sparsity must be a sparse array"),
    (np.full((N, N), "x"), TypeError, "sparsity must be a sparse array"),
    (np.full((N, N), None), TypeError, "sparsity must be a sparse array"),
    ([[1, 0], [1]], ValueError, "sparsity must be"),
    ((-1, 1), ValueError, "each band width in sparsity must be an integer from 0"),
    ((1, True), ValueError, "each band width"),
    ((1.0, 1), ValueError, "sparsity must"),
], ids=str)
def test_wrong_patterns_are_refused(backend, sparsity, error, words):
    f = Counted(broyden)
    with pytest.raises(error, match=words):
        sd.jacobian(f, X, sparsity=sparsity)
    assert f.calls <= ("each result" in words)
    if "each result" not in words:
        with pytest.raises(error, match=words):
            sd.Jacobian(f, X, sparsity=sparsity)


def test_damaged_sparse_arrays_are_refused(backend):
    def damaged(name, value, form="csr"):
        array = sp.csr_array(BAND).asformat(form)
        indices = getattr(array, name)
        indices[3] = value
        return array

    for array in (damaged("indices", N), damaged("indices", -1), damaged("indptr", 99), damaged("indptr", -3),
                  damaged("indices", N, "csc"), damaged("indptr", 0, "csc"), damaged("row", N, "coo"),
                  damaged("col", -1, "coo")):
        with pytest.raises(ValueError, match="sparsity is no sound sparse array"):
            sd.jacobian(broyden, X, sparsity=array)
    short = sp.csr_array(BAND)
    short.indices = short.indices[:5]
    with pytest.raises(ValueError, match="sparsity is no sound sparse array"):
        sd.jacobian(broyden, X, sparsity=short)


def test_a_pattern_is_copied(backend):
    pattern = sp.csr_array(BAND)
    J = sd.Jacobian(broyden, X, sparsity=pattern)
    pattern.indices[:] = 0
    first = J(X)
    assert first.toarray() == pytest.approx(exact(X), abs=1e-9)
    first.indices[:], first.indptr[:] = 0, 0
    assert J(X).toarray() == pytest.approx(exact(X), abs=1e-9)


def test_options_of_sparse_jacobians_are_checked():
    with pytest.raises(ValueError, match="format must be one of 'csr', 'csc', 'coo', 'dense', not 'lil'"):
        sd.jacobian(broyden, X, sparsity=BAND, format="lil")
    with pytest.raises(ValueError, match="can be given with sparsity only"):
        sd.jacobian(broyden, X, format="csr")
    with pytest.raises(TypeError, match="verify must be True or False"):
        sd.jacobian(broyden, X, sparsity=BAND, verify=1)
    with pytest.raises(ValueError, match="order must be one of 'best'"):
        sd.sparsity.color(BAND, order="worst")
    with pytest.raises(TypeError, match="symmetric must be"):
        sd.sparsity.color(BAND, symmetric="yes")
    with pytest.raises(ValueError, match="must be square"):
        sd.sparsity.color(np.ones((2, 3)), symmetric=True)
    with pytest.raises(ValueError, match="must be symmetric"):
        sd.sparsity.color(np.tri(3), symmetric=True)
    with pytest.raises(TypeError, match="band widths do not tell how large"):
        sd.sparsity.color((1, 1))


# What comes back

@pytest.mark.parametrize("form", ["csr", "csc", "coo", "dense"])
def test_formats(backend, form):
    for full in (False, True):
        J = sd.jacobian(broyden, X, sparsity=BAND, format=form, full_output=full)
        for array in (J.value, J.error, J.step, J.status) if full else (J,):
            assert type(array) is {"csr": sp.csr_array, "csc": sp.csc_array, "coo": sp.coo_array,
                                   "dense": np.ndarray}[form]
            assert array.shape == (N, N)
        value = J.value if full else J
        dense = value if form == "dense" else value.toarray()
        assert dense == pytest.approx(exact(X), abs=1e-9)
        if full:
            assert J.success and J.nfev == 1 + 6 + 6 + 1
            error = J.error if form == "dense" else J.error.toarray()
            assert (abs(dense - exact(X)) <= 10 * error).mean() > 0.95


def test_out(backend):
    J = sd.Jacobian(broyden, X, sparsity=BAND)
    out = J(X)
    out.data[:] = 7
    assert J(X, out=out) is out
    assert out.toarray() == pytest.approx(exact(X), abs=1e-9)
    dense = np.full((N, N), 7.0)
    assert sd.jacobian(broyden, X, sparsity=BAND, format="dense", out=dense) is dense
    assert dense == pytest.approx(exact(X), abs=1e-9)
    f = Counted(broyden)
    for wrong in (out.tocsc(), out[:, :-1], sp.csr_array(np.eye(N)), out.astype("f"), np.empty((N, N)), "out"):
        with pytest.raises((ValueError, TypeError), match="out"):
            sd.jacobian(f, X, sparsity=BAND, out=wrong)
    with pytest.raises(ValueError, match="out can be given with"):
        sd.jacobian(f, X, sparsity=BAND, format="csc", out=out)
    assert f.calls == 0


def test_out_is_untouched_when_f_raises_at_any_call(backend):
    J = sd.jacobian(broyden, X, sparsity=BAND)
    for k in range(8):
        out, left = J.copy(), [k]

        def f(x, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise KeyError("no value here")
            return broyden(x)

        with pytest.raises(KeyError) as caught:
            sd.jacobian(f, X, sparsity=BAND, out=out)
        assert (out.data == J.data).all()
        [note] = caught.value.__notes__
        assert f"in evaluation {k + 1} of f" in note
        if 1 <= k <= 6:
            colour, down = divmod(k - 1, 2)
            assert f"f, with x[{colour}] = {X[colour]:.3}"[:-1] in note
            assert f"x[{colour + 6}] = " in note
            assert f"{len(X[colour::3]) - 3} more entries moved (colour {colour})" in note
            moved = float(note.partition(" = ")[2].partition(",")[0])
            assert (moved < X[colour]) == down


def test_a_scalar_f_and_an_empty_x(backend):
    assert sd.jacobian(lambda x: x[0] ** 2, [3.0], sparsity=[[True]]).toarray() == pytest.approx(6)
    assert sd.jacobian(lambda x: np.zeros(3), [], sparsity=np.zeros((3, 0))).shape == (3, 0)
    assert sd.jacobian(lambda x: np.zeros(0), [1.0], sparsity=np.zeros((0, 1))).shape == (0, 1)
    J = sd.jacobian(lambda x: np.ones(2), [1.0, 2.0], sparsity=np.zeros((2, 2)), full_output=True)
    assert J.value.nnz == 0 and J.success


# Prepared objects, workers, compiled and vectorised functions

def test_prepared_objects_have_the_bits_of_single_calls(backend):
    for options in ({}, {"method": "forward"}, {"order": 4}, {"bounds": (-1, 1)}, {"method": "complex"}):
        J = sd.Jacobian(broyden, X, sparsity=BAND, **options)
        for x in (X, X / 2, X[::-1], X.tolist()):
            expected = sd.jacobian(broyden, x, sparsity=BAND, **options)
            assert (J(x).data == expected.data).all()


def test_prepared_objects_refuse_what_they_are_not_prepared_for(backend):
    J = sd.Jacobian(broyden, X, sparsity=BAND)
    J(X)
    for x, error in ((X[:-1], ValueError), (X + 1j, TypeError), (np.where(BAND[0], np.nan, X), ValueError)):
        with pytest.raises(error, match="x"):
            J(x)
    with pytest.raises(ValueError, match=r"x\[3\] is 9.0, outside"):
        sd.Jacobian(broyden, X, sparsity=BAND, bounds=(-1, 1))(np.where(np.arange(N) == 3, 9, X))
    with pytest.raises(ValueError, match=r"x must be finite, but x\[0\] is nan"):
        J(np.where(BAND[0], np.nan, X))


def test_prepared_objects_are_copied_and_pickled(backend):
    J = sd.Jacobian(broyden, X, sparsity=BAND, format="csc")
    for twin in (copy.copy(J), copy.deepcopy(J), pickle.loads(pickle.dumps(J))):
        assert (twin(X).data == J(X).data).all()
        assert twin(X).format == "csc"


def test_colourings_are_pickled_and_checked(backend):
    for symmetric in (False, True):
        coloring = sd.sparsity.color(BAND, symmetric=symmetric)
        twin = pickle.loads(pickle.dumps(coloring))
        assert (twin.colors == coloring.colors).all() and twin.symmetric == symmetric
        assert repr(twin) == repr(coloring)
        restore, arguments = coloring.__reduce__()
        for colors in (np.zeros(N, int), coloring.colors - 1, coloring.colors[:-1], coloring.colors + N):
            with pytest.raises(ValueError, match="colour"):
                restore(arguments[0], colors, *arguments[2:])
    with pytest.raises(ValueError):
        coloring.colors[0] = 1


def test_a_star_colouring_serves_a_symmetric_jacobian(backend):
    arrow = np.eye(N, dtype=bool)
    arrow[0], arrow[:, 0] = True, True

    def slope(x):
        """Of sum(x**4) + x[0] * sum(x)."""
        g = 4 * x**3 + x[0]
        g[0] += x.sum()
        return g

    f = Counted(slope)
    J = sd.jacobian(f, X, sparsity=sd.sparsity.color(arrow, symmetric=True), verify=False)
    assert f.calls == 1 + 2 * 2
    expected = np.diag(12 * X**2)
    expected[0] += 1
    expected[:, 0] += 1
    assert J.toarray() == pytest.approx(expected, abs=1e-8)
    assert (J.toarray() == J.toarray().T).all()
    full = sd.jacobian(slope, X, sparsity=sd.sparsity.color(arrow, symmetric=True), full_output=True)
    assert full.success and (full.value.data == J.data).all()


def test_workers_vectorised_and_compiled_functions_give_the_same_bits(backend, native):
    expected = sd.jacobian(broyden, X, sparsity=BAND).data
    with ThreadPoolExecutor(2) as threads:
        for workers in (map, threads):
            for options in ({}, {"method": "forward"}, {"full_output": True}):
                alone = sd.jacobian(broyden, X, sparsity=BAND, **options)
                J = sd.jacobian(broyden, X, sparsity=BAND, workers=workers, **options)
                if options.get("full_output"):
                    assert J.nfev == alone.nfev and (J.error.data == alone.error.data).all()
                    J, alone = J.value, alone.value
                assert (J.data == alone.data).all()
    assert (sd.jacobian(many_broydens, X, sparsity=BAND, vectorized=True).data == expected).all()


def test_notes_of_workers_name_the_colour(backend):
    def f(x):
        if x[1] > X[1]:
            raise KeyError("no value here")
        return broyden(x)

    for options in ({}, {"workers": map}):
        with pytest.raises(KeyError) as caught:
            sd.jacobian(f, X, sparsity=BAND, **options)
        [note] = caught.value.__notes__
        assert "in evaluation 4 of f, with x[1] = " in note and note.endswith("(colour 1)")


def test_progress_counts_every_evaluation():
    tqdm = pytest.importorskip("tqdm.auto")
    assert tqdm
    f = Counted(broyden)
    J = sd.jacobian(f, X, sparsity=BAND, progress=True)
    assert (J.data == sd.jacobian(broyden, X, sparsity=BAND).data).all()
    assert f.calls == 8


def test_a_prepared_object_may_be_entered_from_its_own_f_and_from_threads(backend):
    depth = [0]

    def f(x):
        if depth[0] == 0:
            depth[0] = 1
            inner.append(J(x + 1).data)
            depth[0] = 0
        return broyden(x)

    inner: list = []
    J = sd.Jacobian(f, X, sparsity=BAND)
    expected = sd.jacobian(broyden, X, sparsity=BAND).data
    assert (J(X).data == expected).all()
    J = sd.Jacobian(broyden, X, sparsity=BAND)
    with ThreadPoolExecutor(4) as threads:
        for data in threads.map(lambda _: J(X).data, range(40)):
            assert (data == expected).all()


# Verification

@pytest.mark.parametrize("options", [{}, {"method": "forward"}, {"method": "backward", "order": 2}, {"order": 6},
                                     {"method": "complex"}, {"bounds": (X - 1e-9, 1)}], ids=str)
@pytest.mark.parametrize("missing", [(3, 4), (10, 9), (0, 0), (N - 1, N - 2)])
def test_a_missing_entry_is_named(backend, options, missing):
    pattern = BAND.copy()
    pattern[missing] = False
    words = rf"result {missing[0]} of f depends on x\[{missing[1]}\]"
    for prepared in (False, True):
        out = sp.csr_array(np.where(pattern, 7.0, 0))
        with pytest.raises(ValueError, match=words):
            if prepared:
                sd.Jacobian(broyden, X, sparsity=pattern, **options)(X, out=out)
            else:
                sd.jacobian(broyden, X, sparsity=pattern, out=out, **options)
        assert (out.data == 7).all()


def test_an_empty_row_that_is_none_is_named(backend):
    pattern = BAND.copy()
    pattern[5] = False
    with pytest.raises(ValueError, match=r"result 5 of f depends on x\[[456]\]"):
        sd.jacobian(broyden, X, sparsity=pattern)


def test_verification_is_done_once_and_can_be_switched_off(backend):
    pattern = BAND.copy()
    pattern[3, 4] = False
    f = Counted(broyden)
    sd.jacobian(f, X, sparsity=pattern, verify=False)
    assert f.calls == 7
    f = Counted(broyden)
    J = sd.Jacobian(f, X, sparsity=BAND)
    J(X)
    assert f.calls == 8
    J(X)
    assert f.calls == 14


def test_bent_functions_are_not_mistaken(backend):
    """At a minimum, a kink, or with steps that are much too long, rows are off; they are asked, and answer."""
    f = Counted(lambda x: x**2)
    J = sd.jacobian(f, np.zeros(N), sparsity=np.eye(N))
    assert not J.toarray().any()
    assert f.calls <= 1 + 2 + 1 + ASKED
    sd.jacobian(lambda x: np.sin(30 * x), X, step=0.5, sparsity=np.eye(N))
    sd.jacobian(lambda x: abs(x), np.zeros(N), sparsity=np.eye(N), method="forward")
    noise = np.random.default_rng(1)
    sd.jacobian(lambda x: x + 1e-13 * noise.normal(size=N), X, sparsity=np.eye(N))


# Detection

@pytest.mark.parametrize("method", ["both", "nan", "differences"])
def test_a_pattern_is_detected(backend, method):
    f = Counted(broyden)
    found = sd.sparsity.detect(f, X, method=method)
    assert (found.pattern.toarray() == BAND).all()
    assert found.verified and found.nfev == f.calls and found.message == "nothing unusual"
    assert set(found.method.data) == {{"both": 3, "nan": 1, "differences": 2}[method]}
    assert sd.jacobian(broyden, X, sparsity=found.pattern).toarray() == pytest.approx(exact(X), abs=1e-9)
    assert "verified" in repr(found)


def test_what_has_shown_an_entry_is_told(backend):
    found = sd.sparsity.detect(lambda x: np.array([0 * x[0] + x[1], max(x[1], -9.0), np.nan_to_num(x[2])]), [1.0, 2, 3])
    assert found.method.toarray().tolist() == [[1, 3, 0], [0, 3, 0], [0, 0, 2]]


def test_functions_that_refuse_nan_are_tried_by_differences(backend):
    def f(x):
        if np.isnan(x).any():
            raise ZeroDivisionError("NaN")
        return broyden(x)

    found = sd.sparsity.detect(f, X, method="nan")
    assert (found.pattern.toarray() == BAND).all()
    assert "ZeroDivisionError at NaN" in found.message


def test_what_the_check_finds_is_added(backend):
    def f(x):
        """Depends on x[0] where nobody looked."""
        f.calls += 1
        return np.array([x[1] + (x[0] if f.calls > 3 + 3 + 3 else 0), x[1], x[2]])

    f.calls = 0
    found = sd.sparsity.detect(f, [1.0, 2.0, 3.0], method="differences", points=2)
    assert found.pattern.toarray().astype(int).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert found.verified
    assert found.method.toarray()[0, 0] == 4
    assert "(0, 0)" in found.message


def test_detection_stays_inside_bounds_and_keeps_types(backend):
    lower, upper = np.where(np.arange(N) % 3 == 0, X, -1), np.where(np.arange(N) % 4 == 0, X, 1)
    seen = []

    def f(x):
        seen.append(x.copy())
        return broyden(x)

    found = sd.sparsity.detect(f, X, bounds=(lower, upper), method="differences")
    assert all(((lower <= x) & (x <= upper)).all() for x in seen)
    free = lower < upper
    assert (found.pattern.toarray() == BAND & free).all()
    for dtype in "fdgFDG":
        assert (sd.sparsity.detect(broyden, X.astype(dtype)).pattern.toarray() == BAND).all()


def test_detection_takes_other_kinds_of_functions(backend):
    assert (sd.sparsity.detect(many_broydens, X, vectorized=True).pattern.toarray() == BAND).all()
    assert (sd.sparsity.detect(broyden, X, workers=map).pattern.toarray() == BAND).all()
    assert sd.sparsity.detect(lambda x: np.zeros(3), [], method="differences").pattern.shape == (3, 0)
    found = sd.sparsity.detect(lambda x, a, b: a * x + b, X, args=(2.0,), kwargs={"b": 1.0})
    assert (found.pattern.toarray() == np.eye(N)).all()


def test_detection_refuses_what_it_cannot_take():
    with pytest.raises(ValueError, match="method must be one of"):
        sd.sparsity.detect(broyden, X, method="guess")
    with pytest.raises(ValueError, match="points must be"):
        sd.sparsity.detect(broyden, X, points=0)
    with pytest.raises(ValueError, match="seed must be"):
        sd.sparsity.detect(broyden, X, seed=-1)
    with pytest.raises(ValueError, match="one dimension"):
        sd.sparsity.detect(broyden, np.ones((2, 2)))
    with pytest.raises(TypeError, match="f must be callable"):
        sd.sparsity.detect(None, X)
    with pytest.raises(KeyError):
        sd.sparsity.detect(lambda x: {}["a"], X)


def test_nothing_of_scipy_is_imported_before_a_pattern_is_given():
    program = "import sys, steepest; assert not any(name.startswith('scipy.sparse') for name in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(sys.path)})
