"""What f may be and what f may return, in plain Python: the twin of kernels/callback.pyx.

Here to be read, to be compared with, and to convert whatever f returned that is not a plain float: the kernel calls the
same three functions for that. Tested in tests/test_callback.py and tests/faults/.
"""

import math
import numbers

import numpy as np

_DOUBLE_EPS = float(np.finfo(np.float64).eps)
BASE = -1
LINE = -2
GROUPS = -16
GOOD, TAMPERED, COARSE, HALTED = 0, 1, 2, 3
# So many entries that were moved together are named in a note.
NAMED = 3
# What a compiled function may look like, by the number of its form: (n, x), (n, x, data), (n, x, m, out, data).
SCALAR, SCALAR_DATA, VECTOR, STATUS = range(4)
SIGNATURES = (
    "double (int, double *)",
    "double (int, double *, void *)",
    "void (int, double *, int, double *, void *)",
    "int (int, double *, int, double *, void *)",
)


def note_evaluation(error, label, nfev, entry, point, shape, function=None):
    """Add to an exception of f the note that names the evaluation it came from; `function` knows its groups."""
    try:
        if entry == LINE:
            where = f"at x + t*v with t = {point!s}"
        elif entry == BASE:
            where = "at x itself"
        elif entry <= GROUPS:
            moved, x = function.displaced(entry, point)
            where = f"{_moved(moved, x, shape)} (colour {GROUPS - entry})"
        else:
            where = f"with {_name(entry, shape)} = {point!s}"
        BaseException.add_note(error, f"steepest: in evaluation {nfev} of {label}, {where}")
    except Exception:  # an exception whose notes are unusable is still the user's exception
        return


def _name(entry, shape):
    index = np.unravel_index(entry, shape) if shape else ()
    return "x" + (str([int(i) for i in index]) if index else "")


def _moved(moved, x, shape):
    """Name the entries that are not what they are in x."""
    changed = np.flatnonzero(moved != x)
    named = [f"{_name(i, shape)} = {moved[i]!s}" for i in changed[:NAMED]]
    if len(changed) > NAMED:
        named.append(f"{len(changed) - NAMED} more entries moved")
    return "with " + ", ".join(named) if named else "at x itself"


def _refuse(result, label, nfev, expected):
    hint = ""
    if hasattr(result, "__await__"):
        getattr(result, "close", lambda: None)()
        hint = f"; {label} is an async function: pass a plain one"
    elif hasattr(result, "__next__"):
        hint = f"; {label} is a generator function: return instead of yield"
    raise TypeError(
        f"{label} returned {type(result).__name__} in evaluation {nfev}, expected {expected}{hint}"
    )


def _as_array(result, dtype, label, nfev, expected):
    """Convert what f returned to an array of numbers, once, and tell its precision."""
    if result is None or isinstance(result, (str, bytes, bytearray, dict, set)):
        _refuse(result, label, nfev, expected)
    if isinstance(result, np.ma.MaskedArray) and np.ma.is_masked(result):
        raise TypeError(f"{label} returned masked values in evaluation {nfev}, expected {expected}")
    if isinstance(result, numbers.Number) and not isinstance(result, (np.generic, float, complex)):
        # int, bool, Fraction, Decimal; OverflowError where it is too big
        result = float(result)  # type: ignore[arg-type]
    try:
        array = np.asarray(result)
    except ValueError as error:
        raise ValueError(f"{label} returned no array in evaluation {nfev}, expected {expected}: {error}") from None
    if array.dtype.kind == "O":
        items = array.ravel().tolist()
        for item in items:
            real = hasattr(item, "__float__") or hasattr(item, "__index__")
            if not real or isinstance(item, (str, bytes, type, complex, np.complexfloating)):
                _refuse(item, label, nfev, expected)
        array = np.array([float(item) for item in items], dtype=np.float64).reshape(array.shape)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{label} returned dtype {array.dtype} in evaluation {nfev}, expected {expected}")
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError(
            f"{label} returned a complex value in evaluation {nfev}, expected {expected}: "
            "an imaginary part is never dropped"
        )
    eps = float(np.finfo(array.dtype).eps) if array.dtype.kind in "fc" else 0.0
    return array, eps


