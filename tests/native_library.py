"""A small C library of functions to be differentiated, and every way in which they can be handed over.

Here so that all tests of compiled functions share one library, compiled once a session; the fixture `native` of
conftest.py gives it as a `Native`. It is tested in test_native_library.py.

    native.ctypes("rosenbrock")                 a ctypes function pointer with declared argtypes and restype
    native.cffi("rosenbrock")                   a cffi function pointer (skips the test without cffi)
    native.capsule("rosenbrock")                a capsule with the signature as its name, as in Cython's __pyx_capi__
    native.low_level("weighted", data)          a scipy.LowLevelCallable with user data
    native.given("rosenbrock", way, data)       any of these, for tests that loop over WAYS

The functions; user data is a structure of this file, made by its class here. "m" is any number of results.

    rosenbrock          scalar          the Rosenbrock function; the function here has the same bits
    rosenbrock_data     scalar + data   the same, data is not looked at
    root                scalar          sum of sqrt(x[i]): NaN where x[i] < 0
    weighted            scalar + data   sum of weights[i] * x[i]**2; data: `Weights`
    curves              vector          out[i] = x[i % n] * x[(i + 1) % n] + i * x[i % n]; also here
    slopes              vector          the gradient of `weighted` for weights of 1: out[i] = 2 * x[i], m = n
    checked             status          `rosenbrock`, m = 1; status 2 where x[0] < 0, status -3 where x[0] > 10
    checked_curves      status          `curves`, with the same statuses
    fenced              status          `rosenbrock`, m = 1, but status -(i + 1) for the first x[i] > 10, after a pause
                                        which is the longer the smaller i is; data: `Pause`, which counts calls
    writes_into_x       scalar          `rosenbrock`, then fills x with 99
    curves_into_x       vector          `curves`, then fills x with 99
    writes_before_x     scalar          `rosenbrock`, then x[-1] = 99
    writes_past_x       scalar          `rosenbrock`, then x[n] = 99
    writes_before_out   vector          `curves`, then out[-1] = 99
    writes_past_out     vector          `curves`, then out[m] = 99
    leaves_unset        vector          `curves`, but entries of out with an odd index are not written
    rounds_upward       scalar          `rosenbrock`, then leaves the processor rounding upward
    slow                scalar + data   `rosenbrock` after a pause; data: `Pause`, which counts calls
    slow_curves         vector          `curves` after a pause; data: `Pause`
    alone               scalar + data   `rosenbrock`, not to be run twice at a time; data: `Alone`, tells whether it was
    raises              scalar + data   `rosenbrock`, but one call takes the GIL and sets an exception; data: `Raises`
    raises_in_curves    vector          `curves`, with the same
    raises_in_status    status          `curves`, with the same, and status -1 in that call
"""

import ctypes
import math
import pathlib
import shlex
import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

SCALAR = "double (int, double *)"
SCALAR_DATA = "double (int, double *, void *)"
VECTOR = "void (int, double *, int, double *, void *)"
STATUS = "int (int, double *, int, double *, void *)"
RECOVERABLE, STOP = 2, -3

FUNCTIONS = {
    "rosenbrock": SCALAR,
    "rosenbrock_data": SCALAR_DATA,
    "root": SCALAR,
    "weighted": SCALAR_DATA,
    "curves": VECTOR,
    "slopes": VECTOR,
    "checked": STATUS,
    "checked_curves": STATUS,
    "fenced": STATUS,
    "writes_into_x": SCALAR,
    "curves_into_x": VECTOR,
    "writes_before_x": SCALAR,
    "writes_past_x": SCALAR,
    "writes_before_out": VECTOR,
    "writes_past_out": VECTOR,
    "leaves_unset": VECTOR,
    "rounds_upward": SCALAR,
    "slow": SCALAR_DATA,
    "slow_curves": VECTOR,
    "alone": SCALAR_DATA,
    "raises": SCALAR_DATA,
    "raises_in_curves": VECTOR,
    "raises_in_status": STATUS,
}

