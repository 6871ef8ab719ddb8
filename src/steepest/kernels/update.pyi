# Types of update.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64, np.longdouble)

def momentum_step(
    x: NDArray[_Real],
    gradient: NDArray[_Real],
    velocity: NDArray[_Real],
    lr: float,
    momentum: float,
    nesterov: Any,
) -> None: ...
