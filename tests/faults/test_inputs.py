"""What x may be: layouts, types, sizes, protocols, nonsense.

Here because an input that is read wrongly, or twice, gives the derivative at another point, or none.
It tests rows C1 to C18: the same bits as for a plain contiguous array, or an error that names the argument.
"""

import array
import decimal
import fractions
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse

import steepest as sd

from .contract import (
    ENTRIES,
    KINDS,
    X,
    arrays_of,
    attempt,
    bits,
    bowl,
    case,
    counted,
    curves,
    entries,
    in_a_process,
    on_call,
    right,
    untouched,
)


def read_only(x):
    made = x.copy()
    made.flags.writeable = False
    return made


def misaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    made = raw[1:].view(x.dtype)
    made[...] = x
    assert not made.flags.aligned
    return made


def strided(x, step):
    made = np.zeros(2 * x.size, x.dtype)
    made[::2] = x
    return made[::2] if step > 0 else made[::2][::-1].copy()[::-1]


def windowed(x):
    """A view of memory that a wider array shares."""
    wide = np.full((x.size, 4), np.nan)
    wide[:, 2] = x
    return wide[:, 2]


LAYOUTS = {
    "read-only": read_only,                                     # C1
    "of a read-only buffer": lambda x: np.frombuffer(x.tobytes()),
    "every second": lambda x: strided(x, 2),                    # C2
    "negative stride": lambda x: x[::-1].copy()[::-1],
    "a column": windowed,
    "Fortran": np.asfortranarray,
    "big-endian": lambda x: x.astype(">f8"),                    # C3
    "little-endian": lambda x: x.astype("<f8"),
    "misaligned": misaligned,                                   # C4
    "record field": lambda x: np.rec.fromarrays([x, x], names="a,b")["a"],
    "memmap-like": lambda x: x.view(np.memmap),                 # C11
    "recarray": lambda x: x.view(np.recarray),
    "unmasked": lambda x: np.ma.array(x, mask=False),           # C10
    "list": lambda x: x.tolist(),                               # C16
    "tuple": lambda x: tuple(x.tolist()),
    "list of scalars": list,
    "array.array": lambda x: array.array("d", x.tolist()),
    "memoryview": lambda x: memoryview(x.copy()),
    "objects": lambda x: x.astype(object),                      # C9
    "fractions": lambda x: [fractions.Fraction(item) for item in x.tolist()],
    "decimals": lambda x: np.array([decimal.Decimal(item) for item in x.tolist()]),
    "zero-dimensional objects": lambda x: [np.array(item) for item in x.tolist()],
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C1_to_C4_any_layout_of_x_gives_the_bits_of_a_contiguous_one(backend, entry):
    expected = right(entry)
    for name, layout in LAYOUTS.items():
        x = layout(X)
        with case(name), untouched(x):
            assert bits(entry.call(entry.f, x)) == expected


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_C1_to_C4_any_layout_suits_a_prepared_object(backend, prepare):
    f = bowl if prepare is sd.Gradient else curves
    expected = bits(prepare(f, X)(X))
    for name, layout in LAYOUTS.items():
        with case(name):
            assert bits(prepare(f, X)(layout(X))) == expected
            assert bits(prepare(f, layout(X))(X)) == expected


def test_C1_a_memory_map_opened_read_only_is_accepted(backend, tmp_path):
    (tmp_path / "x.bin").write_bytes(X.tobytes())
    for entry in ENTRIES:
        mapped = np.memmap(tmp_path / "x.bin", dtype=float, mode="r")
        assert bits(entry.call(entry.f, mapped)) == right(entry), entry.name


@pytest.mark.parametrize("name", ["bounds", "step", "x_scale", "v", "f0"])
def test_C1_to_C4_other_arguments_may_have_any_layout_too(backend, name):
    plain = {"bounds": X, "step": np.array([1e-3, 2e-3, 3e-3]), "x_scale": np.array([1.0, 2.0, 3.0]), "v": X,
             "f0": curves(X)}[name]

    def run(value):
        if name == "v":
            return sd.jvp(curves, X, value)
        options = {name: (value, value + np.float64(1)) if name == "bounds" else value}
        return sd.jacobian(curves, X, method="forward", **options)

    for layout in ("read-only", "every second", "negative stride", "a column", "big-endian", "misaligned"):
        assert bits(run(LAYOUTS[layout](plain))) == bits(run(plain)), layout


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C5_overlapping_entries_of_x_are_entries_of_their_own(backend, entry):
    twice = np.lib.stride_tricks.as_strided(np.array([0.5]), (3,), (0,))
    for x in (np.broadcast_to(0.5, 3), twice):
        assert bits(entry.call(entry.f, x)) == right(entry, np.full(3, 0.5))


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C6_integers_and_booleans_become_float64(backend, entry):
    expected = right(entry, np.ones(3))
    for kind in (bool, np.int8, np.uint16, np.int32, np.int64, np.uint64):
        x = np.array([1, 1, 1]).astype(kind)
        with case(kind), untouched(x):
            assert bits(entry.call(entry.f, x)) == expected


def test_C6_f_never_sees_integers(backend):
    for entry in ENTRIES:
        kinds = set()
        entry.call(on_call(None, entry.f, lambda x, result, kinds=kinds: (kinds.add(x.dtype), result)[1]), [1, 2, 3])
        assert kinds == {np.dtype(float)}, entry.name


@pytest.mark.parametrize(("given", "seen", "tolerance"), [
    (np.float16, np.float32, 2e-2), (np.float32, np.float32, 2e-2), (np.float64, np.float64, 1e-7),
    (np.longdouble, np.longdouble, 1e-7),
], ids=["float16", "float32", "float64", "longdouble"])
@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.one_point], ids=str)
def test_C7_f_sees_x_in_its_own_type_and_the_result_keeps_it(backend, entry, given, seen, tolerance):
    kinds = set()
    f = on_call(None, entry.f, lambda x, result: (kinds.add(x.dtype), result)[1])
    result = entry.call(f, X.astype(given))
    assert kinds == {np.dtype(seen)}
    assert {part.dtype for part in arrays_of(result)} == {np.dtype(seen)}
    np.testing.assert_allclose(entry.pick(result), entry.answer(entry.kind.answer(X)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", [np.complex64, np.complex128, np.clongdouble], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.one_point and e.kind_name != "noisy"], ids=str)
def test_C8_complex_x_is_differentiated_as_a_holomorphic_function(backend, entry, kind):
    x = (X + np.array([0.5j, -0.25j, 1j])).astype(kind)
    result = entry.call(entry.f, x)
    assert {part.dtype for part in arrays_of(result)} == {np.dtype(kind)}
    np.testing.assert_allclose(entry.pick(result), entry.answer(entry.kind.answer(x)), rtol=2e-2, atol=2e-2)


def test_C8_a_descent_of_complex_x_is_refused(backend):
    for options in ({}, {"grad": lambda x: x}):
        with pytest.raises(TypeError, match="x0"):
            sd.gradient_descent(bowl, X + 1j, **options)


NO_NUMBERS = {
    "None": None,
    "text": "1.5",
    "bytes": b"1.5",
    "bytearray": bytearray(b"1234"),
    "dict": {0: 1.0},
    "set": {1.0},
    "object": object(),
    "function": bowl,
    "Ellipsis": ...,
    "dates": np.array(["2020-01-01"] * 3, "datetime64[D]"),
    "spans": np.array([1, 2, 3], "timedelta64[s]"),
    "records": np.zeros(3, [("a", float)]),
    "void": np.zeros(3, "V8"),
    "texts": np.array(["1", "2", "3"]),
    "list of text": ["1", "2", "3"],
    "list of None": [None, None, None],
    "list with None": [1.0, None, 2.0],
    "object None": np.array(None),
    "sparse": scipy.sparse.csr_array(np.eye(3)),
    "generator": (item for item in X),
    "iterator": iter(X.tolist()),
    "range of objects": [object(), object()],
    "complex objects": np.array([1 + 2j, 1.0, 2.0], dtype=object),
    "complex128 objects": np.array([np.complex128(1 + 2j), 1.0, 2.0], dtype=object),
    "numpy text objects": np.array([np.str_("1.5"), 1.0, 2.0], dtype=object),
}


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C16_what_is_no_array_of_numbers_is_a_type_error_that_names_x(backend, entry):
    f = counted(entry.f)
    for name, x in NO_NUMBERS.items():
        with case(name):
            error = attempt(entry.call, f, x)[1]
            assert isinstance(error, TypeError), repr(error)
            assert str(error).startswith("x") and f.calls == 0


def test_C16_ragged_lists_are_refused(backend):
    for entry in ENTRIES:
        error = attempt(entry.call, entry.f, [[1.0], [2.0, 3.0]])[1]
        assert isinstance(error, ValueError) and str(error).startswith("x"), entry.name


def test_C16_a_pandas_series_is_an_array(backend):
    pandas = pytest.importorskip("pandas")
    for entry in ENTRIES:
        assert bits(entry.call(entry.f, pandas.Series(X))) == right(entry), entry.name


class Failing:
    """Not a real number, whatever it says."""

    def __init__(self, error):
        self.error = error

    def __float__(self):
        raise self.error


class Counted:
    """A number that counts how often it is converted, and is another one each time."""

    def __init__(self, value):
        self.value, self.asked = value, 0

    def __float__(self):
        self.asked += 1
        return float(self.value + 1000 * (self.asked - 1))


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C9_objects_are_converted_once_each(backend, entry):
    items = [Counted(value) for value in X.tolist()]
    x = np.array(items, dtype=object)
    assert bits(entry.call(entry.f, x, **({"x0": X} if entry.prepared else {}))) == right(entry)
    assert [item.asked for item in items] == [1, 1, 1]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C9_an_object_that_is_no_number_is_named_by_its_index(backend, entry):
    for bad in (Failing(TypeError("no")), Failing(ValueError("no")), "1.5", None, [1.0], 1j):
        x = np.array([0.5, None, 2.0], dtype=object)
        x[1] = bad
        error = attempt(entry.call, entry.f, x)[1]
        assert isinstance(error, TypeError) and "[1]" in str(error), (bad, error)


def test_C9_other_exceptions_of_a_conversion_come_back(backend):
    for entry in ENTRIES:
        for error in (KeyboardInterrupt(), ZeroDivisionError(), MemoryError()):
            x = np.array([Failing(error), 1.0, 2.0], dtype=object)
            assert attempt(entry.call, entry.f, x)[1] is error


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C10_masked_entries_are_refused(backend, entry):
    f = counted(entry.f)
    for mask in ([True, False, False], [False, False, True], [True, True, True]):
        error = attempt(entry.call, f, np.ma.array(X, mask=mask))[1]
        assert isinstance(error, TypeError) and "mask" in str(error) and f.calls == 0


class Metres(np.ndarray):
    """An array with a unit that survives views and sums."""

    def __array_finalize__(self, other):
        self.unit = getattr(other, "unit", None)

    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError("arithmetic on a subclass of the caller")


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C11_a_subclass_is_taken_for_its_numbers(backend, entry):
    kinds = set()
    x = X.view(Metres)
    f = on_call(None, entry.f, lambda x, result: (kinds.add(type(x)), result)[1])
    result = entry.call(f, x)
    assert bits(result) == right(entry)
    assert Metres not in kinds
    assert all(type(part) is np.ndarray for part in arrays_of(result))


def test_C11_a_matrix_is_an_array_of_two_dimensions(backend):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.asmatrix(X)
    given = sd.gradient(bowl, matrix)
    assert type(given) is np.ndarray and given.shape == (1, 3)
    with pytest.raises(ValueError, match="x must have one dimension"):
        sd.jacobian(curves, matrix)


@pytest.mark.parametrize(
    "x", [0.5, np.float64(0.5), np.array(0.5), 1, True, np.longdouble(0.5), np.float32(0.5)], ids=repr)
@pytest.mark.parametrize("entry", entries(kinds=["number", "scalar", "numbers"], one_point=True), ids=str)
def test_C12_a_number_is_differentiated_as_a_number(backend, entry, x):
    shapes = set()

    def square(t):
        shapes.add(np.shape(t))
        return t * t

    found = entry.pick(entry.call(square, x))
    assert np.shape(found) == () and not isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, 2 * float(x), rtol=1e-3)
    assert shapes <= {(), (1,), (2,)}


def test_C12_a_jacobian_takes_a_number_for_a_vector_of_one(backend):
    np.testing.assert_allclose(sd.jacobian(lambda x: np.array([x[0], x[0] ** 2]), 3.0), [[1.0], [6.0]], rtol=1e-8)
    np.testing.assert_allclose(sd.Jacobian(lambda x: np.array([x[0], x[0] ** 2]), 3.0)(3.0), [[1.0], [6.0]], rtol=1e-8)


def test_C12_a_descent_of_a_number_stays_a_number(backend):
    for options in ({}, {"grad": lambda x: 2 * x}):
        run = sd.gradient_descent(lambda x: x * x, 0.5, steps=3, **options)
        assert np.shape(run.x) == () and np.shape(run.jac) == ()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)], ids=str)
