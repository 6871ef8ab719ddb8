# How arrays lie in memory, as sweeps see it.
# Here because every layout is brought into few forms. Included by stencil.pyx. Tested in tests/test_stencil.py.

# Where an axis goes, in bytes.
cdef struct Axis:
    Py_ssize_t count, from_f, to_out


cdef int merged(Axis *axes, int count) noexcept:
    """Make one axis of neighbours that go on as one does; returns how many there are then."""
    cdef int i, kept = 0
    for i in range(1, count):
        if (axes[kept].from_f == axes[i].count * axes[i].from_f
                and axes[kept].to_out == axes[i].count * axes[i].to_out):
            axes[kept].count *= axes[i].count
            axes[kept].from_f, axes[kept].to_out = axes[i].from_f, axes[i].to_out
        else:
            kept += 1
            axes[kept] = axes[i]
    return kept + 1 if count else 0


cdef int source_of(cnp.ndarray array, str name) except -1:
    """What the numbers of an array are read as."""
    cdef int number = cnp.PyArray_TYPE(array)
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(array), order = 0
    if number == cnp.NPY_FLOAT or number == cnp.NPY_CFLOAT:
        return FLOAT32
    if number == cnp.NPY_DOUBLE or number == cnp.NPY_CDOUBLE:
        return FLOAT64
    if not cnp.PyArray_ISINTEGER(array):
        raise TypeError(f"{name} must be of integers, float32, float64, complex64 or complex128, not {array.dtype}")
    while 1 << order < size:
        order += 1
    return 2 * order + (1 if cnp.PyArray_ISUNSIGNED(array) else 0)
