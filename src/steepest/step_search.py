"""The step for a noisy f: long enough to rise above the noise, short enough to stay accurate, found by bisection.

Here because the best step depends on a derivative of f that nobody knows, and two differences tell whether a step is
near it. Tested in tests/test_noisy.py.

A difference D(h) of accuracy q for the n-th derivative errs by a truncation T(h) ~ h^q and by noise N(h) ~ 1/h^n. The
two are in balance where the test ratio

    r(h) = |D(a h) - D(h)| h^n / (c e)          e: level of the noise,  c: so that the noise alone makes r <= 1

has a value r* that depends on the scheme alone; for forward and central differences it is 3 with a = 4 and 3, and r is
that of Shi, Xie, Xuan and Nocedal [2022, SIAM J. Sci. Comput. 44, A2302-A2321], accepted between r*/2 and 2 r*.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from .probing import Look
from .reference.difference import BACKWARD, CENTRAL, FORWARD, ROW_CENTRAL, shape_of_scheme, weights

# No more steps than this are tried for one row.
TRIALS = 40
# A difference whose noise is this share of it needs no better step,
ENOUGH = 1e-7
# nor one that is zero within its noise, while f rises so many times above the noise;
VISIBLE = 1000.0
# this is the least rise at which a step that cannot grow any more still counts as resolved.
MARGIN = 100.0
# Noise of so many times the rounding of the values is nothing else.
ROUNDING = 10.0
# A central difference that meets values that are not finite is given up when its step has shrunk by this power of a.
SHRUNK = 15
# The points lie within so many typical sizes of x.
FAR = 1e6
# A bracket this narrow, as an exponent of a, is not divided.
NARROW = 0.05
# Powers of a by which a step grows while f does not rise above its noise.
LEAP = 4
# As in error_bars.py, for steps whose ratio is a >= 2.
KINK_RATIO = 0.75
# What became of a component.
PENDING, BALANCED, PLAIN, CAPPED, FAILED = range(5)


class Scheme(NamedTuple):
    """A difference with step 1 and the test ratio that belongs to it.

    `ratio` is a; `total` the sum of the magnitudes of the weights of D(1), `norm` that of D(a) - D(1), `target` is r*;
    `reach` the farthest point of D(1), `power` is q + n, `gain` a**q - 1.
    """

    central: bool
    order: int
    n: int
    reach: int
    ratio: int
    power: int
    gain: float
    total: float
    norm: float
    target: float


def order_for(method, settings):
    """The order of accuracy of a method that these options ask for, or that is fallen back to."""
    return settings.order if method == settings.method else min(settings.order, 2)


@functools.cache
def scheme_of(method, order, n):
    """The scheme of a method, with the ratio of steps that uses most points twice.

    Examples
    --------
    >>> scheme = scheme_of(CENTRAL, 2, 1)
    >>> scheme.ratio, round(scheme.target, 12)
    (3, 3.0)
    """
    central = method == CENTRAL
    reach, one_sided = shape_of_scheme(method, order, n)
    points = reach if central else one_sided
    ratio = 2 if central and order > 2 else 4 if order == 1 else 3
    ones = _coefficients(central, points, n)
    both = {node: -weight for node, weight in ones.items()}
    for node, weight in ones.items():
        both[ratio * node] = both.get(ratio * node, 0.0) + weight / ratio**n
    total, norm = sum(map(abs, ones.values())), sum(map(abs, both.values()))
    gain = float(ratio**order - 1)
    return Scheme(central, order, n, points, ratio, order + n, gain, total, norm, gain * (n * total / order) / norm)


def _coefficients(central, points, n):
    """The weight of f at each multiple of the step."""
    table = {0: 0.0}
    for k, c in enumerate(weights(central, points, n).tolist(), 1):
        if central:
            weight = c / (2 * k) ** n
            table[k], table[-k] = weight, (-1) ** n * weight
            table[0] -= 2 * weight if n % 2 == 0 else 0.0
        else:
            table[k] = c / k**n
            table[0] -= table[k]
    return table


class Sight(Look):
    """Of the values of a row: the largest magnitude, how far they are from f(x), and the sum of the nearest pair."""

    def part(self, values, base, points):
        """``(largest, rise, pair)``, each (rows, m)."""
        used = (np.arange(values.shape[1])[None, :] < points[:, None])[:, :, None]
        largest = np.where(used, abs(values), 0).max(axis=1)
        rise = np.where(used, abs(values - base[:, None]), 0).max(axis=1)
        pair = values[:, 0] + values[:, 1] if values.shape[1] > 1 else values[:, 0]
        return largest, rise, pair, base


class Search:
    """The steps of some rows of a run, and the derivatives with them.

    Parameters
    ----------
    run : Probing
    x : array
    f0 : array or None
        f(x); None for functions of one number.
    rows : array of int
    method : int
        CENTRAL, FORWARD or BACKWARD; a one-sided row goes the other way where there is no room.
    level : array, (rows, m)
        Of the noise.

    Attributes
    ----------
    value, error, step : arrays, (rows, m)
        The step is negative where it points down.
    outcome : array of int, (rows, m)
    """

    def __init__(self, run, x, f0, rows, method, level):
        self.run, self.x, self.f0, self.rows, self.level = run, x, f0, rows, level
        self.scheme = scheme_of(method, order_for(method, run.settings), run.settings.n)
        self.size = run.sizes(x)[rows]
        origin = run.origin(x)[rows]
        self.magnitude = abs(origin)
        self._look_for_room(method, origin)
        shape = len(rows), level.shape[1]
        real = level.dtype
        kind = real if run.dtype.kind != "c" else np.result_type(real, np.complex64)
        self.value = np.full(shape, np.nan, kind)
        self.base = np.full(shape, np.nan, kind)    # f(x)
        if f0 is not None:
            self.base[:] = run.of_results(np.atleast_1d(f0).reshape(-1))[rows]
        self.error, self.step = np.full(shape, np.inf, real), np.zeros(shape, real)
        self.outcome = np.zeros(shape, np.int8)
        self.low, self.high = np.full(shape, -np.inf), np.full(shape, np.inf)
        self.want = np.zeros(shape)
        self.kinked = np.zeros(shape, bool)
        self.rose = np.zeros(shape, bool)       # f at some point differed from f(x)
        self.steep = np.zeros(shape, bool)      # and by MARGIN times the noise at the last short step
        self.doubted = np.full(shape, np.nan)   # exponents of steps in balance that are still to be confirmed
        self.leap = np.ones(len(rows))
        self.known = Known(len(rows))

    # where the points may lie

    def _look_for_room(self, method, origin):
        """The first step of each row, the side that it points to, and the limits of its exponent."""
        scheme, run = self.scheme, self.run
        first = self.size * self._guess()
        lower, upper = run.limits(self.rows)
        if lower is None:
            up = down = np.full(len(first), np.inf)
        else:
            up, down = upper - origin, origin - lower
        span = scheme.reach * scheme.ratio
        if scheme.central:
            room, self.side = np.minimum(up, down), np.full(len(first), CENTRAL)
        else:
            asked, other = (up, down) if method == FORWARD else (down, up)
            turned = (asked < span * first) & (other > asked)
            room = np.where(turned, other, asked)
            self.side = np.where(turned, FORWARD + BACKWARD - method, method)
        with np.errstate(all="ignore"):
            longest = np.minimum(room * (1 - 1e-9), FAR * self.size) / span
            self.first = np.minimum(first, np.where(longest > 0, longest, first))
            self.top = np.log(longest / self.first) / math.log(scheme.ratio)
            shortest = np.maximum(run.shortest(self.x)[self.rows], 1e-300)
            self.bottom = np.log(shortest / self.first) / math.log(scheme.ratio)

    def _guess(self):
        """The best step of an f that changes by itself over the typical size of x: a share of that."""
        power = self.scheme.power
        with np.errstate(all="ignore"):
            share = (3 * self.least_share(np.inf)) ** (1 / power)
        return np.maximum(np.fmin(share, 0.1), self.run.factor)

    def least_share(self, most):
        """The noise as a share of f(x), or of 1: the least of all results, and at most so much; for each row."""
        size = np.ones(1) if self.f0 is None else abs(np.atleast_1d(self.f0).reshape(1, -1))
        size = np.where((size > 0) & np.isfinite(size), size, 1.0)
        share = np.fmin.reduce(self.run.level / size, axis=1, initial=most)
        return np.broadcast_to(share, self.run.extent[:1])[self.rows]

    # the search

    def run_to_end(self):
        """Try steps until every component has one, or none."""
        self.outcome[self.top < self.bottom] = FAILED   # no room
        self.want[:] = np.maximum(0, self.bottom)[:, None]
        for _ in range(TRIALS):
            active = np.flatnonzero(self.run.any_of(self.outcome == PENDING, self.rows))
            if not active.size:
                break
            self._try(active, self._wanted(active))
        pending = self.outcome == PENDING
        self.outcome[pending] = np.where(np.isfinite(self.value), CAPPED, FAILED)[pending]
        return self

    def _wanted(self, active):
        """What the first component wants that has no step yet, of those that share the steps of each row.

        One that has not changed with any step waits for the others: its result may not depend on what is moved.
        """
        want, pending = self.want[active], self.outcome[active] == PENDING
        place = np.arange(want.size).reshape(want.shape) + np.where(self.rose[active], 0, want.size)
        first = self.run.joined(np.minimum, np.where(pending, place, 2 * want.size), self.rows[active], 2 * want.size)
        return want.reshape(-1)[first % want.size]

    def _try(self, active, exponent):
        """One step for each of some rows: two differences, and what their ratio says."""
        scheme = self.scheme
        self.measure(np.repeat(active, 2), np.stack([exponent, exponent + 1], axis=1).reshape(-1))
        first, second = self.recall(active, exponent), self.recall(active, exponent + 1)
        h = (self.first[active] * scheme.ratio**exponent)[:, None]
        with np.errstate(all="ignore"):
            rounding = self._rounding(active, first, second)
            level = np.maximum(np.maximum(self.level[active], rounding), np.finfo(self.level.dtype).tiny)
            noise = scheme.total * level / h**scheme.n
            gap = abs(second.value - first.value)
            r = gap * h**scheme.n / (scheme.norm * level)
            truncation = gap / scheme.gain
            kink = self._kink(active, first, second, h, level)
            errors = (np.maximum(truncation + noise, kink),
                      np.maximum(truncation * (scheme.gain + 1) + noise / scheme.ratio**scheme.n, kink))
        self._decide(active, exponent[:, None], Trial(first, second, h, level, rounding, noise, r, errors, kink > 0))

    def _rounding(self, active, *seen):
        """What rounding can do to the values."""
        largest = functools.reduce(np.maximum, (part.largest for part in seen))
        largest = np.fmax(largest, abs(self.base[active]))
        return self.run.precision * np.where(np.isfinite(largest), largest, 0)

    def _kink(self, active, first, second, h, level):
        """Half the change of slope at x, where a second difference does not shrink with the step: at a kink."""
        if not (self.scheme.central and self.scheme.n == 1):
            return np.zeros_like(level)
        twice = 2 * self.base[active]
        bend, wider = abs(first.pair - twice) / h, abs(second.pair - twice) / (h * self.scheme.ratio)
        return np.where((bend * h > 16 * level) & (bend > KINK_RATIO * wider), bend / 2, 0)

    def _decide(self, active, e, trial):
        """What becomes of the components of some rows after a trial with these exponents."""
        scheme, (first, second, h, level, rounding, noise, r, errors, kinked) = self.scheme, trial
        low, high, outcome, want = (array[active] for array in (self.low, self.high, self.outcome, self.want))
        inside = (outcome == PENDING) & (e > low) & (e < high)
        with np.errstate(all="ignore"):
            finite = np.isfinite(first.value) & np.isfinite(second.value)
            balanced = inside & finite & (r >= scheme.target / 2) & (r <= 2 * scheme.target)
            confirmed = inside & (self.doubted[active] == e - 1) & ~(r <= 2 * scheme.target)
            short = inside & finite & (r < scheme.target / 2)
            zero = abs(second.value) * (h * scheme.ratio) ** scheme.n <= 2 * scheme.total * level
            plain = noise / scheme.ratio**scheme.n <= ENOUGH * abs(second.value)
            plain = short & (plain | (zero & (second.rise >= VISIBLE * level)))
            best = np.minimum(*errors)
            worse = short & (rounding > self.level[active]) & ~(best < self.error[active])  # f has grown too much
            silent = short & (second.rise == 0) & (e > 0) & (self.level[active] <= ROUNDING * rounding)
        long = inside & ~balanced & ~short & ~confirmed
        far = short & (errors[1] < errors[0])
        self._keep(active, balanced | (short & ~far & ~worse), first, errors[0], h, kinked)
        self._keep(active, far & ~worse, second, errors[1], h * scheme.ratio, kinked)
        self._keep(active, long & finite & ~(errors[0] >= self.error[active]), first, errors[0], h, kinked)
        self.rose[active] |= (first.rise > 0) | (second.rise > 0)
        self.steep[active] = np.where(short, second.rise >= MARGIN * level, self.steep[active])
        e = np.broadcast_to(e, low.shape)
        low, high = np.where(short, e, low), np.where(long, e, high)
        # noise alone may bring about any ratio: it is believed when a longer step makes it larger
        sure = balanced & ((high <= e + 1) | (e + 1 > self.top[active][:, None]))
        self.doubted[active] = np.where(balanced & ~sure, e, np.where(inside, np.nan, self.doubted[active]))
        low = np.where(balanced & ~sure, np.maximum(low, np.nextafter(e, -np.inf)), low)
        want = np.where(balanced, e + 1, want)
        outcome = np.where(sure | confirmed, BALANCED, np.where(plain, PLAIN, outcome))
        outcome[(worse | silent) & (outcome == PENDING)] = CAPPED
        self._go_on(active, e, trial, short, long, finite, low, high, outcome, want)
        for kept, new in ((self.low, low), (self.high, high), (self.outcome, outcome), (self.want, want)):
            kept[active] = new

    def _go_on(self, active, e, trial, short, long, finite, low, high, outcome, want):
        """The next exponent of every component that moved, or its end."""
        scheme, r, top, bottom = self.scheme, trial.r, self.top[active][:, None], self.bottom[active][:, None]
        lost = long & ~finite
        with np.errstate(all="ignore"):
            shrink = np.clip(np.floor(np.log(scheme.target / r) / (scheme.power * math.log(scheme.ratio))), -8, -1)
            down = e + np.where(lost, -self.leap[active][:, None], np.where(np.isfinite(shrink), shrink, -8))
            up = e + np.where(trial.second.rise <= 4 * trial.level, LEAP, 1)
            middle = (low + high) / 2
        moved = short | long
        closed = np.isfinite(low) & np.isfinite(high)
        next_one = np.where(closed, middle, np.where(short, np.minimum(up, top), np.maximum(down, bottom)))
        want[moved] = next_one[moved]
        ended = moved & (outcome == PENDING)
        ended &= (closed & (high - low < NARROW)) | (~closed & short & (e >= top)) | (~closed & long & (e <= bottom))
        ended |= (lost & scheme.central & (e <= -SHRUNK)) & (outcome == PENDING) & ~np.isfinite(low)
        outcome[ended & np.isfinite(low)] = CAPPED
        outcome[ended & ~np.isfinite(low)] = FAILED
        lost = self.run.any_of(lost, self.rows[active])
        self.leap[active] = np.where(lost, np.minimum(2 * self.leap[active], 64), 1)

    def _keep(self, active, where, seen, error, h, kinked):
        """Take what one difference has found for some components."""
        sign = np.where(self.side[active] == BACKWARD, -1.0, 1.0)[:, None]
        for kept, new in ((self.value, seen.value), (self.error, error), (self.step, sign * h), (self.kinked, kinked)):
            kept[active] = np.where(where, new, kept[active])

    # evaluation

    def measure(self, rows, exponents):
        """Evaluate differences that are not known yet, of some rows with steps first * a**exponent."""
        some = _first_of(rows, exponents)
        some = some[self.known.find(rows[some], exponents[some]) < 0]
        rows, exponents = rows[some], exponents[some]
        for side in (CENTRAL, FORWARD, BACKWARD):
            chosen = self.side[rows] == side
            index, powers = rows[chosen], exponents[chosen]
            if not index.size:
                continue
            steps = self.first[index] * self.scheme.ratio**powers
            known = None if np.isnan(self.base[index]).any() and self.run.each else self.base[index]
            sight = Sight(self.run.function, known)
            differences, value = self.run.probe(
                self.rows[index], steps, side, self.scheme.order, self.x, self.f0, sight, with_base=known is None
            )
            largest, rise, pair, base = sight.all()
            self.base[index] = base
            misplaced = (differences.kind == ROW_CENTRAL) != self.scheme.central   # there was no room after all
            value = np.where(misplaced[:, None], np.nan, value)
            self.known.add(index, powers, Measured(value, largest, rise, pair))

    def recall(self, rows, exponents):
        """What was measured, row by row."""
        return self.known.take(self.known.find(rows, exponents))


class Known:
    """The differences that were measured so far, of each row with each exponent."""

    def __init__(self, rows):
        self.exponent, self.place = np.full((rows, 4), np.nan), np.zeros((rows, 4), np.intp)
        self.tried = np.zeros(rows, np.intp)    # how many of these each row has
        self.kept, self.count = None, 0

    def find(self, rows, exponents):
        """Where each of them is kept; -1 where it is not known."""
        same = self.exponent[rows] == exponents[:, None]
        which = same.argmax(axis=1)
        return np.where(same[np.arange(rows.size), which], self.place[rows, which], -1)

    def add(self, rows, exponents, measured):
        """Keep some more."""
        order = np.argsort(rows, kind="stable")
        begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
        which = np.empty_like(rows)
        which[order] = self.tried[rows[order]] + np.arange(rows.size) - np.repeat(
            begins, np.diff(begins, append=rows.size))
        if which.max() >= self.exponent.shape[1]:
            wider = ((0, 0), (0, which.max() + self.exponent.shape[1]))
            self.exponent = np.pad(self.exponent, wider, constant_values=np.nan)
            self.place = np.pad(self.place, wider)
        self.exponent[rows, which], self.place[rows, which] = exponents, self.count + np.arange(rows.size)
        self.tried += np.bincount(rows, minlength=self.tried.size)
        end = self.count + rows.size
        if self.kept is None or len(self.kept.value) < end:
            room = [np.empty((2 * end, *part.shape[1:]), part.dtype) for part in measured]
            if self.kept is not None:
                for larger, part in zip(room, self.kept, strict=True):
                    larger[: self.count] = part[: self.count]
            self.kept = Measured(*room)
        for kept, part in zip(self.kept, measured, strict=True):
            kept[self.count : end] = part
        self.count = end

    def take(self, places):
        """What is kept at some places."""
        return Measured(*(part[places] for part in self.kept))


def _first_of(rows, exponents):
    """Which of some pairs are the first of their kind."""
    order = np.lexsort([exponents, rows])
    new = (np.diff(rows[order], prepend=-1) != 0) | (np.diff(exponents[order], prepend=np.nan) != 0)
    return np.sort(order[new])


class Measured(NamedTuple):
    """Some differences, (rows, m) each, and what was seen beside them."""

    value: np.ndarray
    largest: np.ndarray
    rise: np.ndarray
    pair: np.ndarray


class Trial(NamedTuple):
    """Two differences of each of some rows, the second with the longer step, and what they say of each other.

    `errors` are those of the two; `noise` and `r` belong to the first.
    """

    first: Measured
    second: Measured
    h: np.ndarray
    level: np.ndarray
    rounding: np.ndarray
    noise: np.ndarray
    r: np.ndarray
    errors: tuple
    kinked: np.ndarray