@pytest.mark.parametrize("entry", entries(kinds=["number", "numbers", "scalar", "batch"], one_point=True), ids=str)
def test_C13_no_entries_no_evaluations(backend, entry, shape):
    f = counted(lambda x, *args: 0.0 if not entry.kind.batch else np.zeros(len(x)))
    found = entry.pick(entry.call(f, np.zeros(shape)))
    assert found.shape == shape and found.dtype == np.float64
    assert f.calls == ("value" in entry.name)


def test_C13_a_jacobian_of_no_entries_has_no_columns(backend):
    for call in (sd.jacobian, lambda f, x: sd.Jacobian(f, x)(x)):
        f = counted(lambda x: np.zeros(4))
        assert call(f, np.zeros(0)).shape == (4, 0) and f.calls == 1
    assert sd.jvp(lambda x: np.zeros(4), np.zeros(0), np.zeros(0)).tolist() == [0.0] * 4


def test_C13_a_descent_of_no_entries_ends(backend):
    run = sd.gradient_descent(lambda x: 1.0, np.zeros(0), steps=3)
    assert run.success and run.x.shape == (0,) and run.fun == 1.0
    run = sd.gradient_descent(None, np.zeros(0), steps=3, grad=lambda x: np.zeros(0))
    assert run.success and run.nit == 3


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 1, 3), (3, 1, 1, 1)], ids=str)
@pytest.mark.parametrize("entry", entries(kinds=["number", "numbers", "scalar", "batch", "field"]), ids=str)
def test_C14_the_gradient_has_the_shape_of_x(backend, entry, shape):
    flat = {"batch": lambda x: KINDS["batch"].f(x.reshape(len(x), -1))}.get(entry.kind_name, entry.f)
    found = entry.pick(entry.call(flat, X.reshape(shape)))
    assert found.shape == shape
    assert found.tobytes() == np.asarray(entry.pick(entry.call(entry.f, X))).tobytes()


