"""The table of compiled kernels and the flags each is built with; everything else is in pyproject.toml.

Switches, read from the environment at build time:
  STEEPEST_SANITIZE=1   address and undefined-behaviour sanitizers (gcc or clang; used by ci/sanitize)
  STEEPEST_DEBUG=1      bounds and None checks inside the kernels, -O1 -g
"""

import glob
import os
import platform
import re
import sys
from pathlib import Path

import Cython
import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError, PlatformError

SANITIZE = os.environ.get("STEEPEST_SANITIZE") == "1"
DEBUG = os.environ.get("STEEPEST_DEBUG") == "1" or SANITIZE

# Same bits on every machine: no fused multiply-add, no value-changing optimisation, no -march=native.
SAME_BITS = ["-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"]
UNIX_FLAGS = ["-O3", *SAME_BITS, "-fvisibility=hidden", "-g0"]
DEBUG_FLAGS = ["-O1", *SAME_BITS, "-g"]
MSVC_FLAGS = ["/O2", "/fp:precise"]
# Python's own flags define signed overflow (-fwrapv), which would hide it from the sanitizer.
SANITIZERS = ["-fsanitize=address,undefined,float-cast-overflow"]
SANITIZE_FLAGS = [*SANITIZERS, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-fno-wrapv"]

KERNELS: dict = dict.fromkeys(("isa", "function", "callback", "native", "difference", "ladder", "coloring",
                              "compressed", "descent", "searches", "sampler"))
# The hot ones, whose loops are built for several instruction sets.
LOOPS = ("update", "stencil", "weighted", "fused", "layers")
KERNELS.update(dict.fromkeys(name for loop in LOOPS for name in (loop, f"{loop}_baseline")))
LOOPS += ("vectors",)      # which only descent uses
KERNELS["vectors_baseline"] = None
# The hot arithmetic once more for each wider instruction set, chosen at import: the same bits, sooner.
WIDER = {
    "avx2": ["-mavx2"],
    # tuned for such a processor, or Lion's momentum is read three times, as part of three instructions
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mprefer-vector-width=512",
               "-mtune=skylake-avx512"],
}
# Loops over a line of the cache stay loops until they are made vectors: unrolled before, gcc leaves half scalar.
OF_LINES = {"weighted": ["--param=max-completely-peel-times=4"]}
MSVC_WIDER = {"avx2": ["/arch:AVX2"], "avx512": ["/arch:AVX512"]}
if platform.machine().lower() in ("x86_64", "amd64"):
    KERNELS.update({f"{loop}_{name}": name for loop in LOOPS for name in WIDER})

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "nonecheck": DEBUG,
    "cdivision": True,
    "auto_pickle": False,
    "autotestdict": False,
    "embedsignature": False,
}

for variable in ("CFLAGS", "CPPFLAGS", "LDFLAGS"):
    if re.search(r"-Ofast|-ffast-math|-funsafe-math-optimizations", os.environ.get(variable, "")):
        raise SystemExit(f"steepest: fast-math flags in {variable} change results for the whole process; remove them.")


class BuildKernels(build_ext):
    """Choose the flags when the compiler is known, and say in one sentence when there is none."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        msvc = self.compiler.compiler_type == "msvc"
        flags = MSVC_FLAGS if msvc else DEBUG_FLAGS if DEBUG else UNIX_FLAGS
        flags = flags + SANITIZE_FLAGS if SANITIZE else flags
        # Time stamps do not show that switches or tools have changed since the last build in this tree.
        recipe = "\n".join(map(str, (sys.version, Cython.__version__, numpy.__version__, flags, DIRECTIVES, WIDER,
                                      OF_LINES)))
        stamp = Path("build", "recipe")
        self.force = self.force or not stamp.is_file() or stamp.read_text() != recipe
        stamp.unlink(missing_ok=True)
        for extension in self.extensions:
            [translated] = cythonize([extension], compiler_directives=DIRECTIVES, force=self.force)
            extension.sources = translated.sources
            name = extension.name.rpartition(".")[2]
            wider = KERNELS[name]
            extension.extra_compile_args = flags + ((MSVC_WIDER if msvc else WIDER)[wider] if wider else [])
            extension.extra_compile_args += [] if msvc else OF_LINES.get(name.rpartition("_")[0], [])
            extension.extra_link_args = SANITIZERS if SANITIZE else []
            extension.define_macros.append(("STEEPEST_FLAGS", '"' + " ".join(flags) + '"'))
        try:
            super().build_extensions()
        except (CCompilerError, PlatformError) as error:
            raise SystemExit(
                f"steepest: the kernels could not be compiled ({error}). "
                "A C compiler and Python's headers are needed (Debian: apt-get install gcc libc6-dev python3-dev)."
            ) from error
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(recipe)


setup(
    cmdclass={"build_ext": BuildKernels},
    ext_modules=[
        Extension(
            f"steepest.kernels.{name}",
            [f"src/steepest/kernels/{name}.pyx"],
            include_dirs=[numpy.get_include()],
            depends=glob.glob(f"src/steepest/kernels/{name.partition('_')[0]}_*.h"),
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_22_API_VERSION")],
        )
        for name in KERNELS
    ],
)
