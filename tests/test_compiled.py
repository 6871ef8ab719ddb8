"""What a compiled f may be: every kind is recognised with its signature, or refused with the reason.

Here because a function that is called through a wrong signature ends the process, not the test. Tests
compiled_functions.py; njit functions are in test_just_in_time.py, what becomes of all of them in test_native.py and
faults/test_native.py.
"""

import concurrent.futures
import ctypes
import functools
import gc
import importlib.util
import itertools
import math
import pathlib
import subprocess
import sys
import sysconfig
import weakref

import native_library
import numpy as np
import pytest
from native_library import SCALAR, SCALAR_DATA, STATUS, VECTOR, WAYS, Weights
from scipy import LowLevelCallable

import steepest as sd
from steepest.compiled_functions import _REMEMBERED, _met, _order, _remember, canonical, recognise, resolve
from steepest.kernels.callback import Compiled
from steepest.options import check_options
from steepest.reference.callback import SIGNATURES

X = np.array([0.5, -1.25, 2.0])
FLOAT = np.dtype(np.float64)


def options(method="central", args=(), kwargs=None, vectorized=False):
    return check_options(method, None, None, None, None, None, None, args, kwargs, vectorized, None)


def pointer_to(address, signature):
    """A ctypes function pointer of any signature."""
    result, arguments = signature.rstrip(")").split(" (")
    kinds = {"double": ctypes.c_double, "float": ctypes.c_float, "int": ctypes.c_int, "int64_t": ctypes.c_int64,
             "void *": ctypes.c_void_p, "void": None}
    for name in ("double", "float", "int"):
        kinds[name + " *"] = ctypes.POINTER(kinds[name])
    kinds["double **"] = ctypes.POINTER(kinds["double *"])
    return ctypes.CFUNCTYPE(kinds[result], *(kinds[name] for name in arguments.split(", ") if name))(address)


# Recognition

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["rosenbrock", "rosenbrock_data", "curves", "checked"])
def test_every_way_to_give_a_c_function_is_recognised_with_its_signature(native, way, name):
    found = recognise(native.given(name, way))
    assert isinstance(found, Compiled)
    assert found.signature == native.signature(name)
    assert found.address == native.address(name)
    assert found.data == 0
    assert found.size == (1 if name.startswith("rosenbrock") else -1)
    if name.startswith("rosenbrock"):
        assert found(X) == native_library.rosenbrock(X)


@pytest.mark.parametrize("way", ["capsule", *WAYS[3:]])
def test_user_data_is_handed_over(native, way):
    data = Weights([1.0, 10.0, 100.0])
    found = recognise(native.given("weighted", way, data))
    assert found.data == data.values.ctypes.data
    assert found(X) == native_library.weighted(X, data.values)


def test_all_four_forms_can_be_called_once_from_python(native):
    for name, size in (("curves", 5), ("checked_curves", 5)):
        found = sd.compiled(native.ctypes(name), size=size)
        np.testing.assert_array_equal(found(X), native_library.curves(X, 5))
        assert found.size == size
    assert sd.compiled(native.ctypes("checked"), size=1)(X) == native_library.rosenbrock(X)


@pytest.mark.parametrize("f", [
    lambda x: 1.0, len, np.sin, np.linalg.norm, functools.partial(max), math.hypot, [].append, int, type("F", (), {
        "__call__": lambda self, x: 1.0})(), np.vectorize(math.sin)], ids=lambda f: type(f).__name__)
def test_python_callables_are_left_to_python(f):
    assert recognise(f) is None
    assert resolve(f, options(), (3,), FLOAT) is None


@pytest.mark.parametrize("f", [None, "f", 1.5, X, object()], ids=lambda f: type(f).__name__)
def test_what_cannot_be_called_is_left_to_the_check_that_names_it(f):
    assert recognise(f) is None
    with pytest.raises(TypeError, match="f must be a compiled function, not"):
        sd.compiled(f)


