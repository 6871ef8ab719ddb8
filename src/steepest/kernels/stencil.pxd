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

# What is done with neighbours p, q, r: the difference of r and p over a number, times a number, or over a complex
# number; a p + b q + c r with the same weights for all, or with weights for each.
cdef enum:
    DIVIDE = 0
    MULTIPLY = 1
    COMBINE = 2
    WEIGH = 3
    DIVIDE_COMPLEX = 4
    COMBINE_COMPLEX = 5
    WEIGH_COMPLEX = 6
    RULES = 7

# run(rule, working, out, p, q, r, numbers, weights, past, count): a run of elements, with a rule and a type to work in
# that are known by their types: the pointers are NULL. `past` has it written past the caches.
ctypedef void (*run_t)(void *rule, void *working, void *out, const void *p, const void *q, const void *r,
                       const double *numbers, const void **weights, bint past, Py_ssize_t count) noexcept nogil
# divide_apart, combine_apart: two of these rules, on elements that lie apart
ctypedef void (*divide_apart_t)(void *working, void *out, const void *low, const void *high, const double *numbers,
                                Py_ssize_t apart, Py_ssize_t count) noexcept nogil
ctypedef void (*combine_apart_t)(void *working, void *out, const void *p, const void *q, const void *r,
                                 const double *numbers, Py_ssize_t apart, Py_ssize_t count) noexcept nogil
# weigh_rows(out, f, weights, past, rows, count): WEIGH for several rows, that weights be read once for all
ctypedef void (*weigh_rows_t)(void **out, const void **f, const void **weights, bint past, Py_ssize_t rows,
                              Py_ssize_t count) noexcept nogil
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
    run_t run[RULES][PAIRS]
    divide_apart_t divide_apart[PAIRS]
    combine_apart_t combine_apart[PAIRS]
    weigh_rows_t weigh_rows[PAIRS]
    weights_t weights[PAIRS]                # coordinates are the values, weights what is worked in
    differs_t differs[2]                    # float, double
    fetch_t fetch[SOURCES]
    store_t store[2]
    void (*fence)() noexcept nogil
