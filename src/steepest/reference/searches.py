"""Line searches as generators: each yields the step it wants to see and is sent (f, slope) there.

Here to be read beside the papers, and to be compared with: the twin of kernels/_searches.pxi, where the same searches
are machines that can wait between two evaluations. Tested in tests/test_searches.py.

A search starts from f and its slope at 0, looks at steps above 0, and ends with an `Outcome`. What is not finite is
answered by a shorter step. None of them forgets the lowest f that it has seen: that is the outcome of one that fails.
"""

import math
from typing import NamedTuple

# How a search ends; LOOKING while it has not.
LOOKING = -1
FOUND = 0           # the step satisfies the conditions
AT_LIMIT = 1        # the longest step that is allowed, and f decreases enough there
EXHAUSTED = 2       # no more trials
TOO_CLOSE = 3       # the bracket has shrunk to what numbers resolve
HOPELESS = 4        # no trial was finite, or the direction does not descend

# Kinds, and whether they need the slope at every step.
ARMIJO, WOLFE, HAGER_ZHANG, GLL = range(4)
NAMES = {"armijo": ARMIJO, "wolfe": WOLFE, "hager-zhang": HAGER_ZHANG, "gll": GLL}
NEEDS_SLOPE = (False, True, True, False)

_TINY = 2.0**-1022
_EPS = 2.0**-52


class Outcome(NamedTuple):
    """How a search has ended: the step that is to be taken, 0 for none, and f there."""

    status: int
    step: float
    f: float


class Trial(NamedTuple):
    """F and its slope at a step."""

    step: float
    f: float
    slope: float


def quotient(a, b):
    """``a / b``, as the standard for floating-point numbers has it where b is 0."""
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def is_finite(trial):
    """Whether f and its slope are numbers that can be compared."""
    return math.isfinite(trial.f) and math.isfinite(trial.slope)


# Armijo's condition, of itself and of Grippo, Lampariello and Lucidi


def armijo(f0, slope0, step, *, above=None, decrease=1e-4, cubic=True, low=0.1, high=0.5, limit=30, ceiling=math.inf):
    """Shorten the step until f decreases by a share of what its slope promises.

    Interpolation by a parabola, then by a cubic through the last two trials, inside ``[low, high]`` times the last
    step. `above` is the value that f is held against, `f0` by default; the largest of the last few values makes the
    search nonmonotone.
    """
    above = f0 if above is None else above
    step = min(step, ceiling)
    best, before = Trial(0.0, f0, slope0), None
    if not slope0 < 0:
        return Outcome(HOPELESS, 0.0, f0)
    for _ in range(limit):
        f, _ = yield step
        trial = Trial(step, f, 0.0)
        if not math.isfinite(f):
            step, before = 0.1 * step, None
            continue
        if f < best.f:
            best = trial
        if f <= above + decrease * step * slope0:
            return Outcome(AT_LIMIT if step == ceiling else FOUND, step, f)
        wanted = _minimum(f0, slope0, trial, before if cubic else None)
        step, before = min(max(wanted, low * step), high * step), trial
        if not step > _TINY:
            return Outcome(TOO_CLOSE, best.step, best.f)
    return Outcome(EXHAUSTED, best.step, best.f)


def _minimum(f0, slope0, last, before):
    """Where the parabola through f, its slope and a trial is lowest, or the cubic through two."""
    rise = last.f - f0 - slope0 * last.step
    if before is None:
        return quotient(-slope0 * last.step * last.step, 2.0 * rise)
    rise_before = before.f - f0 - slope0 * before.step
    p = quotient(rise, last.step * last.step)
    q = quotient(rise_before, before.step * before.step)
    width = last.step - before.step
    a = quotient(p - q, width)
    b = quotient(last.step * q - before.step * p, width)
    if a == 0:
        wanted = quotient(-slope0, 2.0 * b)
    else:
        under = b * b - 3.0 * a * slope0
        wanted = quotient(-b + math.sqrt(under), 3.0 * a) if under >= 0 else 0.5 * last.step
    return wanted if math.isfinite(wanted) else 0.5 * last.step


# Strong Wolfe conditions, after Moré and Thuente


