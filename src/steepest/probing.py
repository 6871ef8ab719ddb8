"""Runs that ask f at distances of their own before they difference it: for its noise, its scale, the best step.

Here so that those that look for something share how they look: with the function, the bounds and the workers of any
run. Tested in tests/test_noise.py and tests/test_scales.py.
"""

import numpy as np

from .differencing import LineRun, Run
from .reference.callback import working_type
from .reference.difference import RESOLUTION


class Probing(Run):
    """A run whose steps follow from values of f, and not from a rule alone.

    Parameters
    ----------
    As for `Run`.
    """

    sweeps = False

    def __init__(self, f, settings, shape, dtype, vector=False, each=False, made=None):
        super().__init__(f, settings, shape, dtype, vector, each, made)
        self.precision = float(np.finfo(self.dtype).eps)    # of f, as far as it is known

    def choose_steps(self):
        """Derive the default steps from the precision of x; values in less precision change none of them."""
        self.function.eps = float(np.finfo(self.dtype).eps)
        super().choose_steps()
        self.function.eps = np.inf

    def sizes(self, x):
        """The typical size of what each row moves: its default step over the factor for size 1."""
        floor, relative, fallback = (self.factor,) * 3 if self.rule is None else map(self.of_rows, self.rule)
        magnitude = abs(self.origin(x))
        with np.errstate(all="ignore"):
            step = np.maximum(floor, relative * magnitude)
            step = np.where(step == 0, fallback, step)
        return np.asarray(step / self.factor, working_type(self.dtype))

    def shortest(self, x):
        """The least step of each row that still leaves eight bits of a difference."""
        return RESOLUTION * np.finfo(self.dtype).eps * abs(self.origin(x))

    def probe(self, rows, steps, method, order, x, f0, look=None, with_base=False):
        """Difference some rows, which may come more than once, with steps of their own: ``(differences, values)``."""
        steps = np.ascontiguousarray(steps, working_type(self.dtype))
        rule = (steps, np.zeros(1, steps.dtype), steps)
        lower, upper = self.limits(rows)
        differences = self.make(np.asarray(rows), rule, lower, upper, method, with_base, order)
        _, value = self.sweep(differences, x, rows, f0, look)
        self.precision = max(self.precision, self.function.coarsest)
        return differences, value


class ProbingLine(LineRun, Probing):
    """`Probing` along one direction."""

    def shortest(self, x):
        """The least step in t that still moves every entry by many of its units."""
        moved = self.v.reshape(-1) != 0
        with np.errstate(all="ignore"):
            least = (abs(x.reshape(-1)[moved]) / abs(self.v.reshape(-1)[moved])).min()
        return np.full(1, RESOLUTION * np.finfo(self.dtype).eps * least)


class Look:
    """What f gave at the points of a sweep: shown each block of rows, it keeps what `part` makes of it."""

    def __init__(self, function, base=None):
        self.function, self.base = function, base   # f(x) of each row, where it is known and not evaluated again
        self.blocks = []

    def __call__(self, differences, first, last):
        count = last - first
        values = self.numbers(differences.values[:count])
        if self.base is not None:
            base = self.base[first:last]
        else:
            base = self.numbers(differences.base)
            base = base[:count] if differences.own_base else np.broadcast_to(base, (count, base.shape[-1]))
        points = np.array([2 * differences.reach, differences.one_sided, 0, 1])[differences.kind[first:last]]
        with np.errstate(all="ignore"):
            self.blocks.append(self.part(values, base, points))

    def part(self, values, base, points):
        """What is kept of values (rows, width, m) and f(x) (rows, m), when row i has ``points[i]`` values."""
        raise NotImplementedError

    def numbers(self, array):
        """The results of f in its memory: complex where they are."""
        return array[..., ::2] + 1j * array[..., 1::2] if self.function.as_complex else array

    def all(self):
        """What was kept of all blocks, one array for each kind."""
        return [np.concatenate(kind) for kind in zip(*self.blocks, strict=True)]
