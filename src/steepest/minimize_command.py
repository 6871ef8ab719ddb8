"""The command ``python -m steepest minimize``: a walk down a named function, as a table or as JSON.

Here so that a function can be minimised without writing a line. Tested in tests/test_main_minimize.py.
"""

import json
import math
import sys
import traceback

import numpy as np

from .descent import RULES
from .minimize import maximize, minimize
from .named_code import NamingError, load, point
from .reference.descent import METHODS

__all__ = ["add_parser", "run"]

ROWS = 16       # of the table: the first and the last iterations, and some between
DIFFERENCES = ("forward", "central", "complex", "adaptive", "switch")


def add_parser(commands):
    """Add the command to those of a command line."""
    parser = commands.add_parser("minimize", help="walk down a function. Exit status 0: at a minimum, 1: not there, "
                                                  "2: could not walk")
    parser.add_argument("function", metavar="module:function", help="of one vector, gives a number")
    parser.add_argument("--x0", required=True, metavar="1,2,3", help="the start")
    parser.add_argument("--grad", metavar="module:function",
                        help=f"its gradient, 'pair' when the function gives both, or {', '.join(DIFFERENCES)}")
    parser.add_argument("--method", choices=METHODS + RULES, default="lbfgs", metavar="name",
                        help=", ".join(METHODS + RULES))
    parser.add_argument("--maximize", action="store_true", help="climb")
    parser.add_argument("--lower", metavar="0,0,0", help="bounds of every variable, or one for all")
    parser.add_argument("--upper", metavar="1,1,1")
    for name, kind, text in (("tol", float, "largest entry of the gradient (1e-5)"), ("lr", float, "learning rate"),
                             ("maxiter", int, "most iterations"), ("maxfev", int, "most calls of the function"),
                             ("maxtime", float, "seconds")):
        parser.add_argument(f"--{name}", type=kind, help=text)
    parser.add_argument("--json", action="store_true", help="the result as one line of JSON, and no table")


def run(chosen):
    """Walk as the command line says, and give the exit status."""
    rows = []
    try:
        x0 = point(chosen.x0)
        f, options = load(chosen.function), _options(chosen, x0.size)
        walk = maximize if chosen.maximize else minimize
        result = walk(f, x0, callback=lambda seen: rows.append((seen.nit, seen.fun, _largest(seen.jac), seen.step)),
                      **options)
    except NamingError as error:
        return _refused(error)
    except Exception as error:
        # what was raised before anything was called is about the command line
        if isinstance(error, (TypeError, ValueError)) and not getattr(error, "__notes__", None):
            return _refused(error)
        traceback.print_exc()
        return 2
    print(_as_json(result) if chosen.json else _as_text(result, rows))
    return 0 if result.success else 1


def _refused(error):
    print(f"steepest: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _options(chosen, n):
    """The options of the walk that were named."""
    options = {name: getattr(chosen, name) for name in ("tol", "lr", "maxiter", "maxfev", "maxtime")
               if getattr(chosen, name) is not None}
    options["method"] = chosen.method
    if chosen.grad == "pair":
        options["grad"] = True
    elif chosen.grad is not None:
        options["grad"] = chosen.grad if chosen.grad in DIFFERENCES else load(chosen.grad)
    if chosen.lower is not None or chosen.upper is not None:
        options["bounds"] = tuple(_side(text, n, name) for name, text in (("lower", chosen.lower),
                                                                           ("upper", chosen.upper)))
    return options


def _side(text, n, name):
    if text is None:
        return None
    side = point(text)
    if side.size not in (1, n):
        raise NamingError(f"--{name} must be one number or {n}, not {side.size}")
    return np.broadcast_to(side, n)


def _largest(g):
    return float(np.abs(g).max(initial=0.0))


def _as_json(result):
    """The result as JSON has it: what is no number is null."""
    def plain(value):
        if isinstance(value, np.ndarray):
            return [plain(one) for one in value.tolist()]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    names = ("x", "fun", "jac", "nit", "nfev", "njev", "status", "message", "success")
    return json.dumps({name: plain(result[name]) for name in names}, allow_nan=False)


def _as_text(result, rows):
    """A table of the run, and the result."""
    lines = [f"{'iteration':>9}  {'f':>22}  {'|g|':>9}  {'step':>9}"]
    before, left_out = -1, False
    for number in _some(len(rows)):
        if number > before + 1 and not left_out:
            left_out = True
            lines.append(f"{'...':>9}")
        nit, fun, norm, step = rows[number]
        lines.append(f"{nit:>9}  {fun:>22.15g}  {norm:>9.2e}  {step:>9.2e}")
        before = number
    at = ", ".join(f"{float(one):.10g}" for one in result.x.reshape(-1)[:20]) + (", ..." if result.x.size > 20 else "")
    return "\n".join([*lines, "", result.message, f"x = ({at})", f"f = {float(result.fun):.15g}",
                      f"{result.nit} iterations, {result.nfev} evaluations of f, {result.njev} of its gradient"])


def _some(count):
    """Which rows are shown: all when they are few; else the first, the last, and some between, ever further apart."""
    if count <= ROWS:
        return list(range(count))
    between = np.geomspace(4, count - 4, ROWS - 6).astype(int)
    return sorted({*range(4), *between.tolist(), *range(count - 3, count)})
