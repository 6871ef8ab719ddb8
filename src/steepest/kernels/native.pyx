"""Compiled functions, evaluated by pointer: no Python, no GIL. The twin of reference/native.py.

Here so that the gradient of a function that is compiled already costs its calls and nothing else. What limits it: the
calls. Of the five nanoseconds that one evaluation may cost beyond its call it spends about two: one comparison, one
store, one look at a counter, the call, one look at whether it raised, one store. Tested in tests/test_native.py and
tests/faults/test_native.py.

How a compiled function is kept from doing harm:

- x is scratch memory that only steepest owns; what f writes into it is found as for a Python function, and then every
  call gets a fresh copy;
- before and behind x, and the memory that a vector f writes its results into, stand guards of 64 bytes; when one is
  changed, f has written past the end, and that is an error;
- results come filled with NaN, so that a number that f does not write is never that of another point;
- an exception that f has set (with the GIL, which it took for that) ends the run after that call, and is raised;
- the clock is looked at every few calls, every call when they are slow, and ten milliseconds after the last time the
  GIL is taken for a moment, so that Ctrl-C is answered.
"""

cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy

from steepest.kernels.function cimport (
    BASE, GOOD, GUARD, HALTED, LINE, SCALAR_DATA, TAMPERED, Compiled, Function, allocate, differs, evaluate_t, guarded,
    int_of, put_guards, run_compiled, tampered,
)

import atexit
import threading

import numpy as np

from steepest.errors import BusyError, FunctionError
from steepest.reference.callback import scalar_result, vector_result

cnp.import_array()

include "_clock.pxi"

cdef extern from *:
    """
    #include <Python.h>
    /* Leave the rest of the core to whoever shares it, for some nanoseconds. */
    static inline void steepest_pause(void)
    {
    #if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
        __builtin_ia32_pause();
    #elif defined(__GNUC__) && defined(__aarch64__)
        __asm__ volatile("yield");
    #endif
    }

    /* Set before the interpreter goes: it takes the places along in which daemon threads note their exceptions. The
       main thread keeps its place. */
    static volatile int steepest_ending = 0;
    static const volatile int *steepest_end(int stays)
    {
        static volatile int never = 0;
        return stays ? &never : &steepest_ending;
    }

    /* Where this thread's exception is noted, to be looked for without the GIL: nobody else writes there. */
    static inline PyObject **steepest_raised(void)
    {
    #if PY_VERSION_HEX >= 0x030C0000
        return &PyThreadState_Get()->current_exception;
    #else
        return &PyThreadState_Get()->curexc_type;
    #endif
    }
    """
    void steepest_pause() noexcept nogil
    PyObject **steepest_raised() noexcept
    int steepest_ending
    const volatile int *steepest_end(bint stays) noexcept
    unsigned long PyThread_get_thread_ident() noexcept

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX

cdef unsigned long MAIN = threading.main_thread().ident


@atexit.register
def _end():
    global steepest_ending
    steepest_ending = 1


cdef enum:
    PATIENCE = 8        # calls from one look at the clock to the next

