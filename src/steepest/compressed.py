"""Sparse Jacobians: the columns of one colour are moved together, and every stored entry has its own difference.

Here so that a Jacobian with three diagonals costs three differences, however large it is, and has the fallbacks, error
bars and statuses of a dense one, entry by entry. The loops are in kernels/compressed.pyx and reference/compressed.py,
the colours in patterns.py. Tested in tests/test_compressed.py and tests/faults/.
"""

import warnings
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np

from .arrangement import ByEntry
from .differencing import BLOCK, COMPLEX_UNITS, LineRun, Run, callers_level, central_of, in_type_of_x
from .errors import DifferenceWarning, Status
from .missing_entries import find_missing
from .options import Sparsity, as_like, check_out
from .patterns import Coloring, colored, read, rows_of
from .reference.callback import GOOD, GROUPS, working_type
from .reference.difference import (
    CARE,
    CENTRAL,
    COMPLEX,
    ROW_ONE_SIDED,
    UNRESOLVED,
    UNSUITED,
    refuse_outside,
    shape_of_scheme,
)
from .results import Derivative, describe

# Numbers held at a time in a block of colours that several threads share.
SHARED_BLOCK = 2**22


class CompressedRun(ByEntry, Run):
    """A run whose rows are the stored entries of a sparse Jacobian; otherwise as `Run`.

    Parameters
    ----------
    f, settings, shape, dtype
        As for `Run`; ``settings.sparsity`` is a `Sparsity`.
    """

    compressed = True

    def __init__(self, f, settings, shape, dtype):
        self.asked: Sparsity = settings.sparsity
        pattern = read(self.asked.pattern, "sparsity", shape[0])
        if not isinstance(self.asked.pattern, Coloring):
            self.asked.pattern = colored(*pattern)
        self.coloring: Coloring = self.asked.pattern
        super().__init__(f, settings, shape, dtype, vector=True)
        self.function.fresh = True      # every group is put into a fresh copy of x, whatever f does to it
        self.shown, self.moved = self.coloring.sources()
        self.entries = self.moved.size
        self.columns = self.coloring.plan()[1]      # in the order of colours, in which they are planned
        ranks = np.empty_like(self.columns)
        ranks[self.columns] = np.arange(ranks.size)
        self.ranks = ranks[self.moved]              # of that column
        self.compression = None
        self.real = working_type(self.dtype)
        self.parts = 2 if self.function.as_complex and settings.method != COMPLEX else 1    # numbers of an entry
        # whether one call of the kernel does it all
        self.at_hand = (self.sweeps and self.pooled is None and settings.bar is None and not self.team
                        and self.bounds[0] is None and settings.method != COMPLEX)

    def compress(self):
        """Return the memory for one x, made once it is known that f has as many results as the pattern has rows."""
        if self.compression is None:
            most = max(max(2 * reach, one_sided) for reach, one_sided in (
                shape_of_scheme(self.settings.method, self.settings.order), (1, 2)))
            self.compression = self.kernels.Compression(
                *self.coloring.plan(), self.shape[0], self.coloring.shape[0], most, np.dtype(self.dtype))
        return self.compression

    def make(self, rows, rule, lower, upper, method=None, with_base=False, order=None, n=1):
        """Make differences that move the columns of some entries, or of all, and see them entry by entry."""
        keep = None
        if rows is not None:
            keep = np.zeros(self.shape[0], bool)
            keep[self.ranks[rows]] = True
        if rule is not None:
            rule = [part if part.size == 1 else self._by_rank(rows, part) for part in rule]
        return Entries(self, rows, keep, rule, method, with_base, order)

    def _by_rank(self, rows, numbers):
        """Numbers of all columns, or of some entries, each of which goes with its column, in the order of colours."""
        if rows is None:
            return numbers[self.columns]
        found = np.ones(self.shape[0], numbers.dtype)
        found[self.ranks[rows]] = numbers
        return found

    def origin(self, x):
        """The number that is moved for each entry."""
        return x.reshape(-1)[self.moved]

    def again(self, rows, step, method, x, f0, look=None, **scheme):
        """Difference some entries with steps of their columns' own: ``(differences, results or None)``."""
        step = np.ascontiguousarray(step, self.real)
        scheme.setdefault("with_base", look is not None)
        differences = self.make(rows, (step, np.zeros(1, step.dtype), step), None, None, method, **scheme)
        return differences, self.sweep(differences, x, rows, f0, look)[1]

    def sweep(self, differences, x, rows=None, f0=None, look=None):
        """Evaluate and decompress: ``(code, results)``, one row of results for each entry."""
        function, compression = self.function, self.compress()
        self._refuse_outside(x)
        colors, entries = differences.plan(compression, x), GROUPS - np.arange(compression.count)
        function.begin(x)
        function.in_groups(compression)
        if f0 is not None:
            colors.set_base(f0)
        parts = self.parts
        data = np.empty(self.entries * parts, self.real)
        seen: list = []     # the entries that each block has shown
        if look is not None:
            look.blocks.clear()
        self.foresee(colors, entries)
        bad = 0
        for first in range(0, colors.rows, max(colors.block, 1)):
            last = min(first + colors.block, colors.rows)
            code = self.evaluate(colors, entries, first, last)
            if code != GOOD:
                return code, None
            found = compression.decompress(colors, first, last, data)
            if found:
                differences.mark_overflow(first, last, data.reshape(-1, parts))
            if look is not None:
                view = differences.view(first, last)
                if view.places.size:
                    view.result = data.reshape(-1, parts)[view.places]
                    look(view, 0, view.places.size)
                    seen.append(view.places)
            bad += found
        code = function.finish()
        differences.bad = bad
        if seen:
            look.blocks = [in_order(look.blocks, seen, self.entries, rows)]
        value = self._numbers([data.reshape(-1, parts)])
        return code, value if rows is None else value[rows]

    def _refuse_outside(self, x):
        """Name the entry of x that is outside the bounds by the number that it has there."""
        if self.bounds[0] is not None:
            refuse_outside(x.reshape(-1).real, *self.bounds)

    def sweep_once(self, x, f0):
        """Try one sweep with nothing unusual: ``(code, entries)``; CARE leaves what was found for `solve`."""
        differences = self.prepare()
        code, value = UNSUITED, None
        if self.at_hand and f0 is None:
            code, value = differences.at_once(self.compress(), x)
        if code == UNSUITED:
            code, value = self.sweep(differences, x, None, f0)
        if code == GOOD and (differences.bad or differences.unresolved):
            code, differences.result = CARE, value.view(self.real)
        return code, value

    def _rounding_of_complex_steps(self, value, x):
        """As for a dense Jacobian: it may come from larger derivatives that f adds up."""
        scale, columns, rows = self.settings.x_scale, self.coloring.indices, rows_of(self.coloring.indptr)
        scale = 1.0 if scale is None else as_like(scale, self.shape, self.dtype, "x_scale")
        scale, size = np.broadcast_to(np.maximum(abs(x), scale), self.shape)[columns][:, None], abs(value)
        largest = np.zeros((self.coloring.shape[0], 1), size.dtype)
        with np.errstate(all="ignore"):
            np.maximum.at(largest, rows, size * scale)
            return COMPLEX_UNITS * np.finfo(self.dtype).eps * (size + largest[rows] / scale)

    def central_check(self, x, found):
        """A central difference of the real f in one direction, what it should give, and the size of its terms."""
        turn = np.arange(x.size)
        direction = np.maximum(abs(x), 1) * (1 + turn * 0.6180339887 % 1) * (-1.0) ** turn
        if self.bounds[0] is not None:
            direction[self.bounds[0] == self.bounds[1]] = 0
        direction = np.ascontiguousarray(direction, self.dtype)
        check = LineRun(self.f, central_of(self.settings), direction)
        return check, self.times(found.value, direction), self.times(abs(found.value), abs(direction))

    def quick_jacobian(self, x, out):
        """The sparse Jacobian at x as it is, when it is an array that suits and nothing is unusual; or None."""
        if not (self.asked.verified or not self.asked.verify) or not self.at_hand or self.results < 0:
            return None
        if not (self.kernels.is_point(x) and x.shape == self.shape and x.dtype == self.dtype):
            return None
        check_sparse_out(out, self)
        code, value = self.sweep_once(x, None)
        if code == GOOD:
            return _commit(self.shaped(value), out, self)
        return self._finish(self.solve(self.function.snapshot(), None, False, code), None, out, False)

    def jacobian(self, x, f0, out, full_output):
        """The sparse Jacobian with every fallback."""
        check_sparse_out(out, self)
        m = self.coloring.shape[0]
        self.take_results(m)
        x = self.seen(x)
        verifying = self.asked.verify and not self.asked.verified
        if f0 is not None or self.results < 0 or verifying:
            f0 = self.value_at(x, f0)
        if self.results != m:
            raise ValueError(
                f"sparsity must have one row for each result of f, but has {m} and f gives {self.results}")
        found = value = code = None
        if self.sweeps and not full_output and self.settings.method != COMPLEX:
            code, value = self.sweep_once(x, f0)
        if code != GOOD:
            found = self.solve(x, f0, full_output, code)
            value = found.value
        if verifying:
            find_missing(self, x, f0, value, found)
            self.asked.verified = True
        return self._finish(found, value, out, full_output)

    def _finish(self, found, value, out, full_output):
        if found is None:
            return _commit(self.shaped(value), out, self)
        return deliver_sparse(found, self, out, full_output)

    def steps_to_try(self, steps, found):
        """By how much the columns are moved, all at once, to look for an entry that is missing; `steps` by default."""
        return steps

    def noise_of_results(self):
        """The noise in each result of f, as far as it is known."""
        return self.settings.noise if isinstance(self.settings.noise, float) else 0.0

    def times(self, value, v):
        """The product with a vector, as a row."""
        with np.errstate(all="ignore"):
            return (self.coloring.array(np.ascontiguousarray(value[:, 0])) @ v)[None, :]

    def shaped(self, array):
        """An array with one row for each entry as what was asked for."""
        data = array[:, 0]
        if data.dtype != self.dtype:
            data = in_type_of_x(data, self.dtype)
        form = self.asked.format
        if form == "dense":
            dense = np.zeros(self.coloring.shape, data.dtype)
            dense[rows_of(self.coloring.indptr), self.coloring.indices] = data
            return dense
        array = self.coloring.array(data)
        return array if form == "csr" else array.asformat(form)


