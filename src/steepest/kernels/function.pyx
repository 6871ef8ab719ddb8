"""One protocol for everything that can be evaluated; the Python callable is its first kind.

Here because evaluating in place is what makes a finite difference cheap, and what makes it dangerous: this file holds
every rule that keeps native code safe from the function it calls. Tested in tests/test_callback.py and tests/faults/.

How a Python function sees x. It gets a view of scratch memory that only steepest owns; the view does not own the
memory, so it cannot be resized. One entry is perturbed, the function called, the entry restored. What the function
may do to that view, and the answer:

- write into it: each entry is compared with a private copy before it is perturbed, its neighbour after the call, and
  the whole vector after the first call and at the end; a difference means that everything is evaluated again, with a
  fresh copy for every call;
- keep it (or a slice, a memoryview, its base): the reference counts say so, and the next call gets new memory, so
  that what was kept never changes;
- change its shape, dtype, strides or flags: these are never read again, and the view is replaced;
- return it, or a part of it: the result is copied before the entry is restored.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals, PyErr_Occurred
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.float cimport DBL_EPSILON, FLT_EPSILON, LDBL_EPSILON
from libc.limits cimport INT_MAX
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy, memset

import numpy as np

from steepest.errors import BusyError, FunctionError
from steepest.reference.callback import (
    SIGNATURES, batch_result, note_evaluation, scalar_result, size_error, vector_result,
)

cnp.import_array()

cdef extern from "Python.h":
    Py_ssize_t PY_SSIZE_T_MAX
    vectorcallfunc PyVectorcall_Function(PyObject *callable) noexcept
    vectorcallfunc PyObject_Vectorcall
    void Py_DECREF(PyObject *object) noexcept
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET
    bint PyFunction_Check(PyObject *) noexcept
    bint PyMethod_Check(PyObject *) noexcept
    PyObject *PyMethod_GET_FUNCTION(PyObject *) noexcept      # borrowed
    bint PyFloat_Check(PyObject *) noexcept
    double PyFloat_AS_DOUBLE(PyObject *) noexcept
    bint PyComplex_CheckExact(PyObject *) noexcept
    double PyComplex_RealAsDouble(PyObject *) noexcept
    double PyComplex_ImagAsDouble(PyObject *) noexcept

cdef extern from *:
    """
    #include <string.h>
    #define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
    #include <numpy/arrayobject.h>

    /* Whether nobody but us, who hold `ours` references, holds the object. Read after a call has returned, when every
       frame of the callee is gone. Without the GIL a reference count proves nothing: the answer is always no. */
    #if defined(Py_GIL_DISABLED)
    #define steepest_only_ours(object, ours) 0
    #elif PY_VERSION_HEX >= 0x030E0000
    #define steepest_only_ours(object, ours) \\
        ((ours) == 1 ? PyUnstable_Object_IsUniquelyReferenced(object) : Py_REFCNT(object) == (ours))
    #else
    #define steepest_only_ours(object, ours) (Py_REFCNT(object) == (ours))
    #endif

    /* Everything that f can change about a view in place (data, number of dimensions, shape, strides, base, dtype,
       flags), taken when it is lent: a handful of words that lie side by side. */
    enum { STEEPEST_SEAL_WORDS = (offsetof(PyArrayObject_fields, weakreflist)
                                  - offsetof(PyArrayObject_fields, data)) / 8 };

    static inline npy_uint64 steepest_word(PyObject *view, int i)
    {
        npy_uint64 word;
        memcpy(&word, (char *)&((PyArrayObject_fields *)view)->data + 8 * i, 8);
        return word;
    }

    static void steepest_seal(PyObject *view, npy_uint64 *seal)
    {
        for (int i = 0; i < STEEPEST_SEAL_WORDS; i++)
            seal[i] = steepest_word(view, i);
    }

    /* Whether view is as it was when it was lent; `extents` are its shape and strides then, one after the other. */
    static inline int steepest_sealed(PyObject *view, const npy_uint64 *seal, const Py_ssize_t *extents, int ndim)
    {
        npy_uint64 changed = 0;
        for (int i = 0; i < STEEPEST_SEAL_WORDS; i++)
            changed |= steepest_word(view, i) ^ seal[i];
        if (changed)
            return 0;
        const npy_intp *shape = PyArray_DIMS((PyArrayObject *)view), *strides = PyArray_STRIDES((PyArrayObject *)view);
        if (ndim == 0)
            return 1;
        if (ndim == 1)
            return shape[0] == extents[0] && strides[0] == extents[1];
        return memcmp(shape, extents, ndim * sizeof(npy_intp)) == 0
            && memcmp(strides, extents + ndim, ndim * sizeof(npy_intp)) == 0;
    }
    """
    bint steepest_only_ours(PyObject *object, int ours) noexcept
    void steepest_seal(PyObject *view, uint64_t *seal) noexcept
    bint steepest_sealed(PyObject *view, const uint64_t *seal, const Py_ssize_t *extents, int ndim) noexcept

cdef extern from "numpy/arrayobject.h":
    object PyArray_Scalar(void *data, cnp.dtype descr, object base)
    void *PyArray_DATA(void *) noexcept nogil

cdef enum:
    ALIGNMENT = 64

cdef int AS_COMPLEX = cnp.NPY_CFLOAT - cnp.NPY_FLOAT     # from a real type number to its complex one


@cython.freelist(8)
cdef class Memory:
    """Bytes that a view of x stands on: no buffer interface, no resize, freed when the last view is gone."""

    def __cinit__(self):
        self.block = NULL

    def __dealloc__(self):
        PyMem_Free(self.block)


cdef Memory allocate(Py_ssize_t nbytes):
    cdef Memory memory = Memory.__new__(Memory)
    if nbytes > PY_SSIZE_T_MAX - ALIGNMENT:
        raise MemoryError(f"no memory for {nbytes} bytes of x")
    memory.block = <char *>PyMem_Malloc(nbytes + ALIGNMENT)
    if memory.block == NULL:
        raise MemoryError(f"no memory for {nbytes} bytes of x")
    memory.data = memory.block + (ALIGNMENT - <size_t>memory.block % ALIGNMENT) % ALIGNMENT
    return memory


cdef cnp.ndarray view_of(Memory memory, int ndim, cnp.npy_intp *shape, cnp.dtype dtype):
    """An array that stands on memory without owning it, so that it cannot be resized."""
    cdef cnp.ndarray view = cnp.PyArray_SimpleNewFromData(ndim, shape, dtype.type_num, memory.data)
    cnp.set_array_base(view, memory)
    return view


@cython.freelist(8)
cdef class Function:
    """Base of everything that can be evaluated: x, how a point is put into it, and how long results are.

    See function.pxd for the protocol.
    """

    def __cinit__(self):
        self.extents = self.short_extents
        self.size = -1
        self.coarsest = 0.0
        self.sized_by = ""

    def __dealloc__(self):
        if self.extents != self.short_extents:
            PyMem_Free(self.extents)

    cdef int take_type(self, cnp.dtype dtype, bint vector, bint imaginary, str label) except -1:
        cdef bint complex_x = dtype.type_num >= cnp.NPY_CFLOAT
        self.label = label
        self.vector = vector
        self.imaginary = imaginary
        self.real_type = dtype.type_num - (AS_COMPLEX if complex_x else 0)
        self.wide = self.real_type == cnp.NPY_LONGDOUBLE
        self.as_complex = complex_x or imaginary
        self.size = -1 if vector else 2 if self.as_complex else 1
        self.eps = (FLT_EPSILON if self.real_type == cnp.NPY_FLOAT
                    else DBL_EPSILON if self.real_type == cnp.NPY_DOUBLE else LDBL_EPSILON)
        self.dtype = cnp.PyArray_DescrFromType(dtype.type_num + (AS_COMPLEX if imaginary else 0))
        self.stride = self.dtype.itemsize
        self.offset = self.stride // 2 if imaginary else 0
        return 0

    cdef int take_shape(self, int ndim, const Py_ssize_t *shape) except -1:
        cdef Py_ssize_t i, step = self.stride
        self.ndim = ndim
        if ndim > 1:
            self.extents = <Py_ssize_t *>PyMem_Malloc(2 * ndim * sizeof(Py_ssize_t))
            if self.extents == NULL:
                self.extents = self.short_extents
                raise MemoryError()
        self.count = 1
        for i in range(ndim - 1, -1, -1):
            self.extents[i] = shape[i]
            self.extents[ndim + i] = step
            if shape[i] < 0 or (shape[i] != 0 and step > PY_SSIZE_T_MAX // shape[i]):
                raise OverflowError("x of this shape is larger than memory can be")
            step *= shape[i]
            self.count *= shape[i]
        self.nbytes = self.count * self.stride
        return 0

    @property
    def shape(self):
        """Shape of x."""
        cdef Py_ssize_t i
        return tuple([self.extents[i] for i in range(self.ndim)])

    cdef int start(self, cnp.ndarray x) except -1:
        """Take x for a run: an array that is C-contiguous, aligned, native, and of the declared type and size."""
        raise TypeError("this kind of function cannot be evaluated")

    cdef int take_point(self, cnp.ndarray x) except -1:
        """Check x and copy it to where it is never lent."""
        if (x is None or self.private_data == NULL or cnp.PyArray_SIZE(x) != self.count
                or not cnp.PyArray_ISCARRAY_RO(x)
                or cnp.PyArray_TYPE(x) != self.dtype.type_num - (AS_COMPLEX if self.imaginary else 0)):
            raise ValueError("x does not suit this function")
        if self.running:
            raise BusyError("this function is being evaluated by another call")
        self.direction = self.groups = self.ways = None
        self.coarsest = 0.0
        if self.imaginary:
            copy_as_complex(self.private_data, <const char *>PyArray_DATA(<void *>x), self.count, self.stride // 2)
        else:
            memcpy(self.private_data, PyArray_DATA(<void *>x), self.nbytes)
        self.started = self.unseen = True
        return 0

    cdef int close(self) except -1:
        """Close a run: GOOD, or the reason to evaluate everything again."""
        if self.started and not self.fresh and memcmp(self.data, self.private_data, self.nbytes):
            return TAMPERED
        return GOOD

    cdef int enter(self, const int *halt) except -1:
        """Say that this thread is about to evaluate without the GIL, until `halt` is set if that is given."""
        return 0

    cdef int leave(self) except -1:
        """The thread is back, with the GIL."""
        return 0

    def begin(self, cnp.ndarray x not None):
        """Take x for a run."""
        self.start(x)

    def finish(self):
        """Close a run: GOOD, or the reason to evaluate everything again."""
        return self.close()

    def along(self, cnp.ndarray direction not None, cnp.ndarray lower=None, cnp.ndarray upper=None):
        """Let LINE mean x + point * direction, kept inside the bounds, until the next run begins.

        The direction has the type of x; the bounds are float64 or longdouble arrays with one entry for each of x.
        """
        if (direction.size != self.count or not cnp.PyArray_ISCARRAY_RO(direction)
                or cnp.PyArray_TYPE(direction) != self.dtype.type_num - (AS_COMPLEX if self.imaginary else 0)):
            raise ValueError("the direction does not suit this function")
        self.check_bounds(lower, upper)
        if self.running:
            raise BusyError("this function is being evaluated by another call")
        self.direction, self.lower, self.upper = direction, lower, upper

    def in_groups(self, Groups groups not None):
        """Let GROUPS - k mean x with the entries of group k moved, until the next run begins."""
        if groups.entries != self.count or groups.wide != self.wide or not groups.placed:
            raise ValueError("the groups do not suit this function, or have no points")
        if self.running:
            raise BusyError("this function is being evaluated by another call")
        self.groups = groups

    def along_ways(self, cnp.ndarray starts not None, cnp.ndarray stops not None, cnp.ndarray moved not None,
                   cnp.ndarray sizes not None, cnp.ndarray shifted=None, cnp.ndarray shifts=None,
                   cnp.ndarray lower=None, cnp.ndarray upper=None):
        """Let WAYS - k mean x with some entries moved by point * size and one shifted; see the reference."""
        self.check_bounds(lower, upper)
        if self.running:
            raise BusyError("this function is being evaluated by another call")
        if not self.started:
            raise ValueError("begin the function first")
        take_ways(self, starts, stops, moved, sizes, shifted, shifts)
        self.lower, self.upper = lower, upper

    cdef int check_bounds(self, cnp.ndarray lower, cnp.ndarray upper) except -1:
        for array in (lower, upper):
            if array is not None and not self.suits(array, self.count):
                raise ValueError("the bounds do not suit this function")
        if (lower is None) != (upper is None):
            raise ValueError("give both bounds or none")
        return 0

    cdef bint suits(self, cnp.ndarray array, Py_ssize_t count):
        """Whether these are so many numbers of the working type."""
        cdef int type_num = cnp.NPY_LONGDOUBLE if self.wide else cnp.NPY_DOUBLE
        return array.size == count and cnp.PyArray_ISCARRAY_RO(array) and cnp.PyArray_TYPE(array) == type_num

    def displaced(self, Py_ssize_t entry, point):
        """x with a point put in, and x as it is: what a note on an exception tells the difference of."""
        cdef cnp.ndarray number = np.array(point, np.longdouble if self.wide else np.float64)
        cdef cnp.ndarray moved = np.empty(self.count, self.dtype), before = np.empty(self.count, self.dtype)
        if not self.started or number.size != 1:
            raise ValueError("begin the function, and give one point")
        memcpy(PyArray_DATA(<void *>before), self.private_data, self.nbytes)
        self.place(<char *>PyArray_DATA(<void *>moved), entry, PyArray_DATA(<void *>number))
        return moved, before

    cdef int place(self, char *x, Py_ssize_t entry, const void *point) except -1 nogil:
        """Write x into fresh memory, with one entry (or, along a line or a way, or in a group, several) moved."""
        memcpy(x, self.private_data, self.nbytes)
        if entry >= 0:
            put(x + entry * self.stride + self.offset, point, self.real_type)
        elif entry == LINE:
            move_along_line(self, x, point)
        elif entry <= WAYS:
            move_along_way(self, x, WAYS - entry, point)
        elif entry <= GROUPS:
            move_group(self, x, GROUPS - entry, point)
        return 0

    cdef int evaluate_rows(self, const Py_ssize_t *entries, Py_ssize_t count, const void *points,
                           void *values) except -1:
        """Evaluate `count` points in one call."""
        raise TypeError("this kind of function takes one point at a time")

    cdef object call_at_base(self):
        """What f gives at x itself."""
        raise TypeError("this kind of function cannot be evaluated")

    cdef int judge(self, double eps) except -1:
        self.coarsest = max(self.coarsest, eps)
        return COARSE if eps > self.eps else GOOD

    def snapshot(self):
        """x as it was when the run began, whatever f has done to the caller's."""
        cdef cnp.ndarray x
        if not self.started:
            raise ValueError("no run has begun")
        x = np.empty(self.shape, self.dtype)
        memcpy(PyArray_DATA(<void *>x), self.private_data, self.nbytes)
        return np.ascontiguousarray(x.real) if self.imaginary else x

    def check_size(self, Py_ssize_t count):
        """Refuse a result of another length than the first."""
        cdef Py_ssize_t known = self.size // 2 if self.as_complex else self.size
        if count != known:
            raise size_error(self.label, count, self.nfev, known, self.sized_by)

    def take_size(self, Py_ssize_t size):
        """Learn how many numbers f gives from the number of entries of x."""
        if self.running:
            raise BusyError("this function is being evaluated by another call")
        if self.size < 0:
            if size < 0 or size > PY_SSIZE_T_MAX // 2:
                raise ValueError("no function gives so many numbers")
            self.size, self.sized_by = size * (2 if self.as_complex else 1), "x"

    @property
    def value_type(self):
        """The dtype in which results are held: float64, or longdouble, or their complex ones."""
        return cnp.PyArray_DescrFromType(
            (cnp.NPY_LONGDOUBLE if self.wide else cnp.NPY_DOUBLE) + (AS_COMPLEX if self.as_complex else 0))

    def value_at(self, cnp.ndarray x not None, f0=None):
        """Return f(x) as an array, or `f0` checked as if f had returned it; learn how long results are."""
        label = self.label if f0 is None else "f0"
        if f0 is None:
            self.start(x)
        convert = vector_result if self.vector else scalar_result
        try:
            if f0 is None:
                f0 = self.call_at_base()
            array, eps = convert(f0, self.value_type, False, label, self.nfev)
            if self.size >= 0:
                self.check_size(array.size)
        except BaseException as error:
            if label != "f0":
                note_evaluation(error, label, self.nfev, BASE, 0.0, self.shape)
            raise
        self.judge(eps)
        self.sized_by = "f0" if label == "f0" else ""
        self.size = array.size * (2 if self.as_complex else 1)
        return array.copy()


