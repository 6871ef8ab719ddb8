"""Trajectories of sd.optim beside those of torch.optim, 1000 steps in float64: row U5.

Here because who changes from torch wants the same run, and a formula that is nearly right shows only after many steps.
Used by ci/benchmark; not by the clock, so exit status 1 when a trajectory leaves torch's. Without torch: nothing, said.

Every rule that torch has, with every option, walks twice from the same start: on gradients that are drawn, and on those
of a quadratic where it stands, with noise, so that a difference is fed back. (Without noise a rule that divides by the
size of the gradient ends in oscillations about the minimum, and these are chaotic: two runs of torch's Adam whose
starts differ by a rounding come 1e-5 apart.) After every step t, all arrays together, it must be
‖x - x_torch‖ <= 1e-15 sqrt(t) ‖x_torch‖. Element by element would say little: where an entry crosses 0, a rounding is a
large share of it.
"""

import itertools
import math
import sys

import numpy as np
from interleave import Table, command_line, ratio, scientific, text, verdict

import steepest as sd

try:
    import torch
except ImportError:
    torch = None

STEPS = {False: 1000, True: 100}        # by `quick`
BOUND = 1e-15                           # times the root of the number of the step
DRAWN, FELT = "drawn gradients", "of a quadratic"
SHAPES = [(17, 24), (1,), (595,)]       # odd sizes: heads and tails of vectors; the first is a group of its own


def variants(**choices):
    """Every choice of options, as dicts; what is None is left out."""
    for values in itertools.product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        yield {name: value for name, value in chosen.items() if value is not None}


MOMENTS = {"betas": (None, (0.8, 0.95)), "eps": (None, 1e-3)}
DECOUPLED = {"weight_decay": (0.0, 0.01), "decoupled_weight_decay": (False, True)}
# By the names of torch, which are those of sd.optim: the options that a line of the table walks through, all their
# products; where the rule has them, the coupled decay of the weights and the ascent are in every line.
RULES = [
    ("SGD", {"lr": (0.01,)}),
    ("SGD", {"lr": (0.01,), "momentum": (0.9,), "dampening": (0.0, 0.5)}),
    ("SGD", {"lr": (0.01,), "momentum": (0.9,), "nesterov": (True,)}),
    ("Adagrad", {"lr_decay": (0.0, 0.1), "initial_accumulator_value": (0.0, 0.5), "eps": (None, 1e-3)}),
    ("Adadelta", {"lr": (None, 0.5), "rho": (None, 0.8), "eps": (None, 1e-3)}),
    ("RMSprop", {"alpha": (None, 0.9), "eps": (None, 1e-3)}),
    ("RMSprop", {"momentum": (0.9,), "alpha": (None, 0.9)}),
    ("RMSprop", {"centered": (True,), "alpha": (None, 0.9)}),
    ("RMSprop", {"centered": (True,), "momentum": (0.9,), "alpha": (None, 0.9)}),
    ("Adam", MOMENTS | DECOUPLED),
    ("Adam", {"amsgrad": (True,)} | MOMENTS | DECOUPLED),
    ("AdamW", MOMENTS | {"weight_decay": (None, 0.1)}),
    ("AdamW", {"amsgrad": (True,)} | MOMENTS),
    ("NAdam", MOMENTS | {"momentum_decay": (None, 0.1)} | DECOUPLED),
    ("RAdam", MOMENTS | DECOUPLED),
    ("Adamax", MOMENTS),
    ("Rprop", {"lr": (None, 1e-3), "etas": (None, (0.4, 1.3)), "step_sizes": (None, (1e-4, 0.1))}),
    ("ASGD", {"lambd": (None, 0.01), "alpha": (None, 0.6), "t0": (None, 20.0)}),
]
UNDECAYED = {"Rprop"}       # torch gives it no decay of the weights