class Entries:
    """Differences of the columns, planned one by one and evaluated colour by colour, seen entry by entry.

    Parameters
    ----------
    run : CompressedRun
    some : array or None
        The entries that are wanted; None for all.
    keep : array of bool or None
        The columns that are moved; the others stay where they are.
    rule, method, with_base
        As for `Differences`; `rule` has one entry, or one for each column.
    """

    def __init__(self, run, some, keep, rule, method, with_base, order=None):
        settings = run.settings
        self.run: Any = weakref.proxy(run)      # which holds these
        self.some, self.keep, self.rule, self.with_base = some, keep, rule, with_base
        self.method = settings.method if method is None else method
        if order is None:
            order = settings.order if self.method == settings.method else min(settings.order, 2)
        self.order = order
        self.columns = self.now = self.result = None
        self.colors: dict = {}      # differences with one row a colour: without f at x, and with it
        self.bad = self.unresolved = 0
        self.wanted = None if some is None else np.zeros(run.entries, bool)
        if some is not None:
            self.wanted[some] = True

    def plan(self, compression, x):
        """Plan all columns at x, and return the differences of the colours."""
        self._prepare(x)
        one_sided, self.unresolved = compression.plan(self.columns, x)
        self.now = self._colors(compression, self.with_base or (one_sided > 0 and self.method == CENTRAL))
        self.now.plan(np.zeros(compression.count, self.run.dtype))
        return self.now

    def _prepare(self, x):
        self.overflow = None
        if self.columns is None or self.keep is not None:
            self.columns = self._differences(self.run.shape[0], 1, 0, self.rule, *self._bounds(x))

    def _colors(self, compression, with_base):
        if with_base not in self.colors:
            self.colors[with_base] = self._of_colors(compression, with_base)
        return self.colors[with_base]

    def at_once(self, compression, x):
        """Plan, evaluate and decompress in one go: ``(code, entries)``."""
        self._prepare(x)
        self.now = self._colors(compression, self.with_base)
        run = self.run
        data = np.empty((run.entries, run.parts), run.real)
        code, self.bad, _, self.unresolved = compression.difference(
            run.function, self.columns, self.now, x, data.reshape(-1))
        return code, data if run.parts == 1 else run._numbers([data])

    def _differences(self, rows, size, block, rule, lower, upper, entries=None, with_base=False):
        run = self.run
        return run.kernels.Differences(rows, run.dtype, self.method, self.order, run.factor, size, block, rule, lower,
                                       upper, entries, False, 1, with_base)

    def _bounds(self, x):
        """Those of x; columns that are not to move have no room."""
        lower, upper = (None if bound is None else bound[self.run.columns] for bound in self.run.bounds)
        if self.keep is None:
            return lower, upper
        x, inf = x[self.run.columns].real.astype(working_type(x.dtype)), np.inf
        return (np.where(self.keep, -inf if lower is None else lower, x),
                np.where(self.keep, inf if upper is None else upper, x))

    def _of_colors(self, compression, with_base):
        """Differences of step 1, whose points 1, -1, 2, ... tell which of its points each column is to be put to."""
        run, count, real = self.run, compression.count, working_type(self.run.dtype)
        moves = np.ones(run.shape[0], bool) if self.keep is None else self.keep
        lower, upper = run.bounds
        if lower is not None:
            moves = moves & (lower != upper)[run.columns]
        still = np.bincount(run.coloring.colors[run.columns[moves]], minlength=count) == 0
        room = np.where(still, 0, np.inf).astype(real)
        one = np.ones(1, real)
        made = self._differences(
            count, run.function.size, self._block(count), (one, 0 * one, one), -room, room,
            np.ascontiguousarray(GROUPS - np.arange(count), np.intp), with_base,
        )
        if with_base:
            run.with_base = made
        return made

    def _block(self, count):
        """How many colours are evaluated at a time."""
        function, points = self.run.function, 2 * (self.order or 1)
        numbers = max(1, function.size, function.count if function.batch else 1)
        most = SHARED_BLOCK if self.run.team else BLOCK
        return self.run.block_for(max(1, min(count, most // (numbers * points))), count, numbers, points)

    def view(self, first, last):
        """What was evaluated of some colours, with one row for each wanted entry that they show; see `Bars`."""
        run, now = self.run, self.now
        starts, _, begin, rows, places = run.coloring.plan()
        some = slice(begin[starts[first]], begin[starts[last]])
        rows, places = rows[some], places[some]
        if self.wanted is not None:
            here = self.wanted[places]
            rows, places = rows[here], places[here]
        ranks, m, parts = run.ranks[places], run.coloring.shape[0], 2 if run.function.as_complex else 1
        color = run.coloring.colors[run.moved[places]] - first
        return SimpleNamespace(
            places=places, kind=self.columns.kind[ranks], step=self.columns.step[ranks], reach=now.reach,
            one_sided=now.one_sided, own_base=True, has_base=now.has_base,
            values=now.values.reshape(now.block, now.width, m, parts)[color, :, rows],
            base=now.base.reshape(m, parts)[rows],
        )

    def mark_overflow(self, first, last, data):
        """Where all values are finite but their difference is not, no other step is to be tried."""
        view = self.view(first, last)
        count = np.array([2 * view.reach, view.one_sided, 0, 1])[view.kind]
        unused = np.arange(view.values.shape[1]) >= count[:, None]
        finite = (np.isfinite(view.values).all(axis=2) | unused).all(axis=1)
        finite &= np.isfinite(view.base).all(axis=1) | (view.kind != ROW_ONE_SIDED)
        if self.overflow is None:
            self.overflow = np.zeros(len(data), bool)
        self.overflow[view.places] = finite & ~np.isfinite(data[view.places]).all(axis=1)

    def _of_entries(self, numbers):
        numbers = numbers[self.run.ranks]
        return numbers if self.some is None else numbers[self.some]

    def in_order(self, numbers):
        """Numbers of the columns, in the order of x."""
        found = np.empty_like(numbers)
        found[self.run.columns] = numbers
        return found

    @property
    def rows(self):
        """How many entries there are."""
        return self.run.entries if self.some is None else self.some.size

    @property
    def step(self):
        """Of the column of each entry."""
        return self._of_entries(self.columns.step)

    @property
    def kind(self):
        """Of the column of each entry."""
        return self._of_entries(self.columns.kind)

    @property
    def status(self):
        """Of the column of each entry; one that overflows is not finite."""
        status = self._of_entries(self.columns.status)
        if self.overflow is not None:
            status[self.overflow if self.some is None else self.overflow[self.some]] = Status.NONFINITE
        return status

    @property
    def has_base(self):
        """Whether f was evaluated at x."""
        return self.now.has_base

    @property
    def base(self):
        """f(x)."""
        return self.now.base


def in_order(blocks, places, entries, some):
    """What was kept of the blocks of a sweep as one, with a row for each entry, or for some of them."""
    places, kept = np.concatenate(places), []
    for parts in zip(*blocks, strict=True):
        part = np.concatenate(parts)
        array = np.empty((entries, *part.shape[1:]), part.dtype)
        array[places] = part
        kept.append(array if some is None else array[some])
    return tuple(kept)


def deliver_sparse(found, run, out, full_output):
    """Warn, write to `out`, and give the caller what was asked for; as `differencing.deliver`."""
    unresolved, message = bool((found.status >= UNRESOLVED).any()), ""
    if unresolved or full_output:
        places = np.stack([rows_of(run.coloring.indptr), run.coloring.indices], axis=1)
        message = describe(found.status[:, 0], places) + (f"; {found.doubt}" if found.doubt else "")
    if unresolved and not full_output:
        warnings.warn(message, DifferenceWarning, stacklevel=callers_level())
    value = _commit(run.shaped(found.value), out, run)
    if not full_output:
        return value
    error, step, status = (run.shaped(array) for array in (found.error, found.step, found.status))
    return Derivative(value, error, step, run.nfev, status, message, not unresolved)


def check_sparse_out(out, run):
    """Refuse an `out` that the Jacobian cannot be written to."""
    if out is None:
        return
    form, coloring = run.asked.format, run.coloring
    if form == "dense":
        return check_out(out, coloring.shape, run.dtype)
    if form != "csr":
        raise ValueError(f"out can be given with format='csr' and 'dense', not with {form!r}")
    if getattr(out, "format", None) != "csr" or out.shape != coloring.shape:
        raise ValueError(f"out must be a csr_array of shape {coloring.shape}")
    if not (np.array_equal(out.indptr, coloring.indptr) and np.array_equal(out.indices, coloring.indices)):
        raise ValueError("out must have the entries of sparsity, in order")
    check_out(out.data, (run.entries,), run.dtype)


def _commit(value, out, run):
    """Write a Jacobian to `out`, if there is one."""
    if out is None:
        return value
    check_sparse_out(out, run)    # again: f may have changed it
    if run.asked.format == "dense":
        out[...] = value
    else:
        out.data[...] = value.data
    return out
