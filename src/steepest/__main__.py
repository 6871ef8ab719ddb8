"""The command line: ``python -m steepest demo``, ``info``, ``check``, ``minimize`` and ``slopes``.

Here so that what the library does can be seen without writing a line, and a gradient checked by a script. Tested in
tests/test_main.py, tests/test_main_check.py, tests/test_main_minimize.py and tests/test_main_slopes.py.
"""

import argparse
import sys

from . import minimize_command, slopes_command

__all__ = ["main"]

# Options that take points, which may begin with a minus sign.
POINTS = ("--at", "--x0", "--lower", "--upper")


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0; 1 when a kernel and its reference disagree, a gradient that is checked is wrong, or a walk does not come to
        a minimum; 2 for a wrong command line, a missing package, or an exception in code that was named.
    """
    parser = argparse.ArgumentParser(prog="python -m steepest", description="Fast gradients, and fast walks down them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    shown = commands.add_parser("demo", help="the tour: from the slope of a curve to a network on real data")
    shown.add_argument("--chapter", type=int, metavar="N", help="one chapter only")
    shown.add_argument("--plots", metavar="DIR", help="write pictures into this folder")
    told = commands.add_parser("info", help="versions, compiler, flags, instruction set")
    told.add_argument("--json", action="store_true", help="as one JSON object")
    checked = commands.add_parser("check", help="is this gradient right? Exit status 0: yes, 1: no, 2: could not ask")
    checked.add_argument("function", metavar="module:function", help="of one vector, gives a number")
    checked.add_argument("--grad", required=True, metavar="module:function", help="its gradient")
    checked.add_argument("--at", required=True, metavar="1,2,3", help="the point")
    checked.add_argument("--mode", choices=("full", "cheap"), default="full",
                         help="every component, or two directions in five calls")
    checked.add_argument("--rtol", type=float, help="relative error that is granted to the gradient")
    checked.add_argument("--json", action="store_true", help="as one JSON object")
    minimize_command.add_parser(commands)
    slopes_command.add_parser(commands)
    try:
        chosen = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    except SystemExit as stop:
        return stop.code or 0
    if chosen.command == "info":
        from .config import show_config

        if chosen.json:
            import json

            print(json.dumps(show_config("dicts")))
        else:
            show_config()
        return 0
    if chosen.command == "check":
        return check(chosen)
    if chosen.command == "minimize":
        return minimize_command.run(chosen)
    if chosen.command == "slopes":
        return slopes_command.run(chosen)
    return demo(chosen)


def demo(chosen):
    """Show the tour, and give the exit status."""
    from .tour import CHAPTERS, MissingPackageError, tour

    if chosen.chapter is not None and not 1 <= chosen.chapter <= len(CHAPTERS):
        print(f"steepest: --chapter must be from 1 to {len(CHAPTERS)}, not {chosen.chapter}", file=sys.stderr)
        return 2
    try:
        return 0 if tour(chapter=chosen.chapter, plots=chosen.plots) else 1
    except MissingPackageError as error:
        print(f"steepest: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"steepest: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _joined(arguments):
    """The arguments, with a point that begins with a minus sign joined to its option: it looks like another one."""
    joined: list = []
    for argument in arguments:
        if joined and joined[-1] in POINTS and argument[:1] == "-" and argument[1:2] in set(".0123456789"):
            joined[-1] = f"{joined[-1]}={argument}"
        else:
            joined.append(argument)
    return joined


def check(chosen):
    """Check the gradient that was named, print the report, and give the exit status."""
    import traceback

    from .check import check_gradient
    from .named_code import NamingError, load, point

    try:
        x = point(chosen.at)
        found = check_gradient(load(chosen.function), load(chosen.grad), x, mode=chosen.mode, rtol=chosen.rtol)
    except NamingError as error:
        print(f"steepest: {error}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        return 2
    if chosen.json:
        import json

        rows = [dict(zip(found.table.dtype.names, row, strict=True)) for row in found.table.tolist()]
        print(json.dumps({"ok": found.ok, "message": found.message, "counts": found.counts, "nfev": found.nfev,
                          "table": [{name: _plain(value) for name, value in row.items()} for row in rows]}))
    else:
        print(found)
    return 0 if found.ok else 1


def _plain(value):
    """A number as JSON has it: null for what is not finite."""
    return None if isinstance(value, float) and value - value != 0 else value


if __name__ == "__main__":
    sys.exit(main())
