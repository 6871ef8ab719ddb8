# Functions of a user's extension, in every form and with every way to fail; their twins are in ../native_library.py.
# Here so that the public Cython API is used as its users use it. Compiled and run in ../test_cython_api.py.

from cpython.exc cimport PyErr_SetObject
from libc.stdlib cimport free, malloc

from steepest.kernels.callback cimport compiled_scalar, compiled_status, compiled_vector


# The three forms; user data is not looked at.

cdef double rosenbrock(int n, double *x, void *data) noexcept nogil:
    cdef double a, b, total = 0
    cdef int i
    for i in range(n - 1):
        a, b = x[i + 1] - x[i] * x[i], 1 - x[i]
        total += 100 * a * a + b * b
    return total


cdef void curves(int n, double *x, int m, double *out, void *data) noexcept nogil:
    cdef int i
    for i in range(m):
        out[i] = x[i % n] * x[(i + 1) % n] + i * x[i % n]


cdef int checked_curves(int n, double *x, int m, double *out, void *data) noexcept nogil:
    if x[0] < 0:
        return 2
    if x[0] > 10:
        return -3
    curves(n, x, m, out, data)
    return 0


def make_rosenbrock():
    return compiled_scalar(rosenbrock, NULL, None)


def make_curves(Py_ssize_t size):
    return compiled_vector(curves, NULL, size, None)


def make_checked_curves(Py_ssize_t size):
    return compiled_status(checked_curves, NULL, size, None)


def make_null():
    return compiled_scalar(NULL, NULL, None)


# User data: a structure that a class owns.

cdef struct Weights:
    int count
    double *values


cdef double weighted(int n, double *x, void *data) noexcept nogil:
    cdef Weights *weights = <Weights *>data
    cdef double total = 0
    cdef int i
    for i in range(min(n, weights.count)):
        total += weights.values[i] * x[i] * x[i]
    return total


cdef class Weighted:
    """Weights, and the function that has them; its memory goes when the last function does."""

    cdef Weights weights
    cdef object __weakref__

    def __cinit__(self, values):
        self.weights.values = <double *>malloc(len(values) * sizeof(double))
        if self.weights.values == NULL:
            raise MemoryError()
        self.weights.count = <int>len(values)
        for i, value in enumerate(values):
            self.weights.values[i] = value

    def __dealloc__(self):
        free(self.weights.values)

    def function(self):
        return compiled_scalar(weighted, &self.weights, self)


# Exceptions: user data is a Python function, which is called where x[0] > 2, or an exception.

cdef double asks(int n, double *x, void *data) except? -1 nogil:
    if x[0] > 2:
        with gil:
            return (<object>data)(x[0])
    return rosenbrock(n, x, data)


cdef void asks_in_curves(int n, double *x, int m, double *out, void *data) except * nogil:
    curves(n, x, m, out, data)
    if x[0] > 2:
        with gil:
            (<object>data)(x[0])


cdef int asks_in_status(int n, double *x, int m, double *out, void *data) except -1 nogil:
    curves(n, x, m, out, data)
    if x[0] > 2:
        with gil:
            (<object>data)(x[0])
    return 0


cdef double raises(int n, double *x, void *data) nogil:
    if x[0] > 2:
        raise ArithmeticError("too large")
    return rosenbrock(n, x, data)


cdef double sets(int n, double *x, void *data) noexcept nogil:
    if x[0] > 2:
        with gil:
            PyErr_SetObject(type(<object>data), <object>data)
    return rosenbrock(n, x, data)


cdef double loses(int n, double *x, void *data) noexcept nogil:
    if x[0] > 2:
        with gil:
            raise <object>data
    return rosenbrock(n, x, data)


def make_asks(ask):
    return compiled_scalar(asks, <void *>ask, ask)


def make_asks_in_curves(ask, Py_ssize_t size):
    return compiled_vector(asks_in_curves, <void *>ask, size, ask)


def make_asks_in_status(ask, Py_ssize_t size):
    return compiled_status(asks_in_status, <void *>ask, size, ask)


def make_raises():
    return compiled_scalar(raises, NULL, None)


def make_sets(error):
    return compiled_scalar(sets, <void *>error, error)


def make_loses(error):
    return compiled_scalar(loses, <void *>error, error)