def scheduled(schedules):
    """Schedules, and what makes the same of torch's; the rate is 0.01."""
    s = schedules
    return {
        s.step(0.01, 100, gamma=0.5): lambda lr, o: lr.StepLR(o, 100, 0.5),
        s.multistep(0.01, [50, 300], gamma=0.3): lambda lr, o: lr.MultiStepLR(o, [50, 300], 0.3),
        s.exponential(0.01, 0.999): lambda lr, o: lr.ExponentialLR(o, 0.999),
        s.inverse_time(0.01, 0.01): lambda lr, o: lr.LambdaLR(o, lambda t: 1 / (1 + 0.01 * t)),
        s.polynomial(0.01, 1000, power=2.0): lambda lr, o: lr.PolynomialLR(o, 1000, 2.0),
        s.cosine(0.01, 1000, end=1e-4): lambda lr, o: lr.CosineAnnealingLR(o, 1000, 1e-4),
        s.cosine_restarts(0.01, 50, 2): lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 50, 2),
        s.cyclic(0.001, 0.01, 70): lambda lr, o: lr.CyclicLR(o, 0.001, 0.01, 70, cycle_momentum=False),
        s.one_cycle(0.01, 999, pct_start=299 / 999):
            lambda lr, o: lr.OneCycleLR(o, 0.01, 1000, cycle_momentum=False),
        s.warmup(0.01, 50, start=0.002) >> s.cosine(0.01, 950): lambda lr, o: lr.SequentialLR(
            o, [lr.LinearLR(o, 0.2, total_iters=50), lr.CosineAnnealingLR(o, 950)], [50]),
    }


class Walk:
    """The same steps here and there, and how far they came apart.

    Attributes
    ----------
    furthest, share : float
        The largest ‖x - x_torch‖ / ‖x_torch‖ of any step, and the largest share of what that step may have.
    """

    def __init__(self, rule, options, grouped, schedule=None, make=None):
        rng = np.random.default_rng(0)
        start = [rng.normal(size=shape) for shape in (SHAPES if grouped else [(1003,)])]
        self.here, there = [x.copy() for x in start], [x.copy() for x in start]
        self.there = [torch.from_numpy(x).requires_grad_() for x in there]      # share the memory
        self.seen = there
        self.rng, self.sizes = rng, [10 ** rng.uniform(-2, 0.5, x.shape) for x in start]
        self.sign = -1.0 if options.get("maximize") else 1.0
        self.groups = groups_of(rule, options) if grouped else None
        rate = {} if schedule is None else {"lr": schedule}
        self.ours = getattr(sd.optim, rule)(self.spread(self.here), **options, **rate)
        rate = {} if schedule is None else {"lr": 0.01}
        self.theirs = getattr(torch.optim, rule)(self.spread(self.there), foreach=False, **options, **rate)
        self.scheduler = make and make(torch.optim.lr_scheduler, self.theirs)
        self.furthest = self.share = 0.0

    def spread(self, arrays):
        """What an optimizer is given: one array in a list, or two groups, of one array and of two."""
        if self.groups is None:
            return arrays
        return [{"params": arrays[:1]} | self.groups[0], {"params": arrays[1:]} | self.groups[1]]

    def gradients(self, arrays, noises, source):
        """As drawn, or of a quadratic whose minimum is at 1, with noise; of a concave one on the way up."""
        if source == DRAWN:
            return [noise.copy() for noise in noises]
        return [
            self.sign * size * (x - 1) + noise for size, x, noise in zip(self.sizes, arrays, noises, strict=True)
        ]

    def go(self, steps, source):
        """Make the steps; return the walk."""
        for t in range(1, steps + 1):
            noises = [size * self.rng.normal(size=size.shape) for size in self.sizes]
            for tensor, gradient in zip(self.there, self.gradients(self.seen, noises, source), strict=True):
                tensor.grad = torch.from_numpy(gradient)
            self.ours.step(self.gradients(self.here, noises, source))
            self.theirs.step()
            if self.scheduler:
                self.scheduler.step()
            self.look(t)
        return self

    def look(self, t):
        """Measure the distance after step t: of the parameters, or of the averages where these are further apart."""
        distance = apart(self.here, self.seen)
        if isinstance(self.ours, sd.optim.ASGD):
            theirs = [self.theirs.state[tensor]["ax"].numpy() for tensor in self.there]
            distance = float(np.maximum(distance, apart(self.ours.averages, theirs)))
        if not distance <= self.furthest:       # NaN counts
            self.furthest = distance
        if not distance <= self.share * BOUND * math.sqrt(t):
            self.share = distance / (BOUND * math.sqrt(t))


