# exp, log, tanh and their like, from additions, multiplications and one division: one element, both types.
# Here because the bits of a network must not depend on the machine, and because such a loop is made vectors where a
# call of the C library is not. The twin, with all that is to be said, is reference/elementary.py. Included by
# layers.pxi. Tested in tests/test_elementary.py and tests/test_layers.py.

from libc.math cimport copysign, copysignf, fabs, fabsf
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint32_t steepest_bits_of_float(float x) { uint32_t b; memcpy(&b, &x, 4); return b; }
    static inline uint64_t steepest_bits_of_double(double x) { uint64_t b; memcpy(&b, &x, 8); return b; }
    static inline float steepest_float_of(uint32_t b) { float x; memcpy(&x, &b, 4); return x; }
    static inline double steepest_double_of(uint64_t b) { double x; memcpy(&x, &b, 8); return x; }
    """
    uint32_t steepest_bits_of_float(float x) noexcept nogil
    uint64_t steepest_bits_of_double(double x) noexcept nogil
    float steepest_float_of(uint32_t b) noexcept nogil
    double steepest_double_of(uint64_t b) noexcept nogil

ctypedef fused floating:
    float
    double

cdef enum:
    SATURATED_FLOAT = 20
    SATURATED_DOUBLE = 44


cdef inline floating size_of(floating x) noexcept nogil:
    if floating is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline floating whole(floating x) noexcept nogil:
    """The whole number that is nearest to x."""
    if floating is float:
        return (x + <float>12582912.0) - <float>12582912.0
    else:
        return (x + 6755399441055744.0) - 6755399441055744.0


cdef inline floating power_of_two(floating n) noexcept nogil:
    """2 to the n, for whole n that are exponents of normal numbers: their bits are put where an exponent belongs."""
    if floating is float:
        return steepest_float_of((steepest_bits_of_float(n + <float>12582912.0) + <uint32_t>127) << 23)
    else:
        return steepest_double_of((steepest_bits_of_double(n + 6755399441055744.0) + <uint64_t>1023) << 52)


cdef inline floating expm1_series(floating r) noexcept nogil:
    """(exp(r) - 1 - r) / r², |r| <= ln(2) / 2; by Estrin's rule, as the others."""
    cdef floating r2 = r * r, r4 = r2 * r2, r8 = r4 * r4
    cdef floating a, b, c, d, e
    if floating is float:
        a = <float>0.5 + <float>0.16666576266288757 * r
        b = <float>0.04166655242443085 + <float>0.00836323294788599 * r
        c = <float>0.0013926250394433737
        return (a + b * r2) + c * r4
    else:
        a = 0.5 + 0.16666666666666669 * r
        b = 0.041666666666623824 + 0.008333333333330039 * r
        c = 0.0013888888917367081 + 0.00019841269863171557 * r
        d = 2.4801521057868204e-05 + 2.7557268276905696e-06 * r
        e = 2.7620201591031547e-07 + 2.5100472505694996e-08 * r
        return ((a + b * r2) + (c + d * r2) * r4) + e * r8


cdef inline floating atanh_series(floating s) noexcept nogil:
    """(atanh(f) / f - 1) / f² for s = f² <= 1 / 9."""
    cdef floating s2 = s * s, s4 = s2 * s2, s8 = s4 * s4
    cdef floating a, b, c, d, e
    if floating is float:
        a = <float>0.33333319425582886 + <float>0.20003782212734222 * s
        b = <float>0.14118273556232452 + <float>0.1342601329088211 * s
        return a + b * s2
    else:
        a = 0.3333333333333333 + 0.20000000000007298 * s
        b = 0.1428571428355253 + 0.11111111358900891 * s
        c = 0.09090894708663223 + 0.07692785296456121 * s
        d = 0.06657067775440581 + 0.06000577591428889 * s
        e = 0.04400158825434387 + 0.08082469084735669 * s
        return ((a + b * s2) + (c + d * s2) * s4) + e * s8


cdef inline floating tail_series(floating t) noexcept nogil:
    """(w + 5) exp(w² / 2) times the chance that a normal number is above w; t = 1 - 10 / (w + 5)."""
    cdef floating t2 = t * t, t4 = t2 * t2, t8 = t4 * t4, t16 = t8 * t8
    cdef floating a, b, c, d, e, f, g, h, i, j, k, m, low, high
    if floating is float:
        a = <float>0.7691930532455444 - <float>0.6653825044631958 * t
        b = <float>0.49530598521232605 - <float>0.3135330379009247 * t
        c = <float>0.1650160700082779 - <float>0.06911993771791458 * t
        d = <float>0.020813889801502228 - <float>0.0029877631459385157 * t
        e = <float>-0.0008359720814041793 + <float>0.0005338270566426218 * t
        f = <float>-2.1871772332815453e-05 - <float>3.9435733924619853e-05 * t
        return ((a + b * t2) + (c + d * t2) * t4) + (e + f * t2) * t8
    else:
        a = 0.769193049750063 - 0.6653825028900577 * t
        b = 0.4953056159699768 - 0.3135331566712138 * t
        c = 0.16502036617034282 - 0.06911863870881432 * t
        d = 0.020795066800941616 - 0.00299337673822322 * t
        e = -0.0007978694094808063 + 0.00054489883090093 * t
        f = -5.9375673286488655e-05 - 4.976177118979218e-05 * t
        g = 1.6681099115863468e-05 + 3.977912640593242e-06 * t
        h = -2.769337871043854e-06 - 3.310698071526862e-07 * t
        i = 4.3402625948297756e-07 + 3.581840051543223e-08 * t
        j = -6.782555313291156e-08 - 5.015649939857856e-09 * t
        k = 9.446827519677368e-09 + 5.037302126379855e-10 * t
        m = -8.166192624428989e-10
        low = ((a + b * t2) + (c + d * t2) * t4) + ((e + f * t2) + (g + h * t2) * t4) * t8
        high = (i + j * t2) + (k + m * t2) * t4
        return low + high * t16


