# The loops over sampled fields: each expression once, for all types. Included by stencil_baseline.pyx, stencil_avx2.pyx
# and stencil_avx512.pyx, which differ by their flags alone.
# Here because the hot arithmetic is built for several instruction sets, with equal bits: those of NumPy, whose order of
# operations and whose roundings these are. What they are loops of stands in stencil.pyx. Tested in tests/test_stencil.py.
#
# What limits them: memory beyond the caches, division within.

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from steepest.kernels.stencil cimport (
    DOUBLE_IN_DOUBLE, FLOAT32, FLOAT64, FLOAT_IN_DOUBLE, FLOAT_IN_FLOAT, INT8, INT16, INT32, INT64, UINT8, UINT16,
    UINT32, UINT64, Loops, combine_apart_t, combine_t, difference_t, differs_t, divide_apart_t, fetch_t, store_t,
    weigh_t, weights_t,
)

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__) || defined(_M_X64)
    #include <immintrin.h>
    #endif

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

    /* A copy past the caches, which would be fetched into them only to be overwritten. */
    static void steepest_stream(void *out, const void *source, Py_ssize_t nbytes)
    {
        char *o = (char *)out;
        const char *s = (const char *)source;
    #if defined(__SSE2__) || defined(_M_X64)
        Py_ssize_t head = (Py_ssize_t)(-(uintptr_t)o & 63);
        if (head > nbytes) head = nbytes;
        memcpy(o, s, head);
        o += head; s += head; nbytes -= head;
        for (; nbytes >= 64; nbytes -= 64, o += 64, s += 64) {
    #if defined(__AVX512F__)
            _mm512_stream_si512((void *)o, _mm512_loadu_si512((const void *)s));
    #elif defined(__AVX2__)
            _mm256_stream_si256((__m256i *)o, _mm256_loadu_si256((const __m256i *)s));
            _mm256_stream_si256((__m256i *)(o + 32), _mm256_loadu_si256((const __m256i *)(s + 32)));
    #else
            for (int k = 0; k < 64; k += 16)
                _mm_stream_si128((__m128i *)(o + k), _mm_loadu_si128((const __m128i *)(s + k)));
    #endif
        }
    #endif
        memcpy(o, s, nbytes);
    }

    static void steepest_fence(void)
    {
    #if defined(__SSE2__) || defined(_M_X64)
        _mm_sfence();
    #endif
    }
    """
    void steepest_swap(void *number, size_t size) noexcept nogil
    void steepest_stream(void *out, const void *source, Py_ssize_t nbytes) noexcept nogil
    void steepest_fence() noexcept nogil

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


cdef void divide(working_t *_, value_t *out, const value_t *low, const value_t *high, const double *numbers,
                 Py_ssize_t count) noexcept nogil:
    """out = (high - low) / d: the difference in the type of the values."""
    cdef working_t d = <working_t>numbers[0]
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <value_t>(<working_t>(high[i] - low[i]) / d)


cdef void multiply(working_t *_, value_t *out, const value_t *low, const value_t *high, const double *numbers,
                   Py_ssize_t count) noexcept nogil:
    """The same where 1 / d, which is given, is exact."""
    cdef working_t reciprocal = <working_t>numbers[0]
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <value_t>(<working_t>(high[i] - low[i]) * reciprocal)


cdef void quotient(working_t *_, value_t *out, const value_t *low, const value_t *high, const double *numbers,
                   Py_ssize_t count) noexcept nogil:
    """Complex values over d + 0i by Smith's formula: with 0 / d and 1 / d, which are given."""
    cdef working_t ratio = <working_t>numbers[0], scale = <working_t>numbers[1], x, y
    cdef Py_ssize_t i
    for i in range(0, 2 * count, 2):
        x = <working_t>(high[i] - low[i])
        y = <working_t>(high[i + 1] - low[i + 1])
        out[i] = <value_t>((x + y * ratio) * scale)
        out[i + 1] = <value_t>((y - x * ratio) * scale)


cdef void combine(working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
                  const double *numbers, Py_ssize_t count) noexcept nogil:
    """out = a p + b q + c r, from the left."""
    cdef working_t a = <working_t>numbers[0], b = <working_t>numbers[1], c = <working_t>numbers[2]
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <value_t>(a * <working_t>p[i] + b * <working_t>q[i] + c * <working_t>r[i])


cdef void divide_apart(working_t *_, value_t *out, const value_t *low, const value_t *high, const double *numbers,
                       Py_ssize_t apart, Py_ssize_t count) noexcept nogil:
    """`divide`, of elements that lie apart."""
    cdef working_t d = <working_t>numbers[0]
    cdef Py_ssize_t i
    for i in range(count):
        out[i * apart] = <value_t>(<working_t>(high[i * apart] - low[i * apart]) / d)


