# The loops of the update rules: each rule's arithmetic once, one loop around all of them, for both types. Included by
# update_baseline.pyx, update_avx2.pyx and update_avx512.pyx, which differ by their flags alone.
# Here because the hot arithmetic is built for several instruction sets, with equal bits: no fused multiply-add, no sum
# whose order depends on the width. The rules stand in reference/update.py. Tested in tests/test_update.py.
#
# What limits them: memory for long vectors, division and square root for short ones. Hence one pass, and one division.

from cpython.pycapsule cimport PyCapsule_New
from libc.math cimport fabs, fabsf, sqrt, sqrtf

from steepest.kernels.update cimport (
    PLAIN, MOMENTUM, NESTEROV, ADAGRAD, ADADELTA, RMSPROP, RMSPROP_CENTRED, RMSPROP_MOMENTUM,
    RMSPROP_CENTRED_MOMENTUM, ADAM, AMSGRAD, NADAM, RADAM_EARLY, ADAMAX, ADABELIEF, LION, RPROP, Loops, average_t,
    norm_t, prepare_t, walk_t,
)

ctypedef fused floating:
    float
    double

# One empty type for each rule, so that the loop is made anew for each.
ctypedef struct Plain:
    char _
ctypedef struct Momentum:
    char _
ctypedef struct Nesterov:
    char _
ctypedef struct Adagrad:
    char _
ctypedef struct Adadelta:
    char _
ctypedef struct RMSprop:
    char _
ctypedef struct RMSpropCentred:
    char _
ctypedef struct RMSpropMomentum:
    char _
ctypedef struct RMSpropCentredMomentum:
    char _
ctypedef struct Adam:
    char _
ctypedef struct AMSGrad:
    char _
ctypedef struct NAdam:
    char _
ctypedef struct RAdamEarly:
    char _
ctypedef struct Adamax:
    char _
ctypedef struct AdaBelief:
    char _
ctypedef struct Lion:
    char _
ctypedef struct Rprop:
    char _

ctypedef fused Rule:
    Plain
    Momentum
    Nesterov
    Adagrad
    Adadelta
    RMSprop
    RMSpropCentred
    RMSpropMomentum
    RMSpropCentredMomentum
    Adam
    AMSGrad
    NAdam
    RAdamEarly
    Adamax
    AdaBelief
    Lion
    Rprop


cdef inline floating root(floating x) noexcept nogil:
    if floating is float:
        return sqrtf(x)
    else:
        return sqrt(x)


cdef inline floating size_of(floating x) noexcept nogil:
    if floating is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline floating sign_of(floating x) noexcept nogil:
    """1, -1, or x itself where it is 0 or NaN."""
    return 1 if x > 0 else (-1 if x < 0 else x)


