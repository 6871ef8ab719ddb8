"""steepest: fast gradients, and fast walks down them.

What there is, by name; nothing else is in this file. Start at `gradient`, `jacobian`, `derivative`, `gradient_descent`.
Tested in tests/test_names.py.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .backends import backend
from .compiled_functions import compiled
from .config import __version__, show_config
from .descend import gradient_descent
from .differentiate import derivative, gradient, jacobian, jvp, value_and_gradient
from .errors import (
    BusyError,
    CheckpointError,
    CompilationWarning,
    DescentStatus,
    DifferenceWarning,
    FunctionError,
    Status,
)
from .minimize import maximize, minimize
from .prepared import Gradient, Jacobian
from .results import Derivative
from .threads import set_num_threads

__all__ = [
    "BusyError",
    "CheckpointError",
    "CompilationWarning",
    "Derivative",
    "DescentStatus",
    "DifferenceWarning",
    "FunctionError",
    "Gradient",
    "Jacobian",
    "Status",
    "__version__",
    "backend",
    "compiled",
    "derivative",
    "gradient",
    "gradient_descent",
    "jacobian",
    "jvp",
    "maximize",
    "minimize",
    "optim",
    "schedules",
    "set_num_threads",
    "show_config",
    "value_and_gradient",
]

if TYPE_CHECKING:
    from . import optim, schedules
else:
    def __getattr__(name):
        """Import a module at its first use: what asks for none of them does not wait for them."""
        if name in ("optim", "schedules"):
            return import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
