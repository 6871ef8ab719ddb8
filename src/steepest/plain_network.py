"""Activations and losses in NumPy's own functions, for arrays of any shape.

Here for the proof of gradients, which must not share a fault with what it proves: neither the kernels nor their twin
have a line of this. Tested in tests/test_network_check.py.
"""

import functools

import numpy as np

__all__ = ["activate", "losses"]

FEW = 40


def _gelu(z):
    from scipy.special import ndtr

    return z * ndtr(z)


def _sigmoid(z):
    from scipy.special import expit

    return expit(z)


_ACTIVATIONS: dict = {
    "identity": lambda z: z,
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "softplus": lambda z: np.logaddexp(0.0, z),
    "gelu": _gelu,
    "silu": lambda z: z * _sigmoid(z),
}


def _largest(outputs):
    """The largest entry of each row: NumPy is slow along short rows."""
    if outputs.shape[-1] > FEW:
        return outputs.max(axis=-1)
    return functools.reduce(np.maximum, np.moveaxis(outputs, -1, 0))


def activate(name, z):
    """An activation of every number."""
    return _ACTIVATIONS[name](z)


def losses(name, outputs, y, delta):
    """The loss of every row.

    Parameters
    ----------
    name : str
    outputs : ndarray, (..., rows, outputs)
    y : ndarray, (rows,) of labels or (rows, outputs)
    delta : float
        Of "huber".

    Returns
    -------
    ndarray, (..., rows)
    """
    if name == "softmax_cross_entropy":
        top = _largest(outputs)
        logs = np.log(np.exp(outputs - top[..., None]) @ np.ones(outputs.shape[-1])) + top
        if y.ndim == 1:
            return logs - outputs[..., np.arange(len(y)), y]
        return y.sum(axis=-1) * logs - (y * outputs).sum(axis=-1)
    if name == "binary_cross_entropy":
        return (np.logaddexp(0.0, outputs) - y * outputs).sum(axis=-1)
    apart = abs(outputs - y)
    if name == "huber":
        return np.where(apart <= delta, 0.5 * apart**2, delta * (apart - 0.5 * delta)).mean(axis=-1)
    squares = (apart**2).mean(axis=-1)
    return 0.5 * squares if name == "half_mse" else squares
