"""One walk down a function that asks and is told: `Descent`, the core that `minimize` drives.

Here so that a walk can be held, stepped by hand, interrupted and gone on with; it checks the options of all methods,
and shapes what the machines of kernels/descent.pyx and rule_walk.py say. Tested in tests/test_ask_tell.py.
"""

import math
import threading
import warnings

import numpy as np

from .backends import current
from .errors import BusyError, DescentStatus
from .options import as_count, as_float, as_number, as_point, check_bounds, check_function
from .reference import searches
from .reference.descent import BETAS, FIXED, GRADIENT, METHODS, PROJECTION, VALUE, VARIANTS, WINDOW, Options, Walk
from .reference.walks import RECENT

__all__ = ["Descent"]

BOUNDED = ("lbfgs", "spg")
FIXED_RATE = ("adgd", "nesterov")
# The names of the rules of `steepest.optim`, which is imported where one of them is asked for.
RULES = ("sgd", "adagrad", "adadelta", "rmsprop", "adam", "adamw", "nadam", "radam", "adamax", "rprop", "asgd",
         "adabelief", "lion")
# No limit.
ALL = 2**62
# Where they stand in a state.
RATE, CALLS = Walk.NUMBERS.index("rate"), Walk.COUNTS.index("nfev")

MESSAGES = {
    DescentStatus.RUNNING: "the walk is not over, at |g| = {norm:.3g}",
    DescentStatus.CONVERGED: "the gradient is as small as asked for: |g| = {norm:.3g}",
    DescentStatus.ITERATIONS: "the limit of {options.maxiter} iterations is reached, at |g| = {norm:.3g}",
    DescentStatus.EVALUATIONS: "the limit of {options.maxfev} evaluations is reached, at |g| = {norm:.3g}",
    DescentStatus.STALLED: "no better point was found along the gradient, at |g| = {norm:.3g}: f may be as good as "
                           "rounding lets it be, or its gradient may be wrong; run sd.check_gradient",
    DescentStatus.DECREASE: "f changes by less than ftol, at |g| = {norm:.3g}",
    DescentStatus.STEP: "steps are shorter than xtol, at |g| = {norm:.3g}",
    DescentStatus.TARGET: "f has reached its target, at |g| = {norm:.3g}",
    DescentStatus.NONFINITE: "a value of f or its gradient is not finite",
    DescentStatus.NOISE: "f changes by less than its noise, at |g| = {norm:.3g}",
    DescentStatus.STOPPED: "the callback has stopped the walk, at |g| = {norm:.3g}",
    DescentStatus.TIME: "the time is over, at |g| = {norm:.3g}",
}
RESOLVED = ("no better point was found along the gradient, at |g| = {norm:.3g}: f and its differences are as good as "
            "rounding lets them be; noise= or grad= may take the walk further")
NOT_FINITE_AT_THE_START = "f or its gradient is not finite at x0"
TOO_FAR = "a step has led to where f or its gradient is not finite, from |g| = {norm:.3g}: try a smaller lr"


