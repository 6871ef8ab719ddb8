"""Walking down a gradient.

Here so that the textbook's ``x -= lr * grad`` is one call, on a kernel, with its history. Tested in
tests/test_descend.py.
"""

import functools
import math

import numpy as np

from .backends import current
from .compiled_functions import check_f
from .objective import Objective
from .options import as_integer, as_number, as_point, check_function
from .reference import update as twin
from .reference.descent import CONVERGED, NONFINITE
from .reference.searches import NAMES

__all__ = ["gradient_descent"]

DONE, CLIMBED, NOT_FINITE, STUCK = range(4)
_MESSAGES = {
    DONE: "all steps were made",
    CLIMBED: "all steps were made, but {what} went from {start:.6g} to {end:.6g}, the wrong way: {advice}",
    NOT_FINITE: "step {nit} met a point, value or gradient that is not finite, and was not made: {advice}",
    STUCK: "step {nit} was not made, for no point along the gradient is better: f may be as good as rounding lets it "
           "be, or its gradient may be wrong; run sd.check_gradient",
}
_AT_REST = "the gradient is 0 after {nit} steps: no more would move x"
_SMALLER = "try a smaller learning rate"


def gradient_descent(f, x0, lr=0.01, steps=100, *, grad=None, schedule=None, momentum=0.0, nesterov=False,
                     line_search=None, maximize=False, history=False, args=(), kwargs=None, **differences):
    """Walk down a function by steps against its gradient, as the textbook does.

    ``x <- x - lr * grad(x)``; with momentum, ``v <- momentum * v + grad(x)`` and ``x <- x - lr * v``
    [1]_ [2]_ [3]_.

    Parameters
    ----------
    f : callable or None
        ``f(x, *args, **kwargs)`` gives one number. None when `grad` is given and values are of no interest.
    x0 : array_like
        The start, in any shape of a real type; it is not changed.
    lr : float, optional
        Learning rate, positive and finite.
    steps : int, optional
        How many steps are made, exactly.
    grad : callable, optional
        ``grad(x, *args, **kwargs)`` gives the gradient in the shape of x. By default it is found by differences of f.
    schedule : callable, optional
        ``schedule(t)`` is the learning rate of step t, counted from 0; used instead of `lr`.
    momentum : float, optional
        Share of the velocity that is kept, at least 0 and below 1.
    nesterov : bool, optional
        Look ahead along the velocity.
    line_search : {"armijo", "wolfe", "hager-zhang", "gll"}, optional
        Look for the length of every step, `lr` being the first to be tried; see `steepest.linesearch`. Without momentum
        or a schedule, for float32 and float64. "armijo" and "gll" need no more gradients than fixed steps do.
    maximize : bool, optional
        Climb instead.
    history : bool, optional
        Keep every point, value and gradient.
    args, kwargs : tuple, dict, optional
        What f and grad take after x.
    **differences
        Options of `Gradient` (method, order, step, rel_step, x_scale, bounds, vectorized, workers, progress), when
        `grad` is not given. Workers evaluate every call of f, and processes of its own end with the walk.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` (the last point), ``fun``, ``jac``, ``nit``, ``nfev``, ``njev``, ``status``, ``message``, ``success``;
        ``history`` with ``x`` (nit + 1 rows), ``fun``, ``grad`` and ``lr`` when asked for. Status 0: all steps were
        made; 1: and f is worse than at the start (without f: the gradient has grown, under a rate that cannot settle);
        2: a step was not finite, and ``x`` is the last point that was; 3: a line search found nothing better. The
        message of 1 and 2 says which rates would do at the curvature that was met. ``success`` is true for status 0
        alone. ``nfev`` counts all calls of f, those of differences included.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before anything is called.

    References
    ----------
    .. [1] A.-L. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", C. R. Acad. Sci.
       Paris 25 (1847) 536-538.
    .. [2] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Comput. Math. Math.
       Phys. 4 (1964) 1-17.
    .. [3] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
       learning", ICML 2013.

    Examples
    --------
    >>> import steepest as sd
    >>> run = sd.gradient_descent(lambda x: x[0] ** 2 + x[1] ** 2, [-3.0, 4.0], lr=0.1, steps=100)
    >>> [f"{x:.2e}" for x in run.x]
    ['-6.11e-10', '8.15e-10']
    >>> sd.gradient_descent(lambda x: x[0] ** 2 + x[1] ** 2, [-3.0, 4.0], lr=1.1).message.split(": ")[2]
    'at the curvature met last, 2, a learning rate has to be below 1 to settle'
    """
    if f is not None or grad is None:
        check_f(f)
    x = as_point(x0, "x0").copy()
    if x.dtype.kind == "c":
        raise TypeError("x0 must be real")
    lr = as_number(lr, "lr", above=0.0)
    momentum = as_number(momentum, "momentum", at_least=0.0, below=1.0)
    steps = as_integer(steps, "steps")
    if steps < 0:
        raise ValueError(f"steps must be at least 0, not {steps}")
    if schedule is not None:
        check_function(schedule, "schedule")
    if nesterov and momentum == 0:
        raise ValueError("nesterov needs a momentum above 0")
    if line_search is not None:
        _check_search(line_search, f, x, schedule, momentum)
    rate = functools.partial(_scheduled, schedule, lr)
    with Objective(f, grad, x, args, kwargs, differences) as objective:
        if line_search is not None:
            return _search_walk(objective, x, line_search, lr, steps, bool(maximize), history)
        return _walk(objective, x, rate, steps, momentum, bool(nesterov), -1.0 if maximize else 1.0, history)


