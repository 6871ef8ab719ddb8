"""Functions named on the command line as module:function, and points given as numbers; nothing is ever evaluated.

Here because text from a command line must not become code. Tested in tests/test_main_check.py.
"""

import importlib
import sys

import numpy as np

__all__ = ["NamingError", "load", "point"]


class NamingError(ValueError):
    """What was named on the command line is not there, or is no name."""


def load(name):
    """The object that ``module:function`` names; ``module:name.attribute`` goes further in.

    The current directory is looked in first, as with ``python -m``.

    Raises
    ------
    NamingError
        For what is no such name, or names nothing. What importing the module raises comes as it is.
    """
    module, colon, path = name.partition(":")
    parts = [*module.split("."), *path.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise NamingError(f"expected module:function, not {name!r}")
    if sys.path[:1] not in ([""], ["."]):
        sys.path.insert(0, "")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(error.name + ".")):
            raise NamingError(f"there is no module {error.name!r} (looked for {name!r})") from None
        raise
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise NamingError(f"{module!r} has no {path!r}") from None
    return found


def point(text):
    """A vector from numbers separated by commas or blanks.

    Raises
    ------
    NamingError
        For what is no finite number.
    """
    numbers = text.replace(",", " ").split()
    try:
        found = np.array([float(number) for number in numbers])
    except ValueError:
        found = np.array([np.nan])
    if found.size == 0 or not np.isfinite(found).all():
        raise NamingError(f"expected finite numbers separated by commas, not {text!r}")
    return found
