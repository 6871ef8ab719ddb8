"""exp, log, tanh and their like from additions, multiplications and one division: the twin of kernels/elementary.pxi.

Here because the bits of a network must not depend on the machine, and NumPy's own functions do. Plain polynomials of
near-minimax coefficients (interpolated at Chebyshev nodes, 60 digits), no tables. Tested in tests/test_elementary.py.

Every function takes arrays of float32 or float64 and returns the same type; ±inf and NaN are right, and nothing warns
within ``numpy.errstate(all="ignore")``, which the caller has entered. Largest errors, in units in the last place, are
in `ULPS`; of `normal_tail` relative to the value, which grows with x² / 2 as the rounding of x² does.
"""

from typing import NamedTuple

import numpy as np

ULPS = {"exp": 2, "exp_of_negative": 2, "expm1_of_negative": 2, "log": 2, "log1p_of_fraction": 2,
        "sigmoid": 3, "tanh": 3, "softplus": 3}


class Constants(NamedTuple):
    """What the functions need, for one type."""

    integer: type
    magic: float        # added to a number and taken away again, it rounds to a whole one, which its low bits hold
    bits: int           # of the fraction
    bias: int           # of the exponent
    lowest: float       # below, exp is 0; above the highest it is infinite
    highest: float
    saturated: float    # where tanh is 1 and expm1 -1, to rounding
    log2e: float
    ln2: float          # a part of ln 2 with so few digits that its multiples are exact, and the rest
    ln2_rest: float
    expm1: tuple        # (exp(r) - 1 - r) / r², |r| <= ln(2) / 2
    atanh: tuple        # (atanh(f) / f - 1) / f², in powers of f² <= 1 / 9
    tail: tuple         # (w + 5) exp(w² / 2) times the chance that a normal number is above w, in t = 1 - 10 / (w + 5)


CONSTANTS = {
    np.dtype("f"): Constants(
        np.int32, 12582912.0, 23, 127, -104.0, 89.0, 20.0, 1.4426950408889634, 0.693115234375, 3.194618329871446e-05,
        (0.5, 0.16666576266288757, 0.04166655242443085, 0.00836323294788599, 0.0013926250394433737),
        (0.33333319425582886, 0.20003782212734222, 0.14118273556232452, 0.1342601329088211),
        (0.7691930532455444, -0.6653825044631958, 0.49530598521232605, -0.3135330379009247, 0.1650160700082779,
         -0.06911993771791458, 0.020813889801502228, -0.0029877631459385157, -0.0008359720814041793,
         0.0005338270566426218, -2.1871772332815453e-05, -3.9435733924619853e-05),
    ),
    np.dtype("d"): Constants(
        np.int64, 6755399441055744.0, 52, 1023, -746.0, 710.0, 44.0, 1.4426950408889634, 0.693147180559663,
        2.8235290563031577e-13,
        (0.5, 0.16666666666666669, 0.041666666666623824, 0.008333333333330039, 0.0013888888917367081,
         0.00019841269863171557, 2.4801521057868204e-05, 2.7557268276905696e-06, 2.7620201591031547e-07,
         2.5100472505694996e-08),
        (0.3333333333333333, 0.20000000000007298, 0.1428571428355253, 0.11111111358900891, 0.09090894708663223,
         0.07692785296456121, 0.06657067775440581, 0.06000577591428889, 0.04400158825434387, 0.08082469084735669),
        (0.769193049750063, -0.6653825028900577, 0.4953056159699768, -0.3135331566712138, 0.16502036617034282,
         -0.06911863870881432, 0.020795066800941616, -0.00299337673822322, -0.0007978694094808063,
         0.00054489883090093, -5.9375673286488655e-05, -4.976177118979218e-05, 1.6681099115863468e-05,
         3.977912640593242e-06, -2.769337871043854e-06, -3.310698071526862e-07, 4.3402625948297756e-07,
         3.581840051543223e-08, -6.782555313291156e-08, -5.015649939857856e-09, 9.446827519677368e-09,
         5.037302126379855e-10, -8.166192624428989e-10),
    ),
}


def constants_of(x):
    """The constants of the type of an array."""
    return CONSTANTS[x.dtype]


