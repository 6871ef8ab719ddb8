"""Differences with steps of many sizes, until a component agrees with what was given or surely does not.

Here because one step proves nothing: it may be too long for a bend, too short for rounding, or reach across a kink.
Every row (a component of x, or a line) has steps of its own, powers of two apart. Tested in tests/test_check.py.
"""

import numpy as np

from .reference.difference import CENTRAL, RESOLUTION, ROW_CENTRAL

# How many error bars given and estimate may be apart; the bars bound rounding, and truncation five times over.
BARS = 4.0
# A component is confirmed when its bars are this share of it: an error of 1e-4 is seen then.
FINE = 2e-5
# What does not shrink to this share with a fourth of the step is a kink; where f is smooth, a fourth or less is left.
STICKING = 0.6
# So often it must not shrink.
KINK_LEVELS = 3
# Exponents between two levels, and where a component is as good as wrong and shorter steps are to confirm that.
STRIDE, LONG_STRIDE = 2, 6
# Rounds of looking for all rows, then for those that disagree most, and at most how many of them.
ROUNDS, CLOSE_ROUNDS, CLOSE_ROWS = 6, 26, 1000
# Exponents of the first step for float64, of the longest, and of the shortest where x is 0.
START, LONGEST, SHORTEST = -17, -6, -60


class Level:
    """What one step shows of some rows: arrays of shape (rows, m).

    `slope` is the difference, `ahead` and `behind` the one-sided ones (NaN where a side is not there), `bend` their
    gap, and `rounding` what rounding can do to the slope; `two_sided` is true where the slope is of second order.
    """

    NAMES = ("slope", "ahead", "behind", "bend", "rounding", "two_sided")

    def __init__(self, **arrays):
        for name in self.NAMES:
            setattr(self, name, arrays[name])

    def at(self, rows):
        """The same of some rows."""
        return Level(**{name: getattr(self, name)[rows] for name in self.NAMES})

    def put(self, rows, other):
        """Take what another level shows of some rows."""
        for name in self.NAMES:
            getattr(self, name)[rows] = getattr(other, name)

    def copy(self):
        return Level(**{name: getattr(self, name).copy() for name in self.NAMES})


class Sides:
    """Keeps the values of f on both sides; given to a run, which calls it with each block of rows."""

    def __init__(self, f0):
        self.f0, self.blocks = f0, []

    def __call__(self, differences, first, last):
        count = last - first
        self.blocks.append((differences.values[:count, :2].copy(), differences.points[first:last, :2].copy(),
                            differences.x[first:last].copy(), differences.kind[first:last] == ROW_CENTRAL))

    def level(self, slope, noise):
        """All blocks as one `Level`; `noise` is how far a value may be off, at least, for each result."""
        values, points, x, central = (np.concatenate(parts) for parts in zip(*self.blocks, strict=True))
        pair = central[:, None]
        with np.errstate(all="ignore"):
            near = (values[:, 0] - self.f0) / (points[:, 0] - x)[:, None]
            far = np.where(pair, (self.f0 - values[:, 1]) / (x - points[:, 1])[:, None], np.nan)
            rising = pair | (points[:, 0] > x)[:, None]
            ahead, behind = np.where(rising, near, far), np.where(rising, far, near)
            alone = pair & ~np.isfinite(slope)
            slope = np.where(alone, np.where(np.isfinite(ahead), ahead, behind), slope)
            largest = np.maximum(abs(self.f0), np.nanmax(np.where(np.isfinite(values), abs(values), 0), axis=1))
            error = noise.of(largest)
            width = abs(points[:, 0] - x)[:, None]
            rounding = np.where(pair & ~alone, 1, 4) * error / width
            bend = abs(ahead - behind)
        return Level(slope=slope, ahead=ahead, behind=behind, bend=np.where(np.isfinite(bend), bend, 0),
                     rounding=rounding, two_sided=pair & ~alone)


class Noise:
    """How far values of f are off: a share of them, and at least so much, for each result."""

    def __init__(self, relative, absolute=0.0, known=False):
        self.relative, self.absolute, self.known = relative, absolute, known

    def of(self, largest):
        """The noise of values of this size."""
        return np.maximum(self.relative * largest, self.absolute)

    def share(self, largest):
        """The noise as a share of the largest value."""
        with np.errstate(all="ignore"):
            shares = np.where(largest > 0, self.absolute / largest, 0)
        return max(self.relative, float(np.max(shares, initial=0)))