def _check_complex(array, required, label, nfev):
    if required and array.dtype.kind != "c":
        raise TypeError(
            f"{label} returned {array.dtype} for complex x in evaluation {nfev}: it drops the imaginary part, "
            "so the complex step cannot be used; take method='central'"
        )


def scalar_result(result, dtype, must_be_complex=False, label="f", nfev=0):
    """Take one number from what f returned: ``(0-d array of dtype, eps of what came)``."""
    if isinstance(result, float) and not must_be_complex:  # by far the most frequent
        return np.array(result, dtype), _DOUBLE_EPS
    expected = "one number" if dtype.kind == "c" else "one real number"
    array, eps = _as_array(result, dtype, label, nfev, expected)
    if array.size != 1:
        raise ValueError(
            f"{label} returned an array of shape {array.shape} in evaluation {nfev}, expected {expected}"
        )
    _check_complex(array, must_be_complex, label, nfev)
    return np.ascontiguousarray(array, dtype=dtype).reshape(()), eps


def vector_result(result, dtype, must_be_complex=False, label="f", nfev=0):
    """Take a vector from what f returned: ``(array of dtype, eps of what came)``; one number stays 0-d."""
    expected = "a vector of " + ("numbers" if dtype.kind == "c" else "real numbers")
    array, eps = _as_array(result, dtype, label, nfev, expected)
    if array.ndim > 1:
        raise ValueError(
            f"{label} returned an array of shape {array.shape} in evaluation {nfev}, expected one dimension"
        )
    _check_complex(array, must_be_complex, label, nfev)
    return np.array(array, dtype=dtype, order="C", copy=None), eps


def size_error(label, count, nfev, known, known_by_f0):
    """The error for a result of another length than the first."""
    other = f"but f0 has shape ({known},)" if known_by_f0 else f"and shape ({known},) before"
    return ValueError(f"{label} returned shape ({count},) in evaluation {nfev}, {other}")


def array_result(result, dtype, shape, label="f", nfev=0):
    """Take real numbers of a given shape from what a function returned: a new C-contiguous array of dtype."""
    expected = f"an array of real numbers of shape {shape}"
    array, _ = _as_array(result, dtype, label, nfev, expected)
    if array.shape != shape:
        raise ValueError(f"{label} returned an array of shape {array.shape} in evaluation {nfev}, expected {expected}")
    return np.array(array, dtype=dtype, order="C")


class Converted:
    """Results that were converted where f was called: ``array``, (count,) or (count, m), and the precision they had."""

    __slots__ = ("array", "eps")

    def __init__(self, array, eps):
        self.array, self.eps = array, eps


def batch_result(result, dtype, count, vector, must_be_complex=False, label="f", nfev=0):
    """Take `count` results from what a vectorised f returned: ``(array (count,) or (count, m), eps)``."""
    if type(result) is Converted and len(result.array) == count:
        return np.ascontiguousarray(result.array, dtype=dtype), float(result.eps)
    expected = f"an array of shape ({count}, m)" if vector else f"an array of shape ({count},)"
    array, eps = _as_array(result, dtype, label, nfev, expected)
    if array.ndim == 2 and not vector and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and vector and array.shape[0] == count:
        array = array[:, None]
    if array.ndim != (2 if vector else 1) or array.shape[0] != count:
        raise ValueError(
            f"{label} returned an array of shape {array.shape} for {count} points in evaluation {nfev}, "
            f"expected {expected}"
        )
    _check_complex(array, must_be_complex, label, nfev)
    return np.ascontiguousarray(array, dtype=dtype), eps


def working_type(dtype):
    """Return the real type in which points and values are held: longdouble for longdouble x, else float64."""
    return np.dtype(np.longdouble if dtype.char in "gG" else np.float64)


def lent_copy(x):
    """Copy x for f to do with as it likes: an array that owns no memory, so that not even resize can free any."""
    if x.size == 0:
        return x.copy()
    return np.frombuffer(bytearray(x.tobytes()), dtype=x.dtype).reshape(x.shape)


