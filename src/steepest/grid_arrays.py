"""Fields, and the arrays that derivatives of fields go to: what is taken, and what is refused with which words.

Here so that all functions of `steepest.grid` refuse the same things. Tested in tests/test_grid_gradient.py.
"""

import numpy as np

from .crews import cores
from .options import as_integer, overlaps_itself
from .threads import team_size

__all__ = ["as_outs", "as_team", "check_apart", "has_overrides", "new_like", "plain"]

# Elements from which on more than one thread is thought of.
WORTH_SHARING = 100_000
# What an exact answer to whether two arrays overlap may cost; beyond it they are taken to do.
OVERLAP_WORK = 10_000


def has_overrides(thing):
    """Whether NumPy's functions are not NumPy's for it: masked arrays, arrays of other libraries."""
    return type(thing) not in (np.ndarray, np.memmap) and hasattr(type(thing), "__array_function__")


def plain(array):
    """The numbers of an array, or None if it is more than an array of numbers."""
    if type(array) is np.memmap:
        return array.view(np.ndarray)
    return array if type(array) is np.ndarray else None


def new_like(field, dtype):
    """A new array, in memory as the field is."""
    return np.empty_like(field, dtype)


def as_team(threads, count=WORTH_SHARING):
    """How many threads a call may use, for so many elements if that is known."""
    if threads is None:
        return team_size(cores()) if count >= WORTH_SHARING else 1
    if isinstance(threads, bool):
        raise TypeError(f"threads must be an integer or None, not {threads!r}")
    threads = as_integer(threads, "threads")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return team_size(threads)


def as_outs(out, count, shape, dtype):
    """Where results go, as a list with an array for each: one array as it is, any other number as a tuple of arrays."""
    if count == 1:
        return [check_out(out, "out", shape, dtype)]
    if not isinstance(out, (tuple, list)):
        raise TypeError(f"out must be a tuple of {count} arrays, one for each axis, not {type(out).__name__}")
    if len(out) != count:
        raise ValueError(f"out must be a tuple of {count} arrays, one for each axis, not {len(out)}")
    return [check_out(array, f"out[{i}]", shape, dtype) for i, array in enumerate(out)]


def check_out(out, name, shape, dtype):
    """Refuse what cannot take a result as it is; any layout and byte order is taken."""
    if type(out) not in (np.ndarray, np.memmap):
        raise TypeError(f"{name} must be an array, not {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, but has {out.shape}")
    if out.dtype.newbyteorder("=") != dtype.newbyteorder("="):
        raise TypeError(f"{name} must have dtype {dtype.newbyteorder('=')}, not {out.dtype}")
    if not out.flags.writeable:
        raise ValueError(f"{name} must be writeable")
    if out.size > 1 and not out.flags.forc and overlaps_itself(out):
        raise ValueError(f"{name} must not overlap itself")
    return out


def check_apart(outs, f=None, coordinates=()):
    """Refuse results that would overwrite what is still to be read, or each other."""
    for i, out in enumerate(outs):
        name = "out" if len(outs) == 1 else f"out[{i}]"
        if f is not None and overlap(out, f):
            raise ValueError(f"{name} must not overlap f, whose neighbours are still to be read")
        if any(overlap(out, x) for x in coordinates):
            raise ValueError(f"{name} must not overlap the coordinates")
        for k in range(i):
            if overlap(out, outs[k]):
                raise ValueError(f"{name} must not overlap out[{k}]")


def overlap(a, b):
    """Whether two arrays share memory, or may when that is too much work to find out."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=OVERLAP_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
