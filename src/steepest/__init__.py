"""steepest: fast gradients, and fast walks down them.

What there is, by name; nothing else is in this file. Start at `gradient`, `jacobian`, `derivative`, `minimize`,
`gradient_descent`. Tested in tests/test_names.py.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .backends import backend
from .compiled_functions import compiled
from .config import __version__, show_config
from .descend import gradient_descent
from .descent import Descent
from .differentiate import derivative, gradient, jacobian, jvp, value_and_gradient
from .errors import (
    BusyError,
    CheckpointError,
    CompilationWarning,
    DescentStatus,
    DifferenceWarning,
    FunctionError,
    GradientError,
    Status,
)
from .hessian import hessian, hvp
from .minimize import maximize, minimize
from .noise import noise_level
from .prepared import Gradient, Jacobian
from .results import Derivative
from .threads import set_num_threads

__all__ = [
    "BusyError",
    "CheckpointError",
    "CompilationWarning",
    "Derivative",
    "Descent",
    "DescentStatus",
    "DifferenceWarning",
    "FunctionError",
    "Gradient",
    "GradientCheck",
    "GradientError",
    "Jacobian",
    "Status",
    "__version__",
    "backend",
    "check_gradient",
    "check_hessian",
    "check_jacobian",
    "compiled",
    "derivative",
    "formula",
    "gradient",
    "gradient_descent",
    "grid",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linesearch",
    "maximize",
    "minimize",
    "minimize_many",
    "network",
    "noise_level",
    "optim",
    "plot",
    "schedules",
    "scipy_method",
    "set_num_threads",
    "show_config",
    "sparsity",
    "stochastic_descent",
    "value_and_gradient",
]

if TYPE_CHECKING:
    from . import formula, grid, linesearch, network, optim, plot, schedules, sparsity
    from .check import check_gradient, check_hessian, check_jacobian
    from .check_report import GradientCheck
    from .many import minimize_many
    from .scipy_interface import scipy_method
    from .stochastic import stochastic_descent
else:
    _LATER = {"check_gradient": "check", "check_hessian": "check", "check_jacobian": "check",
              "GradientCheck": "check_report", "minimize_many": "many", "scipy_method": "scipy_interface",
              "stochastic_descent": "stochastic"}

    def __getattr__(name):
        """Import a module at its first use: what asks for none of them does not wait for them."""
        if name in ("formula", "grid", "linesearch", "network", "optim", "plot", "schedules", "sparsity"):
            return import_module(f".{name}", __name__)
        if name in _LATER:
            return getattr(import_module(f".{_LATER[name]}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
