# The loops of dense layers: products, activations, losses, for both types. Included by layers_baseline.pyx,
# layers_avx2.pyx and layers_avx512.pyx, which differ by their flags alone.
# Here because the hot arithmetic is built for several instruction sets, with equal bits: no fused multiply-add, no sum
# whose order depends on the width. The formulas stand in reference/layers.py. Tested in tests/test_layers.py.
#
# What limits them: multiplications and additions in the products, which reach nearly as many as the processor can; for
# layers of fewer than about twenty units the exponentials of the activations.

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from steepest.kernels.layers cimport (
    BINARY_CROSS_ENTROPY, CHUNK, Ends, GELU, HUBER, LEAKY_RELU, Loops, MSE, PADDING, RELU, SIGMOID, SILU,
    SOFTMAX_CROSS_ENTROPY, SOFTPLUS, TANH, activate_t, add_t, end_t, finite_t, multiply_t, penalize_t, slant_t,
    transpose_t,
)

include "elementary.pxi"

cdef extern from *:
    """
    #include <string.h>
    #if defined(__GNUC__)
    #define STEEPEST_INLINE inline __attribute__((always_inline))
    #define STEEPEST_UNROLL _Pragma("GCC unroll 8")
    #if defined(__AVX512F__)
    #define STEEPEST_VECTOR_BYTES 64
    #elif defined(__AVX2__)
    #define STEEPEST_VECTOR_BYTES 32
    #else
    #define STEEPEST_VECTOR_BYTES 16
    #endif
    #else
    #define STEEPEST_INLINE __inline
    #define STEEPEST_UNROLL
    #endif
    /* A tile and what it is made of stay in registers: 32 of them, or 16. */
    #if defined(__AVX512F__) || defined(__aarch64__)
    #define STEEPEST_ROWS 8
    #define STEEPEST_VECTORS 3
    #else
    #define STEEPEST_ROWS 4
    #define STEEPEST_VECTORS 2
    #endif
    #define REAL float
    #define NAMED(name) steepest_float_##name
    #include "layers_tile.h"
    #define REAL double
    #define NAMED(name) steepest_double_##name
    #include "layers_tile.h"
    """
    void steepest_float_multiply(int turned, const float *const *a, const float *b, Py_ssize_t b_row, float *c,
                                 Py_ssize_t c_row, const float *start, Py_ssize_t start_row, Py_ssize_t rows,
                                 Py_ssize_t terms, Py_ssize_t columns, int padded) noexcept nogil
    void steepest_double_multiply(int turned, const double *const *a, const double *b, Py_ssize_t b_row, double *c,
                                  Py_ssize_t c_row, const double *start, Py_ssize_t start_row, Py_ssize_t rows,
                                  Py_ssize_t terms, Py_ssize_t columns, int padded) noexcept nogil


cdef void activate(int code, floating *z, floating *slopes, double slope, Py_ssize_t count) noexcept nogil:
    """Values in place of what enters the activation; derivatives where they are not found from the values."""
    cdef floating s = <floating>slope
    cdef Py_ssize_t i
    if code == RELU:
        for i in range(count):
            z[i] = <floating>0 if z[i] < 0 else z[i]
    elif code == LEAKY_RELU:
        for i in range(count):
            z[i] = z[i] if z[i] > 0 else s * z[i]
    elif code == SIGMOID:
        for i in range(count):
            z[i] = sigmoid(z[i])
    elif code == TANH:
        for i in range(count):
            z[i] = tanh(z[i])
    elif code == SOFTPLUS:
        if slopes != NULL:
            for i in range(count):
                slopes[i] = sigmoid(z[i])
        for i in range(count):
            z[i] = softplus(z[i])
    elif code == GELU:
        gelu(z, slopes, count)
    elif code == SILU:
        silu(z, slopes, count)


cdef void gelu(floating *z, floating *slopes, Py_ssize_t count) noexcept nogil:
    cdef floating low, inside, e, tail, chance
    cdef Py_ssize_t i
    for i in range(count):
        low = <floating>-40 if z[i] < -40 else z[i]
        inside = <floating>40 if low > 40 else low
        e = exp_of_negative((inside * inside) * <floating>-0.5)
        tail = normal_tail(size_of(inside), e)
        chance = tail if inside < 0 else <floating>1 - tail
        if slopes != NULL:
            slopes[i] = chance + inside * (e * <floating>0.3989422804014327)
        z[i] = low * chance


