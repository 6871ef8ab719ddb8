"""Functions of numba's njit, called as C functions: the numbers they give in Python, or Python with a reason.

Here because the wrappers are code that is made at run time, from pieces of numba that are not all public. Tests
just_in_time.py, through `resolve` of compiled_functions.py.
"""

import concurrent.futures
import ctypes
import functools
import gc
import math
import warnings
import weakref

import numpy as np
import pytest

import steepest as sd
from steepest import just_in_time
from steepest.compiled_functions import _met, _order, recognise, resolve
from steepest.options import check_options
from steepest.reference.callback import SIGNATURES, STATUS

X = np.array([0.5, -1.25, 2.0])
FLOAT = np.dtype(np.float64)


def options(method="central", args=(), kwargs=None, vectorized=False):
    return check_options(method, None, None, None, None, None, None, args, kwargs, vectorized, None)


def gone(reference):
    gc.collect()
    return reference() is None


@pytest.fixture(scope="module")
def numba():
    return pytest.importorskip("numba")


@pytest.fixture(scope="module")
def jitted(numba):
    """Njit functions by name, compiled once."""

    def bowl(x):
        return (x * x).sum()

    def number(t):
        return t * t * t

    def corner(x):
        return x[0, 0] * 2 + x[-1, -1]

    def alone(x):
        return x[()] ** 2

    def squares(x):
        return x * x

    def pair(x):
        return x[0] * x[1], x[0] + x[1]

    def listed(x):
        return [v * v for v in x]

    def half(x):
        return np.float32(x[0])

    def whole(x):
        return 3

    def truth(x):
        return x[0] > 0

    def imaginary(x):
        return x[0] * 1j

    def table(x):
        return np.ones((2, 2))

    def maybe(x):
        if x[0] > 0:
            return 1.0
        return None

    def untyped(x):
        return x.no_such_attribute

    def fragile(x):
        if x[0] < 0:
            raise ValueError("negative")
        return math.sqrt(x[0])

    def growing(x):
        return np.ones(int(x[0]))

    def fit(x, t, y, power, scale, negative):
        s = 0.0
        for i in range(t.size):
            s += (x[0] * t[i] - y[i, 1]) ** power * scale
        return -s if negative else s

    functions = [value for value in locals().values() if callable(value) and value is not numba]
    return {f.__name__: numba.njit(f) for f in functions}


@pytest.mark.parametrize(("name", "point", "each", "vector"), [
    ("bowl", X, False, False), ("bowl", X.reshape(3, 1), False, False), ("bowl", np.ones((2, 3, 2)), False, False),
    ("corner", np.arange(6.0).reshape(2, 3), False, False), ("corner", np.arange(4.0).reshape(4, 1), False, False),
    ("alone", np.array(3.0), False, False), ("bowl", np.empty(0), False, False),
    ("bowl", np.empty((2, 0)), False, False), ("number", np.array([2.0]), True, False),
    ("whole", X, False, False), ("truth", X, False, False), ("half", X, False, False),
    ("squares", X, False, True), ("pair", X, False, True), ("listed", X, False, True), ("bowl", X, False, True),
    ("fragile", X, False, False),
])
def test_an_njit_function_gives_the_numbers_it_gives_in_python(jitted, name, point, each, vector):
    f = jitted[name]
    expected = f(point[0] if each else point)
    found = resolve(f, options(), point.shape, FLOAT, vector, each)
    assert found.signature == SIGNATURES[STATUS]
    if vector:
        assert found.size in (-1, np.size(expected))
        found = found if found.size >= 0 else sd.compiled(f, size=np.size(expected))
        np.testing.assert_array_equal(found(point), np.atleast_1d(expected))
    else:
        assert found.size == 1
        assert found(point) == expected


