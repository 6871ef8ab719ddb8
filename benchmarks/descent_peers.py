"""Walks by steepest and by its peers, in one shape, and the one judge that counts what each of them evaluates.

Here so that every table of bench_descent.py asks all of them alike. A peer that cannot be imported is left out, and
`MISSING` says why. Tested in tests/test_bench_descent.py.

An evaluation is f and its gradient at one point, together. A walk ends when the judge has seen enough, whatever it says
itself, so that all are held to the same test; its own tests are set to zero, unless its name says "defaults".
"""

import importlib
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize

import steepest as sd

MISSING: list[str] = []
ENDLESS = 10**9     # no limit of a solver's own
PAIRS = 10          # of peers with limited memory


class EnoughError(Exception):
    """Ends a walk: all tolerances are reached, or it has had its evaluations."""


class Judge:
    """f and its gradient, evaluated together; counts points, and remembers when |g| was first small enough."""

    def __init__(self, problem, tolerances, cap):
        self.problem, self.cap, self.count = problem, cap, 0
        self.seen = dict.fromkeys(tolerances)
        self.at = self.pair = None

    def both(self, x):
        """The value and the gradient; what was asked last costs nothing."""
        if self.at is None or not np.array_equal(x, self.at):
            if self.count == self.cap or None not in self.seen.values():
                raise EnoughError
            self.at = np.array(x, float)
            self.pair = float(self.problem.f(self.at)), self.problem.grad(self.at)
            self.count += 1
            size = abs(self.pair[1]).max()
            for tolerance, seen in self.seen.items():
                if seen is None and size <= tolerance:
                    self.seen[tolerance] = self.count
        return self.pair

    def value(self, x):
        """f, for those that ask for it alone."""
        return self.both(x)[0]

    def gradient(self, x):
        """Its gradient, a copy."""
        return self.both(x)[1].copy()

    def watch(self, solver):
        """Let a solver walk; what it raises ends it, as it would end a user's."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                solver.walk(self.value, self.gradient, self.problem.x0.copy(), self.cap)
            except EnoughError:
                pass
            except Exception as error:      # a peer's, as NLopt's "roundoff-limited"
                return type(error).__name__
        return None


class Solver(NamedTuple):
    """A way down: ``walk(f, grad, x0, most)`` makes about `most` evaluations, unless something ends it."""

    name: str
    walk: Callable
    dense: bool = False     # keeps a matrix of n by n


def ours(name, dense=False, **options):
    """One of our own."""
    options = {"tol": 0.0, **options}

    def walk(f, grad, x0, most):
        return sd.minimize(f, x0, grad=grad, maxfev=most, **options)

    return Solver(name, walk, dense)


OURS = [
    ours("steepest lbfgs"),
    *(ours(f"steepest lbfgs, {pairs} pairs", memory=pairs) for pairs in (5, 10, 20, 30)),
    ours("steepest lbfgs, strong Wolfe", line_search="wolfe"),
    ours("steepest lbfgs, defaults", tol=1e-5),
    ours("steepest bfgs", dense=True, method="bfgs"),
    ours("steepest cg", method="cg"),
    ours("steepest cg, PR+", method="cg", beta="pr+"),
    ours("steepest cg, Dai-Kou", method="cg", beta="dai-kou"),
    ours("steepest bb", method="bb"),
    ours("steepest bb, alternate", method="bb", variant="alternate"),
    ours("steepest bb, bb1", method="bb", variant="bb1"),
    ours("steepest bb, bb2", method="bb", variant="bb2"),
    ours("steepest bb, average", method="bb", average=0.85),
    ours("steepest spg", method="spg"),
    ours("steepest nesterov", method="nesterov"),
    ours("steepest adgd", method="adgd"),
    ours("steepest gd", method="gd"),
    ours("steepest adam, lr 0.1", method="adam", lr=0.1),
]


def scipy_own(name, method, dense=False, limit="maxiter", **options):
    """One of SciPy's; it counts what `limit` says."""

    def walk(f, grad, x0, most):
        return optimize.minimize(f, x0, jac=grad, method=method, options={**options, limit: min(most, ENDLESS)})

    return Solver(f"SciPy {name}", walk, dense)


SCIPY = [
    scipy_own("L-BFGS-B", "L-BFGS-B", limit="maxfun", ftol=0, gtol=0, maxcor=PAIRS, maxiter=ENDLESS),
    scipy_own("L-BFGS-B, 20 pairs", "L-BFGS-B", limit="maxfun", ftol=0, gtol=0, maxcor=20, maxiter=ENDLESS),
    scipy_own("L-BFGS-B, defaults", "L-BFGS-B", limit="maxfun"),
    scipy_own("BFGS", "BFGS", dense=True, gtol=0),
    scipy_own("CG", "CG", gtol=0),
    scipy_own("CG, defaults", "CG"),
]


def nlopt_solvers(nlopt):
    """NLopt's, with as many pairs as the others: its own default is as many as fill 10 MB."""

    def walk(f, grad, x0, most):
        def both(x, out):
            if out.size:
                out[:] = grad(x)
            return f(x)

        machine = nlopt.opt(nlopt.LD_LBFGS, len(x0))
        machine.set_vector_storage(PAIRS)
        machine.set_param("tolg", 0.0)
        machine.set_min_objective(both)
        machine.set_maxeval(most)
        return machine.optimize(x0)

    yield Solver("NLopt LBFGS", walk)


def torch_solvers(torch):
    """Torch's LBFGS, with its only line search."""
    torch.set_num_threads(1)

    def walk(f, grad, x0, most):
        x = torch.tensor(x0, dtype=torch.float64, requires_grad=True)
        at = x.detach().numpy()
        machine = torch.optim.LBFGS([x], lr=1, max_iter=ENDLESS, max_eval=most, tolerance_grad=0, tolerance_change=0,
                                    history_size=PAIRS, line_search_fn="strong_wolfe")

        def both():
            x.grad = torch.from_numpy(grad(at))
            return torch.tensor(f(at), dtype=torch.float64)

        return machine.step(both)

    yield Solver("torch LBFGS", walk)


def load():
    """Every peer that is installed."""
    found = list(SCIPY)
    for name, solvers in (("nlopt", nlopt_solvers), ("torch", torch_solvers)):
        try:
            found.extend(solvers(importlib.import_module(name)))
        except ImportError as error:
            MISSING.append(f"{name} ({error})")
    return found


PEERS = load()
