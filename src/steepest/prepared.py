"""Gradients and Jacobians made ready once and called often: the objects that keep their memory between calls.

Here because an optimiser asks for thousands of gradients of one function. Tested in tests/test_prepared.py.
"""

import functools

import numpy as np

from .backends import current
from .compiled_functions import check_f
from .differencing import in_type_of_x
from .differentiate import as_vector, careful_gradient, careful_jacobian, careful_value_and_gradient, watched
from .errors import BusyError
from .memory import EVERY, Memory
from .options import as_count, as_point, check_options, check_out, check_sparsity
from .reference.difference import DONE, UNSUITED
from .roads import run_for

__all__ = ["Gradient", "Jacobian"]


class _Prepared:
    """A function, a shape and a type, and the runs that are idle: a call takes one, or makes one when all are at work.

    That makes a prepared object safe to use from several threads and from inside its own f.
    """

    _vector = False
    calls_before = 0    # calls of f made before, for the notes on exceptions

    def __init__(self, f, x0, *, sparsity=None, format=None, verify=True, memory=None, **options):
        if hasattr(self, "_idle"):
            raise BusyError(f"this {type(self).__name__} is prepared already: make a new one")
        sparsity = check_sparsity(sparsity, format, verify)
        settings = check_options(**options, sparsity=sparsity)
        settings.memory = _memory(memory, settings)
        check_f(f)
        x0 = as_point(x0, "x0")
        if self._vector:
            x0 = as_vector(x0)
        snapshots = {name: getattr(settings, name) for name in ("step", "rel_step", "x_scale", "bounds", "kwargs")}
        self._f, self._settings, self._options, self._x0 = f, settings, {**options, **snapshots, "memory": memory}, x0
        self._idle = [self._make()]
        if sparsity is not None:    # which is a colouring now
            self._options |= {"sparsity": sparsity.pattern, "format": sparsity.format, "verify": sparsity.verify}

    @property
    def shape(self):
        """Shape of x."""
        return self._x0.shape

    @property
    def dtype(self):
        """Type of x and of the result."""
        return self._x0.dtype

    def __repr__(self):
        options = "".join(f", {name}={value!r}" for name, value in self._options.items() if value is not None)
        return f"{type(self).__name__}({self._f!r}, shape={self.shape}, dtype={self.dtype}{options})"

    def __reduce__(self):
        workers = self._settings.workers
        if workers is not None and not isinstance(workers, int):
            raise TypeError(f"this {type(self).__name__} cannot be copied or pickled, for its workers are "
                            f"{type(workers).__name__}: make one where it is needed, or let workers be a number")
        return functools.partial(type(self), **self._options), (self._f, self._x0)

    def close(self):
        """End the processes of ``workers=k``; a later call starts new ones. Executors are left to their owner."""
        if self._settings.crew is not None:
            self._settings.crew.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _make(self):
        return run_for(self._f, self._settings, self._x0.shape, self._x0.dtype, self._vector)

    def _take(self):
        """An idle run of the backend in force, or a new one."""
        try:
            run = self._idle.pop()
        except IndexError:
            return self._make()
        return run if run.kernels is current() else self._make()

    def _calls(self):
        """Calls of f made before and by the last call, when no other one is under way."""
        return self._idle[-1].nfev

    def _point(self, x):
        """X in the shape and type that were prepared for."""
        x = as_point(x)
        if self._vector and x.ndim == 0:
            x = x.reshape(1)
        if x.shape != self._x0.shape:
            raise ValueError(f"x must have the shape prepared for, {self._x0.shape}, but has {x.shape}")
        if x.dtype != self._x0.dtype:
            if not np.can_cast(x.dtype, self._x0.dtype, "same_kind"):
                raise TypeError(f"x must have the type prepared for, {self._x0.dtype}, not {x.dtype}")
            x = x.astype(self._x0.dtype)
        return x


def _memory(asked, settings):
    """What the runs of a prepared object remember between calls, or None."""
    if asked is None or asked is False:     # which differences serve is the one thing that "switch" cannot do without
        return Memory(EVERY, only="switch") if settings.choosing == "switch" else None
    return Memory(EVERY if asked is True else as_count(asked, "memory"))


