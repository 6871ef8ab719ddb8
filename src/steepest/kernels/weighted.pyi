# Types of weighted.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray
from typing_extensions import disjoint_base

from steepest.reference.weighted import Plan

def fornberg(nodes: NDArray[Any], at: NDArray[Any], n: int, out: NDArray[Any]) -> None: ...

@disjoint_base
class WeightedSums:
    def __init__(self, plan: Plan) -> None: ...
    @property
    def plan(self) -> Plan: ...
    def apply(
        self,
        f: NDArray[Any],
        out: NDArray[Any],
        axis: int,
        share: Callable[..., int] | None = None,
        threads: int = 1,
    ) -> None: ...
