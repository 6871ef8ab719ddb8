"""Samples as a network takes them: inputs, targets and weights, checked.

Here so that whatever meets a network meets one set of rules and words. Tested in tests/test_network_inputs.py.
"""

import numpy as np

__all__ = ["as_inputs", "as_targets", "as_weights"]

# By how much rows of probabilities may miss 1.
ROUNDED = 1e-3


def as_inputs(X, network, name="X"):
    """(rows, inputs) of the network's type; one sample may be a vector."""
    X, inputs = _numbers(X, name), network.sizes[0]
    if X.ndim == 1 and len(X) == inputs:
        X = X[None]
    if X.ndim != 2 or X.shape[1] != inputs:
        raise ValueError(f"{name} must have shape (rows, {inputs}), one column for each input of the network, "
                         f"not {X.shape}")
    if len(X) == 0:
        raise ValueError(f"{name} must have at least one row")
    return _finite(X, network.dtype, name)


def as_targets(y, rows, network, name="y"):
    """What the loss of the network takes: labels, or (rows, outputs) of its type."""
    outputs, loss = network.sizes[-1], network.loss_name
    y = _numbers(y, name)
    if loss == "softmax_cross_entropy":
        if y.ndim == 0 or (y.ndim == 1 and y.dtype.kind not in "f"):
            return _labels(np.atleast_1d(y), rows, outputs, name)
        if y.ndim == 1 and not (rows == 1 and len(y) == outputs):
            raise TypeError(f"{name} must be integer labels, or rows of {outputs} probabilities, not {y.dtype}")
    if y.ndim == 0 or (y.ndim == 1 and (outputs == 1 or rows == 1)):
        y = y.reshape(-1, outputs) if y.size == rows * outputs else y
    if y.shape != (rows, outputs):
        plain = f" or ({rows},)" if outputs == 1 else ""
        raise ValueError(f"{name} must have shape ({rows}, {outputs}){plain}, as X has {rows} rows and the network "
                         f"{outputs} outputs, not {y.shape}")
    y = np.ascontiguousarray(_finite(y, network.dtype, name))
    if network.classifies and not ((y >= 0) & (y <= 1)).all():
        raise ValueError(f"{name} must lie in [0, 1] for loss={loss!r}")
    if loss == "softmax_cross_entropy" and not (abs(y.sum(axis=1) - 1) <= ROUNDED).all():
        raise ValueError(f"the rows of {name} must be probabilities, which add up to 1")
    return y


def as_weights(sample_weight, rows):
    """(rows,) of float64, or None."""
    if sample_weight is None:
        return None
    weight = _numbers(sample_weight, "sample_weight")
    if weight.shape != (rows,):
        raise ValueError(f"sample_weight must have shape ({rows},), one entry for each row of X, not {weight.shape}")
    weight = np.ascontiguousarray(_finite(weight, np.dtype(np.float64), "sample_weight"))
    if (weight < 0).any() or not weight.any():
        raise ValueError("sample_weight must be at least 0, and not 0 everywhere")
    return weight


def _numbers(values, name):
    try:
        found = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must be an array: its rows have different lengths") from None
    if found.dtype.kind == "O":
        try:
            found = found.astype(np.float64)
        except (TypeError, ValueError):
            raise TypeError(f"{name} must be numbers, not {type(values).__name__} of objects") from None
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be real numbers, not {found.dtype}")
    return found


def _finite(array, dtype, name):
    """The same in the type of the network; what was finite must stay so."""
    if array.dtype != dtype:
        with np.errstate(over="ignore"):
            array = array.astype(dtype)
    if not np.isfinite(array).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise ValueError(f"{name} must be finite, but {name}{list(place)} is {array[place]} in {dtype.name}")
    return array


def _labels(y, rows, classes, name):
    if y.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one label for each row of X, not {y.shape}")
    if y.size and not (int(y.min()) >= 0 and int(y.max()) < classes):
        wrong = int(np.flatnonzero((y < 0) | (y >= classes))[0])
        raise ValueError(f"{name} must be labels from 0 to {classes - 1}, one for each output, "
                         f"but {name}[{wrong}] is {int(y[wrong])}")
    return np.ascontiguousarray(y, np.int64)
