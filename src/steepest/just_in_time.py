"""Functions that numba compiles, made into C functions of the status form.

Here because an njit function has no address to call: a wrapper around it has, and is compiled once for every number of
dimensions of x and every type of argument. numba is imported by who calls this. Tested in tests/test_just_in_time.py.
"""

import re
from typing import NamedTuple

import numpy as np

from .kernels.callback import Compiled
from .reference.callback import SIGNATURES, STATUS

RAISED, OTHER_LENGTH = -1, -2       # the statuses of a wrapper
_LONGEST_REASON = 300
_SHAPES = 64                        # of x, for which all is kept ready


class NotCompiled(Exception):
    """The reason, in one line, why a function goes the way of Python functions."""


class Wrapper(NamedTuple):
    """A C function around an njit function."""

    cfunc: object       # owns the machine code
    number: bool        # it gives one number, not a vector
    size: int           # how many numbers it gives, -1 when only a call can tell
    eps: float          # the precision in which they come


class Variants:
    """An njit function and the wrappers that were made for it."""

    def __init__(self, f):
        self.f = f
        self.made: dict[tuple, Wrapper | str] = {}
        self.ready: dict[tuple, Compiled] = {}
        self.plain: Compiled | None = None  # for x of one dimension and nothing else, when it was asked for
        self.told: set[str] = set()     # reasons that the user has been warned of

    def compiled(self, shape, vector=False, each=False, args=()):
        """A `Compiled` for x of some shape, or NotCompiled."""
        if args:
            return self._compiled(shape, vector, each, args)
        key = shape, vector, each
        ready = self.ready.get(key)
        if ready is None:
            if len(self.ready) >= _SHAPES:
                self.ready.clear()
            ready = self.ready[key] = self._compiled(*key, ())
        return ready

    def _compiled(self, shape, vector, each, args):
        plain = not (vector or each or args) and len(shape) == 1
        if plain and self.plain is not None:
            return self.plain
        ndim = 0 if each else len(shape)
        words, kinds = pack(() if each or ndim == 1 else shape, args)
        wrapper = self._wrapper(ndim, vector, each, kinds)
        f, origin = self.f, self.f
        if args:
            def origin(x):
                return f(x, *args)
        data = words.ctypes.data if words.size else 0
        owner = wrapper.cfunc, words, args
        made = Compiled(wrapper.cfunc.address, SIGNATURES[STATUS], data, owner, origin, wrapper.size, wrapper.eps,
                        number=wrapper.number)
        if plain:
            self.plain = made
        return made

    def _wrapper(self, *key):
        made = self.made.get(key)
        if made is None:
            from numba.core.compiler_lock import global_compiler_lock

            with global_compiler_lock:  # one of our own could wait for numba's while numba waits for it
                made = self.made.get(key)
                if made is None:
                    try:
                        made = compile_dispatcher(self.f, *key)
                    except NotCompiled as error:
                        made = str(error)
                    self.made[key] = made
        if isinstance(made, str):
            raise NotCompiled(made)
        return made


def pack(shape, args):
    """What a wrapper is given beside x: ``(words, types)``; an array by its address, its shape and its strides."""
    import numba

    words, kinds = [int(extent) for extent in shape], []
    for i, value in enumerate(args):
        try:
            kind = numba.typeof(value)
        except (ValueError, numba.core.errors.NumbaError):
            kind = None
        if isinstance(kind, numba.types.Array) and value.dtype.kind in "biufc" and kind.aligned:
            words += [value.ctypes.data, *value.shape, *value.strides]
        elif kind in (numba.types.int64, numba.types.boolean):
            words.append(int(value))
        elif kind == numba.types.float64:
            words.append(int(np.float64(value).view(np.int64)))
        else:
            raise NotCompiled(f"args[{i}] is no int of 64 bits, no float and no array of numbers, but of type "
                              f"{type(value).__name__}")
        kinds.append(kind)
    return np.array(words, dtype=np.uint64 if any(word >= 2**63 for word in words) else np.int64), tuple(kinds)


