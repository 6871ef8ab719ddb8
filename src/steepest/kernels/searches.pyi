# Types of searches.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from typing_extensions import disjoint_base

@disjoint_base
class LineSearch:
    def __init__(
        self,
        kind: int,
        f0: float,
        slope0: float,
        step: float,
        above: float,
        error: float,
        decrease: float,
        curvature: float,
        limit: int,
        ceiling: float,
    ) -> None: ...
    @property
    def status(self) -> int: ...
    @property
    def step(self) -> float: ...
    @property
    def f(self) -> float: ...
    def tell(self, f: float, slope: float) -> None: ...
