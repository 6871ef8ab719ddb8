include "vectors.pxi"