WAYS = ("ctypes", "cffi", "capsule", "LowLevelCallable of ctypes", "LowLevelCallable of cffi",
        "LowLevelCallable of a capsule")

SOURCE = r"""
#define _POSIX_C_SOURCE 199309L
#include <fenv.h>
#include <math.h>
#include <stdatomic.h>
#include <stdint.h>
#ifdef _WIN32
#include <windows.h>
#define EXPORT __declspec(dllexport)
static void rest(int64_t microseconds) { Sleep((DWORD)((microseconds + 999) / 1000)); }
#else
#include <time.h>
#define EXPORT
static void rest(int64_t microseconds)
{
    struct timespec left = {microseconds / 1000000, microseconds % 1000000 * 1000};
    while (nanosleep(&left, &left)) { }
}
#endif

struct pause { int64_t microseconds; _Atomic int64_t calls; };
struct alone { _Atomic int64_t inside, overlaps, calls; };
struct raises {
    int (*take)(void);
    void (*give)(int);
    void (*set)(void *, void *);
    void *type, *error;
    int64_t in_call;
    _Atomic int64_t calls;
};

EXPORT double rosenbrock(int n, double *x)
{
    double sum = 0;
    for (int i = 0; i + 1 < n; i++) {
        double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
        sum += 100 * a * a + b * b;
    }
    return sum;
}

EXPORT double rosenbrock_data(int n, double *x, void *data) { return rosenbrock(n, x); }

EXPORT double root(int n, double *x)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += sqrt(x[i]);
    return sum;
}

EXPORT double weighted(int n, double *x, void *data)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += ((double *)data)[i] * x[i] * x[i];
    return sum;
}

EXPORT void curves(int n, double *x, int m, double *out, void *data)
{
    for (int i = 0; i < m; i++)
        out[i] = x[i % n] * x[(i + 1) % n] + i * x[i % n];
}

EXPORT void slopes(int n, double *x, int m, double *out, void *data)
{
    for (int i = 0; i < m; i++)
        out[i] = 2 * x[i];
}

EXPORT int checked(int n, double *x, int m, double *out, void *data)
{
    if (x[0] < 0) return 2;
    if (x[0] > 10) return -3;
    out[0] = rosenbrock(n, x);
    return 0;
}

EXPORT int checked_curves(int n, double *x, int m, double *out, void *data)
{
    if (x[0] < 0) return 2;
    if (x[0] > 10) return -3;
    curves(n, x, m, out, data);
    return 0;
}

EXPORT int fenced(int n, double *x, int m, double *out, void *data)
{
    struct pause *pause = data;
    pause->calls++;
    for (int i = 0; i < n; i++)
        if (x[i] > 10) {
            rest(pause->microseconds / (i + 1));
            return -(i + 1);
        }
    out[0] = rosenbrock(n, x);
    return 0;
}

EXPORT double writes_into_x(int n, double *x)
{
    double value = rosenbrock(n, x);
    for (int i = 0; i < n; i++)
        x[i] = 99;
    return value;
}

EXPORT void curves_into_x(int n, double *x, int m, double *out, void *data)
{
    curves(n, x, m, out, data);
    writes_into_x(n, x);
}

EXPORT double writes_before_x(int n, double *x) { double value = rosenbrock(n, x); x[-1] = 99; return value; }
EXPORT double writes_past_x(int n, double *x) { double value = rosenbrock(n, x); x[n] = 99; return value; }

EXPORT void writes_before_out(int n, double *x, int m, double *out, void *data)
{
    curves(n, x, m, out, data);
    out[-1] = 99;
}

EXPORT void writes_past_out(int n, double *x, int m, double *out, void *data)
{
    curves(n, x, m, out, data);
    out[m] = 99;
}

EXPORT void leaves_unset(int n, double *x, int m, double *out, void *data)
{
    for (int i = 0; i < m; i += 2)
        out[i] = x[i % n] * x[(i + 1) % n] + i * x[i % n];
}

EXPORT double rounds_upward(int n, double *x)
{
    double value = rosenbrock(n, x);
    fesetround(FE_UPWARD);
    return value;
}

EXPORT double slow(int n, double *x, void *data)
{
    struct pause *pause = data;
    pause->calls++;
    rest(pause->microseconds);
    return rosenbrock(n, x);
}

EXPORT void slow_curves(int n, double *x, int m, double *out, void *data)
{
    slow(n, x, data);
    curves(n, x, m, out, data);
}

EXPORT double alone(int n, double *x, void *data)
{
    struct alone *alone = data;
    alone->calls++;
    if (alone->inside++)
        alone->overlaps++;
    rest(100);
    alone->inside--;
    return rosenbrock(n, x);
}

static int raise_now(struct raises *raises)
{
    if (++raises->calls != raises->in_call)
        return 0;
    int state = raises->take();
    raises->set(raises->type, raises->error);
    raises->give(state);
    return -1;
}

EXPORT double raises(int n, double *x, void *data) { raise_now(data); return rosenbrock(n, x); }

EXPORT void raises_in_curves(int n, double *x, int m, double *out, void *data)
{
    raise_now(data);
    curves(n, x, m, out, data);
}

EXPORT int raises_in_status(int n, double *x, int m, double *out, void *data)
{
    curves(n, x, m, out, data);
    return raise_now(data);
}
"""