cdef class PythonFunction(Function):
    """A Python callable of an array, evaluated in place; see `steepest.reference.callback.PythonFunction`."""

    def __cinit__(self):
        self.stack = NULL

    def __init__(self, function, tuple args, kwargs, tuple shape, cnp.dtype dtype,
                 bint vector=False, bint imaginary=False, str label="f"):
        cdef Py_ssize_t extents[64]
        self.set_up(function, args, kwargs, extents_of(shape, extents), extents, dtype, vector, imaginary, label)

    cdef int set_up(self, function, tuple args, kwargs, int ndim, const Py_ssize_t *shape, cnp.dtype dtype,
                    bint vector, bint imaginary, str label) except -1:
        cdef Py_ssize_t i
        if self.stack != NULL:
            raise TypeError("a prepared function is made once")
        self.function = function
        cdef PyObject *code = <PyObject *>function
        if PyMethod_Check(code):
            code = PyMethod_GET_FUNCTION(code)
        self.plain = PyFunction_Check(code)
        self.take_type(dtype, vector, imaginary, label)
        self.take_shape(ndim, shape)
        self.takes_float = not (vector or self.wide or self.as_complex)

        self.names = None
        self.arguments = args
        if kwargs:
            self.names = tuple(kwargs)
            self.arguments = args + tuple(kwargs.values())
        self.nargs = (1 + len(args)) | PY_VECTORCALL_ARGUMENTS_OFFSET
        self.keywords = <PyObject *>self.names if kwargs else NULL
        self.invoke = PyVectorcall_Function(<PyObject *>function)
        if self.invoke == NULL:
            self.invoke = PyObject_Vectorcall
        cdef Py_ssize_t slots = 2 + len(<tuple>self.arguments)
        if self.nbytes > PY_SSIZE_T_MAX - slots * <Py_ssize_t>sizeof(void *):
            raise OverflowError(f"x of shape {self.shape} is larger than memory can be")
        self.stack = <void **>PyMem_Malloc(slots * sizeof(void *) + self.nbytes)
        if self.stack == NULL:
            raise MemoryError(f"no memory for {self.nbytes} bytes of x")
        self.private_data = <char *>(self.stack + slots)
        self.stack[0] = self.stack[1] = NULL
        for i in range(len(<tuple>self.arguments)):
            self.stack[2 + i] = <void *>(<tuple>self.arguments)[i]
        self.evaluate = <evaluate_t><void *>evaluate_array
        if self.real_type == cnp.NPY_DOUBLE and not self.as_complex:
            self.evaluate = <evaluate_t><void *>evaluate_float64

    def __dealloc__(self):
        PyMem_Free(self.stack)

    cdef int start(self, cnp.ndarray x) except -1:
        self.take_point(x)
        if self.view is None or not intact(self):
            self.lend()
        else:
            memcpy(self.data, self.private_data, self.nbytes)
        return 0

    cdef int lend(self) except -1:
        """Give f a new view of new memory, filled with x."""
        cdef Memory memory = allocate(self.nbytes)
        memcpy(memory.data, self.private_data, self.nbytes)
        cdef cnp.ndarray view = view_of(memory, self.ndim, <cnp.npy_intp *>self.extents, self.dtype)
        steepest_seal(<PyObject *>view, self.seal)
        self.view = view
        self.memory = memory
        self.data = memory.data
        return 0

    cdef int store(self, object result, void *value) except -1:
        """Copy the real numbers of a result; COARSE when it came in less precision than the steps were made for."""
        cdef cnp.ndarray array
        cdef PyObject *raw = <PyObject *>result
        if not self.wide and not self.vector and self.as_complex:
            if PyFloat_Check(raw) and not self.imaginary:
                (<double *>value)[0], (<double *>value)[1] = PyFloat_AS_DOUBLE(raw), 0.0
                return GOOD
            if PyComplex_CheckExact(raw):
                (<double *>value)[0], (<double *>value)[1] = PyComplex_RealAsDouble(raw), PyComplex_ImagAsDouble(raw)
                return GOOD
        elif self.vector and not self.wide and not self.as_complex and cnp.PyArray_CheckExact(result):
            array = result
            if (array.ndim == 1 and cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE and cnp.PyArray_ISCARRAY_RO(array)
                    and array.shape[0] == self.size):
                memcpy(value, PyArray_DATA(<void *>array), self.size * sizeof(double))
                return GOOD
        # Whatever else f may return is converted, once, by the function that the reference uses.
        convert = vector_result if self.vector else scalar_result
        array, eps = convert(result, self.value_type, self.imaginary, self.label, self.nfev)
        self.check_size(array.size)
        memcpy(value, PyArray_DATA(<void *>array), array.nbytes)
        return self.judge(eps)

    cdef object call_at_base(self):
        self.nfev += 1
        return own(call(self, <PyObject *>self.view))