cdef void silu(floating *z, floating *slopes, Py_ssize_t count) noexcept nogil:
    cdef floating low, inside, s
    cdef Py_ssize_t i
    for i in range(count):
        low = <floating>-750 if z[i] < -750 else z[i]
        inside = <floating>750 if low > 750 else low
        s = sigmoid(z[i])
        if slopes != NULL:
            slopes[i] = s + s * (inside * (<floating>1 - s))
        z[i] = low * s


cdef void slant(int code, floating *d, const floating *values, const floating *slopes, double slope,
                Py_ssize_t count) noexcept nogil:
    """Deltas times the derivative of the activation."""
    cdef floating s = <floating>slope
    cdef Py_ssize_t i
    if code == RELU:
        for i in range(count):
            d[i] = d[i] if values[i] > 0 else <floating>0
    elif code == LEAKY_RELU:
        for i in range(count):
            d[i] = d[i] if values[i] > 0 else s * d[i]
    elif code == SIGMOID:
        for i in range(count):
            d[i] = d[i] * (values[i] * (<floating>1 - values[i]))
    elif code == TANH:
        for i in range(count):
            d[i] = d[i] * (<floating>1 - values[i] * values[i])
    elif slopes != NULL:
        for i in range(count):
            d[i] = d[i] * slopes[i]


cdef inline floating total(const floating *s) noexcept nogil:
    return ((((s[0] + s[8]) + (s[4] + s[12])) + ((s[2] + s[10]) + (s[6] + s[14])))
            + (((s[1] + s[9]) + (s[5] + s[13])) + ((s[3] + s[11]) + (s[7] + s[15]))))


cdef inline floating larger(floating a, floating b) noexcept nogil:
    return a if a > b else b


cdef inline floating largest(const floating *s) noexcept nogil:
    return larger(
        larger(larger(larger(s[0], s[8]), larger(s[4], s[12])), larger(larger(s[2], s[10]), larger(s[6], s[14]))),
        larger(larger(larger(s[1], s[9]), larger(s[5], s[13])), larger(larger(s[3], s[11]), larger(s[7], s[15]))))


cdef inline floating sum_of_row(const floating *terms, Py_ssize_t count) noexcept nogil:
    """Of a row that is a multiple of sixteen long: sixteen partial sums, added as a tree."""
    cdef floating s[16]
    cdef Py_ssize_t i, j
    for j in range(16):
        s[j] = 0
    for i in range(0, count, 16):
        for j in range(16):
            s[j] += terms[i + j]
    return total(s)


cdef inline floating largest_of_row(const floating *a, Py_ssize_t count) noexcept nogil:
    cdef floating s[16]
    cdef Py_ssize_t i, j
    for j in range(16):
        s[j] = a[j]
    for i in range(16, count, 16):
        for j in range(16):
            s[j] = larger(a[i + j], s[j])
    return largest(s)


cdef void end(const Ends *ends, floating *type) noexcept nogil:
    """The loss of every row, and its derivatives by the outputs, times the factor of the row."""
    if ends.code == SOFTMAX_CROSS_ENTROPY:
        end_softmax[floating](ends, type)
    elif ends.code == BINARY_CROSS_ENTROPY:
        end_binary[floating](ends, type)
    else:
        end_squares[floating](ends, type)


cdef void sum_terms(const Ends *ends, floating share) noexcept nogil:
    cdef floating *terms = <floating *>ends.terms
    cdef Py_ssize_t i, j
    for i in range(ends.rows):
        for j in range(ends.columns, ends.row):
            terms[i * ends.row + j] = 0
        ends.losses[i] = sum_of_row(terms + i * ends.row, ends.row) * share


