"""What a check of a derivative found: a verdict for each component, and a text that a person can read.

Here so that gradients, Jacobians and Hessians are reported alike, by tests, by people and by the command line. Tested
in tests/test_check_report.py.
"""

import numpy as np

from .check_verdicts import KINK, NONFINITE, RIGHT, UNRESOLVED, WORDS, WRONG
from .errors import GradientError

__all__ = ["GradientCheck", "Taylor"]

ROWS = 10       # of the table are shown, the worst first
FIELDS = [("index", np.intp), ("given", float), ("estimate", float), ("error", float), ("ratio", float),
          ("verdict", WORDS.dtype)]


class Taylor:
    """The remainders of Taylor's theorem along one direction.

    Attributes
    ----------
    step : array
        How far along the direction.
    remainder : array
        ``|f(x + h d) - f(x) - h g d|``, the mean of both sides; the largest, for a vector f.
    slope : float
        Of its logarithm over that of the step, between the last two that stand out from rounding: 2 where the gradient
        is right, 1 where it is wrong or f has a kink; NaN where all is rounding.
    verdict : str
        On the gradient along this direction: "right", "wrong", "kink" or "unresolved".
    """

    def __init__(self, step, remainder, floor, verdict):
        self.step, self.remainder = step, remainder
        self.slope, self.verdict = np.nan, verdict
        with np.errstate(all="ignore"):
            seen = np.flatnonzero((remainder[1:] > floor[1:]) & (remainder[:-1] > floor[:-1]))
            if seen.size:
                i = seen[-1]
                self.slope = float(np.log(remainder[i] / remainder[i + 1]) / np.log(step[i] / step[i + 1]))

    def __repr__(self):
        return f"Taylor(slope={self.slope:.2f}, verdict={self.verdict!r})"


