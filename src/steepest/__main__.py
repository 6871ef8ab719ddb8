"""The command line: ``python -m steepest demo`` and ``python -m steepest info``.

Here so that what the library does can be seen without writing a line. Tested in tests/test_main.py.
"""

import argparse
import sys

__all__ = ["main"]


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0; 1 when a kernel and its reference disagree; 2 for a wrong command line or a missing package.
    """
    parser = argparse.ArgumentParser(prog="python -m steepest", description="Fast gradients, and fast walks down them.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("demo", help="the tour: textbook examples, then real data, kernel against reference and peers")
    commands.add_parser("info", help="versions, compiler, flags, instruction set")
    try:
        chosen = parser.parse_args(arguments)
    except SystemExit as stop:
        return stop.code or 0
    if chosen.command == "info":
        from .config import show_config

        show_config()
        return 0
    from .tour import MissingPackageError, tour

    try:
        return 0 if tour() else 1
    except MissingPackageError as error:
        print(f"steepest: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
