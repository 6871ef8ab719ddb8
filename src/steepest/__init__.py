"""steepest: fast gradients, and fast walks down them.

What there is, by name; nothing else is in this file. Start at `gradient`, `jacobian`, `derivative`, `gradient_descent`.
Tested in tests/test_names.py.
"""

from .backends import backend
from .config import __version__, show_config
from .descend import gradient_descent
from .differentiate import derivative, gradient, jacobian, jvp, value_and_gradient
from .errors import BusyError, DifferenceWarning, Status
from .prepared import Gradient, Jacobian
from .results import Derivative

__all__ = [
    "BusyError",
    "Derivative",
    "DifferenceWarning",
    "Gradient",
    "Jacobian",
    "Status",
    "__version__",
    "backend",
    "derivative",
    "gradient",
    "gradient_descent",
    "jacobian",
    "jvp",
    "show_config",
    "value_and_gradient",
]
