"""What a compiled f may be: every kind of compiled function becomes one `Compiled`, or is refused with a reason.

Here so that kernels see a pointer, its signature and what must stay alive with it, and users may hand over whatever
they have. Functions of numba's njit are in just_in_time.py. Tested in tests/test_compiled.py.
"""

import collections
import ctypes
import datetime
import functools
import math
import os
import re
import sys
import types
import warnings

import numpy as np

from .errors import CompilationWarning
from .just_in_time import NotCompiled, Variants
from .kernels.callback import Compiled
from .options import as_integer, check_function
from .reference.callback import SCALAR, SCALAR_DATA, SIGNATURES
from .reference.difference import COMPLEX, UNSUITED

__all__ = ["compiled"]

# By far the most frequent kinds of f, none of them compiled.
_ORDINARY = frozenset({types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial, np.ufunc})
_CAPSULE = type(datetime.datetime_CAPI)
_POINTER = ctypes._CFuncPtr  # type: ignore[attr-defined]
_NEEDS_GIL = 4      # FUNCFLAG_PYTHONAPI in the _flags_ of a ctypes function type
_INT_MAX = 2**31 - 1
# Names of types that mean one of the names in SIGNATURES.
_SAME = {"int32_t": "int", "none": "void", "float64": "double", "int32": "int"}
if ctypes.sizeof(ctypes.c_long) == ctypes.sizeof(ctypes.c_int):
    _SAME["long"] = "int"   # ctypes has one name for the two

# A capsule is opened by prototypes of our own: those of ctypes.pythonapi are shared, and anybody may change them.
_capsule_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_capsule_context = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyCapsule_GetContext", ctypes.pythonapi))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))

# What was made of functions of numba that were met before, by identity. Each step on the two is atomic: no lock is
# needed, and none can be held by another thread when the process forks.
_REMEMBERED = 256
_met: dict = {}
_order: collections.deque = collections.deque()


def recognise(f):
    """Make a `Compiled` of any compiled function that carries its own signature.

    Parameters
    ----------
    f : object
        Anything that a user gave as f.

    Returns
    -------
    Compiled or None
        None for everything else: Python callables, functions of numba's njit, and what is no function at all.

    Raises
    ------
    TypeError, ValueError
        For a compiled function that cannot be called, with the reason; for a signature that is none of `SIGNATURES`.
    """
    if type(f) in _ORDINARY:
        return None
    if type(f) is Compiled:
        return f
    met = _met.get(id(f))
    if met is not None and met[0] is f:
        return met[1] if type(met[1]) is Compiled else None
    if issubclass(type(f), _POINTER):
        return _from_ctypes(f)
    if type(f) is _CAPSULE:
        return _from_capsule(f, f)
    if _is_a(f, "scipy._lib._ccallback", "LowLevelCallable"):
        return _from_low_level(f)
    if _is_a(f, "_cffi_backend", "_CDataBase"):
        return _from_cffi(f)
    if _is_a(f, "numba.core.ccallback", "CFunc"):
        return _remember(f, _from_cfunc(f))
    if isinstance(f, (int, ctypes.c_void_p)):
        raise TypeError(f"f must be callable, not {type(f).__name__}: a bare address has no signature; "
                        "declare one, with ctypes.CFUNCTYPE or scipy.LowLevelCallable")
    return None


def at_once(f, x):
    """What the quick road to a gradient is to take: a `Compiled`; None for f itself; UNSUITED for another road.

    That is where an njit function has to be compiled first, or x is not of the kind that its wrapper takes.
    """
    if type(f) in _ORDINARY:
        return None
    found = recognise(f)
    if found is not None:
        return found if found.number else UNSUITED
    variants = variants_of(f)
    if variants is None:
        return None
    return UNSUITED if variants.plain is None or getattr(x, "ndim", None) != 1 else variants.plain


def as_callable(f, size=1, name="f"):
    """A pointer to a function of `size` results as a callable of Python; None for what is callable anyway."""
    try:
        found = recognise(f)
    except (TypeError, ValueError) as error:    # whose texts are about f
        raise type(error)(re.sub(r"\bf\b", name, str(error))) from None
    if found is None:
        return None
    return Compiled(found.address, found.signature, found.data, found.owner, found.origin,
                    size if found.size < 0 else found.size, found.eps, name, found.number)


def check_f(f):
    """Raise TypeError where f can neither be called nor is a compiled function."""
    if not callable(f) and recognise(f) is None:
        check_function(f)


def _is_a(f, module, name):
    """Whether f is of a class in a module that nobody may have imported: then it is not."""
    known = getattr(sys.modules.get(module), name, None)
    return known is not None and issubclass(type(f), known)


