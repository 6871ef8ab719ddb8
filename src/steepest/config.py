"""What is installed and how it was built.

Here so that a report of a problem can say it in one call. Tested in tests/test_config.py.
"""

import sys

__all__ = ["show_config"]

__version__ = "0.1.0"


def show_config(mode="stdout"):
    """Tell the version, how the kernels were built, and what they run with.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        Print, or give a dictionary.

    Returns
    -------
    dict or None

    Raises
    ------
    ValueError
        For another mode.

    Examples
    --------
    >>> import steepest as sd
    >>> sd.show_config("dicts")["steepest"] == sd.__version__
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', not {mode!r}")
    import numpy
    import scipy

    from .backends import current
    from .kernels.isa import build_facts, instruction_set

    facts = {
        "steepest": __version__,
        "backend": current().name,
        **build_facts(),
        "update rules": instruction_set(),
        "python": sys.version.split()[0],
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
    if mode == "dicts":
        return facts
    for name, value in facts.items():
        print(f"{name:>16}: {value}")
    return None