cdef inline floating exponent(floating x) noexcept nogil:
    """The n of x = n ln 2 + r."""
    return whole(x * <floating>1.4426950408889634)


cdef inline floating rest(floating x, floating n) noexcept nogil:
    """exp(r) - 1."""
    cdef floating r
    if floating is float:
        r = (x - n * <float>0.693115234375) - n * <float>3.194618329871446e-05
    else:
        r = (x - n * 0.693147180559663) - n * 2.8235290563031577e-13
    return r + (r * r) * expm1_series(r)


cdef inline floating exp(floating x) noexcept nogil:
    """The exponential function, into subnormal numbers."""
    cdef floating low = -104 if floating is float else -746, high = 89 if floating is float else 710, n, half
    x = low if x < low else x
    x = high if x > high else x
    n = exponent(x)
    half = whole(n * <floating>0.5)
    return ((<floating>1 + rest(x, n)) * power_of_two(half)) * power_of_two(n - half)


cdef inline floating exp_of_negative(floating x) noexcept nogil:
    """The exponential function of numbers that are not positive; what would be subnormal is 0."""
    cdef floating low = -87 if floating is float else -708
    cdef floating inside = low if x < low else x
    cdef floating n = exponent(inside)
    cdef floating e = (<floating>1 + rest(inside, n)) * power_of_two(n)
    return <floating>0 if x < low else e


cdef inline floating expm1_of_negative(floating x) noexcept nogil:
    """exp(x) - 1 for numbers that are not positive."""
    cdef floating low = -SATURATED_FLOAT if floating is float else -SATURATED_DOUBLE, n, power
    x = low if x < low else x
    n = exponent(x)
    power = power_of_two(n)
    return power * rest(x, n) + (power - <floating>1)


cdef inline floating twice_atanh(floating f) noexcept nogil:
    """2 atanh(f) for |f| <= 1 / 3."""
    cdef floating s = f * f
    return (f + f) + (f + f) * (s * atanh_series(s))


cdef inline floating log1p_of_fraction(floating x) noexcept nogil:
    """log(1 + x) for x from 0 to 1."""
    return twice_atanh(x / (<floating>2 + x))


cdef inline floating log(floating x) noexcept nogil:
    """The logarithm of normal numbers from 1 on."""
    cdef uint32_t short_k
    cdef uint64_t long_k
    cdef floating n, fraction, high, low
    if floating is float:
        short_k = (steepest_bits_of_float(x) - steepest_bits_of_float(<float>0.70710678118654752)) >> 23
        fraction = steepest_float_of(steepest_bits_of_float(x) - (short_k << 23))
        n, high, low = <float>short_k, <float>0.693115234375, <float>3.194618329871446e-05
    else:
        long_k = (steepest_bits_of_double(x) - steepest_bits_of_double(0.70710678118654752)) >> 52
        fraction = steepest_double_of(steepest_bits_of_double(x) - (long_k << 52))
        n, high, low = <double>long_k, 0.693147180559663, 2.8235290563031577e-13
    low = n * low + twice_atanh((fraction - <floating>1) / (fraction + <floating>1))
    return (n * high + low) + (x - x)       # NaN stays


cdef inline floating sigmoid(floating x) noexcept nogil:
    """1 / (1 + exp(-x)), without overflow and accurate in both tails."""
    cdef floating e = exp_of_negative(-size_of(x))
    return (e if x < 0 else <floating>1) / (<floating>1 + e)


cdef inline floating tanh(floating x) noexcept nogil:
    """The hyperbolic tangent, from exp(-2 |x|) - 1."""
    cdef floating m = expm1_of_negative(size_of(x) * <floating>-2)
    m = m / (<floating>2 + m)
    if floating is float:
        return copysignf(m, x)
    else:
        return copysign(m, x)


cdef inline floating softplus(floating x) noexcept nogil:
    """log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|))."""
    return (<floating>0 if x < 0 else x) + log1p_of_fraction(exp_of_negative(-size_of(x)))


cdef inline floating normal_tail(floating w, floating e) noexcept nogil:
    """The chance that a normal number is above w, for w from 0 on; e is exp(-w² / 2)."""
    cdef floating inverse = <floating>1 / (w + <floating>5)
    return (e * inverse) * tail_series(<floating>1 - <floating>10 * inverse)