def _remember(f, made):
    """Keep what was made of a function, and the function, so that no other one gets its identity."""
    kept = _met.setdefault(id(f), (f, made))[1]     # another thread may have been faster
    if kept is made:
        _order.append(id(f))
        while len(_order) > _REMEMBERED:
            _met.pop(_order.popleft(), None)
    return kept


@functools.lru_cache(_REMEMBERED)
def canonical(signature):
    """Write a C signature as `SIGNATURES` are written: no const, one way to place spaces."""
    words = [_SAME.get(word, word) for word in re.findall(r"\w+|[^\w\s]", signature) if word != "const"]
    text = " ".join(words)
    text = re.sub(r"\* (?=\*)", "*", text)
    return re.sub(r"\( | (?=[),])", lambda found: found[0].strip(), text)


def _described(address, signature, data, owner):
    """A `Compiled`, or the reason why there is none."""
    if signature is None:
        raise ValueError(f"f has no signature: its capsule has no name; expected one of {_accepted()}")
    if canonical(signature) not in SIGNATURES:
        raise ValueError(f"f has the signature {signature!r}, expected one of {_accepted()}")
    if not address:
        raise ValueError("f is a NULL pointer")
    if data and canonical(signature) == SIGNATURES[SCALAR]:
        raise ValueError(f"f comes with user data, but its signature {signature!r} has no place for it: "
                         f"expected {SIGNATURES[SCALAR_DATA]!r} or a vector form")
    return Compiled(address, canonical(signature), data or 0, owner)


def _accepted():
    return ", ".join(map(repr, SIGNATURES))


def _from_ctypes(f):
    if not f:
        raise ValueError("f is a NULL pointer")
    if f.argtypes is None:
        raise ValueError("f is a ctypes function without argtypes: set f.argtypes and f.restype, so that its signature "
                         f"can be checked; expected one of {_accepted()}")
    _refuse_python(f)
    return _by_scipy(f, f)


def _from_cffi(f):
    kind = _kind_of(f)
    if "(*)" not in kind:
        raise TypeError(f"f must be callable, not a cffi object of type {kind!r}")
    if not f:
        raise ValueError("f is a NULL pointer")
    _refuse_python(f)
    return _by_scipy(f, f)


def _kind_of(f):
    """The C type of a cffi object."""
    ffi = _ffi()
    return ffi.getctype(ffi.typeof(f))


@functools.cache
def _ffi():
    import cffi

    return cffi.FFI()


def _by_scipy(f, owner):
    """Let SciPy read the types of a ctypes or cffi pointer."""
    from scipy import LowLevelCallable

    try:
        low_level = LowLevelCallable(f)
    except (AttributeError, TypeError, UnicodeError) as error:  # an argument type that has no name
        raise ValueError(f"f has a signature that cannot be read ({error}), expected one of {_accepted()}") from error
    return _from_low_level(low_level, owner)


def _from_low_level(f, owner=None):
    """A LowLevelCallable holds a capsule, the function that it was made of, and the user data."""
    _refuse_python(f.function)
    return _from_capsule(tuple.__getitem__(f, 0), f if owner is None else owner, f.function)


def _from_capsule(capsule, owner, function=None):
    name = _capsule_name(capsule)
    signature = None if name is None else name.decode(errors="replace")
    address = _capsule_pointer(capsule, name)
    library = _Pinned.around(address) if _is_a(function, "_cffi_backend", "_CDataBase") else None
    return _described(address, signature, _capsule_context(capsule), owner if library is None else (owner, library))


def _from_cfunc(f):
    """Read numba's types. An exception in a cfunc is printed by numba and lost, and nobody can know here."""
    names = [canonical(re.sub(r"(?<=\w)\*", " *", str(kind))) for kind in (f._sig.return_type, *f._sig.args)]
    return _described(f.address, f"{names[0]} ({', '.join(names[1:])})", 0, f)


def _refuse_python(f):
    """Refuse C functions that are made of Python functions, and those that cannot be called without the GIL.

    What cannot be known: a thunk that was given on as a bare address, a cffi callback after ffi.cast, and functions of
    cffi's def_extern, which are C functions like any other.
    """
    if _is_a(f, "scipy._lib._ccallback", "LowLevelCallable"):
        return _refuse_python(f.function)
    if issubclass(type(f), _POINTER):
        if type(f)._flags_ & _NEEDS_GIL:
            raise TypeError("f is a function of Python's own C API (PYFUNCTYPE, pythonapi): a compiled f is called "
                            "without the GIL")
        if _has_thunk(f, set()):
            raise TypeError("f is a ctypes callback made of a Python function, whose exceptions would be lost: "
                            "pass the Python function itself")
    elif type(f).__name__ == "__CDataOwnGC":
        raise TypeError("f is a cffi callback made of a Python function, whose exceptions would be lost: "
                        "pass the Python function itself")


