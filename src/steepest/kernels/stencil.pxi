# The loops over sampled fields: each expression once, for all types. Included by stencil_baseline.pyx, stencil_avx2.pyx
# and stencil_avx512.pyx, which differ by their flags alone.
# Here because the hot arithmetic is built for several instruction sets, with equal bits: those of NumPy, whose order of
# operations and whose roundings these are. What they are loops of stands in stencil.pyx. Tested in
# tests/test_stencil.py.
#
# What limits them: memory beyond the caches, division within.

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from steepest.kernels.stencil cimport (
    COMBINE, COMBINE_COMPLEX, DIVIDE, DIVIDE_COMPLEX, DOUBLE_IN_DOUBLE, FLOAT32, FLOAT64, FLOAT_IN_DOUBLE,
    FLOAT_IN_FLOAT, INT8, INT16, INT32, INT64, MULTIPLY, UINT8, UINT16, UINT32, UINT64, WEIGH, WEIGH_COMPLEX, Loops,
    combine_apart_t, differs_t, divide_apart_t, fetch_t, run_t, store_t, weigh_rows_t, weights_t,
)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* Bytes of a number in the other order. */
    static inline void steepest_swap(void *number, size_t size)
    {
        unsigned char *bytes = (unsigned char *)number, kept;
        for (size_t i = 0; i < size / 2; i++) {
            kept = bytes[i];
            bytes[i] = bytes[size - 1 - i];
            bytes[size - 1 - i] = kept;
        }
    }
    """
    void steepest_swap(void *number, size_t size) noexcept nogil

include "_lines.pxi"

cdef enum:
    LONG = 64       # elements from which on a run is fitted to the lines of the cache

ctypedef fused value_t:
    float
    double

ctypedef fused working_t:
    float
    double

ctypedef fused source_t:
    int8_t
    uint8_t
    int16_t
    uint16_t
    int32_t
    uint32_t
    int64_t
    uint64_t
    float
    double


# One empty type for each rule, so that the loop is made anew for each.
ctypedef struct Divide:
    char _
ctypedef struct Multiply:
    char _
ctypedef struct Combine:
    char _
ctypedef struct Weigh:
    char _

ctypedef fused Rule:
    Divide
    Multiply
    Combine
    Weigh


cdef inline value_t at(Rule *_, Py_ssize_t i, const value_t *p, const value_t *q, const value_t *r, const working_t *a,
                       const working_t *b, const working_t *c) noexcept nogil:
    """One element; the difference is taken in the type of the values."""
    if Rule is Divide:
        return <value_t>(<working_t>(r[i] - p[i]) / a[0])
    elif Rule is Multiply:
        return <value_t>(<working_t>(r[i] - p[i]) * a[0])
    elif Rule is Combine:
        return <value_t>(a[0] * <working_t>p[i] + b[0] * <working_t>q[i] + c[0] * <working_t>r[i])
    else:
        return <value_t>(a[i] * <working_t>p[i] + b[i] * <working_t>q[i] + c[i] * <working_t>r[i])


cdef void run(Rule *rule, working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
              const double *numbers, const working_t **weights, bint past, Py_ssize_t count) noexcept nogil:
    """A rule on a run of elements, a line of the cache at a time where it is written past the caches.

    It begins with those before the first line of the result: what is stored across two lines takes a third longer.
    """
    cdef working_t given[3]
    cdef value_t line[16]
    cdef const working_t *a = given
    cdef const working_t *b = given + 1
    cdef const working_t *c = given + 2
    cdef Py_ssize_t lanes = 64 // sizeof(value_t), head = 0, i, j, k
    if Rule is Weigh:
        a, b, c = weights[0], weights[1], weights[2]
    else:
        given[0], given[1], given[2] = <working_t>numbers[0], <working_t>numbers[1], <working_t>numbers[2]
    if count >= LONG:
        head = steepest_to_line(out) // <Py_ssize_t>sizeof(value_t)
    for i in range(head):
        out[i] = at(rule, i, p, q, r, a, b, c)
    if not past or count < LONG:
        for i in range(head, count):
            out[i] = at(rule, i, p, q, r, a, b, c)
        return
    for k in range((count - head) // lanes):
        i = head + k * lanes
        for j in range(lanes):
            line[j] = at(rule, i + j, p, q, r, a, b, c)
        steepest_stream(out + i, line)
    for i in range(count - (count - head) % lanes, count):
        out[i] = at(rule, i, p, q, r, a, b, c)


cdef void weigh_rows(value_t **out, const value_t **f, const working_t **weights, bint past, Py_ssize_t rows,
                     Py_ssize_t count) noexcept nogil:
    """Elements of several rows with the same weights, a line of the cache of each row at a time."""
    cdef Weigh *rule = NULL
    cdef value_t line[16]
    cdef const working_t *a = weights[0]
    cdef const working_t *b = weights[1]
    cdef const working_t *c = weights[2]
    cdef Py_ssize_t lanes = 64 // sizeof(value_t), head = 0, i, j, k, row
    if past:
        head = min(count, steepest_to_line(out[0]) // <Py_ssize_t>sizeof(value_t))
    for row in range(rows):
        for i in range(head):
            out[row][i] = at(rule, i, f[row], f[row] + 1, f[row] + 2, a, b, c)
        for i in range(count - (count - head) % lanes, count):
            out[row][i] = at(rule, i, f[row], f[row] + 1, f[row] + 2, a, b, c)
    for k in range((count - head) // lanes):
        i = head + k * lanes
        for row in range(rows):
            for j in range(lanes):
                line[j] = at(rule, i + j, f[row], f[row] + 1, f[row] + 2, a, b, c)
            if past:
                steepest_stream(out[row] + i, line)
            else:
                memcpy(out[row] + i, line, 64)


cdef void divide_apart(working_t *_, value_t *out, const value_t *low, const value_t *high, const double *numbers,
                       Py_ssize_t apart, Py_ssize_t count) noexcept nogil:
    """Differences over a number, of elements that lie apart."""
    cdef working_t d = <working_t>numbers[0]
    cdef Py_ssize_t i
    for i in range(count):
        out[i * apart] = <value_t>(<working_t>(high[i * apart] - low[i * apart]) / d)


cdef void combine_apart(working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
                        const double *numbers, Py_ssize_t apart, Py_ssize_t count) noexcept nogil:
    """The same of three neighbours with weights."""
    cdef working_t a = <working_t>numbers[0], b = <working_t>numbers[1], c = <working_t>numbers[2]
    cdef Py_ssize_t i, k
    for i in range(count):
        k = i * apart
        out[k] = <value_t>(a * <working_t>p[k] + b * <working_t>q[k] + c * <working_t>r[k])


cdef inline working_t real_part(working_t a, working_t x, working_t y) noexcept nogil:
    """Of (a + 0i)(x + iy)."""
    cdef working_t zero = 0
    return a * x - zero * y


cdef inline working_t imaginary_part(working_t a, working_t x, working_t y) noexcept nogil:
    """Of (a + 0i)(x + iy)."""
    cdef working_t zero = 0
    return a * y + zero * x


cdef void divide_complex(void *rule, working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
                         const double *numbers, const working_t **weights, bint past, Py_ssize_t count) noexcept nogil:
    """Complex differences over d + 0i by Smith's formula: with 0 / d and 1 / d, which are given."""
    cdef working_t ratio = <working_t>numbers[0], scale = <working_t>numbers[1], x, y
    cdef Py_ssize_t i
    for i in range(0, 2 * count, 2):
        x = <working_t>(r[i] - p[i])
        y = <working_t>(r[i + 1] - p[i + 1])
        out[i] = <value_t>((x + y * ratio) * scale)
        out[i + 1] = <value_t>((y - x * ratio) * scale)


