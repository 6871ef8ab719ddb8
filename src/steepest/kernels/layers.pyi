# Types of layers.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import disjoint_base

from .update import Optimizer

def multiply(start: NDArray[Any], a: NDArray[Any], b: NDArray[Any], repeats: int = 1) -> NDArray[Any]: ...

@disjoint_base
class Layers:
    def __init__(
        self,
        sizes: Sequence[int],
        activations: Sequence[int],
        loss: int,
        dtype: DTypeLike = "d",
        l2: float = 0.0,
        l1: float = 0.0,
        slope: float = 0.01,
        delta: float = 1.0,
        share: Callable[..., int] | None = None,
        threads: int = 1,
    ) -> None: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def activations(self) -> tuple[int, ...]: ...
    @property
    def loss(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def l2(self) -> float: ...
    @property
    def l1(self) -> float: ...
    @property
    def slope(self) -> float: ...
    @property
    def delta(self) -> float: ...
    @property
    def count(self) -> int: ...
    @overload
    def forward(self, parameters: NDArray[Any], x: NDArray[Any], layers: Literal[False] = False) -> NDArray[Any]: ...
    @overload
    def forward(self, parameters: NDArray[Any], x: NDArray[Any], layers: Literal[True]) -> list[NDArray[Any]]: ...
    def value(
        self, parameters: NDArray[Any], x: NDArray[Any], y: NDArray[Any], weight: NDArray[np.float64] | None = None
    ) -> float: ...
    def gradient(
        self,
        parameters: NDArray[Any],
        x: NDArray[Any],
        y: NDArray[Any],
        weight: NDArray[np.float64] | None = None,
        out: NDArray[Any] | None = None,
        deltas: Sequence[NDArray[Any]] | None = None,
        inputs: NDArray[Any] | None = None,
    ) -> float: ...
    def epoch(
        self,
        parameters: NDArray[Any],
        x: NDArray[Any],
        y: NDArray[Any],
        weight: NDArray[np.float64] | None,
        order: NDArray[np.intp],
        batch: int,
        optimizer: Optimizer,
        rates: NDArray[np.float64] | None,
    ) -> tuple[float, int, tuple[int, int] | None]: ...
    def work(self, i: int, first: int, last: int) -> int: ...
