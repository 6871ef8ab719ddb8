include "layers.pxi"