def wolfe(f0, slope0, step, *, decrease=1e-4, curvature=0.9, width=1e-14, limit=30, ceiling=math.inf):
    """Find a step where f decreases enough and its slope has shrunk to a share of the first.

    J. J. Moré, D. J. Thuente, "Line search algorithms with guaranteed sufficient decrease", ACM Trans. Math. Softw. 20
    (1994) 286-307: first on the auxiliary function f - decrease * slope, then on f itself.
    """
    if not slope0 < 0:
        return Outcome(HOPELESS, 0.0, f0)
    test, longest = decrease * slope0, ceiling
    best = low = high = Trial(0.0, f0, slope0)
    bracketed, first_stage = False, True
    span = before = math.inf
    least, most = 0.0, 5.0 * min(step, ceiling)
    step = min(step, ceiling)
    for _ in range(limit):
        f, slope = yield step
        trial = Trial(step, f, slope)
        if not is_finite(trial):        # what lies beyond is out of bounds
            ceiling = step
            step = low.step + 0.1 * (step - low.step) if step > low.step else 0.5 * (step + low.step)
            most = min(most, ceiling)
            if not abs(step - low.step) > _EPS * step:
                return Outcome(TOO_CLOSE, best.step, best.f)
            continue
        if f < best.f:
            best = trial
        allowed = f0 + step * test
        if f <= allowed and abs(slope) <= -curvature * slope0:
            return Outcome(FOUND, step, f)
        if step == longest and f <= allowed and slope <= test:
            return Outcome(AT_LIMIT, step, f)
        if bracketed and (step <= least or step >= most or most - least <= width * most):
            return Outcome(TOO_CLOSE, best.step, best.f)
        if first_stage and f <= allowed and slope >= 0:
            first_stage = False
        if first_stage and f <= low.f and f > allowed:
            flat, flat_high, flat_trial = (Trial(t.step, t.f - t.step * test, t.slope - test)
                                           for t in (low, high, trial))
            low_, high_, wanted, bracketed = _safeguarded(flat, flat_high, flat_trial, bracketed, least, most)
            low = Trial(low_.step, low_.f + low_.step * test, low_.slope + test)
            high = Trial(high_.step, high_.f + high_.step * test, high_.slope + test)
        else:
            low, high, wanted, bracketed = _safeguarded(low, high, trial, bracketed, least, most)
        if bracketed:
            if abs(high.step - low.step) >= 0.66 * before:
                wanted = low.step + 0.5 * (high.step - low.step)
            before, span = span, abs(high.step - low.step)
            least, most = min(low.step, high.step), max(low.step, high.step)
        else:
            least, most = wanted + 1.1 * (wanted - low.step), wanted + 4.0 * (wanted - low.step)
        step = min(max(wanted, 0.0), ceiling)
        if math.isfinite(ceiling) and ceiling != longest and step == ceiling:     # f is not finite there
            step = low.step + 0.5 * (ceiling - low.step)
        if bracketed and (step <= least or step >= most or most - least <= width * most):
            step = low.step
            if step == best.step and step > 0:
                return Outcome(TOO_CLOSE, best.step, best.f)
            step = 0.5 * (least + most)
    return Outcome(EXHAUSTED, best.step, best.f)


def _safeguarded(low, high, trial, bracketed, least, most):
    """The next step and the next interval, from cubic and parabola, in the four cases of the paper."""
    turned = trial.slope * math.copysign(1.0, low.slope) < 0
    if trial.f > low.f:                                                     # higher: the minimum is bracketed
        cubic = _cubic(low, trial)
        ahead = trial.step - low.step
        parabola = low.step + quotient(low.slope, quotient(low.f - trial.f, ahead) + low.slope) / 2.0 * ahead
        nearer = abs(cubic - low.step) < abs(parabola - low.step)
        wanted = cubic if nearer else cubic + (parabola - cubic) / 2.0
        bracketed = True
    elif turned:                                                            # lower, and past the minimum
        cubic, secant = _cubic(trial, low), _secant(trial, low)
        wanted = cubic if abs(cubic - trial.step) > abs(secant - trial.step) else secant
        bracketed = True
    elif abs(trial.slope) < abs(low.slope):                                 # lower, and flatter
        cubic, secant = _cubic_ahead(low, trial, least, most), _secant(trial, low)
        if bracketed:
            wanted = cubic if abs(cubic - trial.step) < abs(secant - trial.step) else secant
            limit = trial.step + 0.66 * (high.step - trial.step)
            wanted = min(limit, wanted) if trial.step > low.step else max(limit, wanted)
        else:
            wanted = cubic if abs(cubic - trial.step) > abs(secant - trial.step) else secant
            wanted = max(least, min(most, wanted))
    elif bracketed:                                                         # lower, and no flatter
        wanted = _cubic(trial, high)
    else:
        wanted = most if trial.step > low.step else least
    if trial.f > low.f:
        high = trial
    else:
        if turned:
            high = low
        low = trial
    return low, high, wanted, bracketed


