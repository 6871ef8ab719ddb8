include "update.pxi"
