"""Update rules in plain NumPy: the twin of kernels/update.pyx.

Here to be read and to be compared with: the kernel gives the same bits. Tested in tests/test_update.py.
"""


def momentum_step(x, gradient, velocity, lr, momentum, nesterov):
    """Walk one step against the gradient, in place.

    ``v <- momentum * v + g`` and ``x <- x - lr * v``; with `nesterov`, ``x <- x - lr * (g + momentum * v)``; without
    momentum, ``x <- x - lr * g`` and `velocity` is left alone [Polyak 1964, USSR Comput. Math. 4(5), 1-17;
    Sutskever, Martens, Dahl, Hinton 2013, ICML, in the form of torch.optim.SGD].

    Parameters
    ----------
    x, gradient, velocity : arrays of one floating type, C-contiguous, of one size
        `x` and `velocity` are changed.
    lr, momentum : float
        Learning rate (negative climbs) and share of the velocity that is kept.
    nesterov : bool
    """
    kind = x.dtype.type
    lr, momentum = kind(lr), kind(momentum)
    if momentum == 0:
        x -= lr * gradient
        return
    velocity *= momentum
    velocity += gradient
    x -= lr * (gradient + momentum * velocity) if nesterov else lr * velocity
