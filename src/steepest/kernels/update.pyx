"""Update rules, fused into one pass over memory. The twin of reference/update.py.

Here because a descent on a small problem is otherwise all Python, and on a large one all temporaries. The rules stand
in the reference; this file does the same, bit for bit. Tested in tests/test_update.py.

What limits it: memory. A step reads and writes x and reads the gradient once, 24 bytes an element in float64.
"""

cimport numpy as cnp

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    void *PyArray_DATA(cnp.ndarray) noexcept

ctypedef fused floating:
    float
    double
    long double


def momentum_step(cnp.ndarray x not None, cnp.ndarray gradient not None, cnp.ndarray velocity not None,
                  double lr, double momentum, bint nesterov):
    """Walk one step against the gradient, in place; see `steepest.reference.update.momentum_step`."""
    cdef Py_ssize_t count = x.size
    cdef int kind = cnp.PyArray_TYPE(x)
    for array, name in ((x, "x"), (gradient, "gradient"), (velocity, "velocity")):
        if cnp.PyArray_TYPE(array) != kind or array.size != count:
            raise ValueError(f"{name} must have the type and size of x ({x.dtype}, {count}), "
                             f"but has {array.dtype}, {array.size}")
        if not cnp.PyArray_ISCARRAY_RO(array) or (name != "gradient" and not cnp.PyArray_ISWRITEABLE(array)):
            raise ValueError(f"{name} must be a C-contiguous, aligned, native array that can be written")
    if kind == cnp.NPY_DOUBLE:
        step(<double *>PyArray_DATA(x), <const double *>PyArray_DATA(gradient), <double *>PyArray_DATA(velocity),
             <double>lr, <double>momentum, nesterov, count)
    elif kind == cnp.NPY_FLOAT:
        step(<float *>PyArray_DATA(x), <const float *>PyArray_DATA(gradient), <float *>PyArray_DATA(velocity),
             <float>lr, <float>momentum, nesterov, count)
    elif kind == cnp.NPY_LONGDOUBLE:
        step(<long double *>PyArray_DATA(x), <const long double *>PyArray_DATA(gradient),
             <long double *>PyArray_DATA(velocity), <long double>lr, <long double>momentum, nesterov, count)
    else:
        raise TypeError(f"x must be float32, float64 or longdouble, not {x.dtype}")


cdef void step(floating *x, const floating *gradient, floating *velocity, floating lr, floating momentum,
               bint nesterov, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    if momentum == 0:
        for i in range(count):
            x[i] -= lr * gradient[i]
    elif nesterov:
        for i in range(count):
            velocity[i] = velocity[i] * momentum + gradient[i]
            x[i] -= lr * (gradient[i] + momentum * velocity[i])
    else:
        for i in range(count):
            velocity[i] = velocity[i] * momentum + gradient[i]
            x[i] -= lr * velocity[i]
