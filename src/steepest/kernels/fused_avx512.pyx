include "fused.pxi"
