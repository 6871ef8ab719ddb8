"""How many instructions the kernels execute, counted by valgrind, against the counts kept in instructions.json.

Here because a count is exact where the clock is noisy: a kernel that got dearer by 2 % is seen on any machine.
Used by ``ci/benchmark --instructions``; ``--update`` keeps new counts for this compiler.

Only the instructions of functions in the kernels' own shared objects count: neither the interpreter nor f nor the C
library, whose versions differ. Counts depend on the compiler, on Cython and on Python's headers, so each combination
has its own baseline. Exit status 1 when a count grew by more than `LIMIT`; 0 otherwise, also when there is no valgrind
or no baseline, which it says.

All cases run in one process, between marks: calls of a function at which callgrind writes down what it has counted
(``--dump-before``). Collecting inside an entry function only (``--toggle-collect``) would not do: where the compiler
turns a last call into a jump, callgrind misses the return and goes on counting.
"""

import argparse
import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from interleave import Table, text

import steepest as sd
from steepest import kernels
from steepest.kernels import difference, isa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from native_library import build

FOLDER = tempfile.TemporaryDirectory()      # of the library of C functions
LIMIT = 0.02
CALLS = 10      # of each case, after one that is not counted
KERNELS = Path(kernels.__file__).resolve().parent
BASELINES = Path(__file__).with_name("instructions.json")
MARK = "__pyx_pw_*build_facts"      # what Cython calls `mark` in C; its own instructions, in isa, do not count
mark = isa.build_facts


class Case(NamedTuple):
    """Two sizes of one job, so that a fixed cost and one for each unit can be told apart."""

    sizes: tuple[int, int]
    unit: str
    units: int                              # of one entry of x
    make: Callable[[int], Callable]         # size to a call without arguments


def point(n, dtype=np.float64):
    """Where derivatives are taken."""
    return np.random.default_rng(0).uniform(-1, 1, n).astype(dtype)


def prepared_gradient(n, dtype=np.float64, **options):
    """A prepared gradient of a constant."""
    x = point(n, dtype)
    out, gradient = np.empty_like(x), sd.Gradient(lambda x: 1.0, x, **options)
    return lambda: gradient(x, out=out)


@functools.cache
def library():
    """The C functions that the tests compile."""
    return build(FOLDER.name)


def compiled_gradient(n):
    """A prepared gradient of a C function, whose own instructions do not count."""
    x = point(n)
    out, gradient = np.empty_like(x), sd.Gradient(library().ctypes("rosenbrock"), x)
    return lambda: gradient(x, out=out)


def whole_gradient(n):
    """The public call."""
    x = point(n)
    return lambda: sd.gradient(lambda x: 1.0, x)


def jacobian(n):
    """Of ten results that cost nothing."""
    x, result = point(n), np.ones(10)
    prepared = sd.Jacobian(lambda x: result, x)
    return lambda: prepared(x)


def derivative(n):
    """f called with one number at a time."""
    x = point(n)
    return lambda: sd.derivative(lambda x: 1.0, x)


def update_step(rule, n, **options):
    """One step of an update rule."""
    x, gradient = point(n), point(n)
    optimizer = getattr(sd.optim, rule)(x, lr=1e-6, **options)
    return lambda: optimizer.step(gradient)


CASES = {
    "gradient, prepared": Case((2, 100), "call of f", 2, prepared_gradient),
    "gradient, whole call": Case((2, 100), "call of f", 2, whole_gradient),
    "gradient, compiled": Case((2, 100), "call of f", 2, compiled_gradient),
    "gradient, float32": Case((2, 100), "call of f", 2, lambda n: prepared_gradient(n, np.float32)),
    "gradient, order 8": Case((2, 100), "call of f", 8, lambda n: prepared_gradient(n, order=8)),
    "gradient, forward": Case((2, 100), "entry of x", 1, lambda n: prepared_gradient(n, method="forward", order=1)),
    "jacobian, m = 10": Case((2, 100), "call of f", 2, jacobian),
    "derivative": Case((2, 100), "call of f", 2, derivative),
    "momentum step": Case((10, 1000), "element", 1, lambda n: update_step("SGD", n, momentum=0.9)),
    "Adam step": Case((10, 1000), "element", 1, lambda n: update_step("Adam", n)),
}
JOBS = [(name, size) for name, case in CASES.items() for size in case.sizes]


def toolchain():
    """What the counts depend on beside our own sources and flags, as the key of a baseline."""
    # Cython names the module of its shared types after its version.
    cython = type(difference.central_gradient).__module__.removeprefix("_cython_").replace("_", ".")
    built = sd.show_config("dicts")
    python = ".".join(map(str, sys.version_info[:2]))
    inherited = (sysconfig.get_config_var("CFLAGS") or "").split()
    flags = " ".join(dict.fromkeys(flag for flag in inherited if flag.startswith(("-O", "-f", "-m"))))
    return f"{built['compiler']}, {built['instruction set']}, Cython {cython}, CPython {python} built with {flags}"


def run_all():
    """Run every case between two marks: what valgrind watches."""
    gc.disable()
    for name, size in JOBS:
        call = CASES[name].make(size)
        call()
        mark()
        for _ in range(CALLS):
            call()
        mark()


