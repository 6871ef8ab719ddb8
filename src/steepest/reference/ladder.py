"""Richardson extrapolation of differences with shrinking or growing steps, each component with an error bar of its own.

Here because this is the mathematics of ``method="adaptive"``: what one more difference tells, and whether a smaller
step, a larger one or none is wanted next. The twin of kernels/ladder.pyx; tested in tests/test_ladder.py.

A difference D(h) has the error a_1 h^p + a_2 h^2p + ..., with p = 2 for central and 1 for one-sided ones, so Neville's
scheme in h^p takes these terms away one by one [Richardson 1911; Ridders 1982, Adv. Eng. Software 4, 75-76]:

    T[0] = D(h_k),    T[j] = T[j-1] + (T[j-1] - T'[j-1]) g_j,    g_j = 1 / ((h_{k-j} / h_k)^p - 1)

where T' is the row before. Steps may come in any order: the formula is that of interpolation. What sets it apart from
Ridders' is that every entry carries a bound of its rounding error,

    R[0] = w e / h^n,    R[j] = |1 + g_j| R[j-1] + |g_j| R'[j-1],    e = eps (|f| + c |x f'|) + noise,

beside the truncation that shows in how far T[j] is from the nearer of its two parents. The entry with the least sum is
the best; when what is left is rounding, smaller steps gain nothing, and the component is done.
"""

import numpy as np

from .callback import working_type

COLUMNS = 7
# Steps fall by this factor as a rule. No simple fraction, or an f with a period might show the same phase at each.
RATIO = 3.5
# What a row wants next: it is done, a smaller step, a much smaller one, or a larger one.
NOTHING, DOWN, FAR_DOWN, UP = range(4)
# Where a component is.
RISING, FALLING, LOST, DONE, GIVEN_UP = range(5)
# Share of |x f'|, with the largest slope between the points, by which the precision of f counts: rounding inside f
# moves its argument [measured on exp(100 x)].
CONDITION = 0.25
# A step is too small while rounding may be this share of the difference, in units of the precision ...
DROWNED = 2.0**12
# ... or, where f is noisy, this share as it is: noise leaves no digits to be won beyond it.
NOISY = 2.0**-20
# A larger step is no good when its difference is this share away from the last one.
OVERSHOT = 0.1
# Two estimates contradict each other when they differ by so many times the sum of their bars.
CONTRADICTION = 4.0
# Before a step that is shorter by more than this, nothing is kept of a table but its last difference.
FAR = 8.0
# Differences of smooth functions come closer to each other by RATIO**power from step to step; this much is asked for.
CLOSER = 3.0
# Of what two estimates are apart beyond their bars, this share is added to the bar.
UNEXPLAINED = 0.5
# A contradiction as small as this is noise and nothing worse: the digits before it agree.
MILD = 1e-3
# Differences that wobble by noise/h, to this factor, while h falls to this share, show nothing but noise.
WOBBLE, FALL = 32.0, 1e-4
# A jump of the slope is seen when it is this share of the least bend ...
KINKED = 0.6
# ... which is so many times its rounding.
KINK_ABOVE = 8.0


def least_gains(power):
    """What a column gains at most by the estimate of its own error: what it gains where steps fall as they should.

    Beside a step that is very much larger, of which nothing is known, a small difference shows nothing.
    """
    return [1.0] + [1 / (RATIO ** (power * j) - 1) for j in range(1, COLUMNS)]