@pytest.mark.parametrize("f", [0, 140_000_000_000, True, ctypes.c_void_p(140_000_000_000)],
                         ids=["zero", "int", "bool", "void pointer"])
def test_a_bare_address_is_refused(f):
    for take in (recognise, sd.compiled):
        with pytest.raises(TypeError, match=r"^f must be callable, not \w+: a bare address has no signature"):
            take(f)


@pytest.mark.parametrize(("written", "meant"), [
    ("double(int,double*)", SCALAR), ("double (int, const double *)", SCALAR), ("double (int, double const*)", SCALAR),
    (" double ( int , double * , void* ) ", SCALAR_DATA), ("double (const int, double *)", SCALAR),
    ("void (int, const double *, int, double *, void *)", VECTOR),
    ("int\t(int, double*, int, double*, void*)", STATUS), ("int (int32_t, double *, int, double *, void *)", STATUS),
])
def test_a_signature_may_be_written_in_other_ways(native, written, meant):
    name = {SCALAR: "rosenbrock", SCALAR_DATA: "rosenbrock_data", VECTOR: "curves", STATUS: "checked"}[meant]
    assert canonical(written) == meant
    assert recognise(native.capsule(name, written)).signature == meant
    assert recognise(LowLevelCallable(native.ctypes(name), signature=written)).signature == meant


def test_a_cfunc_is_recognised_and_remembered():
    numba = pytest.importorskip("numba")
    pointer, void = numba.types.CPointer(numba.types.float64), numba.types.voidptr
    double, status = numba.types.float64, numba.types.intc
    for signature, f in (
        (SCALAR, numba.cfunc(double(status, pointer))(lambda n, x: x[0] * x[n - 1])),
        (SCALAR_DATA, numba.cfunc(double(status, pointer, void))(lambda n, x, data: x[0] * x[n - 1])),
        (SCALAR_DATA, numba.cfunc(double(numba.types.int32, pointer, numba.types.CPointer(numba.types.void)))(
            lambda n, x, data: x[0] * x[n - 1])),
    ):
        found = recognise(f)
        assert found.signature == signature
        assert found(X) == X[0] * X[-1]
        assert found.owner is f
        assert recognise(f) is found
        assert sd.compiled(f) is found

    @numba.cfunc(numba.types.void(status, pointer, status, pointer, void))
    def doubled(n, x, m, out, data):
        for i in range(m):
            out[i] = 2 * x[i]

    @numba.cfunc(status(status, pointer, status, pointer, void))
    def checked(n, x, m, out, data):
        out[0] = x[0]
        return 0

    assert recognise(doubled).signature == VECTOR and recognise(checked).signature == STATUS
    np.testing.assert_array_equal(sd.compiled(doubled, size=3)(X), 2 * X)
    assert recognise(LowLevelCallable(doubled.ctypes)).signature == VECTOR


CYTHON = """
cdef api double square(int n, double *x) noexcept nogil:
    return x[0] * x[0]

cdef api double scaled(int n, const double *x, void *data) noexcept nogil:
    return (<double *>data)[0] * x[0]

cdef api double fragile(int n, double *x) except? -1 nogil:
    if x[0] < 0:
        raise ValueError("negative")
    return x[0] * x[0]

cdef api int checked(int n, double *x, int m, double *out, void *data) except -1 nogil:
    if x[0] < 0:
        raise ValueError("negative")
    out[0] = x[0] * x[0]
    return 0

cdef api double of_python(object x):
    return 1.0
"""


