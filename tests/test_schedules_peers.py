"""Schedules have the rates of torch and of optax, but for rounding.

Here because whoever brings a schedule along wants the rates that go with it. Tests schedules.py. Where torch is not
installed, its arithmetic is written again here, and TORCH has some of its numbers; where it is, these are tested too.
"""

import itertools
import math
from typing import NamedTuple

import pytest

from steepest.schedules import (
    Schedule,
    cosine,
    cosine_restarts,
    cyclic,
    exponential,
    inverse_time,
    multistep,
    one_cycle,
    polynomial,
    step,
    warmup,
)


def rates_of_torch(make, steps):
    """Rates of torch's scheduler, as it steps."""
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


# torch's arithmetic, written again: each rate from the one before, where torch does so

def multiplied(lr, factor):
    """``factor(t)`` takes the rate of step t - 1 to that of step t."""
    return itertools.accumulate(itertools.count(1), lambda rate, t: rate * factor(t), initial=lr)


def annealed(lr, steps, end):
    def on(rate, t):
        return (1 + math.cos(math.pi * t / steps)) / (1 + math.cos(math.pi * (t - 1) / steps)) * (rate - end) + end
    return itertools.accumulate(range(1, steps + 1), on, initial=lr)


def straight(lr, first, steps):
    slope = 1.0 - first
    return multiplied(lr * first, lambda t: 1.0 + slope / (steps * first + (t - 1) * slope) if t <= steps else 1.0)


def restarted(lr, period, mult, end):
    done = 0
    while True:
        yield end + (lr - end) * (1 + math.cos(math.pi * done / period)) / 2
        done += 1
        if done >= period:
            done, period = done % period, period * mult


def bent(lr, total, pct_start, cosines):
    low = lr / 25.0
    ends = [(0.0, pct_start * total - 1, low, lr), (pct_start * total - 1, total - 1, lr, low / 1e4)]
    for t in range(total):
        begin, stop, first, last = ends[t > ends[0][1]]
        share = (t - begin) / (stop - begin)
        if cosines:
            yield last + (first - last) / 2.0 * (math.cos(math.pi * share) + 1)
        else:
            yield first + (last - first) * share


def cycled(lr, peak, up, down, scale):
    for t in itertools.count():
        cycle = math.floor(1 + t / (up + down))
        x = 1.0 + t / (up + down) - cycle
        ratio = up / (up + down)
        yield lr + (peak - lr) * (x / ratio if x <= ratio else (x - 1) / (ratio - 1)) * scale(cycle, t)


class Peer(NamedTuple):
    """A schedule, what torch calls it, torch's arithmetic, and what optax calls it."""

    schedule: Schedule
    steps: int
    torch: object
    twin: object
    optax: object = None