def count_all():
    """Instructions a call, by case, size and kernel."""
    found = {name: {} for name in CASES}
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory, "counts")
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={written}", f"--dump-before={MARK}", "--quiet",
            sys.executable, __file__, "--child",
        ]
        # Of the loops that are built for several instruction sets, those that every processor has.
        environment = {**os.environ, "PYTHONHASHSEED": "0", "STEEPEST_BACKEND": "kernels", "STEEPEST_ISA": "baseline"}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"The cases failed under valgrind:\n{ended.stderr}")
        for job, (name, size) in enumerate(JOBS):
            part = Path(f"{written}.{2 * job + 2}")  # they count from 1, and the odd ones are preparations
            if not part.exists():
                raise SystemExit(f"No mark was seen: is there still a function {MARK} in {isa.__file__}?")
            with part.open(encoding="utf-8") as lines:
                counted = own_instructions(lines)
            found[name][str(size)] = {kernel: total / CALLS for kernel, total in sorted(counted.items())}
    return found


def own_instructions(lines):
    """Instructions by kernel from a file in callgrind's format, without those of functions that they called.

    The format: ``ob=(number) path`` names the object of the cost lines that follow (``cob=`` that of a called function,
    under the same numbers; the path stands at the first use only); ``calls=`` is followed by one line that holds the
    cost of the call, not our own.
    """
    paths, kernel, skip, counted = {}, None, False, Counter()
    for line in lines:
        if line.startswith(("ob=", "cob=")):
            number, _, path = line.strip().partition("=")[2].partition(" ")
            if path:
                paths[number] = Path(path)
            if line.startswith("ob="):
                found = paths[number]
                kernel = found.name.partition(".")[0] if found.parent == KERNELS else None
        elif line.startswith("calls="):
            skip = True
        elif line[0] in "0123456789+-*":
            if kernel and kernel != "isa" and not skip:
                counted[kernel] += int(line.split()[1])
            skip = False
    return counted


def total(by_kernel):
    """Instructions a call."""
    return sum(by_kernel.values())


def table_of(counts, kept):
    """What was counted, beside what is kept."""
    rows = []
    for name, case in CASES.items():
        small, large = case.sizes
        low, high = total(counts[name][str(small)]), total(counts[name][str(large)])
        slope = (high - low) / (large - small)
        changes = [growth(counts, kept, name, str(size)) for size in case.sizes]
        rows.append([
            name, case.unit, slope / case.units, low - slope * small, small, low, changes[0], large, high, changes[1],
        ])
    number, change = "{:.0f}".format, "{:+.1%}".format
    columns = {
        "case": text, "unit": text, "a unit": "{:.1f}".format, "fixed": number,
        "size": number, "a call": number, "change": change,
        "larger size": number, "a call ": number, "change ": change,
    }
    return Table("Instructions inside the kernels", columns, rows)


def growth(counts, kept, name, size):
    """Growth over the baseline, as a share of it; None where there is none."""
    before = kept.get(name, {}).get(size)
    return None if before is None else total(counts[name][size]) / total(before) - 1


def judge(counts, kept):
    """Say which kernels got dearer; the exit status."""
    status = 0
    for name, case in CASES.items():
        for size in map(str, case.sizes):
            change = growth(counts, kept, name, size)
            if change is None:
                print(f"{name}, size {size}: not in the baseline; keep it with --update.")
            elif abs(change) > LIMIT:
                parts = ", ".join(
                    f"{kernel}.pyx {kept[name][size].get(kernel, 0):.0f} -> {instructions:.0f}"
                    for kernel, instructions in counts[name][size].items()
                )
                word = "DEARER" if change > 0 else "cheaper (keep it with --update)"
                print(f"{name}, size {size}: {change:+.1%} {word}: {parts}")
                status |= change > 0
    if status == 0:
        print(f"No kernel got dearer by more than {LIMIT:.0%}.")
    return int(status)


def main():
    """Count, compare, tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--update", action="store_true", help="keep the counts for this compiler")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append the table to a Markdown file")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_all()
        return 0
    if shutil.which("valgrind") is None:
        print("Instructions were not counted: valgrind is not installed (Debian: apt-get install valgrind).")
        return 0
    baselines = json.loads(BASELINES.read_text("utf-8")) if BASELINES.exists() else {}
    key, counts = toolchain(), count_all()
    kept = baselines.get(key, {})
    table = table_of(counts, kept)
    print(f"{key}\n\n{table}\n")
    if options.markdown:
        with options.markdown.open("a", encoding="utf-8") as report:
            report.write(f"{table.markdown()}\n\n")
    if options.update:
        baselines[key] = counts
        BASELINES.write_text(json.dumps(baselines, indent=1, sort_keys=True) + "\n", "utf-8")
        print(f"Kept in {BASELINES.name}.")
        return 0
    if not kept:
        print(f"Nothing was compared: {BASELINES.name} has no baseline for this build; keep one with --update.")
        return 0
    return judge(counts, kept)


if __name__ == "__main__":
    sys.exit(main())