def test_an_njit_function_is_compiled_once_for_each_number_of_dimensions(numba, monkeypatch):
    f = numba.njit(lambda x: x.sum())
    made = []
    compile_one = just_in_time.compile_dispatcher
    monkeypatch.setattr(just_in_time, "compile_dispatcher", lambda *key: made.append(key[1:]) or compile_one(*key))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: resolve(f, options(), (3,), FLOAT), range(16)))
    assert len({each.address for each in found}) == 1
    assert made == [(1, False, False, ())]
    for shape in ((4,), (0,), (2, 3), (3, 2), (1, 1)):
        resolve(f, options(), shape, FLOAT)
    assert made == [(1, False, False, ()), (2, False, False, ())]
    assert resolve(f, options(), (2, 3), FLOAT) is resolve(f, options(), (2, 3), FLOAT)
    assert resolve(f, options(), (2, 3), FLOAT)(np.ones((2, 3))) == 6
    for n in range(200):
        resolve(f, options(), (n,), FLOAT)
    assert len(made) == 2


def test_an_exception_in_an_njit_function_comes_back_as_itself(jitted, capfd):
    found = resolve(jitted["fragile"], options(), (3,), FLOAT)
    assert found(X) == math.sqrt(X[0])
    with pytest.raises(ValueError, match=r"^negative$"):
        found(-X)
    assert capfd.readouterr() == ("", "")


def test_a_vector_of_another_length_is_a_status_and_never_a_write_past_the_end(jitted):
    found = sd.compiled(jitted["growing"], size=2)
    np.testing.assert_array_equal(found([2.0]), [1.0, 1.0])
    for other in (0.0, 1.0, 3.0, 1000.0):
        with pytest.raises(ValueError):
            raise_status(found, other)


def raise_status(found, first):
    """Call the wrapper itself: what it gives for a result of another length is its status."""
    x, out = np.array([first]), np.full(3, 7.0)
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p,
                            ctypes.c_void_p)(found.address)
    status = call(1, x.ctypes.data, 2, out.ctypes.data, found.data)
    assert (out == 7.0).all()
    if status == just_in_time.OTHER_LENGTH:
        raise ValueError("another length")


def test_single_precision_is_noticed(jitted):
    assert resolve(jitted["half"], options(), (3,), FLOAT).eps == np.finfo(np.float32).eps
    for name in ("bowl", "whole", "truth"):
        assert resolve(jitted[name], options(), (3,), FLOAT).eps == np.finfo(np.float64).eps


def arguments():
    t, y = np.linspace(0, 1, 5), np.arange(20.0).reshape(5, 4)
    return [
        (t, y, 2, 0.5, False), (t, y, 2.0, 1, True), (t.astype(np.float32), y[:, ::2], 2, np.float64(0.5), np.True_),
        (np.arange(5), np.asfortranarray(y), np.int64(3), -1.5, True), (t[::-1], y.T[:, :4].T, 1, 2.5, False),
        (t > 0.5, y.astype(np.int16), 2, 1.0, False),
    ]


@pytest.mark.parametrize("args", arguments())
def test_numbers_and_arrays_as_arguments_are_compiled_in(jitted, args):
    f = jitted["fit"]
    found = resolve(f, options(args=args), (1,), FLOAT)
    for x in ([0.75], [-2.0]):
        assert found(x) == f(np.array(x), *args)


def test_arrays_given_as_arguments_stay_and_are_read_when_f_is_called(jitted):
    t, y = np.linspace(0, 1, 5), np.arange(20.0).reshape(5, 4)
    reference, f = weakref.ref(t), jitted["fit"]
    found = resolve(f, options(args=(t, y, 2, 0.5, False)), (1,), FLOAT)
    y[:] = 3
    assert found([0.75]) == f(np.array([0.75]), t, y, 2, 0.5, False)
    with pytest.raises(ValueError, match="resize"):
        y.resize((100, 100))
    del t
    assert not gone(reference)
    del found
    assert gone(reference)


def test_arguments_follow_the_shape_of_x(numba):
    f = numba.njit(lambda x, a, b: a * x[1, 1] + b[1] * x[0, 2])
    found = resolve(f, options(args=(2, np.array([1.0, 10.0]))), (2, 3), FLOAT)
    assert found(np.arange(6.0).reshape(2, 3)) == 2 * 4 + 10 * 2
    g = numba.njit(lambda t, a: a * t)
    assert resolve(g, options(args=(2.5,)), (4,), FLOAT, each=True)([3.0]) == 7.5


