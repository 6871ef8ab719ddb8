"""Minima and maxima of functions: one contract for every method.

Here so that a user meets one set of names and stopping rules, whatever walks; it checks arguments, drives the machine
of kernels/descent.pyx, and shapes the result. Who evaluates f and its gradient is in objective.py. Tested in
tests/test_minimize.py.
"""

import math
import time
import warnings

import numpy as np

from .backends import current
from .compiled_functions import check_f
from .errors import DescentStatus
from .objective import Answers
from .options import as_count, as_float, as_number, as_point, check_bounds, check_function
from .progress import Bar
from .reference import searches
from .reference.descent import BETAS, CAREFULLY, FIXED, METHODS, PROJECTION, VARIANTS, Options

__all__ = ["maximize", "minimize"]

BOUNDED = ("lbfgs", "spg")
FIXED_RATE = ("adgd", "nesterov")
# Iterations without a word to anybody, when nobody listens.
ALL = 2**62

MESSAGES = {
    DescentStatus.CONVERGED: "the gradient is as small as asked for: |g| = {norm:.3g}",
    DescentStatus.ITERATIONS: "the limit of {options.maxiter} iterations is reached, at |g| = {norm:.3g}",
    DescentStatus.EVALUATIONS: "the limit of {options.maxfev} evaluations is reached, at |g| = {norm:.3g}",
    DescentStatus.STALLED: "no lower point was found along the gradient, at |g| = {norm:.3g}: f may be as low as "
                           "rounding lets it be, or its gradient may be wrong; run sd.check_gradient",
    DescentStatus.DECREASE: "f decreases by less than ftol, at |g| = {norm:.3g}",
    DescentStatus.STEP: "steps are shorter than xtol, at |g| = {norm:.3g}",
    DescentStatus.TARGET: "f is as low as its target, at |g| = {norm:.3g}",
    DescentStatus.NONFINITE: "a value of f or its gradient is not finite",
    DescentStatus.NOISE: "f decreases by less than its noise, at |g| = {norm:.3g}",
    DescentStatus.STOPPED: "the callback has stopped the walk, at |g| = {norm:.3g}",
    DescentStatus.TIME: "the time is over, at |g| = {norm:.3g}",
}


