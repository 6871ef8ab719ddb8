"""`steepest.grid.gradient` is `numpy.gradient`: bits, types, containers, layouts, refusals; and `out=`, `threads=`.

Here because a drop-in that differs anywhere is no drop-in. Tests grid_gradient.py and grid_arrays.py; the kernels are
tested in test_stencil.py, bad input and interruptions in faults/test_grid.py. NumPy's own tests of it run in
test_numpy_gradient.py.
"""

import fractions
import functools
import inspect
import tracemalloc
import warnings

import numpy as np
import pytest
from twins import same_bits

import steepest as sd
from steepest import grid_arrays, grid_gradient
from steepest import threads as pool

pytestmark = pytest.mark.skipif(int(np.__version__.partition(".")[0]) < 2, reason="the bits are those of NumPy 2")

gradient = sd.grid.gradient
DTYPES = ["f4", "f8", "c8", "c16", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">f4", ">f8", ">c16", ">i4", ">u2"]
CASES = 34_000      # of the fuzz, on all types together


def arrays_of(found):
    """What a call gave, as a tuple."""
    return found if isinstance(found, tuple) else (found,)


def assert_numpys(f, *varargs, **options):
    """The result is NumPy's: container, types, byte order, bits and the way it lies in memory."""
    with np.errstate(all="ignore"):
        expected = np.gradient(f, *varargs, **options)
        found = gradient(f, *varargs, **options)
    assert type(found) is type(expected)
    for ours, theirs in zip(arrays_of(found), arrays_of(expected), strict=True):
        assert type(ours) is type(theirs) and ours.dtype == theirs.dtype
        assert ours.dtype.byteorder == theirs.dtype.byteorder
        assert same_bits(ours, theirs), (ours, theirs)
        assert ours.strides == theirs.strides or ours.size <= 1
        assert not np.shares_memory(ours, f)
    return found


