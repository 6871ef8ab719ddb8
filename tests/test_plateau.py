"""A plateau is seen where a metric no longer improves, whatever its sign; and a run goes on from a saved state.

Here because a rate that falls too soon, or never, is seen by nobody. Tests plateau.py, beside torch's rule and optax's.
"""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steepest.schedules import constant, plateau, warmup


class Reducing:
    """torch's ReduceLROnPlateau with eps=0, to be compared with where metrics are positive."""

    def __init__(self, lr, factor, patience, threshold, threshold_mode, cooldown, min_lr, mode):
        self.lr, self.factor, self.patience, self.threshold, self.cooldown = lr, factor, patience, threshold, cooldown
        self.threshold_mode, self.min_lr, self.mode = threshold_mode, min_lr, mode
        self.best = math.inf if mode == "min" else -math.inf
        self.bad = self.cooling = 0

    def is_better(self, metric):
        if self.mode == "min":
            return metric < (self.best * (1.0 - self.threshold) if self.threshold_mode == "rel"
                             else self.best - self.threshold)
        return metric > (self.best * (self.threshold + 1.0) if self.threshold_mode == "rel"
                         else self.best + self.threshold)

    def update(self, metric):
        if self.is_better(metric):
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.cooling > 0:
            self.cooling, self.bad = self.cooling - 1, 0
        if self.bad > self.patience:
            self.lr, self.cooling, self.bad = max(self.lr * self.factor, self.min_lr), self.cooldown, 0
        return self.lr


GOOD_STATE = {"rate": 0.05, "best": 1.0, "waited": 2, "cooling": 0}

arguments = st.fixed_dictionaries({
    "factor": st.floats(0.1, 0.9), "patience": st.integers(0, 3), "threshold": st.sampled_from([0.0, 1e-4, 0.3]),
    "threshold_mode": st.sampled_from(["rel", "abs"]), "cooldown": st.integers(0, 3),
    "min_lr": st.sampled_from([0.0, 0.01]), "mode": st.sampled_from(["min", "max"]),
})
metrics = st.lists(st.floats(0.5, 2.0) | st.sampled_from([1.0, math.nan, math.inf]), max_size=30)


@given(arguments, metrics)
def test_plateau_is_torchs_where_metrics_are_positive(arguments, metrics):
    ours, twin = plateau(0.1, **arguments), Reducing(0.1, **arguments)
    assert [ours.update(metric) for metric in metrics] == [twin.update(metric) for metric in metrics]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_the_twin_of_plateau_is_the_torch_that_is_installed(mode, threshold_mode):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    options = {"factor": 0.5, "patience": 2, "threshold": 0.01, "threshold_mode": threshold_mode, "cooldown": 1,
               "min_lr": 1e-3, "mode": mode}
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, eps=0.0, **options)
    twin = Reducing(0.1, **options)
    for metric in np.random.default_rng(1).uniform(0.5, 1.5, 60):
        scheduler.step(metric)
        assert twin.update(metric) == optimizer.param_groups[0]["lr"]


def test_plateau_is_that_of_the_optax_that_is_installed():
    jax = pytest.importorskip("jax")
    contrib = pytest.importorskip("optax.contrib")
    with jax.enable_x64(True):
        ours = plateau(1.0, factor=0.5, patience=2, threshold=0.01, cooldown=2, min_lr=0.01)
        peer = contrib.reduce_on_plateau(factor=0.5, patience=3, rtol=0.01, cooldown=2, min_scale=0.01)
        one = jax.numpy.ones(())
        state = peer.init(one)
        for metric in np.random.default_rng(2).uniform(0.5, 1.5, 60):
            scaled, state = peer.update(one, state, value=metric)
            assert float(scaled) == ours.update(metric)


@pytest.mark.parametrize("mode, sign", [("min", 1.0), ("max", -1.0)])
def test_relative_threshold_is_right_below_zero(mode, sign):
    rate = plateau(1.0, factor=0.5, patience=0, threshold=0.1, mode=mode)
    found = [rate.update(sign * metric) for metric in (-1.0, -1.05, -1.2, -1.2, -1.0)]
    assert found == [1.0, 0.5, 0.5, 0.25, 0.125]     # torch's takes -1.0 after -1.05 for better
    crossing = plateau(1.0, factor=0.5, patience=0, threshold=0.1, mode=mode)
    assert [crossing.update(sign * metric) for metric in (1.0, 0.0, -1e-300, 0.0)] == [1.0, 1.0, 1.0, 0.5]