def _check_search(line_search, f, x, schedule, momentum):
    """Refuse what does not go with a line search."""
    if not isinstance(line_search, str) or line_search not in NAMES:
        raise ValueError(f"line_search must be one of {', '.join(map(repr, NAMES))}, not {line_search!r}")
    for name, given in (("schedule", schedule is not None), ("momentum", momentum > 0)):
        if given:
            raise ValueError(f"{name} has no use with a line_search, which finds the length of every step")
    if f is None:
        raise ValueError("line_search needs f")
    if x.dtype.char == "g":
        raise TypeError("x0 must be of float32 or float64 for a line_search, not longdouble")


def _scheduled(schedule, lr, t):
    """The learning rate of step t."""
    return lr if schedule is None else as_number(schedule(t), f"schedule({t})", at_least=0.0)


def _walk(objective, x, rate_of, steps, momentum, nesterov, sign, history):
    """Make the steps."""
    make_step = _stepper(x, momentum, nesterov)
    start = fun = objective.value(x)
    g = first = objective.gradient(x)
    objective.foresee(steps, steps if history else min(steps, 1))
    trace = _Trace(x, fun, g) if history else None
    status = DONE if objective.finite(fun, g) else NOT_FINITE
    nit, before, earlier, rate = 0, None, None, 0.0
    while status == DONE and nit < steps:
        rate = rate_of(nit)
        earlier, before = before, (x.copy(), fun, g)
        make_step(g, sign * rate)
        if np.isfinite(x).all():
            g = objective.gradient(x)
            if trace is not None or nit + 1 == steps:
                fun = objective.value(x)
            status = DONE if objective.finite(fun, g) else NOT_FINITE
        else:
            status = NOT_FINITE
        if status == NOT_FINITE:
            x, fun, g = before
            before = earlier
            if trace is None and nit > 0:
                fun = objective.value(x)
            break
        nit += 1
        if trace is not None:
            trace.add(x, fun, g, rate)
    limit = _Limit(before, x, g, momentum, nesterov, rate)
    if status == DONE and sign * (fun - start) > 0:
        status = CLIMBED
    elif status == DONE and objective.f is None and limit.broken and _norm(g) > _norm(first):
        status, start, fun = CLIMBED, _norm(first), _norm(g)
    what = "f" if objective.f is not None else "|g|"
    message = _MESSAGES[status].format(what=what, start=start, end=fun, nit=nit, advice=limit.advice)
    return _result(objective, trace, x, fun if objective.f is not None else math.nan, g, nit, status, message)