@pytest.mark.parametrize(("name", "given", "shape", "dtype", "reason"), [
    ("bowl", {"kwargs": {"a": 1}}, (3,), "d", "kwargs are given"),
    ("bowl", {"vectorized": True}, (3,), "d", "vectorized=True is given"),
    ("bowl", {"method": "complex"}, (3,), "d", "method='complex' is given"),
    ("bowl", {}, (3,), "f", "x is of float32, not of float64"),
    ("bowl", {}, (3,), "g", "x is of .*, not of float64"),
    ("bowl", {}, (3,), "D", "x is of complex128, not of float64"),
    ("bowl", {"args": ("text",)}, (3,), "d", r"args\[0\] is no int of 64 bits, no float .* but of type str"),
    ("bowl", {"args": (1, None)}, (3,), "d", r"args\[1\] is no int .* but of type NoneType"),
    ("bowl", {"args": (2**70,)}, (3,), "d", r"args\[0\] is no int .* but of type int"),
    ("bowl", {"args": (np.array(["a"]),)}, (3,), "d", r"args\[0\] is no int .* but of type ndarray"),
    ("bowl", {"args": (X.astype(">f8"),)}, (3,), "d", r"args\[0\] is no int .* but of type ndarray"),
    ("bowl", {"args": (1.0,)}, (3,), "d", "TypingError|TypeError"),
    ("imaginary", {}, (3,), "d", "it returns complex128, not one real number"),
    ("squares", {}, (3,), "d", "it returns array.*, not one real number"),
    ("table", {"vector": True}, (3,), "d", "it returns array.*, not an array of real numbers of one dimension"),
    ("maybe", {}, (3,), "d", "it returns OptionalType.*, not one real number"),
    ("untyped", {}, (3,), "d", "TypingError: Unknown attribute 'no_such_attribute'"),
    ("corner", {}, (3,), "d", "TypingError"),
])
def test_what_an_njit_function_cannot_do_compiled_it_does_in_python_with_a_reason(
        jitted, name, given, shape, dtype, reason):
    f, given = jitted[name], dict(given)
    vector = given.pop("vector", False)

    def take():
        return resolve(f, options(**given), shape, np.dtype(dtype), vector)

    kept = _met.pop(id(f), None)    # what other tests were told
    if kept is not None:
        _order.remove(id(f))
    with pytest.warns(sd.CompilationWarning, match=reason) as caught:
        assert take() is None
    assert len(caught) == 1 and caught[0].filename == __file__
    assert "\n" not in str(caught[0].message) and name in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert take() is None   # once


def test_more_entries_than_an_int_counts_are_left_to_python(numba):
    with pytest.warns(sd.CompilationWarning, match="x has 3000000000 entries"):
        assert resolve(numba.njit(lambda x: x[0]), options(), (3_000_000_000,), FLOAT) is None


