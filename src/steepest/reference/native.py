"""Compiled functions called through ctypes, a copy of x for every call: the twin of kernels/native.pyx.

Here to be read and to be compared with: what a pointer, its signature and its status mean, without a word of C. Tested
in tests/test_native.py and tests/faults/test_native.py.
"""

import ctypes
import time

import numpy as np

from ..errors import FunctionError
from .callback import SCALAR, SCALAR_DATA, STATUS, PythonFunction, scalar_result, vector_result

_NUMBERS = ctypes.POINTER(ctypes.c_double)
_NUMBER_OF = (ctypes.c_int, _NUMBERS)
_PROTOTYPES = (
    ctypes.PYFUNCTYPE(ctypes.c_double, *_NUMBER_OF),
    ctypes.PYFUNCTYPE(ctypes.c_double, *_NUMBER_OF, ctypes.c_void_p),
    ctypes.PYFUNCTYPE(None, *_NUMBER_OF, *_NUMBER_OF, ctypes.c_void_p),
    ctypes.PYFUNCTYPE(ctypes.c_int, *_NUMBER_OF, *_NUMBER_OF, ctypes.c_void_p),
)
_GUARD = 8      # numbers
_GUARD_WORD = np.uint64(0xA5A5A5A5A5A5A5A5)


def linger(flags, i, looks, grace=0):
    """Look at ``flags[i]`` until it is set or has been looked at so often; return whether it is.

    Other threads run meanwhile: the kernel looks without the GIL, this lets go of it between two looks, and once more
    for each of `grace`.
    """
    if flags.dtype != np.intc or not flags.flags.carray or not 0 <= i < flags.size:
        raise ValueError("flags must be a contiguous array of C integers with an entry i")
    while not flags[i] and looks > 0:
        time.sleep(0)
        looks -= 1
    if flags[i]:
        for _ in range(grace):
            time.sleep(0)
    return bool(flags[i])


def _guarded(numbers):
    """Room for some numbers between guards: ``(all of it, the numbers)``."""
    room = np.full(len(numbers) + 2 * _GUARD, _GUARD_WORD).view(np.float64)
    inside = room[_GUARD : _GUARD + len(numbers)]
    inside[:] = numbers
    return room, inside


def _intact(room):
    words = room.view(np.uint64)
    return (words[:_GUARD] == _GUARD_WORD).all() and (words[-_GUARD:] == _GUARD_WORD).all()


class NativeFunction(PythonFunction):
    """A compiled function of an array of float64.

    Parameters
    ----------
    compiled : steepest.kernels.callback.Compiled
        Its address, form, data, size and eps.
    shape : tuple of int
        Shape of x.
    dtype : numpy.dtype
        float64.
    vector : bool
        Results are one-dimensional arrays, and not single numbers.
    each : bool
        f is a function of one number, evaluated at the entries of x one by one.
    label : str
        What f is called in messages.
    """

    native = True

    def __init__(self, compiled, shape, dtype, vector=False, each=False, label="f"):
        if dtype != np.float64:
            raise TypeError(f"x must be of float64 for a compiled f, not {dtype}")
        if not vector and compiled.size > 1:
            raise ValueError(f"f must give one number, but gives {compiled.size}")
        super().__init__(None, (), None, shape, dtype, vector, False, label)
        self.compiled, self.each, self.eps = compiled, each, compiled.eps
        self.pointer, self.data = _PROTOTYPES[compiled.form](compiled.address), compiled.data
        if vector:
            self.size = compiled.size

    def evaluate(self, entry, point, value):
        """Evaluate with one entry moved, or at that entry alone; store the numbers of the result in `value`."""
        x = self.point(entry, point)
        x = x[entry : entry + 1] if self.each else x.reshape(self.shape)
        return self.store(self.call(x), value)

    def call(self, x):
        """Call f, and count it."""
        self.nfev += 1
        compiled = self.compiled
        if self.size < 0:
            return compiled.origin(x)
        point = np.array(x, np.float64)
        room, numbers = _guarded(point.reshape(-1))
        results, out = _guarded(np.full(self.size, np.nan))
        arguments = [len(numbers), numbers.ctypes.data_as(_NUMBERS)]
        status = 0
        if compiled.form in (SCALAR, SCALAR_DATA):
            data = [self.data] if compiled.form == SCALAR_DATA else []
            out[0] = self.pointer(*arguments, *data)
        else:
            status = self.pointer(*arguments, self.size, out.ctypes.data_as(_NUMBERS), self.data)
        if not _intact(room):
            raise FunctionError(f"{self.label} has written outside of x, which has {len(numbers)} entries")
        if not _intact(results):
            raise FunctionError(f"{self.label} has written outside of out, which takes {self.size} numbers")
        if compiled.form == STATUS and status:
            if status < 0:
                self._stop(status, point)
            out[:] = np.nan
        return out if self.vector and not compiled.number else out[0]

    def _stop(self, status, point):
        if self.compiled.origin is not None:
            result = self.compiled.origin(point[0] if self.each else point)
            convert = vector_result if self.vector else scalar_result
            self._check_size(convert(result, self.value_type, False, self.label, self.nfev)[0].size)
            raise FunctionError(
                f"{self.label} raised an exception where it is compiled, and none where it is not", status
            )
        raise FunctionError(f"{self.label} returned the status {status}: it cannot go on", status)

    def take_size(self, size):
        """Learn how many numbers f gives from the caller who must know."""
        if self.size < 0:
            self.size = size

    def value_at(self, x, f0=None):
        """Return f(x) as an array, or `f0` checked as if f had returned it; learn how long results are."""
        if f0 is None and self.size < 0 and self.compiled.origin is None:
            raise ValueError(
                f"how many numbers {self.label} gives cannot be known from its signature: give f0= or out=, or "
                f"steepest.compiled(f, size=m)"
            )
        return super().value_at(x, f0)

    def clones(self, count):
        """Some more of the same, for other threads."""
        return [
            NativeFunction(self.compiled, self.shape, self.dtype, self.vector, self.each, self.label)
            for _ in range(count)
        ]

    def follow(self, other):
        """Take x and all else for a run from another function of the same kind."""
        for name in ("x", "direction", "groups", "ways", "lower", "upper", "size", "eps"):
            if hasattr(other, name):
                setattr(self, name, getattr(other, name))
