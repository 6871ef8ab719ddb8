"""Sparse Hessians: only the entries of a pattern are differenced, and a pattern that lacks one is found out.

Here because a Hessian of ten thousand variables has a hundred million entries, nearly all of them zero: from a gradient
it takes two calls for each colour of a star colouring, from values two for each entry above the diagonal. Tested in
tests/test_sparse_hessian.py.
"""

import copy

import numpy as np

from .compressed import CompressedRun, check_sparse_out, deliver_sparse
from .curvature import HessianRun, Layout
from .differencing import LineRun, central_of, some_direction, step_along
from .errors import Status
from .patterns import Coloring, colored, read, rows_of
from .reference.callback import GOOD
from .reference.coloring import refuse_asymmetric
from .reference.difference import CENTRAL, step_factor
from .slopes import GradientLineRun, OverGradient

# A missing entry changes a second difference by at least this share of what it was off,
SHARE = 0.05
# and with a longer step by as much, but for this share: noise does not.
LONGER, STEADY = 4, 0.3


def read_symmetric(pattern, count):
    """Return ``(shape, indptr, indices)`` of a pattern that is square and symmetric."""
    shape, indptr, indices = read(pattern, "sparsity", count)
    if shape[0] != shape[1]:
        raise ValueError(f"sparsity of a Hessian must be square, but has shape {shape}")
    try:
        refuse_asymmetric(indptr, indices)
    except ValueError as error:
        raise ValueError(f"sparsity of a Hessian must be symmetric: {error}") from None
    return shape, indptr, indices


class SparseGradientRun(OverGradient, CompressedRun):
    """Differences of a gradient whose entries move together, colour by colour of a star colouring [1]_.

    Each entry is read from the one of its two places where it stands alone, so that the result is symmetric.

    References
    ----------
    .. [1] T. F. Coleman, J. J. Moré, "Estimation of sparse Hessian matrices and graph coloring problems", Math.
       Programming 28 (1984) 243-270.
    """

    def __init__(self, grad, settings, shape, dtype):
        asked = settings.sparsity
        if not (isinstance(asked.pattern, Coloring) and asked.pattern.symmetric):
            square, indptr, indices = read_symmetric(asked.pattern, shape[0])
            asked.pattern = colored(square, indptr, indices, symmetric=True)
        super().__init__(grad, settings, shape, dtype)

    def _fixed(self):
        """Which entries belong to what does not move."""
        lower, upper = self.bounds
        if lower is None:
            return np.zeros(self.entries, bool)
        fixed = lower == upper
        return fixed[rows_of(self.coloring.indptr)] | fixed[self.coloring.indices]

    def sweep_once(self, x, f0):
        """As for a Jacobian, but for what does not move."""
        code, value = super().sweep_once(x, f0)
        if code == GOOD:
            value[self._fixed()] = 0
        return code, value

    def solve(self, x, f0=None, full=False, swept=None):
        """The entries at x, with every fallback."""
        found, fixed = super().solve(x, f0, full, swept), self._fixed()
        found.value[fixed] = found.error[fixed] = found.step[fixed] = 0
        found.status[fixed] = Status.FIXED
        return found

    def central_check(self, x, found):
        """As for a Jacobian, but rows of what does not move are not looked at: they may be read from its column."""
        _, actual, scale = super().central_check(x, found)
        lower, upper = self.bounds
        v = some_direction(x, np.zeros(x.size, bool) if lower is None else lower == upper, lower, upper)
        if lower is not None:
            actual[:, lower == upper] = 0
        return GradientLineRun(self.f, central_of(self.settings), v), actual, scale

    def hessian(self, x, out, full_output):
        """The sparse Hessian with every fallback."""
        return self.jacobian(x, None, out, full_output)