cdef void end_squares(const Ends *ends, floating *type) noexcept nogil:
    cdef const floating *a = <const floating *>ends.outputs
    cdef const floating *y = <const floating *>ends.y
    cdef floating *terms = <floating *>ends.terms
    cdef floating *slopes = <floating *>ends.slopes
    cdef double share = (2.0 if ends.code == MSE else 1.0) / ends.columns
    cdef floating factor, d, size, bound = <floating>ends.delta, half = <floating>0.5
    cdef Py_ssize_t i, j, at
    for i in range(ends.rows):
        factor = <floating>(ends.factors[i] * share)
        at = i * ends.row
        if ends.code == HUBER:
            for j in range(ends.row):
                d = a[at + j] - y[at + j]
                size = size_of(d)
                terms[at + j] = bound * (size - half * bound) if size > bound else half * (d * d)
                d = bound if d > bound else (-bound if d < -bound else d)
                slopes[at + j] = d * factor
        else:
            for j in range(ends.row):
                d = a[at + j] - y[at + j]
                terms[at + j] = d * d
                slopes[at + j] = d * factor
    sum_terms(ends, <floating>share if ends.code == HUBER else <floating>(0.5 * share))


cdef void end_binary(const Ends *ends, floating *type) noexcept nogil:
    cdef const floating *a = <const floating *>ends.outputs
    cdef const floating *y = <const floating *>ends.y
    cdef floating *terms = <floating *>ends.terms
    cdef floating *slopes = <floating *>ends.slopes
    cdef floating factor, e, z
    cdef Py_ssize_t i, j, at
    for i in range(ends.rows * ends.row):
        z = a[i]
        e = exp_of_negative(-size_of(z))
        terms[i] = ((<floating>0 if z < 0 else z) - z * y[i]) + log1p_of_fraction(e)
        slopes[i] = (e if z < 0 else <floating>1) / (<floating>1 + e) - y[i]
    for i in range(ends.rows):
        factor = <floating>ends.factors[i]
        at = i * ends.row
        for j in range(ends.row):
            slopes[at + j] = slopes[at + j] * factor
    sum_terms(ends, <floating>1)


cdef void end_softmax(const Ends *ends, floating *type) noexcept nogil:
    """The logarithm is taken of a sum that is at least 1, so that no gap between logits is too wide."""
    cdef floating *a = <floating *>ends.outputs
    cdef floating *slopes = <floating *>ends.slopes
    cdef floating most[CHUNK]
    cdef floating sums[CHUNK]
    cdef floating inverses[CHUNK]
    cdef Py_ssize_t i, j, at
    for i in range(ends.rows):
        at = i * ends.row
        for j in range(ends.columns, ends.row):
            a[at + j] = <floating>-INFINITY
        most[i] = largest_of_row(a + at, ends.row)
        for j in range(ends.row):
            slopes[at + j] = a[at + j] - most[i]
    for i in range(ends.rows * ends.row):       # one long loop: short ones would read the coefficients again and again
        slopes[i] = exp_of_negative(slopes[i])
    for i in range(ends.rows):
        sums[i] = sum_of_row(slopes + i * ends.row, ends.row)
    for i in range(ends.rows):
        inverses[i] = <floating>1 / sums[i]
    for i in range(ends.rows):
        sums[i] = log(sums[i])
    if ends.labels != NULL:
        end_labels(ends, most, sums, inverses)
    else:
        end_chances(ends, most, sums, inverses)


cdef void end_labels(const Ends *ends, const floating *most, const floating *logarithms,
                     const floating *inverses) noexcept nogil:
    cdef const floating *a = <const floating *>ends.outputs
    cdef floating *slopes = <floating *>ends.slopes
    cdef floating factor, inverse, chosen
    cdef Py_ssize_t i, j, at, label
    for i in range(ends.rows):
        at, label = i * ends.row, ends.labels[i]
        factor, inverse = <floating>ends.factors[i], inverses[i]
        chosen = slopes[at + label] * inverse - <floating>1
        for j in range(ends.row):
            slopes[at + j] = (slopes[at + j] * inverse) * factor
        slopes[at + label] = chosen * factor
        ends.losses[i] = (most[i] - a[at + label]) + logarithms[i]