ONE_CYCLE = (0.3 * 41 - 1) / 40
PEERS = {
    "step": Peer(
        step(0.1, 7, gamma=0.3), 60, lambda lr, o: lr.StepLR(o, 7, 0.3),
        lambda: multiplied(0.1, lambda t: 1.0 if t % 7 else 0.3),
        lambda optax: optax.exponential_decay(0.1, 7, 0.3, staircase=True)),
    "multistep": Peer(
        multistep(0.1, [5, 20], gamma=0.2), 60, lambda lr, o: lr.MultiStepLR(o, [5, 20], 0.2),
        lambda: multiplied(0.1, lambda t: 0.2 if t in (5, 20) else 1.0),
        lambda optax: optax.piecewise_constant_schedule(0.1, {5: 0.2, 20: 0.2})),
    "exponential": Peer(
        exponential(0.1, 0.97), 60, lambda lr, o: lr.ExponentialLR(o, 0.97), lambda: multiplied(0.1, lambda t: 0.97),
        lambda optax: optax.exponential_decay(0.1, 1, 0.97)),
    "inverse_time": Peer(
        inverse_time(0.1, 0.1), 60, lambda lr, o: lr.LambdaLR(o, lambda t: (1 + 0.1 * t) ** -1.0),
        lambda: (0.1 * (1 + 0.1 * t) ** -1.0 for t in itertools.count())),
    "polynomial": Peer(
        polynomial(0.1, 30, power=2.0), 31, lambda lr, o: lr.PolynomialLR(o, 30, 2.0),
        lambda: multiplied(0.1, lambda t: ((1.0 - t / 30) / (1.0 - (t - 1) / 30)) ** 2.0),
        lambda optax: optax.polynomial_schedule(0.1, 0.0, 2.0, 30)),
    "cosine": Peer(
        cosine(0.1, 40, end=0.001), 41, lambda lr, o: lr.CosineAnnealingLR(o, 40, 0.001),
        lambda: annealed(0.1, 40, 0.001), lambda optax: optax.cosine_decay_schedule(0.1, 40, alpha=0.01)),
    "cosine_restarts": Peer(
        cosine_restarts(0.1, 8, 2, end=0.001), 60, lambda lr, o: lr.CosineAnnealingWarmRestarts(o, 8, 2, 0.001),
        lambda: restarted(0.1, 8, 2, 0.001),
        lambda optax: optax.join_schedules([optax.cosine_decay_schedule(0.1, n, 0.01) for n in (8, 16, 32, 64)],
                                           [8, 24, 56])),
    "warmup": Peer(
        warmup(0.1, 10, start=0.02), 20, lambda lr, o: lr.LinearLR(o, 0.2, total_iters=10),
        lambda: straight(0.1, 0.2, 10),
        lambda optax: optax.linear_schedule(0.02, 0.1, 10)),
    "one_cycle": Peer(
        one_cycle(0.1, 40, pct_start=ONE_CYCLE), 41,
        lambda lr, o: lr.OneCycleLR(o, 0.1, 41, cycle_momentum=False), lambda: bent(0.1, 41, 0.3, True)),
    "one_cycle, linear": Peer(
        one_cycle(0.1, 40, pct_start=ONE_CYCLE, anneal="linear"), 41,
        lambda lr, o: lr.OneCycleLR(o, 0.1, 41, cycle_momentum=False, anneal_strategy="linear"),
        lambda: bent(0.1, 41, 0.3, False)),
    "one_cycle, whole": Peer(
        one_cycle(0.1, 40), 50, None, None, lambda optax: optax.cosine_onecycle_schedule(40, 0.1)),
    "cyclic": Peer(
        cyclic(0.01, 0.1, 5, 9), 60, lambda lr, o: lr.CyclicLR(o, 0.01, 0.1, 5, 9, cycle_momentum=False),
        lambda: cycled(0.01, 0.1, 5, 9, lambda cycle, t: 1.0),
        lambda optax: optax.join_schedules(
            [optax.linear_schedule(0.01, 0.1, 5), optax.linear_schedule(0.1, 0.01, 9)] * 5,
            [5, 14, 19, 28, 33, 42, 47, 56, 61])),
    "cyclic, triangular2": Peer(
        cyclic(0.01, 0.1, 5, mode="triangular2"), 60,
        lambda lr, o: lr.CyclicLR(o, 0.01, 0.1, 5, mode="triangular2", cycle_momentum=False),
        lambda: cycled(0.01, 0.1, 5, 5, lambda cycle, t: 1 / 2.0 ** (cycle - 1))),
    "cyclic, exp_range": Peer(
        cyclic(0.01, 0.1, 5, mode="exp_range", gamma=0.98), 60,
        lambda lr, o: lr.CyclicLR(o, 0.01, 0.1, 5, mode="exp_range", gamma=0.98, cycle_momentum=False),
        lambda: cycled(0.01, 0.1, 5, 5, lambda cycle, t: 0.98**t)),
    "warmup, then cosine": Peer(
        warmup(0.1, 10, start=0.02) >> cosine(0.1, 40), 51,
        lambda lr, o: lr.SequentialLR(o, [lr.LinearLR(o, 0.2, total_iters=10), lr.CosineAnnealingLR(o, 40)], [10]),
        lambda: itertools.chain(itertools.islice(straight(0.1, 0.2, 10), 10), annealed(0.1, 40, 0.0)),
        lambda optax: optax.join_schedules(
            [optax.linear_schedule(0.02, 0.1, 10), optax.cosine_decay_schedule(0.1, 40)], [10])),
}
EPS = 2.0**-52
SHOWN = (0, 1, 7, 12, 19)    # the steps of the table
# The rates of torch 2.13.0 at these steps.
TORCH = {
    "step": [0.1, 0.1, 0.03, 0.03, 0.009],
    "multistep": [0.1, 0.1, 0.020000000000000004, 0.020000000000000004, 0.020000000000000004],
    "exponential": [0.1, 0.097, 0.08079828447811299, 0.06938423609954376, 0.05606127246667493],
    "inverse_time": [0.1, 0.09090909090909091, 0.0588235294117647, 0.045454545454545456, 0.034482758620689655],
    "polynomial": [0.1, 0.09344444444444444, 0.05877777777777778, 0.036000000000000004, 0.013444444444444453],
    "cosine": [0.1, 0.09984740801978985, 0.09270568813552757, 0.07959536998847742, 0.05438372523852833],
    "cosine_restarts": [0.1, 0.0962320368593087, 0.004767963140691307, 0.0855017856687341, 0.022999273465529706],
    "warmup": [
        0.020000000000000004, 0.028000000000000004, 0.07600000000000004, 0.10000000000000003, 0.10000000000000003],
    "one_cycle": [
        0.0040000000000000036, 0.005843125687161804, 0.06959550778959103, 0.09985329064602678, 0.08326635194313824],
    "one_cycle, linear": [0.004, 0.012495575221238939, 0.06346902654867258, 0.09756098536585366, 0.07317083902439024],
    "cyclic": [0.01, 0.02799999999999999, 0.08000000000000002, 0.03, 0.1],
    "cyclic, triangular2": [0.01, 0.028000000000000018, 0.06400000000000002, 0.028000000000000018, 0.01900000000000001],
    "cyclic, exp_range": [0.01, 0.02764000000000002, 0.05687877879532289, 0.038249802054452824, 0.022262187236318072],
    "warmup, then cosine": [
        0.020000000000000004, 0.028000000000000004, 0.07600000000000004, 0.0993844170297569, 0.08802029828000155],
}