class Descent:
    """A walk down a function in the hands of the caller: ``ask()`` says where, ``tell(f, g)`` what was found there.

    It is the walk of `minimize`, step by step and with the same bits. Nothing is ever called but `schedule` and
    `project`; or let `go` do the asking, and keep the walk when that is interrupted.

    Parameters
    ----------
    x0 : array_like
        The start, in any shape of a real type. float32 is kept; everything else is computed in float64.
    method, bounds, tol, ftol, xtol, maxiter, maxfev, target, lr, schedule, line_search, memory, variant, beta, average
        As for `minimize`.
    project, noise
        As for `minimize`; ``noise="auto"`` is for `go` only.
    maximize : bool, optional
        Climb.
    state : dict, optional
        `state` of a walk with the same options: go on from there.

    Attributes
    ----------
    done : bool
        The walk is over.
    wants : tuple of str
        What is wanted at the point that `ask` gives: "f", "g" or both; empty when the walk is over. More may be told.
    x, fun, jac : ndarray, float, ndarray
        Where the walk stands, and f and its gradient there; copies. The best point is in `result`.
    step : float
        Length of the last step, in units of its direction.
    nit, nfev, njev : int
        Iterations made, values and gradients told.
    state : dict
        Of arrays, numbers and words: what `state=` takes. After an interruption it is that of the last iteration.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> import steepest as sd
    >>> from scipy.optimize import rosen, rosen_der
    >>> run = sd.Descent([-1.2, 1.0], method="bfgs")
    >>> while not run.done:
    ...     x = run.ask()
    ...     run.tell(rosen(x), rosen_der(x))
    >>> run.result().x.round(6).tolist()
    [1.0, 1.0]
    """

    def __init__(self, x0, *, method="lbfgs", bounds=None, tol=1e-5, ftol=None, xtol=None, maxiter=None, maxfev=None,
                 target=None, maximize=False, lr=None, schedule=None, line_search=None, memory=20, variant="abbmin",
                 beta="hager-zhang", average=0.0, project=None, noise=None, state=None):
        if hasattr(self, "_machine"):
            raise BusyError("this walk is under way: make a new one")
        x = as_point(x0, "x0")
        if x.dtype.kind == "c":
            raise TypeError("x0 must be real")
        x = x.astype(np.float32 if x.dtype.char == "f" else np.float64)
        self._sign = -1.0 if maximize else 1.0
        self._options = _options(self._sign, method, tol, ftol, xtol, maxiter, maxfev, target, lr, schedule,
                                 line_search, memory, variant, beta, average, project, noise)
        self._by_default = maxiter is None and maxfev is None
        if self._by_default:
            self._options.maxiter = most_iterations(x.size)
        self._lower, self._upper = box_of(bounds, x, method)
        self._x0 = _clipped(x, self._lower, self._upper)
        self._schedule, self._project = schedule, project
        for name, function in (("schedule", schedule), ("project", project)):
            if function is not None:
                check_function(function, name)
        self.nfev = self.njev = 0
        self._stopped = self._spare = self._known = None    # from outside; a gradient that is not wanted yet; the best
        self._more_gradients = 0    # that the machine has not asked for
        self._differenced = False   # gradients are differences, which nobody has got wrong
        self._entry = threading.Lock()
        self._machine, self._from = None, None
        if state is not None:
            self._take(state)

    def __repr__(self):
        return f"Descent(method={self.method!r}, shape={self.shape}, nit={self.nit}, done={self.done})"

    def __reduce__(self):
        raise TypeError("a walk cannot be copied or pickled: keep its state, and give that to a new one")

    # what is known

    @property
    def method(self):
        """The name of the method."""
        return self._options.method

    @property
    def shape(self):
        """Shape of x."""
        return self._x0.shape

    @property
    def dtype(self):
        """Type of x."""
        return self._x0.dtype

    @property
    def done(self):
        """Whether the walk is over."""
        return not self._projected().wants

    @property
    def wants(self):
        """What is wanted at the point that `ask` gives."""
        wants = self._projected().wants
        return tuple(name for name, bit in (("f", VALUE), ("g", GRADIENT)) if wants & bit)

    @property
    def x(self):
        """Where the walk stands."""
        return self._shaped(self.machine.x)

    @property
    def fun(self):
        """f there."""
        return self._sign * self.machine.f

    @property
    def jac(self):
        """The gradient there."""
        return self._shaped(self._sign * self.machine.g)

    @property
    def step(self):
        """Length of the last step."""
        return self.machine.step

    @property
    def nit(self):
        """Iterations made."""
        return self.machine.nit

    @property
    def machine(self):
        """The machine that walks, made when it is first needed: what gradients cost is known by then."""
        if self._machine is None:
            if isinstance(self._options.noise, str):
                raise ValueError("noise must be a number for a walk that is told: 'auto' needs f, as go has it")
            machine = self._make()
            self._machine = machine if self._from is None else self._restored(machine)
        return self._machine

    def _make(self):
        options, single = self._options, self.dtype == np.float32
        if self._schedule is not None:
            options.rate = self._scheduled(0)
        x = self._x0.reshape(-1).astype(np.float64)
        if options.method in RULES:
            from .rule_walk import RuleWalk

            return RuleWalk(x, options, single)
        return current().Descent(x, options, self._lower, self._upper, single)

    def _scheduled(self, t):
        """The rate of iteration t."""
        try:
            rate = self._schedule(t)
        except BaseException as error:
            error.add_note(f"raised by schedule({t})")
            raise
        return as_number(rate, f"schedule({t})", at_least=0.0)

    def _shaped(self, flat):
        """As the caller has it; a copy."""
        return flat.astype(self.dtype).reshape(self.shape)

    # question and answer

    def ask(self):
        """The point where something is wanted.

        Returns
        -------
        ndarray
            A copy, in the shape and type of x0; the same until something is told.

        Raises
        ------
        ValueError
            When the walk is over.
        """
        if self.done:
            raise ValueError("the walk is over: there is nothing to ask")
        return self._shaped(self.machine.point)

    def tell(self, f=None, g=None):
        """Say what f and its gradient are at the point that `ask` gave.

        Parameters
        ----------
        f : float, optional
            The value; it may be infinite or NaN, and the walk goes round that. Needed when `wants` has "f".
        g : array_like, optional
            The gradient, in the shape of x. Needed when `wants` has "g"; told before it is wanted, it is kept.

        Raises
        ------
        TypeError, ValueError
            When something is missing or has another shape, or the walk is over; nothing has changed then.
        BusyError
            From inside `go`.
        """
        with self._alone():
            if self.done:
                raise ValueError("the walk is over: there is nothing to tell")
            wants = self.machine.wants
            for name, given, bit in (("f", f, VALUE), ("g", g, GRADIENT)):
                if wants & bit and given is None:
                    raise TypeError(f"{name} is wanted here: wants is {self.wants}")
            f = None if f is None else as_float(f, "f")
            g = None if g is None else self._flat(g, "g")
            self.nfev += f is not None
            self.njev += g is not None
            if g is not None and not wants & GRADIENT:
                self._spare = self.machine.point, g
                self._more_gradients += 1
            self._told(f, g)
            if self._spare is not None and self.machine.wants == GRADIENT:
                at, g = self._spare
                if np.array_equal(at, self.machine.point):
                    self._more_gradients -= 1
                    self._told(None, g)

    def _told(self, f, g):
        self.set_rate()
        self.machine.tell(f, g)

    def set_rate(self):
        """Give the machine the rate of the step that it makes next: it sets out as soon as it is told."""
        machine = self.machine
        if self._schedule is not None:
            t = machine.nit + (not math.isnan(machine.f))
            if t < self._options.maxiter:
                machine.rate = self._scheduled(t)

    def _flat(self, array, name):
        """An array in the shape of x as the machine takes it."""
        found = np.asarray(array)
        if found.dtype.kind not in "biuf":
            raise TypeError(f"{name} must be an array of real numbers, not of {found.dtype}")
        if found.shape != self.shape:
            raise ValueError(f"{name} must have the shape of x, {self.shape}, but has {found.shape}")
        return np.ascontiguousarray(found, np.float64).reshape(-1)

    def _projected(self):
        """The machine, after answers by the user's projection where those are asked for."""
        machine = self.machine
        while machine.wants == PROJECTION:
            point = self._shaped(machine.point)
            machine.tell(g=self._flat(self._project(point), "project(x)"))
        return machine

    def _alone(self):
        return _Alone(self._entry)

    def go(self, f, *, grad=None, callback=None, progress=False, history=False, maxtime=None, args=(), kwargs=None,
           **differences):
        """Ask and answer until the walk is over.

        When an exception comes out of it, Ctrl-C for one, the walk stands where it stood: `result` has the best point
        so far, and another `go` goes on.

        Parameters
        ----------
        f, grad, callback, progress, history, maxtime, args, kwargs, **differences
            As for `minimize`.

        Returns
        -------
        scipy.optimize.OptimizeResult
            As from `minimize`.

        Raises
        ------
        TypeError, ValueError
            Naming the argument, before anything is called.
        BusyError
            From inside another `go` of the same walk.

        Examples
        --------
        >>> import steepest as sd
        >>> run = sd.Descent([3.0], maxiter=100)
        >>> run.go(lambda x: (x[0] - 1.0) ** 2).x.round(6).tolist()
        [1.0]
        """
        from .driving import drive

        with self._alone():
            return drive(self, f, grad, callback, progress, history, maxtime, args, kwargs, differences)

    def close(self):
        """End the walk: what it has found can still be looked at, and it cannot be gone on with."""
        if self._machine is not None:
            self._machine.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    # states and results

    @property
    def state(self):
        """What the next steps depend on, as copies."""
        return self.machine.state() | {"method": self.method, "nfev": self.nfev, "njev": self.njev,
                                       "noise": self._options.noise}

    def _take(self, state):
        """Look at a state; the machine looks further when it is made."""
        if not isinstance(state, dict):
            raise TypeError(f"state must be a dict, not {type(state).__name__}")
        if state.get("method") != self.method:
            raise ValueError(f"state must be that of a walk with method={self.method!r}, not {state.get('method')!r}")
        for name in ("nfev", "njev", "noise"):
            if name not in state:
                raise ValueError(f"state must have {name!r}")
        self.nfev, self.njev = (as_count(state[name], f"{name} in state", at_least=0) for name in ("nfev", "njev"))
        if isinstance(self._options.noise, str):
            self._options.noise = as_number(state["noise"], "noise in state", at_least=0.0)
        self._from = state

    def _restored(self, machine):
        """The machine where the state that was given had it."""
        state = self._from
        check_state(state, machine.state())
        counts, numbers = state["counts"].copy(), state["numbers"].copy()
        counts[CALLS] = self.nfev
        if self._schedule is not None:
            numbers[RATE] = self._scheduled(as_count(int(counts[0]), "nit in state", at_least=0))
        machine.restore(state | {"counts": counts, "numbers": numbers})
        self._more_gradients, self._from = self.njev - machine.njev, None
        return machine

    def result(self):
        """What is known so far, as `minimize` gives it.

        Returns
        -------
        scipy.optimize.OptimizeResult
            ``x, fun, jac`` (the best point that was told of), ``nit, nfev, njev, status, message, success, state``.
        """
        from scipy.optimize import OptimizeResult

        machine, options = self.machine, self._options
        x, fun, jac = self._best()
        norm = criticality(x, self._sign * jac, self._lower, self._upper)
        status = DescentStatus(machine.status)
        if self._stopped is not None and status != DescentStatus.CONVERGED:
            status = self._stopped
        if status != DescentStatus.CONVERGED and norm <= options.tol and math.isfinite(fun):
            status = DescentStatus.CONVERGED
        message = MESSAGES[status]
        if status == DescentStatus.STALLED and self._differenced:
            message = RESOLVED
        if status == DescentStatus.NONFINITE:
            message = TOO_FAR if machine.nit or math.isfinite(norm) else NOT_FINITE_AT_THE_START
        return OptimizeResult(
            x=self._shaped(x), fun=fun, jac=self._shaped(jac), nit=machine.nit, nfev=self.nfev, njev=self.njev,
            status=int(status), message=message.format(options=options, norm=norm),
            success=status == DescentStatus.CONVERGED, state=self.state,
        )

    def _best(self):
        """x, f and the gradient at the best point; NaN where they are not known."""
        machine, sign = self.machine, self._sign
        if not math.isfinite(machine.best_f):
            return machine.point, sign * machine.f, np.full(self._x0.size, math.nan)
        x = machine.best_x
        if machine.wants == 0 or machine.best_has_g:
            return x, sign * machine.best_f, sign * machine.best_g
        known = self._known is not None and self._known[0] == x.tobytes()
        return x, sign * machine.best_f, self._known[1] if known else np.full(x.size, math.nan)


