"""``import steepest`` against ``import numpy``, each in a fresh interpreter: row F8.

Here because a library that is used for one gradient must not cost a second of start-up.
Used by ci/benchmark.
"""

import os
import subprocess
import sys
import time

from interleave import Comparison, Table, command_line, duration, ratio, share, text, verdict

TARGET = 1.3
LIMIT = "import numpy"
STATEMENTS = {
    "nothing": "pass",
    LIMIT: "import numpy",
    "import steepest": "import steepest",
    "scipy": "from scipy.optimize import approx_fprime",
    "statsmodels": "from statsmodels.tools.numdiff import approx_fprime",
    "numdifftools": "import numdifftools",
}
TIMED = "import time\nbegin = time.perf_counter()\n{}\nprint(time.perf_counter() - begin)"
ROUNDS = {False: 21, True: 7}
# One thread, as everywhere (starting OpenBLAS's threads would double the limit); and bytecode is kept, as for any user.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT |= {"OPENBLAS_NUM_THREADS": "1"}


def start(statement):
    """Seconds inside the interpreter for the statement, and for the whole process."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", TIMED.format(statement)]
    told = subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
    return float(told), time.perf_counter() - begin


def tables(quick):
    """One table, by the import itself and by the whole process."""
    names = list(STATEMENTS)
    inside, whole = {name: [] for name in names}, {name: [] for name in names}
    for turn in range(-1, ROUNDS[quick]):  # round -1 fills the caches of the file system and of bytecode
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times = start(STATEMENTS[name])
            if turn >= 0:
                inside[name].append(times[0])
                whole[name].append(times[1])
    inside, whole = Comparison(LIMIT, inside, 0), Comparison(LIMIT, whole, 0)
    rows = []
    for name in names:
        judged = name == "import steepest"
        measured, spread, seconds = inside.ratio(name), inside.spread(name), inside.time(name)
        if name == "nothing":
            measured = spread = seconds = None
        rows.append([
            "F8" if judged else "", name, TARGET if judged else None, measured, spread,
            measured <= TARGET if judged else None, seconds, whole.ratio(name), whole.time(name),
        ])
    columns = {
        "row": text, "import": text, "target": ratio, "measured": ratio, "spread": share, "reached": verdict,
        "time": duration, "whole process": ratio, "its time": duration,
    }
    notes = [
        f"Ratios to `{LIMIT}`: medians of {ROUNDS[quick]} rounds of fresh interpreters that take turns. The time is "
        "that of the statement inside the interpreter; the whole process includes its start and end.",
    ]
    yield Table("F8: what an import costs", columns, rows, notes)


if __name__ == "__main__":
    command_line(tables)