cdef class NativeFunction(Function):
    """A compiled function of an array, evaluated in place; see `steepest.reference.native.NativeFunction`."""

    def __init__(self, Compiled compiled not None, tuple shape, cnp.dtype dtype not None, bint vector=False,
                 bint each=False, str label="f"):
        cdef Py_ssize_t extents[64]
        cdef Py_ssize_t i
        if len(shape) > 64:
            raise ValueError(f"x must have at most 64 dimensions, not {len(shape)}")
        for i in range(len(shape)):
            extents[i] = shape[i]
        self.set_up(compiled, <int>len(shape), extents, dtype, vector, each, label)

    cdef int set_up(self, Compiled compiled, int ndim, const Py_ssize_t *shape, cnp.dtype dtype, bint vector,
                    bint each, str label) except -1:
        if self.function != NULL:
            raise TypeError("a prepared function is made once")
        if dtype.type_num != cnp.NPY_DOUBLE:
            raise TypeError(f"x must be of float64 for a compiled f, not {dtype}")
        if compiled.function == NULL:
            raise ValueError("this compiled function was never described")
        if not vector and compiled.size > 1:
            raise ValueError(f"f must give one number, but gives {compiled.size}")
        self.compiled = compiled
        self.user_data, self.form = compiled.user_data, compiled.form
        self.take_type(dtype, vector, False, label)
        self.take_shape(ndim, shape)
        self.n = 1 if each else int_of(self.count)
        self.each = self.fresh = each
        self.native = True
        self.eps = compiled.eps
        if vector:
            self.size = compiled.size
        self.evaluate = <evaluate_t><void *>(evaluate_each if each else evaluate_in_place)
        if self.nbytes > (PY_SSIZE_T_MAX - 4 * GUARD) // 2:
            raise OverflowError(f"x of shape {self.shape} is larger than memory can be")
        # x as f sees it comes first, on its boundary; what is private lies beyond the guard
        self.lent = sizeof(double) if each else self.nbytes
        self.memory = allocate(self.lent + self.nbytes + 2 * GUARD)
        self.data = self.memory.data + GUARD
        self.private_data = self.data + self.lent + GUARD
        self.function = compiled.function
        self.make_room()
        return 0

    cdef int make_room(self) except -1:
        """Memory for the results of the vector forms, when it is known how many there are."""
        if self.form > SCALAR_DATA and self.size >= 0:
            self.results = allocate(int_of(self.size) * sizeof(double) + 2 * GUARD)
        return 0

    cdef int start(self, cnp.ndarray x) except -1:
        self.take_point(x)
        self.get_ready()
        return 0

    cdef int get_ready(self) noexcept:
        """The memory that f sees, guards and all, and the clock as they are when a run begins."""
        if not self.each:
            memcpy(self.data, self.private_data, self.nbytes)
        put_guards(self.data, self.lent)
        if self.results is not None:
            put_guards(self.results.data + GUARD, self.size * sizeof(double))
        self.patience = self.left = 1
        self.checked = self.looked = 0
        return 0

    cdef int enter(self, const int *halt) except -1:
        """Say that this thread is about to evaluate without the GIL, until `halt` is set if that is given."""
        self.running = True
        self.halt = halt
        self.raised = steepest_raised()
        self.ending = steepest_end(PyThread_get_thread_ident() == MAIN)
        return 0

    cdef int leave(self) except -1:
        """The thread is back, with the GIL: look at the guards."""
        self.running = False
        if not guarded(self.data, self.lent):
            raise FunctionError(f"{self.label} has written outside of x, which has {self.n} entries")
        if self.results is not None and not guarded(self.results.data + GUARD, self.size * sizeof(double)):
            raise FunctionError(f"{self.label} has written outside of out, which takes {self.size} numbers")
        return 0

    cdef NativeFunction clone(self):
        """The same function at the same x, with memory of its own, for a thread of the pool."""
        cdef NativeFunction other = NativeFunction.__new__(NativeFunction)
        other.set_up(self.compiled, self.ndim, self.extents, self.dtype, self.vector, self.each, self.label)
        other.quiet = True
        if other.size != self.size:
            other.size = self.size
            other.make_room()
        return other

    def follow(self, NativeFunction other not None):
        """Take x and all else for a run from another function of the same kind."""
        if other.running or self.running:
            raise BusyError("this function is being evaluated by another call")
        if not other.started or other.nbytes != self.nbytes or other.size != self.size:
            raise ValueError("the functions do not suit each other")
        memcpy(self.private_data, other.private_data, self.nbytes)
        self.direction, self.lower, self.upper = other.direction, other.lower, other.upper
        self.groups = other.groups
        self.ways, self.way_count, self.way_moves = other.ways, other.way_count, other.way_moves
        self.fresh, self.eps = other.fresh, other.eps
        self.started = self.unseen = True
        self.get_ready()

    def clones(self, Py_ssize_t count):
        """Some more of the same, each with memory of its own."""
        return [self.clone() for _ in range(count)]

    def take_size(self, Py_ssize_t size):
        """Learn how many numbers f gives from the caller who must know."""
        if self.running:
            raise BusyError("this function is being evaluated by another call")
        if self.size < 0:
            self.size = int_of(size)
            self.make_room()

    def value_at(self, cnp.ndarray x not None, f0=None):
        """Return f(x) as an array, or `f0` checked as if f had returned it; learn how long results are."""
        if f0 is None and self.size < 0 and self.compiled.origin is None:
            raise ValueError(
                f"how many numbers {self.label} gives cannot be known from its signature: give f0= or out=, or "
                f"steepest.compiled(f, size=m)")
        value = Function.value_at(self, x, f0)
        if self.results is None:
            self.make_room()
        return value

    cdef object call_at_base(self):
        cdef cnp.ndarray value
        if self.size < 0:
            self.nfev += 1
            return self.compiled.origin(self.snapshot())
        value = np.empty(self.size)
        cdef void *numbers = cnp.PyArray_DATA(value)
        cdef int code
        self.enter(NULL)
        try:
            with nogil:
                code = evaluate_in_place(self, BASE, NULL, numbers)
        finally:
            self.leave()
        if code == TAMPERED:
            memcpy(self.data, self.private_data, self.nbytes)
        return value if self.vector and not self.compiled.number else value[0]


