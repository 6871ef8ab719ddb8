# How the loops over sampled fields are called: one table of them, built once for every instruction set.
# Here so that stencil.pyx and the three extensions that include stencil.pxi agree. Tested in tests/test_stencil.py.

# What a field, its result and the arithmetic between them are made of: values are stored as float or double, one number
# an element or two (complex), and worked on in their own type or in double.
cdef enum:
    FLOAT_IN_FLOAT = 0
    FLOAT_IN_DOUBLE = 1
    DOUBLE_IN_DOUBLE = 2
    PAIRS = 3

# What numbers are read from, in the order of `fetch`.
cdef enum:
    INT8 = 0
    UINT8 = 1
    INT16 = 2
    UINT16 = 3
    INT32 = 4
    UINT32 = 5
    INT64 = 6
    UINT64 = 7
    FLOAT32 = 8
    FLOAT64 = 9
    SOURCES = 10

# difference(working, out, low, high, numbers, count): out = (high - low) / numbers[0], or * numbers[0], or the complex
# quotient. The type that is worked in is known by its pointer, which is NULL.
ctypedef void (*difference_t)(void *working, void *out, const void *low, const void *high, const double *numbers,
                              Py_ssize_t count) noexcept nogil
# combine(working, out, p, q, r, numbers, count): out = a p + b q + c r
ctypedef void (*combine_t)(void *working, void *out, const void *p, const void *q, const void *r,
                           const double *numbers, Py_ssize_t count) noexcept nogil
# the same of elements that lie apart
ctypedef void (*divide_apart_t)(void *working, void *out, const void *low, const void *high, const double *numbers,
                                Py_ssize_t apart, Py_ssize_t count) noexcept nogil
ctypedef void (*combine_apart_t)(void *working, void *out, const void *p, const void *q, const void *r,
                                 const double *numbers, Py_ssize_t apart, Py_ssize_t count) noexcept nogil
# weigh(a, b, c, out, p, q, r, count): the same with weights of their own for every element
ctypedef void (*weigh_t)(const void *a, const void *b, const void *c, void *out, const void *p, const void *q,
                         const void *r, Py_ssize_t count) noexcept nogil
# weights(x, a, b, c, count): from count + 2 coordinates
ctypedef void (*weights_t)(const void *x, void *a, void *b, void *c, Py_ssize_t count) noexcept nogil
# differs(x, step, count): whether any of the count steps between count + 1 coordinates is another
ctypedef bint (*differs_t)(const void *x, double step, Py_ssize_t count) noexcept nogil
# fetch(source, out, first, stride, parts, swap, count): gather elements of one or two numbers; store scatters them
ctypedef void (*fetch_t)(void *source, void *out, const char *first, Py_ssize_t stride, Py_ssize_t parts, bint swap,
                         Py_ssize_t count) noexcept nogil
ctypedef void (*store_t)(const void *numbers, char *first, Py_ssize_t stride, Py_ssize_t parts, bint swap,
                         Py_ssize_t count) noexcept nogil

cdef struct Loops:
    difference_t divide[PAIRS]
    difference_t multiply[PAIRS]
    difference_t quotient[PAIRS]            # complex
    combine_t combine[PAIRS]
    combine_t combine_complex[PAIRS]
    divide_apart_t divide_apart[PAIRS]
    combine_apart_t combine_apart[PAIRS]
    weigh_t weigh[PAIRS]
    weigh_t weigh_complex[PAIRS]
    weights_t weights[PAIRS]                # coordinates are the values, weights what is worked in
    differs_t differs[2]                    # float, double
    fetch_t fetch[SOURCES]
    store_t store[2]
    void (*stream)(void *out, const void *source, Py_ssize_t nbytes) noexcept nogil
    void (*fence)() noexcept nogil