class Ladder:
    """The tables of some rows of differences, each of so many results; everything that is known of them so far.

    Parameters
    ----------
    rows, results : int
    dtype : numpy.dtype
        Real type in which the work is done.
    power, n : int
        The error of a difference is a series in h**power; the order of the derivative.
    weight : float
        Sum of the weights by which errors of f are multiplied, for step 1.

    Attributes
    ----------
    value, error, rounding, step : arrays, (rows, results)
        The best estimate, its error bar, the part of it that is rounding, and its step.
    noise : array, (rows, results)
        Absolute errors of f beyond its precision: what is known before, or found out on the way.
    guessed : array of bool, (rows, results)
        The noise was found out here.
    kink : array, (rows, results)
        Half the jump of the slope at x, or 0.
    state, count, agreed : arrays of int8, (rows, results)
        Where it is, how many differences are in its table, and how many rows of the table agree with the best.
    """

    def __init__(self, rows, results, dtype, power, n, weight):
        real = working_type(dtype)
        shape = rows, results
        self.power, self.n, self.weight = power, n, weight
        self.tables = np.zeros((4, *shape, COLUMNS), real)      # T, R, h, and the differences themselves
        self.value, self.error = np.full(shape, np.nan, real), np.full(shape, np.inf, real)
        self.rounding, self.step = np.zeros(shape, real), np.zeros(shape, real)
        self.noise, self.kink = np.zeros(shape, real), np.zeros(shape, real)
        self.even, self.bend = np.zeros(shape, real), np.zeros(shape, real)
        self.gap, self.wobble, self.wobbled_at = np.zeros(shape, real), np.zeros(shape, real), np.zeros(shape, real)
        self.guessed = np.zeros(shape, bool)
        self.state, self.count, self.agreed = (np.zeros(shape, np.int8) for _ in range(3))

    def climb(self, rows, difference, largest, even, size, step, may_rise, last, eps, rtol):
        """Take one more difference of some rows, and say what each wants next.

        Parameters
        ----------
        rows : array of intp, (k,)
        difference, largest : arrays, (k, results)
            The differences; the largest |f| that was seen beside them.
        even : array, (k, results)
            f(x + h) + f(x - h); a constant where a kink is not looked for.
        size, step : arrays, (k,)
            |x| and h.
        may_rise : array of int8, (k,)
            1 where a larger step is possible, 2 where this one is smaller than steps are as a rule.
        last : array of bool, (k,)
            Whether this is the last difference of the row.
        eps, rtol : float
            Precision of f; relative error at which a component is done.

        Returns
        -------
        array of int8, (k,)
        """
        part = _Part(self, rows)
        with np.errstate(all="ignore"):
            part.climb(difference, largest, even, size[:, None], step[:, None], may_rise[:, None], last[:, None],
                       eps, rtol)
        part.put_back()
        return part.wants


