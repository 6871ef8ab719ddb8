"""Line searches, one question at a time: the searches of walks, for whoever asks for one alone.

Here because a search is of use by itself, too; what it does is in _searches.pxi, and its rules in
reference/searches.py, whose `LineSearch` is the twin of this one. Tested in tests/test_linesearch.py.

What limits it: the calls of the function that is searched along.
"""

from libc.math cimport INFINITY, copysign, fabs, isfinite, sqrt
from libc.string cimport memset

include "_searches.pxi"


cdef class LineSearch:
    """A search that waits for what was found at `step`; see `steepest.reference.searches.LineSearch`."""

    cdef Search search
    cdef readonly int status

    def __init__(self, int kind, double f0, double slope0, double step, double above, double error, double decrease,
                 double curvature, int limit, double ceiling):
        if not ARMIJO <= kind <= GLL or limit < 1:
            raise ValueError("there is no such search")
        self.status = search_begins(&self.search, kind, f0, slope0, step, above, error, curvature, ceiling)
        self.search.decrease, self.search.left = decrease, limit

    @property
    def step(self):
        """Where something is wanted, then what is to be taken."""
        return self.search.step

    @property
    def f(self):
        """The value at the step that is to be taken."""
        return self.search.f

    def tell(self, double f, double slope):
        """Say what was found at `step`."""
        if self.status != LOOKING:
            raise ValueError("the search is over")
        self.status = search_goes_on(&self.search, f, slope)
