"""How far off a difference may be: truncation by a second difference with half the step, rounding from the values.

Here because an error bar needs what a plain difference does not keep: the values of f, and f at x. Tested in
tests/test_error_bars.py.
"""

import numpy as np

from .errors import Status
from .reference.difference import CENTRAL, COMPLEX, ROW_CENTRAL, ROW_ONE_SIDED, shape_of_scheme, weights

# A component is unresolved when the bar of its truncation error, or of a kink, is this share of its value.
UNRESOLVED_SHARE = 0.1
# A second difference that shrinks with the step by less than this is a kink: it halves where f is smooth.
KINK_RATIO = 0.75


class Bars:
    """What one sweep shows of the rounding and the bends of f; called with each block of rows.

    Three arrays of shape (rows, m) come of it (`table`): the largest |f| that was seen; the bend
    ``|f(x + h) - 2 f(x) + f(x - h)| / h`` of central rows, which shrinks with h, but not at a kink; and what rounding
    f to its precision can do to the difference.
    """

    def __init__(self, settings, dtype, function):
        self.settings, self.function, self.eps = settings, function, np.finfo(dtype).eps
        self.blocks = []

    def __call__(self, differences, first, last):
        count = last - first
        kind, h = differences.kind[first:last], abs(differences.step[first:last])
        values, base = differences.values[:count], differences.base[: max(1, count)]
        if self.function.as_complex:
            with np.errstate(all="ignore"):
                values, base = (np.hypot(part[..., ::2], part[..., 1::2]) for part in (values, base))
        width = np.array([2 * differences.reach, differences.one_sided, 0, 1])[kind]
        used = np.arange(values.shape[1])[None, :, None] < width[:, None, None]
        with np.errstate(all="ignore"):
            largest = np.maximum(np.max(np.where(used, abs(values), 0), axis=1), abs(base))
            bend = np.zeros_like(largest)
            central = kind == ROW_CENTRAL
            if central.any() and self.settings.n == 1:
                v0 = base[central] if len(base) == count and differences.own_base else base
                pair = values[central]
                bend[central] = abs((pair[:, 0] - v0) + (pair[:, 1] - v0)) / h[central, None]
            power = h[:, None] ** self.settings.n
            eps = max(self.eps, self.function.coarsest)
            rounding = self._amplification(differences)[kind][:, None] * eps * largest / power
        self.blocks.append((largest, bend, np.where(power > 0, rounding, 0)))

    def _amplification(self, differences):
        """Sum of the weights by which errors of f are multiplied, for each kind of row and step 1."""
        n, wide = self.settings.n, False
        table = np.ones(4)
        if differences.reach:
            c = abs(weights(True, differences.reach, n, wide))
            table[ROW_CENTRAL] = np.sum(c * 4 / (2.0 * np.arange(1, len(c) + 1)) ** n)
        if differences.one_sided:
            c = abs(weights(False, differences.one_sided, n, wide))
            table[ROW_ONE_SIDED] = np.sum(c * 2 / np.arange(1.0, len(c) + 1) ** n)
        return table

    def table(self):
        """``(largest, bend, rounding)``, each (rows, m)."""
        return [np.concatenate(parts) for parts in zip(*self.blocks, strict=True)]


def bars_of(value, status, half, rounding, bend, half_bend, order):
    """Return the error bars of some rows, and mark in `status` what they show to be unresolved.

    Parameters
    ----------
    value, half : arrays, (rows, m)
        The difference, and the same with half the step.
    status : array, (rows, m)
        Changed in place.
    rounding : array, (rows, m)
        What rounding can do to `value`.
    bend, half_bend : arrays, (rows, m)
        From the tables of the two sweeps; a bend of 0 shows nothing.
    order : array, (rows,)
        Order of accuracy: truncation shrinks by 2**order.
    """
    with np.errstate(all="ignore"):
        gain = 2.0 ** order[:, None]
        truncation = abs(value - half) * gain / (gain - 1)
        bent = (bend > 8 * rounding) & (half_bend > KINK_RATIO * bend)
        kink = np.where(bent, bend / 2, 0)
        error = np.maximum(truncation, kink) + rounding
        doubtful = (truncation > 10 * rounding) | (kink > 0)
        unresolved = doubtful & ~(error <= UNRESOLVED_SHARE * abs(value) + 10 * rounding)
    error[~np.isfinite(error)] = np.inf
    status[unresolved & (status < Status.UNRESOLVED) & (status != Status.FIXED)] = Status.UNRESOLVED
    return error


def order_of(method, order, one_sided, n):
    """The order of accuracy of each row, some of which fell to one side."""
    if method == COMPLEX:
        return np.full(one_sided.shape, 2)
    fallen = shape_of_scheme(method, order, n)[1] - n + 1
    return np.where(one_sided & (method == CENTRAL), fallen, order)