cdef int evaluate_in_place(NativeFunction self, Py_ssize_t entry, const void *point, void *value) except -1 nogil:
    cdef Py_ssize_t at = entry * sizeof(double)
    if entry < 0 or self.fresh:
        self.place(self.data, entry, point)
    else:
        if differs(self.data + at, self.private_data + at, sizeof(double)):
            return TAMPERED
        (<double *>self.data)[entry] = (<const double *>point)[0]
    if call(self, value) == HALTED:
        return HALTED
    if entry >= 0:
        (<uint64_t *>self.data)[entry] = (<const uint64_t *>self.private_data)[entry]
        if not self.fresh and tampered(self, entry, sizeof(double)):
            return TAMPERED
    elif entry <= LINE:
        memcpy(self.data, self.private_data, self.nbytes)
    elif not self.fresh and memcmp(self.data, self.private_data, self.nbytes):
        return TAMPERED
    return GOOD


cdef int evaluate_each(NativeFunction self, Py_ssize_t entry, const void *point, void *value) except -1 nogil:
    if entry < 0:
        raise ValueError("a function of one number is evaluated at an entry of x")
    (<double *>self.data)[0] = (<const double *>point)[0]
    return call(self, value)


cdef inline int call(NativeFunction self, void *value) except -1 nogil:
    """Call f at what stands in x; its numbers go to `value`."""
    cdef int status
    self.left = self.left - 1   # not -=, which cannot be checked for None without the GIL
    if self.left == 0 and look(self) == HALTED:
        return HALTED
    self.nfev = self.nfev + 1
    if self.form <= SCALAR_DATA:
        status = run_compiled(self.form, self.function, self.user_data, self.n, <double *>self.data, 1,
                              <double *>value)
    else:
        status = run_compiled(self.form, self.function, self.user_data, self.n, <double *>self.data, <int>self.size,
                              <double *>(self.results.data + GUARD))
        memcpy(value, self.results.data + GUARD, self.size * sizeof(double))
    if status < 0 or (not self.ending[0] and self.raised[0] != NULL):
        return stop(self, status)
    return GOOD


cdef int look(NativeFunction self) except -1 nogil:
    """Look at the clock: signals are looked for now and then, and the clock after every call when calls are slow."""
    cdef long long now = steepest_milliseconds()
    if self.halt != NULL and self.halt[0]:
        return HALTED
    self.patience = PATIENCE if now == self.looked else 1
    self.left = self.patience
    self.looked = now
    if self.checked == 0:
        self.checked = now
    elif now - self.checked >= BETWEEN_CHECKS and not self.quiet:
        check_signals()
        self.checked = steepest_milliseconds()
    return GOOD


cdef int check_signals() except -1 with gil:
    return PyErr_CheckSignals()


cdef int stop(NativeFunction self, int status) except -1 with gil:
    """Raise what f has raised, or the error that its status stands for."""
    if not self.ending[0] and self.raised[0] != NULL:
        return -1
    if self.compiled.origin is not None:
        x = np.empty(() if self.each else self.shape)
        memcpy(cnp.PyArray_DATA(x), self.data, self.lent)
        result = self.compiled.origin(x[()] if self.each else x)
        convert = vector_result if self.vector else scalar_result
        array, _ = convert(result, self.value_type, False, self.label, self.nfev)
        self.check_size(array.size)
        raise FunctionError(f"{self.label} raised an exception where it is compiled, and none where it is not", status)
    raise FunctionError(f"{self.label} returned the status {status}: it cannot go on", status)


def linger(cnp.ndarray flags not None, Py_ssize_t i, Py_ssize_t looks, Py_ssize_t grace=0):
    """Look at ``flags[i]``, without the GIL, until it is set or has been looked at so often; return whether it is.

    Who sets it holds the GIL: `grace` looks later it may be free, and need not be slept for.
    """
    if cnp.PyArray_TYPE(flags) != cnp.NPY_INT or not cnp.PyArray_ISCARRAY(flags) or not 0 <= i < flags.size:
        raise ValueError("flags must be a contiguous array of C integers with an entry i")
    cdef const volatile int *flag = <const volatile int *>cnp.PyArray_DATA(flags) + i
    with nogil:
        while not flag[0] and looks > 0:
            steepest_pause()
            looks -= 1
        if flag[0]:
            for _ in range(grace):
                steepest_pause()
    return flag[0] != 0
