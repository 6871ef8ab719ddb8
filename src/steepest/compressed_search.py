"""Sparse Jacobians whose steps follow from values of f: its scales, its noise, the steps of an adaptive difference.

Here so that they are found as those of a dense Jacobian are, for each column of x on its own, while all columns of one
colour go on being evaluated together. Tested in tests/test_compressed_search.py.

A column looks at the results that it has entries in, and at no others: a dense Jacobian, whose columns look at all
results, may choose other steps for the sake of one that does not depend on them.
"""

from types import SimpleNamespace

import numpy as np

from .adaptive import AdaptiveRun
from .adaptive_noise import AdaptiveNoisyRun
from .compressed import CompressedRun
from .noisy import NoisyRun
from .probing import Probing
from .reference.callback import working_type
from .scales import ScaledRun
from .switching import Switching, shell

__all__ = [
    "CompressedAdaptiveNoisyRun", "CompressedAdaptiveRun", "CompressedNoisyRun", "CompressedProbing",
    "CompressedScaledRun", "CompressedSwitchRun",
]


class Searched(CompressedRun):
    """What is common to sparse Jacobians whose steps had to be looked for."""

    def steps_to_try(self, steps, found):
        """As of `CompressedRun`: the shortest that was found for each column, and no longer than its x is large.

        The longest may be a million times as long, where f is straight, and would hide what is missing.
        """
        shortest = np.where(found.step == 0, np.inf, abs(found.step))
        shortest = self.of_x(self.joined(np.minimum, shortest, slice(None), np.inf), np.inf)
        shortest = np.minimum(shortest, abs(steps) / self.factor)
        return np.where(steps != 0, np.copysign(shortest, steps), steps)

    def noise_of_results(self):
        """As of `CompressedRun`."""
        level = getattr(self, "level", None)
        return super().noise_of_results() if level is None else level.reshape(-1)


class CompressedProbing(Searched, Probing):
    """`Probing` whose rows are the entries of a sparse Jacobian."""

    def probe(self, rows, steps, method, order, x, f0, look=None, with_base=False):
        """As of `Probing`: where a column has several steps to be tried, there are several sweeps."""
        rows, steps = np.asarray(rows), np.ascontiguousarray(steps, working_type(self.dtype))
        if look is not None:
            look.base = None    # which comes with the entries, whose order is another
        turns = turns_of(self.moved[rows], steps)
        value, kind, step = None, np.zeros(rows.size, np.int8), np.zeros_like(steps)
        blocks: list = []
        for turn in range(int(turns.max(initial=-1)) + 1):
            some = np.flatnonzero(turns == turn)
            rule = steps[some], np.zeros(1, steps.dtype), steps[some]
            differences = self.make(rows[some], rule, None, None, method, with_base, order)
            _, part = self.sweep(differences, x, rows[some], f0, look)
            if value is None:
                value = np.zeros((rows.size, 1), part.dtype)
            value[some], kind[some], step[some] = part, differences.kind, differences.step
            if look is not None:
                blocks.append(look.blocks[0])
        if blocks:
            order = np.argsort(turns, kind="stable")
            back = np.empty_like(order)
            back[order] = np.arange(order.size)
            look.blocks = [tuple(np.concatenate(parts)[back] for parts in zip(*blocks, strict=True))]
        self.precision = max(self.precision, self.function.coarsest)
        return SimpleNamespace(kind=kind, step=step), value


def turns_of(columns, steps):
    """In which of several sweeps each step is tried, when each column has one step in each sweep.

    Examples
    --------
    >>> turns_of(np.array([0, 1, 0, 0]), np.array([1.0, 1.0, 2.0, 1.0])).tolist()
    [0, 0, 1, 0]
    """
    order = np.lexsort([steps, columns])
    new_column = np.diff(columns[order], prepend=-1) != 0
    new_step = np.diff(steps[order], prepend=0) != 0
    count = np.cumsum(new_column | new_step)
    turns = np.empty(columns.size, np.intp)
    turns[order] = count - np.maximum.accumulate(np.where(new_column, count, 0))
    return turns


class CompressedScaledRun(CompressedProbing, ScaledRun):
    """A sparse Jacobian with ``x_scale="auto"``."""


class CompressedNoisyRun(CompressedProbing, NoisyRun):
    """A sparse Jacobian of a noisy f."""


class CompressedAdaptiveRun(Searched, AdaptiveRun):
    """A sparse Jacobian by adaptive differences."""

    def steps_to_try(self, steps, found):
        """As of `CompressedRun`: no longer than is usual, for f may bend, unless it is noisy."""
        found_out = super().steps_to_try(steps, found)
        if np.any(self.noise_of_results()):
            return found_out
        return np.where(abs(found_out) < abs(steps), found_out, steps)


class CompressedAdaptiveNoisyRun(CompressedAdaptiveRun, AdaptiveNoisyRun):
    """A sparse Jacobian by adaptive differences of an f whose noise is to be found out."""


class CompressedSwitchRun(Switching, Searched):
    """A sparse Jacobian by forward or by central differences; as `SwitchRun`."""

    def __init__(self, f, settings, shape, dtype, make):
        super().__init__(f, shell(settings), shape, dtype)
        self.prepare_both(settings, make)

    def noise_of_results(self):
        """As of `CompressedRun`."""
        return max((run.noise_of_results() for run in self.runs.values()), key=lambda noise: np.max(noise, initial=0.0))
