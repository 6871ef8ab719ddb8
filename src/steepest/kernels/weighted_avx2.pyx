include "weighted.pxi"