@pytest.mark.build
def test_functions_of_a_cython_module_are_recognised_and_their_exceptions_come_back(tmp_path, backend):
    cython = pytest.importorskip("Cython.Compiler.Main")
    name = f"functions_of_{backend}"
    source = tmp_path / f"{name}.pyx"
    source.write_text(CYTHON)
    cython.compile(str(source), language_level=3)
    path = tmp_path / (name + sysconfig.get_config_var("EXT_SUFFIX"))
    native_library.compile_library(source.with_suffix(".c"), path, "-I" + sysconfig.get_paths()["include"])
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    functions = module.__pyx_capi__
    assert recognise(functions["square"]).signature == SCALAR
    for f in (functions["square"], LowLevelCallable.from_cython(module, "square"), functions["fragile"],
              functions["checked"]):
        np.testing.assert_allclose(sd.gradient(f, [3.0]), [6.0])
    scaled = LowLevelCallable.from_cython(module, "scaled", Weights([2.5]).pointer)
    np.testing.assert_allclose(sd.gradient(scaled, [3.0]), [2.5])
    for f in (functions["fragile"], functions["checked"]):
        for x in (-1.0, 0.0):   # at x itself, and next to it
            with pytest.raises(ValueError, match=r"^negative"):
                sd.gradient(f, [x])
    with pytest.raises(ValueError, match=r"f has the signature 'double \(PyObject \*\)', expected one of"):
        sd.gradient(functions["of_python"], [1.0])


# Signatures: what each kind of function says of itself is compared with what is accepted

WRONG = [
    "double ()",
    "double (double)",
    "double (double *)",
    "double (double *, int)",
    "double (int, double)",
    "double (int, float *)",
    "double (int, double **)",
    "double (int, void *)",
    "float (int, double *)",
    "void (int, double *)",
    "int (int, double *)",
    "double (int64_t, double *)",
    "double (int, double *, int)",
    "double (int, double *, double *)",
    "double (int, double *, void *, void *)",
    "double (int, double *, int, double *, void *)",
    "void (int, double *, int, double *)",
    "void (int, double *, int, float *, void *)",
    "void (int, double *, int, double *, double *)",
    "int (int, double *, int, int *, void *)",
    "int64_t (int, double *, int, double *, void *)",
]


def wrong_function(native, way, signature):
    address = native.address("rosenbrock")
    if way == "ctypes":
        return pointer_to(address, signature)
    if way == "ctypes, declared late":
        function, pointer = native.library["rosenbrock"], pointer_to(address, signature)
        function.restype, function.argtypes = pointer.restype, pointer.argtypes
        return function
    if way == "cffi":
        return native.ffi.cast(signature.replace(" (", " (*)("), address)
    if way == "capsule":
        return native_library.capsule(address, signature)
    if way == "LowLevelCallable by its name":
        return LowLevelCallable(native.ctypes("rosenbrock"), signature=signature)
    return LowLevelCallable(wrong_function(native, way.split()[-1], signature))


@pytest.mark.parametrize(("way", "signature"), list(itertools.product([
    "ctypes", "ctypes, declared late", "cffi", "capsule", "LowLevelCallable by its name",
    "LowLevelCallable of ctypes", "LowLevelCallable of cffi", "LowLevelCallable of capsule"], WRONG)))
def test_a_wrong_signature_is_refused_and_both_are_named(native, way, signature):
    f = wrong_function(native, way, signature)
    for take in (recognise, sd.compiled, lambda f: resolve(f, options(), (3,), FLOAT)):
        with pytest.raises(ValueError, match=r"^f has the signature '\w+ ?\(.*\)', expected one of") as caught:
            take(f)
        assert all(repr(accepted) in str(caught.value) for accepted in SIGNATURES)
        has = str(caught.value).split("'")[1]
        if "long" not in has:   # the name that ctypes has for int64_t
            assert canonical(has).replace("( ", "(") == canonical(signature)


