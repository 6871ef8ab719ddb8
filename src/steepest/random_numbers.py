"""Random numbers from a seed, the same bits on every machine and with every version of NumPy.

Here because a seed that is printed in a paper should give the same start everywhere: NumPy promises that of the bits of
its generators, not of what it makes of them. Tested in tests/test_random_numbers.py.
"""

import numpy as np

from .options import as_integer

__all__ = ["Source"]

# M. J. Wichura, "Algorithm AS 241", Appl. Stat. 37 (1988) 477-484, PPND16: highest power first.
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
_NEAR = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)
_LN2_HIGH, _LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
_ODD = tuple(1.0 / k for k in range(23, 0, -2))


class Source:
    """Numbers from a seed.

    Parameters
    ----------
    seed : int, at least 0, or None
        None takes a seed from the system.
    stream : int, optional
        Sources of one seed and different streams have nothing to do with each other.

    Examples
    --------
    >>> from steepest.random_numbers import Source
    >>> Source(0).uniform(3).round(4).tolist()
    [0.9429, 0.3163, 0.7223]
    """

    def __init__(self, seed=None, stream=0):
        if seed is not None:
            seed = as_integer(seed, "seed")
            if seed < 0:
                raise ValueError(f"seed must be at least 0, not {seed}")
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,)))

    def words(self, count):
        """64 random bits each."""
        return self._bits.random_raw(count)

    def uniform(self, count):
        """Numbers in [0, 1), multiples of 2**-53."""
        return (self.words(count) >> np.uint64(11)) * 2.0**-53

    def normal(self, count):
        """Numbers of the standard normal distribution, by its inverse."""
        return _normal_quantile((self.words(count) >> np.uint64(12)) * 2.0**-52 + 2.0**-53)

    def permutation(self, count):
        """The numbers 0, ..., count - 1 in an order of which all are equally likely."""
        return np.argsort(self.words(count), kind="stable")

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        self._bits = np.random.PCG64(0)
        self.state = state

    @property
    def state(self):
        """Plain numbers and words, from which another source goes on."""
        return self._bits.state

    @state.setter
    def state(self, value):
        self._bits.state = value


def _polynomial(coefficients, x):
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def _rational(pair, x):
    return _polynomial(pair[0], x) / _polynomial(pair[1], x)


def _log(x):
    """Of positive numbers: to 2 units in the last place, by operations that are the same everywhere."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < np.sqrt(0.5)
    mantissa, exponent = np.where(low, 2 * mantissa, mantissa), exponent - low
    s = (mantissa - 1) / (mantissa + 1)
    series = 2 * s * _polynomial(_ODD, s * s)
    return exponent * _LN2_HIGH + (series + exponent * _LN2_LOW)


def _normal_quantile(p):
    """Where the standard normal distribution reaches p, in (0, 1)."""
    q = p - 0.5
    central = abs(q) <= 0.425
    found = q * _rational(_CENTRE, np.where(central, 0.180625 - q * q, 0.0))
    tail = np.where(q < 0, p, 1 - p)
    r = np.sqrt(-_log(np.where(central, 0.5, tail)))
    outer = np.where(r <= 5, _rational(_NEAR, np.minimum(r, 5.0) - 1.6), _rational(_FAR, np.maximum(r, 5.0) - 5))
    return np.where(central, found, np.copysign(outer, q))
