"""Derivatives of a noisy f: runs whose steps balance truncation against the noise, which is given or estimated.

Here because a step made for rounding drowns in larger noise. The search itself is in step_search.py, the estimate of
the noise in ecnoise.py. Tested in tests/test_noisy.py.
"""

import numpy as np

from .differencing import Found
from .ecnoise import levels_at
from .error_bars import UNRESOLVED_SHARE
from .errors import Status
from .memory import remembered
from .probing import Look, Probing, ProbingLine
from .reference.callback import working_type
from .reference.difference import BACKWARD, CENTRAL, FORWARD
from .step_search import BALANCED, CAPPED, FAILED, PENDING, PLAIN, Search, order_for, scheme_of

NO_LEVEL = "no noise level was found: the precision of f was taken for it"
# The true value lies within so many bars.
COVERED = 10.0
FLAT = "f does not rise above its noise"
# Moré and Wild [2012, TOMS 38, 19]: a second difference must be so many times the noise, f change by so little of it,
SEEN = 100.0
CHANGE = 0.1
# and the step of a forward difference is this times sqrt(noise / curvature).
FORWARD_STEP = 8.0**0.25


def levels_of(run, x, f0):
    """``(level, doubt)``: the noise of every result of f, and what is to be said of it.

    Parameters
    ----------
    run : Run
        `noise` in its settings is a level or "auto".
    x : array
        In the type that f sees.
    f0 : array or None
        f(x); None for functions of one number.

    Returns
    -------
    level : array, (1, m), or (rows, 1) for functions of one number
        At least the precision of f(x).
    doubt : str
    """
    real, precision = working_type(run.dtype), max(float(np.finfo(run.dtype).eps), run.function.coarsest)
    floor = np.zeros((1, 1)) if run.each else precision * abs(np.reshape(f0, (1, -1)))
    floor = np.where(np.isfinite(floor), floor, 0).astype(real)
    level, doubt = np.full(floor.shape, 0.0 if run.settings.noise == "auto" else run.settings.noise, real), ""
    if run.settings.noise == "auto":
        found = levels_at(run, x, f0)
        if found is None or found.level.size == 0:
            doubt = NO_LEVEL
        else:
            resolved = found.status == Status.RESOLVED
            level = np.where(resolved, found.level, 0).astype(real)
            doubt = f"noise level {np.median(np.maximum(level, floor)):.3g}" if resolved.all() else NO_LEVEL
    level = np.maximum(level, floor)
    return level, doubt


