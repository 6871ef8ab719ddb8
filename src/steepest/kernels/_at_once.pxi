# Gradients of small plain arrays: everything else is looked at by Python, which costs more than they do.
# Here because a thousand elements are differentiated in the time of a few calls. Included by stencil.pyx; the twin is
# reference/stencil.py. Tested in tests/test_stencil.py.


def gradient_at_once(f, tuple varargs not None, axis, edge_order, out):
    """Gradients of small plain arrays, without any detour; see `steepest.reference.stencil.gradient_at_once`."""
    cdef cnp.ndarray field
    cdef double step = 1.0
    cdef int number, i, only = -1
    if not cnp.PyArray_CheckExact(f) or type(edge_order) is not int or not 1 <= <object>edge_order <= 2:
        return None
    field = <cnp.ndarray>f
    number = cnp.PyArray_TYPE(field)
    if (number != cnp.NPY_DOUBLE and number != cnp.NPY_FLOAT or not PyArray_ISCARRAY_RO(field)
            or not 0 < cnp.PyArray_SIZE(field) <= AT_ONCE or cnp.PyArray_NDIM(field) < 1):
        return None
    if len(varargs) > 1 or len(varargs) == 1 and type(varargs[0]) is not float:
        return None
    if len(varargs) == 1:
        step = varargs[0]
        if not 1e-30 < fabs(step) < 1e30:
            return None
    if axis is not None:
        if type(axis) is not int or not -field.ndim <= <object>axis < field.ndim:
            return None
        only = axis + (field.ndim if axis < 0 else 0)
    elif field.ndim == 1:
        only = 0
    for i in range(field.ndim):
        if only in (-1, i) and field.shape[i] <= edge_order:
            return None
    if only >= 0:
        return gradient_of_small(field, only, edge_order, step, out)
    if out is not None:
        return None
    return tuple([gradient_of_small(field, i, edge_order, step, None) for i in range(field.ndim)])


cdef object gradient_of_small(cnp.ndarray f, int axis, int edge_order, double step, given):
    """Along one axis of a C-contiguous array, into a new one or one that is given if it suits."""
    cdef cnp.ndarray out
    cdef Rule inside, first, last
    cdef Py_ssize_t n = f.shape[axis], m = 1, columns = 1, size = 8, plane, at, k
    cdef const char *p = <const char *>PyArray_DATA(f)
    cdef char *o
    cdef int i, number = cnp.PyArray_TYPE(f), reach = edge_order
    if given is None:
        out = cnp.PyArray_EMPTY(f.ndim, f.shape, number, 0)
    elif suits(f, given):
        out = <cnp.ndarray>given
    else:
        return None
    o = <char *>PyArray_DATA(out)
    for i in range(f.ndim):
        if i < axis:
            columns *= f.shape[i]
        elif i > axis:
            m *= f.shape[i]
    size = 8 if number == cnp.NPY_DOUBLE else 4
    inside.pair = first.pair = last.pair = DOUBLE_IN_DOUBLE if size == 8 else FLOAT_IN_FLOAT
    divide_by(&inside, 2 * step, False)
    divide_by(&first, step, False)
    last = first
    if edge_order == 2:
        combine_with(&first, -1.5 / step, 2 / step, -0.5 / step, False)
        combine_with(&last, 0.5 / step, -2 / step, 1.5 / step, False)
    plane = m * size
    steepest_forget()
    for k in range(columns):
        at = k * n * plane
        apply(&first, o + at, p + at, p + at + plane, p + at + reach * plane, False, m)
        apply(&inside, o + at + plane, p + at, NULL, p + at + 2 * plane, False, (n - 2) * m)
        at += (n - 1) * plane
        apply(&last, o + at, p + at - reach * plane, p + at - plane, p + at, False, m)
    if steepest_met():
        report(steepest_met(), "subtract")
    return out


cdef inline bint suits(cnp.ndarray f, given) noexcept:
    """Whether a derivative of f can be written there as it is."""
    cdef cnp.ndarray out
    cdef const char *a = <const char *>PyArray_DATA(f)
    cdef const char *b
    cdef Py_ssize_t nbytes = cnp.PyArray_NBYTES(f)
    cdef int i
    if not cnp.PyArray_CheckExact(given):
        return False
    out = <cnp.ndarray>given
    if cnp.PyArray_TYPE(out) != cnp.PyArray_TYPE(f) or cnp.PyArray_NDIM(out) != cnp.PyArray_NDIM(f) \
            or not cnp.PyArray_ISCARRAY(out):
        return False
    for i in range(cnp.PyArray_NDIM(f)):
        if cnp.PyArray_DIM(out, i) != cnp.PyArray_DIM(f, i):
            return False
    b = <const char *>PyArray_DATA(out)
    return b + nbytes <= a or a + nbytes <= b
