# Types of update.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

FAMILIES: dict[str, tuple[str, ...]]

def step(
    rule: str, x: NDArray[Any], gradient: NDArray[Any], states: Sequence[NDArray[Any]], numbers: Sequence[float]
) -> None: ...

@disjoint_base
class Optimizer:
    def __init__(
        self,
        family: str,
        arrays: Any,
        alone: bool,
        groups: Any,
        settings: Any,
        states: Any,
        means: Any = None,
        averaging: float = ...,
        clip: str | None = None,
        bound: float = ...,
        sign: float = 1.0,
        strict: bool = False,
        share: Callable[..., int] | None = None,
        threads: int = 1,
    ) -> None: ...
    @property
    def family(self) -> str: ...
    @property
    def alone(self) -> bool: ...
    @property
    def arrays(self) -> Any: ...
    @property
    def states(self) -> Any: ...
    @property
    def means(self) -> Any: ...
    @property
    def t(self) -> int: ...
    @property
    def carried(self) -> list[float]: ...
    def step(self, grads: Any) -> None: ...
    def change(self, group: int, index: int, value: float) -> None: ...
    def setting(self, group: int, index: int) -> float: ...
    def resume(self, t: int, carried: Any) -> None: ...
    def hold(self) -> None: ...
    def release(self) -> None: ...
    def work(self, i: int, first: int, last: int) -> int: ...