class NoisyRun(Probing):
    """A run that knows the noise of f; `noise` in its settings is a level or "auto".

    Every component has a step of its own; an evaluation serves all results of f. Where the caller gives the steps, the
    noise makes the error bars wider and no more.

    Attributes
    ----------
    level : array, (1, m) or (rows, 1), or None
        The noise of every result, as the last call knew it.
    """

    level: np.ndarray | None = None

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback."""
        given = self.settings.step is not None or self.settings.rel_step is not None
        if not self.rows or (given and not full):
            return super().solve(x, f0, full)
        if not self.each and f0 is None:
            f0 = self.value_at(x)
        self.level, doubt = remembered(self.settings.memory, "noise", lambda: levels_of(self, x, f0))
        level = self.of_results(self.level)
        name = "steps", self.settings.method
        if given:
            found = self._with_given_steps(x, f0, level)
        else:
            memory = self.settings.memory
            steps = None if memory is None else memory.recall(name)
            found = None if steps is None else self._with_known_steps(x, f0, level, steps, full)
            if found is None:
                found, steps = self._search(x, f0, level)
                if memory is not None:
                    memory.keep(name, steps)
        found.doubt = "; ".join(filter(None, (doubt, found.doubt)))
        if not self.each:
            found.base = np.atleast_1d(f0).reshape(-1) if self.vector else np.atleast_1d(f0).reshape(-1)[0]
        return found

    def _search(self, x, f0, level):
        """``(found, components)``: the derivative, and the signed step and kind of difference of each component."""
        found = self._empty(level.shape)
        self.flat = np.zeros(level.shape, bool)     # not known to differ from zero
        rows = self._movable(x, found)
        settings = self.settings
        kinds = np.full(level.shape, settings.method)
        base = np.ones(level.shape, bool) if self.each else self.of_results(np.isfinite(np.reshape(f0, -1)))
        if rows.size and base.any():
            search = Search(self, x, f0, rows, settings.method, level[rows])
            search.outcome[~base[rows]] = FAILED
            if settings.method != CENTRAL and settings.order == settings.n == 1:
                _by_curvature(search)
            self._take(found, kinds, rows, search.run_to_end(), settings.method)
            for method in (FORWARD, BACKWARD) if settings.method == CENTRAL else ():
                again = rows[self.any_of(self._wanting(search, found.status[rows]) & base[rows], rows)]
                if again.size:
                    other = Search(self, x, f0, again, method, level[again])
                    other.outcome[~base[again]] = FAILED
                    self._take(found, kinds, again, other.run_to_end(), method)
        self._settle_small(found, self.sizes(x)[:, None])
        bad = ~np.isfinite(found.value)
        found.value[bad], found.error[bad], found.status[bad] = np.nan, np.inf, Status.NONFINITE
        return found, (found.step, kinds)

    def _empty(self, shape):
        real = working_type(self.dtype)
        found = Found(np.full(shape, np.nan, real if self.dtype.kind != "c" else np.result_type(real, "F")), None)
        found.step, found.status = np.zeros(shape, real), np.full(shape, Status.NONFINITE, np.int8)
        return found

    def _movable(self, x, found):
        """The rows that their bounds do not fix; the others are settled."""
        lower, upper = self.bounds
        fixed = np.zeros(len(found.value), bool) if lower is None else self.of_rows(lower == upper)
        found.value[fixed], found.error[fixed], found.status[fixed] = 0, 0, Status.FIXED
        return np.flatnonzero(~fixed)

    def _wanting(self, search, status):
        """Components whose central difference had no room, or met values that are not finite."""
        edged = np.isfinite(search.high) | (self.bounds[0] is not None)
        return (status >= Status.UNRESOLVED) & ((search.outcome == FAILED) | ((search.outcome == CAPPED) & edged))

    def _take(self, found, kinds, rows, search, method):
        """Put what a search has found in its place, where it is better than what is there."""
        finite = np.isfinite(search.value) & (search.error < found.error[rows])
        good = (search.outcome == BALANCED) | (search.outcome == PLAIN)
        with np.errstate(all="ignore"):
            small = search.error <= UNRESOLVED_SHARE * abs(search.value)
        good |= (search.outcome == CAPPED) & (small | search.steep | ~search.rose)
        good &= ~search.kinked
        asked = np.repeat((search.side == self.settings.method)[:, None], good.shape[1], axis=1)
        status = np.where(good, np.where(asked, Status.RESOLVED, Status.ONE_SIDED), Status.UNRESOLVED)
        sides = np.repeat(search.side[:, None], good.shape[1], axis=1)
        flat = (search.outcome == CAPPED) & ~search.kinked & ~(abs(search.value) > COVERED * search.error)
        for kept, new in ((found.value, search.value), (found.error, search.error), (found.step, search.step),
                          (found.status, status), (kinds, sides), (self.flat, flat)):
            kept[rows] = np.where(finite, new, kept[rows])

    def _settle_small(self, found, size):
        """What does not rise above the noise is resolved when its bar is small beside the rest of the gradient."""
        flat = (found.status == Status.UNRESOLVED) & self.flat
        if self.each or not flat.any():
            return
        with np.errstate(all="ignore"):
            share = found.error * size <= UNRESOLVED_SHARE * self.largest(abs(found.value) * size)
        found.status[flat & share] = Status.RESOLVED
        if (flat & ~share).any():
            found.doubt = FLAT

    def _with_known_steps(self, x, f0, level, components, full):
        """The derivative with the steps of an earlier call; None where they do not serve any more."""
        steps, kinds = components
        found = self._empty(level.shape)
        self._movable(x, found)
        free = (steps != 0) & (found.status != Status.FIXED)
        if not (free | (found.status == Status.FIXED)).all() or (abs(steps) < self.shortest(x)[:, None]).any():
            return None
        for method in (CENTRAL, FORWARD, BACKWARD):
            where = free & (kinds == method)
            if not where.any():
                continue
            scheme = scheme_of(method, order_for(method, self.settings), self.settings.n)
            row, column = np.nonzero(where)
            tasks, task = np.unique(np.stack([row, abs(steps[row, column])]), axis=1, return_inverse=True)
            rows, h = tasks[0].astype(np.intp), tasks[1].astype(steps.dtype)
            task = task.reshape(-1)
            value = self._serve(rows, h, method, x, f0)
            if value is None or not np.isfinite(value[task, column]).all():
                return None
            noise = scheme.total * level[row, column] / h[task] ** self.settings.n
            error = noise
            if full:
                wider = self._serve(rows, h / scheme.ratio, method, x, f0)[task, column]
                gap = abs(wider - value[task, column]) * (scheme.gain + 1) / scheme.gain
                error = noise + gap
            found.value[row, column], found.error[row, column] = value[task, column], error
            found.step[row, column] = steps[row, column]
            found.status[row, column] = Status.RESOLVED if method == self.settings.method else Status.ONE_SIDED
        return found

    def _serve(self, rows, h, method, x, f0):
        """Differences with known steps; None where there is no room for them any more."""
        differences, value = self.probe(rows, h, method, order_for(method, self.settings), x, f0)
        same = np.sign(differences.step) == (-1 if method == BACKWARD else 1)
        return value if (same & (abs(abs(differences.step) - h) <= 1e-9 * h)).all() else None

    def _with_given_steps(self, x, f0, level):
        """The derivative with the caller's steps, and bars that know of the noise."""
        settings = self.settings
        self.settings = settings.but(noise=float(level.max(initial=0.0)))
        try:
            return super().solve(x, f0, True)
        finally:
            self.settings = settings


