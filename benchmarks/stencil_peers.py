"""The derivative of a sampled field along one axis: by steepest, NumPy, findiff, torch, jax, and numba by hand.

Here so that all contenders differentiate the same numbers, which `check` sees to, as well as each can: into an array
that is there where it takes one. Used by bench_stencil.py. Peers that are not installed are left out; `MISSING` names
them.
"""

import importlib
import os

import numpy as np

import steepest as sd

os.environ["NPROC"] = "1"       # how many threads jax makes, asked for when it is imported


def optional(name):
    """A module, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


findiff, torch, jax, numba = map(optional, ("findiff", "torch", "jax", "numba"))
MISSING = [name for name in ("findiff", "torch", "jax", "numba") if globals()[name] is None]
if torch:
    torch.set_num_threads(1)
if jax:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)

COPY, OURS, TWO, REFERENCE = "np.copyto", "steepest", "two threads", "reference"
NUMPY, FINDIFF, TORCH, JAX, NUMBA = "np.gradient", "findiff", "torch", "jax", "numba by hand"
CONTENDERS = [OURS, TWO, NUMPY, FINDIFF, TORCH, JAX, NUMBA]
LARGEST_FOR_PEERS = 8_000_000       # elements up to which those that are many times slower take part


def field(shape, dtype):
    """Smooth samples with some noise."""
    source = np.random.default_rng(len(shape))
    return np.add(np.cumsum(source.normal(size=shape), axis=-1), 1.0).astype(dtype)


def by_hand(columns, n, m, f, out, h, twice):
    """What numba makes good loops of: all axes of a contiguous array, whose columns are n planes of m elements."""
    for c in range(columns):
        column, to = f[c * n * m : (c + 1) * n * m], out[c * n * m : (c + 1) * n * m]
        for k in range(m):
            to[k] = (column[k + m] - column[k]) / h
        high, inside = column[2 * m :], to[m : n * m - m]
        for k in range(inside.size):
            inside[k] = (high[k] - column[k]) / twice
        last, before, end = column[(n - 1) * m :], column[(n - 2) * m : (n - 1) * m], to[(n - 1) * m :]
        for k in range(m):
            end[k] = (last[k] - before[k]) / h


compiled = numba.njit(error_model="numpy")(by_hand) if numba else None


def contenders_of(f, h, axis, two=False):
    """Every way to differentiate f: ``{name: call}``; the calls give the result."""
    outs = [np.empty_like(f) for _ in range(3)]
    calls = {COPY: lambda: np.copyto(outs[1], f),
             OURS: lambda: sd.grid.gradient(f, h, axis=axis, out=outs[0], threads=None if f.size < 10_000 else 1)}
    if two:
        calls[TWO] = lambda: sd.grid.gradient(f, h, axis=axis, out=outs[0], threads=2)
    calls[NUMPY] = lambda: np.gradient(f, h, axis=axis)
    if np.ndim(h):
        return calls
    if findiff and f.size <= LARGEST_FOR_PEERS:
        operator = findiff.FinDiff(axis, h, 1, acc=2)
        calls[FINDIFF] = lambda: operator(f)
    if torch and f.size <= LARGEST_FOR_PEERS:
        tensor = torch.from_numpy(f)
        calls[TORCH] = lambda: torch.gradient(tensor, spacing=h, dim=axis)[0].numpy()
    if jax and f.size <= LARGEST_FOR_PEERS:
        tensor_of_jax = jax.numpy.asarray(f)
        made = jax.jit(lambda x: jax.numpy.gradient(x, h, axis=axis))
        calls[JAX] = lambda: made(tensor_of_jax).block_until_ready()
    if compiled:
        shape = (int(np.prod(f.shape[:axis])), f.shape[axis], int(np.prod(f.shape[axis + 1:])))
        flat, flat_out, step = f.reshape(-1), outs[2].reshape(-1), f.dtype.type(h)

        def call_numba():
            compiled(*shape, flat, flat_out, step, 2 * step)
            return outs[2]

        calls[NUMBA] = call_numba
    return calls


def check(f, h, axis):
    """Everybody finds the same but for rounding, and edges, where findiff has another order; we to the bit."""
    expected = np.gradient(f, h, axis=axis)
    inside = (slice(None),) * axis + (slice(1, -1),)
    scale = abs(expected).max()
    for name, call in contenders_of(f, h, axis).items():
        if name != COPY:
            found = np.asarray(call())
            assert abs(found[inside] - expected[inside]).max() <= 1e-5 * scale, name
            assert name != OURS or found.tobytes() == expected.tobytes()