def _cubic(a, b):
    """Where the cubic through two trials and their slopes is lowest, seen from a."""
    theta, gamma = _of_cubic(a, b)
    if b.step < a.step:
        gamma = -gamma
    p, q = (gamma - a.slope) + theta, ((gamma - a.slope) + gamma) + b.slope
    return a.step + (p / q if q != 0 else 0.5) * (b.step - a.step)


def _cubic_ahead(low, trial, least, most):
    """The same where it may have no minimum ahead: then as far as is allowed."""
    theta, gamma = _of_cubic(low, trial)
    if trial.step > low.step:
        gamma = -gamma
    p, q = (gamma - trial.slope) + theta, (gamma + (low.slope - trial.slope)) + gamma
    along = p / q if q != 0 else 0.0
    if along < 0 and gamma != 0:
        return trial.step + along * (low.step - trial.step)
    return most if trial.step > low.step else least


def _of_cubic(a, b):
    """What both have in common; slopes are scaled, so that their products are numbers."""
    theta = quotient(3.0 * (a.f - b.f), b.step - a.step) + a.slope + b.slope
    size = max(abs(theta), abs(a.slope), abs(b.slope))
    turned, product = quotient(theta, size), quotient(a.slope, size) * quotient(b.slope, size)
    return theta, size * math.sqrt(max(0.0, turned * turned - product))


def _secant(a, b):
    return a.step + quotient(a.slope, a.slope - b.slope) * (b.step - a.step)


# Wolfe or approximate Wolfe conditions, after Hager and Zhang


def hager_zhang(f0, slope0, step, *, error=0.0, decrease=0.1, curvature=0.9, shrink=0.66, grow=5.0, limit=50,
                ceiling=math.inf):
    """Find a step where the Wolfe conditions hold, or the approximate ones, which numbers can verify near a minimum.

    W. W. Hager, H. Zhang, "A new conjugate gradient method with guaranteed descent and an efficient line search", SIAM
    J. Optim. 16 (2005) 170-192. `error` is how much f may rise by rounding.
    """
    if not slope0 < 0:
        return Outcome(HOPELESS, 0.0, f0)
    start = Trial(0.0, f0, slope0)
    search = _Bracket(start, error, decrease, curvature, limit, ceiling)
    found = yield from search.bracket(min(step, ceiling), grow)
    while found is None:
        width = search.b.step - search.a.step
        found = yield from search.double_secant()
        if found is None and search.b.step - search.a.step > shrink * width:
            found = yield from search.update(0.5 * (search.a.step + search.b.step))
    return found


