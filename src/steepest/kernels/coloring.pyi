# Types of coloring.pyx, for type checkers and editors. Checked against the compiled module by stubtest, in ci/test.

import numpy as np
from numpy.typing import NDArray

def group(keys: NDArray[np.intp], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]: ...
def transposed(
    indptr: NDArray[np.intp], indices: NDArray[np.intp], count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]: ...
def ordering(
    indptr: NDArray[np.intp],
    indices: NDArray[np.intp],
    by_column: NDArray[np.intp],
    rows: NDArray[np.intp],
    order: int,
) -> NDArray[np.intp]: ...
def first_fit(
    by_column: NDArray[np.intp], rows: NDArray[np.intp], row_count: int, sequence: NDArray[np.intp] | None = None
) -> NDArray[np.intp]: ...
def star_coloring(
    indptr: NDArray[np.intp], indices: NDArray[np.intp], sequence: NDArray[np.intp] | None = None
) -> NDArray[np.intp]: ...
def star_sources(
    indptr: NDArray[np.intp], indices: NDArray[np.intp], colors: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]: ...
