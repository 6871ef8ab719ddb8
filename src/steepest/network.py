"""Feed-forward networks: backpropagation, training by the library's own rules, and the proof of the gradient.

Here as the list of what there is; each part stands in a file of its own. Tested in tests/test_network.py.
"""

from typing import TYPE_CHECKING

from .feed_forward import LayerGradient, Network
from .made_data import moons, spirals, xor
from .network_files import load
from .training import History

__all__ = ["Classifier", "History", "LayerGradient", "Network", "Regressor", "load", "moons", "spirals", "xor"]

if TYPE_CHECKING:
    from .estimators import Classifier, Regressor
else:
    def __getattr__(name):
        """Import the estimators at their first use: they need scikit-learn."""
        if name in ("Classifier", "Regressor"):
            try:
                from . import estimators
            except ImportError:
                raise ImportError(f"sd.network.{name} needs scikit-learn: pip install scikit-learn") from None
            return getattr(estimators, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