def _has_thunk(thing, seen):
    """Whether a ctypes object keeps alive, at any remove, the thunk of a Python function; cast() leaves cycles."""
    seen.add(id(thing))
    kept = getattr(thing, "_objects", None)
    for item in list(kept.values()) if isinstance(kept, dict) else [kept]:
        if type(item).__name__ == "CThunkObject" or (id(item) not in seen and _has_thunk(item, seen)):
            return True
    return False


class _Pinned:
    """One more reference to the library that holds an address: cffi unloads a library with its last Python object."""

    def __init__(self, handle, close):
        self._handle, self._close = handle, close

    def __del__(self):
        self._close(self._handle)

    class _Place(ctypes.Structure):
        _fields_ = (("file", ctypes.c_char_p), ("base", ctypes.c_void_p),
                    ("name", ctypes.c_char_p), ("address", ctypes.c_void_p))

    @classmethod
    def around(cls, address):
        """A reference; None where there is no such library, or no way to ask."""
        place = cls._Place()
        try:
            process = _process()
            if not process.dladdr(ctypes.c_void_p(address), ctypes.byref(place)) or not place.file:
                return None
            library = ctypes.CDLL(os.fsdecode(place.file), os.RTLD_NOW | os.RTLD_NOLOAD)
            return cls(ctypes.c_void_p(library._handle), process.dlclose)
        except (AttributeError, OSError, TypeError):    # Windows; the program itself
            return None


@functools.cache
def _process():
    """What the dynamic linker knows."""
    return ctypes.CDLL(None)


def variants_of(f):
    """What there is of an njit function; None when f is none."""
    met = _met.get(id(f))
    if met is not None and met[0] is f:
        return met[1] if type(met[1]) is Variants else None
    return _remember(f, Variants(f)) if _is_a(f, "numba.core.registry", "CPUDispatcher") else None


def resolve(f, settings, shape, dtype, vector=False, each=False):
    """Find the compiled function to difference, once the options and x are known.

    Parameters
    ----------
    f : object
        What the user gave.
    settings : Settings
    shape, dtype
        Of x.
    vector : bool
        f gives vectors.
    each : bool
        f is a function of one number.

    Returns
    -------
    Compiled or None
        None when f is to be called as a Python function; of an njit function that could not be compiled for these
        options a `CompilationWarning` says why, once.

    Raises
    ------
    TypeError, ValueError
        Where f or the options are not for compiled functions.
    """
    if type(f) in _ORDINARY:
        return None
    found = recognise(f)
    if found is not None:
        _refuse_options(found, settings, shape, dtype, vector)
        return found
    variants = variants_of(f)
    if variants is None or not (settings.workers is None or isinstance(settings.workers, int)):
        return None     # an executor, or a map, calls njit functions like all others
    try:
        _refuse_for_njit(settings, shape, dtype)
        return variants.compiled(shape, vector, each, settings.args)
    except NotCompiled as reason:
        warn_not_compiled(variants, str(reason))
        return None


def uses_threads(f):
    """Whether f has threads of its own, which may not be entered twice: numba's ``parallel=True``."""
    return variants_of(f) is not None and bool(f.targetoptions.get("parallel"))


def _refuse_options(found, settings, shape, dtype, vector):
    """Options that mean something for Python functions only."""
    for name in ("args", "kwargs"):
        if getattr(settings, name):
            raise TypeError(f"{name} cannot be given for a compiled f: user data goes into "
                            "scipy.LowLevelCallable(f, user_data)")
    if not (settings.workers is None or isinstance(settings.workers, int)):
        raise TypeError("workers must be a number of threads for a compiled f, whose address means nothing elsewhere, "
                        f"not {type(settings.workers).__name__}")
    if settings.vectorized:
        raise ValueError("vectorized must be False for a compiled f, which takes one point at a time")
    if settings.method == COMPLEX:
        raise ValueError("method must not be 'complex' for a compiled f, which takes real numbers only")
    if dtype.char not in "fd":
        raise TypeError(f"x must be of float32 or float64 for a compiled f, not {dtype}")
    if math.prod(shape) > _INT_MAX:
        raise ValueError(f"x has {math.prod(shape)} entries, more than an int of a compiled f can count")
    if found.size > 1 and not vector:
        raise ValueError(f"f gives {found.size} numbers, expected one")


