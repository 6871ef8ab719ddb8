"""How the kernels were built: compiler, flags, instruction set.

Here so that `steepest.show_config()` tells what is really running. Tested in tests/test_config.py.
"""

import os

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

    /* What the processor, and the operating system, can do beyond the baseline. */
    static int steepest_widest(void)
    {
    #if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
            return 2;
        return __builtin_cpu_supports("avx2") ? 1 : 0;
    #else
        return 0;
    #endif
    }
    """
    int steepest_widest() noexcept
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


INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


def instruction_set():
    """Return the name of the widest set that this processor has; ``STEEPEST_ISA`` in the environment lowers it."""
    widest = steepest_widest()
    asked = os.environ.get("STEEPEST_ISA", "")
    if not asked:
        return INSTRUCTION_SETS[widest]
    if asked not in INSTRUCTION_SETS:
        raise ValueError(f"STEEPEST_ISA must be one of {', '.join(INSTRUCTION_SETS)}, not {asked!r}")
    return INSTRUCTION_SETS[min(widest, INSTRUCTION_SETS.index(asked))]
