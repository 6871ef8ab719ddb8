"""Parameters in several arrays: lists, tuples and dicts of them, seen as one vector, and the names of its entries.

Here so that the gradient of a network is checked layer by layer while the differences move one flat vector. Tested in
tests/test_nested.py.
"""

import math

import numpy as np

from .options import as_point
from .reference.callback import array_result, lent_copy

__all__ = ["Layout", "OnParts", "is_nested"]


def is_nested(x):
    """Whether x is a dict, or a list or tuple that holds arrays or dicts at some depth: lists of numbers are arrays."""
    if isinstance(x, dict):
        return True
    if isinstance(x, (list, tuple)):
        return any((isinstance(part, np.ndarray) and part.ndim > 0) or is_nested(part) for part in x)
    return False


class Layout:
    """Where the arrays of a nested x stand in one vector, and what they are called.

    Attributes
    ----------
    names : list of str
        Of the arrays: ``W1`` for the entry of a dict, ``x[0]`` for that of a list, ``encoder.W`` and so on inside.
    shapes, dtypes : lists
    ends : list of int
        Where each array ends in the vector.
    nested : bool
        False for one array, or one number.
    """

    def __init__(self, x, label="x", convert=as_point):
        self.label, self.nested = label, is_nested(x)
        self.names, self.shapes, self.dtypes, self.ends = [], [], [], []
        self._arrays: list = []
        self._tree = self._take(x, "", label, convert) if self.nested else self._leaf(x, label, label, convert)
        parts, self._arrays = self._arrays, []
        if not parts:
            raise ValueError(f"{label} must hold at least one array")
        self.flat = np.concatenate([part.reshape(-1) for part in parts]) if self.nested else parts[0].reshape(-1)

    def _take(self, x, name, path, convert):
        if isinstance(x, dict):
            for key in x:
                if not isinstance(key, str):
                    raise TypeError(f"{path} must have names as keys, but has {key!r}")
            return {key: self._take(part, self._below(name, key), f"{path}[{key!r}]", convert)
                    for key, part in x.items()}
        if isinstance(x, (list, tuple)) and is_nested(x):
            return [self._take(part, f"{name or self.label}[{i}]", f"{path}[{i}]", convert)
                    for i, part in enumerate(x)]
        return self._leaf(x, name, path, convert)

    @staticmethod
    def _below(name, key):
        return f"{name}.{key}" if name else key

    def _leaf(self, x, name, path, convert):
        array = convert(x, path)
        self._arrays.append(array)
        self.names.append(name)
        self.shapes.append(array.shape)
        self.dtypes.append(array.dtype)
        self.ends.append((self.ends[-1] if self.ends else 0) + array.size)
        return len(self.names) - 1

    @property
    def size(self):
        """Numbers in all."""
        return self.ends[-1]

    def build(self, flat):
        """The nested x of a vector; its arrays are views."""
        return _put(self._tree, [flat[part].reshape(shape) for _, shape, part in self.slices()])

    def flatten(self, result, label, call):
        """The vector of a nested result, checked against this layout; the coarsest precision found in it, too."""
        found: list = []
        self._compare(self._tree, result, label, found, call)
        return np.concatenate([array.reshape(-1) for array, _ in found]), max(eps for _, eps in found)

    def _compare(self, tree, result, label, found, call):
        if isinstance(tree, dict):
            if not isinstance(result, dict) or set(result) != set(tree):
                raise ValueError(f"{label} returned {_outline(result)} in evaluation {call}, "
                                 f"expected a dict with keys {', '.join(map(repr, tree))}")
            for key, part in tree.items():
                self._compare(part, result[key], f"{label}[{key!r}]", found, call)
        elif isinstance(tree, list):
            if not isinstance(result, (list, tuple)) or len(result) != len(tree):
                raise ValueError(f"{label} returned {_outline(result)} in evaluation {call}, "
                                 f"expected a list of {len(tree)}")
            for i, (part, inner) in enumerate(zip(tree, result, strict=True)):
                self._compare(part, inner, f"{label}[{i}]", found, call)
        else:
            found.append(as_leaf(result, self.shapes[tree], label, call))

    def name(self, i):
        """What entry i of the vector is called."""
        leaf = int(np.searchsorted(self.ends, i, side="right"))
        shape = self.shapes[leaf]
        place = i - self.ends[leaf] + math.prod(shape)
        index = ", ".join(str(int(k)) for k in np.unravel_index(place, shape)) if shape else ""
        return self.names[leaf] + (f"[{index}]" if index else "")

    def slices(self):
        """``(name, shape, slice of the vector)`` of every array."""
        start = 0
        for name, shape, end in zip(self.names, self.shapes, self.ends, strict=True):
            yield name, shape, slice(start, end)
            start = end


def _outline(result):
    if isinstance(result, dict):
        return f"a dict with keys {', '.join(map(repr, result))}"
    if isinstance(result, (list, tuple)):
        return f"a {type(result).__name__} of {len(result)}"
    shape = getattr(result, "shape", None)
    return f"an array of shape {shape}" if isinstance(shape, tuple) else type(result).__name__


def as_leaf(result, shape, label, call):
    """One array of a result as longdouble or float64, a copy, and the precision in which it came."""
    dtype = getattr(result, "dtype", None)
    real = isinstance(dtype, np.dtype) and dtype.kind == "f"
    wide = np.longdouble if real and dtype.char == "g" else np.float64
    array = array_result(result, np.dtype(wide), shape, label, call)
    return array, float(np.finfo(dtype).eps) if real else float(np.finfo(np.float64).eps)


class OnParts:
    """A function of a nested x as one of a vector; it can be sent to other processes when the function can."""

    def __init__(self, f, layout):
        self.f, self.layout = f, layout

    def __call__(self, flat, *args, **kwargs):
        return self.f(self.layout.build(flat), *args, **kwargs)

    def lend(self, flat):
        """Copies of the arrays, in their own types, for a function to do with as it likes."""
        copies = [lent_copy(np.ascontiguousarray(flat[part], dtype).reshape(shape)) for (_, shape, part), dtype
                  in zip(self.layout.slices(), self.layout.dtypes, strict=True)]
        return _put(self.layout._tree, copies)


def _put(tree, arrays):
    if isinstance(tree, dict):
        return {key: _put(part, arrays) for key, part in tree.items()}
    if isinstance(tree, list):
        return [_put(part, arrays) for part in tree]
    return arrays[tree]
