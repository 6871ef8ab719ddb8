"""The learning rate that follows the run: it falls when a metric stops improving.

Here because it is the one rate that no formula of the step gives; what it remembers is a dict of four entries. Tested
in tests/test_plateau.py.
"""

import math
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Annotated, Literal

from .options import as_count, as_float, as_number
from .rates import NonNegative, Schedule

__all__ = ["plateau"]

_CountOrZero = Annotated[int, partial(as_count, at_least=0)]


@dataclass(frozen=True, eq=False, repr=False)
class plateau(Schedule):
    """Multiplied by factor when a metric has not improved for more than `patience` updates.

    The one schedule that follows the run: ``update(metric)`` after every epoch, say, changes `state`, and every t has
    the rate of the state. A schedule made of it (``warmup(lr, 5) >> p``, ``2.0 * p``) follows ``p.update``.

    torch: ``ReduceLROnPlateau(optimizer, mode, factor, patience, threshold, threshold_mode, cooldown, min_lr)``, with
    two differences. A relative threshold is relative to the size of the best metric, so that it is right below 0,
    where torch's takes what is worse for an improvement. And there is no `eps`: torch makes no reduction by less than
    1e-8. optax: ``contrib.reduce_on_plateau(factor, patience + 1, rtol=threshold, cooldown=cooldown, min_scale=min_lr /
    lr)``, with torch's sign.

    Parameters
    ----------
    lr : float
        First rate, at least 0.
    factor : float, optional
        Above 0 and below 1.
    patience : int, optional
        Updates in a row without improvement that are borne.
    threshold : float, optional
        An improvement is larger than this, at least 0; below 1 when relative.
    threshold_mode : {"rel", "abs"}, optional
        Relative to the size of the best metric, or absolute.
    cooldown : int, optional
        Updates after a reduction in which nothing is counted.
    min_lr : float, optional
        The rate falls no further; at most lr.
    mode : {"min", "max"}, optional
        Whether a smaller or a larger metric is better.
    state : dict, optional
        Where to go on, from `state_dict`: ``rate``, ``best`` (None before the first), ``waited`` (updates without
        improvement), ``cooling`` (updates that will not count).

    Examples
    --------
    >>> from steepest.schedules import plateau
    >>> rate = plateau(0.1, factor=0.5, patience=1)
    >>> [rate.update(loss) for loss in (-1.0, -2.0, -2.0, -2.0, -2.0)]
    [0.1, 0.1, 0.1, 0.05, 0.05]
    >>> rate.state_dict()
    {'rate': 0.05, 'best': -2.0, 'waited': 1, 'cooling': 0}
    """

    lr: NonNegative
    factor: Annotated[float, partial(as_number, above=0.0, below=1.0)] = 0.1
    patience: _CountOrZero = 10
    _: KW_ONLY
    threshold: NonNegative = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: _CountOrZero = 0
    min_lr: NonNegative = 0.0
    mode: Literal["min", "max"] = "min"
    state: dict | None = None
    steps: int | None = field(init=False)

    def __post_init__(self):
        super().__post_init__()
        if self.min_lr > self.lr:
            raise ValueError(f"min_lr must be at most lr, {self.lr}, not {self.min_lr}")
        if self.threshold_mode == "rel" and self.threshold >= 1.0:
            raise ValueError(f"threshold must be below 1 where threshold_mode is 'rel', not {self.threshold}")
        fresh = {"rate": self.lr, "best": None, "waited": 0, "cooling": 0}
        object.__setattr__(self, "state", self._checked_state(fresh if self.state is None else self.state))

    def _rate(self, t):
        return self.state["rate"]

    def update(self, metric):
        """Take the next value of the metric, and return the rate from here on.

        Parameters
        ----------
        metric : float
            NaN is no improvement.

        Returns
        -------
        float

        Raises
        ------
        TypeError
            The metric is no number; nothing has changed.
        """
        metric = as_float(metric, "metric")
        rate, best, waited, cooling = self.state.values()
        waited += 1
        if self._improves(metric, best):
            best, waited = metric, 0
        if cooling:
            cooling, waited = cooling - 1, 0
        if waited > self.patience:
            rate, waited, cooling = max(rate * self.factor, self.min_lr), 0, self.cooldown
        self.state.update(rate=rate, best=best, waited=waited, cooling=cooling)
        return rate

    def _improves(self, metric, best):
        sign = 1.0 if self.mode == "min" else -1.0
        bar = math.inf if best is None else sign * best
        if self.threshold_mode == "rel":
            bar *= 1.0 - math.copysign(self.threshold, bar)
        else:
            bar -= self.threshold
        return sign * metric < bar

    def state_dict(self):
        """Copy of the state: a dict of plain numbers.

        Returns
        -------
        dict
        """
        return dict(self.state)

    def load_state_dict(self, state):
        """Go on from a state that `state_dict` gave.

        Parameters
        ----------
        state : dict
            With the keys of `state`.

        Raises
        ------
        TypeError, ValueError
            The state is none of a plateau with these arguments; nothing has changed.
        """
        self.state.update(self._checked_state(state))

    def _checked_state(self, state):
        if not isinstance(state, dict) or set(state) != {"rate", "best", "waited", "cooling"}:
            raise ValueError(f"state must be a dict of 'rate', 'best', 'waited' and 'cooling', not {state!r}")
        rate = as_number(state["rate"], "state['rate']", at_least=0.0)
        if not self.min_lr <= rate <= self.lr:
            raise ValueError(f"state['rate'] must be from {self.min_lr} to {self.lr}, not {rate}")
        best = state["best"]
        if best is not None:
            best = as_float(best, "state['best']")
            if math.isnan(best):
                raise ValueError("state['best'] must not be NaN")
        counts = {name: as_count(state[name], f"state[{name!r}]", at_least=0) for name in ("waited", "cooling")}
        for name, limit in (("waited", self.patience), ("cooling", self.cooldown)):
            if counts[name] > limit:
                raise ValueError(f"state[{name!r}] must be at most {limit}, not {counts[name]}")
        return {"rate": rate, "best": best, **counts}
