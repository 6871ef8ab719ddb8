"""The functions of steepest.kernels, same names, same signatures, in plain NumPy: to be read, and compared with."""