cdef void combine_complex(void *rule, working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
                          const double *numbers, const working_t **weights, bint past, Py_ssize_t count) noexcept nogil:
    """a p + b q + c r with real weights made complex: an infinite part of a value makes the other NaN."""
    cdef working_t a = <working_t>numbers[0], b = <working_t>numbers[1], c = <working_t>numbers[2]
    cdef Py_ssize_t i, j
    for i in range(0, 2 * count, 2):
        j = i + 1
        out[i] = <value_t>(real_part[working_t](a, p[i], p[j]) + real_part[working_t](b, q[i], q[j])
                           + real_part[working_t](c, r[i], r[j]))
        out[j] = <value_t>(imaginary_part[working_t](a, p[i], p[j]) + imaginary_part[working_t](b, q[i], q[j])
                           + imaginary_part[working_t](c, r[i], r[j]))


cdef void weigh_complex(void *rule, working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
                        const double *numbers, const working_t **weights, bint past, Py_ssize_t count) noexcept nogil:
    """The same, every element with weights of its own."""
    cdef const working_t *a = weights[0]
    cdef const working_t *b = weights[1]
    cdef const working_t *c = weights[2]
    cdef Py_ssize_t k, i, j
    for k in range(count):
        i, j = 2 * k, 2 * k + 1
        out[i] = <value_t>(real_part[working_t](a[k], p[i], p[j]) + real_part[working_t](b[k], q[i], q[j])
                           + real_part[working_t](c[k], r[i], r[j]))
        out[j] = <value_t>(imaginary_part[working_t](a[k], p[i], p[j]) + imaginary_part[working_t](b[k], q[i], q[j])
                           + imaginary_part[working_t](c[k], r[i], r[j]))


