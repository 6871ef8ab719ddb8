"""The functions of many problems of one kind: the same f for all, or f with a row of data for each.

Here so that a compiled function finds its row where its user data is, and one of Python's is given it after x, and
the walks in many_walks.py know of no difference. Tested in tests/test_minimize_many.py.
"""

import numpy as np

from .compiled_functions import recognise, uses_threads, variants_of, warn_not_compiled
from .just_in_time import NotCompiled
from .kernels.callback import Compiled
from .options import check_arguments, check_function
from .reference.callback import SCALAR, SIGNATURES

__all__ = ["Problems"]

_NOTHING = (0, 0)       # no user data of steepest's: its address, and the bytes from one problem to the next


class Given:
    """A function of Python's that is given its row of `data` after x."""

    def __init__(self, function, data, args, kwargs):
        self.function, self.data, self.args, self.kwargs = function, data, args, kwargs

    def at(self, place):
        """What is called as ``f(x)`` for the problem that `place` tells, and no address."""
        function, data, args, kwargs = self.function, self.data, self.args, self.kwargs

        def call(x):
            return function(x, data[place[0]], *args, **kwargs)

        return call, _NOTHING


class Pointed:
    """A compiled function whose user data is a row of `data`."""

    def __init__(self, compiled, data, name):
        if compiled.signature == SIGNATURES[SCALAR]:
            raise ValueError(f"data cannot be given for this {name}: its signature {compiled.signature!r} has no place "
                             "for user data")
        if compiled.data:
            raise ValueError(f"data cannot be given for this {name}, which has user data already")
        self.compiled, self.rows, self.origin_at = compiled, _as_rows(data), lambda place: compiled.origin

    def at(self, place):
        """The function for the problem that `place` tells, and where the user data of the first is."""
        made, rows = self.compiled, self.rows
        stride = rows.strides[0]
        here = Compiled(made.address, made.signature, rows.ctypes.data + int(place[0]) * stride, (made, rows),
                        self.origin_at(place), -1 if made.number else made.size, made.eps, number=made.number)
        return here, (rows.ctypes.data, stride)


class Packed(Pointed):
    """A function of numba's njit that is given its row of `data` after x: the words of its arguments, row by row."""

    def __init__(self, function, variants, shape, vector, data, args):
        data = _as_rows(data)
        made = variants.compiled(shape, vector, False, (data[0], *args))
        words = np.tile(made.owner[1].view(np.int64), (len(data), 1))
        if data.ndim > 1:
            words[:, 0] += np.arange(len(data)) * data.strides[0]
        else:
            words[:, 0] = data.view(np.int64) if data.dtype == np.float64 else data
        self.compiled, self.rows, self.data = made, words, data
        self.origin_at = lambda place: lambda x: function(x, data[place[0]], *args)


def _as_rows(data):
    """Data as compiled functions read them."""
    try:
        rows = np.ascontiguousarray(data)
    except ValueError as error:
        raise ValueError(f"data must be an array for a compiled f: {error}") from None
    if rows.dtype.hasobject:
        raise TypeError("data must be an array of numbers for a compiled f, not of objects")
    return rows


def _with_rows(function, data, args, kwargs, x, vector, name):
    """A function that is given its row of `data`, in the way that suits it."""
    made = recognise(function)
    if made is not None:
        if args or kwargs:
            raise TypeError(f"args and kwargs cannot be given for a compiled {name}, which has its row of data alone")
        return Pointed(made, data, name)
    check_function(function, name)
    variants = variants_of(function)
    if variants is not None and not kwargs and x.dtype == np.float64:
        try:
            return Packed(function, variants, x.shape, vector, data, args)
        except NotCompiled as reason:
            warn_not_compiled(variants, str(reason))
    return Given(function, data, args, kwargs)


class Problems:
    """The functions of many problems.

    Parameters
    ----------
    f, grad
        As for `minimize`.
    x : array
        A start.
    args, kwargs : tuple, dict or None
        What f and grad take after x and their row.
    data : sequence or None
        A row for each problem.
    """

    def __init__(self, f, grad, x, args, kwargs, data):
        self.args, self.kwargs = check_arguments(args, kwargs)
        self.f, self.grad, self.data = f, grad, data
        self.alone = uses_threads(f) or uses_threads(grad)      # not to be entered by several threads
        self.given = not (grad is None or grad is True or isinstance(grad, str))
        if data is not None:
            self.f = _with_rows(f, data, self.args, self.kwargs, x, False, "f")
            if self.given:
                self.grad = _with_rows(grad, data, self.args, self.kwargs, x, True, "grad")

    def at(self, place):
        """For the problem that `place` tells: ``(f, grad, args, kwargs)``, and where the user data of the first are."""
        if self.data is None:
            return (self.f, self.grad, self.args, self.kwargs), (_NOTHING, _NOTHING)
        f, of_f = self.f.at(place)
        grad, of_grad = self.grad.at(place) if self.given else (self.grad, _NOTHING)
        return (f, grad, (), None), (of_f, of_grad)