def polynomial(coefficients, x):
    """A polynomial by Estrin's rule: neighbours are joined in each round, so that no sum waits long for another."""
    terms = [x.dtype.type(one) for one in coefficients]
    while len(terms) > 1:
        joined = [terms[i] + terms[i + 1] * x for i in range(0, len(terms) - 1, 2)]
        terms, x = joined + terms[2 * len(joined) :], x * x
    return terms[0]


def _power_of_two(n):
    """2 to the n, for whole n that are exponents of normal numbers: their bits are put where an exponent belongs."""
    c = constants_of(n)
    bits = (n + n.dtype.type(c.magic)).view(c.integer)
    return ((bits + c.integer(c.bias)) << c.integer(c.bits)).view(n.dtype)


def _whole(x):
    """The whole number that is nearest to x."""
    magic = x.dtype.type(constants_of(x).magic)
    return (x + magic) - magic


def _reduced(x):
    """n and exp(r) - 1, where x is n ln 2 + r and r is small."""
    c, real = constants_of(x), x.dtype.type
    n = _whole(x * real(c.log2e))
    r = (x - n * real(c.ln2)) - n * real(c.ln2_rest)
    return n, r + (r * r) * polynomial(c.expm1, r)


def exp(x):
    """The exponential function, into subnormal numbers."""
    c, real = constants_of(x), x.dtype.type
    x = np.where(x < real(c.lowest), real(c.lowest), np.where(x > real(c.highest), real(c.highest), x))
    n, p = _reduced(x)
    half = _whole(n * real(0.5))
    return ((real(1) + p) * _power_of_two(half)) * _power_of_two(n - half)


def exp_of_negative(x):
    """The exponential function of numbers that are not positive; what would be subnormal is 0."""
    real = x.dtype.type
    lowest = real(LOWEST_NORMAL[x.dtype])
    zero = x < lowest
    n, p = _reduced(np.where(zero, lowest, x))
    return np.where(zero, real(0), (real(1) + p) * _power_of_two(n))


def expm1_of_negative(x):
    """exp(x) - 1 for numbers that are not positive."""
    c, real = constants_of(x), x.dtype.type
    n, p = _reduced(np.where(x < -real(c.saturated), -real(c.saturated), x))
    power = _power_of_two(n)
    return power * p + (power - real(1))


def _twice_atanh(f):
    """2 atanh(f) for |f| <= 1 / 3."""
    s = f * f
    return (f + f) + (f + f) * (s * polynomial(constants_of(f).atanh, s))


def log1p_of_fraction(x):
    """log(1 + x) for x from 0 to 1."""
    return _twice_atanh(x / (x.dtype.type(2) + x))


def log(x):
    """The logarithm of normal numbers from 1 on."""
    c, real = constants_of(x), x.dtype.type
    base = real(0.70710678118654752).view(c.integer)
    k = (x.view(c.integer) - base) >> c.integer(c.bits)
    fraction = (x.view(c.integer) - (k << c.integer(c.bits))).view(x.dtype)
    n = k.astype(x.dtype)
    logarithm = n * real(c.ln2_rest) + _twice_atanh((fraction - real(1)) / (fraction + real(1)))
    return (n * real(c.ln2) + logarithm) + (x - x)      # NaN stays


def sigmoid(x):
    """1 / (1 + exp(-x)), without overflow and accurate in both tails."""
    one = x.dtype.type(1)
    e = exp_of_negative(-np.abs(x))
    return np.where(x < 0, e, one) / (one + e)


def tanh(x):
    """The hyperbolic tangent, from exp(-2 |x|) - 1."""
    m = expm1_of_negative(np.abs(x) * x.dtype.type(-2))
    return np.copysign(m / (x.dtype.type(2) + m), x)


def softplus(x):
    """log(1 + exp(x)), as max(x, 0) + log(1 + exp(-|x|))."""
    return np.where(x < 0, x.dtype.type(0), x) + log1p_of_fraction(exp_of_negative(-np.abs(x)))


def normal_tail(w, e):
    """The chance that a normal number is above w, for w from 0 on; e is exp(-w² / 2)."""
    real = w.dtype.type
    inverse = real(1) / (w + real(5))
    return (e * inverse) * polynomial(constants_of(w).tail, real(1) - real(10) * inverse)


# exp of these is the smallest normal number, about.
LOWEST_NORMAL = {np.dtype("f"): -87.0, np.dtype("d"): -708.0}