cdef void weights(const value_t *x, working_t *a, working_t *b, working_t *c, Py_ssize_t count) noexcept nogil:
    """Weights of the derivative at x[1], ..., x[count] of the parabola through three neighbours."""
    cdef value_t before, after
    cdef Py_ssize_t i
    for i in range(count):
        before = x[i + 1] - x[i]
        after = x[i + 2] - x[i + 1]
        a[i] = <working_t>(-after / (before * (before + after)))
        b[i] = <working_t>((after - before) / (before * after))
        c[i] = <working_t>(before / (after * (before + after)))


cdef bint differs(const value_t *x, double step, Py_ssize_t count) noexcept nogil:
    """Whether any step between neighbours is another than the first."""
    cdef value_t first = <value_t>step
    cdef int found = 0
    cdef Py_ssize_t i
    for i in range(count):
        found |= not (x[i + 1] - x[i] == first)
    return found


cdef void fetch(source_t *_, void *out, const char *first, Py_ssize_t stride, Py_ssize_t parts, bint swap,
                Py_ssize_t count) noexcept nogil:
    """Read elements wherever they lie, as float if they are that, else as double."""
    cdef Py_ssize_t size = sizeof(source_t), i, j
    cdef source_t number
    cdef const source_t *numbers = <const source_t *>first
    if stride == parts * size and not swap and <size_t>first % sizeof(source_t) == 0:
        for i in range(count * parts):
            if source_t is float:
                (<float *>out)[i] = numbers[i]
            else:
                (<double *>out)[i] = <double>numbers[i]
        return
    for i in range(count):
        for j in range(parts):
            memcpy(&number, first + i * stride + j * size, sizeof(source_t))
            if swap:
                steepest_swap(&number, sizeof(source_t))
            if source_t is float:
                (<float *>out)[i * parts + j] = number
            else:
                (<double *>out)[i * parts + j] = <double>number


cdef void store(const value_t *numbers, char *first, Py_ssize_t stride, Py_ssize_t parts, bint swap,
                Py_ssize_t count) noexcept nogil:
    """Write elements wherever they belong."""
    cdef Py_ssize_t size = sizeof(value_t), i, j
    cdef value_t number
    if stride == parts * size and not swap:
        memcpy(first, numbers, count * parts * size)
        return
    for i in range(count):
        for j in range(parts):
            number = numbers[i * parts + j]
            if swap:
                steepest_swap(&number, sizeof(value_t))
            memcpy(first + i * stride + j * size, &number, sizeof(value_t))


cdef Loops loops

