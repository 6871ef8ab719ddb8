"""What the tests of update rules share: the rules, what they are tried with, and all that an optimizer has, in bytes.

Here so that a rule that is added joins all of them by its name. Used by test_optim.py, test_optimizer.py,
test_parameters.py, test_hyperparameters.py, test_functional.py and test_optim_state.py.
"""

import numpy as np
import pytest
from scalar_rules import RULES

import steepest as sd
from steepest import optim

CLASSES = {name: getattr(optim, one) for one in optim.__all__ for name in [one.lower()]
           if isinstance(getattr(optim, one), type) and name in RULES}
NAMES = sorted(RULES)
# The name of every rule, how fast it should walk down a quadratic and how long that takes.
QUADRATIC = {
    "sgd": (0.1, 200), "adagrad": (1.0, 200), "adadelta": (20.0, 2000), "rmsprop": (0.01, 2000), "adam": (0.1, 1000),
    "adamw": (0.1, 1000), "nadam": (0.1, 1000), "radam": (0.1, 1000), "adamax": (0.1, 1000), "rprop": (0.1, 200),
    "asgd": (0.1, 500), "adabelief": (0.1, 1000), "lion": (0.001, 3000),
}
# Ways that are not of one rule.
WAYS = [
    {}, {"maximize": True}, {"clip": ("value", 0.25)}, {"clip": ("norm", 0.5)}, {"clip": ("global_norm", 1.0)},
    {"average": "polyak"}, {"average": ("ema", 0.75)}, {"nan": "raise"},
    {"maximize": True, "clip": ("global_norm", 0.5), "average": ("ema", 0.9), "nan": "raise"},
]
SHAPES = [(5,), (3, 4), (), (0,), (2, 0, 3), (1,), (700,)]


def arrays_for(shapes=SHAPES, dtype=np.float64, seed=0):
    """Some arrays, no two alike."""
    rng = np.random.default_rng(seed)
    return [np.array(rng.normal(size=shape), dtype) for shape in shapes]


def make(rule, params, **options):
    """An optimizer of a rule; ASGD averages by itself."""
    if rule == "asgd":
        options.pop("average", None)
    return CLASSES[rule](params, **options)


def bits(arrays):
    return [(array.dtype, array.shape, array.tobytes()) for array in arrays]


def everything(opt):
    """All that an optimizer has, parameters included, in bytes and numbers."""
    state = opt.state_dict(params=True)
    return [sorted((name, *bits([array])) for name, array in one.items()) for one in state.pop("state")], repr(state)


def on_both(walk):
    """What a walk gives on kernels and on the reference."""
    found = []
    for name in ("kernels", "reference"):
        with sd.backend(name):
            found.append(walk())
    return found


def refused(opt, grads, kind, message):
    """A step that fails leaves every byte as it is."""
    before = everything(opt)
    with pytest.raises(kind, match=message):
        opt.step(grads)
    assert everything(opt) == before
