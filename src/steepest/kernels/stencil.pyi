# Types of stencil.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

def sweep(
    f: NDArray[Any],
    out: NDArray[Any],
    axis: int,
    inside: tuple[str, Any],
    first: tuple[str, Any],
    last: tuple[str, Any],
    share: Callable[..., int] | None = None,
    threads: int = 1,
) -> None: ...
def even_spacing(x: NDArray[Any]) -> Any: ...
def gradient_at_once(f: Any, varargs: tuple[Any, ...], axis: Any, edge_order: Any, out: Any) -> Any: ...
