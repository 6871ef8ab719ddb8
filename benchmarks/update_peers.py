"""One step of an update rule, made in every way: sd.optim, its reference, torch, optax, NumPy and numba by hand.

Here so that all contenders do the same arithmetic on the same numbers, which `check` sees to.
Used by bench_update.py. Peers that are not installed are left out; `MISSING` names them.
"""

import functools
import importlib
import os
from typing import NamedTuple

import numpy as np

import steepest as sd

os.environ["NPROC"] = "1"       # how many threads jax makes, asked for when it is imported


def optional(name):
    """A module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


torch, jax, optax, numba = map(optional, ("torch", "jax", "optax", "numba"))
MISSING = [name for name, module in {"torch": torch, "optax": optax and jax, "numba": numba}.items() if not module]
sd.set_num_threads(1)
if torch:
    torch.set_num_threads(1)
if jax:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)       # handing over costs more than a small step

OURS, REFERENCE = "steepest", "reference"
FUSED = "torch fused"
NUMPY, NUMBA = "NumPy by hand", "numba by hand"
CONTENDERS = [OURS, REFERENCE, "torch single", "torch foreach", FUSED, "optax jit", NUMPY, NUMBA]

# Small, so that x goes nowhere in a million steps.
RATE = 1e-6
MU, BETA1, BETA2, EPS = 0.9, 0.9, 0.999, 1e-8
LION2, ADAGRAD_EPS = 0.99, 1e-10


# What people write. Every function is given x, the gradient, what is kept, and the number of the step from 1.

def numpy_momentum(x, g, states, t):
    """Momentum."""
    (b,) = states
    b *= MU
    b += g
    x -= RATE * b


def numpy_adam(x, g, states, t):
    """Adam."""
    m, v = states
    m[:] = BETA1 * m + (1 - BETA1) * g
    v[:] = BETA2 * v + (1 - BETA2) * g**2
    x -= RATE * (m / (1 - BETA1**t)) / (np.sqrt(v / (1 - BETA2**t)) + EPS)


def numpy_lion(x, g, states, t):
    """Lion."""
    (m,) = states
    x -= RATE * np.sign(BETA1 * m + (1 - BETA1) * g)
    m[:] = LION2 * m + (1 - LION2) * g


def numpy_adagrad(x, g, states, t):
    """Adagrad."""
    (s,) = states
    s += g**2
    x -= RATE * g / (np.sqrt(s) + ADAGRAD_EPS)


# The same as loops for numba: constants as they come out of `a.dtype.type`, so that float32 stays float32.

def numba_momentum(x, g, b, t):
    """Momentum."""
    real = x.dtype.type
    rate, mu = real(RATE), real(MU)
    for i in range(x.size):
        b[i] = mu * b[i] + g[i]
        x[i] -= rate * b[i]


def numba_adam(x, g, m, v, t):
    """Adam."""
    real = x.dtype.type
    rate, root, eps = real(RATE / (1 - BETA1**t)), real(1 / np.sqrt(1 - BETA2**t)), real(EPS)
    beta1, beta2, rest1, rest2 = real(BETA1), real(BETA2), real(1 - BETA1), real(1 - BETA2)
    for i in range(x.size):
        m[i] = beta1 * m[i] + rest1 * g[i]
        v[i] = beta2 * v[i] + rest2 * g[i] * g[i]
        x[i] -= rate * m[i] / (np.sqrt(v[i]) * root + eps)


def numba_lion(x, g, m, t):
    """Lion."""
    real = x.dtype.type
    rate, beta1, beta2, rest1, rest2 = real(RATE), real(BETA1), real(LION2), real(1 - BETA1), real(1 - LION2)
    for i in range(x.size):
        x[i] -= rate * np.sign(beta1 * m[i] + rest1 * g[i])
        m[i] = beta2 * m[i] + rest2 * g[i]


def numba_adagrad(x, g, s, t):
    """Adagrad."""
    real = x.dtype.type
    rate, eps = real(RATE), real(ADAGRAD_EPS)
    for i in range(x.size):
        s[i] += g[i] * g[i]
        x[i] -= rate * g[i] / (np.sqrt(s[i]) + eps)


def numba_add(a, b, s):
    """The limit of small steps: one call that reads two vectors and writes one."""
    factor = a.dtype.type(s)
    for i in range(a.size):
        a[i] += factor * b[i]


@functools.cache
def compiled(function):
    """By numba, dividing as NumPy does: a check for zero would keep the loop from being vectorised."""
    return numba.njit(error_model="numpy")(function)


class Rule(NamedTuple):
    """A rule by everybody's name. `kept` vectors are read and written beside x, which is too; the gradient is read."""

    kept: int
    name: str
    options: dict
    by_hand: object
    loop: object
    optax: object
    in_torch: bool = True
    fused: bool = True

    @property
    def words(self):
        """Vectors read and written in a step."""
        return 3 + 2 * self.kept


