"""Update rules in plain NumPy: the twin of kernels/update.pyx.

Here to be read and to be compared with: the kernel gives the same bits. Every rule is one function of
``(x, g, states, k)``: x and the states are changed in place, g is the gradient, k the numbers that `plan` derives from
the settings of a family of rules and the number of the step. Tested in tests/test_update.py and tests/test_optim.py.
"""

import math
import threading

import numpy as np

from ..errors import BusyError

# What is given to a rule; the kernel holds it in the same order.
SCALE, BOUND, DECAY, SHRINK = range(4)
BLOCK = 2**16       # elements that one thread takes at a time, and whose squares are added up on their own
LANES = 8


def _plain(x, g, states, k):
    x -= k[0] * g


def _momentum(x, g, states, k):
    (b,) = states
    b[...] = b * k[1] + k[2] * g
    x -= k[0] * b


def _nesterov(x, g, states, k):
    (b,) = states
    b[...] = b * k[1] + k[2] * g
    x -= k[0] * (g + k[1] * b)


def _adagrad(x, g, states, k):
    (s,) = states
    s += g * g
    x -= k[0] * g / (np.sqrt(s) + k[1])


def _adadelta(x, g, states, k):
    v, u = states
    v[...] = v * k[1] + k[2] * (g * g)
    d = g * np.sqrt(u + k[3]) / np.sqrt(v + k[3])
    u[...] = u * k[1] + k[2] * (d * d)
    x -= k[0] * d


def _rmsprop(x, g, states, k, centred=False, momentum=False):
    v, *others = states
    v[...] = v * k[1] + k[2] * (g * g)
    spread = v
    if centred:
        mean = others.pop(0)
        mean += k[2] * (g - mean)
        spread = v - mean * mean
    d = g / (np.sqrt(spread + k[4]) + k[3])
    if momentum:
        b = others.pop(0)
        b[...] = d = b * k[5] + d
    x -= k[0] * d


def _rmsprop_centred(x, g, states, k):
    _rmsprop(x, g, states, k, centred=True)


def _rmsprop_momentum(x, g, states, k):
    _rmsprop(x, g, states, k, momentum=True)


def _rmsprop_centred_momentum(x, g, states, k):
    _rmsprop(x, g, states, k, centred=True, momentum=True)


def _moments(g, m, v, k):
    m += k[1] * (g - m)
    v[...] = v * k[2] + k[3] * (g * g)


def _adam(x, g, states, k):
    m, v = states
    _moments(g, m, v, k)
    x -= k[0] * m / (np.sqrt(v) * k[4] + k[5])


def _amsgrad(x, g, states, k):
    m, v, largest = states
    _moments(g, m, v, k)
    largest[...] = np.where(largest > v, largest, v)
    x -= k[0] * m / (np.sqrt(largest) * k[4] + k[5])


def _nadam(x, g, states, k):
    m, v = states
    _moments(g, m, v, k)
    x -= (k[0] * m + k[6] * g) / (np.sqrt(v) * k[4] + k[5])


def _radam_early(x, g, states, k):
    m, v = states
    _moments(g, m, v, k)
    x -= k[0] * m


def _adamax(x, g, states, k):
    m, u = states
    m += k[1] * (g - m)
    u *= k[2]
    size = abs(g) + k[3]
    u[...] = np.where(u > size, u, size)
    x -= k[0] * m / u


def _adabelief(x, g, states, k):
    m, s = states
    m += k[1] * (g - m)
    d = g - m
    s[...] = s * k[2] + k[3] * (d * d) + k[6]
    x -= k[0] * m / (np.sqrt(s) * k[4] + k[5])


def _lion(x, g, states, k):
    (m,) = states
    d = m + k[1] * (g - m)
    m += k[2] * (g - m)
    x -= k[0] * _sign(d)


def _rprop(x, g, states, k):
    before, size = states
    s = g * before
    one = x.dtype.type(1)
    size *= np.where(s > 0, k[1], np.where(s < 0, k[0], one))
    size[...] = np.where(size < k[2], k[2], np.where(size > k[3], k[3], size))
    g = np.where(s < 0, x.dtype.type(0), g)
    before[...] = g
    x -= size * _sign(g)