@pytest.mark.parametrize(("written", "has"), [
    ("float64(float64)", "double (double)"),
    ("float64(CPointer(float64))", "double (double *)"),
    ("float64(int64, CPointer(float64))", "double (int64, double *)"),
    ("float64(intc, CPointer(float32))", "double (int, float32 *)"),
    ("float32(intc, CPointer(float64))", "float32 (int, double *)"),
    ("float64(intc, CPointer(float64), CPointer(float64))", "double (int, double *, double *)"),
    ("intc(intc, CPointer(float64))", "int (int, double *)"),
    ("complex128(intc, CPointer(float64))", "complex128 (int, double *)"),
])
def test_a_cfunc_of_a_wrong_signature_is_refused_and_both_are_named(written, has):
    numba = pytest.importorskip("numba")
    argument = {"float64(float64)": "a", "float64(CPointer(float64))": "a"}.get(written, "n, x")
    if written.count(",") == 2:
        argument = "n, x, y"
    f = numba.cfunc(written)(eval(f"lambda {argument}: 1"))
    with pytest.raises(ValueError) as caught:
        recognise(f)
    assert f"f has the signature {has!r}, expected one of" in str(caught.value)
    assert all(repr(accepted) in str(caught.value) for accepted in SIGNATURES)


def test_a_ctypes_function_without_declared_arguments_is_refused(native):
    for f in (native.library["rosenbrock"], native.library["curves"]):
        with pytest.raises(ValueError, match=r"ctypes function without argtypes: set f\.argtypes and f\.restype"):
            recognise(f)
        f.restype = ctypes.c_double
        with pytest.raises(ValueError, match="without argtypes"):
            recognise(f)


def test_an_undeclared_result_is_an_int_and_named_as_such(native):
    f = native.library["rosenbrock"]
    f.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_double)]
    with pytest.raises(ValueError, match=r"f has the signature 'int \(int, double \*\)', expected one of"):
        recognise(f)


def test_an_argument_type_without_a_name_is_refused(native):
    class Odd:
        def from_param(self, value):
            return value

    f = native.library["rosenbrock"]
    f.restype, f.argtypes = ctypes.c_double, [ctypes.c_int, Odd()]
    with pytest.raises(ValueError, match="f has a signature that cannot be read"):
        recognise(f)
    f.argtypes = [ctypes.c_int, np.ctypeslib.ndpointer(np.float64)]
    with pytest.raises(ValueError, match=r"f has the signature 'double \(int, ndpointer"):
        recognise(f)


def test_a_null_pointer_is_refused(native):
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
    for f in (kind(), kind(0), native.ffi.cast("double (*)(int, double *)", 0)):
        with pytest.raises(ValueError, match="f is a NULL pointer"):
            recognise(f)


def test_a_capsule_without_a_name_has_no_signature(native):
    unnamed = native_library.capsule(native.address("rosenbrock"), None)
    with pytest.raises(ValueError, match="f has no signature: its capsule has no name; expected one of"):
        recognise(unnamed)
    import datetime
    with pytest.raises(ValueError, match=r"f has the signature 'datetime.datetime_CAPI', expected one of"):
        recognise(datetime.datetime_CAPI)


def test_other_objects_of_cffi_are_no_functions(native):
    ffi = native.ffi
    for thing in (ffi.new("double[3]"), ffi.cast("void *", 1), ffi.cast("int", 3), ffi.NULL):
        with pytest.raises(TypeError, match="f must be callable, not a cffi object of type"):
            recognise(thing)


@pytest.mark.parametrize("way", ["capsule", *WAYS[3:]])
def test_user_data_that_the_signature_has_no_place_for_is_refused(native, way):
    with pytest.raises(ValueError, match="f comes with user data, but its signature"):
        recognise(native.given("rosenbrock", way, Weights([1.0])))


# C functions made of Python functions: an exception in them is printed and lost, and the result is garbage

KIND = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
LOST = "made of a Python function, whose exceptions would be lost: pass the Python function itself"


def test_a_ctypes_callback_over_python_is_refused(native):
    thunk = KIND(lambda n, x: 1.0)
    other = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double), ctypes.c_void_p)
    for f in (thunk, ctypes.cast(thunk, KIND), ctypes.cast(thunk, other),
              ctypes.cast(ctypes.cast(thunk, ctypes.c_void_p), KIND), LowLevelCallable(thunk),
              LowLevelCallable(LowLevelCallable(thunk)), LowLevelCallable(ctypes.cast(thunk, other)),
              LowLevelCallable(thunk, signature=SCALAR)):
        for take in (recognise, sd.compiled):
            with pytest.raises(TypeError, match=f"f is a ctypes callback {LOST}"):
                take(f)
    assert recognise(ctypes.cast(native.ctypes("rosenbrock"), KIND))(X) == native_library.rosenbrock(X)


