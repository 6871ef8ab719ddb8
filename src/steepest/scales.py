"""The typical size of every entry of x, from what f does when it moves: ``x_scale="auto"``.

Here because a step of 1e-6 is nothing to a variable of size 1e8, and far too long for one of size 1e-12. Tested in
tests/test_scales.py.

The rule: a variable has the size \\|x\\|, or 1 where x is 0. One forward difference, with the step that belongs to that
size, shows whether it will do: the change of f, as a share of f, is to lie between eps^(3/4), below which it drowns in
rounding, and eps^(1/4), above which f may not be straight; those are the limits of Salane [1986, "Adaptive routines for
forming Jacobians numerically", SAND86-1319] that implicit integrators use. Where it drowns the size grows; where f may
bend or is not finite, shorter steps show how far it is straight, and that is its size; in at most `ROUNDS` evaluations.
"""

import math

import numpy as np

from .memory import remembered
from .options import as_like
from .probing import Look, Probing, ProbingLine
from .reference.callback import working_type
from .reference.difference import FORWARD

__all__ = ["ScaledLineRun", "ScaledRun", "scales_at"]

# No more differences than this are made for one variable.
ROUNDS = 5
# A size grows by the factor that brings the change of f where it should be, within these limits,
LEAST, MOST = 1e2, 1e4
# and shrinks by this.
SHRINK = 1e-2
# Where f changes by more than this share of itself over the size, the size is the geometric mean with that of f.
FAST = 10.0
# f is straight when its change is proportional to the step up to this share.
STRAIGHT = 0.25


class _Change(Look):
    """How much f has changed, and by which share of itself: NaN where it is not finite."""

    def part(self, values, base, points):
        """``(largest, least, change, still)``, (rows,) each: shares, the least of what changed; how many did not."""
        change, size = abs(values[:, 0] - base), np.maximum(abs(values[:, 0]), abs(base))
        share = np.where(change > 0, change / size, np.where(np.isfinite(change), 0, np.nan))
        least = np.where(share > 0, share, np.inf).min(axis=1, initial=np.inf)
        return (share.max(axis=1, initial=0.0), least, change.max(axis=1, initial=0.0), np.sum(change == 0, axis=1))

    def joined(self, run, rows):
        """What all rows have seen, with those that share their steps; a least share of 0 where none has changed."""
        largest, least, change, still = (
            run.shared(ufunc, part, rows, nothing) for ufunc, nothing, part in
            zip((np.maximum, np.minimum, np.maximum, np.add), (0.0, np.inf, 0.0, 0), self.all(), strict=True))
        return largest, np.where(np.isfinite(least), least, 0), change, still


def scales_at(run, x, f0):
    """The typical size of what each row of a run moves at x.

    Parameters
    ----------
    run : Probing
    x : array
        In the type that f sees.
    f0 : array or None
        f(x); None for functions of one number.

    Returns
    -------
    array, (rows,)
        Positive, of the working type.
    """
    magnitude = abs(run.origin(x)).astype(working_type(run.dtype))
    start = np.where(magnitude > 0, magnitude, run.sizes(x))
    if f0 is not None and not np.isfinite(f0).any():
        return start
    sizes = _Sizes(start, run.sizes(x), run.precision)
    for _ in range(ROUNDS):
        rows = np.flatnonzero(~sizes.done)
        if not rows.size:
            break
        look = _Change(run.function)
        differences, _ = run.probe(rows, sizes.step()[rows], FORWARD, 1, x, f0, look)
        sizes.read(rows, abs(differences.step), *look.joined(run, rows))
    least = 1.01 * run.shortest(x) / run.factor     # a step must still leave some bits of the difference
    return np.maximum(np.where(sizes.done, sizes.scale, start), least.astype(start.dtype))


