"""Walks that are driven: who asks f and its gradient for a `Descent`, who is told of it, and what ends it from outside.

Here so that a walk by hand and one of `minimize` are the same, and all methods call back, record and stop alike.
Tested in tests/test_minimize.py.
"""

import math
import time

import numpy as np

from .compiled_functions import check_f
from .errors import DescentStatus, LimitReachedError, TimeIsOverError
from .objective import Answers
from .options import CHOOSING, METHODS, as_number, check_function
from .progress import Bar
from .reference.descent import CAREFULLY, GRADIENT, VALUE

__all__ = ["drive"]

# Iterations without a word to anybody, when nobody listens.
ALL = 2**62
MOST_IN_A_NOTE = 20     # numbers of the best point
HISTORIES = {True: ("x", "fun", "grad", "step"), "x": ("x",), False: (), None: ()}


def drive(run, f, grad, callback, progress, history, maxtime, args, kwargs, differences):
    """Answer a `Descent` until it is over: what `minimize` gives."""
    check_f(f)
    if callback is not None:
        check_function(callback, "callback")
    if maxtime is not None:
        maxtime = as_number(maxtime, "maxtime", above=0.0)
    history = _rows(history)
    if maxtime is not None and run._by_default and run._machine is None:
        run._options.maxiter = ALL
    differences = differences_of(run, grad, differences)
    grad = None if isinstance(grad, str) else grad
    run._differenced = grad is None
    with Answers(f, grad, run._x0, args, kwargs, differences) as objective:
        return Drive(run, objective, Watch(run, callback, progress, history, maxtime)).go()


def _rows(history):
    """What is recorded after every iteration."""
    try:
        return HISTORIES[history]
    except (KeyError, TypeError):
        raise ValueError(f"history must be True, False or 'x', not {history!r}") from None


def differences_of(run, grad, differences):
    """The options of the differences: those given, and what the walk knows of bounds and noise."""
    if grad is not None and not isinstance(grad, str):
        return differences
    if isinstance(grad, str):
        if grad not in METHODS and grad not in CHOOSING:
            raise TypeError("grad must be callable, True, or differences: "
                            f"{', '.join(map(repr, (*METHODS, *CHOOSING)))}, not {grad!r}")
        differences = {"method": grad, **differences}
    if run._lower is not None:
        shape = run.shape
        differences = {"bounds": (run._lower.reshape(shape), run._upper.reshape(shape)), **differences}
    if run._options.noise:
        differences = {"noise": run._options.noise, "memory": True, **differences}
    return differences


class Watch:
    """What is looked at and told after every iteration."""

    def __init__(self, run, callback, progress, history, maxtime):
        self.run, self.callback, self.maxtime = run, callback, maxtime
        self.bar = Bar("iterations") if progress else None
        self.rows = {name: [] for name in history}
        self.begun = time.monotonic()

    @property
    def listens(self):
        """Whether anybody wants to know of every iteration."""
        return (self.callback is not None or self.rows or self.bar is not None or self.maxtime is not None
                or self.run._schedule is not None)

    def look(self):
        """Record the point where the walk stands."""
        run = self.run
        for name, rows in self.rows.items():
            rows.append(run.x if name == "x" else run.fun if name == "fun" else run.jac if name == "grad" else run.step)

    def after_iteration(self):
        """Tell, and give the reason when the walk may not go on."""
        self.look()
        stopped = None
        if self.bar is not None:
            self.bar.expect(1)
            self.bar.advance(1)
        if self.callback is not None:
            from scipy.optimize import OptimizeResult

            run = self.run
            try:
                self.callback(OptimizeResult(x=run.x, fun=run.fun, jac=run.jac, step=run.step, nit=run.nit))
            except StopIteration:
                stopped = DescentStatus.STOPPED
        if stopped is None and self.maxtime is not None and time.monotonic() - self.begun >= self.maxtime:
            stopped = DescentStatus.TIME
        return stopped