def _search_walk(objective, x, line_search, lr, steps, maximize, history):
    """Make steps whose lengths are looked for."""
    from .descent import Descent

    trace = None
    with Descent(x, method="gd", line_search=line_search, lr=lr, tol=0.0, maxiter=steps, maximize=maximize) as run:
        start = None
        while not run.done and (start is None or run.nit < steps):
            made, at, wants = run.nit, run.ask(), run.wants
            f = objective.value(at) if "f" in wants else None
            g = objective.gradient(at) if "g" in wants else None
            run.tell(f, g)
            if start is None:
                start, first = f, (at, f, g)
                trace = _Trace(*first) if history else None
            elif run.nit > made and trace is not None:
                trace.add(run.x, run.fun, run.jac, run.step)
        reason = run.machine.status
        (x, fun, g), nit = first if reason == NONFINITE else (run.x, run.fun, run.jac), run.nit
    status, message = DONE, _MESSAGES[DONE]
    if nit < steps:
        status = {CONVERGED: DONE, NONFINITE: NOT_FINITE}.get(reason, STUCK)
        message = _AT_REST if status == DONE else _MESSAGES[status]
    elif (start - fun if maximize else fun - start) > 0:
        status, message = CLIMBED, _MESSAGES[CLIMBED]
    message = message.format(what="f", start=start, end=fun, nit=nit, advice=_SMALLER)
    return _result(objective, trace, x, fun, g, nit, status, message)


def _norm(g):
    """The length of a vector, whose squares may be too large."""
    sizes = np.abs(g).astype(np.float64)
    most = float(sizes.max(initial=0.0))
    return most * float(np.sqrt(((sizes / most) ** 2).sum())) if 0 < most < math.inf else most


class _Limit:
    """What the last step tells of the rates that can settle: the curvature along it.

    Where the curvature is c, steps of a rate r settle for r below ``2 (1 + m) / c`` with a momentum m, and below
    ``2 (1 + m) / ((1 + 2 m) c)`` in Nesterov's form [B. T. Polyak, Introduction to Optimization (1987), 3.2; B.
    O'Donoghue, E. Candes, Found. Comput. Math. 15 (2015) 715-732].
    """

    def __init__(self, before, x, g, momentum, nesterov, rate):
        self.rate, self.curvature, self.most = rate, math.nan, math.nan
        if before is not None:
            with np.errstate(all="ignore"):
                moved, turned = _norm(x - before[0]), _norm(g - before[2])
            if moved > 0 and 0 < turned / moved < math.inf:
                self.curvature = turned / moved
                self.most = 2 * (1 + momentum) / ((1 + 2 * momentum if nesterov else 1) * self.curvature)

    @property
    def broken(self):
        """Whether the rate is above the limit."""
        return self.rate > self.most

    @property
    def advice(self):
        """What to do about it."""
        if not self.broken:
            return _SMALLER
        return (f"{_SMALLER}: at the curvature met last, {self.curvature:.3g}, a learning rate has to be below "
                f"{self.most:.3g} to settle")


def _stepper(x, momentum, nesterov):
    """The step of x, in place, as ``step(g, rate)``: a rule of `steepest.optim`; for a longdouble x the reference."""
    step = twin.step if x.dtype.char == "g" else current().step
    rule = "plain" if momentum == 0 else "nesterov" if nesterov else "momentum"
    states = () if momentum == 0 else (np.zeros_like(x),)

    def make_step(g, rate):
        with np.errstate(all="ignore"):
            step(rule, x, g, states, (rate, momentum, 1.0)[: 1 if momentum == 0 else 3])

    return make_step


class _Trace:
    """What a run has seen, point by point."""

    def __init__(self, x, fun, g):
        self.x, self.fun, self.grad, self.lr = [x.copy()], [fun], [g], []

    def add(self, x, fun, g, rate):
        self.x.append(x.copy())
        self.fun.append(fun)
        self.grad.append(g)
        self.lr.append(rate)


def _result(objective, trace, x, fun, g, nit, status, message):
    from scipy.optimize import OptimizeResult

    result = OptimizeResult(
        x=x, fun=fun, jac=g, nit=nit, nfev=objective.nfev, njev=objective.njev, status=status, message=message,
        success=status == DONE,
    )
    if trace is not None:
        result.history = OptimizeResult({name: np.array(rows) for name, rows in vars(trace).items()})
    return result