cdef void end_chances(const Ends *ends, const floating *most, const floating *logarithms,
                      const floating *inverses) noexcept nogil:
    cdef const floating *a = <const floating *>ends.outputs
    cdef const floating *y = <const floating *>ends.y
    cdef floating *terms = <floating *>ends.terms
    cdef floating *slopes = <floating *>ends.slopes
    cdef floating factor, sum_of_y, term
    cdef Py_ssize_t i, j, at
    for i in range(ends.rows):
        at, factor = i * ends.row, <floating>ends.factors[i]
        sum_of_y = sum_of_row(y + at, ends.row)
        for j in range(ends.row):
            term = y[at + j] * ((most[i] - a[at + j]) + logarithms[i])
            terms[at + j] = <floating>0 if y[at + j] == 0 else term
            slopes[at + j] = ((slopes[at + j] * inverses[i]) * sum_of_y - y[at + j]) * factor
    sum_terms(ends, <floating>1)


cdef void transpose(const floating *a, Py_ssize_t rows, Py_ssize_t columns, floating *to,
                    Py_ssize_t to_row) noexcept nogil:
    """In blocks that stay in the first cache."""
    cdef Py_ssize_t i, j, first, last
    for first in range(0, rows, 16):
        last = min(first + 16, rows)
        for j in range(columns):
            for i in range(first, last):
                to[j * to_row + i] = a[i * columns + j]


cdef void add(floating *a, const floating *b, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        a[i] += b[i]


cdef bint finite(const floating *a, Py_ssize_t count) noexcept nogil:
    """Whether all are numbers: what is left of one less itself is 0. By bits, which may be joined in any order."""
    cdef uint32_t short_found = 0
    cdef uint64_t long_found = 0
    cdef Py_ssize_t i
    if floating is float:
        for i in range(count):
            short_found |= steepest_bits_of_float(a[i] - a[i])
        return short_found == 0
    else:
        for i in range(count):
            long_found |= steepest_bits_of_double(a[i] - a[i])
        return long_found == 0


cdef inline floating sign_of(floating x) noexcept nogil:
    """1, -1, or x itself where it is 0 or NaN."""
    return <floating>1 if x > 0 else (<floating>-1 if x < 0 else x)


cdef double penalize(const floating *weights, floating *gradient, double l2, double l1,
                     Py_ssize_t count) noexcept nogil:
    """What weights add to the loss, summed in double, and to its gradient."""
    cdef double squares[16]
    cdef double sizes[16]
    cdef double w, penalty = 0.0
    cdef floating a = <floating>l2, b = <floating>l1
    cdef Py_ssize_t i, j
    for j in range(16):
        squares[j] = sizes[j] = 0.0
    for i in range(0, count, 16):
        for j in range(min(16, count - i)):
            w = weights[i + j]
            squares[j] += w * w
            sizes[j] += fabs(w)
    if gradient != NULL and l2 != 0:
        for i in range(count):
            gradient[i] = gradient[i] + a * weights[i]
    if gradient != NULL and l1 != 0:
        for i in range(count):
            gradient[i] = gradient[i] + b * sign_of(weights[i])
    if l2 != 0:
        penalty += (0.5 * l2) * total(squares)
    if l1 != 0:
        penalty += l1 * total(sizes)
    return penalty


cdef Loops loops

loops.multiply[0] = <multiply_t>steepest_float_multiply
loops.multiply[1] = <multiply_t>steepest_double_multiply
loops.activate[0], loops.activate[1] = <activate_t>activate[float], <activate_t>activate[double]
loops.slant[0], loops.slant[1] = <slant_t>slant[float], <slant_t>slant[double]
loops.end[0], loops.end[1] = <end_t>end[float], <end_t>end[double]
loops.transpose[0], loops.transpose[1] = <transpose_t>transpose[float], <transpose_t>transpose[double]
loops.add[0], loops.add[1] = <add_t>add[float], <add_t>add[double]
loops.finite[0], loops.finite[1] = <finite_t>finite[float], <finite_t>finite[double]
loops.penalize[0], loops.penalize[1] = <penalize_t>penalize[float], <penalize_t>penalize[double]

table = PyCapsule_New(&loops, "steepest layers loops", NULL)
