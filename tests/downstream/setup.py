"""Builds the extensions beside it as a user of steepest would: nothing of steepest is named but by cimport.

Here so that the public Cython API is tested from outside; ../test_cython_api.py runs it in a copy of this folder.
Same bits as Python on every machine: no fused multiply-add.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

FLAGS = [] if os.name == "nt" else ["-ffp-contract=off"]

setup(
    name="downstream",
    ext_modules=cythonize([
        Extension(name, [f"{name}.pyx"], extra_compile_args=FLAGS)
        for name in ("downstream", "valley", "bowl")
    ], language_level=3),
)