RULES = {
    "momentum": Rule(1, "SGD", {"lr": RATE, "momentum": MU}, numpy_momentum, numba_momentum,
                     lambda: optax.sgd(RATE, MU)),
    "Adam": Rule(2, "Adam", {"lr": RATE}, numpy_adam, numba_adam, lambda: optax.adam(RATE)),
    "Lion": Rule(1, "Lion", {"lr": RATE}, numpy_lion, numba_lion,
                 lambda: optax.lion(RATE, weight_decay=0.0), in_torch=False, fused=False),
    "Adagrad": Rule(1, "Adagrad", {"lr": RATE}, numpy_adagrad, numba_adagrad,
                    lambda: optax.adagrad(RATE, 0.0, ADAGRAD_EPS**2)),
}


# Each takes a rule, arrays and their gradients, and returns the step, a call without arguments.

def ours(rule, arrays, gradients):
    """The public class, one thread."""
    alone = len(arrays) == 1
    optimizer = getattr(sd.optim, rule.name)(arrays[0] if alone else arrays, **rule.options)
    given, step = gradients[0] if alone else gradients, optimizer.step
    return lambda: step(given)


def reference(rule, arrays, gradients):
    """The public class on the kernels' twin in NumPy."""
    with sd.backend("reference"):
        return ours(rule, arrays, gradients)


def torch_step(**form):
    """One of torch's three forms."""

    def make(rule, arrays, gradients):
        tensors = [torch.from_numpy(x).requires_grad_() for x in arrays]
        for tensor, gradient in zip(tensors, gradients, strict=True):
            tensor.grad = torch.from_numpy(gradient)
        return getattr(torch.optim, rule.name)(tensors, **rule.options, **form).step

    return make


def optax_step(rule, arrays, gradients):
    """Compiled whole, in place as far as jax can: it is given what it may overwrite."""
    transform = rule.optax()

    def step(x, state, g):
        change, state = transform.update(g, state, x)
        return optax.apply_updates(x, change), state

    jitted = jax.jit(step, donate_argnums=(0, 1))
    x, g = jax.tree.map(jax.numpy.array, (list(arrays), list(gradients)))       # copies
    state = transform.init(x)

    def call():
        nonlocal x, state
        x, state = jitted(x, state, g)
        return x

    return call


def by_hand(function):
    """The same function for each array."""

    def make(rule, arrays, gradients):
        kept = [tuple(np.zeros_like(x) for _ in range(rule.kept)) for x in arrays]
        jobs, t = list(zip(arrays, gradients, kept, strict=True)), 0

        def call():
            nonlocal t
            t += 1
            for x, g, states in jobs:
                function(x, g, states, t)

        return call

    return make


def looped(rule, arrays, gradients):
    """A compiled loop; for one array without a Python loop around."""
    loop = compiled(rule.loop)
    if len(arrays) > 1:
        return by_hand(lambda x, g, states, t: loop(x, g, *states, t))(rule, arrays, gradients)
    [x], [g] = arrays, gradients
    states, t = tuple(np.zeros_like(x) for _ in range(rule.kept)), 0
    if len(states) == 1:
        [a] = states

        def call():
            nonlocal t
            t += 1
            loop(x, g, a, t)
    else:
        a, b = states

        def call():
            nonlocal t
            t += 1
            loop(x, g, a, b, t)

    return call


def makers(rule):
    """Name to maker, of those that are there."""
    found = {OURS: ours, REFERENCE: reference}
    if torch and rule.in_torch:
        found |= {"torch single": torch_step(foreach=False), "torch foreach": torch_step(foreach=True)}
        if rule.fused:
            found[FUSED] = torch_step(fused=True)
    if optax and jax:
        found["optax jit"] = optax_step
    found[NUMPY] = by_hand(rule.by_hand)
    if numba:
        found[NUMBA] = looped
    return found


def aligned(n, dtype, seed=0):
    """A random vector at the start of a cache line, where chance does not decide on 10 %; without a seed, zeros."""
    dtype = np.dtype(dtype)
    memory = np.empty(n + 64 // dtype.itemsize, dtype)
    start = -memory.ctypes.data % 64 // dtype.itemsize
    x = memory[start : start + n]
    x[:] = 0 if seed is None else np.random.default_rng(seed).uniform(-1, 1, n)
    return x


def contenders_of(rule, dtype, sizes, names=CONTENDERS):
    """Steps by name. All but optax change the same arrays, with states of their own: memory is short."""
    check(rule, dtype)
    arrays = [aligned(n, dtype, 1) for n in sizes]
    gradients = [aligned(n, dtype, 2) for n in sizes]
    return {name: make(RULES[rule], arrays, gradients) for name, make in makers(RULES[rule]).items() if name in names}


def check(rule, dtype, steps=5):
    """Every contender goes where the first one goes, or an AssertionError."""
    found = {}
    for name, make in makers(RULES[rule]).items():
        arrays = [aligned(n, dtype, None) for n in (37, 5)]
        call = make(RULES[rule], arrays, [aligned(n, dtype, n) for n in (37, 5)])
        for _ in range(steps):
            last = call()
        found[name] = np.concatenate(last if name == "optax jit" else arrays)
    for name, x in found.items():
        np.testing.assert_allclose(x, found[OURS], rtol=1e-6 if dtype == np.float64 else 1e-4, err_msg=name)
    assert abs(found[OURS]).max() > RATE