# The same numbers in Python, bit for bit.

def rosenbrock(x):
    """The Rosenbrock function, added up in the order of the C function."""
    total = 0.0
    for here, following in zip(x[:-1].tolist(), x[1:].tolist(), strict=True):
        a, b = following - here * here, 1 - here
        total += 100 * a * a + b * b
    return total


def root(x):
    """Sum of the square roots, NaN where there is none."""
    total = 0.0
    for entry in x.tolist():
        total += math.sqrt(entry) if entry >= 0 else math.nan
    return total


def weighted(x, weights):
    """Sum of weights times squares."""
    total = 0.0
    for entry, weight in zip(x.tolist(), weights, strict=True):
        total += weight * entry * entry
    return total


def curves(x, m=4):
    """A vector function with m results."""
    n = x.size
    return np.array([x[i % n] * x[(i + 1) % n] + i * x[i % n] for i in range(m)])


# User data: structures that the C functions look at.

class Data(ctypes.Structure):
    """What a function is given beside x."""

    @property
    def pointer(self):
        """Its address, keeping it alive."""
        return ctypes.cast(ctypes.pointer(self), ctypes.c_void_p)


class Weights:
    """Weights for `weighted`."""

    def __init__(self, values):
        self.values = np.array(values, dtype=np.float64)

    @property
    def pointer(self):
        """Their address, keeping them alive."""
        return ctypes.cast(self.values.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), ctypes.c_void_p)


class Pause(Data):
    """How long `slow` rests in each call, and how often it was called."""

    _fields_ = (("microseconds", ctypes.c_int64), ("calls", ctypes.c_int64))


class Alone(Data):
    """How often `alone` was called, and in how many of these calls it was at work already."""

    _fields_ = (("inside", ctypes.c_int64), ("overlaps", ctypes.c_int64), ("calls", ctypes.c_int64))


class Raises(Data):
    """The exception that `raises` sets, and in which call."""

    _fields_ = (
        ("take", ctypes.c_void_p), ("give", ctypes.c_void_p), ("set", ctypes.c_void_p), ("type", ctypes.c_void_p),
        ("exception", ctypes.c_void_p), ("in_call", ctypes.c_int64), ("calls", ctypes.c_int64),
    )

    def __init__(self, error, in_call=1):
        api = (ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
               for name in ("PyGILState_Ensure", "PyGILState_Release", "PyErr_SetObject"))
        super().__init__(*api, id(type(error)), id(error), in_call)
        self.error = error


