"""Learning rates as pure functions of the number of the step.

Here so that a run that is resumed at step t has, to the bit, the rates of one that was never stopped: a schedule is a
closed formula, and remembers nothing. Only `plateau` follows the run, and its state is a dict of four entries. Tested
in tests/test_schedules.py, beside torch and optax in tests/test_schedules_peers.py.

Every schedule is made with the base rate first and called with the step, counted from 0: an int gives a float, integers
in an array give an array of the same floats. ``schedule.steps`` is its length, None for one without an end; after its
end it stays at its last value. ``a >> b`` is a and, after the steps of a, b (torch: ``SequentialLR``, optax:
``join_schedules``); ``2.0 * a`` is twice the rate. Schedules do not change, compare by value, pickle, and print as what
makes them. What they cannot take gets a TypeError or a ValueError that names the argument.

>>> from steepest.schedules import cosine, warmup
>>> schedule = warmup(0.1, 5) >> cosine(0.1, 100)
>>> schedule
warmup(lr=0.1, steps=5) >> cosine(lr=0.1, steps=100)
>>> schedule.steps
105
>>> schedule(55)
0.05
>>> print(schedule([0, 1, 5, 105]))
[0.   0.02 0.1  0.  ]
"""

import math
from bisect import bisect_right
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from itertools import pairwise
from typing import Annotated, Literal

from .options import as_count, as_number
from .plateau import plateau
from .rates import Count, CountOrNone, NonNegative, Positive, Schedule

__all__ = [
    "Schedule", "constant", "cosine", "cosine_restarts", "cyclic", "exponential", "inverse_time", "multistep",
    "one_cycle", "plateau", "polynomial", "step", "warmup",
]


def _as_milestones(value, name):
    try:
        milestones = tuple(as_count(entry, f"{name}[{i}]") for i, entry in enumerate(value))
    except TypeError as error:
        raise TypeError(f"{name} must be a sequence of integers: {error}") from None
    if not milestones or any(a >= b for a, b in pairwise(milestones)):
        raise ValueError(f"{name} must be integers in increasing order, at least one, not {value!r}")
    return milestones


def _as_share(value, name):
    number = as_number(value, name, above=0.0)
    if number > 1.0:
        raise ValueError(f"{name} must be at most 1, not {number}")
    return number


def _between(start, end, share):
    """Go a share of the way from start to end: exact at both, never beyond, and at rest where they are equal."""
    if share <= 0.5:
        return start + (end - start) * share
    return end - (end - start) * (1.0 - share)


def _straight(done):
    """What is left when a share is done, along a straight line."""
    return 1.0 - done


