# Types of compressed.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

from .difference import Differences
from .function import Function, Groups

@disjoint_base
class Compression(Groups):
    def __init__(
        self,
        starts: NDArray[np.intp],
        columns: NDArray[np.intp],
        first: NDArray[np.intp],
        rows: NDArray[np.intp],
        places: NDArray[np.intp],
        entries: int,
        results: int,
        capacity: int,
        dtype: np.dtype[Any],
    ) -> None: ...
    @property
    def results(self) -> int: ...
    def plan(self, differences: Differences, x: NDArray[Any]) -> tuple[int, int]: ...
    def decompress(self, differences: Differences, first: int, last: int, out: NDArray[Any]) -> int: ...
    def difference(
        self,
        function: Function,
        differences: Differences,
        colors: Differences,
        x: NDArray[Any],
        out: NDArray[Any],
    ) -> tuple[int, int, int, int]: ...
