"""Forward differences while they are good enough, central ones from then on: ``method="switch"``.

Here because an optimiser far from its minimum is served by half the evaluations, and near it by none but central
differences. Tested in tests/test_switch.py.

The rule is that of Gill, Murray, Saunders and Wright [1983, SISC 4, 310-321; NPSOL]: forward differences serve as long
as the gradient exceeds their error, half the curvature times the step and what noise does, 2 sqrt(e m) in all when the
step is the best for a noise e and a curvature m. Both are measured in changes of f over one step, so that the units
of the variables do not matter; the curvature is that in one direction, with the signs of the steps at random.
"""

import numpy as np

from .differencing import LineRun, Run
from .memory import Memory
from .reference.difference import CENTRAL, FORWARD

__all__ = ["SwitchLineRun", "SwitchRun", "Switching", "shell"]

BY_FORWARD = "forward differences"
BY_CENTRAL = "central differences, for the derivative is within the error of forward ones"


class Switching(Run):
    """The part of `SwitchRun` that a direction has too: two runs, and which of them serves."""

    sweeps = False

    def prepare_both(self, settings, make):
        """Make the runs by forward and by central differences: ``make(settings)`` gives a run with other options."""
        self.memory = settings.memory
        orders = {FORWARD: settings.order, CENTRAL: 2 if settings.order <= 2 else 4}
        self.runs = {method: make(settings.but(method=method, order=order, choosing=None))
                     for method, order in orders.items()}

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback."""
        memory = Memory(2) if self.memory is None or self.memory.only else self.memory
        for run in self.runs.values():      # what one finds out of noise and scales, the other need not look for
            run.settings.memory = memory
        state = None if self.memory is None else self.memory.recall("switch")
        if state == CENTRAL:
            if f0 is None and self.vector and self.runs[CENTRAL].results < 0:
                f0 = self.value_at(x)
            return self._by(CENTRAL, x, f0, full)
        if not self.each and f0 is None and self.rows:
            f0 = self.value_at(x)
        found = self._by(FORWARD, x, f0, full)
        if not self.rows or (f0 is not None and not np.isfinite(f0).any()):
            return found
        lost = self._within_error(found, x, f0, state)
        if not lost.any():
            return found
        if self.memory is not None and not self.each:
            self.memory.keep("switch", CENTRAL)
        central = self._by(CENTRAL, x, f0, full)
        return self._joined(central, found, lost) if self.each else central

    def _by(self, method, x, f0, full):
        run = self.runs[method]
        run.count_from(self.nfev)
        try:
            if self.vector and f0 is not None:
                run.value_at(x, f0.reshape(-1) if f0.ndim else f0)      # so many results
            found = run.solve(x, f0, full)
        finally:
            self.count_from(run.nfev)
        found.doubt = "; ".join(filter(None, (found.doubt, BY_FORWARD if method == FORWARD else BY_CENTRAL)))
        return found

    # the decision

    def _within_error(self, found, x, f0, known):
        """Whether the error of forward differences hides the derivative: for all of it, or for each entry of x."""
        axis = 1 if self.each else None
        step = abs(found.step)
        with np.errstate(all="ignore"):
            change = _norm(abs(found.value) * step, axis)
            if self.settings.noise is not None:
                error = _norm(found.error * step, axis)
            elif known is not None:
                error = known
            else:
                error = self._forward_error(self.of_x(step[:, 0], 0.0), x, f0)
                if self.memory is not None and not self.each:
                    self.memory.keep("switch", float(error))
            return np.atleast_1d(~(change > error))

    def _forward_error(self, step, x, f0):
        """The error of forward differences times their steps: half a second difference, and rounding."""
        precision = max(float(np.finfo(self.dtype).eps), self.runs[FORWARD].function.coarsest)
        if self.each:
            h = np.where(step > 0, step, 1).reshape(self.shape)
            second = Run(self.f, self._second(h), self.shape, self.dtype, each=True)
            bend, rounding = self._counted(second, x, None).value * h.reshape(-1, 1) ** 2, 0.0
            return abs(bend).max(axis=1) / 2 + rounding
        second = LineRun(self.f, self._second(1.0), self._direction(step))
        bend = self._counted(second, x, f0).value
        rounding = 2 * precision * np.sqrt(step.size) * _norm(np.atleast_1d(f0), None)
        return _norm(bend, None) / 2 + rounding

    def _direction(self, step):
        """Every step, up or down at random, the same way in every call."""
        signs = np.random.default_rng(0).choice([-1.0, 1.0], len(step))
        return np.ascontiguousarray((signs * step).astype(self.dtype)).reshape(self.shape)

    def _second(self, step):
        return self.settings.but(method=CENTRAL, order=2, n=2, step=step, rel_step=None, x_scale=None, noise=None,
                                 memory=None)

    def _counted(self, run, x, f0):
        """Solve by another run, its calls counted here."""
        run.count_from(self.nfev)
        try:
            if f0 is not None:
                f0 = run.value_at(x, f0).reshape(-1)
            return run.solve(x, f0)
        finally:
            self.count_from(run.nfev)

    def _joined(self, central, forward, lost):
        """Central differences where they are needed, forward ones elsewhere."""
        for name in ("value", "error", "step", "status"):
            kept = getattr(central, name)
            kept[~lost] = getattr(forward, name)[~lost]
        if not lost.all():
            central.doubt = f"{np.count_nonzero(lost)} of {lost.size} by {central.doubt}"
        return central


class SwitchRun(Switching):
    """A run that hands each call to one by forward or one by central differences.

    Parameters
    ----------
    f, settings, shape, dtype, vector, each
        As for `Run`.
    make : callable
        As for `Switching.prepare_both`.
    """

    def __init__(self, f, settings, shape, dtype, vector, each, make):
        super().__init__(f, shell(settings), shape, dtype, vector, each)
        self.prepare_both(settings, make)


class SwitchLineRun(Switching, LineRun):
    """`SwitchRun` along one direction."""

    def __init__(self, f, settings, v, make):
        LineRun.__init__(self, f, shell(settings), v)
        self.prepare_both(settings, make)

    def _direction(self, step):
        """One step along the line."""
        return np.ascontiguousarray(self.v * self.v.dtype.type(step[0]))


def shell(settings):
    """Options of a run that differences nothing by itself."""
    return settings.but(x_scale=None) if isinstance(settings.x_scale, str) else settings


def _norm(array, axis):
    return np.sqrt(np.nansum(np.abs(array) ** 2, axis=axis))