def _half_cosine(done):
    """What is left when a share is done, along half a cosine: 1 at 0, 0 at 1, and level at both."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _geometric(first, ratio, n):
    """``first * ratio**n``; inf where no float can hold it."""
    try:
        return first * ratio**n
    except OverflowError:
        return math.inf if first else 0.0


@dataclass(frozen=True, eq=False, repr=False)
class constant(Schedule):
    """One rate: ``lr``.

    torch: an optimizer without a scheduler. optax: ``constant_schedule(lr)``.

    Parameters
    ----------
    lr : float
        The rate, at least 0.
    steps : int, optional
        Length, for what comes after ``>>``; without an end by default.

    Examples
    --------
    >>> from steepest.schedules import constant
    >>> print((constant(0.1, 2) >> constant(0.01))(range(4)))
    [0.1  0.1  0.01 0.01]
    """

    lr: NonNegative
    steps: CountOrNone = None

    def _rate(self, t):
        return self.lr


@dataclass(frozen=True, eq=False, repr=False)
class step(Schedule):
    """Multiplied by gamma every so many steps: ``lr * gamma**(t // every)``.

    torch: ``StepLR(optimizer, every, gamma)``. optax: ``exponential_decay(lr, every, gamma, staircase=True)``.

    Parameters
    ----------
    lr : float
        Rate of the first steps, at least 0.
    every : int
        Steps from one change to the next.
    gamma : float, optional
        Factor, above 0.
    steps : int, optional
        Length; without an end by default.

    Examples
    --------
    >>> from steepest.schedules import step
    >>> print(step(1.0, 2, gamma=0.5)(range(6)))
    [1.   1.   0.5  0.5  0.25 0.25]
    """

    lr: NonNegative
    every: Count
    gamma: Positive = 0.1
    steps: CountOrNone = field(default=None, kw_only=True)

    def _rate(self, t):
        return _geometric(self.lr, self.gamma, t // self.every)


@dataclass(frozen=True, eq=False, repr=False)
class multistep(Schedule):
    """Multiplied by gamma at every milestone: ``lr * gamma**(number of milestones that are <= t)``.

    torch: ``MultiStepLR(optimizer, milestones, gamma)``. optax: ``piecewise_constant_schedule(lr, {m: gamma, ...})``.

    Parameters
    ----------
    lr : float
        Rate of the first steps, at least 0.
    milestones : sequence of int
        Steps at which the rate changes, increasing.
    gamma : float, optional
        Factor, above 0.
    steps : int, optional
        Length; without an end by default.

    Examples
    --------
    >>> from steepest.schedules import multistep
    >>> print(multistep(1.0, [2, 5], gamma=0.5)(range(6)))
    [1.   1.   0.5  0.5  0.5  0.25]
    """

    lr: NonNegative
    milestones: Annotated[tuple, _as_milestones]
    gamma: Positive = 0.1
    steps: CountOrNone = field(default=None, kw_only=True)

    def _rate(self, t):
        return _geometric(self.lr, self.gamma, bisect_right(self.milestones, t))


@dataclass(frozen=True, eq=False, repr=False)
class exponential(Schedule):
    """Multiplied by gamma at every step: ``lr * gamma**t``.

    torch: ``ExponentialLR(optimizer, gamma)``. optax: ``exponential_decay(lr, 1, gamma)``.

    Parameters
    ----------
    lr : float
        First rate, at least 0.
    gamma : float
        Factor, above 0; above 1 the rate grows, as in a search for the largest rate that works.
    steps : int, optional
        Length; without an end by default.

    Examples
    --------
    >>> from steepest.schedules import constant, exponential
    >>> print((exponential(0.8, 0.5, steps=3) >> constant(0.1))(range(5)))
    [0.8 0.4 0.2 0.1 0.1]
    """

    lr: NonNegative
    gamma: Positive
    steps: CountOrNone = field(default=None, kw_only=True)

    def _rate(self, t):
        return _geometric(self.lr, self.gamma, t)


@dataclass(frozen=True, eq=False, repr=False)
class inverse_time(Schedule):
    """Decaying as stochastic approximation wants it: ``lr / (1 + decay * t)**power``.

    The classical condition on it is a power in (1/2, 1] [Robbins and Monro 1951, Ann. Math. Statist. 22, 400-407].
    torch: ``LambdaLR(optimizer, lambda t: (1 + decay * t)**-power)``. optax: none.

    Parameters
    ----------
    lr : float
        First rate, at least 0.
    decay : float
        At least 0: with power 1 the rate is halved after ``1 / decay`` steps.
    power : float, optional
        Above 0; 0.5 gives the inverse square root.
    steps : int, optional
        Length; without an end by default.

    Examples
    --------
    >>> from steepest.schedules import inverse_time
    >>> print(inverse_time(0.6, decay=0.5)([0, 1, 2, 4]))
    [0.6 0.4 0.3 0.2]
    """

    lr: NonNegative
    decay: NonNegative
    power: Positive = 1.0
    steps: CountOrNone = field(default=None, kw_only=True)

    def _rate(self, t):
        return self.lr / _geometric(1.0, 1.0 + self.decay * t, self.power)


@dataclass(frozen=True, eq=False, repr=False)
class polynomial(Schedule):
    """From lr to end along a power: ``end + (lr - end) * (1 - t / steps)**power``.

    torch: ``PolynomialLR(optimizer, steps, power)``, whose end is 0. optax: ``polynomial_schedule(lr, end, power,
    steps)``; with power 1, ``linear_schedule(lr, end, steps)``.

    Parameters
    ----------
    lr, end : float
        Rates of step 0 and of step `steps` and after, at least 0.
    steps : int
        Length.
    power : float, optional
        Above 0.

    Examples
    --------
    >>> from steepest.schedules import polynomial
    >>> print(polynomial(0.4, 4)(range(6)))
    [0.4 0.3 0.2 0.1 0.  0. ]
    """

    lr: NonNegative
    steps: Count
    end: NonNegative = 0.0
    power: Positive = 1.0

    def _rate(self, t):
        return _between(self.end, self.lr, _straight(t / self.steps) ** self.power)


@dataclass(frozen=True, eq=False, repr=False)
class cosine(Schedule):
    """From lr to end along half a cosine: ``end + (lr - end) * (1 + cos(pi * t / steps)) / 2``.

    [Loshchilov and Hutter 2017, "SGDR", ICLR, eq. 5]. torch: ``CosineAnnealingLR(optimizer, steps, end)``, which rises
    again after `steps`; this one stays. optax: ``cosine_decay_schedule(lr, steps, alpha=end / lr)``.

    Parameters
    ----------
    lr, end : float
        Rates of step 0 and of step `steps` and after, at least 0.
    steps : int
        Length.

    Examples
    --------
    >>> from steepest.schedules import cosine
    >>> print(cosine(0.4, 4)(range(6)).round(4))
    [0.4    0.3414 0.2    0.0586 0.     0.    ]
    """

    lr: NonNegative
    steps: Count
    end: NonNegative = 0.0

    def _rate(self, t):
        return _between(self.end, self.lr, _half_cosine(t / self.steps))


@dataclass(frozen=True, eq=False, repr=False)
class cosine_restarts(Schedule):
    """Half a cosine from lr to end again and again, cycle i of ``period * mult**i`` steps.

    [Loshchilov and Hutter 2017, "SGDR", ICLR]. torch: ``CosineAnnealingWarmRestarts(optimizer, period, mult, end)``.
    optax: ``join_schedules`` of ``cosine_decay_schedule``.

    Parameters
    ----------
    lr, end : float
        Rates at the start of every cycle and, not quite reached, at its end; at least 0.
    period : int
        Steps of the first cycle.
    mult : int, optional
        How many times longer every cycle is than the one before.
    cycles : int, optional
        After so many the rate stays at `end`; without an end by default.

    Examples
    --------
    >>> from steepest.schedules import cosine_restarts
    >>> print(cosine_restarts(0.4, 2, mult=2, cycles=2)(range(8)).round(4))
    [0.4    0.2    0.4    0.3414 0.2    0.0586 0.     0.    ]
    """

    lr: NonNegative
    period: Count
    mult: Count = 1
    end: NonNegative = 0.0
    cycles: CountOrNone = field(default=None, kw_only=True)
    steps: int | None = field(init=False)

    def _length(self):
        if self.cycles is None or self.mult == 1:
            return self.cycles and self.cycles * self.period
        if self.cycles > 63:
            raise ValueError(f"cycles must be at most 63 where mult is above 1, not {self.cycles}")
        return self.period * (self.mult**self.cycles - 1) // (self.mult - 1)

    def _rate(self, t):
        if t == self.steps:
            return self.end
        length = self.period
        if self.mult == 1:
            t %= length
        while t >= length:  # at most 63 times; exact, where a logarithm is not
            t -= length
            length *= self.mult
        return _between(self.end, self.lr, _half_cosine(t / length))


@dataclass(frozen=True, eq=False, repr=False)
class warmup(Schedule):
    """In a straight line from start up to lr: ``start + (lr - start) * t / steps``.

    With the default start step 0 has the rate 0, as in optax and most of what is published;
    ``warmup(lr, n - 1, start=lr / n)`` gives ``lr * (t + 1) / n``. torch: ``LinearLR(optimizer, start / lr,
    total_iters=steps)``. optax: ``linear_schedule(start, lr, steps)``.

    Parameters
    ----------
    lr : float
        Rate of step `steps` and after, at least 0.
    steps : int
        Length.
    start : float, optional
        Rate of step 0, at least 0.

    Examples
    --------
    >>> from steepest.schedules import constant, warmup
    >>> print((warmup(0.4, 4) >> constant(0.4))(range(6)))
    [0.  0.1 0.2 0.3 0.4 0.4]
    """

    lr: NonNegative
    steps: Count
    start: NonNegative = 0.0

    def _rate(self, t):
        return _between(self.start, self.lr, t / self.steps)


@dataclass(frozen=True, eq=False, repr=False)
class one_cycle(Schedule):
    """Up from ``lr / div_factor`` to lr, then down to ``lr / (div_factor * final_div_factor)``.

    The peak is at step ``pct_start * steps``, the end at `steps` [Smith and Topin 2017, arXiv:1708.07120]. optax:
    ``cosine_onecycle_schedule(steps, lr, pct_start, div_factor, final_div_factor)``, which moves the peak down to a
    whole step. torch comes one step earlier to both: ``OneCycleLR(optimizer, lr, n, pct_start=p)`` is ``one_cycle(lr,
    n - 1, pct_start=(p * n - 1) / (n - 1))``; it moves momentum, too.

    Parameters
    ----------
    lr : float
        Rate at the peak, at least 0.
    steps : int
        Length.
    pct_start : float, optional
        Share of the steps before the peak, from 0 to below 1.
    div_factor, final_div_factor : float, optional
        Rate at the peak to that of step 0, and that to the last one; above 0.
    anneal : {"cosine", "linear"}, optional
        The form of both ways.

    Examples
    --------
    >>> from steepest.schedules import one_cycle
    >>> print(one_cycle(1.0, 10, div_factor=10.0, anneal="linear")(range(4)))
    [0.1 0.4 0.7 1. ]
    """

    lr: NonNegative
    steps: Count
    _: KW_ONLY
    pct_start: Annotated[float, partial(as_number, at_least=0.0, below=1.0)] = 0.3
    div_factor: Positive = 25.0
    final_div_factor: Positive = 1e4
    anneal: Literal["cosine", "linear"] = "cosine"

    def _rate(self, t):
        start = self.lr / self.div_factor
        peak = self.pct_start * self.steps
        left = _half_cosine if self.anneal == "cosine" else _straight
        if t < peak:
            return _between(self.lr, start, left(t / peak))
        return _between(start / self.final_div_factor, self.lr, left((t - peak) / (self.steps - peak)))


@dataclass(frozen=True, eq=False, repr=False)
class cyclic(Schedule):
    """In straight lines from lr to peak in `up` steps, and back in `down`, again and again.

    [Smith 2017, WACV, 464-472]. torch: ``CyclicLR(optimizer, lr, peak, up, down, mode, gamma)``; it moves momentum,
    too. optax: ``join_schedules`` of ``linear_schedule``.

    Parameters
    ----------
    lr, peak : float
        Rates at the ends and in the middle of a cycle, at least 0.
    up : int
        Steps from lr to peak.
    down : int, optional
        Steps from peak to lr; as many as `up` by default.
    mode : {"triangular", "triangular2", "exp_range"}, optional
        The height of a cycle over lr: always the same, halved from cycle to cycle, or times ``gamma**t``.
    gamma : float, optional
        For "exp_range", above 0 and at most 1.
    cycles : int, optional
        After so many the rate stays at lr; without an end by default.

    Examples
    --------
    >>> from steepest.schedules import cyclic
    >>> print(cyclic(0.1, 0.5, 2, mode="triangular2")(range(9)))
    [0.1 0.3 0.5 0.3 0.1 0.2 0.3 0.2 0.1]
    """

    lr: NonNegative
    peak: NonNegative
    up: Count
    down: CountOrNone = None
    _: KW_ONLY
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Annotated[float, _as_share] = 1.0
    cycles: CountOrNone = None
    steps: int | None = field(init=False)

    def _length(self):
        return self.cycles and self.cycles * self._period

    @property
    def _period(self):
        return self.up + (self.down or self.up)

    def _rate(self, t):
        period = self._period
        cycle, at = divmod(t, period)
        share = at / self.up if at < self.up else (period - at) / (period - self.up)
        if self.mode == "triangular2":
            share = _geometric(share, 0.5, cycle)
        elif self.mode == "exp_range":
            share = _geometric(share, self.gamma, t)
        return _between(self.lr, self.peak, share)