def minimize(f, x0, *, grad=None, method="lbfgs", bounds=None, tol=1e-5, ftol=None, xtol=None, maxiter=None,
             maxfev=None, maxtime=None, target=None, callback=None, progress=False, history=False, state=None, lr=None,
             schedule=None, line_search=None, memory=20, variant="abbmin", beta="hager-zhang", average=0.0,
             project=None, noise=None, args=(), kwargs=None, **differences):
    """Walk down a function to a local minimum.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **kwargs)`` gives one number. Anything that `gradient` takes, compiled functions included.
    x0 : array_like
        The start, in any shape of a real type. float32 is kept; everything else is computed in float64.
    grad : callable or True, optional
        ``grad(x, *args, **kwargs)`` gives the gradient in the shape of x; True says that f gives the pair
        ``(value, gradient)``. By default it is found by differences of f.
    method : str, optional
        "lbfgs" [1]_ with the acceptance of Hager and Zhang [2]_ (default), "bfgs", "cg" [2]_, "bb" (Barzilai and
        Borwein [3]_ with a nonmonotone search), "spg" [4]_, "adgd" [5]_, "nesterov" (with adaptive restart [6]_), "gd".
    bounds : (lb, ub) or scipy.optimize.Bounds, optional
        For "lbfgs" and "spg": f is never evaluated outside. An `x0` outside is clipped, with a warning.
    tol : float, optional
        ``success`` says that the largest entry of the gradient (with bounds: of ``P(x - g) - x``) is at most this.
    ftol, xtol : float, optional
        Stop, without success, when f decreases by less than ``ftol * |f|``, or x moves by less than
        ``xtol * max(1, |x|)``.
    maxiter, maxfev : int, optional
        Exact limits of iterations and of calls of f, those of differences included.
    maxtime : float, optional
        Seconds; looked at after every iteration.
    target : float, optional
        Stop when f is as low (as high, for `maximize`) as this.
    callback : callable, optional
        ``callback(intermediate_result)`` after every iteration, with copies of ``x, fun, jac`` and ``step, nit``;
        StopIteration ends the walk.
    progress : bool, optional
        Show a bar of tqdm that counts iterations.
    history : bool, optional
        Keep ``x`` (nit + 1 rows), ``fun``, ``grad`` and ``step``.
    state : dict, optional
        `result.state` of a walk with the same options: go on as if it had never stopped.
    lr : float, optional
        Step of "gd" when no `line_search` is given, and the first step of all others.
    schedule : callable, optional
        ``schedule(t)`` is the step of "gd" in iteration t, from 0.
    line_search : {"armijo", "wolfe", "hager-zhang", "gll"}, optional
        For "gd", "bb", "cg", "bfgs" and "lbfgs" without bounds.
    memory : int, optional
        Pairs of "lbfgs". 20 take fewer evaluations than 10, and twice the memory.
    variant : {"abbmin", "bb1", "bb2", "alternate"}, optional
        Step of "bb".
    beta : {"hager-zhang", "pr+", "dai-kou"}, optional
        Of "cg".
    average : float, optional
        0 holds f against the largest of its last ten values, in nonmonotone searches; above 0 against the average of
        Zhang and Hager [7]_ that keeps this share.
    project : callable, optional
        For "spg": ``project(x)`` gives the nearest point of a convex set.
    noise : float, optional
        Absolute error of f: smaller decreases end the walk.
    args, kwargs : tuple, dict, optional
        What f and grad take after x.
    **differences
        Options of `Gradient` when `grad` is not given.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x, fun, jac`` (the best point seen: the lowest f, and where rounding cannot tell, the smallest gradient),
        ``nit, nfev, njev, status`` (a `DescentStatus`), ``message, success, state``, and ``history`` when asked for.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, before anything is called.

    References
    ----------
    .. [1] D. C. Liu, J. Nocedal, Math. Program. 45 (1989) 503-528.
    .. [2] W. W. Hager, H. Zhang, SIAM J. Optim. 16 (2005) 170-192.
    .. [3] J. Barzilai, J. M. Borwein, IMA J. Numer. Anal. 8 (1988) 141-148; G. Frassoldati, L. Zanni, G. Zanghirati,
       J. Ind. Manag. Optim. 4 (2008) 299-312.
    .. [4] E. G. Birgin, J. M. Martinez, M. Raydan, SIAM J. Optim. 10 (2000) 1196-1211.
    .. [5] Y. Malitsky, K. Mishchenko, "Adaptive gradient descent without descent", ICML 2020.
    .. [6] B. O'Donoghue, E. Candes, Found. Comput. Math. 15 (2015) 715-732.
    .. [7] H. Zhang, W. W. Hager, SIAM J. Optim. 14 (2004) 1043-1056.

    Examples
    --------
    >>> from steepest.minimize import minimize
    >>> from scipy.optimize import rosen, rosen_der
    >>> result = minimize(rosen, [-1.2, 1.0], grad=rosen_der)
    >>> result.success, result.x.round(6).tolist()
    (True, [1.0, 1.0])
    >>> minimize(lambda x: (x[0] - 3.0) ** 2 + x[1] ** 2, [0.0, 1.0], bounds=(0.0, 2.0)).x.round(6).tolist()
    [2.0, 0.0]
    """
    return _walk_from(1.0, f, x0, grad, method, bounds, tol, ftol, xtol, maxiter, maxfev, maxtime, target, callback,
                      progress, history, state, lr, schedule, line_search, memory, variant, beta, average, project,
                      noise, args, kwargs, differences)


def maximize(f, x0, *, grad=None, method="lbfgs", bounds=None, tol=1e-5, ftol=None, xtol=None, maxiter=None,
             maxfev=None, maxtime=None, target=None, callback=None, progress=False, history=False, state=None, lr=None,
             schedule=None, line_search=None, memory=20, variant="abbmin", beta="hager-zhang", average=0.0,
             project=None, noise=None, args=(), kwargs=None, **differences):
    """Climb a function to a local maximum: `minimize`, up.

    Parameters
    ----------
    f, x0, grad, method, bounds, tol, ftol, xtol, maxiter, maxfev, maxtime, target, callback, progress, history, state
        As for `minimize`; values and gradients are those of f, not of its negative.
    lr, schedule, line_search, memory, variant, beta, average, project, noise, args, kwargs
        As for `minimize`.
    **differences
        As for `minimize`.

    Returns
    -------
    scipy.optimize.OptimizeResult
        As from `minimize`; the best point is the highest.

    Raises
    ------
    TypeError, ValueError
        As `minimize`.

    Examples
    --------
    >>> from steepest.minimize import maximize
    >>> maximize(lambda x: -(x[0] - 1.0) ** 2, [0.0]).x.round(6).tolist()
    [1.0]
    """
    return _walk_from(-1.0, f, x0, grad, method, bounds, tol, ftol, xtol, maxiter, maxfev, maxtime, target, callback,
                      progress, history, state, lr, schedule, line_search, memory, variant, beta, average, project,
                      noise, args, kwargs, differences)


