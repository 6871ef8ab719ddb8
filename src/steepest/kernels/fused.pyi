# Types of fused.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

@disjoint_base
class FusedSweep:
    def __init__(
        self,
        shape: Sequence[int],
        width: int,
        dtype: Any,
        outputs: Sequence[Sequence[Any]],
        root: bool = False,
        paired: bool = False,
    ) -> None: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def width(self) -> int: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def outputs(self) -> list[list[Any]]: ...
    @property
    def root(self) -> bool: ...
    @property
    def paired(self) -> bool: ...
    @property
    def units(self) -> int: ...
    def run(
        self,
        sources: Sequence[NDArray[Any]],
        outs: Sequence[NDArray[Any]],
        share: Callable[..., int] | None = None,
        threads: int = 1,
    ) -> None: ...

@disjoint_base
class Work:
    def part(self, i: int, first: int, last: int) -> int: ...