def a_field(source, dtype, shape):
    """Samples of any type: smooth, rough, whole range, with some that are no numbers."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        numbers = source.integers(info.min, info.max, shape, dtype.newbyteorder("="), endpoint=True)
        return numbers.astype(dtype) if source.random() < 0.5 else (numbers % 7).astype(dtype)
    numbers = source.normal(size=(*shape, 2)) * 10.0 ** source.integers(-3, 4)
    if source.random() < 0.2:
        hard = [0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, -3e38]
        numbers = np.where(source.random(numbers.shape) < 0.1, source.choice(hard, numbers.shape), numbers)
    numbers = numbers.astype(np.float32 if dtype.itemsize in (4, 8) and dtype.char in "fF" else np.float64)
    return (numbers.view(f"c{2 * numbers.itemsize}")[..., 0] if dtype.kind == "c" else numbers[..., 0]).astype(dtype)


def a_layout(source, f):
    """The same field, lying in memory in another way."""
    for _ in range(source.integers(0, 3)):
        way = source.integers(0, 6)
        if way == 0:
            f = np.asfortranarray(f)
        elif way == 1:
            f = f[tuple(slice(None, None, source.choice([-1, 1])) for _ in f.shape)]
        elif way == 2:
            f = f.transpose(source.permutation(f.ndim))
        elif way == 3:
            axis = source.integers(0, f.ndim)
            f = np.moveaxis(np.repeat(np.moveaxis(f, axis, -1), 2, axis=-1)[..., ::2], -1, axis)
        elif way == 4:
            f = np.frombuffer(b"-" + f.tobytes(), np.uint8)[1:].view(f.dtype).reshape(f.shape)
        else:
            f = f.copy()
            f.flags.writeable = False
    return f


def a_spacing(source, n):
    """A step or coordinates of any type, for an axis of n elements."""
    kind = source.integers(0, 10)
    step = float(source.choice([0.3, 1.0, 2.0, -0.5, 1e-3, 7.0, 1e20, 0.0 if source.random() < 0.1 else 3.0]))
    if kind == 0:
        return step
    if kind == 1:
        return int(source.integers(1, 9))
    if kind == 2:
        return source.choice([np.float64, np.float32, np.float16])(step % 8 or 1.0)
    if kind == 3:
        return source.choice([np.int8, np.uint16, np.int64])(source.integers(1, 9))
    if kind == 4:
        return np.array(step, source.choice(["f4", "f8", ">f8"]))
    if kind == 5:
        return np.arange(n) * source.integers(1, 4) + 5
    if kind == 6:
        return np.cumsum(source.integers(1, 4, n)).astype(source.choice(["i1", "u4", "i8", ">i2"]))
    x = np.cumsum(source.uniform(0.1, 2.0, n)).astype(source.choice(["f4", "f8", ">f8"]))
    if kind == 7:
        return x[::-1]
    if kind == 8:
        return list(map(float, x))
    if n > 2 and source.random() < 0.1:
        x[n // 2] = source.choice([x[n // 2 - 1], np.nan, np.inf])
    return np.repeat(x, 2)[::2]


def a_case(source, dtype):
    """A field, its spacings, and options."""
    ndim = source.integers(1, 5)
    shape = tuple(source.integers(3, 8, ndim)) if source.random() < 0.95 else tuple(source.integers(3, 150, 2))
    f = a_layout(source, a_field(source, dtype, shape))
    axes = source.permutation(f.ndim)[: source.integers(1, f.ndim + 1)]
    axes = [int(i - f.ndim * source.integers(0, 2)) for i in axes]
    axis = [None, tuple(axes), axes[0]][source.integers(0, 3)]
    axes = range(f.ndim) if axis is None else axes if isinstance(axis, tuple) else [axis]
    varargs = [[], [a_spacing(source, f.shape[axes[0]])], [a_spacing(source, f.shape[i]) for i in axes]]
    given = varargs[source.integers(0, 3)]
    if len(given) == 1 and np.ndim(given[0]) and len(axes) > 1:
        given = []
    return f, given, {"axis": axis, "edge_order": int(source.integers(1, 3))}


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_are_numpys_on_any_field_layout_axis_spacing_and_edge(dtype, soaking):
    source = np.random.default_rng(np.dtype(dtype).num)
    for number in range((20 if soaking else 1) * -(-CASES // len(DTYPES))):
        f, varargs, options = a_case(source, dtype)
        try:
            assert_numpys(f, *varargs, **options)
        except ZeroDivisionError:       # a step of 0, with edges of order 2
            with pytest.raises(ZeroDivisionError), np.errstate(all="ignore"):
                np.gradient(f, *varargs, **options)
        except BaseException as error:
            error.add_note(f"case {number}: {f.shape} {f.strides} {varargs!r} {options}")
            raise


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16", "i4"])
def test_large_fields_have_numpys_bits_too(backend, dtype):
    source = np.random.default_rng(0)
    for shape in ((400_000,), (600, 700), (3, 100_000), (100_000, 3), (50, 90, 80)):
        f = a_field(source, dtype, shape)
        for axis in range(len(shape)):
            x = np.cumsum(source.uniform(0.5, 2, shape[axis]))
            for spacing in (0.7, x, x.astype("f4")):
                assert_numpys(f, spacing, axis=axis, edge_order=1 + axis % 2)


def test_the_signature_is_numpys_and_two_keywords_more():
    ours, theirs = inspect.signature(gradient).parameters, inspect.signature(np.gradient).parameters
    assert list(ours)[:4] == list(theirs)
    assert all(ours[name].default == theirs[name].default and ours[name].kind == theirs[name].kind for name in theirs)
    assert [ours[name].kind for name in ("out", "threads")] == [inspect.Parameter.KEYWORD_ONLY] * 2
    assert gradient(f=[1.0, 2.0, 4.0]).tolist() == [1.0, 1.5, 2.0]
    with pytest.raises(TypeError):
        gradient([1.0, 2.0], spacing=1.0)


def test_containers_are_numpys(backend):
    f = np.arange(24.0).reshape(2, 3, 4) ** 2
    for axis in (None, 0, -1, (1,), [2, 0], (0, -1), (), np.int64(1), iter([0, 1])):
        if hasattr(axis, "__next__"):
            assert len(gradient(f, axis=axis)) == 2
        else:
            assert_numpys(f, axis=axis)
    assert gradient(np.array(3.0)) == () == np.gradient(np.array(3.0))
    assert gradient(f, axis=()) == ()
    assert_numpys([1, 2, 4])
    assert_numpys([[1.0, 2.0], [3.0, 5.0]])
    assert_numpys((1.0, 2.0, 4.0), [0.0, 1.0, 3.0])
    assert_numpys(np.zeros((0, 5)), axis=1)
    assert_numpys(np.zeros((3, 0)), axis=0)


REFUSED = {
    "axis": [(np.zeros((3, 3)), (), {"axis": 2}), (np.zeros(3), (), {"axis": -2}), (np.zeros(3), (), {"axis": 0.0}),
             (np.zeros((3, 3)), (), {"axis": (0, 0)}), (np.zeros((3, 3)), (), {"axis": (0, -2)}),
             (np.zeros(3), (), {"axis": "x"})],
    "spacing": [(np.zeros(3), (1.0, 1.0), {}), (np.zeros((3, 3)), ([0, 1, 2],), {}), (np.zeros(3), ([0, 1],), {}),
                (np.zeros((3, 3)), (1.0, 1.0, 1.0), {}), (np.zeros(3), (np.zeros((3, 3)),), {}),
                (np.zeros((3, 3)), (1.0, [0, 1]), {}), (np.zeros(1), ([1.0],), {}), (np.zeros(0), ([],), {}),
                (np.zeros(3), ([[1.0]],), {}), (np.zeros(3), (["a", "b", "c"],), {}), (np.zeros(3), (object(),), {}),
                (np.zeros(3), (0.0,), {"edge_order": 2}), (np.zeros(3), ("a",), {})],
    "edge_order": [(np.zeros(3), (), {"edge_order": 3}), (np.zeros(3), (), {"edge_order": "1"}),
                   (np.zeros(3), (), {"edge_order": None}), (np.zeros(3), (), {"edge_order": 2.5})],
    "size": [(np.zeros(1), (), {}), (np.zeros(2), (), {"edge_order": 2}), (np.zeros((3, 1)), (), {}),
             (np.zeros(0), (), {}), (np.zeros((5, 2)), (), {"edge_order": 2, "axis": 1}), (np.zeros(1, "i4"), (), {}),
             (["a", "b"], (), {})],
    "type": [(np.zeros(3, bool), (), {}), (np.array(["a", "b", "c"]), (), {}), (np.zeros(3, "i4,f8"), (), {}),
             (np.zeros(3), (np.timedelta64(1, "s"),), {}), (np.zeros(3), (np.arange(3).astype("M8[s]"),), {})],
    "order of checks": [(np.zeros(1), (1.0, 2.0), {"axis": 5, "edge_order": 7}),
                        (np.zeros(1), (1.0, 2.0), {"edge_order": 7}), (np.zeros(1), (), {"edge_order": 7}),
                        (np.zeros(1, bool), (), {})],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_numpy_refuses_is_refused_with_the_same_exception(backend, kind):
    for f, varargs, options in REFUSED[kind]:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(Exception) as expected:
                np.gradient(f, *varargs, **options)
            with pytest.raises(type(expected.value)) as found:
                gradient(f, *varargs, **options)
        assert type(found.value) is type(expected.value), (varargs, options)
        start = str(expected.value).partition(",")[0]
        assert start in str(found.value) or (kind == "spacing" and "two numbers" in str(found.value)), options


def test_only_edge_orders_that_mean_something_are_taken(backend):
    assert_numpys(np.arange(4.0) ** 2, edge_order=True)
    assert_numpys(np.arange(4.0) ** 2, edge_order=np.int64(2))
    assert_numpys(np.arange(4.0) ** 2, edge_order=2.0)
    for wrong in (0, -1, 1.5, np.nan, False):
        with pytest.raises(ValueError, match="edge_order must be 1 or 2"):
            gradient(np.arange(4.0), edge_order=wrong)


def test_messages_name_the_axis():
    for varargs, words in [(([0, 1, 2], [0, 1]), "axis 1 has 3 elements, the distances 2"),
                           ((1.0, np.zeros((2, 2))), "axis 1 are 2d"), ((1.0, 1.0, 1.0), "3 spacings for 2 axes")]:
        with pytest.raises((ValueError, TypeError), match=words):
            gradient(np.zeros((3, 3)), *varargs)
    with pytest.raises(ValueError, match="3 along axis 1, which has 2"):
        gradient(np.zeros((3, 2)), edge_order=2)


class Masked:
    """An array of another library."""

    def __array_function__(self, function, types, args, kwargs):
        return function.__name__, len(args), kwargs


NUMPYS_OWN = ["float16", "longdouble", "clongdouble", "datetime", "timedelta", "object", "masked", "matrix",
              "subclass", "complex step", "longdouble step", "longdouble coordinates", "float16 coordinates",
              "fraction", "object coordinates", "masked coordinates"]


def numpys_own():
    """What is handed to NumPy: fields and spacings."""
    f = np.arange(12.0).reshape(3, 4) ** 2
    return {
        "float16": (f.astype("e"),),
        "longdouble": (f.astype("g"), 0.1),
        "clongdouble": (f.astype("G"),),
        "datetime": (np.array([0, 5, 7, 8], "M8[s]"),),
        "timedelta": ((f * 3).astype("m8[s]"),),
        "object": (np.array([fractions.Fraction(1, 3), 1, 2.5], object),),
        "masked": (np.ma.array(f, mask=f == 16),),
        "matrix": (np.asarray(f).view(np.matrix),),
        "subclass": (f.view(type("Units", (np.ndarray,), {})),),
        "complex step": (f.astype("D"), 1 + 1j),
        "longdouble step": (f, np.longdouble(0.1)),
        "longdouble coordinates": (f, 1.0, np.arange(4, dtype="g") ** 2),
        "float16 coordinates": (f, 1.0, np.arange(4, dtype="e") ** 2),
        "fraction": (f[0], fractions.Fraction(1, 3)),
        "object coordinates": (f[0], np.array([0, 1.5, 3, 4], object)),
        "masked coordinates": (f[0], np.ma.array([0.0, 1.0, 3.0, 4.0])),
    }


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("name", NUMPYS_OWN)
def test_what_is_none_of_our_types_is_numpys_business(backend, name):
    f, *spacings = numpys_own()[name]
    expected, found = np.gradient(f, *spacings), gradient(f, *spacings)
    assert type(found) is type(expected)
    for ours, theirs in zip(arrays_of(found), arrays_of(expected), strict=True):
        assert type(ours) is type(theirs) and ours.dtype == theirs.dtype
        assert np.array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
        assert (np.ma.filled(ours, 0) == np.ma.filled(theirs, 0)).all()


def test_arrays_of_other_libraries_are_dispatched(backend):
    for arguments in ((Masked(),), (Masked(), 0.5), (np.zeros(3), Masked())):
        assert gradient(*arguments, axis=0) == ("gradient", len(arguments), {"axis": 0, "edge_order": 1})


def test_a_complex_step_of_a_real_field_is_numpys(backend):
    with pytest.warns(np.exceptions.ComplexWarning):
        found = gradient(np.arange(3.0), 1 + 1j)
    with pytest.warns(np.exceptions.ComplexWarning):
        assert same_bits(found, np.gradient(np.arange(3.0), 1 + 1j))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("name", NUMPYS_OWN)
def test_out_takes_plain_results_of_numpys_and_no_others(backend, name):
    f, *spacings = numpys_own()[name]
    expected = np.gradient(f, *spacings)
    outs = [np.zeros(array.shape, array.dtype) for array in arrays_of(expected)]
    out = outs[0] if len(outs) == 1 else tuple(outs)
    if any(type(array) is not np.ndarray for array in arrays_of(expected)):
        with pytest.raises(TypeError, match="out must be left out"):
            gradient(f, *spacings, out=out)
        assert not any(array.any() for array in outs)
        return
    found = gradient(f, *spacings, out=out)
    assert all(ours is given for ours, given in zip(arrays_of(found), outs, strict=True))
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(outs, arrays_of(expected), strict=True))
    wrong = tuple(np.zeros(np.shape(f), "i2") for _ in outs)
    with pytest.raises(TypeError, match="dtype"):
        gradient(f, *spacings, out=wrong[0] if len(outs) == 1 else wrong)


def test_out_is_filled_and_returned_in_any_layout(backend):
    f = np.random.default_rng(0).normal(size=(6, 7))
    expected = np.gradient(f, 0.3, axis=0)
    for out in (np.zeros((6, 7)), np.zeros((6, 7), order="F"), np.zeros((12, 14))[::2, ::2],
                np.zeros((6, 7))[::-1, ::-1], np.zeros((7, 6)).T, np.zeros((6, 7), ">f8")):
        assert gradient(f, 0.3, axis=0, out=out) is out
        assert (out == expected).all()
    first, second = np.zeros((6, 7)), np.zeros((6, 7), order="F")
    for container in ((first, second), [first, second]):
        found = gradient(f, out=container)
        assert type(found) is tuple and found[0] is first and found[1] is second
        assert all(same_bits(ours, theirs) for ours, theirs in zip(found, np.gradient(f), strict=True))
    assert gradient(np.array(3.0), out=()) == ()
    whole = np.zeros((2, 6, 7))
    gradient(f, out=(whole[0], whole[1]))
    assert same_bits(whole, np.stack(np.gradient(f)))


def test_out_of_an_integer_field_is_float64(backend):
    f = np.array([[1, 5], [200, 7]], np.uint8)
    out = np.zeros((2, 2))
    assert gradient(f, axis=0, out=out).tolist() == [[199.0, 2.0], [199.0, 2.0]]
    with pytest.raises(TypeError, match="out must have dtype float64, not uint8"):
        gradient(f, axis=0, out=np.zeros((2, 2), np.uint8))


def test_maps_of_files_are_read_and_written_in_place(backend, tmp_path):
    f = np.random.default_rng(0).normal(size=(20, 30))
    np.save(tmp_path / "f.npy", f)
    field = np.load(tmp_path / "f.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float64, f.shape)
    assert gradient(field, axis=1, out=out) is out
    out.flush()
    assert same_bits(np.load(tmp_path / "out.npy"), np.gradient(f, axis=1))
    assert_numpys(field, axis=0)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4"])
def test_with_out_no_memory_is_taken_that_grows_with_the_field(dtype):
    f = np.ones((1500, 1000), dtype)
    outs = tuple(np.zeros(f.shape, np.float64 if dtype == "i4" else dtype) for _ in range(2))
    line, row = np.ones(1_500_000, dtype), np.cumsum(np.linspace(1, 2, 1_500_000)).astype("f4")
    uneven = np.cumsum(np.linspace(1, 2, 1000)).astype("f4")

    def peak(call):
        call()
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    long = np.zeros(line.shape, np.float64 if dtype != "f4" else dtype)
    for call in (lambda: gradient(f, out=outs), lambda: gradient(f, 0.3, uneven, out=outs, edge_order=2),
                 lambda: gradient(line, row, out=long),
                 lambda: gradient(f[::2, ::-2], axis=0, out=outs[0][:750, :500])):
        assert peak(call) < 400_000


def test_nan_spreads_to_its_stencil_and_no_further(backend):
    f = np.arange(200.0).reshape(20, 10) ** 2
    f[7, 4] = np.nan
    x = np.cumsum(np.linspace(1, 2, 20))
    for axis, spacing, touched in ((0, 0.5, {(6, 4), (8, 4)}), (1, 0.5, {(7, 3), (7, 5)}),
                                   (0, x, {(6, 4), (7, 4), (8, 4)})):
        assert set(zip(*np.nonzero(np.isnan(gradient(f, spacing, axis=axis))), strict=True)) == touched
    f[7, 4], f[0, 0] = 0.0, np.nan
    assert set(zip(*np.nonzero(np.isnan(gradient(f, axis=0))), strict=True)) == {(0, 0), (1, 0)}


def troubles(function, *arguments):
    """The kinds of trouble with numbers that a call warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*arguments)
    return {str(warning.message).split(" encountered")[0] for warning in caught}