def _walk_from(sign, f, x0, grad, method, bounds, tol, ftol, xtol, maxiter, maxfev, maxtime, target, callback, progress,
               history, state, lr, schedule, line_search, memory, variant, beta, average, project, noise, args, kwargs,
               differences):
    """Check everything, then walk."""
    check_f(f)
    x = as_point(x0, "x0")
    if x.dtype.kind == "c":
        raise TypeError("x0 must be real")
    x = x.astype(np.float32 if x.dtype.char == "f" else np.float64)
    options = _options(sign, method, tol, ftol, xtol, maxiter, maxfev, target, lr, schedule, line_search, memory,
                       variant, beta, average, project, noise)
    lower, upper = _box(bounds, x, method)
    x = _clipped(x, lower, upper)
    for name, function in (("callback", callback), ("schedule", schedule), ("project", project)):
        if function is not None:
            check_function(function, name)
    if maxtime is not None:
        maxtime = as_number(maxtime, "maxtime", above=0.0)
    if bounds is not None and grad is None:
        differences = {"bounds": bounds, **differences}
    with Answers(f, grad, x, args, kwargs, differences) as objective:
        options.calls_gradient = objective.calls_of_gradient
        walk = Walk(objective, x, options, lower, upper, project, schedule)
        if state is not None:
            walk.restore(state)
        return walk.go(Watch(walk, callback, progress, history, maxtime))


def _options(sign, method, tol, ftol, xtol, maxiter, maxfev, target, lr, schedule, line_search, memory, variant, beta,
             average, project, noise):
    """The options of the machine, checked."""
    _check_choice("method", method, METHODS)
    _check_choice("variant", variant, VARIANTS)
    _check_choice("beta", beta, BETAS)
    rate = 0.0 if lr is None else as_number(lr, "lr", above=0.0)
    search = None
    if line_search is not None:
        _check_choice("line_search", line_search, tuple(searches.NAMES))
        if method in FIXED_RATE or method == "spg":
            raise ValueError(f"line_search has no use with method={method!r}")
        search = searches.NAMES[line_search]
    if schedule is not None:
        if method != "gd" or search is not None:
            raise ValueError("schedule can be given with method='gd' without a line_search only")
        search = FIXED
    if project is not None and method != "spg":
        raise ValueError("project can be given with method='spg' only")
    return Options(
        method, as_number(tol, "tol", at_least=0.0),
        -1.0 if ftol is None else as_number(ftol, "ftol", at_least=0.0),
        -1.0 if xtol is None else as_number(xtol, "xtol", at_least=0.0),
        ALL if maxiter is None else as_count(maxiter, "maxiter", at_least=0),
        ALL if maxfev is None else as_count(maxfev, "maxfev"),
        -math.inf if target is None else sign * as_float(target, "target"),
        0.0 if noise is None else as_number(noise, "noise", above=0.0),
        search, rate, as_count(memory, "memory"), variant, beta,
        as_number(average, "average", at_least=0.0, below=1.0), sign=sign, projects=project is not None,
    )


def _check_choice(name, value, choices):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def _box(bounds, x, method):
    """Lower and upper bounds as flat arrays of float64, or (None, None)."""
    if bounds is None:
        return None, None
    if method not in BOUNDED:
        raise ValueError(f"method={method!r} cannot keep bounds: take one of {', '.join(map(repr, BOUNDED))}")
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        bounds = bounds.lb, bounds.ub
    try:
        lower, upper = bounds
    except (TypeError, ValueError):
        raise TypeError(f"bounds must be a pair (lb, ub) or a scipy.optimize.Bounds, not {bounds!r}") from None
    pair = -np.inf if lower is None else lower, np.inf if upper is None else upper
    return tuple(np.ascontiguousarray(side, np.float64) for side in check_bounds(pair, x.shape, x.dtype))


def _clipped(x, lower, upper):
    """X inside the bounds."""
    if lower is None:
        return x
    inside = np.clip(x.reshape(-1), lower, upper).astype(x.dtype).reshape(x.shape)
    if not np.array_equal(inside, x):
        warnings.warn("x0 is outside the bounds: the walk starts from the nearest point inside", RuntimeWarning,
                      stacklevel=4)
    return inside


class Watch:
    """What is looked at and told after every iteration."""

    def __init__(self, walk, callback, progress, history, maxtime):
        self.walk, self.callback, self.maxtime = walk, callback, maxtime
        self.bar = Bar("iterations") if progress else None
        self.rows = {"x": [], "fun": [], "grad": [], "step": []} if history else None
        self.begun = time.monotonic()
        self.stopped = None

    @property
    def listens(self):
        """Whether anybody wants to know of every iteration."""
        return (self.callback is not None or self.rows is not None or self.bar is not None or self.maxtime is not None
                or self.walk.schedule is not None)

    def look(self):
        """Tell of the point where the walk stands."""
        if self.rows is not None:
            x, fun, jac = self.walk.here()
            for name, entry in zip(self.rows, (x, fun, jac, self.walk.machine.step), strict=True):
                self.rows[name].append(entry)

    def after_iteration(self):
        """Tell, and say whether the walk may go on."""
        self.look()
        if self.bar is not None:
            self.bar.expect(1)
            self.bar.advance(1)
        if self.callback is not None:
            from scipy.optimize import OptimizeResult

            x, fun, jac = self.walk.here()
            machine = self.walk.machine
            try:
                self.callback(OptimizeResult(x=x, fun=fun, jac=jac, step=machine.step, nit=machine.nit))
            except StopIteration:
                self.stopped = DescentStatus.STOPPED
        if self.maxtime is not None and time.monotonic() - self.begun >= self.maxtime:
            self.stopped = DescentStatus.TIME
        return self.stopped is None