class _Part:
    """Some rows of a ladder, taken out to be worked on."""

    tables: np.ndarray
    value: np.ndarray
    error: np.ndarray
    rounding: np.ndarray
    step: np.ndarray
    noise: np.ndarray
    kink: np.ndarray
    even: np.ndarray
    bend: np.ndarray
    gap: np.ndarray
    wobble: np.ndarray
    wobbled_at: np.ndarray
    guessed: np.ndarray
    state: np.ndarray
    count: np.ndarray
    agreed: np.ndarray

    def __init__(self, ladder, rows):
        self.ladder, self.rows = ladder, rows
        self.names = [name for name, value in vars(ladder).items() if isinstance(value, np.ndarray)]
        for name in self.names:
            array = getattr(ladder, name)
            setattr(self, name, array[:, rows] if name == "tables" else array[rows])
        self.power, self.n, self.weight = ladder.power, ladder.n, ladder.weight
        self.least = least_gains(ladder.power)

    def put_back(self):
        """Write what was changed into the ladder."""
        for name in self.names:
            array = getattr(self.ladder, name)
            if name == "tables":
                array[:, self.rows] = self.tables
            else:
                array[self.rows] = getattr(self, name)

    def climb(self, D, largest, even, size, h, may_rise, last, eps, rtol):
        """One more difference for every component that is still on its way."""
        active = self.state < DONE
        bend = np.where(self.count > 0, (even - self.even) / (h - self.tables[2][..., 0]), 0)
        noise = eps * (largest + CONDITION * abs(size) * (abs(D) + abs(bend))) + self.noise
        rounding = self.weight * noise / _powered(h, self.n)
        finite = np.isfinite(D) & np.isfinite(rounding)
        lost = active & ~finite
        self.state = np.where(lost, np.where(self.count > 0, FALLING, LOST), self.state).astype(np.int8)
        pushed = active & finite & ~self._overshot(D, rounding, h)
        self._forget_blanks(pushed & (D != 0) & (h > self.tables[2][..., 0]))
        self.state = np.where(active & finite & ~pushed, FALLING, self.state).astype(np.int8)
        gap = np.where(self.count > 0, abs(D - self.tables[0][..., 0]), 0)
        before = self.value
        self.count = np.where(pushed & (self.count > 1) & (FAR * h < self.tables[2][..., 0]), 1, self.count)
        closer = (CLOSER * gap <= self.gap) | (gap <= CLOSER * rounding) | (h > self.tables[2][..., 0])
        vanished = pushed & (self.count > 0) & (may_rise > 1) & (D == 0) & ~self.guessed
        vanished &= abs(self.tables[0][..., 0]) > CLOSER * self.tables[1][..., 0]
        quantum = abs(self.tables[0][..., 0]) * _powered(self.tables[2][..., 0], self.n) / self.weight
        candidate = self._extend(D, rounding, h, pushed)
        contradicted = self._judge(candidate, h, pushed)
        kinked = self._look_for_kink(even, bend, rounding, h, pushed)
        change = abs(candidate[0] - before)
        noisy = self._look_for_noise(contradicted, change <= MILD * abs(candidate[0]), gap, rounding, h) & ~vanished
        self.gap = np.where(pushed, gap, self.gap)
        again = noisy | vanished
        self._decide(D, rounding, pushed & ~again, closer, kinked, may_rise, last, eps, rtol)
        if again.any():
            noise = np.where(vanished, quantum, gap * _powered(h, self.n) / self.weight)
            self._begin_again(again, noise, (may_rise > 0) & ~last)
        self._choose(contradicted, lost)

    def _overshot(self, D, rounding, h):
        """Whether a step larger than the last one leads away from what is known."""
        T, R, nodes = self.tables[:3, ..., 0]
        far = abs(D - T) > rounding + 3 * R + OVERSHOT * np.maximum(abs(D), abs(T))
        return (self.count > 0) & (h > nodes) & far & ~self._blank()

    def _blank(self):
        """Where f was 0 itself at the last step: which says nothing of larger ones."""
        return (self.count > 0) & (self.tables[0][..., 0] == 0) & (self.tables[1][..., 0] == 0)

    def _forget_blanks(self, shown):
        """Begin with the first difference that shows more than that."""
        blank = shown & self._blank()
        self.count, self.agreed = (np.where(blank, 0, part).astype(np.int8) for part in (self.count, self.agreed))
        self.value, self.error = np.where(blank, np.nan, self.value), np.where(blank, np.inf, self.error)

    def _extend(self, D, rounding, h, pushed):
        """The next row of each table: ``(value, error, rounding)`` of its best entry, infinite without one."""
        T, R, nodes, history = self.tables
        new_T, new_R = np.zeros_like(T), np.zeros_like(R)
        new_T[..., 0], new_R[..., 0] = D, rounding
        best = [np.full(D.shape, np.nan, T.dtype), np.full(D.shape, np.inf, T.dtype), np.zeros(D.shape, T.dtype)]
        for j in range(1, COLUMNS):
            there = self.count >= j
            g = 1 / (_powered(nodes[..., j - 1] / h, self.power) - 1)
            d = new_T[..., j - 1] - T[..., j - 1]
            value = new_T[..., j - 1] + d * g
            spread = new_R[..., j - 1] * abs(1 + g) + R[..., j - 1] * abs(g)
            gain = np.minimum(abs(g), abs(1 + g))
            gain = np.where(gain < self.least[j], self.least[j], gain)
            error = abs(d) * gain + spread
            new_T[..., j], new_R[..., j] = np.where(there, value, 0), np.where(there, spread, 0)
            better = there & (error < best[1])
            for kept, new in zip(best, (value, error, spread), strict=True):
                kept[better] = new[better]
        shifted = [np.concatenate([np.broadcast_to(new, D.shape)[..., None], old[..., :-1]], axis=-1)
                   for new, old in ((h, nodes), (D, history))]
        for table, new in zip(self.tables, (new_T, new_R, *shifted), strict=True):
            table[pushed] = new[pushed]
        self.count = np.where(pushed, np.minimum(self.count + 1, COLUMNS), self.count).astype(np.int8)
        return best

    def _judge(self, candidate, h, pushed):
        """Compare with the best so far, and take the better; the newer one where they contradict each other."""
        value, error, rounding = candidate
        there = pushed & np.isfinite(error)
        contradicted = there & (self.agreed > 0) & (abs(value - self.value) > CONTRADICTION * (error + self.error))
        taken = there & (contradicted | (error < self.error))
        apart = np.where(there & (self.agreed > 0), abs(value - self.value) - (error + self.error), 0)
        self.value, self.error = np.where(taken, value, self.value), np.where(taken, error, self.error)
        self.rounding, self.step = np.where(taken, rounding, self.rounding), np.where(taken, h, self.step)
        unexplained = ~contradicted & (apart > 0)
        self.error = np.where(unexplained, np.maximum(self.error, UNEXPLAINED * apart), self.error)
        agreed = np.where(contradicted, 1, np.minimum(self.agreed + 1, 100))
        self.agreed = np.where(there, agreed, self.agreed).astype(np.int8)
        return contradicted

    def _look_for_kink(self, even, bend, rounding, h, pushed):
        """Whether the mean of both sides moves in proportion to h, beside what moves with its square.

        The bend between two steps is f'' times their sum where f is smooth; what it is beyond that, for a sum of 0, is
        the jump of the slope.
        """
        _, second, third = (self.tables[2][..., k] for k in range(3))
        newer, older = h + second, second + third
        jump = (self.bend * newer - bend * older) / (newer - older)
        smaller = np.where(newer < older, bend, self.bend)
        smallest = np.minimum(np.minimum(h, second), third)
        kinked = pushed & (self.count > 2) & (jump * smaller > KINKED * (smaller * smaller))
        kinked &= abs(smaller) > KINK_ABOVE * rounding * (h / smallest)
        self.kink = np.where(pushed, np.where(kinked, abs(jump) / 2, 0), self.kink)
        self.even, self.bend = np.where(pushed, even, self.even), np.where(pushed, bend, self.bend)
        return kinked

    def _look_for_noise(self, contradicted, mild, gap, rounding, h):
        """Whether differences grow as 1/h**n when h falls, as noise makes them."""
        grown = contradicted & ~self.guessed & (gap > self.gap) & (gap > 4 * rounding)
        wobble = gap * _powered(h, self.n)
        first = grown & (self.wobble == 0)
        self.wobble, self.wobbled_at = np.where(first, wobble, self.wobble), np.where(first, h, self.wobbled_at)
        steady = (wobble <= WOBBLE * self.wobble) & (self.wobble <= WOBBLE * wobble)
        return grown & (mild | ((h <= FALL * self.wobbled_at) & steady))

    def _decide(self, D, rounding, pushed, closer, kinked, may_rise, last, eps, rtol):
        """Go up, go down or stop."""
        share = np.where(self.noise > 0, NOISY, DROWNED * eps)
        settled = (self.count >= 3) & (self.agreed >= 2)
        rising = pushed & (self.state == RISING) & (rounding >= share * abs(D)) & ~last
        rising &= may_rise > (D == 0)   # where nothing changes at all, no larger steps than elsewhere are tried
        self.state = np.where(pushed & ~rising, FALLING, self.state).astype(np.int8)
        at_rounding = (2 * self.rounding >= self.error) | (2 * rounding >= self.error)
        done = pushed & ~rising & settled & closer & (at_rounding | (self.error <= rtol * abs(self.value)))
        done &= ~kinked | (self.count >= 4)
        self.state = np.where(done, DONE, self.state).astype(np.int8)
        given_up = (self.state < DONE) & last
        self.state = np.where(given_up, GIVEN_UP, self.state).astype(np.int8)

    def _begin_again(self, noisy, noise, may_rise):
        """Make the tables anew, the largest step last, now that the noise is known; and go up where that may help."""
        _, _, nodes, history = self.tables.copy()
        count = self.count
        self.noise = np.where(noisy, np.maximum(self.noise, noise), self.noise)
        self.guessed |= noisy
        self.count, self.agreed = (np.where(noisy, 0, part).astype(np.int8) for part in (self.count, self.agreed))
        self.value, self.error = np.where(noisy, np.nan, self.value), np.where(noisy, np.inf, self.error)
        for k in range(COLUMNS):
            pushed = noisy & (k < count)
            D, h = history[..., k], nodes[..., k]
            candidate = self._extend(D, self.weight * self.noise / _powered(h, self.n), h, pushed)
            self._judge(candidate, h, pushed)
        self.gap, self.bend = np.where(noisy, 0, self.gap), np.where(noisy, 0, self.bend)
        rising = may_rise & (self.error > NOISY * abs(self.value))
        self.state = np.where(noisy, np.where(rising, RISING, DONE), self.state).astype(np.int8)

    def _choose(self, contradicted, lost):
        """What each row wants: those who want a smaller step come first."""
        rising = self.state == RISING
        waiting = (self.state < DONE) & ~rising
        stuck = waiting & (contradicted | lost)
        calm = waiting & ~stuck
        self.wants = np.where(
            calm.any(axis=1), DOWN, np.where(stuck.any(axis=1), FAR_DOWN, np.where(rising.any(axis=1), UP, NOTHING))
        ).astype(np.int8)


def _powered(base, power):
    """Multiplied again and again: the bits of this are those of the kernel."""
    result = base
    for _ in range(power - 1):
        result = result * base
    return result


__all__ = [
    "COLUMNS", "DONE", "DOWN", "FALLING", "FAR_DOWN", "GIVEN_UP", "LOST", "NOTHING", "RATIO", "RISING", "UP", "Ladder",
]
