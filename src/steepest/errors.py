"""The exceptions, warnings and statuses that the library tells by name.

Here so that every floor can raise them without importing the one above. Tested in tests/test_differentiate.py.
"""

from enum import IntEnum

__all__ = [
    "BusyError", "CheckpointError", "CompilationWarning", "DescentStatus", "DifferenceWarning", "FunctionError",
    "GradientError", "SearchStatus", "Status",
]


class BusyError(RuntimeError):
    """A prepared object was changed or entered again while it was at work."""


class CheckpointError(ValueError):
    """A file is no checkpoint, was altered or cut short, or belongs to something else."""


class CompilationWarning(UserWarning):
    """A function of numba's njit is called from Python, which is slower, for a reason that the message tells."""


class DifferenceWarning(RuntimeWarning):
    """Some component of a derivative is unresolved or not finite."""


class FunctionError(RuntimeError):
    """A compiled function has said, by a status below 0, that the run must stop; the status is in `status`."""

    def __init__(self, message, status=None):
        super().__init__(message, status)
        self.status = status

    def __str__(self):
        return str(self.args[0])


class GradientError(AssertionError):
    """A derivative that was checked is wrong, or could not be checked; the text is the report."""


class LimitReachedError(Exception):
    """f may not be called again; never seen outside of a walk."""


class TimeIsOverError(LimitReachedError):
    """The same, for it has become too late."""


class Status(IntEnum):
    """How a component of a derivative was found.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.Status(1).name
    'ONE_SIDED'
    """

    RESOLVED = 0
    ONE_SIDED = 1
    FIXED = 2
    UNRESOLVED = 3
    NONFINITE = 4


class DescentStatus(IntEnum):
    """Why a walk has ended: ``status`` of a result of `minimize`. Only CONVERGED is a success.

    Examples
    --------
    >>> from steepest.errors import DescentStatus
    >>> DescentStatus(3).name
    'STALLED'
    """

    RUNNING = -1
    CONVERGED = 0
    ITERATIONS = 1
    EVALUATIONS = 2
    STALLED = 3
    DECREASE = 4
    STEP = 5
    TARGET = 6
    NONFINITE = 7
    NOISE = 8
    STOPPED = 9
    TIME = 10


class SearchStatus(IntEnum):
    """How a line search has ended: ``status`` of what `steepest.linesearch` gives.

    FOUND: the step satisfies the conditions. AT_LIMIT: it is the longest one allowed, and f decreases enough there.
    EXHAUSTED: no more evaluations. TOO_CLOSE: the interval has shrunk to what numbers resolve. HOPELESS: the function
    does not go down, or is not finite anywhere.

    Examples
    --------
    >>> from steepest.errors import SearchStatus
    >>> SearchStatus(4).name
    'HOPELESS'
    """

    FOUND = 0
    AT_LIMIT = 1
    EXHAUSTED = 2
    TOO_CLOSE = 3
    HOPELESS = 4
