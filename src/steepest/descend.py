"""Walking down a gradient.

Here so that the textbook's ``x -= lr * grad`` is one call, on a kernel, with its history. Tested in
tests/test_descend.py.
"""

import math

import numpy as np

from .backends import current
from .options import as_integer, as_point, check_function
from .prepared import Gradient

__all__ = ["gradient_descent"]

_MESSAGES = {
    0: "all steps were made",
    1: "all steps were made, but f climbed from {start:.6g} to {end:.6g}: try a smaller learning rate",
    2: "step {nit} met a value, gradient or point that is not finite, and was not made: try a smaller learning rate",
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
        Options of `Gradient` (method, order, step, rel_step, x_scale, bounds, vectorized), when `grad` is not given.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` (the last point), ``fun``, ``jac``, ``nit``, ``nfev``, ``njev``, ``status``, ``message``, ``success``;
        ``history`` with ``x`` (nit + 1 rows), ``fun``, ``grad`` and ``lr`` when asked for. Status 0: all steps were made;
        1: and f is worse than at the start; 2: a step was not finite, and ``x`` is the last point that was. ``success``
        is true for status 0 alone. ``nfev`` counts all calls of f, those of differences included.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before anything is called.

    References
    ----------
    .. [1] A.-L. Cauchy, "Méthode générale pour la résolution des systèmes d'équations simultanées", C. R. Acad. Sci. Paris
       25 (1847) 536-538.
    .. [2] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Comput. Math. Math. Phys.
       4 (1964) 1-17.
    .. [3] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep learning",
       ICML 2013.

    Examples
    --------
    >>> import steepest as sd
    >>> run = sd.gradient_descent(lambda x: x[0] ** 2 + x[1] ** 2, [-3.0, 4.0], lr=0.1, steps=100)
    >>> [f"{x:.2e}" for x in run.x]
    ['-6.11e-10', '8.15e-10']
    """
    descent = _Descent(f, x0, lr, steps, grad, schedule, momentum, nesterov, maximize, history, args, kwargs,
                       differences)
    return descent.run()


class _Descent:
    """One run: its checked arguments, its point, its counts."""

    def __init__(self, f, x0, lr, steps, grad, schedule, momentum, nesterov, maximize, history, args, kwargs,
                 differences):
        if grad is None:
            check_function(f)
        else:
            check_function(grad, "grad")
            if f is not None:
                check_function(f)
            if differences:
                raise TypeError(f"{', '.join(sorted(differences))}: options of differences have no use when grad is given")
        self.x = as_point(x0, "x0").copy()
        if self.x.dtype.kind == "c":
            raise TypeError("x0 must be real")
        self.lr = _number(lr, "lr", 0.0, math.inf)
        self.momentum = _number(momentum, "momentum", 0.0, 1.0, closed=True)
        self.steps = as_integer(steps, "steps")
        if self.steps < 0:
            raise ValueError(f"steps must be at least 0, not {self.steps}")
        if schedule is not None:
            check_function(schedule, "schedule")
        if nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        self.schedule, self.nesterov, self.sign = schedule, bool(nesterov), -1.0 if maximize else 1.0
        self.args = args if isinstance(args, tuple) else (args,)
        self.kwargs = kwargs or {}
        self.f, self.grad = f, grad
        self.nfev = self.njev = 0
        if grad is None:
            self.differences = Gradient(self._value, self.x, **differences)
        self.velocity = np.zeros_like(self.x)
        self.history = {"x": [], "fun": [], "grad": [], "lr": []} if history else None

    def _value(self, x):
        self.nfev += 1
        return self.f(x, *self.args, **self.kwargs)

    def _fun(self, x):
        """f(x) as a float; NaN when there is no f."""
        if self.f is None:
            return math.nan
        return self.differences_value(x)

    def differences_value(self, x):
        """f at a copy of x, as one number."""
        from .reference.callback import scalar_result

        return float(scalar_result(self._value(x.copy()), np.dtype(np.float64), label="f", nfev=self.nfev)[0])

    def _gradient(self, x):
        """A gradient of the shape and type of x."""
        self.njev += 1
        if self.grad is None:
            return self.differences(x)
        g = as_array_like(self.grad(x.copy(), *self.args, **self.kwargs), x)
        return g

    def _rate(self, t):
        if self.schedule is None:
            return self.lr
        return _number(self.schedule(t), f"schedule({t})", 0.0, math.inf, closed=True)

    def run(self):
        """Make the steps."""
        momentum_step = current().momentum_step
        x = self.x
        fun = start = self._fun(x) if self.f is not None else math.nan
        g = self._gradient(x)
        self._remember(x, fun, g, None)
        status, nit = 0, 0
        if not np.isfinite(g).all() or (self.f is not None and not math.isfinite(fun)):
            status = 2
        while status == 0 and nit < self.steps:
            last, last_g, last_fun = x.copy(), g, fun
            rate = self._rate(nit)
            with np.errstate(all="ignore"):
                momentum_step(x, g, self.velocity, self.sign * rate, self.momentum, self.nesterov)
            good = np.isfinite(x).all()
            if good:
                g = self._gradient(x)
                if self.history is not None or nit + 1 == self.steps:
                    fun = self._fun(x)
                good = np.isfinite(g).all() and (self.f is None or math.isfinite(fun))
            if not good:
                x[...], g, fun, status = last, last_g, last_fun, 2
                break
            nit += 1
            self._remember(x, fun, g, rate)
        return self._result(x, start, fun, g, nit, status)

    def _remember(self, x, fun, g, rate):
        if self.history is None:
            return
        self.history["x"].append(x.copy())
        self.history["fun"].append(fun)
        self.history["grad"].append(np.array(g))
        if rate is not None:
            self.history["lr"].append(rate)

    def _result(self, x, start, fun, g, nit, status):
        from scipy.optimize import OptimizeResult

        if status == 0 and self.sign * (fun - start) > 0:
            status = 1
        result = OptimizeResult(
            x=x, fun=fun, jac=np.array(g), nit=nit, nfev=self.nfev, njev=self.njev, status=status,
            message=_MESSAGES[status].format(start=start, end=fun, nit=nit), success=status == 0,
        )
        if self.history is not None:
            result.history = OptimizeResult({name: np.array(rows) for name, rows in self.history.items()})
        return result


def _number(value, name, low, high, closed=False):
    """A finite number above `low` (or at it, when closed) and below `high`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, not {value!r}") from None
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not (low < number < high or (closed and number == low)):
        raise ValueError(f"{name} must be {'at least' if closed else 'above'} {low:g} and below {high:g}, not {number}")
    return number


def as_array_like(g, x):
    """Convert what grad returned, once, to an array of the shape and type of x."""
    if g is None or isinstance(g, (str, bytes)):
        raise TypeError(f"grad returned {type(g).__name__}, expected an array of shape {x.shape}")
    g = np.asarray(g)
    if g.dtype.kind not in "biuf":
        raise TypeError(f"grad returned dtype {g.dtype}, expected real numbers")
    if g.shape != x.shape:
        raise ValueError(f"grad returned shape {g.shape}, expected the shape of x0, {x.shape}")
    return np.array(g, dtype=x.dtype, order="C")
