"""What all schedules share: arguments that are checked, being called with a step, ``a >> b`` and ``2.0 * a``.

Here so that a schedule is its formula and no more. Tested in tests/test_schedules.py.
"""

from dataclasses import dataclass, field, fields
from functools import partial
from typing import Annotated, Literal, get_args, get_origin

import numpy as np

from .options import as_count, as_number

__all__ = ["Count", "CountOrNone", "NonNegative", "Positive", "Schedule"]


def _count_or_none(value, name):
    return None if value is None else as_count(value, name)


# What an argument may be stands in its annotation; Schedule.__post_init__ looks there.
NonNegative = Annotated[float, partial(as_number, at_least=0.0)]
Positive = Annotated[float, partial(as_number, above=0.0)]
Count = Annotated[int, as_count]
CountOrNone = Annotated[int | None, _count_or_none]


class Schedule:
    """A learning rate for every step.

    ``schedule(t)`` is the rate of step t; ``a >> b`` is a and, after the steps of a, b; ``2.0 * a`` is twice the rate.

    Attributes
    ----------
    steps : int or None
        The length; None for a schedule without an end.

    Examples
    --------
    >>> import steepest as sd
    >>> schedule = 0.5 * sd.schedules.step(0.1, every=30)
    >>> isinstance(schedule, sd.schedules.Schedule), schedule.steps, schedule(0)
    (True, None, 0.05)
    """

    steps: int | None
    __array_ufunc__ = None  # np.float64(2.0) * schedule comes to __rmul__

    def __post_init__(self):
        for spot in self._arguments():
            object.__setattr__(self, spot.name, _checked(spot.type, getattr(self, spot.name), spot.name))
        if "steps" not in vars(self):
            object.__setattr__(self, "steps", self._length())

    def __call__(self, t):
        """Rate of step t.

        Parameters
        ----------
        t : int or array_like of int
            Steps, counted from 0.

        Returns
        -------
        float or ndarray
            A float for an int, else float64 in the shape of t: entry by entry the same bits.

        Raises
        ------
        TypeError, ValueError
            t is not an integer, or negative.
        """
        if type(t) is int and 0 <= t < 2**63:  # first, for an optimizer asks at every step
            return self._at(t)
        if np.ndim(t) == 0:
            return self._at(as_count(t, "t", at_least=0))
        steps = np.asarray(t)
        if steps.size and steps.dtype.kind not in "iu":
            raise TypeError(f"t must be integers, not of dtype {steps.dtype}")
        if steps.size and steps.min() < 0:
            raise ValueError(f"t must be at least 0, but one entry is {steps.min()}")
        # One by one: NumPy's cosines and powers may differ from the scalar ones in the last bit.
        rates = np.fromiter(map(self._at, steps.ravel().tolist()), np.float64, steps.size)
        return rates.reshape(steps.shape)

    # These three are as a dataclass would have them, which would compile them anew for every schedule.

    def __repr__(self):
        pairs = ((spot, getattr(self, spot.name)) for spot in self._arguments())
        given = (f"{spot.name}={value!r}" for spot, value in pairs if value != spot.default)
        return f"{type(self).__name__}({', '.join(given)})"

    def __eq__(self, other):
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    def __hash__(self):
        return hash((type(self), *vars(self).values()))

    def _arguments(self):
        return [spot for spot in fields(self) if spot.init]  # type: ignore[arg-type]  # every schedule is a dataclass

    def _at(self, t):
        return self._rate(t if self.steps is None else min(t, self.steps))

    def _rate(self, t):
        """Give the rate of step t, an int from 0 to ``steps``."""
        raise NotImplementedError

    def _length(self):
        """Give ``steps`` where it is no argument."""
        return None

    def __rshift__(self, other):
        if not isinstance(other, Schedule):
            return NotImplemented
        if self.steps is None:
            raise ValueError(f"steps must be given for what comes before >>: {self!r} has no end")
        return _Joined((*_parts(self), *_parts(other)))

    def __mul__(self, factor):
        return NotImplemented if isinstance(factor, Schedule) else _Scaled(factor, self)

    __rmul__ = __mul__


def _checked(kind, value, name):
    """Return a value as its annotation wants it, or raise what names it."""
    if get_origin(kind) is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(map(repr, get_args(kind)))}, not {value!r}")
        return value
    return kind.__metadata__[0](value, name) if get_origin(kind) is Annotated else value


def _parts(schedule):
    return schedule.parts if isinstance(schedule, _Joined) else (schedule,)


@dataclass(frozen=True, eq=False, repr=False)
class _Joined(Schedule):
    """One after another: ``a >> b >> c``. All but the last have an end."""

    parts: tuple
    steps: int | None = field(init=False)

    def _length(self):
        lengths = [part.steps for part in self.parts]
        return None if None in lengths else sum(lengths)

    def __repr__(self):
        return " >> ".join(map(repr, self.parts))

    def _rate(self, t):
        for part in self.parts[:-1]:
            if t < part.steps:
                return part._at(t)
            t -= part.steps
        return self.parts[-1]._at(t)


@dataclass(frozen=True, eq=False, repr=False)
class _Scaled(Schedule):
    """``factor * schedule``."""

    factor: NonNegative
    schedule: Schedule
    steps: int | None = field(init=False)

    def _length(self):
        return self.schedule.steps

    def __repr__(self):
        inner = f"({self.schedule!r})" if isinstance(self.schedule, (_Joined, _Scaled)) else repr(self.schedule)
        return f"{self.factor!r} * {inner}"

    def _rate(self, t):
        return self.factor * self.schedule._at(t)
