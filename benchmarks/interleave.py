"""Contenders timed side by side, A B A B, and judged by the median of their per-round ratios to a limit; and tables.

Here because the clock of a shared machine drifts by more than the differences that matter, and a ratio does not.
Used by every bench_*.py beside it.
"""

import argparse
import gc
import itertools
import json
import os
import platform
import time
from pathlib import Path

import numpy as np

import steepest as sd

ROUNDS = {False: 15, True: 7}           # by `quick`
BLOCK = {False: 5e-3, True: 3e-3}       # seconds that a contender is busy in a round, at least
WAITED = 0.02                           # a round is repeated when other processes held this share of it


class Comparison:
    """Seconds a call of every contender in every round: ``seconds[name]``, one entry a round."""

    def __init__(self, limit, seconds, repeated):
        self.limit, self.repeated = limit, repeated
        self.seconds = {name: np.array(rounds) for name, rounds in seconds.items()}

    def time(self, name):
        """Median of the seconds a call takes."""
        return float(np.median(self.seconds[name]))

    def ratio(self, name):
        """Median over the rounds of the contender's time to the limit's; None for one that did not run."""
        if name not in self.seconds:
            return None
        return float(np.median(self.seconds[name] / self.seconds[self.limit]))

    def spread(self, name):
        """Interquartile range of these ratios, as a share of their median."""
        low, middle, high = np.quantile(self.seconds[name] / self.seconds[self.limit], (0.25, 0.5, 0.75))
        return float((high - low) / middle)


def compare(contenders, limit, quick=False, clock=time.perf_counter):
    """Time contenders in rotating order, with the garbage collector off.

    Parameters
    ----------
    contenders : dict of str to callable
        Each is called without arguments, as often in a block as fills `BLOCK` seconds.
    limit : str
        The contender that the others are divided by.
    quick : bool, optional
        Fewer and shorter rounds.
    clock : callable, optional
        Seconds; ``time.process_time`` leaves out what other processes take, where one thread does everything.

    Returns
    -------
    Comparison
    """
    repeats = {name: calibrate(call, BLOCK[quick]) for name, call in contenders.items()}
    seconds = {name: [] for name in contenders}
    names, repeated, kept = list(contenders), 0, 0
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        while kept < ROUNDS[quick]:
            turn = (kept + repeated) % len(names)
            begin, begin_cpu = time.perf_counter(), time.process_time()
            times = {name: block(contenders[name], repeats[name], clock) for name in names[turn:] + names[:turn]}
            wall, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
            if wall - cpu > WAITED * wall and repeated < 2 * ROUNDS[quick]:
                repeated += 1
                continue
            kept += 1
            for name in names:
                seconds[name].append(times[name])
    finally:
        if collecting:
            gc.enable()
    return Comparison(limit, seconds, repeated)


def block(call, repeats, clock=time.perf_counter):
    """Seconds a call, over `repeats` calls."""
    begin = clock()
    for _ in itertools.repeat(None, repeats):
        call()
    return (clock() - begin) / repeats


def calibrate(call, least):
    """How many calls fill `least` seconds, found after one call that warms up."""
    call()
    repeats = 1
    while True:
        seconds = block(call, repeats) * repeats
        if seconds >= least:
            return repeats
        repeats = max(repeats + 1, min(10 * repeats, int(1.2 * repeats * least / max(seconds, 1e-9))))


# How the numbers of a column are shown; None is a dash everywhere.


def text(value):
    """As it is."""
    return str(value)


def ratio(value):
    """Three decimals where they say something."""
    return f"{value:.3f}" if value < 10 else f"{value:.3g}"


def count(value):
    """Whole."""
    return f"{value:d}"


def share(value):
    """Percent."""
    return f"{100 * value:.1f} %"


def scientific(value):
    """Two digits and an exponent."""
    return f"{value:.1e}"


def duration(value):
    """Seconds in a unit that a person reads."""
    for unit, size in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3)):
        if value < 1000 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} s"


def verdict(value):
    """Whether a target is reached."""
    return "yes" if value else "NO"


class Table:
    """A title, columns (name to how its numbers are shown) and rows; printed aligned, as Markdown, or kept as data."""

    def __init__(self, title, columns, rows, notes=()):
        self.title, self.columns, self.rows, self.notes = title, columns, rows, notes

    def cells(self):
        """Every cell as text, the names of the columns first."""
        shown = [
            ["-" if value is None else show(value) for show, value in zip(self.columns.values(), row, strict=True)]
            for row in self.rows
        ]
        return [list(self.columns), *shown]

    def __str__(self):
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        numeric = [show is not text for show in self.columns.values()]
        lines = [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            ).rstrip()
            for row in cells
        ]
        lines.insert(1, "-" * (sum(widths) + 2 * len(widths) - 2))
        return "\n".join([self.title, "", *lines, *self.notes])

    def markdown(self):
        """The same for a report."""
        head, *body = (["\\|".join(cell.split("|")) for cell in row] for row in self.cells())
        rule = ["---" if show is text else "---:" for show in self.columns.values()]
        lines = ["| " + " | ".join(row) + " |" for row in (head, rule, *body)]
        return "\n".join([f"### {self.title}", "", *lines, *("\n" + note for note in self.notes)])

    def data(self):
        """The numbers, for JSON."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def facts():
    """One line: what was measured, and on what."""
    config = sd.show_config("dicts")
    built = f"{config['compiler']}, {config['instruction set']}"
    return (
        f"steepest {config['steepest']} ({built}), Python {config['python']}, NumPy {config['numpy']}, "
        f"SciPy {config['scipy']}, {platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    )


def command_line(make_tables, plots=False):
    """Print the tables that ``make_tables(quick)`` yields; with options, also as Markdown and JSON.

    With `plots`, ``make_tables(quick, plots=folder)`` can be asked for pictures, too.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append the tables to a Markdown file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    if plots:
        parser.add_argument("--plots", type=Path, metavar="DIR", help="draw pictures into this folder")
    options = parser.parse_args()
    print(facts(), flush=True)
    tables = []
    drawn = {"plots": options.plots} if plots else {}
    for table in make_tables(options.quick, **drawn):
        print(f"\n{table}", flush=True)
        tables.append(table)
    if options.markdown:
        with options.markdown.open("a", encoding="utf-8") as report:
            report.writelines(f"{table.markdown()}\n\n" for table in tables)
    if options.json:
        options.json.write_text(
            json.dumps({"facts": facts(), "tables": [table.data() for table in tables]}, indent=1) + "\n", "utf-8"
        )


if __name__ == "__main__":
    print(facts())