def test_a_failure_to_compile_is_remembered(jitted, monkeypatch):
    f = jitted["untyped"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        resolve(f, options(), (3,), FLOAT)
    monkeypatch.setattr(just_in_time, "compile_dispatcher", None)
    assert resolve(f, options(), (3,), FLOAT) is None


def test_an_njit_function_of_explicit_types_is_taken_for_those(numba):
    f = numba.njit("float64(float64[::1])")(lambda x: x[0])
    assert resolve(f, options(), (3,), FLOAT)(X) == X[0]
    with pytest.warns(sd.CompilationWarning, match="it was compiled for other types than array.float64, 2d, C."):
        assert resolve(f, options(), (3, 1), FLOAT) is None


def test_a_warning_made_an_error_is_raised_every_time(numba):
    f = numba.njit(lambda x: x.sum())
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(sd.CompilationWarning):
                resolve(f, options(), (3,), np.dtype(np.float32))


def test_other_functions_of_numba_are_python_callables(numba):
    for f in (numba.vectorize(lambda x: x + 1), functools.partial(numba.njit(lambda x: x.sum()))):
        assert recognise(f) is None
        assert resolve(f, options(), (3,), FLOAT) is None


def test_compiled_takes_an_njit_function_for_a_scalar_one_unless_size_is_given(jitted):
    assert sd.compiled(jitted["bowl"])(X) == X @ X
    np.testing.assert_array_equal(sd.compiled(jitted["squares"], size=3)(X), X * X)
    assert sd.compiled(jitted["pair"], size=2).size == 2
    with pytest.raises(ValueError, match="size must be 2 for this f, not 3"):
        sd.compiled(jitted["pair"], size=3)
    with pytest.raises(TypeError, match=r"f cannot be compiled: it returns array.*, not one real number"):
        sd.compiled(jitted["squares"])
    with pytest.raises(TypeError, match="f cannot be compiled: TypingError: Unknown attribute"):
        sd.compiled(jitted["untyped"])


# The public functions

@pytest.mark.parametrize("options", [
    {}, {"order": 4}, {"method": "forward"}, {"method": "backward", "order": 2}, {"step": 1e-3}, {"rel_step": 1e-4},
    {"bounds": (X, X + 1.0)}, {"full_output": True}, {"full_output": True, "method": "forward"},
], ids=str)
def test_the_derivatives_are_those_of_the_python_function_to_the_bit(jitted, backend, options):
    for name, x, call in (
        ("bowl", X, sd.gradient), ("bowl", X.tolist(), sd.gradient), ("bowl", X.reshape(3, 1), sd.gradient),
        ("alone", np.float64(2.5), sd.gradient), ("bowl", X, sd.value_and_gradient), ("squares", X, sd.jacobian),
        ("pair", X, sd.jacobian), ("listed", X, sd.jacobian), ("bowl", X, sd.jacobian),
        ("squares", X, lambda f, x, **options: sd.jvp(f, x, np.ones(3), **options)), ("number", X, sd.derivative),
        ("number", X.reshape(1, 3, 1), sd.derivative), ("number", 2.5, sd.derivative),
    ):
        given = dict(options)
        if "bounds" in given:
            given["bounds"] = (np.asarray(x), np.asarray(x) + 1.0)
        f = jitted[name]
        for found, expected in zip(parts(call(f, x, **given)), parts(call(lambda x, f=f: f.py_func(x), x, **given)),
                                   strict=True):
            assert found.shape == expected.shape and found.tobytes() == expected.tobytes(), (name, x)


def parts(result):
    """All arrays of a result."""
    if isinstance(result, tuple):
        return [part for each in result for part in parts(each)]
    if isinstance(result, sd.Derivative):
        return parts((result.value, result.error, result.step, result.status, result.nfev))
    return [np.asarray(result)]


def test_arguments_go_through_the_public_functions(jitted, backend):
    args, f = arguments()[0], jitted["fit"]
    expected = sd.gradient(f.py_func, [0.75], args=args)
    assert sd.gradient(f, [0.75], args=args).tobytes() == expected.tobytes()
    prepared = sd.Gradient(f, [0.75], args=args)
    assert prepared([0.75]).tobytes() == expected.tobytes()
    args[1][:] += 1
    assert prepared([0.75]).tobytes() == sd.gradient(f.py_func, [0.75], args=args).tobytes() != expected.tobytes()


def test_precision_that_is_lower_makes_longer_steps(numba, backend):
    f = numba.njit(lambda x: np.float32(x[0]) * np.float32(x[1]))
    full = sd.gradient(f, X, full_output=True)
    assert (full.step[:2] > 1e-4 * abs(X[:2])).all()
    np.testing.assert_allclose(full.value, [X[1], X[0], 0], atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
def test_x_of_another_type_is_differentiated_in_python(numba, backend, dtype):
    f = numba.njit(lambda x: x[0] * x[1])
    expected = sd.gradient(f, X[:2])    # which is compiled, and stays so
    x = X[:2].astype(dtype)
    with pytest.warns(sd.CompilationWarning, match="not of float64"):
        found = sd.gradient(f, x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-2)
    assert sd.gradient(f, X[:2]).tobytes() == expected.tobytes()


def test_a_warning_tells_the_line_that_asked(numba, backend):
    for call in (lambda f: sd.gradient(f, X, method="complex"), lambda f: sd.Gradient(f, X, method="complex")(X),
                 lambda f: sd.jacobian(f, X, method="complex"), lambda f: sd.jvp(f, X, X, method="complex")):
        f = numba.njit(lambda x: x[0] * x[1])
        with pytest.warns(sd.CompilationWarning, match="method='complex' is given") as caught:
            call(f)
        assert [each.filename for each in caught] == [__file__]