def test_what_is_not_a_number_is_no_improvement():
    rate = plateau(1.0, factor=0.5, patience=1)
    assert [rate.update(math.nan) for _ in range(4)] == [1.0, 0.5, 0.5, 0.25]
    assert rate.update(3.0) == 0.25 and rate.state["best"] == 3.0
    assert [rate.update(metric) for metric in (math.nan, math.inf)] == [0.25, 0.125]


def test_reduction_stops_at_min_lr_and_waits_for_the_cooldown():
    rate = plateau(1.0, factor=0.5, patience=0, cooldown=2, min_lr=0.3)
    assert [rate.update(1.0) for _ in range(8)] == [1.0, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3]


def test_small_rates_are_reduced_too():
    rate = plateau(1e-8, patience=0)
    rate.update(1.0)
    assert rate.update(1.0) == 1e-8 * 0.1     # torch's eps leaves it


@given(arguments, metrics, metrics)
def test_plateau_goes_on_from_a_saved_state(arguments, before, after):
    whole = plateau(0.1, **arguments)
    for metric in before:
        whole.update(metric)
    saved = json.loads(json.dumps(whole.state_dict()))
    loaded = plateau(0.1, **arguments)
    loaded.load_state_dict(saved)
    others = [loaded, plateau(0.1, **arguments, state=saved), pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)]
    assert all(other == whole for other in others)
    expected = [whole.update(metric) for metric in after]
    assert all([other.update(metric) for metric in after] == expected for other in others)
    assert saved == plateau(0.1, **arguments, state=saved).state_dict()


def test_saved_state_is_a_copy():
    rate = plateau(0.1, state=GOOD_STATE)
    saved = rate.state_dict()
    rate.update(0.5)
    assert saved == GOOD_STATE and rate.state_dict() == {"rate": 0.05, "best": 0.5, "waited": 0, "cooling": 0}


def test_what_is_made_of_a_plateau_follows_it():
    rate = plateau(0.8, factor=0.5, patience=0)
    joined = 0.5 * (warmup(0.8, 2) >> rate)
    assert joined(range(4)).tolist() == [0.0, 0.2, 0.4, 0.4]
    rate.update(1.0)
    rate.update(1.0)
    assert joined(range(4)).tolist() == [0.0, 0.2, 0.2, 0.2]
    with pytest.raises(ValueError, match=r"steps must be given for what comes before >>: plateau\(.* has no end"):
        rate >> constant(0.1)


@pytest.mark.parametrize("change, error, message", [
    ({"rate": 0.2}, ValueError, r"state\['rate'\] must be from 0.0 to 0.1, not 0.2"),
    ({"rate": math.nan}, ValueError, r"state\['rate'\] must be at least 0"),
    ({"rate": "0.1"}, TypeError, r"state\['rate'\] must be a number"),
    ({"best": math.nan}, ValueError, r"state\['best'\] must not be NaN"),
    ({"waited": 11}, ValueError, r"state\['waited'\] must be at most 10, not 11"),
    ({"waited": -1}, ValueError, r"state\['waited'\] must be an integer from 0"),
    ({"waited": 1.0}, TypeError, r"state\['waited'\] must be an integer"),
    ({"cooling": 1}, ValueError, r"state\['cooling'\] must be at most 0, not 1"),
    ({"more": 1}, ValueError, "state must be a dict of 'rate', 'best', 'waited' and 'cooling'"),
])
def test_foreign_state_is_refused_and_nothing_changes(change, error, message):
    rate = plateau(0.1, state=GOOD_STATE)
    with pytest.raises(error, match=message):
        rate.load_state_dict(GOOD_STATE | change)
    assert rate.state_dict() == GOOD_STATE
    with pytest.raises(error, match=message):
        plateau(0.1, state=GOOD_STATE | change)


@pytest.mark.parametrize("metric", ["1.0", None, 1j, [1.0, 2.0]])
def test_metric_that_is_no_number_is_refused_and_nothing_changes(metric):
    rate = plateau(0.1, state=GOOD_STATE)
    with pytest.raises(TypeError, match="metric must be a number"):
        rate.update(metric)
    assert rate.state_dict() == GOOD_STATE