class GradientCheck:
    """What a check found. True where nothing is wrong.

    Attributes
    ----------
    ok : bool
        Nothing is wrong, and something could be judged.
    worst : int or None
        Index in `table` of the component that is furthest from right; None when there is none.
    worst_name : str
        What it is called.
    table : structured array
        One row for each component (for each direction, in mode "cheap"): ``index`` (in the flattened x, or Jacobian, or
        the number of the direction), ``given``, ``estimate``, ``error`` (the bar of the estimate: truncation, rounding
        and noise), ``ratio`` (``|given - estimate|`` in units of what is tolerated, above 1 is wrong) and ``verdict``:
        "right", "wrong", "wrong (non-finite)", "kink" or "unresolved".
    counts : dict
        How many components got each verdict.
    zeros : array of int
        Structural zeros: components that are given as 0, and f does not depend on.
    taylor : Taylor or None
        Taylor's theorem along one direction (mode "full").
    score : float, array or None
        MINPACK's score of consistency along one direction, for each result of f: 1 is right, 0 wrong, below 0.5
        suspect (mode "full").
    noise : float
        What values of f were taken to be off by.
    deterministic : bool
        f and the derivative gave the same twice at one point, as far as they were asked.
    nfev, njev : int
        How often f and the derivative were called.
    mode : str
    """

    def __init__(self, what, given, estimate, error, ratio, verdict, name, parts=None, mode="full", nfev=0, njev=0,
                 noise=0.0, deterministic=True, taylor=None, score=None, zeros=(), note=""):
        self._what, self._name, self._parts, self._verdict = what, name, parts or [], verdict
        self._columns = given, estimate, error, ratio
        self._table = None
        self.mode, self.nfev, self.njev, self.noise, self.note = mode, nfev, njev, noise, note
        self.deterministic, self.taylor, self.score = deterministic, taylor, score
        self.zeros = np.asarray(zeros, np.intp)
        numbers = np.bincount(verdict, minlength=len(WORDS))
        self.counts = {"right": int(numbers[RIGHT]), "wrong": int(numbers[WRONG] + numbers[NONFINITE]),
                       "kink": int(numbers[KINK]), "unresolved": int(numbers[UNRESOLVED])}
        # a line tells something only where its components could not be judged
        wrong_line = taylor is not None and taylor.verdict == "wrong" and self.counts["right"] < verdict.size
        self.ok = self.counts["wrong"] == 0 and not wrong_line and not self._nothing()

    def _nothing(self):
        return self._verdict.size > 0 and self.counts["unresolved"] == self._verdict.size

    @property
    def table(self):
        """All components, in order."""
        if self._table is None:
            table = np.empty(self._verdict.size, FIELDS)
            columns = (np.arange(self._verdict.size), *self._columns, WORDS[self._verdict])
            for (name, _), column in zip(FIELDS, columns, strict=True):
                table[name] = column
            self._table = table
        return self._table

    def _order(self):
        """Rows, the worst first: wrong, then unresolved, kinks and right ones by their ratio."""
        rank = np.array([3, 0, 2, 1, -1])[self._verdict]
        ratio = self._columns[3]
        return np.lexsort((-np.where(np.isnan(ratio), np.inf, ratio), rank))

    @property
    def worst(self):
        return int(self._order()[0]) if self._verdict.size else None

    @property
    def worst_name(self):
        return "" if self.worst is None else self._name(self.worst)

    def __bool__(self):
        return self.ok

    def __repr__(self):
        return f"<GradientCheck: {self.message}>"

    @property
    def message(self):
        """The result in one line."""
        counts, total = self.counts, self._verdict.size
        unit = "direction" if self.mode == "cheap" else "component"
        where = f"{total} {unit}{'s' if total != 1 else ''}"
        rest = ", ".join(f"{counts[word]} {word}" for word in ("right", "kink", "unresolved") if counts[word])
        if counts["wrong"]:
            return f"{self._what} is WRONG in {counts['wrong']} of {where}" + (f" ({rest})" if rest else "")
        if not self.ok and self._nothing():
            return f"{self._what} could NOT BE CHECKED: {where}, all unresolved"
        if not self.ok:
            return f"{self._what} is WRONG along a direction, though in no component that could be resolved ({rest})"
        return f"{self._what} is right in {where}" + (f" ({rest})" if counts["right"] < total else "")

    def raise_if_wrong(self):
        """Raise `GradientError`, with the report for its text, unless `ok`."""
        if not self.ok:
            raise GradientError(str(self))

    def __str__(self):
        return "\n".join([self.message, *self._rows(), *self._arrays(), *self._evidence()])

    def _rows(self):
        order = self._order()
        notable = order[np.isin(self._verdict[order], (WRONG, NONFINITE, KINK, UNRESOLVED))]
        shown = notable[:ROWS] if notable.size else order[:1]
        if shown.size == 0:
            return
        names = [self._name(int(i)) for i in shown]
        width = max(9, *map(len, names))
        yield ""
        yield f"  {'component':<{width}}  {'given':>15}  {'estimate':>15}  {'error':>8}  {'ratio':>8}  verdict"
        given, estimate, error, ratio = (column[shown] for column in self._columns)
        for k, i in enumerate(shown):
            yield (f"  {names[k]:<{width}}  {given[k]:>15.8g}  {estimate[k]:>15.8g}  {error[k]:>8.1e}  "
                   f"{ratio[k]:>8.2g}  {WORDS[self._verdict[i]]}")
        if notable.size > shown.size:
            yield f"  ... and {notable.size - shown.size} more that are not simply right"

    def _arrays(self):
        """One line for each array of a nested x."""
        if len(self._parts) < 2:
            return
        given, estimate = self._columns[:2]
        width = max(5, *(len(name) for name, _, _ in self._parts))
        yield ""
        heads = "".join(f"  {word:>7}" for word in ("right", "wrong", "kink", "unres."))
        yield f"  {'array':<{width}}  {'shape':>14}{heads}  |g - D|/|D|"
        for name, shape, part in self._parts:
            counts = np.bincount(self._verdict[part], minlength=len(WORDS))
            with np.errstate(all="ignore"):
                known = np.isfinite(estimate[part])
                apart = np.linalg.norm((given[part] - estimate[part])[known])
                size = np.linalg.norm(estimate[part][known])
            yield (f"  {name:<{width}}  {shape!s:>14}  {counts[RIGHT]:>7}  {counts[WRONG] + counts[NONFINITE]:>7}  "
                   f"{counts[KINK]:>7}  {counts[UNRESOLVED]:>7}  {apart / size if size else apart:.1e}")

    def _evidence(self):
        yield ""
        if self.taylor is not None:
            yield (f"  Taylor remainder: slope {self.taylor.slope:.2f} (2 where right, 1 where wrong or at a kink); "
                   f"along the direction: {self.taylor.verdict}")
        if self.score is not None:
            yield f"  chkder score: {np.min(self.score, initial=1.0):.2f} (1 right, 0 wrong)"
        if self.zeros.size:
            yield f"  structural zeros: {self.zeros.size}"
        if not self.deterministic:
            yield "  the same point gave two results: f or its derivative is not deterministic"
        if self.note:
            yield f"  {self.note}"
        yield f"  values of f are off by about {self.noise:.1e}; {self.nfev} calls of f, {self.njev} of its derivative"