def _sign(g):
    """1, -1, or g itself where it is 0 or NaN."""
    one = g.dtype.type(1)
    return np.where(g > 0, one, np.where(g < 0, -one, g))


# The rules, in the order of kernels/update.pxd, and how many arrays each keeps beside x.
RULES = {
    "plain": (_plain, 0),
    "momentum": (_momentum, 1),
    "nesterov": (_nesterov, 1),
    "adagrad": (_adagrad, 1),
    "adadelta": (_adadelta, 2),
    "rmsprop": (_rmsprop, 1),
    "rmsprop centred": (_rmsprop_centred, 2),
    "rmsprop momentum": (_rmsprop_momentum, 2),
    "rmsprop centred momentum": (_rmsprop_centred_momentum, 3),
    "adam": (_adam, 2),
    "amsgrad": (_amsgrad, 3),
    "nadam": (_nadam, 2),
    "radam early": (_radam_early, 2),
    "adamax": (_adamax, 2),
    "adabelief": (_adabelief, 2),
    "lion": (_lion, 1),
    "rprop": (_rprop, 2),
}


def prepare(x, gradient, scale, bound, decay, shrink):
    """Scale a gradient, bound its entries, add a share of x; then shrink x. Returns what the rule is to be given."""
    kind = x.dtype.type
    scale, bound, decay, shrink = kind(scale), kind(bound), kind(decay), kind(shrink)
    g = gradient * scale
    g = np.where(g < -bound, -bound, np.where(g > bound, bound, g))
    if decay != 0:
        g = g + decay * x
    if shrink != 1:
        x *= shrink
    return g


def average(x, mean, weight):
    """Move a mean towards x: ``mean += weight * (x - mean)``; a weight of 1 copies."""
    if weight == 1:
        mean[...] = x
    else:
        mean += x.dtype.type(weight) * (x - mean)