def test_C14_a_jacobian_wants_one_dimension(backend):
    for call in (sd.jacobian, sd.Jacobian):
        with pytest.raises(ValueError, match=r"x0? must have one dimension"):
            call(curves, X.reshape(1, 3))


MOST_DIMENSIONS = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32


@pytest.mark.parametrize("dimensions", [17, 31, MOST_DIMENSIONS - 1, MOST_DIMENSIONS])
def test_C14_x_may_have_as_many_dimensions_as_numpy_allows(backend, dimensions):
    x = np.full((1,) * dimensions, 3.0)
    found = sd.gradient(lambda x: (x * x).sum(), x)
    assert found.shape == x.shape and abs(found.item() - 6.0) < 1e-8
    found, error = attempt(sd.gradient, lambda x: (x * x).reshape(len(x), -1).sum(1), x, vectorized=True)
    if dimensions == MOST_DIMENSIONS:
        assert isinstance(error, ValueError)        # a batch of points has one dimension more
    else:
        assert found.shape == x.shape and abs(found.item() - 6.0) < 1e-8


def test_C14_f_sees_the_shape_of_x(backend):
    shapes = set()
    sd.gradient(lambda x: (shapes.add(x.shape), bowl(x))[1], np.ones((2, 3, 4)))
    assert shapes == {(2, 3, 4)}


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble, np.complex128], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C15_a_value_of_x_that_is_not_finite_is_named_by_its_index(backend, entry, kind):
    if kind is np.complex128 and not entry.one_point:
        kind = np.float64
    f = counted(entry.f)
    for index in range(3):
        for value in (np.nan, np.inf, -np.inf):
            x = X.astype(kind)
            x[index] = complex(1, value) if kind is np.complex128 else value
            error = attempt(entry.call, f, x)[1]
            assert isinstance(error, ValueError) and f"[{index}]" in str(error) and str(error).startswith("x")
    assert f.calls == 0


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_C15_also_in_a_prepared_object(backend, prepare):
    f = counted(bowl if prepare is sd.Gradient else curves)
    prepared = prepare(f, X)
    for value in (np.nan, np.inf):
        for x in (np.array([0.0, value, 0.0]), [0.0, value, 0.0]):
            with pytest.raises(ValueError, match=r"x.*\[1\]"):
                prepared(x)
        with pytest.raises(ValueError, match=r"x.*\[1\]"):
            prepare(f, np.array([0.0, value, 0.0]))
    assert f.calls == 0


