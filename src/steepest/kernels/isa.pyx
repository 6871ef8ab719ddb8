"""How the kernels were built: compiler, flags, instruction set.

Here so that `steepest.show_config()` tells what is really running. Tested in tests/test_config.py.
"""

cdef extern from *:
    """
    #ifndef STEEPEST_FLAGS
    #define STEEPEST_FLAGS "unknown"
    #endif
    #if defined(__clang__)
    #define STEEPEST_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define STEEPEST_COMPILER "gcc " __VERSION__
    #elif defined(_MSC_VER)
    #define STEEPEST_COMPILER "MSVC"
    #else
    #define STEEPEST_COMPILER "unknown"
    #endif
    #if defined(__AVX512F__)
    #define STEEPEST_INSTRUCTION_SET "AVX-512"
    #elif defined(__AVX2__)
    #define STEEPEST_INSTRUCTION_SET "AVX2"
    #elif defined(__x86_64__) || defined(_M_X64)
    #define STEEPEST_INSTRUCTION_SET "x86-64 baseline (SSE2)"
    #elif defined(__aarch64__)
    #define STEEPEST_INSTRUCTION_SET "AArch64 baseline (NEON)"
    #else
    #define STEEPEST_INSTRUCTION_SET "baseline"
    #endif
    """
    const char *STEEPEST_FLAGS
    const char *STEEPEST_COMPILER
    const char *STEEPEST_INSTRUCTION_SET


def build_facts():
    """Return the compiler, its flags, and the instruction set that the kernels were built for."""
    return {
        "compiler": STEEPEST_COMPILER.decode(),
        "flags": STEEPEST_FLAGS.decode(),
        "instruction set": STEEPEST_INSTRUCTION_SET.decode(),
    }