loops.run[DIVIDE][FLOAT_IN_FLOAT] = <run_t>run[Divide, float, float]
loops.run[DIVIDE][FLOAT_IN_DOUBLE] = <run_t>run[Divide, double, float]
loops.run[DIVIDE][DOUBLE_IN_DOUBLE] = <run_t>run[Divide, double, double]
loops.run[MULTIPLY][FLOAT_IN_FLOAT] = <run_t>run[Multiply, float, float]
loops.run[MULTIPLY][FLOAT_IN_DOUBLE] = <run_t>run[Multiply, double, float]
loops.run[MULTIPLY][DOUBLE_IN_DOUBLE] = <run_t>run[Multiply, double, double]
loops.run[COMBINE][FLOAT_IN_FLOAT] = <run_t>run[Combine, float, float]
loops.run[COMBINE][FLOAT_IN_DOUBLE] = <run_t>run[Combine, double, float]
loops.run[COMBINE][DOUBLE_IN_DOUBLE] = <run_t>run[Combine, double, double]
loops.run[WEIGH][FLOAT_IN_FLOAT] = <run_t>run[Weigh, float, float]
loops.run[WEIGH][FLOAT_IN_DOUBLE] = <run_t>run[Weigh, double, float]
loops.run[WEIGH][DOUBLE_IN_DOUBLE] = <run_t>run[Weigh, double, double]
loops.run[DIVIDE_COMPLEX][FLOAT_IN_FLOAT] = <run_t>divide_complex[float, float]
loops.run[DIVIDE_COMPLEX][FLOAT_IN_DOUBLE] = <run_t>divide_complex[double, float]
loops.run[DIVIDE_COMPLEX][DOUBLE_IN_DOUBLE] = <run_t>divide_complex[double, double]
loops.run[COMBINE_COMPLEX][FLOAT_IN_FLOAT] = <run_t>combine_complex[float, float]
loops.run[COMBINE_COMPLEX][FLOAT_IN_DOUBLE] = <run_t>combine_complex[double, float]
loops.run[COMBINE_COMPLEX][DOUBLE_IN_DOUBLE] = <run_t>combine_complex[double, double]
loops.run[WEIGH_COMPLEX][FLOAT_IN_FLOAT] = <run_t>weigh_complex[float, float]
loops.run[WEIGH_COMPLEX][FLOAT_IN_DOUBLE] = <run_t>weigh_complex[double, float]
loops.run[WEIGH_COMPLEX][DOUBLE_IN_DOUBLE] = <run_t>weigh_complex[double, double]
loops.divide_apart[FLOAT_IN_FLOAT] = <divide_apart_t>divide_apart[float, float]
loops.divide_apart[FLOAT_IN_DOUBLE] = <divide_apart_t>divide_apart[double, float]
loops.divide_apart[DOUBLE_IN_DOUBLE] = <divide_apart_t>divide_apart[double, double]
loops.combine_apart[FLOAT_IN_FLOAT] = <combine_apart_t>combine_apart[float, float]
loops.combine_apart[FLOAT_IN_DOUBLE] = <combine_apart_t>combine_apart[double, float]
loops.combine_apart[DOUBLE_IN_DOUBLE] = <combine_apart_t>combine_apart[double, double]
loops.weigh_rows[FLOAT_IN_FLOAT] = <weigh_rows_t>weigh_rows[float, float]
loops.weigh_rows[FLOAT_IN_DOUBLE] = <weigh_rows_t>weigh_rows[float, double]
loops.weigh_rows[DOUBLE_IN_DOUBLE] = <weigh_rows_t>weigh_rows[double, double]
loops.weights[FLOAT_IN_FLOAT] = <weights_t>weights[float, float]
loops.weights[FLOAT_IN_DOUBLE] = <weights_t>weights[float, double]
loops.weights[DOUBLE_IN_DOUBLE] = <weights_t>weights[double, double]
loops.differs[0], loops.differs[1] = <differs_t>differs[float], <differs_t>differs[double]
loops.fetch[INT8], loops.fetch[UINT8] = <fetch_t>fetch[int8_t], <fetch_t>fetch[uint8_t]
loops.fetch[INT16], loops.fetch[UINT16] = <fetch_t>fetch[int16_t], <fetch_t>fetch[uint16_t]
loops.fetch[INT32], loops.fetch[UINT32] = <fetch_t>fetch[int32_t], <fetch_t>fetch[uint32_t]
loops.fetch[INT64], loops.fetch[UINT64] = <fetch_t>fetch[int64_t], <fetch_t>fetch[uint64_t]
loops.fetch[FLOAT32], loops.fetch[FLOAT64] = <fetch_t>fetch[float], <fetch_t>fetch[double]
loops.store[0], loops.store[1] = <store_t>store[float], <store_t>store[double]
loops.fence = steepest_fence

table = PyCapsule_New(&loops, "steepest stencil loops", NULL)