class SparseHessianRun(HessianRun):
    """The entries of a pattern, from values of f."""

    shaped = CompressedRun.shaped

    def __init__(self, f, settings, shape, dtype):
        self.asked = settings.sparsity
        if not isinstance(self.asked.pattern, Coloring):
            square, indptr, indices = read_symmetric(self.asked.pattern, shape[0])
            self.asked.pattern = Coloring(square, indptr, indices, np.zeros(shape[0], np.intp), "natural")
        else:
            read_symmetric(self.asked.pattern, shape[0])
        self.coloring = self.asked.pattern      # whose colours are not asked for
        super().__init__(f, settings, shape, dtype)

    def lay_out(self):
        """The places of the pattern."""
        return Layout(rows_of(self.coloring.indptr), self.coloring.indices)

    @property
    def entries(self):
        """How many entries are stored."""
        return self.coloring.indices.size

    def hessian(self, x, out, full_output):
        """The sparse Hessian with every fallback."""
        check_sparse_out(out, self)
        seen = self.seen(x)
        found = self.solve(seen, None, full_output)
        if self.asked.verify and not self.asked.verified:
            self.verify_pattern(seen, found)
            self.asked.verified = True
        for name in ("value", "error", "step", "status"):
            setattr(found, name, getattr(found, name)[:, None])
        return deliver_sparse(found, self, out, full_output)

    def verify_pattern(self, x, found):
        """Raise the ValueError that names an entry which the pattern lacks, if one is found."""
        if not np.isfinite(found.value).all():
            return
        pair = Missing(self, x, found.value).search()
        if pair is not None:
            i, j = pair
            raise ValueError(f"sparsity lacks an entry: the second derivative of f in x[{i}] and x[{j}] is not zero, "
                             f"but row {i} of the pattern has no entry in column {j}")


class Missing:
    """The search for an entry that a pattern lacks, by second differences along directions that move fewer entries.

    Parameters
    ----------
    run : SparseHessianRun
    x : array, (n,)
    value : array
        The entries at x.
    """

    def __init__(self, run, x, value):
        self.run, self.x, self.value, self.f0 = run, x, value, None
        lower, upper = run.bounds
        fixed = np.zeros(x.size, bool) if lower is None else lower == upper
        self.v = some_direction(x, fixed, lower, upper)
        self.settings = central_of(run.settings)
        self.settings.n = 2
        # what the entries may be off, as a share: their truncation is of this order at most
        self.trust = 10 * max(np.finfo(run.dtype).eps, run.function.coarsest) ** (1 / 3)

    def off(self, some, longer=None):
        """How far a second difference, with some entries moved, is from the pattern's; and by how much it may be."""
        v = np.zeros_like(self.v)
        v[some] = self.v[some]
        layout, settings = self.run.layout, self.settings
        if longer is not None:
            settings = copy.copy(settings)
            factor = step_factor(self.run.function.eps, CENTRAL, 2, 2)
            settings.step = float(longer * step_along(settings, factor, self.x, v)[0][0])
        line = LineRun(self.run.f, settings, v, vector=False)
        line.count_from(self.run.nfev)
        self.f0 = line.value_at(self.x, self.f0)
        found = line.solve(self.x, self.f0.reshape(-1), full=True)
        self.run.count_from(line.nfev)
        with np.errstate(all="ignore"):
            off = found.value[0, 0] - layout.form(v, self.value)
            tolerance = self.trust * layout.form(abs(v), abs(self.value)) + 4 * found.error[0, 0]
        return (off, tolerance) if np.isfinite(off) else (0.0, np.inf)

    def search(self):
        """The row and the column of an entry that is missing; None when none is found."""
        some = np.flatnonzero(self.v)
        if some.size == 0:
            return None
        total, tolerance = self.off(some)
        if not abs(total) > tolerance:
            return None
        self.least = SHARE * abs(total) / some.size
        while some.size > 1:
            a, b = some[: some.size // 2], some[some.size // 2 :]
            if self._lacks(a):
                some = a
            elif self._lacks(b):
                some = b
            else:
                a = self._narrowed(a, b)
                b = self._narrowed(b, a)
                return self._confirmed(int(min(a[0], b[0])), int(max(a[0], b[0])))
        return self._confirmed(int(some[0]), int(some[0]))

    def _lacks(self, some):
        off, tolerance = self.off(some)
        return abs(off) > max(tolerance, self.least)

    def _narrowed(self, some, others):
        """The one of some entries that lacks an entry with one of the others."""
        while some.size > 1:
            half = some[: some.size // 2]
            some = half if self._lacks(np.concatenate([half, others])) else some[some.size // 2 :]
        return some

    def _confirmed(self, i, j):
        """The pair, when it is not in the pattern, and its second difference alone shows that it is not zero."""
        coloring, pair = self.run.coloring, np.unique([i, j])
        if j in coloring.indices[coloring.indptr[i] : coloring.indptr[i + 1]]:
            return None
        (off, tolerance), (again, _) = self.off(pair), self.off(pair, LONGER)
        return (i, j) if abs(off) > tolerance and abs(off - again) < STEADY * abs(off) else None


def sparse_hessian(run, x, out, full_output):
    """What `once` calls for a sparse Hessian."""
    return run.hessian(x, out, full_output)
