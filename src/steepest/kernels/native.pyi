# Types of native.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from .callback import Compiled, Function

@disjoint_base
class NativeFunction(Function):
    def __init__(
        self,
        compiled: Compiled,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        vector: bool = False,
        each: bool = False,
        label: str = "f",
    ) -> None: ...
    @property
    def compiled(self) -> Compiled: ...
    @property
    def each(self) -> bool: ...
    @property
    def quiet(self) -> bool: ...
    def clones(self, count: int) -> list[Self]: ...
    def follow(self, other: NativeFunction) -> None: ...
    def take_size(self, size: int) -> None: ...
    def value_at(self, x: NDArray[Any], f0: Any = None) -> NDArray[Any]: ...

def linger(flags: NDArray[np.intc], i: int, looks: int, grace: int = 0) -> bool: ...
