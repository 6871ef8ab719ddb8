"""Adaptive differences of a noisy f: the level of its noise is found out before the ladder is climbed.

Here because the ladder takes a level and knows nothing of how one is found. Tested in tests/test_noisy.py.
"""

import numpy as np

from .adaptive import AdaptiveLineRun, AdaptiveRun
from .memory import remembered
from .noisy import levels_of

__all__ = ["AdaptiveNoisyLineRun", "AdaptiveNoisyRun"]


class AdaptiveNoisyRun(AdaptiveRun):
    """`AdaptiveRun` with ``noise="auto"``; `level` as of `NoisyRun`."""

    level: np.ndarray | None = None

    def solve(self, x, f0=None, full=False, swept=None):
        """Difference at x, with every fallback."""
        if not self.rows:
            return super().solve(x, f0, full)
        if not self.each and f0 is None:
            f0 = self.value_at(x)
        settings = self.settings
        self.level, doubt = remembered(settings.memory, "noise", lambda: levels_of(self, x, f0))
        self.settings = settings.but(noise=float(self.level.max(initial=0.0)) or None)
        try:
            found = super().solve(x, f0, full)
        finally:
            self.settings = settings
        found.doubt = "; ".join(filter(None, (doubt, found.doubt)))
        return found


class AdaptiveNoisyLineRun(AdaptiveNoisyRun, AdaptiveLineRun):
    """The same along one direction."""
