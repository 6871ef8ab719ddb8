include "stencil.pxi"