class _Sizes:
    """The sizes on trial; one that drowns becomes at least as large as is usual.

    Attributes
    ----------
    scale : array, (rows,)
    done : array of bool, (rows,)
    """

    def __init__(self, start, usual, precision):
        self.usual, self.scale, self.done = usual, start.copy(), np.zeros(len(start), bool)
        self.root, self.low, self.high = math.sqrt(precision), precision**0.75, precision**0.25
        self.before = np.full((2, len(start)), np.nan)  # the last step, and change of f, with which f may have bent
        self.bent = np.full(len(start), np.inf)         # the shortest step with which it has
        self.modest = np.full(len(start), np.nan)       # a size that does, while a larger one is tried for some results
        self.still = np.zeros(len(start), int)          # how many results did not change with it

    def step(self):
        """The steps to try next."""
        return self.root * self.scale

    def read(self, rows, step, largest, share, change, still):
        """Take what `_Change` saw of some rows with these steps."""
        longer = self.before[0, rows]
        with np.errstate(all="ignore"):
            bend = abs(change / self.before[1, rows] * longer / step - 1)   # longer / (2 L), where f bends over L
        straight = bend <= STRAIGHT
        self.bent[rows] = np.where(np.isfinite(longer) & ~straight, longer, self.bent[rows])
        bends, drowns = ~straight & ~(largest <= self.high), ~straight & (share < self.low)
        lost = bends & ~np.isfinite(change)
        self.bent[rows[lost]] = step[lost]
        both = bends & drowns & ~lost       # no size suits all results
        bends, drowns = bends & ~both, drowns & ~both
        self.before[:, rows] = np.where(bends & ~lost, (step, change), np.nan)
        with np.errstate(all="ignore"):
            growth = np.clip(np.where(share > 0, self.root / share, MOST), LEAST, MOST)
            found = np.minimum(longer / self.root, np.minimum(longer / (2 * bend), self.bent[rows]))
        scale = self.scale[rows]
        larger = np.where(scale < self.usual[rows], np.maximum(growth * scale, self.usual[rows]), growth * scale)
        with np.errstate(all="ignore"):     # f changes fast: it is small, and so is its rounding, or it soon bends
            shorter = np.where(largest > FAST * self.root, scale * np.sqrt(self.root / largest), scale)
        scale = np.where(bends, SHRINK * scale, np.where(drowns, larger, shorter))
        self._try_more(rows, bends | drowns, still, change > 0, np.where(straight, found, scale))

    def _try_more(self, rows, unfit, still, moves, scale):
        """Settle rows that have found their size, but for results that did not change: one larger size shows why."""
        modest = self.modest[rows]
        trying = np.isfinite(modest)
        failed = trying & (unfit | (still >= self.still[rows]))
        wanting = ~trying & ~unfit & moves & (still > 0)
        self.modest[rows] = np.where(wanting, scale, modest)
        self.still[rows] = np.where(wanting, still, self.still[rows])
        self.scale[rows] = np.where(failed, modest, np.where(wanting, MOST * scale, scale))
        self.done[rows] = failed | (~unfit & ~wanting)


class ScaledRun(Probing):
    """A run whose steps are made for the sizes that f shows; its settings have no x_scale of their own."""

    scale: np.ndarray | None = None

    def choose_steps(self):
        """Derive the steps from the sizes, once they are known."""
        super().choose_steps()
        if self.scale is not None:
            self._take_scale()

    def _take_scale(self):
        step = self.factor * self.of_x(self.scale, 1.0)
        none = np.zeros(1, step.dtype)
        relative = self.settings.rel_step
        self.rule = (step, none, step)
        if relative is not None:
            self.rule = (none, as_like(relative, self.shape, self.dtype, "rel_step"), step)
        self.differences = None

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback."""
        if not self.rows:
            return super().solve(x, f0, full)
        if not self.each and f0 is None:
            f0 = self.value_at(x)
        self.scale = remembered(self.settings.memory, "scale", lambda: scales_at(self, x, f0))
        self._take_scale()
        try:
            return super().solve(x, f0, full)
        finally:
            self.scale = None
            self.choose_steps()


class ScaledLineRun(ProbingLine, ScaledRun):
    """`ScaledRun` along one direction."""
