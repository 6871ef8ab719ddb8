"""A function and its gradient, as a walk asks for them: given, or by differences; counted, and named in exceptions.

Here so that all walks evaluate alike: in the kernels' own loop where that can be, and one by one where workers, bars or
shapes want more. Tested in tests/test_descend.py and tests/test_minimize.py.
"""

import functools
import math
import time

import numpy as np

from .backends import current
from .compiled_functions import as_callable, check_f, resolve, variants_of
from .differencing import Run, central_of
from .errors import LimitReachedError, TimeIsOverError
from .noise import noise_level
from .options import check_arguments, check_function, check_options
from .prepared import Gradient
from .reference.callback import BASE, array_result, lent_copy, note_evaluation, scalar_result
from .reference.descent import CAREFULLY
from .reference.difference import BACKWARD, CENTRAL, FORWARD

_FLOAT = np.dtype(np.float64)


class Limited:
    """Something that is called; `limit` calls are made at most, and none after `deadline`, a time of the clock.

    `LimitReachedError` is raised in place of another one.
    """

    calls, limit, deadline = 0, math.inf, None

    def count(self):
        """Count a call that is about to be made."""
        if self.calls >= self.limit:
            raise LimitReachedError
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise TimeIsOverError
        self.calls += 1


class Counted(Limited):
    """A function of the caller's with its arguments; its calls are counted, and its exceptions say which it was."""

    def __init__(self, function, label, args, kwargs):
        self.function, self.label, self.args, self.kwargs = function, label, args, kwargs

    def __call__(self, x):
        self.count()
        return self.function(x, *self.args, **self.kwargs)

    def at(self, x, convert):
        """Evaluate at a copy of x; ``convert(result, label, call)`` takes what came."""
        try:
            return convert(self(lent_copy(x)), self.label, self.calls)
        except BaseException as error:
            note_evaluation(error, self.label, self.calls, BASE, 0.0, x.shape)
            raise


@functools.cache
def _plain(args=(), kwargs=None):
    """Settings of functions whose derivatives are not asked for."""
    return check_options("central", None, None, None, None, None, None, args, kwargs, False, None)


class Objective:
    """f and its gradient: given, or by differences of f."""

    def __init__(self, f, grad, x0, args, kwargs, differences):
        args, kwargs = check_arguments(args, kwargs)
        pointer = None if f is None else as_callable(f)
        self.f = None if f is None else Counted(f if pointer is None else pointer, "f", args, kwargs)
        self.grad = self.differences = self.base = self.bar = None
        self.njev = 0
        if grad is None:
            # what is compiled, or evaluated by workers, is differenced as such, and the differences count the calls;
            # else every call is counted
            self.as_such = (pointer is not None or variants_of(f) is not None
                            or differences.get("workers") is not None)
            self.differences = (Gradient(f, x0, args=args, kwargs=kwargs, **differences) if self.as_such
                                else Gradient(self.f, x0, **differences))
            settings = self.differences._settings
            self.bar = settings.bar
            if settings.crew is not None:
                base = Run(f, central_of(settings), x0.shape, x0.dtype)
                self.base = None if base.pooled is None else base
            return
        pointer = as_callable(grad, x0.size, "grad")
        grad = grad if pointer is None else pointer
        check_function(grad, "grad")
        self.grad = Counted(grad, "grad", args, kwargs)
        if differences:
            names = ", ".join(sorted(differences))
            raise TypeError(f"{names}: options of differences have no use when grad is given")

    def __enter__(self):
        if self.bar is not None:
            self.bar.__enter__()
        return self

    def __exit__(self, *exception):
        if self.bar is not None:
            self.bar.__exit__(*exception)
        if self.differences is not None:
            self.differences.close()

    def foresee(self, gradients, values):
        """Tell the bar how much there is to come, once it has counted a value and a gradient."""
        if self.bar is not None:
            self.bar.expect(gradients * (self.bar.done - 1) + values)

    @property
    def nfev(self):
        """How often f was called, by differences too."""
        return 0 if self.f is None else self.f.calls

    def value(self, x):
        """f(x) as a float; NaN when there is no f."""
        if self.f is None:
            return math.nan
        if self.base is not None:
            self.base.count_from(self.nfev)
            value = float(self.base.value_at(x))
            self.f.calls = self.base.nfev
            return value
        if self.bar is not None:
            self.bar.expect(1)
        try:
            return float(
                self.f.at(x, lambda result, label, call: scalar_result(result, _FLOAT, label=label, nfev=call)[0])
            )
        finally:
            if self.bar is not None:
                self.bar.advance(1)

    def gradient(self, x):
        """A gradient of the shape and type of x, that nobody else holds."""
        self.njev += 1
        if self.differences is not None:
            self.differences.calls_before = self.nfev
            g = np.asarray(self.differences(x))
            if self.as_such:
                self.f.calls = self.differences._calls()
            return g
        return self.grad.at(x, lambda result, label, call: array_result(result, x.dtype, x.shape, label, call))

    def finite(self, fun, g):
        """Whether a run can go on from here."""
        return np.isfinite(g).all() and (self.f is None or math.isfinite(fun))