class Gradient(_Prepared):
    """A gradient made ready: buffers made once, called as ``g(x)`` or ``g(x, out=...)``.

    It serves as ``jac=`` of `scipy.optimize.minimize`, from several threads, from inside its own f, and it is picklable
    when f is and `workers` is a number. Processes of its own (``workers=k``) are started by the first call and given f
    and `args` as they are then; they end with `close`, at the end of a ``with`` block, or with the object.

    Parameters
    ----------
    f : callable
        As for `gradient`.
    x0 : array_like
        A point of the shape and type of those to come; f is not called.
    method, order, step, rel_step, x_scale, bounds, noise, rtol, args, kwargs, vectorized, workers, progress
        As for `gradient`.
    memory : bool or int, optional
        Remember what a call had to find out (the noise level and the steps of ``noise=``, the sizes of
        ``x_scale="auto"``, which differences ``method="switch"`` takes) and use it in the calls after it; it is found
        out anew in every 10th call, or every `memory`-th when a number is given, and when it does not serve any more.
        A result then depends on the calls before it, those from other threads included. By default every call starts
        afresh, but for ``method="switch"``, whose choice holds for 10 calls. A copy starts without memories.

    Raises
    ------
    TypeError, ValueError
        As `gradient`.
    BusyError
        When an object in use is initialised again.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> g = sd.Gradient(lambda x: x[0] ** 2 + x[1] ** 2, np.zeros(2))
    >>> g([3.0, 4.0])
    array([6., 8.])
    >>> from scipy.optimize import minimize, rosen
    >>> x0 = np.array([-1.2, 1.0])
    >>> minimize(rosen, x0, jac=sd.Gradient(rosen, x0)).x.round(5)
    array([1., 1.])
    """

    def __init__(self, f, x0, *, method="central", order=None, step=None, rel_step=None, x_scale=None, bounds=None,
                 noise=None, rtol=None, memory=None, args=(), kwargs=None, vectorized=False, workers=None,
                 progress=False):
        super().__init__(f, x0, method=method, order=order, step=step, rel_step=rel_step, x_scale=x_scale,
                         bounds=bounds, noise=noise, rtol=rtol, memory=memory, args=args, kwargs=kwargs,
                         vectorized=vectorized, workers=workers, progress=progress)

    def __call__(self, x, out=None):
        """Gradient at x.

        Parameters
        ----------
        x : array_like
            In the shape prepared for.
        out : ndarray, optional
            Where the gradient goes.

        Returns
        -------
        ndarray or scalar
        """
        run = self._take()
        run.function.nfev = self.calls_before
        try:    # short: Python 3.11 needs memory to leave a longer one, and has none where that is the error
            if out is None or not run.direct:
                swept, result = self._swept(run, x, out)
            else:
                swept, result = run.differences.gradient(run.function, x, out), out
            if swept == DONE:
                return result
            return self._carefully(careful_gradient, run, x, out, swept)
        finally:
            self._idle.append(run)

    def _swept(self, run, x, out):
        """What `sweep_at_once` gives, the result in its shape."""
        swept, result = run.sweep_at_once(x, out)
        return swept, result if out is not None or run.shape or swept != DONE else result[()]

    def _value(self, run):
        """f(x) after a quick sweep, evaluated when the sweep did not need it."""
        value = run.base() if run.differences.has_base else run.function.value_at(run.function.snapshot())
        return in_type_of_x(value, run.dtype)[()]

    def _carefully(self, careful, run, x, out, swept):
        """Go on with a call whose quick sweep was not the end."""
        if swept != UNSUITED:
            return watched(careful, run, run.function.snapshot(), None, out, False, swept)
        x = self._point(x)
        check_out(out, run.shape, run.dtype)
        run.count_from(self.calls_before)
        return watched(careful, run, x, None, out, False, None)

    def _where_known(self, x, f0):
        """Gradient at an x where f is known, with every fallback."""
        run = self._take()
        try:
            run.count_from(self.calls_before)
            return watched(careful_gradient, run, self._point(x), f0, None, False, None)
        finally:
            self._idle.append(run)

    def value_and_gradient(self, x, out=None):
        """Value and gradient at x, sharing evaluations: ``(f(x), gradient)``; parameters as for a call."""
        run = self._take()
        run.function.nfev = self.calls_before
        try:
            swept, result = self._swept(run, x, None) if out is None else (UNSUITED, None)
            if swept == DONE:
                return self._value(run), result
            return self._carefully(careful_value_and_gradient, run, x, out, swept)
        finally:
            self._idle.append(run)


class Jacobian(_Prepared):
    """A Jacobian made ready: buffers made once, called as ``J(x)`` or ``J(x, out=...)``; otherwise as `Gradient`.

    Parameters
    ----------
    f : callable
        As for `jacobian`.
    x0 : array_like, (n,)
        A point of the shape and type of those to come; f is not called.
    method, order, step, rel_step, x_scale, bounds, sparsity, format, noise, rtol, args, kwargs, vectorized, workers
        As for `jacobian`.
    progress
        As for `jacobian`.
    verify : bool, optional
        As for `jacobian`; at the first call only.
    memory : bool or int, optional
        As for `Gradient`.

    Raises
    ------
    TypeError, ValueError
        As `jacobian`.
    BusyError
        When an object in use is initialised again.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> jacobian = sd.Jacobian(lambda x: np.array([x[0] * x[1], x[0] + x[1]]), np.zeros(2))
    >>> jacobian([2.0, 3.0]).round(8)
    array([[3., 2.],
           [1., 1.]])

    A pattern is coloured, and verified, once for all calls:

    >>> jacobian = sd.Jacobian(lambda x: np.diff(x) ** 2, np.zeros(4), sparsity=np.eye(3, 4) + np.eye(3, 4, 1))
    >>> jacobian([1.0, 2.0, 4.0, 8.0]).toarray().round(6)
    array([[-2.,  2.,  0.,  0.],
           [ 0., -4.,  4.,  0.],
           [ 0.,  0., -8.,  8.]])
    """

    _vector = True

    def __init__(self, f, x0, *, method="central", order=None, step=None, rel_step=None, x_scale=None, bounds=None,
                 sparsity=None, format=None, verify=True, noise=None, rtol=None, memory=None, args=(), kwargs=None,
                 vectorized=False, workers=None, progress=False):
        super().__init__(f, x0, method=method, order=order, step=step, rel_step=rel_step, x_scale=x_scale,
                         bounds=bounds, sparsity=sparsity, format=format, verify=verify, noise=noise, rtol=rtol,
                         memory=memory, args=args,
                         kwargs=kwargs, vectorized=vectorized, workers=workers, progress=progress)

    def __call__(self, x, out=None):
        """Jacobian at x, shape (m, n); `out` takes it when given."""
        run = self._take()
        learned = run.results >= 0
        try:
            run.count_from(self.calls_before)
            result = run.quick_jacobian(x, out) if run.compressed else None
            if result is not None:
                return result
            x = self._point(x)
            result = watched(careful_jacobian, run, x, None, out, False)
            learned = True
            return result
        finally:
            if learned:  # how long results are; a run that failed before it knew is forgotten
                self._idle.append(run)