class NoisyLineRun(ProbingLine, NoisyRun):
    """`NoisyRun` along one direction."""


class _Second(Look):
    """The second difference |f(x + h) - 2 f(x) + f(x - h)| of central rows, and whether f changes little."""

    def part(self, values, base, points):
        """``(second, calm)``, each (rows, m)."""
        up, down = values[:, 0], values[:, 1]
        largest = np.maximum(np.maximum(abs(up), abs(down)), abs(base))
        calm = np.maximum(abs(up - base), abs(down - base)) <= CHANGE * largest
        return abs((up - base) + (down - base)), calm & (points == 2)[:, None]


def _by_curvature(search):
    """Steps of first-order differences from the second derivative, where two evaluations show it well enough.

    The heuristic of Moré and Wild [2012, "Estimating derivatives of noisy simulations", TOMS 38, 19]: at most two
    second differences, accepted when they stand out of the noise while f changes little. What is not accepted is left
    to the bisection.
    """
    run, rows, level = search.run, search.rows, search.level
    with np.errstate(all="ignore"):
        h = search.size * np.minimum(search.least_share(1.0) ** 0.25, CHANGE)
    curvature = np.full(level.shape, np.nan, level.dtype)
    for _ in range(2):
        some = np.flatnonzero(run.any_of(np.isnan(curvature) & (search.outcome == PENDING), rows) & (h > 0))
        if not some.size:
            break
        look = _Second(run.function, None if run.each else search.base[some])
        run.probe(rows[some], h[some], CENTRAL, 2, search.x, search.f0, look, with_base=run.each)
        second, calm = look.all()
        with np.errstate(all="ignore"):
            mu = second / h[some, None] ** 2
            good = calm & (second >= SEEN * level[some])
            curvature[some] = np.where(np.isnan(curvature[some]) & good, mu, curvature[some])
            best = run.joined(np.minimum, level[some] / mu, rows[some], np.inf)
            h[some] = np.minimum(best**0.25, search.size[some])
    _take_curvature(search, curvature)


def _take_curvature(search, curvature):
    """Difference with the steps that balance a known curvature against the noise."""
    with np.errstate(all="ignore"):
        steps = FORWARD_STEP * np.sqrt(search.level / curvature)
        exponent = (np.log(steps / search.first[:, None]) / np.log(search.scheme.ratio)).astype(float)
        fits = (exponent >= search.bottom[:, None]) & (exponent <= search.top[:, None]) & (search.outcome == PENDING)
    i, j = np.nonzero(fits & np.isfinite(steps))
    if not i.size:
        return
    search.measure(i, exponent[i, j])
    seen, h = search.recall(i, exponent[i, j]), steps[i, j]
    value, largest = (part[np.arange(i.size), j] for part in (seen.value, seen.largest))
    good = np.isfinite(value)
    i, j, h, value, largest = (part[good] for part in (i, j, h, value, largest))
    level = np.maximum(search.level[i, j], search.run.precision * np.maximum(largest, abs(search.base[i, j])))
    search.value[i, j] = value
    search.error[i, j] = curvature[i, j] * h / 2 + search.scheme.total * level / h
    search.step[i, j] = np.where(search.side[i] == BACKWARD, -h, h)
    search.outcome[i, j] = BALANCED
