"""Walking down a gradient.

Here so that the textbook's ``x -= lr * grad`` is one call, on a kernel, with its history. Tested in
tests/test_descend.py.
"""

import functools

import numpy as np

from .backends import current
from .compiled_functions import check_f
from .objective import Objective
from .options import as_integer, as_number, as_point, check_function
from .reference import update as twin

__all__ = ["gradient_descent"]

_MESSAGES = {
    0: "all steps were made",
    1: "all steps were made, but f went from {start:.6g} to {end:.6g}, the wrong way: try a smaller learning rate",
    2: "step {nit} met a point, value or gradient that is not finite, and was not made: try a smaller learning rate",
}


def gradient_descent(f, x0, lr=0.01, steps=100, *, grad=None, schedule=None, momentum=0.0, nesterov=False,
                     maximize=False, history=False, args=(), kwargs=None, **differences):
    """Walk down a function by fixed steps against its gradient.

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
        made; 1: and f is worse than at the start; 2: a step was not finite, and ``x`` is the last point that was.
        ``success`` is true for status 0 alone. ``nfev`` counts all calls of f, those of differences included.

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
    rate = functools.partial(_scheduled, schedule, lr)
    with Objective(f, grad, x, args, kwargs, differences) as objective:
        return _walk(objective, x, rate, steps, momentum, bool(nesterov), -1.0 if maximize else 1.0, history)


def _scheduled(schedule, lr, t):
    """The learning rate of step t."""
    return lr if schedule is None else as_number(schedule(t), f"schedule({t})", at_least=0.0)


def _walk(objective, x, rate_of, steps, momentum, nesterov, sign, history):
    """Make the steps."""
    make_step = _stepper(x, momentum, nesterov)
    start = fun = objective.value(x)
    g = objective.gradient(x)
    objective.foresee(steps, steps if history else min(steps, 1))
    trace = _Trace(x, fun, g) if history else None
    status = 0 if objective.finite(fun, g) else 2
    nit = 0
    while status == 0 and nit < steps:
        rate = rate_of(nit)
        before = x.copy(), fun, g
        make_step(g, sign * rate)
        if np.isfinite(x).all():
            g = objective.gradient(x)
            if trace is not None or nit + 1 == steps:
                fun = objective.value(x)
            status = 0 if objective.finite(fun, g) else 2
        else:
            status = 2
        if status == 2:
            x, fun, g = before
            if trace is None and nit > 0:
                fun = objective.value(x)
            break
        nit += 1
        if trace is not None:
            trace.add(x, fun, g, rate)
    if status == 0 and sign * (fun - start) > 0:
        status = 1
    return _result(objective, trace, x, start, fun, g, nit, status)


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


def _result(objective, trace, x, start, fun, g, nit, status):
    from scipy.optimize import OptimizeResult

    result = OptimizeResult(
        x=x, fun=fun, jac=g, nit=nit, nfev=objective.nfev, njev=objective.njev, status=status,
        message=_MESSAGES[status].format(start=start, end=fun, nit=nit), success=status == 0,
    )
    if trace is not None:
        result.history = OptimizeResult({name: np.array(rows) for name, rows in vars(trace).items()})
    return result
