"""Which floor does the work: the compiled kernels, or their reference in NumPy.

Here so that the whole library can run on either: ``STEEPEST_BACKEND=reference`` in the environment, or
``with steepest.backend("reference")``. Tested in tests/test_backends.py.
"""

import os
from contextvars import ContextVar
from importlib import import_module
from types import SimpleNamespace

from .kernels import callback as _kernel_callback
from .kernels import difference as _kernel_difference
from .kernels import native as _kernel_native
from .kernels import update as _kernel_update
from .reference import callback as _reference_callback
from .reference import difference as _reference_difference
from .reference import native as _reference_native
from .reference import update as _reference_update

__all__ = ["backend"]


# Functions of kernels that are imported at their first use, and the module each stands in.
LATER = {"Ladder": "ladder", "sweep": "stencil", "even_spacing": "stencil", "gradient_at_once": "stencil",
         "fornberg": "weighted", "WeightedSums": "weighted", "FusedSweep": "fused",
         "group": "coloring", "transposed": "coloring", "ordering": "coloring", "first_fit": "coloring",
         "star_coloring": "coloring", "star_sources": "coloring", "Compression": "compressed",
         "Descent": "descent", "LineSearch": "searches", "descend_many": "descent", "Sampler": "sampler",
         "Layers": "layers"}


class _Backend(SimpleNamespace):
    """The functions of one floor."""

    def __getattr__(self, name):
        if name not in LATER:
            raise AttributeError(f"the backend has no {name!r}")
        found = getattr(import_module(f".{self.name}.{LATER[name]}", __package__), name)
        setattr(self, name, found)
        return found


def _gather(name, callback, native, difference, update):
    return _Backend(
        name=name,
        PythonFunction=callback.PythonFunction,
        ScalarFunction=callback.ScalarFunction,
        BatchFunction=callback.BatchFunction,
        NativeFunction=native.NativeFunction,
        Differences=difference.Differences,
        is_point=difference.is_point,
        central_gradient=difference.central_gradient,
        step=update.step,
        Optimizer=update.Optimizer,
    )


_BACKENDS = {
    "kernels": _gather("kernels", _kernel_callback, _kernel_native, _kernel_difference, _kernel_update),
    "reference": _gather("reference", _reference_callback, _reference_native, _reference_difference, _reference_update),
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
