"""Which results of f depend on which entries of x: found by trying, for functions that cannot be looked into.

Here so that a sparse Jacobian can be had where nobody knows its pattern. Tested in tests/test_sparsity.py.
"""

import numpy as np

from .compiled_functions import as_callable, check_f
from .compressed import CompressedRun
from .differencing import Run
from .missing_entries import missing_entry
from .options import Sparsity, as_count, as_point, check_bounds, check_options
from .patterns import Coloring, colored
from .reference.difference import ROW_FIXED

__all__ = ["Detection", "detect"]

METHODS = ("both", "nan", "differences")
# What has shown an entry, in bits.
BY_NAN, BY_DIFFERENCES, BY_CHECK = 1, 2, 4
# Random points lie within this share of max(|x|, 1) of x.
SPREAD = 0.1
# A result that changes by fewer units in its last place than this, for a step of half its digits, has not changed.
UNITS = 8.0
# So many entries that the check finds missing are added, one by one.
ADDED = 20


class Detection:
    """A pattern that was detected, and how.

    Attributes
    ----------
    pattern : scipy.sparse.csr_array of bool, (m, n)
        True where a result depends on an entry of x. It can be given as ``sparsity=``.
    method : scipy.sparse.csr_array of int, (m, n)
        What has shown each entry: 1 for NaN, 2 for differences, 3 for both, 4 for the check in a random direction.
    verified : bool
        That check has found nothing missing.
    nfev : int
        How often f was called.
    message : str
        What is unusual, in words.
    """

    def __init__(self, pattern, method, verified, nfev, message):
        self.pattern, self.method, self.verified, self.nfev, self.message = pattern, method, verified, nfev, message

    def __repr__(self):
        m, n = self.pattern.shape
        verified = "verified" if self.verified else "not verified"
        return (f"<{m} by {n} pattern with {self.pattern.nnz} entries, {verified}, {self.nfev} evaluations: "
                f"{self.message}>")


class _WithNaN:
    """f with NaN in place of what was moved."""

    def __init__(self, f, x):
        self.f, self.x = f, x

    def __call__(self, x, *args, **kwargs):
        return self.f(np.where(x != self.x, np.nan, x), *args, **kwargs)