def norm(gradient):
    """The sum of squares, in float64: block by block, in eight partial sums each, all added up in order."""
    flat = gradient.reshape(-1).astype(np.float64)
    total = 0.0
    for first in range(0, flat.size, BLOCK):
        block = flat[first : first + BLOCK]
        squares = np.zeros((-(-block.size // LANES) + 1, LANES))
        squares.reshape(-1)[LANES : LANES + block.size] = block * block
        lanes = np.add.accumulate(squares, axis=0)[-1]
        part = 0.0
        for lane in lanes.tolist():
            part += lane
        total += part
    return total


def step(rule, x, gradient, states, numbers):
    """One step of a rule, in place.

    Parameters
    ----------
    rule : str
        One of `RULES`.
    x, gradient : array
        Of float32 or float64, C-contiguous, of one shape; `x` is changed.
    states : sequence of arrays
        As many as the rule keeps, like x; changed.
    numbers : sequence of float
        What the rule is given, from `plan`; rounded to the type of x.
    """
    function, count = RULES[rule]
    if len(states) != count:
        raise ValueError(f"{rule} keeps {count} arrays, not {len(states)}")
    kind = x.dtype.type
    with np.errstate(all="ignore"):
        function(x, gradient, tuple(states), [kind(number) for number in numbers])


# From the settings of a family to the numbers of a rule. Settings are floats in the order of FAMILIES; t counts from 1.

FAMILIES = {
    "sgd": ("lr", "weight_decay", "momentum", "dampening", "nesterov"),
    "asgd": ("lr", "weight_decay", "lambd", "alpha", "t0"),
    "adagrad": ("lr", "weight_decay", "lr_decay", "eps"),
    "adadelta": ("lr", "weight_decay", "rho", "eps"),
    "rmsprop": ("lr", "weight_decay", "alpha", "eps", "momentum", "centered", "inside"),
    "adam": ("lr", "weight_decay", "beta1", "beta2", "eps", "amsgrad", "decoupled"),
    "nadam": ("lr", "weight_decay", "beta1", "beta2", "eps", "momentum_decay", "decoupled"),
    "radam": ("lr", "weight_decay", "beta1", "beta2", "eps", "decoupled"),
    "adamax": ("lr", "weight_decay", "beta1", "beta2", "eps"),
    "adabelief": ("lr", "weight_decay", "beta1", "beta2", "eps", "eps_root", "decoupled"),
    "lion": ("lr", "weight_decay", "beta1", "beta2"),
    "rprop": ("lr", "etaminus", "etaplus", "smallest", "largest"),
}


class Plan:
    """What one step of one group of arrays is to do.

    Attributes
    ----------
    rule : str
    numbers : list of float
        For the rule.
    decay, shrink : float
        Share of x that is added to the gradient, and what x is multiplied by.
    weight : float
        Of x in the mean that ASGD keeps; NaN for other families.
    carried : float
        A number that goes from step to step: the product of momenta in NAdam.
    """

    def __init__(self, rule, numbers, decay=0.0, shrink=1.0, weight=math.nan, carried=1.0):
        self.rule, self.numbers, self.decay, self.shrink = rule, numbers, decay, shrink
        self.weight, self.carried = weight, carried


def plan(family, settings, t, carried=1.0):
    """Derive the numbers of a rule from the settings of its family at step t = 1, 2, ..."""
    return _PLANS[family](t, carried, *settings)


def _decayed(rule, numbers, lr, weight_decay, decoupled, carried=1.0):
    if decoupled:
        return Plan(rule, numbers, shrink=1 - lr * weight_decay, carried=carried)
    return Plan(rule, numbers, weight_decay, carried=carried)


def _plan_sgd(t, carried, lr, weight_decay, momentum, dampening, nesterov):
    if momentum == 0:
        return Plan("plain", [lr], weight_decay)
    fresh = 1.0 if t == 1 else 1 - dampening    # the first gradient is taken whole
    return Plan("nesterov" if nesterov else "momentum", [lr, momentum, fresh], weight_decay)


def _plan_asgd(t, carried, lr, weight_decay, lambd, alpha, t0):
    try:
        eta = lr / (1 + lambd * lr * (t - 1)) ** alpha
    except OverflowError:
        eta = 0.0
    return Plan("plain", [eta], weight_decay, 1 - lambd * eta, 1 / max(1.0, t - 1 - t0))


def _plan_adagrad(t, carried, lr, weight_decay, lr_decay, eps):
    return Plan("adagrad", [lr / (1 + (t - 1) * lr_decay), eps], weight_decay)


def _plan_adadelta(t, carried, lr, weight_decay, rho, eps):
    return Plan("adadelta", [lr, rho, 1 - rho, eps], weight_decay)


def _plan_rmsprop(t, carried, lr, weight_decay, alpha, eps, momentum, centered, inside):
    rule = "rmsprop" + " centred" * bool(centered) + " momentum" * (momentum > 0)
    outside, within = (0.0, eps) if inside else (eps, 0.0)
    return Plan(rule, [lr, alpha, 1 - alpha, outside, within, momentum], weight_decay)


def _plan_adam(t, carried, lr, weight_decay, beta1, beta2, eps, amsgrad, decoupled):
    first, second = 1 - beta1**t, 1 - beta2**t
    numbers = [lr / first, 1 - beta1, beta2, 1 - beta2, 1 / math.sqrt(second), eps]
    return _decayed("amsgrad" if amsgrad else "adam", numbers, lr, weight_decay, decoupled)


def _plan_nadam(t, carried, lr, weight_decay, beta1, beta2, eps, momentum_decay, decoupled):
    here = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    following = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    carried = carried * here
    numbers = [lr * following / (1 - carried * following), 1 - beta1, beta2, 1 - beta2,
               1 / math.sqrt(1 - beta2**t), eps, lr * (1 - here) / (1 - carried)]
    return _decayed("nadam", numbers, lr, weight_decay, decoupled, carried)


def _plan_radam(t, carried, lr, weight_decay, beta1, beta2, eps, decoupled):
    first, second = 1 - beta1**t, 1 - beta2**t
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / second
    numbers = [lr / first, 1 - beta1, beta2, 1 - beta2, 1.0, eps]
    if length <= 5:
        return _decayed("radam early", numbers, lr, weight_decay, decoupled)
    rectified = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    numbers[0] = numbers[0] * rectified * math.sqrt(second)
    return _decayed("adam", numbers, lr, weight_decay, decoupled)


def _plan_adamax(t, carried, lr, weight_decay, beta1, beta2, eps):
    return Plan("adamax", [lr / (1 - beta1**t), 1 - beta1, beta2, eps], weight_decay)


def _plan_adabelief(t, carried, lr, weight_decay, beta1, beta2, eps, eps_root, decoupled):
    numbers = [lr / (1 - beta1**t), 1 - beta1, beta2, 1 - beta2, 1 / math.sqrt(1 - beta2**t), eps, eps_root]
    return _decayed("adabelief", numbers, lr, weight_decay, decoupled)


def _plan_lion(t, carried, lr, weight_decay, beta1, beta2):
    return _decayed("lion", [lr, 1 - beta1, 1 - beta2], lr, weight_decay, True)


def _plan_rprop(t, carried, lr, etaminus, etaplus, smallest, largest):
    return Plan("rprop", [etaminus, etaplus, smallest, largest])


_PLANS = {name.removeprefix("_plan_"): function for name, function in list(globals().items())
          if name.startswith("_plan_")}


def states_of(family, settings):
    """What a family keeps beside x: the numbers of which its arrays are full at the start.

    `settings` are by name, with ``initial_accumulator_value`` for Adagrad; a last array is ASGD's mean, which has none.
    """
    rule = plan(family, [settings[name] for name in FAMILIES[family]], 1).rule
    initial = [0.0] * RULES[rule][1]
    if family == "adagrad":
        initial[0] = settings.get("initial_accumulator_value", 0.0)
    elif family == "rprop":
        initial[1] = settings["lr"]
    return initial


def take_gradient(gradient, x, name="grads", arrays=()):
    """A gradient as the rules take it: an array of the type and shape of x, C-contiguous, converted only when exact.

    It must overlap neither x nor another of the arrays, which may be changed before it is read.
    """
    if isinstance(gradient, np.ma.MaskedArray) and np.ma.is_masked(gradient):
        raise TypeError(f"{name} must not be a masked array with masked entries")
    array = np.asarray(gradient)
    if array.shape != x.shape:
        raise ValueError(f"{name} must have the shape of its parameter, {x.shape}, not {array.shape}")
    if not np.can_cast(array.dtype, x.dtype, "safe") or array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be of {x.dtype}, or of a type that is exact in it, not of {array.dtype}")
    for other in (x, *arrays):
        if np.may_share_memory(array, other) and np.shares_memory(array, other):
            raise ValueError(f"{name} must not overlap {'its' if other is x else 'another'} parameter: give a copy")
    taken = np.require(array, x.dtype, ["C", "A"])
    if array.dtype.kind in "iu" and array.dtype.itemsize >= 8 and not _exact(array, taken):
        raise TypeError(f"{name} has integers that are not exact in {x.dtype}")
    return taken


def _exact(integers, floats):
    with np.errstate(invalid="ignore"):
        back = floats.astype(integers.dtype)
    return (floats < float(np.iinfo(integers.dtype).max)).all() and np.array_equal(back, integers)


class Optimizer:
    """A family of rules at work on some arrays, with all that it keeps: what `steepest.optim` wraps.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    arrays : list of arrays
        Stepped in place: float32 or float64, C-contiguous, aligned, native, writeable.
    alone : bool
        `step` is given one gradient, not a list.
    groups : list of int
        The group of each array.
    settings : list of lists of float
        Of each group, in the order of ``FAMILIES[family]``.
    states : list of lists of arrays
        What is kept beside each array.
    means : list of arrays or None
        The mean of each array.
    averaging : float
        The weight of x in its mean; 0 for one over the number of the step; NaN where ASGD says it, or there is no mean.
    clip : str or None
        ``"value"``, ``"norm"`` or ``"global_norm"``.
    bound : float
        What is clipped to.
    sign : float
        -1 climbs.
    strict : bool
        Refuse gradients that are not finite.
    share : callable, optional
        As for `Differences.evaluate_on`: has the blocks of long arrays done by several threads.
    threads : int
        How many at most.
    """

    def __init__(self, family, arrays, alone, groups, settings, states, means=None, averaging=math.nan, clip=None,
                 bound=math.inf, sign=1.0, strict=False, share=None, threads=1):
        self.family, self.arrays, self.alone, self.groups = family, list(arrays), alone, list(groups)
        self.settings = [list(map(float, one)) for one in settings]
        self.states, self.means, self.averaging = states, means, averaging
        self.clip, self.bound, self.sign, self.strict = clip, bound, sign, strict
        self.t, self.carried, self._busy = 0, [1.0] * len(settings), threading.Lock()

    def change(self, group, index, value):
        """Change one setting of a group."""
        changed = list(self.settings[group])
        changed[index] = float(value)
        count = RULES[plan(self.family, changed, 1).rule][1]
        if any(len(states) != count for i, states in zip(self.groups, self.states, strict=True) if i == group):
            raise ValueError("the rule of these settings keeps another number of states")
        self.settings[group] = changed

    def setting(self, group, index):
        """One setting of a group."""
        return self.settings[group][index]

    def resume(self, t, carried):
        """Go on as if so many steps had been made."""
        self.t, self.carried = int(t), [float(number) for number in carried]

    def step(self, grads):
        """Make one step, in place.

        Parameters
        ----------
        grads : array_like, or a sequence of them
            One gradient for each array, of its shape and type; refused before anything is changed.
        """
        self.hold()
        try:
            self._step(self._take([grads] if self.alone else grads))
        finally:
            self.release()

    def hold(self):
        """Keep steps away, until `release`, while what is kept is read or replaced."""
        if not self._busy.acquire(blocking=False):
            raise BusyError("this optimizer is at work for another call")

    def release(self):
        """End what `hold` began."""
        self._busy.release()

    def _step(self, taken):
        scales = self._scales(taken)
        self.t += 1
        plans = [plan(self.family, self.settings[i], self.t, self.carried[i]) for i in range(len(self.settings))]
        self.carried = [one.carried for one in plans]
        for i, (x, g) in enumerate(zip(self.arrays, taken, strict=True)):
            one = plans[self.groups[i]]
            bound = self.bound if self.clip == "value" else math.inf
            with np.errstate(all="ignore"):
                if scales[i] != 1 or bound != math.inf or one.decay != 0 or one.shrink != 1:
                    g = prepare(x, g, scales[i], bound, one.decay, one.shrink)
                step(one.rule, x, g, self.states[i], one.numbers)
                if self.means is not None:
                    average(x, self.means[i], self._weight(one))

    def _take(self, grads):
        if not isinstance(grads, (list, tuple, np.ndarray)):
            raise TypeError(f"grads must be a list of arrays, one for each parameter, not {type(grads).__name__}")
        if len(grads) != len(self.arrays):
            raise ValueError(f"grads must be {len(self.arrays)} arrays, one for each parameter, not {len(grads)}")
        taken = []
        for i, (gradient, x) in enumerate(zip(grads, self.arrays, strict=True)):
            name = "grads" if self.alone else f"grads[{i}]"
            taken.append(take_gradient(gradient, x, name, self.arrays))
            if self.strict and not np.isfinite(taken[-1]).all():
                raise ValueError(f"{name} is not finite")
        for i, x in enumerate(self.arrays):
            if not x.flags.writeable:
                raise ValueError(("params" if self.alone else f"params[{i}]")
                                 + " was resized, moved, retyped or made read-only since the optimizer was made")
        return taken

    def _scales(self, taken):
        if self.clip not in ("norm", "global_norm"):
            return [self.sign] * len(taken)
        with np.errstate(all="ignore"):
            squares = [norm(g) for g in taken]
        if self.clip == "global_norm":
            total = 0.0
            for one in squares:
                total += one
            squares = [total] * len(taken)
        shares = [self.bound / (math.sqrt(square) + 1e-6) for square in squares]
        return [self.sign * (1.0 if share >= 1 else share) for share in shares]     # NaN stays

    def _weight(self, one):
        if one.weight == one.weight:
            return one.weight
        return self.averaging if self.averaging > 0 else 1 / self.t