class Walk:
    """One walk: the machine, who answers it, and what is between them."""

    def __init__(self, objective, x, options, lower, upper, project, schedule):
        self.objective, self.shape, self.dtype, self.options = objective, x.shape, x.dtype, options
        self.project, self.schedule = project, schedule
        if schedule is not None:
            options.rate = self._scheduled(0)
        self.machine = current().Descent(x.reshape(-1).astype(np.float64), options, lower, upper,
                                         self.dtype == np.float32)

    def _scheduled(self, t):
        return as_number(self.schedule(t), f"schedule({t})", at_least=0.0)

    def restore(self, state):
        """Go on from the state of another walk."""
        if not isinstance(state, dict) or state.get("method") != self.options.method:
            raise ValueError(f"state must be that of a walk with method={self.options.method!r}")
        self.objective.count_from(int(state["nfev"]))
        self.machine.restore(state)

    def go(self, watch):
        """Walk until there is a reason to stop."""
        try:
            if watch.bar is not None:
                with watch.bar:
                    self._walk(watch)
            else:
                self._walk(watch)
        except BaseException as error:
            self._attach_best(error)
            raise
        return self._result(watch)

    def _walk(self, watch):
        machine = self.machine
        listens = watch.listens
        if listens and math.isnan(machine.f):
            self._answer_carefully()    # the start, so that it can be told of
        if not math.isnan(machine.f):
            watch.look()
        while machine.wants:
            before = machine.nit
            if self.schedule is not None:   # the next step sets out as soon as this one is made
                machine.rate = self._scheduled(before + 1)
            if self.objective.answer(machine, 1 if listens else ALL) == CAREFULLY:
                self._answer_carefully()
            if listens and machine.nit > before and not watch.after_iteration():
                return

    def _answer_carefully(self):
        """One question, answered in Python."""
        machine = self.machine
        x = machine.point.astype(self.dtype).reshape(self.shape)
        if machine.wants == PROJECTION:
            inside = np.asarray(self.project(x.copy()), np.float64)
            if inside.shape != self.shape:
                raise ValueError(f"project must give an array of shape {self.shape}, not {inside.shape}")
            machine.tell(g=np.ascontiguousarray(inside.reshape(-1)))
            return
        f, g = self.objective.evaluate(x, bool(machine.wants & 1), bool(machine.wants & 2))
        machine.tell(f, None if g is None else np.asarray(g, np.float64).reshape(-1))

    def shaped(self, flat):
        """As the caller has it."""
        return flat.astype(self.dtype).reshape(self.shape)

    def here(self):
        """Where the walk stands."""
        machine, sign = self.machine, self.options.sign
        return self.shaped(machine.x), sign * machine.f, self.shaped(sign * machine.g)

    def _attach_best(self, error):
        """Tell what was reached, on an exception that ends the walk."""
        machine = self.machine
        if math.isfinite(machine.best_f) and not isinstance(error, (TypeError, ValueError)):
            best = np.array2string(self.shaped(machine.best_x), threshold=20)
            error.add_note(f"steepest: the best point so far is x = {best}, f = {self.options.sign * machine.best_f}")

    def _result(self, watch):
        from scipy.optimize import OptimizeResult

        machine, options = self.machine, self.options
        status = DescentStatus(machine.status) if watch.stopped is None else watch.stopped
        if status == DescentStatus.NONFINITE and not math.isfinite(machine.best_f):
            x, fun, jac = machine.point, machine.f, machine.g * math.nan
        else:
            x, fun, jac = machine.best_x, options.sign * machine.best_f, options.sign * machine.best_g
        norm = float(np.abs(jac).max(initial=0.0))
        state = machine.state() | {"method": options.method, "nfev": self.objective.nfev}
        result = OptimizeResult(
            x=self.shaped(x), fun=fun, jac=self.shaped(jac), nit=machine.nit, nfev=self.objective.nfev,
            njev=machine.njev, status=int(status), message=MESSAGES[status].format(options=options, norm=norm),
            success=status == DescentStatus.CONVERGED, state=state,
        )
        if watch.rows is not None:
            result.history = OptimizeResult({name: np.array(rows) for name, rows in watch.rows.items()})
        return result
