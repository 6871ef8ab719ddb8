# A clock that tells, without the GIL, when Ctrl-C should be looked for again.
# Here because every kernel that runs for long looks at it. Tested in tests/faults/test_native.py and test_grid.py.

cdef extern from *:
    """
    #if defined(_WIN32)
    #include <windows.h>
    static inline long long steepest_milliseconds(void) { return (long long)GetTickCount64(); }
    #else
    #include <time.h>
    /* A clock that is read in a few nanoseconds and moves every few milliseconds. */
    #if !defined(CLOCK_MONOTONIC_COARSE)
    #define CLOCK_MONOTONIC_COARSE CLOCK_MONOTONIC
    #endif
    static inline long long steepest_milliseconds(void)
    {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return 1000LL * now.tv_sec + now.tv_nsec / 1000000;
    }
    #endif
    """
    long long steepest_milliseconds() noexcept nogil

cdef enum:
    BETWEEN_CHECKS = 10     # milliseconds from one look for signals to the next
