"""The rules of `steepest.optim` as walks: one step of the rule an iteration, and all else as for every method.

Here so that `minimize` has one contract, whoever makes the steps: the rules step by their kernels, and what all walks
have in common is that of reference/walks.py. Tested in tests/test_rule_walks.py.
"""

import numpy as np

from .optim import RULES
from .reference.walks import CAREFULLY, GRADIENT, NONFINITE, RUNNING, VALUE, Walk

__all__ = ["RuleWalk"]


class RuleWalk(Walk):
    """A walk by a rule; it asks and is told as `reference.descent.Descent` is.

    Parameters
    ----------
    x0 : array, (n,), float64
        Where it starts.
    options : Options
        With the name of a rule as `method`, and its learning rate as `rate`: 0 for that of the rule.
    single : bool
        Steps are made in float32.
    """

    def __init__(self, x0, options, single=False):
        self.parameters = x0.astype(np.float32 if single else np.float64)
        lr = {"lr": options.rate} if options.rate > 0 else {}
        self.optimizer = RULES[options.method](self.parameters, **lr)
        self.used = options.rate
        self.ahead = False      # the rule has made its step, and what it has led to is still to be told
        super().__init__(x0, options, single=single)

    def run(self, value, gradient, differences, count):
        """Nothing is called from here: the caller answers."""
        return CAREFULLY

    def state(self):
        """As that of every walk, and what the rule keeps."""
        state = super().state() | {"rule": self.optimizer.state_dict(params=True)}
        state["counts"] = np.append(state["counts"], np.int64(self.ahead))
        return state

    def restore(self, state):
        """Go on from a state of a walk by the same rule."""
        *counts, ahead = state["counts"].tolist()
        self.optimizer.load_state_dict(state["rule"])
        self.ahead = bool(ahead)
        super().restore(state | {"counts": np.array(counts)})

    def _forget(self):
        super()._forget()
        self.parameters[:] = self.x     # it may have gone back to the best point

    def _step(self):
        if not self.ahead:
            if self.rate != self.used:      # a schedule has changed it
                self.optimizer.lr = self.used = self.rate
            self.optimizer.step(self.g.astype(self.parameters.dtype))
            self.ahead = True
        if not np.isfinite(self.parameters).all():
            self.status = NONFINITE
            return False
        self.trial[:] = self.parameters
        yield from self._ask(VALUE | GRADIENT)
        if self.status != RUNNING:
            return False
        if not (np.isfinite(self.trial_f) and np.isfinite(self.trial_g).all()):
            self.status = NONFINITE
            return False
        self.ahead = False
        self.step = self.used if self.used > 0 else self.optimizer.lr
        self._accept()
        return True
