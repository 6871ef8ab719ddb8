"""The table of compiled kernels and the flags each is built with; everything else is in pyproject.toml.

Switches, read from the environment at build time:
  STEEPEST_SANITIZE=1   address and undefined-behaviour sanitizers (used by ci/sanitize)
  STEEPEST_DEBUG=1      bounds and None checks inside the kernels, -O1 -g
"""

import os
import re

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SANITIZE = os.environ.get("STEEPEST_SANITIZE") == "1"
DEBUG = os.environ.get("STEEPEST_DEBUG") == "1" or SANITIZE

# Same bits on every machine: no fused multiply-add, no value-changing optimisation, no -march=native.
UNIX_FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fvisibility=hidden", "-g0"]
MSVC_FLAGS = ["/O2", "/fp:precise"]
DEBUG_FLAGS = ["-O1", "-g", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-fno-wrapv"]

KERNELS = ["isa", "callback", "difference", "update"]

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": True,
    "auto_pickle": False,
    "embedsignature": False,
}

if re.search(r"-Ofast|-ffast-math|-funsafe-math-optimizations", os.environ.get("CFLAGS", "") + os.environ.get("LDFLAGS", "")):
    raise SystemExit("steepest: fast-math flags in CFLAGS or LDFLAGS change results for the whole process; remove them.")


class BuildKernels(build_ext):
    """Choose the flags when the compiler is known, and say in one sentence when there is none."""

    def build_extensions(self):
        msvc = self.compiler.compiler_type == "msvc"
        compile_flags = MSVC_FLAGS if msvc else DEBUG_FLAGS if DEBUG else UNIX_FLAGS
        link_flags = []
        if SANITIZE:
            compile_flags, link_flags = compile_flags + SANITIZERS, SANITIZERS[:1]
        for extension in self.extensions:
            extension.extra_compile_args = compile_flags
            extension.extra_link_args = link_flags
            extension.define_macros.append(("STEEPEST_FLAGS", '"' + " ".join(compile_flags) + '"'))
        try:
            super().build_extensions()
        except Exception as error:
            raise SystemExit(
                f"steepest: the kernels could not be compiled ({error}). "
                "A C compiler and Python's headers are needed (Debian: apt-get install gcc libc6-dev python3-dev)."
            ) from error


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=cythonize(
        [
            Extension(
                f"steepest.kernels.{name}",
                [f"src/steepest/kernels/{name}.pyx"],
                include_dirs=[numpy.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_22_API_VERSION")],
            )
            for name in KERNELS
        ],
        compiler_directives=DIRECTIVES,
        force=DEBUG,
    ),
)