class Drive:
    """A walk, who answers it, and who watches."""

    def __init__(self, run, objective, watch):
        self.run, self.objective, self.watch = run, objective, watch
        objective.count_from(run.nfev)

    def go(self, asked=False):
        """Walk until there is a reason to stop; `asked`: the first question has been put, and needs care."""
        run, bar = self.run, self.watch.bar
        run._stopped = None
        try:
            if isinstance(run._options.noise, str):
                run._options.noise = self._noise()
            if run._machine is None:
                run._options.calls_gradient = self.objective.calls_of_gradient
            self.objective.limit_to(run._options.maxfev)
            if bar is not None:
                with bar:
                    self._walk(asked)
            else:
                self._walk(asked)
            self._complete()
        except BaseException as error:
            self._count()
            self._attach_best(error)
            raise
        self._count()
        return self._result()

    def _noise(self):
        """The level of the noise of f, found out once."""
        found = self.objective.noise_level(self.run._x0)
        return float(found) if math.isfinite(found) else 0.0

    def _walk(self, careful):
        run, watch = self.run, self.watch
        machine, listens = run.machine, watch.listens
        try:
            if listens and math.isnan(machine.f):
                self._answer_carefully()    # the start, so that it can be told of
            if not math.isnan(machine.f):
                watch.look()
            if watch.maxtime is not None:
                self.objective.until(watch.begun + watch.maxtime)
            while machine.wants and run._stopped is None:
                before = machine.nit
                run.set_rate()
                if careful or self.objective.answer(machine, 1 if listens else ALL) == CAREFULLY:
                    self._answer_carefully()
                careful = False
                if listens and machine.nit > before:
                    run._stopped = watch.after_iteration()
        except TimeIsOverError:
            run._stopped = DescentStatus.TIME
        except LimitReachedError:
            run._stopped = DescentStatus.EVALUATIONS

    def _answer_carefully(self):
        """One question, answered in Python."""
        run = self.run
        machine = run._projected()
        if not machine.wants:
            return
        known = machine.value if machine.has_value else None
        f, g = self.objective.evaluate(run.ask(), bool(machine.wants & GRADIENT), known,
                                       bool(machine.wants & VALUE) and known is None)
        machine.nfev = self.objective.nfev      # differences may have taken more calls, or fewer, than is usual
        if machine.wants & VALUE:
            machine.nfev -= run._options.calls_value
        if machine.wants & GRADIENT:
            machine.nfev -= run._options.calls_gradient
        machine.tell(f, None if g is None else np.asarray(g, np.float64).reshape(-1))

    def _complete(self):
        """The gradient at the best point of a walk that was stopped from outside, where it is not known yet."""
        run = self.run
        if run._stopped in (DescentStatus.STOPPED, DescentStatus.TIME) and run.machine.wants:
            x, fun, jac = run._best()
            if math.isfinite(fun) and np.isnan(jac).any():
                try:
                    g = self.objective.evaluate(run._shaped(x), True, fun)[1]
                except LimitReachedError:
                    return
                run._more_gradients += 1
                run._known = x.tobytes(), np.asarray(g, np.float64).reshape(-1)

    def _count(self):
        """How often f and its gradient were called."""
        run, objective = self.run, self.objective
        run.nfev = objective.nfev
        if objective.pair is not None:
            run.njev = run.nfev
        elif run._machine is not None:
            run.njev = run._machine.njev + run._more_gradients

    def _attach_best(self, error):
        """Tell what was reached, on an exception that ends the walk."""
        run = self.run
        machine = run._machine
        if machine is not None and math.isfinite(machine.best_f) and not isinstance(error, (TypeError, ValueError)):
            best = ", ".join(map(repr, machine.best_x[:MOST_IN_A_NOTE].tolist()))   # NumPy's words leave cycles behind
            more = ", ..." if machine.n > MOST_IN_A_NOTE else ""
            error.add_note(f"steepest: the best point so far is x = [{best}{more}], f = {run._sign * machine.best_f}")

    def _result(self):
        from scipy.optimize import OptimizeResult

        result = self.run.result()
        if self.watch.rows:
            result.history = OptimizeResult({name: np.array(rows) for name, rows in self.watch.rows.items()})
        return result
