"""Error, calls of f and honesty of first derivatives, for steepest and its peers: rows A1, A2 and A3.

Here because a fast difference with a bad step is worth nothing, nor is an error bar that does not hold: on sixteen
functions, on published gradients, with noise, and where it is hard. Exact derivatives, counted calls, nothing timed.
Used by ci/benchmark.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from adversarial import HARD
from difference_peers import MISSING, OURS, PEERS, Answer, Method
from interleave import Table, command_line, scientific, share, text, verdict
from problems import PROBLEMS, check

import steepest as sd

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from more_garbow_hillstrom import PROBLEMS as PUBLISHED

# Row, largest median, largest 90 % quantile, most calls on average.
TARGETS = {
    "steepest central": ("A1", 4e-11, np.inf, 3.0),
    "steepest adaptive": ("A2", 2e-14, 1e-12, 8.5),
    "steepest adaptive, rtol 1e-8": ("A2", 1e-8, 1e-8, 6.6),
}
COVERED = 0.95      # A3: so many errors are within ten bars
WRONG = 1e-3        # a relative error from which a derivative is wrong
SMALL = 1e-8        # of an entry of a gradient that is a smaller share of the largest, nobody asks a relative error
METHODS = [*OURS, *PEERS]
NOISY = [
    ("exp(-x/1e6) at 1", lambda t: np.exp(-t / 1e6), lambda t: -1e-6 * np.exp(-t / 1e6), 1.0, 1e-3),
    ("exp at 1", np.exp, np.exp, 1.0, 1e-6),
    ("sin at 1", np.sin, np.cos, 1.0, 1e-10),
    ("log at 3", np.log, lambda t: 1 / t, 3.0, 1e-12),
]
DRAWS = 20


class Counted:
    """A function and the number of points at which it was evaluated; with noise of its own, where that is wanted."""

    def __init__(self, f, noise=0.0, seed=0):
        self.f, self.noise, self.random, self.calls = f, noise, np.random.default_rng(seed), 0

    def __call__(self, x):
        size = np.size(x)
        self.calls += size
        value = self.f(x)
        return value + self.noise * self.random.uniform(-1, 1, np.shape(value)) if self.noise else value


class CountedVector(Counted):
    """The same for a function of vectors."""

    def __call__(self, x):
        self.calls += 1
        return self.f(np.asarray(x))


class Survey:
    """What a method did on a set of points: relative errors, calls a partial derivative, and what it said of itself."""

    def __init__(self):
        self.errors, self.calls, self.covered, self.said, self.failed = [], [], [], [], []
        self.warnings = 0

    def add(self, name, solve, f, x, exact):
        """Ask a method, and write down what came."""
        with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
            warnings.simplefilter("always")
            try:
                answer = solve(f, x)
            except Exception as error:      # a peer's, or what it makes of f
                answer = Answer(np.full(np.shape(exact), np.nan), None, np.zeros(np.shape(exact), bool))
                self.failed.append(f"{name} ({type(error).__name__})")
        self.warnings += len(caught)
        exact = np.asarray(exact, float).reshape(-1)
        value = np.asarray(answer.value, float).reshape(-1)
        away = np.where(np.isfinite(value), abs(value - exact), np.inf)
        relative = away / np.maximum(abs(exact), max(SMALL * abs(exact).max(), np.finfo(float).tiny))
        self.errors.extend(relative)
        self.calls.append(f.calls / exact.size)
        good = np.ones(exact.size, bool) if answer.success is None else np.broadcast_to(answer.success, value.shape)
        self.said.extend(good.reshape(-1) & np.isfinite(value))
        if answer.error is None:
            self.covered.extend([None] * exact.size)
        else:
            self.covered.extend(away <= 10 * np.broadcast_to(answer.error, value.shape).reshape(-1))
        if (relative > WRONG).any() and not any(failed.startswith(name) for failed in self.failed):
            self.failed.append(name)

    def numbers(self):
        """Median and 90 % quantile of the errors, mean of the calls, errors that are wrong, and share covered."""
        errors = np.array(self.errors)
        known = [covered for covered in self.covered if covered is not None]
        covered = float(np.mean(known)) if known else None
        return (float(np.median(errors)), float(np.quantile(errors, 0.9, method="higher")), float(np.mean(self.calls)),
                int(np.sum(errors > WRONG)), covered)

    def silent(self):
        """How many wrong values were called right, or beyond ten of their bars without a word."""
        covered = np.array([bool(covered) for covered in self.covered])
        return int(np.sum((np.array(self.errors) > WRONG) & np.array(self.said, bool) & ~covered))


def sixteen(method):
    """On the grid of the sixteen problems."""
    survey = Survey()
    for problem in PROBLEMS:
        for x in problem.points():
            survey.add(problem.name, method.derivative, Counted(problem.f), float(x), problem.derivative(x))
    return survey


def published(method, quick):
    """On the gradients of Moré, Garbow and Hillstrom, at x0, ten and a hundred times as far."""
    survey = Survey()
    for problem in PUBLISHED:
        for factor in (1,) if quick else (1, 10, 100):
            x = factor * problem.x0
            with np.errstate(all="ignore"):
                exact = problem.grad(x.astype(np.longdouble)).astype(float)
                if not (np.isfinite(exact).all() and np.isfinite(problem.f(x))):
                    continue
            survey.add(f"{problem.name} at {factor} x0", method.gradient, CountedVector(problem.f), x, exact)
    return survey


def hard(method):
    """On the points that are hard."""
    survey = Survey()
    for case in HARD:
        survey.add(case.name, method.derivative, Counted(case.f), case.x, case.exact)
    return survey


def noisy(method):
    """Median relative errors over draws of uniform noise that is not told, for each function."""
    for _, f, derivative, x, level in NOISY:
        survey = Survey()
        for seed in range(DRAWS):
            survey.add("", method.derivative, Counted(f, level, seed), x, derivative(x))
        yield float(np.median(survey.errors)), survey.silent()


def on_reference():
    """The library on its NumPy twin, which must give the same bits."""

    def derivative(f, x):
        with sd.backend("reference"):
            return Answer(sd.derivative(f, x, method="adaptive"))

    return Method("reference adaptive", derivative, None)


def first_table():
    """A1 and A2."""
    points = check()
    rows = []
    for method in (*METHODS, on_reference()):
        survey = sixteen(method)
        median, tail, calls, wrong, covered = survey.numbers()
        row, most, most_tail, most_calls = TARGETS.get(method.name, ("", None, None, None))
        reached = None if not row else bool(median <= most and tail <= most_tail and calls <= most_calls)
        rows.append([row, method.name, most, median, reached, tail, calls, wrong, covered, survey.warnings])
    columns = {
        "row": text, "method": text, "target": scientific, "median error": scientific, "reached": verdict,
        "90 %": scientific, "calls": "{:.1f}".format, "errors > 1e-3": "{}".format, "in 10 bars": share,
        "warnings": "{}".format,
    }
    notes = [f"Relative errors at {points} points. A1 asks for at most 3 calls as well, A2 for 1e-12 at 90 % and for "
             "8.5 calls.", *MISSING]
    return Table("A1, A2: accuracy of a first derivative for what it costs", columns, rows, notes)


def second_table(quick):
    """Published gradients, and A3."""
    rows, notes = [], []
    for method in METHODS:
        survey = published(method, quick)
        median, tail, calls, wrong, covered = survey.numbers()
        judged = covered is not None and method in OURS
        rows.append(["A3" if judged else "", method.name, COVERED if judged else None, covered,
                     bool(covered >= COVERED and not survey.silent()) if judged else None, survey.silent(), median,
                     tail, calls, wrong])
        notes.append(failures(method.name, survey))
    columns = {
        "row": text, "method": text, "target": share, "in 10 bars": share, "reached": verdict,
        "wrong without a word": "{}".format, "median error": scientific, "90 %": scientific,
        "calls a partial": "{:.1f}".format, "errors > 1e-3": "{}".format,
    }
    return Table("A3: gradients of the problems of Moré, Garbow and Hillstrom, and what their error bars are worth",
                 columns, rows, ["Errors above 1e-3, in a gradient whose other entries may be right:",
                                 *filter(None, notes)])


def third_table():
    """The hard points."""
    rows, notes = [], []
    for method in METHODS:
        survey = hard(method)
        _, _, calls, wrong, covered = survey.numbers()
        rows.append([method.name, len(HARD) - wrong, wrong - survey.silent(), survey.silent(), covered, calls])
        notes.append(failures(method.name, survey))
    columns = {"method": text, "right": "{}".format, "wrong, and said so": "{}".format,
               "wrong without a word": "{}".format, "in 10 bars": share, "calls": "{:.1f}".format}
    notes.insert(0, "Right is a relative error below 1e-3. What failed, said or unsaid:")
    return Table(f"{len(HARD)} points that are hard", columns, rows, list(filter(None, notes)))


def fourth_table():
    """Noise that nobody tells of."""
    rows = []
    for method in METHODS:
        medians, silent = zip(*noisy(method), strict=True)
        rows.append([method.name, *medians, sum(silent)])
    columns = {"method": text, **{f"{name}, {level:g}": scientific for name, *_, level in NOISY},
               "wrong without a word": "{}".format}
    return Table("Noise that is not told: median relative errors", columns, rows,
                 [f"{DRAWS} draws of uniform noise of each size; errors above 1e-3 count as wrong."])


def failures(name, survey):
    """One line: where a method was off by more than 1e-3, or raised."""
    if not survey.failed:
        return ""
    shown = ", ".join(survey.failed[:6]) + (f" and {len(survey.failed) - 6} more" if len(survey.failed) > 6 else "")
    return f"- {name}: {shown}"


def tables(quick):
    """The tables; `quick` takes the published gradients at x0 alone."""
    yield first_table()
    yield second_table(quick)
    yield third_table()
    yield fourth_table()


if __name__ == "__main__":
    command_line(tables)