cdef void combine_apart(working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
                        const double *numbers, Py_ssize_t apart, Py_ssize_t count) noexcept nogil:
    """`combine`, of elements that lie apart."""
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


cdef void combine_complex(working_t *_, value_t *out, const value_t *p, const value_t *q, const value_t *r,
                          const double *numbers, Py_ssize_t count) noexcept nogil:
    """The same of complex values, with real weights made complex: an infinite part makes the other NaN."""
    cdef working_t a = <working_t>numbers[0], b = <working_t>numbers[1], c = <working_t>numbers[2]
    cdef Py_ssize_t i, j
    for i in range(0, 2 * count, 2):
        j = i + 1
        out[i] = <value_t>(real_part[working_t](a, p[i], p[j]) + real_part[working_t](b, q[i], q[j])
                           + real_part[working_t](c, r[i], r[j]))
        out[j] = <value_t>(imaginary_part[working_t](a, p[i], p[j]) + imaginary_part[working_t](b, q[i], q[j])
                           + imaginary_part[working_t](c, r[i], r[j]))


cdef void weigh(const working_t *a, const working_t *b, const working_t *c, value_t *out, const value_t *p,
                const value_t *q, const value_t *r, Py_ssize_t count) noexcept nogil:
    """out = a p + b q + c r, every element with weights of its own."""
    cdef Py_ssize_t i
    for i in range(count):
        out[i] = <value_t>(a[i] * <working_t>p[i] + b[i] * <working_t>q[i] + c[i] * <working_t>r[i])


cdef void weigh_complex(const working_t *a, const working_t *b, const working_t *c, value_t *out, const value_t *p,
                        const value_t *q, const value_t *r, Py_ssize_t count) noexcept nogil:
    """The same of complex values."""
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

loops.divide[FLOAT_IN_FLOAT] = <difference_t>divide[float, float]
loops.divide[FLOAT_IN_DOUBLE] = <difference_t>divide[double, float]
loops.divide[DOUBLE_IN_DOUBLE] = <difference_t>divide[double, double]
loops.multiply[FLOAT_IN_FLOAT] = <difference_t>multiply[float, float]
loops.multiply[FLOAT_IN_DOUBLE] = <difference_t>multiply[double, float]
loops.multiply[DOUBLE_IN_DOUBLE] = <difference_t>multiply[double, double]
loops.quotient[FLOAT_IN_FLOAT] = <difference_t>quotient[float, float]
loops.quotient[FLOAT_IN_DOUBLE] = <difference_t>quotient[double, float]
loops.quotient[DOUBLE_IN_DOUBLE] = <difference_t>quotient[double, double]
loops.divide_apart[FLOAT_IN_FLOAT] = <divide_apart_t>divide_apart[float, float]
loops.divide_apart[FLOAT_IN_DOUBLE] = <divide_apart_t>divide_apart[double, float]
loops.divide_apart[DOUBLE_IN_DOUBLE] = <divide_apart_t>divide_apart[double, double]
loops.combine_apart[FLOAT_IN_FLOAT] = <combine_apart_t>combine_apart[float, float]
loops.combine_apart[FLOAT_IN_DOUBLE] = <combine_apart_t>combine_apart[double, float]
loops.combine_apart[DOUBLE_IN_DOUBLE] = <combine_apart_t>combine_apart[double, double]
loops.combine[FLOAT_IN_FLOAT] = <combine_t>combine[float, float]
loops.combine[FLOAT_IN_DOUBLE] = <combine_t>combine[double, float]
loops.combine[DOUBLE_IN_DOUBLE] = <combine_t>combine[double, double]
loops.combine_complex[FLOAT_IN_FLOAT] = <combine_t>combine_complex[float, float]
loops.combine_complex[FLOAT_IN_DOUBLE] = <combine_t>combine_complex[double, float]
loops.combine_complex[DOUBLE_IN_DOUBLE] = <combine_t>combine_complex[double, double]
loops.weigh[FLOAT_IN_FLOAT] = <weigh_t>weigh[float, float]
loops.weigh[FLOAT_IN_DOUBLE] = <weigh_t>weigh[double, float]
loops.weigh[DOUBLE_IN_DOUBLE] = <weigh_t>weigh[double, double]
loops.weigh_complex[FLOAT_IN_FLOAT] = <weigh_t>weigh_complex[float, float]
loops.weigh_complex[FLOAT_IN_DOUBLE] = <weigh_t>weigh_complex[double, float]
loops.weigh_complex[DOUBLE_IN_DOUBLE] = <weigh_t>weigh_complex[double, double]
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
loops.stream, loops.fence = steepest_stream, steepest_fence

table = PyCapsule_New(&loops, "steepest stencil loops", NULL)
