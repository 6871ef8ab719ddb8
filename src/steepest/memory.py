"""What prepared gradients remember from one call to the next: noise levels, steps, scales, and which differences serve.

Here because what a call found out at one point mostly holds at the next, where it would cost as many evaluations again.
Tested in tests/test_prepared.py and tests/test_noisy.py.
"""

import itertools

__all__ = ["Memory", "remembered"]

# Calls after which everything is estimated anew, unless a number is given.
EVERY = 10


class Memory:
    """Things found out at a call, each kept for `every` calls in all; all runs of one prepared object share it.

    Every step on it is atomic, so that threads need no lock: the last to find something out is remembered.

    Parameters
    ----------
    every : int
        At least 1.
    only : str, optional
        The one name under which anything is kept; all by default.
    """

    def __init__(self, every, only=None):
        self.every, self.only = every, only
        self._kept: dict = {}

    def recall(self, name):
        """What was kept under a name, or None when it was not, or is too old."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        what, calls = kept
        return what if next(calls) < self.every else None

    def keep(self, name, what):
        """Remember something from this call on."""
        if self.only is None or name == self.only:
            self._kept[name] = what, itertools.count(1)

    def forget(self, name):
        """It no longer holds."""
        self._kept.pop(name, None)


def remembered(memory, name, find):
    """What a memory (or None) has under a name; else what `find` finds out, which is remembered."""
    known = None if memory is None else memory.recall(name)
    if known is None:
        known = find()
        if memory is not None:
            memory.keep(name, known)
    return known