class Groups:
    """Entries of x in groups that are moved together, and the points that each of them is moved to.

    Parameters
    ----------
    starts, members : arrays of intp
        The entries of group k are ``members[starts[k]:starts[k + 1]]``.
    entries : int
        Entries of x.
    capacity : int
        Points that a member can have. A group takes the one that its own point says: 1, -1, 2, -2, ... for central
        differences, 1, 2, ... or -1, -2, ... for those to one side.
    dtype : numpy.dtype
        Type of x.
    """

    def __init__(self, starts, members, entries, capacity, dtype):
        if starts.size == 0 or entries < 0 or capacity < 1:
            raise ValueError("these are no groups")
        sound = starts[0] == 0 and starts[-1] == members.size and (np.diff(starts) >= 0).all()
        if not sound or (members.size and not 0 <= members.min() <= members.max() < entries):
            raise ValueError("these are no groups of entries of x")
        self.starts, self.members, self.entries, self.capacity = starts, members, entries, capacity
        self.count = starts.size - 1
        self.real_type = working_type(dtype)
        self.size = members.size
        self.points = None      # (members, width), of the working type
        self.central = False

    def moved(self, k, point):
        """Return the entries of group k, and the points that they are put to."""
        which = int(abs(point))
        which = 2 * which - 1 - (point > 0) if self.central else which - 1
        if not (0 <= k < self.count and 0 <= which < self.points.shape[1]):
            raise ValueError("there is no such group or point")
        some = slice(self.starts[k], self.starts[k + 1])
        return self.members[some], self.points[some, which]


class PythonFunction:
    """A Python callable of an array. The kernel evaluates in place; this twin copies x for every call.

    Parameters
    ----------
    function : callable
        Called as ``function(x, *args, **kwargs)``.
    args, kwargs : tuple, dict
    shape : tuple of int
        Shape of x.
    dtype : numpy.dtype
        Native floating or complex type of x.
    vector : bool
        Results are one-dimensional arrays, and not single numbers.
    imaginary : bool
        Perturbations go into the imaginary part of x, which f sees as complex.
    label : str
        What f is called in messages.
    """

    native = False
    batch = False

    def __init__(self, function, args, kwargs, shape, dtype, vector=False, imaginary=False, label="f"):
        self.function, self.args, self.kwargs, self.label = function, args, kwargs or {}, label
        self.shape, self.vector, self.imaginary = shape, vector, imaginary
        self.count = math.prod(shape)
        self.dtype = np.result_type(dtype, np.complex64) if imaginary else dtype
        self.as_complex = self.dtype.kind == "c"
        self.real_type = working_type(dtype)
        self.value_type = np.result_type(self.real_type, np.complex64) if self.as_complex else self.real_type
        self.size = -1 if vector else 2 if self.as_complex else 1
        self.eps = float(np.finfo(dtype).eps)
        self.coarsest = 0.0
        self.fresh = True
        self.nfev = 0
        self.direction = self.groups = None
        self.sized_by_f0 = False

    def begin(self, x):
        """Take x for a run."""
        self.x = np.array(x, dtype=self.dtype).reshape(-1)
        self.direction = self.groups = None
        self.coarsest = 0.0

    def snapshot(self):
        """Return x as it was when the run began, whatever f has done to the caller's."""
        x = self.x.real if self.imaginary else self.x
        return np.array(x).reshape(self.shape)

    def finish(self):
        """Close a run. Each call had a copy of its own, so there is nothing to look for."""
        return GOOD

    def along(self, direction, lower=None, upper=None):
        """Let LINE mean x + point * direction, kept inside the bounds, until the next run begins."""
        self.direction, self.lower, self.upper = direction.reshape(-1), lower, upper

    def in_groups(self, groups):
        """Let GROUPS - k mean x with the entries of group k moved, until the next run begins."""
        if groups.entries != self.count or groups.real_type != self.real_type or groups.points is None:
            raise ValueError("the groups do not suit this function, or have no points")
        self.groups = groups

    def displaced(self, entry, point):
        """Return x with a point put in, and x as it is."""
        return self.point(entry, point), self.x

    def point(self, entry, point):
        """Return x with one entry (or, along the line, every entry; or a group) moved."""
        x = lent_copy(self.x)
        if entry == LINE:
            self._move_along(x, point)
        elif entry <= GROUPS:
            part = x.imag if self.imaginary else x.real
            members, points = self.groups.moved(GROUPS - entry, point)
            part[members] = points
        elif entry != BASE:
            part = x.imag if self.imaginary else x.real
            part[entry] = point
        return x

    def _move_along(self, x, t):
        part = self.direction.real.dtype
        parts = x.imag if self.imaginary else x.view(part)
        moved = parts.astype(self.real_type) + t * self.direction.view(part).astype(self.real_type)
        if self.lower is not None:
            moved = np.minimum(np.maximum(moved, self.lower), self.upper)
        parts[:] = moved

    def call(self, x):
        """Call f, and count it."""
        self.nfev += 1
        return self.function(x, *self.args, **self.kwargs)

    def evaluate(self, entry, point, value):
        """Evaluate with one entry moved; store the real numbers of the result in `value`."""
        result = self.call(self.point(entry, point).reshape(self.shape))
        return self.store(result, value)

    def store(self, result, value):
        """Store the real numbers of a result; COARSE when it came in less precision than the steps were made for."""
        convert = vector_result if self.vector else scalar_result
        array, eps = convert(result, self.value_type, self.imaginary, self.label, self.nfev)
        self._check_size(array.size)
        value[...] = array.reshape(-1).view(self.real_type)
        self.coarsest = max(self.coarsest, eps)
        return COARSE if eps > self.eps else GOOD

    def _check_size(self, count):
        known = self.size // 2 if self.as_complex else self.size
        if count != known:
            raise size_error(self.label, count, self.nfev, known, self.sized_by_f0)

    def value_at(self, x, f0=None):
        """Return f(x) as an array, or `f0` checked as if f had returned it; learn how long results are."""
        label = self.label if f0 is None else "f0"
        if f0 is None:
            self.begin(x)
        convert = vector_result if self.vector else scalar_result
        try:
            if f0 is None:
                f0 = self.call(self.point(BASE, 0.0).reshape(self.shape))
            array, eps = convert(f0, self.value_type, False, label, self.nfev)
            if self.size >= 0:
                self._check_size(array.size)
        except BaseException as error:
            if label != "f0":
                note_evaluation(error, label, self.nfev, BASE, 0.0, self.shape)
            raise
        self.coarsest = max(self.coarsest, eps)
        size = array.size * (2 if self.as_complex else 1)
        self.size, self.sized_by_f0 = size, label == "f0"
        return array