class _Alone:
    """Nobody else has this walk: a lock that is refused, and not waited for."""

    def __init__(self, lock):
        self._lock = lock

    def __enter__(self):
        if not self._lock.acquire(blocking=False):
            raise BusyError("this walk is under way: it can be told, and driven, by one at a time")

    def __exit__(self, *exception):
        self._lock.release()


def criticality(x, g, lower=None, upper=None):
    """The largest entry of a gradient; inside bounds that of ``P(x - g) - x``."""
    if lower is None:
        return float(np.abs(g).max(initial=0.0))
    return float(np.abs(np.where(np.isnan(g), g, np.clip(x - g, lower, upper) - x)).max(initial=0.0))


def check_state(state, own):
    """Refuse a state that is not that of such a walk; `own` is one."""
    for name, array in own.items():
        if name not in state:
            raise ValueError(f"state must have {name!r}")
        given = state[name]
        if name == "rule":      # the optimizer checks it
            continue
        if not isinstance(given, np.ndarray) or given.dtype.kind != array.dtype.kind:
            raise TypeError(f"{name} in state must be an array of {array.dtype}")
        most = {"values": WINDOW, "recent": RECENT}.get(name)   # as many as there were
        if given.ndim != array.ndim or (given.shape != array.shape if most is None else given.size > most):
            raise ValueError(f"{name} in state must have shape {array.shape}, not {given.shape}")
    counts = dict(zip(Walk.COUNTS, state["counts"].tolist(), strict=False))
    pairs = len(state["rho"])
    if min(counts.values()) < 0 or counts["pairs"] > pairs or counts["newest"] >= pairs or not state["values"].size:
        raise ValueError("counts in state are not those of such a walk")