@pytest.mark.parametrize("prepare", [sd.Gradient, sd.Jacobian], ids=["Gradient", "Jacobian"])
def test_C15_a_prepared_object_refuses_other_shapes_and_types(backend, prepare):
    f = counted(bowl if prepare is sd.Gradient else curves)
    prepared = prepare(f, X)
    for x in (np.zeros(2), np.zeros(4), np.zeros((1, 3)), 0.5, np.zeros(0)):
        with pytest.raises(ValueError, match=r"x must have the shape prepared for, \(3,\)"):
            prepared(x)
    with pytest.raises(TypeError, match="x must have the type prepared for"):
        prepared(X + 1j)
    assert f.calls == 0


def test_C15_a_direction_that_is_not_finite_or_does_not_fit_is_refused(backend):
    f = counted(curves)
    for v, kind, word in (([0, np.nan, 0], ValueError, r"v\[1\]"), ([0, 0, np.inf], ValueError, r"v\[2\]"),
                          ([1, 2], ValueError, "shape"), (None, TypeError, "v "), ("abc", TypeError, "v "),
                          (X + 1j, TypeError, "v must be real")):
        with pytest.raises(kind, match=word):
            sd.jvp(f, X, v)
    assert f.calls == 0


class Shifting:
    """An array protocol that answers differently each time it is asked."""

    def __init__(self, protocol):
        self.protocol, self.asked = protocol, 0

    def answer(self):
        self.asked += 1
        return X.copy() if self.asked == 1 else np.zeros(self.asked + 3)

    def __getattr__(self, name):
        if name == self.protocol == "__array_interface__":
            self.held = self.answer()
            return self.held.__array_interface__
        if name == self.protocol == "__array_struct__":
            self.held = self.answer()
            return self.held.__array_struct__
        raise AttributeError(name)