def test_a_cffi_callback_over_python_is_refused(native):
    callback = native.ffi.callback("double (int, double *)", lambda n, x: 1.0)
    for f in (callback, LowLevelCallable(callback)):
        with pytest.raises(TypeError, match=f"f is a cffi callback {LOST}"):
            recognise(f)


def test_a_function_that_needs_the_gil_is_refused(native):
    kind = ctypes.PYFUNCTYPE(ctypes.c_double, ctypes.c_int, ctypes.POINTER(ctypes.c_double))
    for f in (kind(native.address("rosenbrock")), LowLevelCallable(kind(native.address("rosenbrock")))):
        with pytest.raises(TypeError, match="a compiled f is called without the GIL"):
            recognise(f)


# Lifetimes

def gone(reference):
    gc.collect()
    return reference() is None


def test_the_library_of_a_ctypes_function_stays(native, tmp_path):
    copy = native.copy(tmp_path)
    library = weakref.ref(copy.library)
    found = recognise(copy.ctypes("rosenbrock"))
    del copy
    assert not gone(library)
    assert found(X) == native_library.rosenbrock(X)
    del found
    assert gone(library)


@pytest.mark.parametrize("way", WAYS[3:])
def test_user_data_stays_as_long_as_the_function_and_no_longer(native, way):
    data = Weights([1.0, 10.0, 100.0])
    values, expected = weakref.ref(data.values), native_library.weighted(X, data.values)
    found = recognise(native.given("weighted", way, data))
    del data
    assert not gone(values)
    assert found(X) == expected
    del found
    assert gone(values)


def test_a_capsule_stays(native):
    capsule = native.capsule("rosenbrock")
    count = sys.getrefcount(capsule)
    found = recognise(capsule)
    assert sys.getrefcount(capsule) == count + 1
    del found
    assert sys.getrefcount(capsule) == count


@pytest.mark.skipif(sys.platform != "linux", reason="what is loaded is read in /proc")
@pytest.mark.parametrize("low_level", [False, True])
def test_a_library_that_cffi_would_unload_stays_as_long_as_it_is_needed(native, tmp_path, low_level):
    pytest.importorskip("cffi")
    path = tmp_path / "unloaded.so"
    path.write_bytes(native.path.read_bytes())

    def is_loaded():
        return str(path) in pathlib.Path("/proc/self/maps").read_text()

    library = native.ffi.dlopen(str(path))
    f = library.rosenbrock
    found = recognise(LowLevelCallable(f) if low_level else f)
    assert is_loaded()
    native.ffi.dlclose(library)
    del library, f
    gc.collect()
    assert is_loaded()
    assert found(X) == native_library.rosenbrock(X)
    del found
    gc.collect()
    assert not is_loaded()


def test_what_is_remembered_is_bounded_and_holds_on_to_what_it_knows():
    def new():
        return type("F", (), {})()

    before = dict(_met), list(_order)
    try:
        first = new()
        reference = weakref.ref(first)
        made = _remember(first, Compiled(1, SCALAR))
        assert recognise(first) is made
        assert _remember(first, Compiled(2, SCALAR)) is made
        del first
        assert not gone(reference)
        for _ in range(2 * _REMEMBERED):
            _remember(new(), Compiled(1, SCALAR))
            assert len(_met) <= _REMEMBERED and len(_order) <= _REMEMBERED
        assert gone(reference)
    finally:
        _met.clear()
        _order.clear()
        _met.update(before[0])
        _order.extend(before[1])