class _Bracket:
    """An interval where f falls at `a` and rises at `b`, or is too high there; and all that ends a search."""

    def __init__(self, start, error, decrease, curvature, limit, ceiling):
        self.start, self.top = start, start.f + error
        self.decrease, self.curvature, self.left, self.ceiling = decrease, curvature, limit, ceiling
        self.a = self.b = self.best = start
        self.last: Trial = start

    def look(self, step):
        """Evaluate; an outcome when the step will do, or nothing more can be done."""
        self.left -= 1
        f, slope = yield step
        self.last = trial = Trial(step, f, slope)
        if not is_finite(trial):
            return Outcome(EXHAUSTED, self.best.step, self.best.f) if self.left <= 0 else None
        if f < self.best.f:
            self.best = trial
        start = self.start
        if f - start.f <= self.decrease * step * start.slope and slope >= self.curvature * start.slope:
            return Outcome(FOUND, step, f)
        if f <= self.top and (2.0 * self.decrease - 1.0) * start.slope >= slope >= self.curvature * start.slope:
            return Outcome(FOUND, step, f)
        if step == self.ceiling and f - start.f <= self.decrease * step * start.slope:
            return Outcome(AT_LIMIT, step, f)
        return Outcome(EXHAUSTED, self.best.step, self.best.f) if self.left <= 0 else None

    def bracket(self, step, grow):
        """Go on until f rises, or is too high, or is no number: what lies there is the far end."""
        wall = math.inf         # f is not finite there
        while True:
            found = yield from self.look(step)
            if found is not None:
                return found
            last = self.last
            if not is_finite(last):
                wall = step
                step = self.a.step + 0.1 * (step - self.a.step)
                if not step > self.a.step * (1.0 + _EPS) or not step > _TINY:
                    return Outcome(TOO_CLOSE if self.best.step > 0 else HOPELESS, self.best.step, self.best.f)
            elif last.slope >= 0:
                self.b = last
                return None
            elif last.f > self.top:
                # from 0, for what lies between may have risen and fallen
                self.a = self.start
                return (yield from self.bisect(last))
            else:
                self.a = last
                step = min(grow * step, self.ceiling)
                if step >= wall:
                    step = 0.5 * (last.step + wall)
                if not step > last.step * (1.0 + _EPS):
                    return Outcome(TOO_CLOSE, self.best.step, self.best.f)

    def bisect(self, b):
        """Halve ``[a, b]``, where f is too high at b though it falls there, until f rises at the far end."""
        while True:
            step = 0.5 * (self.a.step + b.step)
            if not self.a.step < step < b.step:
                return Outcome(TOO_CLOSE, self.best.step, self.best.f)
            found = yield from self.look(step)
            if found is not None:
                return found
            last = self.last
            if is_finite(last) and last.slope >= 0:
                self.b = last
                return None
            if is_finite(last) and last.f <= self.top:
                self.a = last
            else:
                b = last

    def update(self, step):
        """Look at a step inside the interval, and make it an end."""
        if not self.a.step < step < self.b.step:
            return None
        found = yield from self.look(step)
        if found is not None:
            return found
        last = self.last
        if is_finite(last) and last.slope >= 0:
            self.b = last
        elif is_finite(last) and last.f <= self.top:
            self.a = last
        else:
            return (yield from self.bisect(last))
        return None

    def double_secant(self):
        """Two secant steps: from both ends, then from the end that has moved."""
        a, b = self.a, self.b
        if not b.step - a.step > _EPS * b.step:
            return Outcome(TOO_CLOSE, self.best.step, self.best.f)
        step = _chord(a, b)
        found = yield from self.update(step)
        if found is not None:
            return found
        if step == self.b.step:
            return (yield from self.update(_chord(b, self.b)))
        if step == self.a.step:
            return (yield from self.update(_chord(a, self.a)))
        return None


def _chord(a, b):
    """Where the slope would be 0, were it linear; NaN or far away when it is the same at both."""
    return quotient(a.step * b.slope - b.step * a.slope, b.slope - a.slope)


def gll(f0, slope0, step, *, above=None, decrease=1e-4, limit=30, ceiling=math.inf):
    """Hold f against the largest of its last values.

    L. Grippo, F. Lampariello, S. Lucidi, SIAM J. Numer. Anal. 23 (1986) 707-716. Parabolas inside [0.1,
    0.9] times the last step, as in SPG.
    """
    return (yield from armijo(f0, slope0, step, above=above, decrease=decrease, cubic=False, low=0.1, high=0.9,
                              limit=limit, ceiling=ceiling))


SEARCHES = (armijo, wolfe, hager_zhang, gll)


class LineSearch:
    """One search that waits for what was found at `step`: the twin of kernels/searches.pyx.

    Parameters
    ----------
    kind : int
        One of `NAMES`.
    f0, slope0 : float
        The function and its slope at 0.
    step : float
        The first one to look at.
    above : float
        What GLL holds f against.
    error : float
        How much f may rise by rounding, for HAGER_ZHANG.
    decrease : float
        Share of what the slope promises that f must decrease by.
    curvature : float
        Share of the slope that may be left, for WOLFE and HAGER_ZHANG.
    limit : int
        Looks at most.
    ceiling : float
        The longest step.

    Attributes
    ----------
    status : int
        LOOKING, or how it has ended.
    step, f : float
        Where something is wanted; in the end what is to be taken, 0 for nothing, and f there.
    """

    def __init__(self, kind, f0, slope0, step, above, error, decrease, curvature, limit, ceiling):
        if not ARMIJO <= kind <= GLL or limit < 1:
            raise ValueError("there is no such search")
        more = {"decrease": decrease, "limit": limit, "ceiling": ceiling}
        if kind == GLL:
            more["above"] = above
        if kind == HAGER_ZHANG:
            more["error"] = error
        if NEEDS_SLOPE[kind]:
            more["curvature"] = curvature
        self._search = SEARCHES[kind](f0, slope0, step, **more)
        self.status, self.step, self.f = LOOKING, 0.0, 0.0
        self._go(None)

    def _go(self, answer):
        try:
            self.step = self._search.send(answer)
        except StopIteration as stop:
            self.status, self.step, self.f = stop.value

    def tell(self, f, slope):
        """Say what was found at `step`."""
        if self.status != LOOKING:
            raise ValueError("the search is over")
        self._go((f, slope))