class Paired(Limited):
    """The two halves of a function that gives ``(value, gradient)``, evaluated once a point; `calls` counts."""

    def __init__(self, function):
        self.function, self.at, self.pair = function, None, None

    def _look(self, x, args, kwargs):
        at = np.array(x)
        if self.at is None or not np.array_equal(at, self.at):
            self.count()
            self.at = None
            pair = self.function(x, *args, **kwargs)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(f"f must give a pair (value, gradient) with grad=True, not {type(pair).__name__}")
            self.at, self.pair = at, (pair[0], np.array(pair[1]))      # f may write into its own later
        return self.pair

    def value(self, x, *args, **kwargs):
        """The first half."""
        return self._look(x, args, kwargs)[0]

    def gradient(self, x, *args, **kwargs):
        """The second half."""
        return self._look(x, args, kwargs)[1]


class Answers(Objective):
    """An objective that answers a walk of kernels/descent, in the kernels' own loop where nothing is unusual.

    `direct` are the functions for that loop, or None; `calls_of_gradient` is how often a gradient calls f.
    """

    def __init__(self, f, grad, x, args, kwargs, differences):
        self.pair = None
        if grad is True:
            check_f(f)
            self.pair = Paired(f)
            f, grad = self.pair.value, self.pair.gradient
        pointers = as_callable(f), None if grad is None else as_callable(grad, x.size, "grad")
        f, grad = (given if pointer is None else pointer        # read once: what they are takes time
                   for given, pointer in zip((f, grad), pointers, strict=True))
        super().__init__(f, grad, x, args, kwargs, differences)
        self.given, self.options = f, differences
        self.limit, self.limited = math.inf, None
        self.calls_of_gradient, self.one_sided = 0, False
        if grad is None:
            run = self.differences._idle[-1]
            settings = run.settings
            self.one_sided = settings.method in (FORWARD, BACKWARD)
            self.calls_of_gradient = (settings.order or 1) * x.size     # where f(x) is known
            plain = run.direct and settings.method == CENTRAL and settings.bounds is None and x.ndim == 1
            self.direct = (run.function, None, run.prepare()) if plain else None
        else:
            settings = _plain() if not args and not kwargs else _plain.__wrapped__(args, kwargs)
            self.direct = None if x.ndim != 1 else (
                self._function(f, x, settings, "f"), self._function(grad, x, settings, "grad", True), None)

    def _function(self, f, x, settings, label, vector=False):
        """What the kernels evaluate."""
        kernels = current()
        compiled = resolve(f, settings, x.shape, x.dtype, vector, False)
        if compiled is not None and x.dtype == _FLOAT:
            function = kernels.NativeFunction(compiled, x.shape, x.dtype, vector, False, label)
            if vector and function.size < 0:
                function.take_size(x.size)
            return function
        pointer = as_callable(f, x.size if vector else None, label) if compiled is not None else None
        return kernels.PythonFunction(f if pointer is None else pointer, settings.args, settings.kwargs, x.shape,
                                      x.dtype, vector, False, label)

    @property
    def nfev(self):
        """How often f was called, by differences too."""
        return self.f.calls if self.pair is None else self.pair.calls

    def count_from(self, calls):
        """Let nfev count from a number of calls made before."""
        self.f.calls = calls
        if self.pair is not None:
            self.pair.calls = calls

    def limit_to(self, calls):
        """Raise `LimitReachedError` in place of a call of f that would be one too many; whoever asks counts the rest.

        What differences are expected to cost is known beforehand; this is for what they cost more.
        """
        self.limit = calls
        (self.f if self.pair is None else self.pair).limit = calls
        if self.differences is not None and self.differences._settings.crew is not None:
            self.differences._settings.crew.most_calls = calls

    def gradient(self, x, f0=None):
        """A gradient of the shape and type of x, that nobody else holds; `f0` is f(x) where that is known."""
        near = self.differences is not None and self.limit - self.nfev < 20 * self.calls_of_gradient
        near = near and self.as_such and self.base is None
        if not near and (f0 is None or not self.one_sided):
            return super().gradient(x)
        differences = self.differences
        if near:    # where calls are compiled none can be refused: close to the limit Python makes them
            if self.limited is None:
                options = {name: given for name, given in self.options.items() if name != "workers"}    # threads
                self.limited = Gradient(self.f, x, **options)
            differences = self.limited
        self.njev += 1
        differences.calls_before = self.nfev
        g = np.asarray(differences(x) if f0 is None else differences._where_known(x, f0))
        if self.as_such and not near:
            self.f.calls = differences._calls()
        return g

    def until(self, deadline):
        """Raise `TimeIsOverError` in place of calls of Python functions that come too late, or let it be: None."""
        if self.pair is not None:
            self.pair.deadline = deadline
            return
        for function in filter(None, (self.f, self.grad)):
            function.deadline = deadline
        if deadline is not None and self.grad is not None and self.direct is not None and not self.direct[0].native:
            self.direct = None      # the kernels' own loop does not look at the clock

    def noise_level(self, x):
        """How noisy f is at x; the calls that it takes are counted."""
        options = {name: self.options[name] for name in ("bounds", "workers") if name in self.options}
        found = noise_level(self.f.function, x, args=self.f.args, kwargs=self.f.kwargs, full_output=True, **options)
        self.count_from(self.nfev + found.nfev)
        return found.level

    def answer(self, machine, count):
        """Answer in the kernels' loop, for so many iterations; CAREFULLY where that cannot be."""
        if self.direct is None:
            return CAREFULLY
        value = self.direct[0]
        before, calls = value.nfev, self.f.calls
        try:
            return machine.run(*self.direct, count)
        finally:
            if self.f.calls == calls:   # it was not called by way of `Counted`
                self.f.calls += value.nfev - before

    def evaluate(self, x, with_gradient, f0=None, with_value=False):
        """One question, in Python: f where it is wanted, or `f0` where it is known, and the gradient.

        Where f is not finite there is nothing to difference: the gradient is NaN.
        """
        if with_value:
            f0 = self.value(x)
        if not with_gradient:
            return f0, None
        if self.differences is not None and f0 is not None and not math.isfinite(f0):
            return f0, np.full(x.shape, math.nan)
        g = self.gradient(x, f0)
        if self.direct is not None and self.differences is not None:
            run = self.differences._idle[-1]
            self.direct = (run.function, None, run.prepare())   # the steps may have been chosen again
        return f0, g