cdef int extents_of(tuple shape, Py_ssize_t *extents) except -1:
    """Write a shape where C can read it; returns the number of dimensions."""
    cdef Py_ssize_t i
    if len(shape) > 64:
        raise ValueError(f"x must have at most 64 dimensions, not {len(shape)}")
    for i in range(len(shape)):
        extents[i] = shape[i]
    return <int>len(shape)


cdef class ScalarFunction(PythonFunction):
    """A Python callable of one number, evaluated at the entries of x one by one."""

    def __init__(self, function, tuple args, kwargs, tuple shape, cnp.dtype dtype,
                 bint vector=False, bint imaginary=False, str label="f"):
        PythonFunction.__init__(self, function, args, kwargs, shape, dtype, vector, imaginary, label)
        self.fresh = True
        self.evaluate = <evaluate_t><void *>evaluate_scalar


cdef class BatchFunction(PythonFunction):
    """A Python callable of many points: (k, n) to (k,) or (k, m); with `elementwise`, (k,) numbers to (k,)."""

    cdef bint elementwise

    def __init__(self, function, tuple args, kwargs, tuple shape, cnp.dtype dtype,
                 bint vector=False, bint imaginary=False, str label="f", bint elementwise=False):
        PythonFunction.__init__(self, function, args, kwargs, shape, dtype, vector, imaginary, label)
        self.fresh = True
        self.batch = True
        self.elementwise = elementwise

    cdef int evaluate_rows(self, const Py_ssize_t *entries, Py_ssize_t count, const void *points,
                           void *values) except -1:
        cdef Py_ssize_t k, width = self.stride if self.elementwise else self.nbytes
        cdef Py_ssize_t real = sizeof(long double) if self.wide else sizeof(double)
        cdef Py_ssize_t numbers = count if self.elementwise else count * self.count
        if width > 0 and count > PY_SSIZE_T_MAX // width:
            raise OverflowError(f"a batch of {count} points is larger than memory can be")
        cdef Memory memory = allocate(count * width)
        cdef char *row = memory.data
        for k in range(count):
            if self.elementwise and entries[k] < 0:
                raise ValueError("a function of one number is evaluated at an entry of x")
            if self.elementwise:
                memcpy(row, self.private_data + entries[k] * self.stride, self.stride)
                put(row + self.offset, <const char *>points + k * real, self.real_type)
            else:
                self.place(row, entries[k], <const char *>points + k * real)
            row += width
        rows = view_of(memory, 1, <cnp.npy_intp *>&numbers, self.dtype)
        if not self.elementwise:
            rows = rows.reshape((count, *self.shape))
        self.nfev += count
        result = own(call(self, <PyObject *>rows))
        cdef cnp.ndarray array
        array, eps = batch_result(
            result, self.value_type, count, self.vector, self.imaginary, self.label, self.nfev)
        self.check_size(array.size // count)
        memcpy(values, PyArray_DATA(<void *>array), array.nbytes)
        return self.judge(eps)

    cdef object call_at_base(self):
        self.nfev += 1
        x = self.view.reshape((1, *self.shape))
        result = own(call(self, <PyObject *>x))
        return batch_result(result, self.value_type, 1, self.vector, False, self.label, self.nfev)[0][0]


include "_place.pxi"
include "_groups.pxi"
include "_evaluate.pxi"
include "_compiled.pxi"
