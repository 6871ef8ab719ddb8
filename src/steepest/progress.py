"""A bar that counts evaluations of f while a derivative is under way.

Here so that everything that evaluates f shows its progress alike, and the package works without tqdm. Tested in
tests/test_workers.py.
"""

import threading


class Bar:
    """One bar of tqdm's for all calls that overlap: shown at the first evaluation, closed when the last call ends."""

    def __init__(self, of="evaluations"):
        try:
            from tqdm.auto import tqdm
        except ImportError:
            raise ImportError("progress=True needs tqdm: pip install steepest[progress]") from None

        class Quiet(tqdm):
            """Without the thread that redraws bars which nobody moves on."""

            monitor_interval = 0

        self._make, self._of = Quiet, of
        self._lock = threading.Lock()
        self._shown, self._calls = None, 0

    def __enter__(self):
        with self._lock:
            self._calls += 1
        return self

    def __exit__(self, *exception):
        with self._lock:
            self._calls -= 1
            if self._calls == 0 and self._shown is not None:
                self._shown.close()
                self._shown = None

    @property
    def done(self):
        """How many evaluations were counted."""
        return 0 if self._shown is None else self._shown.n

    def expect(self, count):
        """Announce evaluations; those that were announced for later are among them."""
        with self._lock:
            if self._shown is None:
                self._shown = self._make(total=0, desc="steepest", unit=f" {self._of}")
            if self._shown.n + count > self._shown.total:
                self._shown.total = self._shown.n + count
                self._shown.refresh()

    def advance(self, count):
        """Count evaluations that are done."""
        with self._lock:
            if self._shown is not None:
                self._shown.update(count)