def apart(ours, theirs):
    """The distance to theirs over their norm, all arrays as one vector."""
    ours, theirs = (np.concatenate([x.ravel() for x in arrays]) for arrays in (ours, theirs))
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def groups_of(rule, options):
    """Two groups that differ in their rate and, where the rule has it, in their decay."""
    lr = options.get("lr", 0.003)
    first, second = {"lr": lr / 2}, {"lr": lr}
    if rule not in UNDECAYED:
        second["weight_decay"] = 0.03
    return first, second


def described(options):
    """The options of a line of the table."""
    parts = []
    for name, values in options.items():
        shown = [value for value in values if value not in (None, False, 0.0)]
        parts.append(f"{name} {'/'.join(map(str, shown))}" if shown != [True] else name)
    return ", ".join(parts)


def row_of(name, shown, walks, steps):
    """The furthest of several walks that are made twice: a row of the table."""
    made = {source: [walk().go(steps, source) for walk in walks] for source in (DRAWN, FELT)}
    furthest = [max_or_nan(walk.furthest for walk in made[source]) for source in made]
    share = max_or_nan(walk.share for source in made for walk in made[source])
    return [name, shown, str(2 * len(walks)), *furthest, share, share <= 1]


def max_or_nan(values):
    """The largest; NaN when one is."""
    return float(np.max(list(values)))


def rows_of_rules(steps):
    """A row for each line of RULES."""
    for rule, options in RULES:
        everywhere = {"maximize": (False, True)}
        if rule not in UNDECAYED and "weight_decay" not in options:
            everywhere["weight_decay"] = (0.0, 0.01)
        walks = [
            lambda rule=rule, chosen=chosen, grouped=grouped: Walk(rule, chosen, grouped)
            for chosen in variants(**options, **everywhere) for grouped in (False, True)
        ]
        yield row_of(rule, described(options), walks, steps)


def rows_of_schedules(steps):
    """A row for each schedule, given as lr= here, and beside the optimizer there."""
    for schedule, make in scheduled(sd.schedules).items():
        walks = [
            lambda rule=rule, options=options, schedule=schedule, make=make: Walk(rule, options, False, schedule, make)
            for rule, options in (("SGD", {"momentum": 0.9}), ("Adam", {}))
        ]
        yield row_of("SGD, Adam", f"lr={schedule!r}", walks, steps)


def tables(quick, missed):
    """Rules, then schedules; what is out of bounds is put into `missed`."""
    steps = STEPS[quick]
    columns = {
        "rule": text, "options": text, "runs": text, DRAWN: scientific, FELT: scientific, "of the bound": ratio,
        "within": verdict,
    }
    notes = [
        f"Largest distance to torch {torch.__version__} (one tensor at a time), norm to norm, over {steps} steps in "
        f"float64; bound {BOUND:g} sqrt(t).",
        "Runs: every product of the options, which are walked through besides their defaults; descending and "
        "ascending, with and without decay of the weights; one array, and three in two groups.",
    ]
    for title, rows, told in (
        ("U5: trajectories against torch.optim", rows_of_rules(steps), notes),
        ("U5: schedules against torch.optim.lr_scheduler", rows_of_schedules(steps), notes[:1]),
    ):
        kept = list(rows)
        missed += [row for row in kept if not row[-1]]
        yield Table(title, columns, kept, told)


def main():
    """Print the tables; exit status 1 when a bound is missed."""
    if torch is None:
        print("compare_torch: torch is not installed; nothing was compared")
        return 0
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)      # or NAdam and ASGD keep their scalars in float32
    missed = []
    command_line(lambda quick: tables(quick, missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