def capsule(address, name, context=0):
    """Make a capsule; its name is kept for ever, what its context points to is not."""
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    made = new(address, _name_for_ever(name), None)
    if context:
        set_context = ctypes.pythonapi.PyCapsule_SetContext
        set_context.argtypes = [ctypes.py_object, ctypes.c_void_p]
        set_context(made, context)
    return made


_names: dict = {}


def _name_for_ever(name):
    """A capsule only points to its name."""
    return None if name is None else _names.setdefault(name, name.encode())


_C_TYPES = {"double": ctypes.c_double, "int": ctypes.c_int, "double *": ctypes.POINTER(ctypes.c_double),
            "void *": ctypes.c_void_p, "void": None}


def ctypes_types(signature):
    """Give ``(restype, argtypes)`` for one of the signatures above."""
    result, arguments = signature.rstrip(")").split(" (")
    return _C_TYPES[result], [_C_TYPES[name] for name in arguments.split(", ")]


class Native:
    """The compiled library: functions by name, in the ways that a compiled f can be given."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.library = ctypes.CDLL(str(self.path))
        self._ffi = self._foreign = None

    def signature(self, name):
        """The C signature of a function."""
        return FUNCTIONS[name]

    def address(self, name):
        """Where a function is."""
        return ctypes.cast(getattr(self.library, name), ctypes.c_void_p).value

    def ctypes(self, name):
        """A function pointer with declared types: a new object each time."""
        restype, argtypes = ctypes_types(FUNCTIONS[name])
        function = self.library[name]
        function.restype, function.argtypes = restype, argtypes
        return function

    @property
    def ffi(self):
        """A cffi.FFI with all functions declared; the test is skipped where there is no cffi."""
        if self._ffi is None:
            cffi = pytest.importorskip("cffi")
            ffi = cffi.FFI()
            for name, signature in FUNCTIONS.items():
                ffi.cdef(f"{signature.replace(' (', f' {name}(')};")
            self._foreign, self._ffi = ffi.dlopen(str(self.path)), ffi
        return self._ffi

    def cffi(self, name):
        """A cffi function pointer."""
        return self.ffi and getattr(self._foreign, name)

    def capsule(self, name, signature=None, context=0):
        """A capsule named by the signature, or by another one."""
        return capsule(self.address(name), signature or FUNCTIONS[name], context)

    def low_level(self, name, data=None, way="ctypes"):
        """A scipy.LowLevelCallable with user data, one of the structures above."""
        from scipy import LowLevelCallable

        return LowLevelCallable(getattr(self, way)(name), None if data is None else data.pointer)

    def given(self, name, way="ctypes", data=None):
        """A function in one of the WAYS; with user data that is a LowLevelCallable, or a capsule's context."""
        if way.startswith("LowLevelCallable") or (data is not None and way != "capsule"):
            return self.low_level(name, data, way.split()[-1])
        if way == "capsule":
            return self.capsule(name, context=0 if data is None else data.pointer.value)
        return getattr(self, way)(name)

    def copy(self, folder):
        """The same library from another file: none of its functions has been loaded before."""
        return Native(shutil.copy(self.path, pathlib.Path(folder) / ("copy" + self.path.suffix)))


def compile_library(source, path, *flags):
    """Compile a C file to a library; the test is skipped where there is no C compiler."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler[0]) is None:
        compiler = [shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")]
    if compiler[0] is None:
        pytest.skip("there is no C compiler")
    position = [] if sys.platform == "win32" else ["-fPIC"]
    undefined = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    subprocess.run([*compiler, "-O2", "-ffp-contract=off", "-shared", *position, *undefined, *flags, str(source), "-o",
                    str(path), "-lm"], check=True, timeout=120)


def build(folder):
    """Compile the library into a folder and load it."""
    source, path = pathlib.Path(folder) / "native.c", pathlib.Path(folder) / "native"
    path = path.with_suffix(".dll" if sys.platform == "win32" else ".so")
    source.write_text(SOURCE, encoding="ascii")
    compile_library(source, path, "-std=c11")
    return Native(path)