def far(found, schedule, bound):
    """Steps where a peer's rate is away from the schedule's by more than ``bound(t)``."""
    return [(t, rate, schedule(t)) for t, rate in found if not abs(rate - schedule(t)) <= bound(t)]


def drift(t):
    """What torch's arithmetic may gather: a rounding of the base rate a step. Seen are 0.4 of it."""
    return 0.1 * EPS * (t + 1)


@pytest.mark.parametrize("name", TORCH)
def test_rates_are_those_of_torch_but_for_a_rounding_a_step(name):
    peer = PEERS[name]
    twin = list(itertools.islice(peer.twin(), peer.steps))
    assert len(twin) == peer.steps and not far(enumerate(twin), peer.schedule, drift)
    assert not far(zip(SHOWN, TORCH[name], strict=True), peer.schedule, drift)


@pytest.mark.parametrize("name", TORCH)
def test_twin_and_table_are_those_of_the_torch_that_is_installed(name):
    peer = PEERS[name]
    found = rates_of_torch(peer.torch, peer.steps)
    assert found == list(itertools.islice(peer.twin(), peer.steps))
    assert [found[t] for t in SHOWN] == TORCH[name]


@pytest.mark.parametrize("name", [name for name in PEERS if PEERS[name].optax])
def test_rates_are_those_of_the_optax_that_is_installed_to_four_roundings(name):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    peer = PEERS[name]
    with jax.enable_x64(True):
        schedule = peer.optax(optax)
        found = [float(schedule(jax.numpy.float64(t))) for t in range(peer.steps)]
    assert not far(enumerate(found), peer.schedule, lambda t: 0.1 * 4 * EPS)
