"""What a derivative comes back as when everything about it is asked for.

Here so that every function with ``full_output`` gives the same object. Tested in tests/test_differentiate.py.
"""

import numpy as np

from .errors import Status

__all__ = ["Derivative", "describe"]

_WORDS = {
    Status.NONFINITE: "not finite",
    Status.UNRESOLVED: "unresolved",
    Status.ONE_SIDED: "one-sided",
    Status.FIXED: "fixed by their bounds",
}


class Derivative:
    """A derivative, and what is known about it.

    Attributes
    ----------
    value : array or scalar
        The derivative.
    error : array or scalar
        Estimate of the absolute error of each component: truncation, rounding and noise; inf where nothing is known.
    step : array or scalar
        The step of each component, negative where it points down, 0 where it is fixed.
    nfev : int
        How often f was called, error bars included.
    status : array of int or int
        A `steepest.Status` for each component.
    message : str
        What is unusual, in words.
    success : bool
        No component is unresolved or not finite.
    """

    def __init__(self, value, error, step, nfev, status, message, success):
        self.value, self.error, self.step, self.nfev, self.status = value, error, step, nfev, status
        self.message, self.success = message, success

    def __repr__(self):
        names = ("value", "error", "step", "status", "nfev", "success", "message")
        return "\n".join(f"{name:>8}: {getattr(self, name)}" for name in names)


def describe(status):
    """Say in one sentence which components are not simply resolved."""
    status = np.asarray(status)
    parts = []
    for code, word in _WORDS.items():
        where = np.argwhere(status == code)
        if len(where):
            first = ", ".join(str(int(i)) for i in where[0])
            at = f" (the first at [{first}])" if first else ""
            parts.append(f"{len(where)} of {status.size} components {word}{at}")
    return "; ".join(parts) or "all components resolved"
