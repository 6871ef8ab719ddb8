"""Walks down a function as one machine that asks for values and is told them: what all methods have in common.

Here so that asking, searching, accepting and stopping stand once; the methods are in descent.py. Together they are the
twin of kernels/descent.pyx. Tested in tests/test_descent.py.

A walk says what it wants (`wants`) and where (`point`); `tell` gives it that, and it goes on to the next question.
It never calls anything itself, so that whoever asks and answers may be a loop, a user, or a kernel without the GIL.
"""

import math

import numpy as np

from . import searches
from .difference import DONE
from .searches import AT_LIMIT, FOUND, HOPELESS, quotient
from .vectors import dot, largest

# What is wanted at `point`.
VALUE, GRADIENT, PROJECTION = 1, 2, 4

# Why a walk has ended; RUNNING while it has not.
(RUNNING, CONVERGED, ITERATIONS, EVALUATIONS, STALLED, DECREASE, STEP, TARGET, NONFINITE, NOISE) = range(-1, 9)

# What `run` comes back with.
PAUSED, CAREFULLY = 0, 1

METHODS = ("gd", "bb", "adgd", "cg", "bfgs", "lbfgs", "spg", "nesterov")
VARIANTS = ("abbmin", "bb1", "bb2", "alternate")
BETAS = ("hager-zhang", "pr+", "dai-kou")
FIXED = -1          # no search: the rate is the step

SHORTEST, LONGEST = 1e-30, 1e30     # of a Barzilai-Borwein step
RECENT = 8          # BB2 steps that ABBmin chooses from
WINDOW = 10         # values that a nonmonotone search remembers


class Options:
    """What a walk is made with; numbers and names, checked by the caller.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    tol, ftol, xtol : float
        Largest entry of the gradient; relative decrease of f; relative step. Negative: no test.
    maxiter, maxfev : int
    target : float
        A value of f that is low enough.
    noise : float
        Absolute error of f.
    search : int
        One of `searches.NAMES`, or `FIXED`.
    rate : float
        Step of "gd" without a search, or its first step; 0 for a guess.
    memory : int
        Pairs of "lbfgs".
    variant, beta : str
        Of "bb" and "cg".
    average : float
        0: hold f against the largest of its last `WINDOW` values; above: against the average of Zhang and Hager, with
        this share kept.
    calls_value, calls_gradient : int
        What f and its gradient cost, for `maxfev`.
    sign : float
        -1.0: climb; what is told is taken with this sign, and everything here is what is walked down.
    projects : bool
        The set to stay in is known to the caller, who projects.
    """

    def __init__(self, method="lbfgs", tol=1e-5, ftol=-1.0, xtol=-1.0, maxiter=2**62, maxfev=2**62, target=-math.inf,
                 noise=0.0, search=None, rate=0.0, memory=10, variant="abbmin", beta="hager-zhang", average=0.0,
                 calls_value=1, calls_gradient=0, sign=1.0, projects=False):
        if search is None:
            search = {"gd": FIXED if rate > 0 else searches.HAGER_ZHANG, "bb": searches.GLL, "spg": searches.GLL,
                      "adgd": FIXED, "nesterov": FIXED}.get(method, searches.HAGER_ZHANG)
        self.method, self.tol, self.ftol, self.xtol = method, tol, ftol, xtol
        self.maxiter, self.maxfev, self.target, self.noise = maxiter, maxfev, target, noise
        self.search, self.rate, self.memory = search, rate, memory
        self.variant, self.beta, self.average = variant, beta, average
        self.calls_value, self.calls_gradient = calls_value, calls_gradient
        self.sign, self.projects = sign, projects


