# One protocol for everything that can be evaluated.
# Here so that the loops of kernels/difference.pyx never know which kind of function they call.
# Tested in tests/test_callback.py and tests/faults/.

cimport numpy as cnp
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

cdef extern from "Python.h":
    ctypedef PyObject *(*vectorcallfunc)(PyObject *callable, PyObject **args, size_t nargs, PyObject *names) noexcept

# evaluate(self, entry, point, value): put *point into entry `entry` of x (or take BASE, LINE), call, and store the real
# numbers of the result at *value. `point` and `value` hold double, or long double when self.wide.
# Returns GOOD, or says why everything must be evaluated again. The type says nogil, so that a loop over compiled
# functions can run without the GIL; a loop over a Python function (not self.native) must hold it.
ctypedef int (*evaluate_t)(void *self, Py_ssize_t entry, const void *point, void *value) except -1 nogil

cdef enum:
    BASE = -1       # at x itself
    LINE = -2       # at x + point * direction

cdef enum:
    GOOD = 0
    TAMPERED = 1    # the function has written into x: give it a fresh copy every time
    COARSE = 2      # the function computes in less precision than the steps were chosen for


cdef class Memory:
    cdef char *data                 # on a boundary of 64 bytes, as vectorised code likes it
    cdef char *block


cdef class Function:
    cdef evaluate_t evaluate
    cdef readonly bint native       # evaluate may run without the GIL
    cdef bint started               # x is there
    cdef bint unseen                # what f does to x has not been looked at yet
    cdef readonly bint batch        # evaluates many points in one call, by evaluate_rows
    cdef readonly bint wide         # points and values are long double
    cdef readonly bint vector       # results are one-dimensional arrays, not single numbers
    cdef readonly bint as_complex   # results are stored as pairs (real, imaginary)
    cdef readonly Py_ssize_t count    # entries of x
    cdef readonly Py_ssize_t size   # real numbers in one result; -1 while not known
    cdef readonly str label         # what f is called in messages
    cdef int ndim                   # of x
    cdef Py_ssize_t *extents        # the shape of x and, in C order, its strides
    cdef readonly double coarsest   # the lowest precision seen in a result since begin
    cdef public double eps          # the precision that the steps were chosen for
    cdef public bint fresh          # give f a fresh copy of x in every call
    cdef public Py_ssize_t nfev

    cdef int start(self, cnp.ndarray x) except -1
    cdef int close(self) except -1
    cdef int evaluate_rows(self, const Py_ssize_t *entries, Py_ssize_t count, const void *points,
                           void *values) except -1


cdef class PythonFunction(Function):
    cdef readonly object function
    cdef bint sized_by_f0           # the caller's f0 has told how long results are
    cdef object arguments           # what follows x, kept alive
    cdef tuple names                # the names of keyword arguments, or None
    cdef void **stack               # [spare, x, *args, *keyword values], as vectorcall wants it; private_data behind
    cdef vectorcallfunc invoke
    cdef size_t nargs
    cdef PyObject *keywords
    cdef bint takes_float           # a plain float is a whole result
    cdef bint plain                 # a function written in Python, which checks signals by itself
    cdef bint imaginary             # the perturbation goes into the imaginary part
    cdef int real_type              # NPY_FLOAT, NPY_DOUBLE or NPY_LONGDOUBLE: the parts of x
    cdef cnp.dtype dtype            # of x as f sees it
    cdef Py_ssize_t stride          # bytes of one entry
    cdef Py_ssize_t offset          # bytes from an entry to the part that is perturbed
    cdef Py_ssize_t nbytes
    cdef char *private_data         # x as it is: never lent
    cdef Memory memory              # x as f sees it
    cdef cnp.ndarray view
    cdef char *data
    cdef uint64_t seal[8]           # what the view was when it was lent
    cdef Py_ssize_t short_extents[2]
    cdef cnp.ndarray direction, lower, upper

    cdef int set_up(self, function, tuple args, kwargs, int ndim, const Py_ssize_t *shape, cnp.dtype dtype,
                    bint vector, bint imaginary, str label) except -1
    cdef int lend(self) except -1
    cdef int place(self, char *x, Py_ssize_t entry, const void *point) except -1
    cdef int store(self, object result, void *value) except -1
    cdef int judge(self, double eps) except -1
    cdef int take_shape(self, int ndim, const Py_ssize_t *shape) except -1
    cdef object call_at_base(self)
