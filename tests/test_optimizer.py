"""What all update rules have in common: groups, learning rates, clipping, averages, NaN, threads.

Here because none of it depends on the rule. It tests optimizer.py; states are in test_optim_state.py.
"""

import copy
import inspect
import math
import pickle
import threading

import numpy as np
import pytest
from optim_contract import CLASSES, NAMES, arrays_for, bits, everything, make
from scalar_rules import asgd_and_mean, gradient, start

import steepest as sd
from steepest import optim

# Groups.

@pytest.mark.parametrize("rule", NAMES)
def test_groups_step_as_optimizers_of_their_own(backend, rule):
    options = [{"lr": 0.25}, {"lr": 0.125, **({} if rule == "rprop" else {"weight_decay": 0.5})}, {}]
    shapes = [(2,), (3, 2), (4,), (), (5,)]
    together, apart = arrays_for(shapes), arrays_for(shapes)
    split = [slice(0, 2), slice(2, 3), slice(3, 5)]
    opt = make(rule, [{"params": together[part], **own} for part, own in zip(split, options, strict=True)])
    others = [make(rule, apart[part], **own) for part, own in zip(split, options, strict=True)]
    for t in range(1, 5):
        grads = arrays_for(shapes, seed=t)
        opt.step(grads)
        for other, part in zip(others, split, strict=True):
            other.step(grads[part])
    assert bits(together) == bits(apart)
    assert len(opt.groups) == 3 and opt.t == 4
    assert all(ours is own for ours, own in zip(opt.groups[0]["params"], together[:2], strict=True))


def test_groups_may_differ_in_what_they_keep(backend):
    x, y = np.ones(2), np.ones(2)
    opt = optim.SGD([{"params": x}, {"params": [y], "momentum": 0.5}], lr=0.5)
    for _ in range(2):
        opt.step([np.ones(2), np.ones(2)])
    assert x.tolist() == [0.0, 0.0] and y.tolist() == [-0.25, -0.25]
    assert [list(one) for one in opt.state_dict()["state"]] == [[], ["momentum_buffer"]]


def test_types_may_be_mixed_and_a_group_may_be_empty(backend):
    x, y = np.ones(3, np.float32), np.ones(2)
    opt = optim.Adam([{"params": [x, y]}, {"params": [], "lr": 1.0}], lr=0.25)
    opt.step([np.ones(3, np.float32), np.ones(2)])
    np.testing.assert_allclose(x, 0.75)
    np.testing.assert_allclose(y, 0.75)
    assert x.dtype == np.float32 and opt.lr == [0.25, 1.0]


# Learning rates.

def test_lr_is_seen_and_set_for_all_or_for_each_group(backend):
    x, y = np.zeros(1), np.zeros(1)
    opt = optim.SGD([{"params": x}, {"params": y}], lr=0.5)
    assert opt.lr == 0.5
    opt.lr = 0.25
    opt.step([np.ones(1), np.ones(1)])
    assert (x[0], y[0]) == (-0.25, -0.25)
    opt.lr = [1.0, 2.0]
    assert opt.lr == [1.0, 2.0]
    opt.groups[1]["lr"] = 4
    opt.step([np.ones(1), np.ones(1)])
    assert (x[0], y[0]) == (-1.25, -4.25) and opt.groups[1]["lr"] == 4.0
    for bad, kind in ((-1.0, ValueError), (math.nan, ValueError), (math.inf, ValueError), ("x", TypeError),
                      ([1.0], ValueError), ([0.5, -1.0], ValueError), (None, TypeError)):
        with pytest.raises(kind, match="lr"):
            opt.lr = bad
        assert opt.lr == [1.0, 4.0]


def test_lr_may_be_a_schedule_of_the_step_from_0(backend):
    asked = []

    def schedule(t):
        asked.append(t)
        return 1.0 / (1 + t)

    x = np.zeros(1)
    opt = optim.SGD(x, lr=schedule)
    assert asked == [] and opt.lr is schedule
    for _ in range(3):
        opt.step(np.ones(1))
    assert asked == [0, 1, 2] and x[0] == pytest.approx(-(1 + 1 / 2 + 1 / 3))
    opt.lr = 0.5
    opt.step(np.ones(1))
    assert asked == [0, 1, 2] and x[0] == pytest.approx(-(1 + 1 / 2 + 1 / 3) - 0.5)
    opt.lr = schedule
    opt.step(np.ones(1))
    assert asked == [0, 1, 2, 4]


def test_schedules_of_the_library_and_of_groups(backend):
    x, y = np.zeros(1), np.zeros(1)
    warm = sd.schedules.warmup(1.0, 4)
    opt = optim.SGD([{"params": x, "lr": warm}, {"params": y}], lr=0.5)
    for _ in range(3):
        opt.step([np.ones(1), np.ones(1)])
    assert x[0] == -sum(warm(t) for t in range(3)) and y[0] == -1.5


