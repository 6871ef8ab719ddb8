"""``python -m steepest slopes``: a table of numbers in, the same table with slopes out.

Here so that a curve that was measured gets its slopes without a line of Python. Tested in tests/test_main_slopes.py.
"""

import csv
import json
import math
import sys

__all__ = ["TableError", "add_parser", "read_table", "run"]


class TableError(ValueError):
    """A file is no table of numbers: one line that names file, row and column."""


def add_parser(commands):
    """Declare the command."""
    parser = commands.add_parser("slopes", help="slopes of samples in a CSV file, from their neighbours")
    parser.add_argument("file", help="a table: rows of numbers between commas, semicolons, tabs or blanks, of which "
                                     "the first may hold names; - for the standard input")
    parser.add_argument("--x", default="1", metavar="column", help="name or number (from 1) of the coordinates")
    parser.add_argument("--y", default="2", metavar="column", help="name or number of the values")
    parser.add_argument("--law", action="store_true", help="say which power law or polynomial the table follows, too")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--markdown", action="store_true", help="a table in Markdown")
    shape.add_argument("--csv", action="store_true", help="a table with commas and all digits")
    shape.add_argument("--json", action="store_true", help="one JSON object")


def run(chosen):
    """Print the table, and give the exit status."""
    from .formula import slope_table

    try:
        x, y = read_table(chosen.file, chosen.x, chosen.y)
        table = slope_table(y, x)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        print(f"steepest: {chosen.file}: {reason}", file=sys.stderr)
        return 2
    except ValueError as error:
        text = str(error) if isinstance(error, TableError) else f"{chosen.file}: {error}"
        print(f"steepest: {text}", file=sys.stderr)
        return 2
    laws = _laws(x, y) if chosen.law else {}
    if chosen.json:
        columns = {name: [None if math.isnan(value) else value for value in getattr(table, name).tolist()]
                   for name in ("x", "y", "slope", "error")}
        print(json.dumps(columns | laws))
        return 0
    print(table.csv() if chosen.csv else table.markdown() if chosen.markdown else table, end="" if chosen.csv else "\n")
    for name, law in laws.items():
        mark = "#" if chosen.csv else ""
        print(f"{mark}{name}: " + (f"{law['text']}, gradient {law['gradient']}" if law else "none"))
    return 0


def _laws(x, y):
    """What is found behind the table: the power law and the polynomial, or None."""
    from .formula import polynomial, power_law

    found = {}
    for name, fit, least in (("power law", power_law, 3), ("polynomial", polynomial, 3)):
        law = fit(x, y) if len(x) >= least else None
        found[name] = {"text": law.text, "gradient": law.gradient.text} if law is not None and law.ok else None
    return found


def read_table(path, x="1", y="2"):
    """Two columns of a file, each a list of numbers.

    Raises
    ------
    TableError
        For what is no table of numbers, naming file, row and column.
    OSError
        As `open`.
    """
    if path == "-":
        lines = sys.stdin.read().splitlines()
    else:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    rows = [(number, _split(line)) for number, line in enumerate(lines, 1) if line.strip() and line.lstrip()[0] != "#"]
    if not rows:
        raise TableError(f"{path}: it has no rows")
    names = None
    if not any(_is_number(cell) for cell in rows[0][1]):
        names = [cell.strip() for cell in rows.pop(0)[1]]
    if not rows:
        raise TableError(f"{path}: it has names, and no row of numbers")
    width = len(names or rows[0][1])
    columns = [_column_of(path, wanted, names, width) for wanted in (x, y)]
    found: list = [[], []]
    for number, cells in rows:
        if len(cells) != width:
            raise TableError(f"{path}: row {number} has {len(cells)} columns, expected {width}")
        for k, column in enumerate(columns):
            try:
                value = float(cells[column])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                name = f"{column + 1}" + (f" ({names[column]!r})" if names else "")
                raise TableError(f"{path}: row {number}, column {name} must be a finite number, "
                                 f"not {cells[column].strip()!r}")
            found[k].append(value)
    return found


def _split(line):
    for mark in (";", "\t", ","):
        if mark in line:
            return next(csv.reader([line], delimiter=mark))
    return line.split()


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _column_of(path, wanted, names, width):
    if names and wanted in names:
        return names.index(wanted)
    if wanted.isdigit() and 1 <= int(wanted) <= width:
        return int(wanted) - 1
    there = ", ".join(map(repr, names)) if names else f"1 to {width}"
    raise TableError(f"{path}: there is no column {wanted!r}, only {there}")