cdef void walk(Rule *rule, floating *x, const floating *gradient, floating **states, const double *numbers,
               Py_ssize_t count) noexcept nogil:
    """One step of one rule; what the numbers mean stands in reference/update.py."""
    cdef floating *a = states[0]
    cdef floating *b = states[1]
    cdef floating *c = states[2]
    cdef floating k0 = <floating>numbers[0], k1 = <floating>numbers[1], k2 = <floating>numbers[2]
    cdef floating k3 = <floating>numbers[3], k4 = <floating>numbers[4], k5 = <floating>numbers[5]
    cdef floating k6 = <floating>numbers[6]
    cdef floating g, m, v, d
    cdef Py_ssize_t i
    for i in range(count):
        g = gradient[i]
        if Rule is Plain:
            x[i] = x[i] - k0 * g
        elif Rule is Momentum:
            m = a[i] * k1 + k2 * g
            a[i] = m
            x[i] = x[i] - k0 * m
        elif Rule is Nesterov:
            m = a[i] * k1 + k2 * g
            a[i] = m
            x[i] = x[i] - k0 * (g + k1 * m)
        elif Rule is Adagrad:
            v = a[i] + g * g
            a[i] = v
            x[i] = x[i] - k0 * g / (root(v) + k1)
        elif Rule is Adadelta:
            v = a[i] * k1 + k2 * (g * g)
            d = g * root(b[i] + k3) / root(v + k3)
            a[i] = v
            b[i] = b[i] * k1 + k2 * (d * d)
            x[i] = x[i] - k0 * d
        elif (Rule is RMSprop or Rule is RMSpropCentred or Rule is RMSpropMomentum
              or Rule is RMSpropCentredMomentum):
            v = a[i] * k1 + k2 * (g * g)
            a[i] = v
            if Rule is RMSpropCentred or Rule is RMSpropCentredMomentum:
                m = b[i] + k2 * (g - b[i])
                b[i] = m
                v = v - m * m
            d = g / (root(v + k4) + k3)
            if Rule is RMSpropMomentum:
                d = b[i] * k5 + d
                b[i] = d
            elif Rule is RMSpropCentredMomentum:
                d = c[i] * k5 + d
                c[i] = d
            x[i] = x[i] - k0 * d
        elif Rule is Adam or Rule is AMSGrad or Rule is NAdam or Rule is RAdamEarly:
            m = a[i] + k1 * (g - a[i])
            v = b[i] * k2 + k3 * (g * g)
            a[i] = m
            b[i] = v
            if Rule is AMSGrad:
                v = c[i] if c[i] > v else v
                c[i] = v
            if Rule is NAdam:
                x[i] = x[i] - (k0 * m + k6 * g) / (root(v) * k4 + k5)
            elif Rule is RAdamEarly:
                x[i] = x[i] - k0 * m
            else:
                x[i] = x[i] - k0 * m / (root(v) * k4 + k5)
        elif Rule is Adamax:
            m = a[i] + k1 * (g - a[i])
            v = b[i] * k2
            d = size_of(g) + k3
            v = v if v > d else d
            a[i] = m
            b[i] = v
            x[i] = x[i] - k0 * m / v
        elif Rule is AdaBelief:
            m = a[i] + k1 * (g - a[i])
            d = g - m
            v = b[i] * k2 + k3 * (d * d) + k6
            a[i] = m
            b[i] = v
            x[i] = x[i] - k0 * m / (root(v) * k4 + k5)
        elif Rule is Lion:
            m = a[i]
            d = m + k1 * (g - m)
            a[i] = m + k2 * (g - m)
            x[i] = x[i] - k0 * sign_of(d)
        else:
            d = g * a[i]
            v = b[i] * (k1 if d > 0 else (k0 if d < 0 else 1))
            v = k2 if v < k2 else (k3 if v > k3 else v)
            g = 0 if d < 0 else g
            a[i] = g
            b[i] = v
            x[i] = x[i] - v * sign_of(g)


cdef void prepare(floating *x, const floating *gradient, floating *prepared, const double *numbers,
                  Py_ssize_t count) noexcept nogil:
    """Scale the gradient, bound its entries, add a share of x; then shrink x."""
    cdef floating scale = <floating>numbers[0], bound = <floating>numbers[1]
    cdef floating decay = <floating>numbers[2], shrink = <floating>numbers[3]
    cdef floating g
    cdef Py_ssize_t i
    for i in range(count):
        g = gradient[i] * scale
        g = -bound if g < -bound else (bound if g > bound else g)
        prepared[i] = g
    if decay != 0:
        for i in range(count):
            prepared[i] = prepared[i] + decay * x[i]
    if shrink != 1:
        for i in range(count):
            x[i] = x[i] * shrink


cdef void average(const floating *x, floating *mean, double weight, Py_ssize_t count) noexcept nogil:
    """mean += weight * (x - mean); a weight of 1 copies."""
    cdef floating w = <floating>weight
    cdef Py_ssize_t i
    if weight == 1:
        for i in range(count):
            mean[i] = x[i]
    else:
        for i in range(count):
            mean[i] = mean[i] + w * (x[i] - mean[i])