def test_a_zero_step_twice_the_same_coordinate_and_infinities_warn_as_numpy(backend):
    f = np.array([1.0, 2.0, 4.0, 4.0, 4.0, 3.0])
    infinite, huge = np.where(f == 4, np.inf, f), np.where(f == 4, 1.7e308, -1.7e308)
    for case in ((f, 0.0), (f, np.float64(0.0)), (f, [0.0, 1.0, 1.0, 2.5, 4.0, 5.0]), (f, 1e-310),
                 (infinite,), (infinite, 0.3), (huge,), (huge, 0.3), (huge.astype("D"),), (f.astype("f4"), 1e-39),
                 (np.array([1, 2, 4, 7, 7, 9]), 0.0)):
        assert troubles(gradient, *case) == troubles(np.gradient, *case) != set(), case
        assert_numpys(*case)
        with np.errstate(all="raise"), pytest.raises(FloatingPointError):
            gradient(*case)


def test_warnings_are_numpys_on_any_field_layout_axis_spacing_and_edge(backend):
    source = np.random.default_rng(5)
    for number in range(2000):
        f, varargs, options = a_case(source, DTYPES[number % len(DTYPES)])
        if not any(isinstance(spacing, (int, float)) and spacing == 0 for spacing in varargs):
            assert (troubles(functools.partial(gradient, **options), f, *varargs)
                    == troubles(functools.partial(np.gradient, **options), f, *varargs)), (f.dtype, varargs, options)