def _refuse_for_njit(settings, shape, dtype):
    """What an njit function can do when it is called from Python, but not from its wrapper."""
    if settings.kwargs:
        raise NotCompiled("kwargs are given")
    if settings.vectorized:
        raise NotCompiled("vectorized=True is given")
    if settings.method == COMPLEX:
        raise NotCompiled("method='complex' is given")
    if dtype.char != "d":
        raise NotCompiled(f"x is of {dtype}, not of float64")
    if math.prod(shape) > _INT_MAX:
        raise NotCompiled(f"x has {math.prod(shape)} entries, more than an int of C can count")


def warn_not_compiled(variants, reason):
    """Warn, once for each function and reason, at the line that called the library."""
    if reason in variants.told:
        return
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "steepest":
        frame, level = frame.f_back, level + 1
    name = getattr(variants.f, "__name__", "f")
    warnings.warn(f"f ({name}) is called from Python, not compiled: {reason}", CompilationWarning, stacklevel=level)
    variants.told.add(reason)


def compiled(f, *, size=None):
    """Take a compiled function as an f: every function of steepest does this with its f by itself.

    By itself it is good for two things: to see whether a function would be accepted, and to say how many numbers it
    gives.

    Parameters
    ----------
    f : compiled function
        A ``numba`` ``cfunc`` or ``njit`` function; a `scipy.LowLevelCallable`; a ``ctypes`` function pointer with
        declared ``argtypes`` and ``restype``; a ``cffi`` function pointer; a capsule from the ``__pyx_capi__`` of a
        Cython module. It is called without the GIL. Its signature is one of ::

            double (int n, double *x)
            double (int n, double *x, void *data)
            void (int n, double *x, int m, double *out, void *data)
            int (int n, double *x, int m, double *out, void *data)

        where ``x`` has ``n`` numbers, ``out`` takes ``m``, and ``data`` is the user data of a LowLevelCallable. The int
        is a status: 0 when all is well, above 0 when f cannot be computed at this x, below 0 when all must stop. An
        njit function takes an array of one dimension here; elsewhere it may have any shape.
    size : int, optional
        How many numbers f gives. `jacobian` must know it of a function of the last two signatures, and takes it from
        here, from its own ``f0`` or from its own ``out``. An njit function is taken for one that gives a single
        number unless `size` is given.

    Returns
    -------
    Compiled
        Callable from Python, and an f for all of steepest. It keeps the function, its library and its user data alive.

    Raises
    ------
    TypeError
        If f is no compiled function, or an njit function that numba cannot compile; with the reason.
    ValueError
        If f has another signature, or none; if `size` does not go with it.

    Warnings
    --------
    What compiled code does to the memory of others nobody can prevent. It must be safe to call from several threads
    where ``workers`` are asked for, and in `minimize_many`, which takes several unless ``workers=1``. It may set a
    Python exception, holding the GIL for that, which comes back: a Cython function does so when it is declared
    ``except? -1 nogil`` or, in the form with a status, ``except -1 nogil``, and prints it and goes on with a wrong
    number when it is ``noexcept``. What is raised in a numba ``cfunc`` is printed by numba and lost; what is raised in
    an ``njit`` function comes back. Nothing else may leave a function but by return: a C++ exception that is not caught
    in it ends the process, and longjmp out of it is undefined.

    Examples
    --------
    >>> import numba                                                                        # doctest: +SKIP
    >>> @numba.njit                                                                         # doctest: +SKIP
    ... def rosen(x):
    ...     return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    >>> sd.gradient(rosen, [-1.2, 1.0])                                                     # doctest: +SKIP
    array([-215.6,  -88. ])

    Whatever has another signature is refused:

    >>> import steepest as sd
    >>> from scipy.special import cython_special
    >>> sd.compiled(cython_special.__pyx_capi__["gammaln"])
    Traceback (most recent call last):
    ...
    ValueError: f has the signature 'double (double, ...)', expected one of 'double (int, double *)', ...
    """
    if size is not None:
        size = as_integer(size, "size")
        if not 0 <= size <= _INT_MAX:
            raise ValueError(f"size must be the number of results of f, an int that is not negative, not {size}")
    found = recognise(f)
    if found is None:
        variants = variants_of(f)
        if variants is None:
            raise TypeError(f"f must be a compiled function, not {type(f).__name__}")
        try:
            found = variants.compiled((0,), vector=size is not None)
        except NotCompiled as reason:
            raise TypeError(f"f cannot be compiled: {reason}") from None
    if size is None or size == found.size:
        return found
    if found.size >= 0:
        raise ValueError(f"size must be {found.size} for this f, not {size}")
    return Compiled(found.address, found.signature, found.data, found.owner, found.origin, size, found.eps)