def compile_dispatcher(f, ndim, vector=False, each=False, kinds=()):
    """Compile a wrapper of the status form around an njit function.

    Parameters
    ----------
    f : numba dispatcher
    ndim : int
        Dimensions of x. For other numbers than 1 the shape is read from the words at `data`.
    vector : bool
        f gives vectors.
    each : bool
        f is a function of one number, called at x[0].
    kinds : tuple of numba types
        Of the arguments after x, which follow the shape at `data`; see `pack`.

    Returns
    -------
    Wrapper

    Raises
    ------
    NotCompiled
        With a reason in one line.
    """
    from numba import types
    from numba.core.registry import cpu_target

    x = types.float64 if each else types.Array(types.float64, ndim, "C")
    try:
        signature = f._numba_type_.get_call_type(cpu_target.typing_context, (x, *kinds), {})
        if signature is None:
            raise NotCompiled(f"it was compiled for other types than {', '.join(map(str, (x, *kinds)))}")
        number, size, eps = _look_at(signature.return_type, vector)
        return Wrapper(_wrap(_taking_words(f, ndim, each, kinds), vector, number), number, size, eps)
    except (NotCompiled, MemoryError, Warning):
        raise
    except Exception as error:  # numba's own are many, and some of its bugs are none of them
        raise NotCompiled(_in_one_line(error)) from error


def _look_at(kind, vector):
    """From the type that f returns: ``(whether that is one number, how many it gives, eps)``, or NotCompiled."""
    from numba import types

    count = 1
    number = kind
    if vector and isinstance(kind, types.UniTuple):
        count, number = kind.count, kind.dtype
    elif vector and (isinstance(kind, types.List) or (isinstance(kind, types.Array) and kind.ndim == 1)):
        count, number = -1, kind.dtype
    if not isinstance(number, (types.Float, types.Integer, types.Boolean)):
        expected = "an array of real numbers of one dimension" if vector else "one real number"
        raise NotCompiled(f"it returns {kind}, not {expected}")
    eps = np.finfo(number.name if isinstance(number, types.Float) else np.float64).eps
    return number is kind, count, float(eps)


def _taking_words(f, ndim, each, kinds):
    """Make a function ``(n, x, data) -> f(x, *args)`` for use inside the wrapper."""
    from numba import carray, njit, types

    extents = () if each or ndim == 1 else (types.int64,) * ndim
    shape_from, arguments_from = _unpacker(extents, 0), _unpacker(kinds, len(extents))
    if each:
        if kinds:
            return njit(lambda n, x, data: f(x[0], *arguments_from(data)))
        return njit(lambda n, x, data: f(x[0]))
    if ndim == 1:
        if kinds:
            return njit(lambda n, x, data: f(carray(x, (n,)), *arguments_from(data)))
        return njit(lambda n, x, data: f(carray(x, (n,))))
    if kinds:
        return njit(lambda n, x, data: f(carray(x, shape_from(data)), *arguments_from(data)))
    return njit(lambda n, x, data: f(carray(x, shape_from(data))))


def _unpacker(kinds, first):
    """Make a function that gives the numbers and arrays packed at `data`, from the word `first` on, as a tuple."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np.arrayobj import make_array, populate_array

    result, word = types.Tuple(kinds), ir.IntType(64)

    def unpack(context, builder, signature, arguments):
        words = builder.bitcast(arguments[0], word.as_pointer())
        places = iter(range(first, 2**16))

        def take():
            return builder.load(builder.gep(words, [word(next(places))]))

        def take_array(kind):
            array, entry = make_array(kind)(context, builder), context.get_data_type(kind.dtype)
            data = builder.inttoptr(take(), entry.as_pointer())
            shape, strides = (cgutils.pack_array(builder, [take() for _ in range(kind.ndim)], word) for _ in range(2))
            populate_array(array, data, shape, strides, context.get_abi_sizeof(entry), None)
            return array._getvalue()

        def take_one(kind):
            if isinstance(kind, types.Array):
                return take_array(kind)
            if kind == types.float64:
                return builder.bitcast(take(), ir.DoubleType())
            return builder.trunc(take(), ir.IntType(1)) if kind == types.boolean else take()

        return context.make_tuple(builder, result, [take_one(kind) for kind in kinds])

    @intrinsic
    def unpack_words(typing_context, data):
        return result(types.voidptr), unpack

    return unpack_words


def _wrap(call, vector, gives_number):
    """Compile the C function of the status form."""
    from numba import cfunc, types

    numbers = types.CPointer(types.float64)
    status_form = types.intc(types.intc, numbers, types.intc, numbers, types.voidptr)

    def one(n, x, m, out, data):
        if m != 1:
            return OTHER_LENGTH
        try:
            out[0] = call(n, x, data)
        except Exception:
            return RAISED
        return 0

    def many(n, x, m, out, data):
        try:
            result = call(n, x, data)
            if len(result) != m:
                return OTHER_LENGTH
            for i in range(m):
                out[i] = result[i]
        except Exception:
            return RAISED
        return 0

    return cfunc(status_form)(many if vector and not gives_number else one)


def _in_one_line(error):
    """The gist of numba's many lines."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Failed in "):
        lines = lines[1:]
    gist = lines[0] if lines else ""
    return f"{type(error).__name__}: {gist}"[:_LONGEST_REASON]