def test_numbers_that_need_no_warning_get_none(backend):
    """Warnings are errors here: NaN is quiet, as it is in NumPy."""
    f = np.full((5, 200), np.nan)
    f[::2] = 1e-300
    for axis in (0, 1):
        for spacing in (1.0, 0.3, np.cumsum(np.linspace(1, 2, f.shape[axis]))):
            gradient(f, spacing, axis=axis)
            gradient(f.astype("f4") * 0, spacing, axis=axis)


def test_any_number_of_threads_gives_the_bits_of_one(monkeypatch):
    monkeypatch.setattr(pool, "PAYS", 0)
    source = np.random.default_rng(1)
    for f in (source.normal(size=1_000_000), source.normal(size=(1000, 700)), source.integers(-9, 9, (3, 90_000)),
              source.normal(size=(40, 50, 200)).astype("f4")[:, ::-1], source.normal(size=(150_000, 4))):
        for axis in range(f.ndim):
            x = np.cumsum(source.uniform(1, 2, f.shape[axis]))
            for spacing in (0.3, x):
                one = gradient(f, spacing, axis=axis, threads=1)
                assert same_bits(one, np.gradient(f, spacing, axis=axis))
                for threads in (2, 3, None):
                    assert same_bits(gradient(f, spacing, axis=axis, threads=threads), one)