@pytest.mark.parametrize(("rate", "kind"), [(-1.0, ValueError), (math.nan, ValueError), ("a", TypeError),
                                            (None, TypeError), (math.inf, ValueError)])
def test_a_bad_rate_of_a_schedule_names_the_step_and_changes_nothing(backend, rate, kind):
    x = np.ones(2)
    opt = optim.Adam(x, lr=lambda t: 0.1 if t < 1 else rate)
    opt.step(np.ones(2))
    before = everything(opt)
    with pytest.raises(kind, match=r"lr\(1\)"):
        opt.step(np.ones(2))
    assert everything(opt) == before


def test_what_a_schedule_raises_comes_back_with_a_note(backend):
    error = RuntimeError("mine")

    def schedule(t):
        raise error

    x = np.ones(2)
    opt = optim.SGD(x, lr=schedule)
    with pytest.raises(RuntimeError) as caught:
        opt.step(np.ones(2))
    assert caught.value is error and "lr(0), the schedule of group 0" in error.__notes__[0]
    assert x.tolist() == [1.0, 1.0] and opt.t == 0


def test_a_schedule_may_not_step_the_optimizer_that_asks_it(backend):
    def schedule(t):
        opt.step(np.ones(1))

    opt = optim.SGD(np.ones(1), lr=schedule)
    with pytest.raises(sd.BusyError):
        opt.step(np.ones(1))
    opt.lr = 0.5
    opt.step(np.ones(1))
    assert opt.t == 1


# Clipping, averaging, NaN.

def test_clipping_is_by_entry_by_array_or_by_all(backend):
    g = [np.array([3.0, -4.0]), np.array([12.0])]
    expected = {
        "value": [np.array([2.0, -2.0]), np.array([2.0])],
        "norm": [g[0] * (2 / (5 + 1e-6)), g[1] * (2 / (12 + 1e-6))],
        "global_norm": [one * (2 / (13 + 1e-6)) for one in g],
    }
    for kind, clipped in expected.items():
        params = [np.zeros(2), np.zeros(1)]
        optim.SGD(params, lr=1.0, clip=(kind, 2.0)).step(g)
        for x, step in zip(params, clipped, strict=True):
            np.testing.assert_allclose(x, -step, rtol=1e-15)
        untouched = [np.zeros(2), np.zeros(1)]
        optim.SGD(untouched, lr=1.0, clip=(kind, 100)).step(g)
        assert [x.tolist() for x in untouched] == [[-3.0, 4.0], [-12.0]]
    assert g[0].tolist() == [3.0, -4.0]


def test_the_global_norm_is_over_all_groups_and_types(backend):
    params = [np.zeros(1, np.float32), np.zeros(1)]
    opt = optim.SGD([{"params": params[0]}, {"params": params[1], "lr": 2.0}], lr=1.0, clip=("global_norm", 1.0))
    opt.step([np.full(1, 3, np.float32), np.full(1, 4.0)])
    np.testing.assert_allclose([params[0][0], params[1][0]], [-0.6, -1.6], rtol=1e-6)


def test_clipping_comes_before_weight_decay(backend):
    x = np.array([10.0])
    optim.SGD(x, lr=1.0, weight_decay=0.5, clip=("value", 1.0)).step(np.array([100.0]))
    assert x[0] == 10 - (1 + 5)


def test_a_norm_that_is_not_finite_hides_nothing(backend):
    """As torch's: NaN goes to all that share the norm, infinity to 0 and NaN."""
    for kind, others in (("norm", 0.0), ("global_norm", math.nan)):
        params = [np.zeros(2), np.zeros(1)]
        optim.SGD(params, lr=1.0, clip=(kind, 1.0)).step([np.array([math.nan, 1.0]), np.zeros(1)])
        assert np.isnan(params[0]).all()
        np.testing.assert_array_equal(params[1], others)


def test_polyak_averages_are_means_of_all_points(backend):
    x = np.array([4.0, -2.0])
    opt = optim.SGD(x, lr=0.25, average="polyak")
    points = []
    for _ in range(5):
        opt.step(x.copy())
        points.append(x.copy())
    np.testing.assert_allclose(opt.averages, np.mean(points, axis=0), rtol=1e-14)


def test_exponential_averages_start_at_the_parameters(backend):
    x = [np.array([4.0, -2.0]), np.array(3.0)]
    opt = optim.Adam(x, lr=0.25, average=("ema", 0.75))
    expected = [one.copy() for one in x]
    assert bits(opt.averages) == bits(expected)
    for t in range(4):
        opt.step(arrays_for([(2,), ()], seed=t))
        expected = [mean + 0.25 * (one - mean) for mean, one in zip(expected, x, strict=True)]
    for mean, right in zip(opt.averages, expected, strict=True):
        np.testing.assert_allclose(mean, right, rtol=1e-14)
        assert mean.shape == right.shape


