"""How far off a difference may be: truncation by a second difference with a shorter step, rounding from the values.

Here because an error bar needs what a plain difference does not keep: the values of f, and f at x. Tested in
tests/test_error_bars.py.
"""

import numpy as np

from .errors import Status
from .reference.difference import CENTRAL, COMPLEX, ROW_CENTRAL, ROW_ONE_SIDED, shape_of_scheme, weights

# A component is unresolved when the bar of its truncation error, or of a kink, is this share of its value.
UNRESOLVED_SHARE = 0.1
# The step of the second difference is shorter by this factor. It is irrational, or an f whose period is a multiple of
# the first step, as near as makes no difference, would look smooth with both.
SHORTER = 5**0.5
# A bend that shrinks with the step by less than this is a kink: 0.45 of it is left where f is smooth.
KINK_RATIO = 0.75
# A difference of a higher order is rough when it is this share off the lowest order that its values give ...
ROUGH_SHARE = 0.2
# ... and that does not fall below this share with the shorter step: 0.45 or 0.2 of it are left where f is smooth.
ROUGH_RATIO = 0.6


class Bars:
    """What one sweep shows of the rounding and the bends of f; called with each block of rows.

    Four arrays of shape (rows, m) come of it (`table`): the largest |f| that was seen; the bend
    ``|f(x + h) - 2 f(x) + f(x - h)| / h`` of central rows, which shrinks with h, but not at a kink; how far first
    derivatives of a higher order are off those of the lowest, which shrinks with h where the step suits f; and what
    rounding f to its precision, and its noise where that is known, can do to the difference.
    """

    def __init__(self, settings, dtype, function):
        self.settings, self.function, self.eps = settings, function, np.finfo(dtype).eps
        self.noise = settings.noise if isinstance(settings.noise, float) else 0.0
        self.blocks = []

    def __call__(self, differences, first, last):
        count = last - first
        kind, h = differences.kind[first:last], abs(differences.step[first:last])
        values, base = differences.values[:count], differences.base[: max(1, count)]
        rough = self._rough(differences, kind, differences.step[first:last], values, base)
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
            rounding = self._amplification(differences)[kind][:, None] * (eps * largest + self.noise) / power
        self.blocks.append((largest, bend, rough, np.where(power > 0, rounding, 0)))

    def _rough(self, differences, kind, step, values, base):
        """How far the differences are off those of the lowest order."""
        rough = np.zeros((len(values), values.shape[2]))
        with np.errstate(all="ignore"):
            for rows, more in ((kind == ROW_CENTRAL, differences.reach > 1),
                               (kind == ROW_ONE_SIDED, differences.one_sided > 1)):
                if not (more and self.settings.n == 1 and rows.any()):
                    continue
                other = base if len(base) < len(values) or not differences.own_base else base[rows]
                central = kind[rows][0] == ROW_CENTRAL
                change = values[rows, 0] - (values[rows, 1] if central else other)
                lowest = change / (step[rows] * (2 if central else 1))[:, None]
                rough[rows] = lowest - differences.result[: len(values)][rows]
            rough = np.hypot(rough[:, ::2], rough[:, 1::2]) if self.function.as_complex else abs(rough)
        return np.where(np.isfinite(rough), rough, 0)

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
        """``(largest, bend, rough, rounding)``, each (rows, m)."""
        return [np.concatenate(parts) for parts in zip(*self.blocks, strict=True)]


def bars_of(value, status, second, rounding, bend, second_bend, rough, second_rough, order):
    """Return the error bars of some rows, and mark in `status` what they show to be unresolved.

    Parameters
    ----------
    value, second : arrays, (rows, m)
        The difference, and the same with a step that is shorter by the factor SHORTER.
    status : array, (rows, m)
        Changed in place.
    rounding : array, (rows, m)
        What rounding can do to `value`.
    bend, second_bend : arrays, (rows, m)
        From the tables of the two sweeps; a bend of 0 shows nothing.
    rough, second_rough : arrays, (rows, m)
        The same.
    order : array, (rows,)
        Order of accuracy: truncation shrinks by SHORTER**order.
    """
    with np.errstate(all="ignore"):
        gain = SHORTER ** order[:, None]
        truncation = abs(value - second) * gain / (gain - 1)
        bent = (bend > 8 * rounding) & (second_bend > KINK_RATIO * bend)
        kink = np.where(bent, bend / 2, 0)
        unsuited = (rough > 8 * rounding) & (rough > ROUGH_SHARE * abs(value)) & (second_rough > ROUGH_RATIO * rough)
        kink = np.maximum(kink, np.where(unsuited, rough, 0))
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