class ScalarFunction(PythonFunction):
    """A Python callable of one number, evaluated at the entries of x one by one."""

    def evaluate(self, entry, point, value):
        """Evaluate f at one entry, moved; store the real numbers of the result in `value`."""
        return self.store(self.call(self.point(entry, point)[entry]), value)


class BatchFunction(PythonFunction):
    """A Python callable of many points: (k, n) to (k,) or (k, m); with `elementwise`, (k,) numbers to (k,)."""

    batch = True

    def __init__(self, function, args, kwargs, shape, dtype, vector=False, imaginary=False, label="f",
                 elementwise=False):
        super().__init__(function, args, kwargs, shape, dtype, vector, imaginary, label)
        self.elementwise = elementwise

    def evaluate_many(self, entries, points, values):
        """Evaluate at ``points[k]`` put into ``entries[k]``, all in one call; rows of `values` take the results."""
        count = len(entries)
        rows = np.stack([self.point(e, p)[e] if self.elementwise else self.point(e, p)
                         for e, p in zip(entries, points, strict=True)])
        shape = (count,) if self.elementwise else (count, *self.shape)
        self.nfev += count
        result = self.function(lent_copy(rows).reshape(shape), *self.args, **self.kwargs)
        array, eps = batch_result(
            result, self.value_type, count, self.vector, self.imaginary, self.label, self.nfev
        )
        self._check_size(array.size // count)
        values[...] = array.reshape(count, -1).view(self.real_type)
        self.coarsest = max(self.coarsest, eps)
        return COARSE if eps > self.eps else GOOD

    def call(self, x):
        """Call f with a batch of one point, and count it."""
        self.nfev += 1
        result = self.function(x[None], *self.args, **self.kwargs)
        array, _ = batch_result(result, self.value_type if self.as_complex else self.real_type, 1, self.vector,
                                False, self.label, self.nfev)
        return array[0]