class Ladder:
    """Some rows of differences, beside what they should be.

    Parameters
    ----------
    run : Run or LineRun
        Makes the differences.
    x : array
        Where.
    f0 : array, (m,)
        f(x).
    given : array, (rows, m)
        What the differences should be.
    unit : array, (rows,)
        The step of exponent 0: powers of two.
    noise : Noise
    rtol, slack : float; float or array
        Relative and absolute error that is granted to `given`.
    shortest : array, (rows,), optional
        Exponents of the shortest steps.
    rows : array of int, optional
        Which rows of the run, all by default.
    notice : callable, optional
        Is shown all values of f.

    Attributes
    ----------
    limit : int or None
        How many evaluations may be made.
    """

    def __init__(self, run, x, f0, given, unit, noise, rtol, slack, shortest=None, rows=None, notice=None):
        self.run, self.x, self.f0, self.given = run, x, f0, given
        self.unit, self.noise, self.rtol, self.slack = unit, noise, rtol, slack
        self.rows = np.arange(len(given)) if rows is None else rows
        self.shortest = np.full(len(given), SHORTEST) if shortest is None else shortest
        self.limit, self.notice = None, notice
        self.start = start_for(noise, f0)
        self.longest = max(LONGEST, min(self.start + 4, -2))
        shape = given.shape
        self.estimate, self.error = np.full(shape, np.nan), np.full(shape, np.inf)
        self.rounding = np.full(shape, np.inf)
        self.stuck, self.idle = np.zeros(shape, int), np.zeros(shape, bool)
        self.largest_bend = np.zeros(shape)     # over its step: the curvature, roughly
        self.levels: list = []                  # the levels of the start, which are those of all rows

    # measuring

    def measure(self, rows, exponents):
        """The level of some rows."""
        step = np.ldexp(self.unit[rows], exponents)
        sides = Sides(self.f0)
        _, slope = self.run.again(self.rows[rows], step, CENTRAL, self.x, self.f0, sides)
        if self.notice is not None:
            for block in sides.blocks:
                self.notice(block[0])
        level = sides.level(slope, self.noise)
        with np.errstate(all="ignore"):
            curvature = np.where(level.bend > 8 * level.rounding, level.bend / step[:, None], 0)
        finite = np.isfinite(curvature)
        self.largest_bend[rows] = np.where(finite, np.maximum(self.largest_bend[rows], curvature),
                                           self.largest_bend[rows])
        return level

    def begin(self, exponents=None):
        """Measure all rows with steps of decreasing exponents; two by default."""
        everything = np.arange(len(self.given))
        for exponent in (self.start + STRIDE, self.start) if exponents is None else exponents:
            level = self.measure(everything, np.full(len(everything), exponent))
            self.levels.append((exponent, level))
            if len(self.levels) == 1:
                self.low, self.high = level.copy(), level.copy()
                self.lowest = np.full(len(everything), exponent)
                self.highest = self.lowest.copy()
                self.shift = level.bend.copy()
            else:
                self._descend(everything, level, np.full(len(everything), exponent))

    def _descend(self, rows, new, exponents):
        """Take a level with a fourth of the shortest step so far."""
        old = self.low.at(rows)
        with np.errstate(all="ignore"):
            gap = abs(new.slope - old.slope)
            shift = np.fmax(new.bend, gap)
            seen = shift > 8 * new.rounding
            sticks = seen & ~(shift <= STICKING * self.shift[rows])
            bent = (new.bend > 8 * new.rounding) & (new.bend > STICKING * old.bend)
            bent |= (self.stuck[rows] > 0) & ~seen      # rounding hides whether the kink is still there
            error = self._error(new, gap, bent)
            apart = abs(self.given[rows] - self.estimate[rows])
            disagrees = ~(apart <= self.tolerance()[rows])
            finer = disagrees & (abs(self.given[rows] - new.slope) <= BARS * error) & (BARS * error < apart / 2)
        self.stuck[rows] = np.where(sticks, self.stuck[rows] + 1, np.where(seen, 0, self.stuck[rows]))
        self._take(rows, new, error, finer)
        self.low.put(rows, new)
        self.lowest[rows], self.shift[rows] = exponents, shift

    def _ascend(self, rows, new, exponents):
        """Take a level with four times the longest step so far: the one before now has a bar."""
        old = self.high.at(rows)
        with np.errstate(all="ignore"):
            gap = abs(new.slope - old.slope)
            bent = (old.bend > 8 * old.rounding) & (old.bend > STICKING * new.bend)
            error = self._error(old, gap, bent)
        self._take(rows, old, error, False)
        self.high.put(rows, new)
        self.highest[rows] = exponents

    @staticmethod
    def _error(level, gap, bent):
        """The bar of a level whose slope differs by `gap` from that with four times its step."""
        truncation = np.where(level.two_sided, gap / 3, gap)    # a fifteenth, and a third, would do where f is smooth
        return np.maximum(truncation, np.where(bent, level.bend / 2, 0)) + level.rounding

    def _take(self, rows, level, error, anyhow):
        """Keep what has the least bar."""
        error = np.where(np.isfinite(level.slope) & np.isfinite(error), error, np.inf)
        better = (error < self.error[rows]) | (anyhow & np.isfinite(error))
        for kept, new in ((self.estimate, level.slope), (self.error, error), (self.rounding, level.rounding)):
            kept[rows] = np.where(better, new, kept[rows])
        self.idle[rows] = ~better

    def expect(self, noise):
        """Take a larger noise of f for what was measured, too."""
        with np.errstate(all="ignore"):
            largest = abs(self.f0)
            before, now = self.noise.of(largest), noise.of(largest)
            ratio = np.fmax(np.where(before > 0, now / before, 1), 1)
            for level in (self.low, self.high):
                level.rounding = level.rounding * ratio
            self.noise = noise
            self.error = self.error + np.where(ratio > 1, (ratio - 1) * self.rounding, 0)
            self.rounding = self.rounding * ratio

    # judging

    def _size(self):
        return np.fmax(abs(self.given), abs(self.estimate))

    def tolerance(self):
        """How far given and estimate may be apart."""
        with np.errstate(all="ignore"):
            return BARS * self.error + self.rtol * self._size() + self.slack

    def _wants(self):
        """Which entries want shorter steps, which want longer ones, and how much shorter for each row."""
        with np.errstate(all="ignore"):
            tolerance, apart = self.tolerance(), abs(self.given - self.estimate)
            own = BARS * self.error
            size = self._size()
            agrees = (apart <= tolerance) & np.isfinite(own)
            empty = (self.given == 0) & (self.estimate == 0) & (self.low.bend == 0)
            coarse = (own > FINE * size) & ~empty
            sticks = self.stuck > 0
            # near x the values are as large as f(x), however large they have been
            step = np.ldexp(self.unit, self.lowest - STRIDE)[:, None]
            next_bars = BARS * self.noise.of(abs(self.f0)) / step
            telling = ~(next_bars >= np.fmax(apart, self.low.bend))
            down = ~agrees & telling
            by_truncation = self.error > 2 * self.rounding
            down |= agrees & coarse & by_truncation & (next_bars < own / 2) & (~self.idle | sticks)
            up = agrees & coarse & ~by_truncation & ~self.idle
            hasty = ~down | (own < apart / 4)
        settled = self._kinked() & (self.lowest <= np.where(self.shortest > SHORTEST, self.shortest + 20, -40))[:, None]
        judged = np.isfinite(self.given)
        down &= judged & ~settled & (self.lowest > self.shortest)[:, None]
        up &= judged & (self.highest < self.longest)[:, None]
        return down, up & ~down, np.where(hasty.all(axis=1), LONG_STRIDE, STRIDE)

    def _kinked(self):
        return self.stuck >= 2 * KINK_LEVELS

    def climb(self):
        """Measure what is not settled until it is."""
        for round_ in range(CLOSE_ROUNDS):
            down, up, stride = self._wants()
            go_down, go_up = down.any(axis=1), up.any(axis=1)
            go_up &= ~go_down
            rows = np.flatnonzero(go_down | go_up)
            if round_ >= ROUNDS and rows.size > CLOSE_ROWS:
                rows = self._worst(rows)
            if rows.size == 0 or (self.limit is not None and self.run.nfev + 2 * rows.size > self.limit):
                return
            exponents = np.where(go_down, self.lowest - stride, self.highest + STRIDE)[rows]
            level = self.measure(rows, exponents)
            falling = go_down[rows]
            self._descend(rows[falling], level.at(falling), exponents[falling])
            self._ascend(rows[~falling], level.at(~falling), exponents[~falling])

    def _worst(self, rows):
        """The rows that are furthest from what they should be."""
        with np.errstate(all="ignore"):
            ratio = (abs(self.given - self.estimate) / self.tolerance())[rows].max(axis=1)
        order = np.argsort(-np.where(np.isnan(ratio), np.inf, ratio), kind="stable")
        return np.sort(rows[order[:CLOSE_ROWS]])

    def curvature(self):
        """By how much a slope changes with its x, roughly; 0 where that cannot be told."""
        return np.where(self.stuck > 0, 0.0, self.largest_bend)

    def kinks(self, levels=KINK_LEVELS):
        """``(kinks, low, high)``: where f has no derivative, and between what its slopes on the two sides are.

        A kink is what does not shrink so many times, each with a fourth of the step before.
        """
        low, high = np.fmin(self.low.ahead, self.low.behind), np.fmax(self.low.ahead, self.low.behind)
        with np.errstate(all="ignore"):
            # noise larger than was measured sticks, too, at steps far below the best one
            resolved = BARS * self.error <= np.fmin(self.low.bend / 8, 0.1 * self._size())
            kinked = (self.stuck >= levels) & ~resolved
            jump = self.shift > self.low.bend     # the slope itself runs away
            margin = BARS * self.low.rounding + 1e-3 * (high - low)
        return kinked, np.where(jump, -np.inf, low - margin), np.where(jump, np.inf, high + margin)


def start_for(noise, f0):
    """The exponent of the first step, which balances noise against truncation: the cube root of the noise's share."""
    share = noise.share(abs(f0))
    return int(np.clip(np.ceil(np.log2(share) / 3), START, -6)) if share > 0 else START


def first_shortest(x, unit, eps):
    """Exponents of the shortest steps that move every entry of x well."""
    with np.errstate(all="ignore"):
        least = np.ceil(np.log2(4 * RESOLUTION * eps * abs(x) / unit))
    return np.where(x == 0, SHORTEST, np.fmax(least, 2 * SHORTEST)).astype(int)
