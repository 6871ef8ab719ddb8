"""Batches of a small network trained in every way: steepest's kernel, torch, scikit-learn, NumPy by hand, JAX jitted.

Here so that all contenders make the same steps from the same weights on the same rows, which `check` sees to.
Used by bench_network.py. Peers that are not installed are left out; `MISSING` names them.
"""

import importlib
import itertools
import os
import warnings
from typing import NamedTuple

import numpy as np

from steepest.kernels import layers, update
from steepest.reference.layers import ACTIVATIONS, SOFTMAX_CROSS_ENTROPY

os.environ["NPROC"] = "1"       # how many threads jax makes, asked for when it is imported


def optional(name):
    """A module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


torch, jax, sklearn, threadpoolctl = map(optional, ("torch", "jax", "sklearn.neural_network", "threadpoolctl"))
MISSING = [name for name, module in {"torch": torch, "jax": jax, "scikit-learn": sklearn}.items() if not module]
if torch:
    torch.set_num_threads(1)
if jax:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
if threadpoolctl:
    threadpoolctl.threadpool_limits(1)

OURS, TORCH, SKLEARN, NUMPY, JAX = "steepest", "torch", "scikit-learn", "NumPy by hand", "JAX jit loop"
CONTENDERS = [OURS, TORCH, SKLEARN, NUMPY, JAX]
RATE = 1e-3


class Case(NamedTuple):
    """A row of the targets: sizes of the layers, what lies between them, rows in a batch, type, batches in a call."""

    name: str
    sizes: tuple
    activation: str
    batch: int
    dtype: str
    batches: int

    def operations(self):
        """Additions and multiplications of a step: three products a layer, one less for the first."""
        pairs = [a * b for a, b in itertools.pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(pairs) - pairs[0])

    def __str__(self):
        return f"{'-'.join(map(str, self.sizes))} {self.activation}, {self.batch}, {np.dtype(self.dtype).name}"


def data(case):
    """Weights and biases of every layer, x, labels, and the order of the rows."""
    source, rows = np.random.default_rng(0), case.batch * case.batches
    weights = [((source.normal(size=pair) / np.sqrt(pair[0])).astype(case.dtype),
                (source.normal(size=pair[1]) / 10).astype(case.dtype)) for pair in itertools.pairwise(case.sizes)]
    x = source.normal(size=(rows, case.sizes[0])).astype(case.dtype)
    return weights, x, source.integers(case.sizes[-1], size=rows), source.permutation(rows)


def ours(case):
    """An epoch in one call, and what it leaves."""
    weights, x, y, order = data(case)
    flat = np.concatenate([array.ravel() for pair in weights for array in pair])
    codes = (ACTIVATIONS.index(case.activation),) * (len(case.sizes) - 2) + (0,)
    net = layers.Layers(case.sizes, codes, SOFTMAX_CROSS_ENTROPY, case.dtype)
    optimizer = update.Optimizer("sgd", [flat], True, [0], [(RATE, 0, 0, 0, 0)], [[]])
    return lambda: net.epoch(flat, x, y, None, order, case.batch, optimizer, None), lambda: flat


def by_numpy(case):
    """What one writes: forward, backward, step."""
    weights, x, y, order = data(case)
    tanh, eye, rate = case.activation == "tanh", np.eye(case.sizes[-1], dtype=case.dtype), np.dtype(case.dtype).type(
        RATE)

    def call():
        for first in range(0, len(order), case.batch):
            chosen = order[first : first + case.batch]
            values = [x[chosen]]
            for w, b in weights[:-1]:
                z = values[-1] @ w + b
                values.append(np.tanh(z) if tanh else np.maximum(z, 0))
            z = values[-1] @ weights[-1][0] + weights[-1][1]
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            d = (p - eye[y[chosen]]) / np.dtype(case.dtype).type(len(chosen))
            for i in range(len(weights) - 1, -1, -1):
                w, b = weights[i]
                by_w, by_b = values[i].T @ d, d.sum(axis=0)
                if i > 0:
                    d = d @ w.T
                    d *= 1 - values[i] * values[i] if tanh else values[i] > 0
                w -= rate * by_w
                b -= rate * by_b

    return call, lambda: np.concatenate([array.ravel() for pair in weights for array in pair])


def by_torch(case):
    """A Sequential, eager, with SGD."""
    weights, x, y, order = data(case)
    parts = []
    for w, b in weights:
        linear = torch.nn.Linear(*w.shape, dtype=torch.float32 if case.dtype == "f" else torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T.copy()))
            linear.bias.copy_(torch.from_numpy(b))
        parts += [linear, torch.nn.Tanh() if case.activation == "tanh" else torch.nn.ReLU()]
    net, loss = torch.nn.Sequential(*parts[:-1]), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    x, y, order = map(torch.from_numpy, (x, y, order))

    def call():
        for first in range(0, len(order), case.batch):
            chosen = order[first : first + case.batch]
            optimizer.zero_grad()
            loss(net(x[chosen]), y[chosen]).backward()
            optimizer.step()

    return call, lambda: np.concatenate([p.detach().numpy().T.ravel() for p in net.parameters()])


def by_sklearn(case):
    """partial_fit makes one epoch; weights are its own, rows are shuffled by it."""
    _, x, y, _ = data(case)
    net = sklearn.MLPClassifier(case.sizes[1:-1], activation=case.activation, solver="sgd", alpha=0.0,
                                batch_size=case.batch, learning_rate_init=RATE, momentum=0.0,
                                nesterovs_momentum=False)
    net.partial_fit(x, y, classes=np.arange(case.sizes[-1]))
    return lambda: net.partial_fit(x, y), None


def by_jax(case):
    """All batches in one jitted scan."""
    weights, x, y, order = data(case)
    numpy = jax.numpy
    act = numpy.tanh if case.activation == "tanh" else jax.nn.relu
    x, y, batches = numpy.asarray(x), numpy.asarray(y), numpy.asarray(order.reshape(-1, case.batch))

    def loss(parameters, rows, labels):
        for w, b in parameters[:-1]:
            rows = act(rows @ w + b)
        logits = jax.nn.log_softmax(rows @ parameters[-1][0] + parameters[-1][1])
        return -numpy.take_along_axis(logits, labels[:, None], axis=1).mean()

    def step(parameters, chosen):
        slopes = jax.grad(loss)(parameters, x[chosen], y[chosen])
        return jax.tree.map(lambda p, g: p - numpy.asarray(RATE, p.dtype) * g, parameters, slopes), None

    epoch = jax.jit(lambda parameters: jax.lax.scan(step, parameters, batches)[0])
    held = [jax.tree.map(numpy.asarray, weights)]

    def call():
        held[0] = jax.block_until_ready(epoch(held[0]))

    return call, lambda: np.concatenate([np.asarray(array).ravel() for pair in held[0] for array in pair])


WAYS = {OURS: ours, TORCH: torch and by_torch, SKLEARN: sklearn and by_sklearn, NUMPY: by_numpy, JAX: jax and by_jax}


def contenders_of(case):
    """A call of each that is there: an epoch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: way(case)[0] for name, way in WAYS.items() if way}


def check(case):
    """All that start from the same weights come to the same: an epoch differs by rounding alone."""
    found = {name: way(case) for name, way in WAYS.items() if way and name != SKLEARN}
    for call, _ in found.values():
        call()
    expected = found[NUMPY][1]()
    for name, (_, read) in found.items():
        assert np.allclose(read(), expected, rtol=1e-3 if case.dtype == "f" else 1e-9, atol=1e-6), name
