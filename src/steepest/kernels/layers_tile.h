/* Matrix products in tiles that stay in registers, for one type: include with REAL and NAMED(name) defined.
 * Here because the sum of every element must be taken in order, which no BLAS promises, and small products are most of
 * a small network. Included by layers.pxi for float and double. Tested in tests/test_layers.py.
 *
 * What limits them: multiplications and additions, which are not fused: an element is ((start + a b) + a b) + ..., the
 * same for every instruction set and every tile. Vectors lie along the columns; wherever the compiler has no vectors of
 * its own, a vector is one number. */

#if defined(STEEPEST_VECTOR_BYTES)
typedef REAL NAMED(vector) __attribute__((vector_size(STEEPEST_VECTOR_BYTES), aligned(sizeof(REAL)), may_alias));
#define VECTOR_LANES (STEEPEST_VECTOR_BYTES / (Py_ssize_t)sizeof(REAL))
#else
typedef REAL NAMED(vector);
#define VECTOR_LANES ((Py_ssize_t)1)
#endif

/* Copy fewer than `bound` elements, a power of two at a time. */
static STEEPEST_INLINE void NAMED(copy)(const Py_ssize_t bound, REAL *to, const REAL *from, Py_ssize_t count)
{
#define STEEPEST_COPY(size) \
    if ((size) < bound && (count & (size))) { \
        memcpy(to, from, (size) * sizeof(REAL)); \
        to += (size); \
        from += (size); \
    }
    STEEPEST_COPY(32)
    STEEPEST_COPY(16)
    STEEPEST_COPY(8)
    STEEPEST_COPY(4)
    STEEPEST_COPY(2)
    STEEPEST_COPY(1)
#undef STEEPEST_COPY
}

/* rows x vectors elements of c = start + a b. These numbers and `turned` are constants wherever this is inlined. */
static STEEPEST_INLINE void NAMED(tile)(const int rows, const int vectors, const int turned, const REAL *const *a,
                                        Py_ssize_t first, const REAL *b, Py_ssize_t b_row, REAL *c, Py_ssize_t c_row,
                                        const REAL *start, Py_ssize_t start_row, Py_ssize_t terms, Py_ssize_t columns)
{
    NAMED(vector) sum[STEEPEST_ROWS][STEEPEST_VECTORS];
    NAMED(vector) factor[STEEPEST_VECTORS];
    REAL edge[STEEPEST_VECTORS * VECTOR_LANES];
    const int whole = columns >= vectors * VECTOR_LANES;
    int i, j;
    Py_ssize_t k;
    STEEPEST_UNROLL
    for (i = 0; i < rows; i++)
        STEEPEST_UNROLL
        for (j = 0; j < vectors; j++)
            sum[i][j] = *(const NAMED(vector) *)(start + i * start_row + j * VECTOR_LANES);
    for (k = 0; k < terms; k++) {
        STEEPEST_UNROLL
        for (j = 0; j < vectors; j++)
            factor[j] = *(const NAMED(vector) *)(b + j * VECTOR_LANES);
        STEEPEST_UNROLL
        for (i = 0; i < rows; i++) {
            const REAL one = turned ? a[k][first + i] : a[first + i][k];
            STEEPEST_UNROLL
            for (j = 0; j < vectors; j++)
                sum[i][j] += one * factor[j];
        }
        b += b_row;
    }
    STEEPEST_UNROLL
    for (i = 0; i < rows; i++) {
        REAL *to = whole ? c + i * c_row : edge;
        STEEPEST_UNROLL
        for (j = 0; j < vectors; j++)
            *(NAMED(vector) *)(to + j * VECTOR_LANES) = sum[i][j];
        if (!whole)
            NAMED(copy)(vectors * VECTOR_LANES, c + i * c_row, edge, columns);
    }
}

/* All rows of one panel of columns, in tiles that grow lower at the end. */
static STEEPEST_INLINE void NAMED(panel)(const int vectors, const int turned, const REAL *const *a, const REAL *b,
                                         Py_ssize_t b_row, REAL *c, Py_ssize_t c_row, const REAL *start,
                                         Py_ssize_t start_row, Py_ssize_t rows, Py_ssize_t terms, Py_ssize_t columns)
{
    Py_ssize_t i = 0;
#define STEEPEST_TILES(height) \
    for (; i + (height) <= rows; i += (height)) \
        NAMED(tile)(height, vectors, turned, a, i, b, b_row, c + i * c_row, c_row, start + i * start_row, start_row, \
                    terms, columns);
#if STEEPEST_ROWS > 4
    STEEPEST_TILES(8)
#endif
    STEEPEST_TILES(4)
    STEEPEST_TILES(2)
    STEEPEST_TILES(1)
#undef STEEPEST_TILES
}

/* All panels. */
static STEEPEST_INLINE void NAMED(panels)(const int turned, const REAL *const *a, const REAL *b, Py_ssize_t b_row,
                                          REAL *c, Py_ssize_t c_row, const REAL *start, Py_ssize_t start_row,
                                          Py_ssize_t rows, Py_ssize_t terms, Py_ssize_t columns, int padded)
{
    Py_ssize_t vectors = (columns + VECTOR_LANES - 1) / VECTOR_LANES;
    Py_ssize_t left = (vectors + STEEPEST_VECTORS - 1) / STEEPEST_VECTORS;
    if (padded)
        columns = vectors * VECTOR_LANES;
    for (; left > 0; left--) {
        const Py_ssize_t width = (vectors + left - 1) / left;
        if (width == 1)
            NAMED(panel)(1, turned, a, b, b_row, c, c_row, start, start_row, rows, terms, columns);
        else if (width == 2)
            NAMED(panel)(2, turned, a, b, b_row, c, c_row, start, start_row, rows, terms, columns);
#if STEEPEST_VECTORS > 2
        else
            NAMED(panel)(3, turned, a, b, b_row, c, c_row, start, start_row, rows, terms, columns);
#endif
        vectors -= width;
        columns -= width * VECTOR_LANES;
        b += width * VECTOR_LANES;
        c += width * VECTOR_LANES;
        start += width * VECTOR_LANES;
    }
}

/* c = start + a b. The rows of a lie where `a` points to, or when it is turned its columns; the rows of b and c are so
 * far apart; start_row is 0 where every row starts from the same. Of b and start whole vectors are read; nothing is
 * written beyond the columns of c, unless it is said to be padded. */
static void NAMED(multiply)(int turned, const REAL *const *a, const REAL *b, Py_ssize_t b_row, REAL *c,
                            Py_ssize_t c_row, const REAL *start, Py_ssize_t start_row, Py_ssize_t rows,
                            Py_ssize_t terms, Py_ssize_t columns, int padded)
{
    if (turned)
        NAMED(panels)(1, a, b, b_row, c, c_row, start, start_row, rows, terms, columns, padded);
    else
        NAMED(panels)(0, a, b, b_row, c, c_row, start, start_row, rows, terms, columns, padded);
}

#undef VECTOR_LANES
#undef REAL
#undef NAMED