cdef double norm(const floating *gradient, Py_ssize_t count) noexcept nogil:
    """Sum of squares, in double: eight partial sums, added up in order."""
    cdef double sums[8]
    cdef double total = 0
    cdef Py_ssize_t i, j, whole = count - count % 8
    for j in range(8):
        sums[j] = 0
    for i in range(0, whole, 8):
        for j in range(8):
            sums[j] += <double>gradient[i + j] * <double>gradient[i + j]
    for i in range(whole, count):
        sums[i - whole] += <double>gradient[i] * <double>gradient[i]
    for j in range(8):
        total += sums[j]
    return total


cdef Loops loops

loops.walk[PLAIN][0] = <walk_t>walk[Plain, float]
loops.walk[PLAIN][1] = <walk_t>walk[Plain, double]
loops.walk[MOMENTUM][0] = <walk_t>walk[Momentum, float]
loops.walk[MOMENTUM][1] = <walk_t>walk[Momentum, double]
loops.walk[NESTEROV][0] = <walk_t>walk[Nesterov, float]
loops.walk[NESTEROV][1] = <walk_t>walk[Nesterov, double]
loops.walk[ADAGRAD][0] = <walk_t>walk[Adagrad, float]
loops.walk[ADAGRAD][1] = <walk_t>walk[Adagrad, double]
loops.walk[ADADELTA][0] = <walk_t>walk[Adadelta, float]
loops.walk[ADADELTA][1] = <walk_t>walk[Adadelta, double]
loops.walk[RMSPROP][0] = <walk_t>walk[RMSprop, float]
loops.walk[RMSPROP][1] = <walk_t>walk[RMSprop, double]
loops.walk[RMSPROP_CENTRED][0] = <walk_t>walk[RMSpropCentred, float]
loops.walk[RMSPROP_CENTRED][1] = <walk_t>walk[RMSpropCentred, double]
loops.walk[RMSPROP_MOMENTUM][0] = <walk_t>walk[RMSpropMomentum, float]
loops.walk[RMSPROP_MOMENTUM][1] = <walk_t>walk[RMSpropMomentum, double]
loops.walk[RMSPROP_CENTRED_MOMENTUM][0] = <walk_t>walk[RMSpropCentredMomentum, float]
loops.walk[RMSPROP_CENTRED_MOMENTUM][1] = <walk_t>walk[RMSpropCentredMomentum, double]
loops.walk[ADAM][0] = <walk_t>walk[Adam, float]
loops.walk[ADAM][1] = <walk_t>walk[Adam, double]
loops.walk[AMSGRAD][0] = <walk_t>walk[AMSGrad, float]
loops.walk[AMSGRAD][1] = <walk_t>walk[AMSGrad, double]
loops.walk[NADAM][0] = <walk_t>walk[NAdam, float]
loops.walk[NADAM][1] = <walk_t>walk[NAdam, double]
loops.walk[RADAM_EARLY][0] = <walk_t>walk[RAdamEarly, float]
loops.walk[RADAM_EARLY][1] = <walk_t>walk[RAdamEarly, double]
loops.walk[ADAMAX][0] = <walk_t>walk[Adamax, float]
loops.walk[ADAMAX][1] = <walk_t>walk[Adamax, double]
loops.walk[ADABELIEF][0] = <walk_t>walk[AdaBelief, float]
loops.walk[ADABELIEF][1] = <walk_t>walk[AdaBelief, double]
loops.walk[LION][0] = <walk_t>walk[Lion, float]
loops.walk[LION][1] = <walk_t>walk[Lion, double]
loops.walk[RPROP][0] = <walk_t>walk[Rprop, float]
loops.walk[RPROP][1] = <walk_t>walk[Rprop, double]
loops.prepare[0], loops.prepare[1] = <prepare_t>prepare[float], <prepare_t>prepare[double]
loops.average[0], loops.average[1] = <average_t>average[float], <average_t>average[double]
loops.norm[0], loops.norm[1] = <norm_t>norm[float], <norm_t>norm[double]

table = PyCapsule_New(&loops, "steepest update loops", NULL)
