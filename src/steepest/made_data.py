"""Samples that are made: small sets of points in the plane, of two classes or more.

Here for examples and tests, which then need no files. Tested in tests/test_made_data.py.
"""

import numpy as np

from .options import as_count, as_number
from .random_numbers import Source

__all__ = ["moons", "spirals", "xor"]


def _cast(X, y, noise, source):
    X = X + noise * source.normal(X.size).reshape(X.shape)
    order = source.permutation(len(X))
    return X[order], y[order]


def xor(rows=200, noise=0.1, seed=None):
    """Four clouds around the corners of a square: class 1 where the signs of the coordinates differ.

    Parameters
    ----------
    rows : int, optional
        Samples, of both classes nearly equally many.
    noise : float, optional
        Standard deviation of what is added to the corners (-1, -1), ..., (1, 1).
    seed : int, optional
        The same samples everywhere.

    Returns
    -------
    X : ndarray, (rows, 2)
    y : ndarray of int, (rows,)

    Examples
    --------
    >>> import steepest as sd
    >>> X, y = sd.network.xor(8, noise=0.0, seed=0)
    >>> bool(((X[:, 0] * X[:, 1] < 0) == y).all())
    True
    """
    rows, noise, source = as_count(rows, "rows"), as_number(noise, "noise", at_least=0.0), Source(seed)
    corner = np.arange(rows) % 4
    X = np.stack([2.0 * (corner // 2) - 1, 2.0 * (corner % 2) - 1], axis=1)
    return _cast(X, (corner // 2 != corner % 2).astype(np.intp), noise, source)


def moons(rows=200, noise=0.1, seed=None):
    """Two half circles of radius 1 that reach into each other.

    Parameters
    ----------
    rows, noise, seed
        As for `xor`.

    Returns
    -------
    X : ndarray, (rows, 2)
    y : ndarray of int, (rows,)

    Examples
    --------
    >>> import steepest as sd
    >>> X, y = sd.network.moons(100, seed=0)
    >>> X.shape, int(y.sum())
    ((100, 2), 50)
    """
    rows, noise, source = as_count(rows, "rows"), as_number(noise, "noise", at_least=0.0), Source(seed)
    y = (np.arange(rows) % 2).astype(np.intp)
    turn = np.pi * source.uniform(rows)
    X = np.stack([np.where(y, 1 - np.cos(turn), np.cos(turn)), np.where(y, 0.5 - np.sin(turn), np.sin(turn))], axis=1)
    return _cast(X, y, noise, source)


def spirals(rows=300, classes=3, noise=0.05, turns=0.75, seed=None):
    """Arms of a spiral around the origin, one for each class, out to radius 1.

    Parameters
    ----------
    rows, noise, seed
        As for `xor`.
    classes : int, optional
        Arms.
    turns : float, optional
        How often an arm goes round.

    Returns
    -------
    X : ndarray, (rows, 2)
    y : ndarray of int, (rows,)

    Examples
    --------
    >>> import steepest as sd
    >>> X, y = sd.network.spirals(90, seed=0)
    >>> X.shape, sorted(set(y.tolist()))
    ((90, 2), [0, 1, 2])
    """
    rows, classes = as_count(rows, "rows"), as_count(classes, "classes")
    noise, turns = as_number(noise, "noise", at_least=0.0), as_number(turns, "turns", at_least=0.0)
    source = Source(seed)
    y = (np.arange(rows) % classes).astype(np.intp)
    radius = source.uniform(rows)
    angle = 2 * np.pi * (turns * radius + y / classes)
    return _cast(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), y, noise, source)