class ShiftingArray(Shifting):
    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.answer(), dtype=dtype)


@pytest.mark.parametrize("protocol", ["__array__", "__array_interface__", "__array_struct__"])
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_C17_x_is_converted_once(backend, entry, protocol):
    x = ShiftingArray(protocol) if protocol == "__array__" else Shifting(protocol)
    assert bits(entry.call(entry.f, x, **({"x0": X} if entry.prepared else {}))) == right(entry)
    assert x.asked == 1


@pytest.mark.parametrize("name", ["step", "x_scale", "f0", "v"])
def test_C17_other_arguments_are_converted_once(backend, name):
    value = ShiftingArray("__array__")
    value.answer = lambda: (setattr(value, "asked", value.asked + 1), np.array([1e-3, 2e-3, 3e-3]) * value.asked)[1]
    call = sd.jvp if name == "v" else sd.jacobian
    arguments = (value,) if name == "v" else ()
    call(lambda x: x * 1.0, X, *arguments, **({} if name == "v" else {name: value}))
    assert value.asked == 1


TRUNCATED = """
import os
import numpy as np, steepest as sd
from tests.faults.contract import ENTRIES, X, bits, on_call, right
for backend in ("kernels", "reference"):
    with sd.backend(backend):
        for entry in ENTRIES:
            X.tofile({path!r})
            x = np.memmap({path!r}, dtype=float, mode="r")
            expected = right(entry)
            f = on_call(1, entry.f, lambda x, result: (os.truncate({path!r}, 0), result)[1])
            assert bits(entry.call(f, x)) == expected, (entry.name, backend)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be truncated on Windows")
def test_C18_a_map_truncated_in_mid_run_is_not_read_again(tmp_path):
    in_a_process(TRUNCATED.format(path=str(tmp_path / "x.bin")))