def detect(f, x, *, method="both", points=2, seed=0, bounds=None, args=(), kwargs=None, vectorized=False, workers=None):
    """Find out which results of a vector function depend on which entries of x.

    Two things are tried, column by column. NaN is put into an entry of x: results that become NaN depend on it, or
    have it multiplied by 0, or were computed from something that has; a function that branches, or takes maxima, may
    hide it. And an entry is moved at random points near x: results that change do depend on it, but one that does not
    may still do so elsewhere. An entry that either shows is in the pattern. In the end the Jacobian at another random
    point, compressed by that pattern, is compared with a difference in one random direction; entries that it proves
    missing are added.

    Parameters
    ----------
    f : callable
        As for `steepest.jacobian`.
    x : array_like, (n,)
        Where.
    method : {"both", "nan", "differences"}, optional
        What is tried.
    points : int, optional
        At how many random points entries are moved.
    seed : int, optional
        Of the random points: the same seed gives the same points.
    bounds, args, kwargs, vectorized, workers
        As for `steepest.jacobian`.

    Returns
    -------
    Detection
        With ``pattern``, ``method`` (what has shown each entry), ``verified`` and ``nfev``.

    Raises
    ------
    TypeError, ValueError
        As `steepest.jacobian`. What f raises at NaN is no error: then only differences are tried, as `message` says.

    Notes
    -----
    This takes n + 1 evaluations of f for NaN and for each point, and some more for the check.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> found = sd.sparsity.detect(lambda x: np.array([x[0] * x[1], x[1] ** 2, x[2]]), [1.0, 2.0, 3.0])
    >>> found.pattern.toarray().astype(int)
    array([[1, 1, 0],
           [0, 1, 0],
           [0, 0, 1]])
    >>> found.verified
    True
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, not {method!r}")
    points, seed = as_count(points, "points"), as_count(seed, "seed", at_least=0)
    check_f(f)
    x = as_point(x)
    if x.ndim > 1:
        raise ValueError(f"x must have one dimension, but has shape {x.shape}")

    def settings(sparsity=None):
        return check_options("forward", None, None, None, None, bounds, None, args, kwargs, vectorized, workers,
                             sparsity)

    return _Search(f, settings, x.reshape(-1), np.random.default_rng(seed)).run(method, points)


class _Search:
    """One search: f, and what has shown each entry so far."""

    def __init__(self, f, settings, x, source):
        self.f, self.settings, self.x, self.source = f, settings, x, source
        self.nfev, self.words, self.found = 0, [], []
        self.bounds = check_bounds(settings().bounds, x.shape, x.dtype)

    def run(self, method, points):
        """All of it."""
        usable = method != "differences" and self._by_nan()
        if method != "nan" or not usable:
            for _ in range(points):
                self._by_differences()
        verified = self._check()
        shape, indptr, indices, bits = self._collected()
        return Detection(csr(np.ones(bits.size, bool), shape, indptr, indices), csr(bits, shape, indptr, indices),
                         verified, self.nfev, "; ".join(self.words) or "nothing unusual")

    def _by_nan(self):
        """Put NaN into one entry after the other; whether f lets us."""
        f = _WithNaN(as_callable(self.f, -1) or self.f, self.x)
        try:
            with np.errstate(all="ignore"):
                self._try(f, self.x, BY_NAN, lambda values, base: np.isnan(values) & ~np.isnan(base))
        except Exception as error:
            self.found.clear()
            self.words.append(f"f raises {type(error).__name__} at NaN, so that only differences were tried")
            return False
        return True

    def _by_differences(self):
        """Move one entry after the other, at a random point."""
        def changed(values, base):
            with np.errstate(all="ignore"):
                same = abs(values - base) <= UNITS * self.eps * np.maximum(abs(values), abs(base))
            return ~same & np.isfinite(base)

        self._try(self.f, self._point_nearby(), BY_DIFFERENCES, changed)

    def _try(self, f, x, bit, depends):
        """Evaluate f with each entry of x moved, and note which results say that they depend on it."""
        settings = self.settings()
        settings.step = np.finfo(x.dtype).eps ** 0.25 * np.maximum(abs(x), 1)
        run = Run(f, settings, x.shape, x.dtype, vector=True)
        try:
            base = run.value_at(x)
            run.function.fresh = True
            self.eps, run.function.eps = max(float(np.finfo(x.dtype).eps), run.function.coarsest), np.inf
            self.shape = base.size, x.size
            differences = run.prepare()
            run.begin(x)
            differences.plan(x)
            differences.set_base(base)
            for first in range(0, x.size, max(differences.block, 1)):
                last = min(first + differences.block, x.size)
                run.evaluate(differences, None, first, last)
                values = differences.values[: last - first, 0]
                moved = differences.kind[first:last] != ROW_FIXED
                columns, rows = np.nonzero(depends(values.view(base.dtype), base) & moved[:, None])
                self.found.append((rows * x.size + columns + first, bit))
        finally:
            self.nfev += run.nfev
            if settings.crew is not None:
                settings.crew.close()

    def _point_nearby(self):
        """A random point near x, inside the bounds."""
        x = self.x
        turn = self.source.uniform(-1, 1, x.size)
        if x.dtype.kind == "c":
            turn = turn + 1j * self.source.uniform(-1, 1, x.size)
        point = (x + SPREAD * np.maximum(abs(x), 1) * turn).astype(x.dtype)
        return point if self.bounds[0] is None else np.clip(point, *self.bounds).astype(x.dtype)

    def _collected(self):
        """``(shape, indptr, indices, bits)`` of all entries found so far."""
        m, n = self.shape
        nothing = np.zeros(0, np.intp), 0
        keys, first = np.unique(np.concatenate([keys for keys, _ in [nothing, *self.found]]), return_inverse=True)
        bits = np.zeros(keys.size, np.int8)
        np.bitwise_or.at(bits, first, np.concatenate([np.full(keys.size, bit, np.int8)
                                                      for keys, bit in [nothing, *self.found]]))
        indptr = np.zeros(m + 1, np.intp)
        np.cumsum(np.bincount(keys // max(n, 1), minlength=m), out=indptr[1:])
        return (m, n), indptr, (keys % max(n, 1)).astype(np.intp), bits

    def _check(self):
        """Compare a compressed Jacobian with a difference in one direction; add what is missing."""
        x = self._point_nearby()
        for _ in range(ADDED):
            settings = self.settings(Sparsity(colored(*self._collected()[:3]), "csr", False))
            run = CompressedRun(self.f, settings, x.shape, x.dtype)
            try:
                f0 = run.value_at(x)
                if not np.isfinite(f0).all():
                    self.words.append("f is not finite where the pattern was to be checked")
                    return False
                missing = missing_entry(run, x, f0, run.sweep_once(x, f0)[1])
            finally:
                self.nfev += run.nfev
                if settings.crew is not None:
                    settings.crew.close()
            if missing is None:
                return True
            self.words.append(f"the check has found entry {missing}")
            self.found.append((np.array([missing[0] * x.size + missing[1]]), BY_CHECK))
        return False


def csr(data, shape, indptr, indices):
    """A csr_array."""
    return Coloring(shape, indptr, indices, np.zeros(shape[1], np.intp), "natural").array(data)