def test_warnings_of_all_threads_come_together(monkeypatch):
    monkeypatch.setattr(pool, "PAYS", 0)
    f = np.zeros(1_000_000)
    f[900_000:900_003] = np.inf
    with pytest.warns(RuntimeWarning, match="invalid") as caught:
        gradient(f, threads=3)
    assert len(caught) == 1


def test_a_wrong_number_of_threads_is_refused_by_name():
    for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)):
        out = np.full(4, 7.5)
        with pytest.raises(error, match="threads must be"):
            gradient(np.arange(4.0), threads=wrong, out=out)
        assert (out == 7.5).all()


def test_threads_are_thought_of_when_there_is_work_for_them(monkeypatch):
    made = []
    monkeypatch.setattr(grid_gradient, "share_at_once", lambda part, first, last, halts: made.append(len(halts)) or 0)
    monkeypatch.setattr(grid_arrays, "cores", lambda: 4)
    for shape, threads in (((1_000_000,), None), ((300, 300), None), ((300, 300), 3), ((1_000_000,), 1)):
        gradient(np.zeros(shape)[..., ::-1], axis=0, threads=threads)
    assert made == [4, 3]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("steepest.threads._limit", 2)
        gradient(np.zeros(1_000_000))
    assert made == [4, 3, 2]
