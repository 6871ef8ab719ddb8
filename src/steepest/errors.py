"""The exceptions, warnings and statuses that the library tells by name.

Here so that every floor can raise them without importing the one above. Tested in tests/test_differentiate.py.
"""

from enum import IntEnum

__all__ = ["BusyError", "DifferenceWarning", "Status"]


class BusyError(RuntimeError):
    """A prepared object was changed or entered again while it was at work."""


class DifferenceWarning(RuntimeWarning):
    """Some component of a derivative is unresolved or not finite."""


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
