# Evaluate: put a point into x, call, store, restore. A part of callback.pyx.
# Here so that the file keeps to one subject at a time; the rules stand at the top of callback.pyx.
# Tested in tests/test_callback.py and tests/faults/.

cdef inline bint intact(PythonFunction self) noexcept:
    """Whether the view is still ours alone, and still what it was when it was lent."""
    cdef PyObject *view = <PyObject *>self.view
    return (steepest_only_ours(view, 1) and steepest_only_ours(<PyObject *>self.memory, 2)
            and steepest_sealed(view, self.seal, self.extents, self.ndim))


cdef inline PyObject *call(PythonFunction self, PyObject *x) except NULL:
    """Call the Python function with x and the arguments that follow it; a new reference."""
    if not self.plain:
        PyErr_CheckSignals()
    self.stack[1] = x
    return self.invoke(<PyObject *>self.function, <PyObject **>(self.stack + 1), self.nargs, self.keywords)


cdef inline object own(PyObject *new):
    """Take over a new reference."""
    result = <object>new
    Py_DECREF(new)
    return result


cdef inline int keep(PythonFunction self, PyObject *result, void *value) except -1:
    """Store a result and let go of it; a plain float, by far the most frequent, at once."""
    if PyFloat_Check(result) and self.takes_float:
        (<double *>value)[0] = PyFloat_AS_DOUBLE(result)
        Py_DECREF(result)
        return GOOD
    return keep_other(self, result, value)


cdef int keep_other(PythonFunction self, PyObject *result, void *value) except -1:
    return self.store(own(result), value)


cdef inline int evaluate_in_place(PythonFunction self, Py_ssize_t entry, const void *point, void *value,
                                  Py_ssize_t stride, Py_ssize_t offset, int real_type) except -1:
    cdef Py_ssize_t at = entry * stride
    cdef int code
    if entry < 0 or self.fresh:
        self.place(self.data, entry, point)
    else:
        if differs(self.data + at, self.private_data + at, stride):
            return TAMPERED
        put(self.data + at + offset, point, real_type)
    self.nfev += 1
    # the result may be x itself: it is copied and let go before references are counted and x is restored
    code = keep(self, call(self, <PyObject *>self.view), value)
    if not intact(self):
        if not self.fresh and entry > LINE and tampered_elsewhere(self, at, stride):
            return TAMPERED
        self.lend()
    elif entry >= 0:
        restore(self.data + at, self.private_data + at, stride)
        if not self.fresh and tampered(self, entry, stride):
            return TAMPERED
    elif entry == BASE and not self.fresh and memcmp(self.data, self.private_data, self.nbytes):
        return TAMPERED
    elif entry <= LINE and not self.fresh:
        memcpy(self.data, self.private_data, self.nbytes)
    return code


cdef bint tampered_elsewhere(PythonFunction self, Py_ssize_t at, Py_ssize_t stride) noexcept:
    """Whether f has written into memory that is about to be left to it: anywhere but in the entry that is moved."""
    if at < 0:
        return memcmp(self.data, self.private_data, self.nbytes) != 0
    cdef Py_ssize_t behind = at + stride
    return (memcmp(self.data, self.private_data, at) != 0
            or memcmp(self.data + behind, self.private_data + behind, self.nbytes - behind) != 0)


cdef int evaluate_array(PythonFunction self, Py_ssize_t entry, const void *point, void *value) except -1:
    return evaluate_in_place(self, entry, point, value, self.stride, self.offset, self.real_type)


cdef int evaluate_float64(PythonFunction self, Py_ssize_t entry, const void *point, void *value) except -1:
    """The same for x of float64, with the sizes known to the compiler."""
    return evaluate_in_place(self, entry, point, value, sizeof(double), 0, cnp.NPY_DOUBLE)


cdef int evaluate_scalar(PythonFunction self, Py_ssize_t entry, const void *point, void *value) except -1:
    cdef long double number[2]      # room for one entry of any type
    if entry < 0:
        raise ValueError("a function of one number is evaluated at an entry of x")
    memcpy(number, self.private_data + entry * self.stride, self.stride)
    put(<char *>number + self.offset, point, self.real_type)
    self.nfev += 1
    x = PyArray_Scalar(number, self.dtype, None)
    return keep(self, call(self, <PyObject *>x), value)


cdef inline void restore(char *to, const char *origin, Py_ssize_t stride) noexcept:
    if stride == 8:
        (<uint64_t *>to)[0] = (<const uint64_t *>origin)[0]
    else:
        memcpy(to, origin, stride)
