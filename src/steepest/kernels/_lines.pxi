# Lines of the cache: where the next begins, and how one is written, into the caches or past them.
# Here because results beyond the caches are written sooner when they are not fetched first. Tested in
# tests/test_weighted.py.

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__) || defined(_M_X64)
    #include <immintrin.h>
    #endif

    /* Bytes up to the next line of the cache. */
    static inline Py_ssize_t steepest_before_line(const void *out) { return (Py_ssize_t)(-(uintptr_t)out & 63); }

    /* A whole line; past the caches it must be aligned. */
    static inline void steepest_put_line(void *out, const void *line, int past)
    {
    #if defined(__AVX512F__)
        if (past) { _mm512_stream_si512((void *)out, _mm512_loadu_si512(line)); return; }
    #elif defined(__AVX2__)
        if (past) {
            const __m256i *from = (const __m256i *)line;
            _mm256_stream_si256((__m256i *)out, _mm256_loadu_si256(from));
            _mm256_stream_si256((__m256i *)out + 1, _mm256_loadu_si256(from + 1));
            return;
        }
    #elif defined(__SSE2__) || defined(_M_X64)
        if (past) {
            const __m128i *from = (const __m128i *)line;
            for (int k = 0; k < 4; k++)
                _mm_stream_si128((__m128i *)out + k, _mm_loadu_si128(from + k));
            return;
        }
    #endif
        memcpy(out, line, 64);
    }

    /* What was written past the caches is there for other threads from here on. */
    static inline void steepest_end_lines(void)
    {
    #if defined(__SSE2__) || defined(_M_X64)
        _mm_sfence();
    #endif
    }
    """
    Py_ssize_t steepest_before_line(const void *out) noexcept nogil
    void steepest_put_line(void *out, const void *line, bint past) noexcept nogil
    void steepest_end_lines() noexcept nogil
