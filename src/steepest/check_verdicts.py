"""From a derivative given and one estimated to a verdict for each component.

Here so that whoever estimates - differences of f, or a network that knows its layers - judges alike. Tested in
tests/test_check.py.
"""

import numpy as np

from .check_ladder import BARS

RIGHT, WRONG, KINK, UNRESOLVED, NONFINITE = range(5)
WORDS = np.array(["right", "wrong", "kink", "unresolved", "wrong (non-finite)"])
# A bar may be this share of its component at most, or of what the component is part of: this share of the largest one
# and of what the component changes by over the scale of its x.
COARSE, NEGLIGIBLE, SMALL_CHANGE = 0.1, 1e-4, 1e-3


def judge(given, estimate, error, rtol=0.0, slack=0.0, unit=1.0, change=0.0, kinks=None):
    """Compare derivatives with estimates of them.

    Parameters
    ----------
    given, estimate, error : arrays, (rows, m)
        What is to be judged; an estimate, NaN where there is none; and the bar of its error.
    rtol, slack : float; float or array
        Relative and absolute error that is granted to `given`.
    unit : array, (rows, 1), or float
        The scale of each x.
    change : array or float
        By how much a component changes with its x: the second derivative, roughly.
    kinks : tuple of arrays, optional
        ``(there is a kink, lowest slope, highest slope)``.

    Returns
    -------
    ratio : array
        ``|given - estimate|`` in units of what is tolerated: above 1 is wrong.
    verdict : array of int
        RIGHT, WRONG, KINK, UNRESOLVED or NONFINITE.
    """
    with np.errstate(all="ignore"):
        size = np.fmax(abs(given), abs(estimate))
        tolerance = BARS * error + rtol * size + slack
        apart = abs(given - estimate)
        ratio = np.where(apart == 0, 0.0, apart / tolerance)
        verdict = np.where(ratio <= 1, RIGHT, WRONG)
        whole = np.where(np.isfinite(estimate), abs(estimate) * unit, 0).max(axis=0, initial=0)
        bars = BARS * error
        blunt = (bars > COARSE * size) & (bars * unit > NEGLIGIBLE * whole)
        blunt &= (bars > SMALL_CHANGE * change * unit) & ((given != 0) | (estimate != 0))
        if kinks is not None:
            there, low, high = kinks
            inside = (given >= low - slack) & (given <= high + slack)
            verdict = np.where(there, np.where(inside, KINK, WRONG), verdict)
            blunt &= ~there
        verdict[(verdict == RIGHT) & blunt] = UNRESOLVED
    verdict[~np.isfinite(estimate) | ~np.isfinite(error)] = UNRESOLVED
    verdict[~np.isfinite(given)] = NONFINITE
    ratio[~np.isfinite(given)] = np.inf
    if kinks is not None:
        ratio[verdict == KINK] = 0.0
        ratio[(verdict == WRONG) & ~(ratio > 1)] = np.inf
    return ratio, verdict
