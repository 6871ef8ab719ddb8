# Lines of the cache: where the next begins, and how one is written past the caches.
# Here because results that no cache holds are there sooner when their memory is not fetched first, by every kernel that
# sweeps over fields. Tested in tests/test_stencil.py and tests/test_weighted.py.

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__) || defined(_M_X64)
    #include <immintrin.h>
    #endif

    /* Bytes up to the next line of the cache. */
    static inline Py_ssize_t steepest_to_line(const void *out) { return (Py_ssize_t)(-(uintptr_t)out & 63); }

    /* A whole line, written past the caches, which would be fetched into them only to be overwritten. */
    static inline void steepest_stream(void *out, const void *line)
    {
    #if defined(__AVX512F__)
        _mm512_stream_si512((void *)out, _mm512_loadu_si512(line));
    #elif defined(__AVX2__)
        const __m256i *from = (const __m256i *)line;
        _mm256_stream_si256((__m256i *)out, _mm256_loadu_si256(from));
        _mm256_stream_si256((__m256i *)out + 1, _mm256_loadu_si256(from + 1));
    #elif defined(__SSE2__) || defined(_M_X64)
        const __m128i *from = (const __m128i *)line;
        for (int k = 0; k < 4; k++)
            _mm_stream_si128((__m128i *)out + k, _mm_loadu_si128(from + k));
    #else
        memcpy(out, line, 64);
    #endif
    }

    /* A whole line, past the caches where it is aligned and that is wanted. */
    static inline void steepest_put(void *out, const void *line, int past)
    {
        if (past)
            steepest_stream(out, line);
        else
            memcpy(out, line, 64);
    }

    static inline void steepest_fence(void)
    {
    #if defined(__SSE2__) || defined(_M_X64)
        _mm_sfence();
    #endif
    }
    """
    Py_ssize_t steepest_to_line(const void *out) noexcept nogil
    void steepest_stream(void *out, const void *line) noexcept nogil
    void steepest_put(void *out, const void *line, bint past) noexcept nogil
    void steepest_fence() noexcept nogil
