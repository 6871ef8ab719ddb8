"""The step of gradient descent with momentum: kernel, reference, NumPy by hand, and a copy of the bytes it must move.

Here because a step on a large vector should cost what its memory traffic costs, and on a small one a call.
Used by ci/benchmark; figures only, without a target in this version.

The limit is ``np.copyto`` counted at 24 bytes an element (read, fetched to be overwritten, written): a plain step moves
24 bytes an element, a step with momentum 40.
"""

import numpy as np
from interleave import Table, command_line, compare, duration, ratio, text

from steepest.kernels import update
from steepest.reference import update as twin

LIMIT = "np.copyto"
CONTENDERS = ["kernel", "reference", "NumPy by hand"]
SIZES = [10, 1000, 100_000, 1_000_000]
RATE = 1e-6
# name: bytes moved an element, momentum, Nesterov's form
RULES = {"plain": (24, 0.0, False), "momentum": (40, 0.9, False), "Nesterov": (40, 0.9, True)}


def step_by_hand(x, gradient, velocity, momentum, nesterov):
    """What people write."""
    if momentum == 0:
        x -= RATE * gradient
        return
    velocity[:] = momentum * velocity + gradient
    x -= RATE * (gradient + momentum * velocity if nesterov else velocity)


def contenders_of(n, size, momentum, nesterov):
    """The same step three ways, each on arrays of its own, and the copy."""
    source = np.random.default_rng(0).uniform(-1, 1, n * size // 24)
    target = np.empty_like(source)

    def arrays():
        made = np.random.default_rng(1).uniform(-1, 1, (3, n))
        return made[0], made[1], np.zeros(n)

    kernel, reference, by_hand = arrays(), arrays(), arrays()
    contenders = {
        LIMIT: lambda: np.copyto(target, source),
        "kernel": lambda: update.momentum_step(*kernel, RATE, momentum, nesterov),
        "reference": lambda: twin.momentum_step(*reference, RATE, momentum, nesterov),
        "NumPy by hand": lambda: step_by_hand(*by_hand, momentum, nesterov),
    }
    for call in contenders.values():
        call()
    np.testing.assert_array_equal(kernel[0], reference[0])
    np.testing.assert_allclose(kernel[0], by_hand[0], rtol=1e-12)
    return contenders


def tables(quick):
    """One table of ratios to the copy."""
    rows = []
    for rule, form in RULES.items():
        for n in SIZES:
            result = compare(contenders_of(n, *form), LIMIT, quick)
            rows.append([
                rule, str(n), *map(result.ratio, CONTENDERS), result.time("kernel"), result.time(LIMIT),
            ])
    columns = {
        "rule": text, "n": text, **dict.fromkeys(CONTENDERS, ratio), "time of kernel": duration, LIMIT: duration,
    }
    notes = ["Ratios to np.copyto of the same bytes: medians over interleaved rounds. No target in this version."]
    yield Table("Update: one step of gradient descent, float64", columns, rows, notes)


if __name__ == "__main__":
    command_line(tables)
