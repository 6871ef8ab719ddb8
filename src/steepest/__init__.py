"""steepest: fast gradients, and fast walks down them.

What there is, by name; nothing else is in this file. Start at `gradient`, `jacobian`, `derivative`, `gradient_descent`.
Tested in tests/test_names.py.
"""

from .backends import backend
from .compiled_functions import compiled
from .config import __version__, show_config
from .descend import gradient_descent
from .differentiate import derivative, gradient, jacobian, jvp, value_and_gradient
from .errors import BusyError, CompilationWarning, DifferenceWarning, FunctionError, Status
from .prepared import Gradient, Jacobian
from .results import Derivative
from .threads import set_num_threads

__all__ = [
    "BusyError",
    "CompilationWarning",
    "Derivative",
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
    "set_num_threads",
    "show_config",
    "value_and_gradient",
]
