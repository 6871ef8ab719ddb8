# Types of function.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

SIGNATURES: tuple[str, ...]
__pyx_capi__: dict[str, Any]

@disjoint_base
class Memory: ...

@disjoint_base
class Groups:
    @property
    def count(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def wide(self) -> bool: ...
    @property
    def central(self) -> bool: ...

@disjoint_base
class Function:
    eps: float
    fresh: bool
    nfev: int
    @property
    def native(self) -> bool: ...
    @property
    def batch(self) -> bool: ...
    @property
    def wide(self) -> bool: ...
    @property
    def vector(self) -> bool: ...
    @property
    def as_complex(self) -> bool: ...
    @property
    def count(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def label(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def coarsest(self) -> float: ...
    @property
    def value_type(self) -> np.dtype[Any]: ...
    def begin(self, x: NDArray[Any]) -> None: ...
    def finish(self) -> int: ...
    def along(
        self, direction: NDArray[Any], lower: NDArray[Any] | None = None, upper: NDArray[Any] | None = None
    ) -> None: ...
    def in_groups(self, groups: Groups) -> None: ...
    def along_ways(
        self,
        starts: NDArray[np.intp],
        stops: NDArray[np.intp],
        moved: NDArray[np.intp],
        sizes: NDArray[Any],
        shifted: NDArray[np.intp] | None = None,
        shifts: NDArray[Any] | None = None,
        lower: NDArray[Any] | None = None,
        upper: NDArray[Any] | None = None,
    ) -> None: ...
    def displaced(self, entry: int, point: Any) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def take_size(self, size: int) -> None: ...
    def check_size(self, count: int) -> None: ...
    def snapshot(self) -> NDArray[Any]: ...
    def value_at(self, x: NDArray[Any], f0: Any = None) -> NDArray[Any]: ...

@disjoint_base
class Compiled:
    def __init__(
        self,
        address: int,
        signature: str,
        data: int = 0,
        owner: object = None,
        origin: Callable[..., Any] | None = None,
        size: int = -1,
        eps: float = ...,
        label: str = "f",
        number: bool = False,
    ) -> None: ...
    @property
    def address(self) -> int: ...
    @property
    def data(self) -> int: ...
    @property
    def signature(self) -> str: ...
    @property
    def form(self) -> int: ...
    @property
    def number(self) -> bool: ...
    @property
    def size(self) -> int: ...
    @property
    def eps(self) -> float: ...
    @property
    def owner(self) -> object: ...
    @property
    def origin(self) -> Callable[..., Any] | None: ...
    @property
    def label(self) -> str: ...
    def __call__(self, x: Any) -> Any: ...

@disjoint_base
class PythonFunction(Function):
    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        vector: bool = False,
        imaginary: bool = False,
        label: str = "f",
    ) -> None: ...
    @property
    def function(self) -> Callable[..., Any]: ...

class ScalarFunction(PythonFunction): ...

@disjoint_base
class BatchFunction(PythonFunction):
    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        vector: bool = False,
        imaginary: bool = False,
        label: str = "f",
        elementwise: bool = False,
    ) -> None: ...
