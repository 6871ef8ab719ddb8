"""The same functions as in steepest.kernels, same names, same signatures, in plain NumPy: to be read, and compared with."""