def _options(sign, method, tol, ftol, xtol, maxiter, maxfev, target, lr, schedule, line_search, memory, variant, beta,
             average, project, noise):
    """The options of the machine, checked."""
    _check_choice("method", method, METHODS + RULES)
    _check_choice("variant", variant, VARIANTS)
    _check_choice("beta", beta, BETAS)
    rate = 0.0 if lr is None else as_number(lr, "lr", above=0.0)
    search = _search_of(method, line_search, schedule, lr)
    if project is not None and method != "spg":
        raise ValueError("project can be given with method='spg' only")
    if not (isinstance(noise, str) and noise == "auto"):
        noise = 0.0 if noise is None else as_number(noise, "noise", above=0.0)
    options = Options(
        method, as_number(tol, "tol", at_least=0.0),
        -1.0 if ftol is None else as_number(ftol, "ftol", at_least=0.0),
        -1.0 if xtol is None else as_number(xtol, "xtol", at_least=0.0),
        ALL if maxiter is None else as_count(maxiter, "maxiter", at_least=0),
        ALL if maxfev is None else as_count(maxfev, "maxfev"),
        -math.inf if target is None else sign * as_float(target, "target"), noise,
        search, rate, as_count(memory, "memory"), variant, beta,
        as_number(average, "average", at_least=0.0, below=1.0), sign=sign, projects=project is not None,
    )
    return options


def most_iterations(n):
    """The limit where none is given: fixed steps, and any along noise, might go on for ever."""
    return max(10_000, 100 * n)


def _search_of(method, line_search, schedule, lr):
    """The kind of search, or None for that of the method."""
    if line_search is not None:
        _check_choice("line_search", line_search, tuple(searches.NAMES))
        if method in (*FIXED_RATE, *RULES, "spg"):
            raise ValueError(f"line_search has no use with method={method!r}")
    if schedule is None:
        return FIXED if method in RULES else searches.NAMES.get(line_search)
    if method not in ("gd", *RULES) or line_search is not None:
        raise ValueError("schedule can be given with method='gd' without a line_search, and with rules, only")
    if method == "rprop":
        raise ValueError("schedule has no use with method='rprop', whose lr is the first step alone")
    if lr is not None:
        raise ValueError("lr and schedule cannot both be given: the schedule is the rate")
    return FIXED


def _check_choice(name, value, choices):
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def box_of(bounds, x, method):
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
        from .differencing import callers_level

        warnings.warn("x0 is outside the bounds: the walk starts from the nearest point inside", RuntimeWarning,
                      stacklevel=callers_level())
    return inside
