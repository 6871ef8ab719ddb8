"""Many walks, one after the other, by one machine: each from its own start, with its own step and its own end.

Here to be read, and to be compared with: the twin of kernels/_many.pxi, equal bit for bit. Tested in
tests/test_minimize_many.py.
"""

import math

import numpy as np

from .callback import HALTED
from .walks import PAUSED

# Columns of `Batch.counts`.
STATUS, NIT, NFEV, NJEV = range(4)
ALL = 2**62


class Batch:
    """Where many walks start, and what they find.

    Parameters
    ----------
    starts : array, (B, n), float64
        Inside the bounds.
    data : pair of (address, stride)
        User data of the first problem for f and for its gradient, and the bytes from one problem to the next; 0 where
        a function has none of its own.

    Attributes
    ----------
    x, fun, jac : arrays, (B, n), (B,), (B, n)
        The best point of each walk, as `Descent` has it.
    counts : array, (B, 4), int64
        Status, iterations, and evaluations of f and of its gradient.
    """

    def __init__(self, starts, data=((0, 0), (0, 0))):
        self.starts, self.data = starts, data
        self.x, self.fun, self.jac = np.empty(starts.shape), np.empty(len(starts)), np.empty(starts.shape)
        self.counts = np.zeros((len(starts), 4), np.int64)


def descend_many(machine, functions, batch, place, first, last, halts=None, i=0):
    """Walk from rows first..last of a batch.

    Parameters
    ----------
    machine : Descent
        Made with the options and bounds of all; its own start is of no interest.
    functions : tuple
        f, its gradient or None, and differences or None: as for `Descent.run`.
    batch : Batch
    place : array, (1,), int64
        The row that is walked from, for whoever is called meanwhile.
    first, last : int
    halts, i : array of C integers, int
        No more is wanted of the i-th thread once ``halts[i]`` is not 0.

    Returns
    -------
    int
        PAUSED when all is done; CAREFULLY when a question of row ``place[0]`` is to be answered by the caller, who
        takes that walk to its end; HALTED.
    """
    value, gradient, differences = functions
    for row in range(first, last):
        if halts is not None and halts[i]:
            return HALTED
        place[0] = row
        machine.__init__(batch.starts[row].copy(), machine.options, machine.lower, machine.upper, machine.single)
        for function, (address, stride) in zip((value, gradient), batch.data, strict=True):
            if function is not None:
                function.nfev = 0
            if address:
                function.data = address + row * stride
        code = machine.run(value, gradient, differences, ALL)
        if code != PAUSED:
            return code
        _write_row(machine, value.nfev, batch, row)
    return PAUSED


def _write_row(machine, nfev, batch, row):
    """What a walk has found: the best point, or where it began when nothing was finite."""
    sign = machine.options.sign
    if not math.isfinite(machine.best_f):
        batch.x[row], batch.fun[row], batch.jac[row] = machine.point, sign * machine.f, math.nan
    else:
        batch.x[row], batch.fun[row], batch.jac[row] = machine.best_x, sign * machine.best_f, sign * machine.best_g
    batch.counts[row] = machine.status, machine.nit, nfev, machine.njev
