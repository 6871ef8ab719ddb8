"""Sampled fields: derivatives of arrays of numbers, at the speed of memory.

Here as the list of what there is; each part stands in a file of its own. Tested in tests/test_grid_*.py.
"""

from typing import TYPE_CHECKING

from .grid_diff import diff
from .grid_fields import curl, divergence, laplacian, magnitude, mixed
from .grid_gradient import gradient
from .grid_weights import weights

__all__ = [
    "Operator",
    "curl",
    "diff",
    "divergence",
    "gradient",
    "laplacian",
    "magnitude",
    "mixed",
    "weights",
]

if TYPE_CHECKING:
    from .grid_operator import Operator
else:
    def __getattr__(name):
        """Import the operators at their first use: they need SciPy's."""
        if name == "Operator":
            from .grid_operator import Operator
            return Operator
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
