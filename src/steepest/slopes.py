"""Second derivatives from a gradient that is given: differences of it, and what is made of their asymmetry.

Here because differences of a gradient are a Jacobian of known size, whose function is called grad in messages, and
which ought to be symmetric. Tested in tests/test_hessian.py and tests/test_hvp.py.
"""

import contextlib
import re

import numpy as np

from .curvature import Curvature
from .differencing import LineRun, Run, central_of
from .errors import Status

# A Hessian that differs from its transpose by so many of its error bars is none: grad is no gradient.
ASYMMETRY = 10
NO_GRADIENT = "the differences of grad are not symmetric: grad is not the gradient of a function"


@contextlib.contextmanager
def naming_grad():
    """Let errors about the function that is differenced name it as its owner does."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(re.sub(r"\bf\b", "grad", str(error))) from None


class OverGradient(Run):
    """A run over a gradient, which gives as many numbers as x has."""

    label = "grad"

    def __init__(self, grad, settings, *form):
        with naming_grad():
            super().__init__(grad, settings, *form)
        count = self.function.count
        for function in self.team or [self.function]:
            function.take_size(count)
        if self.results != count:
            raise ValueError(f"grad gives {self.results} numbers, expected {count}, as many as x has")
        self.known_by = "x"

    def of_reals(self):
        """A run of the same gradient by central differences."""
        return GradientRun(self.f, central_of(self.settings), self.shape, self.dtype)

    def line(self, settings, v):
        """A run of the same gradient along a direction."""
        return _Line(self.f, settings, v)


class GradientRun(OverGradient):
    """The differences of a gradient in every entry of x."""

    def __init__(self, grad, settings, shape, dtype):
        super().__init__(grad, settings, shape, dtype, True)

    def solve(self, x, f0=None, full=False, swept=None):
        """The Hessian at x."""
        return symmetric(super().solve(x, f0, full, swept), full)


class _Line(OverGradient, LineRun):
    """The differences of a gradient along one direction."""

    def _nowhere(self, f0, value, status):
        return super()._nowhere(np.zeros(self.results, self.function.value_type), value, status)


class GradientLineRun(_Line):
    """The product of a Hessian with a vector: what does not move is no variable."""

    def solve(self, x, f0=None, full=False, swept=None):
        """H @ v at x."""
        found = super().solve(x, None, full)
        if self.box[0] is not None:
            fixed = self.box[0] == self.box[1]
            found.value[:, fixed], found.step[:, fixed], found.error[:, fixed] = 0, 0, 0
            found.status[:, fixed] = Status.FIXED
        return found


def symmetric(found, full):
    """The mean of a matrix and its transpose; where one of the two is in doubt, the other."""
    result = Curvature(found.value.shape, found.value.dtype)
    bad = found.status >= Status.UNRESOLVED
    here, there = ~bad & bad.T, bad & ~bad.T

    def merged(one, both):
        return np.where(here, one, np.where(there, one.T, both))

    value, error, status = found.value, found.error, found.status
    with np.errstate(all="ignore"):
        apart = abs(value - value.T)
        result.value = merged(value, 0.5 * value + 0.5 * value.T)
        result.error = merged(error, np.maximum((error + error.T) / 2, apart / 2))
        uneven = ~bad & ~bad.T & (apart > ASYMMETRY * (error + error.T))
    result.status, result.step = merged(status, np.maximum(status, status.T)), found.step.T.copy()
    result.doubt = found.doubt
    if full and uneven.any():
        result.status[uneven], result.doubt = Status.UNRESOLVED, NO_GRADIENT
    fixed = (status == Status.FIXED).any(axis=1)
    for array, nothing in ((result.value, 0), (result.error, 0), (result.step, 0), (result.status, Status.FIXED)):
        array[fixed, :] = array[:, fixed] = nothing
    return result