class Walk:
    """One walk: ``while d.wants: d.tell(f(d.point), g(d.point))``.

    Parameters
    ----------
    x0 : array, (n,), float64
        Where it starts; inside the bounds.
    options : Options
    lower, upper : arrays, (n,), optional
        Bounds, for "lbfgs" and "spg".
    single : bool
        Points are rounded to float32.
    """

    def __init__(self, x0, options, lower=None, upper=None, single=False):
        self.options, self.single = options, single
        self.lower, self.upper = lower, upper
        self.bounded = lower is not None
        n = x0.size
        self.n = n
        self.x, self.g, self.d = x0.copy(), np.zeros(n), np.zeros(n)
        self.f = math.nan
        self.trial, self.trial_g, self.trial_f = x0.copy(), np.zeros(n), math.nan
        self.best_x, self.best_f, self.best_g, self.best_has_g = x0.copy(), math.inf, np.full(n, math.nan), False
        self.nit = self.nfev = self.njev = 0
        self.step = 0.0
        self.status = RUNNING
        self.rate = options.rate        # of the next step, where it is fixed: a schedule may change it
        # memory of the methods
        m = options.memory if options.method == "lbfgs" else 1
        self.S, self.Y, self.rho = np.zeros((m, n)), np.zeros((m, n)), np.zeros(m)
        self.pairs = self.newest = 0
        self.curvature = 1.0            # s.y / y.y of the last pair
        self.H = np.zeros((n, n) if options.method == "bfgs" else (0, 0))
        self.u = np.zeros(n)
        self.waiting = False            # a change of H that is still to be made: S[0], Y[0]
        self.values: list[float] = []   # the last ones, for a nonmonotone search
        self.weight = self.mean = 0.0   # Zhang and Hager's average, and Hager and Zhang's size of f
        self.theta = math.inf
        self.length = 0.0               # step of Barzilai and Borwein, or AdGD
        self.recent: list[float] = []
        self.share = 0.8
        self.slope = 0.0
        self.momentum = 1.0
        self.previous = x0.copy()
        self.scale = self.scale_weight = 0.0
        self.finishing = False
        self.has_value, self.value = False, math.nan    # f at `point`, where `run` had it before it wanted a gradient
        self._go(self._main(False))

    ARRAYS = ("x", "g", "d", "best_x", "best_g", "u", "previous", "S", "Y", "rho", "H")
    NUMBERS = ("f", "best_f", "step", "rate", "curvature", "weight", "mean", "scale", "scale_weight", "theta", "length",
               "share", "slope", "momentum")
    COUNTS = ("nit", "nfev", "njev", "pairs", "newest", "best_has_g", "waiting")

    def state(self):
        """Everything that the next steps depend on, as arrays: where the last step ended."""
        state = {name: getattr(self, name).copy() for name in self.ARRAYS}
        state["numbers"] = np.array([getattr(self, name) for name in self.NUMBERS])
        state["counts"] = np.array([getattr(self, name) for name in self.COUNTS], np.int64)
        return state | {"values": np.array(self.values), "recent": np.array(self.recent)}

    def restore(self, state):
        """Go on from a state of a walk with the same options, as if it had never stopped."""
        for name in self.ARRAYS:
            getattr(self, name)[:] = state[name]
        for name, number in zip(self.NUMBERS, state["numbers"].tolist(), strict=True):
            setattr(self, name, number)
        for name, count in zip(self.COUNTS, state["counts"].tolist(), strict=True):
            setattr(self, name, count)
        self.best_has_g, self.waiting = bool(self.best_has_g), bool(self.waiting)
        self.values, self.recent = state["values"].tolist(), state["recent"].tolist()
        self.status = RUNNING
        self._go(self._main(True))

    def _go(self, walk):
        self._walk = walk
        with np.errstate(all="ignore"):
            self.wants = next(walk, 0)

    @property
    def point(self):
        """Where something is wanted."""
        return self.trial.copy()

    def tell(self, f=None, g=None):
        """Give what was wanted at `point`, and have the next question asked."""
        if self.wants & VALUE:
            self.trial_f = self.options.sign * float(f)
            self.nfev += self.options.calls_value
        if self.wants & GRADIENT:
            self.trial_g[:] = self.options.sign * np.asarray(g)
            self.njev += 1
            self.nfev += self.options.calls_gradient
        if self.wants & PROJECTION:
            self.trial[:] = g
        self.has_value = False
        with np.errstate(all="ignore"):
            self._remember()
        self._go(self._walk)

    def close(self):
        """Let go of a walk that will not be gone on with: it and its generator hold each other."""
        self._walk.close()

    def run(self, value, gradient, differences, count):
        """Ask and answer, until `count` iterations are made or the walk is over: PAUSED; or CAREFULLY.

        `value` is f; the gradient is what the function `gradient` gives, or the `differences` of `value`. CAREFULLY:
        this question needs more care than this loop takes; answer it, and run again.
        """
        until = min(self.nit + count, self.options.maxiter)
        if gradient is not None and gradient.size < 0:
            gradient.size = self.n      # it is known before the first call
        g = np.empty(self.n)
        while self.wants and (self.nit < until or self.finishing):
            if self.wants & PROJECTION:
                return CAREFULLY
            point = self.trial.astype(value.dtype).reshape(value.shape)
            f = value.value_at(point).item() if self.wants & VALUE else None
            if self.wants & GRADIENT and gradient is None and f is not None and not math.isfinite(f):
                g[:] = math.nan         # there is nothing to difference
                self.nfev -= self.options.calls_gradient
            elif self.wants & GRADIENT and gradient is not None:
                g[:] = gradient.value_at(point)
            elif self.wants & GRADIENT and differences.gradient(value, point, out := np.empty_like(point)) == DONE:
                g[:] = out.reshape(-1)
            elif self.wants & GRADIENT:
                if f is not None:
                    self.has_value, self.value = True, f
                return CAREFULLY
            self.tell(f, g)
        return PAUSED

    # the best point

    def _remember(self):
        """Keep the lowest f; among those that rounding cannot tell apart the smallest gradient."""
        if not self.wants & (VALUE | GRADIENT) or not math.isfinite(self.trial_f):
            return
        has_g = bool(self.wants & GRADIENT)
        if self.wants == GRADIENT and np.array_equal(self.trial, self.best_x):
            self.best_x[:], self.best_g[:], self.best_has_g = self.trial, self.trial_g, True
            return
        lower = self.trial_f < self.best_f
        if not lower and has_g and self.best_has_g:
            near = self.trial_f - self.best_f <= self._rounding(self.best_f)
            lower = near and self._criticality(self.trial, self.trial_g) < self._criticality(self.best_x, self.best_g)
        if lower or self.best_f == math.inf:
            self.best_x[:], self.best_f = self.trial, self.trial_f
            self.best_g[:], self.best_has_g = self.trial_g if has_g else math.nan, has_g

    def _rounding(self, f):
        return (2.0**-23 if self.single else 2.0**-52) * abs(f)

    def _criticality(self, x, g):
        """The largest entry of the gradient, or of the step to its projection."""
        if not self.bounded:
            return largest(g)
        return largest(self._inside(x - g) - x)

    def _inside(self, x):
        return np.where(x < self.lower, self.lower, np.where(x > self.upper, self.upper, x))

    # the walk

    def _main(self, resumed):
        if not resumed:
            self.trial[:] = self.x
            yield from self._ask(VALUE | GRADIENT)
            if self.status != RUNNING:
                return
            if not (math.isfinite(self.trial_f) and np.isfinite(self.trial_g).all()):
                self.status = NONFINITE
                return
            self.f = self.trial_f
            self.g[:] = self.trial_g
            self._begin()
        while not self._over():
            plain = self.pairs == 0 and self.slope == 0 and self.length == 0    # along the gradient, with nothing known
            taken = yield from self._step()
            if not taken and self.status == RUNNING:
                if plain:
                    self.status = STALLED
                else:
                    self._forget()
        yield from self._finish()

    def _step(self):
        """One step of the method; whether it could be made."""
        return getattr(self, "_step_" + self.options.method)()

    def _begin(self):
        self.values = [self.f]
        self.weight, self.mean = 1.0, self.f
        self.scale = abs(self.f)
        self.scale_weight = 1.0

    def _finish(self):
        """The gradient at the best point, where it was not asked for."""
        if not self.best_has_g and math.isfinite(self.best_f):
            if self.nfev + self.options.calls_gradient > self.options.maxfev:
                return
            self.trial[:] = self.best_x
            self.trial_f = self.best_f
            self.finishing = True
            yield GRADIENT
        if self._criticality(self.best_x, self.best_g) <= self.options.tol:
            self.status = CONVERGED
        elif self.status == CONVERGED:      # where it stands, and not at a lower point whose gradient is larger
            self.best_x[:], self.best_g[:], self.best_f = self.x, self.g, self.f

    def _ask(self, wants):
        """Want something, unless that would be too many evaluations."""
        options = self.options
        cost = (options.calls_value if wants & VALUE else 0) + (options.calls_gradient if wants & GRADIENT else 0)
        if self.nfev + cost > options.maxfev:
            self.status = EVALUATIONS
            return
        yield wants

    def _over(self):
        """Whether the walk ends at this x."""
        options = self.options
        if self.status != RUNNING:
            return True
        if self._criticality(self.x, self.g) <= options.tol:
            if not self.best_has_g or self.f - self.best_f <= self._rounding(self.best_f):
                self.status = CONVERGED
            else:       # a nonmonotone walk ends above its lowest point: go on from there, downwards
                self.x[:], self.g[:], self.f = self.best_x, self.best_g, self.best_f
                self._forget()
                self._begin()
                return self._over()
        elif self.best_f <= options.target:
            self.status = TARGET
        elif self.nit >= options.maxiter:
            self.status = ITERATIONS
        return self.status != RUNNING

    def _forget(self):
        """Start again from the gradient alone."""
        self.pairs = 0
        self.length = 0.0
        self.theta = math.inf
        self.momentum = 1.0
        self.d[:] = 0.0
        self.slope = 0.0
        self.recent = []

    def _move(self, base, step, d):
        """Put ``base + step * d`` into `trial`, in the type of x."""
        np.add(base, step * d, out=self.trial)
        if self.single:
            self.trial[:] = self.trial.astype(np.float32)
        if self.bounded:
            self.trial[:] = self._inside(self.trial)

    def _search(self, slope, step, ceiling=math.inf):
        """Look along d: whether `trial` is where to go."""
        options = self.options
        kind = options.search
        both = searches.NEEDS_SLOPE[kind]
        curvature = 0.1 if options.method == "cg" else 0.9
        more: dict = {"ceiling": ceiling}
        if kind == searches.HAGER_ZHANG:
            more.update(error=self._error(), curvature=curvature)
        elif kind == searches.WOLFE:
            more.update(curvature=curvature)
        elif kind == searches.GLL:
            more.update(above=self._above())
        machine = searches.SEARCHES[kind](self.f, slope, step, **more)
        answer = None
        while True:
            try:
                at = machine.send(answer)
            except StopIteration as stop:
                outcome = stop.value
                break
            self._move(self.x, at, self.d)
            yield from self._ask(VALUE | GRADIENT if both else VALUE)
            if self.status != RUNNING:
                return False
            answer = self.trial_f, dot(self.trial_g, self.d) if both else 0.0
        if outcome.status == HOPELESS or not outcome.step > 0:
            return False
        there = both and outcome.status in (FOUND, AT_LIMIT)
        if not there:
            self._move(self.x, outcome.step, self.d)
        if np.array_equal(self.trial, self.x):      # a step that rounding takes back leads nowhere
            return False
        self.step = outcome.step
        if there:
            return True
        # what was looked at last is not the lowest, or its gradient is not known
        self.trial_f = outcome.f
        if both:
            if not (self.best_has_g and np.array_equal(self.trial, self.best_x)):
                return False
            self.trial_g[:] = self.best_g
            return True
        yield from self._ask(GRADIENT)
        return self.status == RUNNING and bool(np.isfinite(self.trial_g).all())

    def _error(self):
        """How much f may rise by rounding, or by noise."""
        return max(1e-6 * self.scale if not self.single else 1e-5 * self.scale, self.options.noise)

    def _above(self):
        return self.mean if self.options.average > 0 else max(self.values)

    def _accept(self):
        """Go to `trial`; s and y of the step are left in `trial` and `trial_g`."""
        options = self.options
        before = self.f
        s, y = self.trial - self.x, self.trial_g - self.g
        self.x[:], self.g[:], self.f = self.trial, self.trial_g, self.trial_f
        self.nit += 1
        self.values = [*self.values, self.f][-WINDOW:]
        weight = options.average * self.weight
        self.mean = (weight * self.mean + self.f) / (weight + 1.0)
        self.weight = weight + 1.0
        self.scale_weight = 0.7 * self.scale_weight + 1.0
        self.scale += (abs(self.f) - self.scale) / self.scale_weight
        if options.ftol >= 0 and abs(before - self.f) <= options.ftol * max(abs(before), abs(self.f)):
            self.status = DECREASE
        elif options.xtol >= 0 and largest(s) <= options.xtol * max(1.0, largest(self.x)):
            self.status = STEP
        elif options.noise > 0 and abs(before - self.f) <= options.noise:
            self.status = NOISE
        if self.status != RUNNING and self._criticality(self.x, self.g) <= options.tol:
            self.status = RUNNING       # the better reason is seen next
        return s, y

    def _first_step(self):
        """How far to go along the gradient when nothing is known."""
        if self.rate > 0:
            return self.rate
        return min(1.0, quotient(1.0, dot(np.abs(self.g), np.ones(self.n))))
