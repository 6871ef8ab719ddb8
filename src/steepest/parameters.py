"""What is optimised: arrays of the caller's that are changed in place, one, a list, or groups.

Here because an array that cannot be stepped as it is - strided, of foreign byte order - is stepped through a copy, and
because two parameters that share memory would be stepped twice. Tested in tests/test_optim.py.
"""

import numpy as np

from .options import overlaps_itself

__all__ = ["Parameter", "take_parameters"]


class Parameter:
    """An array of the caller's and, where the kernels cannot work on it, a copy that they can.

    Attributes
    ----------
    given : ndarray
        The caller's array.
    array : ndarray
        What the kernels step: the same, or a copy.
    """

    __slots__ = ("array", "given", "name")

    def __init__(self, given, name):
        if not isinstance(given, np.ndarray):
            raise TypeError(f"{name} must be an array that can be changed, not {type(given).__name__}")
        if isinstance(given, np.ma.MaskedArray):
            raise TypeError(f"{name} must not be a masked array")
        if given.dtype.type not in (np.float32, np.float64):
            raise TypeError(f"{name} must be of float32 or float64, not of {given.dtype}")
        if type(given) is not np.ndarray:
            given = given.view(np.ndarray)      # a matrix multiplies otherwise
        if given.size > 1 and overlaps_itself(given):
            raise ValueError(f"{name} must not overlap itself")
        self.given, self.name, self.array = given, name, given
        self.refuse_frozen()
        if not (given.flags.carray and given.dtype.isnative):
            self.array = np.array(given, given.dtype.type, order="C")

    @property
    def copied(self):
        """Whether it is stepped through a copy."""
        return self.array is not self.given

    def refuse_frozen(self):
        """Raise ValueError where the array cannot be written to."""
        if not self.given.flags.writeable:
            raise ValueError(f"{self.name} must be writeable")

    def like(self, value):
        """A new array that goes with it, full of a number."""
        with np.errstate(all="ignore"):
            return np.full(self.array.shape, value, self.array.dtype)


def take_parameters(params):
    """Check what was given as params.

    Returns
    -------
    parameters : list of Parameter
        All of them, in order.
    alone : bool
        One array was given, not a list.
    groups : list of dict
        What each group says beside its parameters.
    members : list of int
        The group of each parameter.
    """
    if isinstance(params, np.ndarray):
        return [Parameter(params, "params")], True, [{}], [0]
    if not isinstance(params, (list, tuple)):
        raise TypeError(f"params must be an array, a list of arrays or a list of groups, not {type(params).__name__}")
    if not any(isinstance(entry, dict) for entry in params):
        params = [{"params": params}]
    arrays, groups, members = [], [], []
    for i, group in enumerate(params):
        given, options = _split(group, i)
        arrays += given
        groups.append(options)
        members += [i] * len(given)
    if not arrays:
        raise ValueError("params must have at least one array")
    parameters = [Parameter(array, f"params[{i}]") for i, array in enumerate(arrays)]
    _refuse_overlaps(parameters)
    return parameters, False, groups, members


def _split(group, i):
    """The arrays of a group and what else it says."""
    if not isinstance(group, dict):
        raise TypeError(f"params must be all arrays or all groups, but group {i} is of {type(group).__name__}")
    if "params" not in group:
        raise ValueError(f"group {i} must have 'params'")
    given = group["params"]
    if isinstance(given, np.ndarray):
        given = [given]
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"the params of group {i} must be an array or a list of arrays, not {type(given).__name__}")
    return list(given), {name: value for name, value in group.items() if name != "params"}


def _span(array):
    """Addresses of the first byte and of the byte after the last."""
    low = high = array.__array_interface__["data"][0]
    for stride, extent in zip(array.strides, array.shape, strict=True):
        reach = stride * (extent - 1)
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high + array.itemsize


def _refuse_overlaps(parameters):
    """Raise ValueError where two parameters share memory: only those are compared whose spans meet."""
    spans = sorted((*_span(parameter.given), i) for i, parameter in enumerate(parameters) if parameter.given.size)
    open_spans = []
    for low, high, i in spans:
        open_spans = [(end, j) for end, j in open_spans if end > low]
        for _, j in open_spans:
            if np.shares_memory(parameters[i].given, parameters[j].given):
                first, second = sorted((i, j))
                raise ValueError(f"params[{second}] must not overlap params[{first}]: each entry is stepped once")
        open_spans.append((high, i))
