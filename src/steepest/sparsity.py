"""Sparse patterns for Jacobians and Hessians: `color` one, or `detect` it.

Here so that they have one public place, imported when it is first used. The work is in patterns.py and detection.py.
Tested in tests/test_sparsity.py and tests/test_coloring.py.
"""

from .detection import Detection, detect
from .patterns import Coloring, color

__all__ = ["Coloring", "Detection", "color", "detect"]
