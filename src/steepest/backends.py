"""Which floor does the work: the compiled kernels, or their reference in NumPy.

Here so that the whole library can run on either: ``STEEPEST_BACKEND=reference`` in the environment, or
``with steepest.backend("reference")``. Tested in tests/test_backends.py.
"""

import os
from contextvars import ContextVar
from types import SimpleNamespace

from .kernels import callback as _kernel_callback
from .kernels import descent as _kernel_descent
from .kernels import difference as _kernel_difference
from .kernels import native as _kernel_native
from .kernels import update as _kernel_update
from .reference import callback as _reference_callback
from .reference import descent as _reference_descent
from .reference import difference as _reference_difference
from .reference import native as _reference_native
from .reference import update as _reference_update

__all__ = ["backend"]


def _gather(name, callback, native, difference, update, descent):
    return SimpleNamespace(
        name=name,
        PythonFunction=callback.PythonFunction,
        ScalarFunction=callback.ScalarFunction,
        BatchFunction=callback.BatchFunction,
        NativeFunction=native.NativeFunction,
        Differences=difference.Differences,
        central_gradient=difference.central_gradient,
        step=update.step,
        Optimizer=update.Optimizer,
        Descent=descent.Descent,
    )


_BACKENDS = {
    "kernels": _gather("kernels", _kernel_callback, _kernel_native, _kernel_difference, _kernel_update, _kernel_descent),
    "reference": _gather("reference", _reference_callback, _reference_native, _reference_difference, _reference_update,
                         _reference_descent),
}


def _find(name):
    try:
        return _BACKENDS[name]
    except (KeyError, TypeError):
        raise ValueError(f"backend must be one of {', '.join(map(repr, _BACKENDS))}, not {name!r}") from None


_current = ContextVar("steepest backend", default=_find(os.environ.get("STEEPEST_BACKEND") or "kernels"))  # noqa: B039
current = _current.get


class backend:
    """Run the library on its kernels or on their reference, within a ``with`` block.

    Parameters
    ----------
    name : {"kernels", "reference"}
        The compiled kernels, or the same functions in plain NumPy.

    Raises
    ------
    ValueError
        For any other name.

    Examples
    --------
    >>> import steepest as sd
    >>> with sd.backend("reference"):
    ...     sd.gradient(lambda x: x[0] ** 2 + x[1] ** 2, [3.0, 4.0])
    array([6., 8.])
    """

    def __init__(self, name):
        self._backend = _find(name)
        self._tokens = []

    def __enter__(self):
        self._tokens.append(_current.set(self._backend))
        return self._backend.name

    def __exit__(self, *exception):
        _current.reset(self._tokens.pop())
        return False