def test_remembering_in_eight_threads_at_once_loses_nothing():
    def work(_):
        for _ in range(500):
            f, made = type("F", (), {})(), Compiled(1, SCALAR)
            assert _remember(f, made) is made
        return True

    before = dict(_met), list(_order)
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
        assert len(_met) <= _REMEMBERED + 8
    finally:
        _met.clear()
        _order.clear()
        _met.update(before[0])
        _order.extend(before[1])


# Options

@pytest.mark.parametrize(("given", "dtype", "error", "message"), [
    ({"args": (1.0,)}, "d", TypeError, "args cannot be given for a compiled f"),
    ({"kwargs": {"a": 1.0}}, "d", TypeError, "kwargs cannot be given for a compiled f"),
    ({"vectorized": True}, "d", ValueError, "vectorized must be False for a compiled f"),
    ({"method": "complex"}, "d", ValueError, "method must not be 'complex' for a compiled f"),
    ({"method": "cs"}, "d", ValueError, "method must not be 'complex' for a compiled f"),
    ({}, "g", TypeError, "x must be of float32 or float64 for a compiled f, not"),
    ({}, "D", TypeError, "x must be of float32 or float64 for a compiled f, not complex128"),
    ({}, "F", TypeError, "x must be of float32 or float64 for a compiled f, not complex64"),
])
@pytest.mark.parametrize("way", WAYS)
def test_options_that_are_for_python_functions_are_refused_by_name(native, way, given, dtype, error, message):
    with pytest.raises(error, match=message):
        resolve(native.given("rosenbrock", way), options(**given), (3,), np.dtype(dtype))


def test_single_precision_x_and_all_real_methods_are_taken(native):
    f = native.ctypes("rosenbrock")
    for method in ("central", "forward", "backward", "2-point"):
        assert resolve(f, options(method), (3,), FLOAT).signature == SCALAR
    assert resolve(f, options(), (3,), np.dtype(np.float32)).signature == SCALAR
    assert resolve(f, options(), (3,), FLOAT, vector=True).size == 1


def test_more_entries_than_an_int_counts_are_refused(native):
    with pytest.raises(ValueError, match="x has 3000000000 entries, more than an int of a compiled f can count"):
        resolve(native.ctypes("rosenbrock"), options(), (3_000_000_000,), FLOAT)


# steepest.compiled

def test_compiled_takes_what_it_has_made(native):
    found = sd.compiled(native.ctypes("rosenbrock"))
    assert sd.compiled(found) is found and recognise(found) is found
    assert resolve(found, options(), (3,), FLOAT) is found
    vector = sd.compiled(native.low_level("curves"))
    sized = sd.compiled(vector, size=4)
    assert (vector.size, sized.size) == (-1, 4)
    assert sized.owner is vector.owner and sized.address == vector.address
    with pytest.raises(ValueError, match="f gives 4 numbers, expected one"):
        resolve(sized, options(), (3,), FLOAT)
    assert resolve(sized, options(), (3,), FLOAT, vector=True) is sized


@pytest.mark.parametrize(("size", "error", "message"), [
    (-1, ValueError, "size must be the number of results of f, an int that is not negative, not -1"),
    (2**31, ValueError, "size must be the number of results"),
    (1.5, TypeError, "size must be an integer, not 1.5"),
    ("3", TypeError, "size must be an integer, not '3'"),
    (True + 2, ValueError, "size must be 1 for this f, not 3"),
])
def test_compiled_checks_size(native, size, error, message):
    with pytest.raises(error, match=message):
        sd.compiled(native.ctypes("rosenbrock"), size=size)
    assert sd.compiled(native.ctypes("rosenbrock"), size=1).size == 1
    assert sd.compiled(native.ctypes("rosenbrock"), size=np.int8(1)).size == 1


def test_importing_steepest_imports_nothing_for_compiled_functions():
    program = ("import sys, steepest; steepest.gradient(lambda x: x @ x, [1.0, 2.0]); print("
               "[name for name in ('scipy', 'numba', 'cffi', '_cffi_backend', 'llvmlite') if name in sys.modules])")
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"