def test_asgd_averages_from_t0_on_as_torch(backend):
    options = {"lr": 0.1, "lambd": 0.01, "alpha": 0.5, "t0": 3}
    x = np.array([start(i) for i in range(6)])
    opt = optim.ASGD(x, **options)
    for t in range(1, 21):
        opt.step(np.array([gradient(t, i) for i in range(6)]))
    expected = [asgd_and_mean(start(i), (gradient(t, i) for t in range(1, 21)), **options)[1] for i in range(6)]
    np.testing.assert_allclose(opt.averages, expected, rtol=1e-13)


def test_averages_are_copies_and_there_only_when_asked_for(backend):
    x = np.ones(2)
    opt = optim.SGD(x, average="polyak")
    opt.averages[:] = 7.0
    assert opt.averages.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="average="):
        _ = optim.SGD(x).averages
    assert "average" not in inspect.signature(optim.ASGD).parameters


@pytest.mark.parametrize("rule", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_gradient_that_is_not_finite_is_refused_on_request(backend, rule, bad):
    params = arrays_for([(3,), (2,)])
    opt = make(rule, params, nan="raise")
    opt.step(arrays_for([(3,), (2,)], seed=1))
    before = everything(opt)
    with pytest.raises(ValueError, match=r"grads\[1\] is not finite"):
        opt.step([np.ones(3), np.array([1.0, bad])])
    assert everything(opt) == before


@pytest.mark.parametrize("rule", NAMES)
def test_nan_propagates_to_its_entry_and_to_no_other(backend, rule):
    x, y = np.ones(4), np.ones(4)
    opt, other = make(rule, x), make(rule, y)
    for _ in range(3):
        opt.step(np.array([1.0, math.nan, -1.0, 2.0]))
        other.step(np.array([1.0, 1.0, -1.0, 2.0]))
    assert np.isnan(x).tolist() == [False, True, False, False]
    assert x[[0, 2, 3]].tobytes() == y[[0, 2, 3]].tobytes()


# Objects.

def test_step_is_the_kernels_own_unless_more_is_asked_for():
    """So that a step costs what the kernel costs."""
    for opt, direct in ((optim.Adam(np.ones(2)), True), (optim.Adam([np.ones(2)], clip=("norm", 1.0)), True),
                        (optim.Adam(np.ones(2), lr=lambda t: 1.0), False), (optim.Adam(np.ones(4)[::2]), False)):
        assert (opt.step == opt._core.step) is direct
    opt = optim.Adam(np.ones(2))
    opt.lr = lambda t: 1.0
    assert opt.step != opt._core.step
    opt.lr = 1.0
    assert opt.step == opt._core.step


def test_a_subclass_may_extend_a_step(backend):
    class Counting(optim.Adam):
        count = 0

        def step(self, grads):
            self.count += 1
            super().step(grads)

    x, y = np.ones(2), np.ones(2)
    opt, other = Counting(x), optim.Adam(y)
    for _ in range(3):
        opt.step(np.ones(2))
        other.step(np.ones(2))
    assert opt.count == 3 and x.tobytes() == y.tobytes()


@pytest.mark.parametrize("rule", NAMES)
def test_every_rule_is_an_optimizer_that_prints_and_cannot_be_copied(backend, rule):
    opt = make(rule, [np.ones(2), np.ones(3)], lr=0.5)
    assert isinstance(opt, optim.Optimizer)
    assert repr(opt).startswith(f"{CLASSES[rule].__name__}(2 arrays, lr=0.5, ") and repr(opt).endswith(", t=0)")
    for trip in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="state_dict"):
            trip(opt)
    with pytest.raises(sd.BusyError):
        opt.__init__([np.ones(2)])
    opt.step([np.ones(2), np.ones(3)])
    assert opt.t == 1


def test_an_optimizer_keeps_the_backend_it_was_made_on():
    with sd.backend("reference"):
        x = np.ones(3)
        opt = optim.Adam(x)
    opt.step(np.ones(3))
    assert type(opt._core).__module__ == "steepest.reference.update"


@pytest.mark.parametrize("lr", [1e-3, lambda t: 1e-3], ids=["direct", "schedule"])
def test_two_threads_take_turns_or_are_told_that_it_is_busy(backend, lr):
    x, g = np.zeros(200_000), np.ones(200_000)
    opt = optim.SGD(x, lr=lr)
    made, told, failed = [0] * 4, [0] * 4, []

    def work(i):
        for _ in range(50):
            try:
                opt.step(g)
                made[i] += 1
            except sd.BusyError:
                told[i] += 1
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and sum(made) + sum(told) == 200 and opt.t == sum(made)
    assert len(set(x.tolist())) == 1 and x[0] == pytest.approx(-1e-3 * opt.t)
