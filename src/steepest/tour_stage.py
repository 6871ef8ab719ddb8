"""What the chapters of the tour share: lines of text, pictures, bars, and kernel beside reference.

Here so that a chapter is what it shows. Tested in tests/test_main.py.
"""

import math
from importlib import import_module
from pathlib import Path

import numpy as np

from .backends import backend

__all__ = ["MissingPackageError", "Stage", "on_both", "progress", "samples_of", "sparkline"]

SPARKS = "▁▂▃▄▅▆▇█"


class MissingPackageError(ImportError):
    """A package that the tour needs is not installed."""


class Stage:
    """Where a chapter is shown.

    Parameters
    ----------
    write : callable
        Takes a line of text.
    plots : str or path-like, optional
        The folder that pictures are written into.
    """

    def __init__(self, write, plots=None):
        self.write, self.plots = write, None if plots is None else Path(plots)

    def heading(self, text):
        """The title of a chapter."""
        self.write("")
        self.write(text)
        self.write("─" * len(text))

    def picture(self, name, draw):
        """Draw a picture into the folder, where one was given: ``draw(axes)``."""
        if self.plots is None:
            return
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise MissingPackageError(
                "pictures need matplotlib, which is not installed: pip install matplotlib") from None
        self.plots.mkdir(parents=True, exist_ok=True)
        figure = Figure(figsize=(6, 4.5), layout="constrained")
        draw(figure.add_subplot())
        path = self.plots / f"{name}.png"
        figure.savefig(path, dpi=110)
        self.write(f"   picture: {path}")


def on_both(function):
    """The result on the kernels, and whether the reference gives the same bits."""
    with backend("kernels"):
        fast = function()
    with backend("reference"):
        plain = function()
    return fast, np.array_equal(fast, plain)


def samples_of(name):
    """One of the sets of samples that ship with scikit-learn: inputs and targets."""
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError:
        raise MissingPackageError(
            "the tour shows data that ship with scikit-learn, which is not installed: pip install scikit-learn"
        ) from None
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def sparkline(values, width=60):
    """A curve in one line of text, both axes logarithmic."""
    picked = [math.log(values[round(len(values) ** (k / (width - 1))) - 1]) for k in range(width)]
    low, high = min(picked), max(picked)
    return "".join(SPARKS[round((value - low) / (high - low or 1) * (len(SPARKS) - 1))] for value in picked)


class progress:
    """A bar of tqdm's while something long goes on, where tqdm is installed; gives the function that moves it on."""

    def __init__(self, total, label):
        self.total, self.label, self.bar = total, label, None

    def __enter__(self):
        try:
            from tqdm import tqdm
        except ImportError:
            return lambda: None
        self.bar = tqdm(total=self.total, desc=f"   {self.label}", leave=False, unit="step")
        return lambda: self.bar.update() and None

    def __exit__(self, *exception):
        if self.bar is not None:
            self.bar.close()
        return False
