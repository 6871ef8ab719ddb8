"""Update rules: from stochastic gradient descent to Adam and its kin, each one pass over memory.

Here as one class a rule: its formula, where it comes from, and what it is called with. Names, defaults, order of
arguments and arithmetic are those of torch.optim 2.13 where torch has the rule. Tested in tests/test_optim.py.

In the formulas g is the gradient (negated by `maximize`, clipped by `clip`, plus ``weight_decay * x`` where decay is
coupled), t = 1, 2, ... the number of the step, and all is elementwise.
"""

from .functional import functional, new_state
from .hyperparameters import as_choice
from .moments import AdaBelief, Adam, Adamax, AdamW, Lion, NAdam, RAdam
from .optimizer import Group, Optimizer

__all__ = [
    "ASGD",
    "SGD",
    "AdaBelief",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Group",
    "Lion",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "state_for",
    "step_adabelief",
    "step_adadelta",
    "step_adagrad",
    "step_adam",
    "step_adamax",
    "step_adamw",
    "step_asgd",
    "step_lion",
    "step_nadam",
    "step_radam",
    "step_rmsprop",
    "step_rprop",
    "step_sgd",
]


class SGD(Optimizer):
    """Gradient descent [1]_, with momentum [2]_ or Nesterov's form of it [3]_ when asked for::

        b = momentum * b + (1 - dampening) * g      (b = g in the first step)
        x -= lr * b                                 (nesterov: x -= lr * (g + momentum * b))

    As ``torch.optim.SGD`` and, but for dampening, ``optax.sgd``. Keras multiplies g by the rate before it enters b,
    which differs when the rate changes.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    momentum : float
        Share of b that is kept, at least 0.
    dampening : float
        Share of g that is left out of b.
    weight_decay : float
        Coupled: ``weight_decay * x`` is added to g; at least 0.
    nesterov : bool
        Needs momentum, and no dampening.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] H. Robbins, S. Monro, "A stochastic approximation method", Ann. Math. Statist. 22 (1951) 400-407.
    .. [2] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Comput. Math. Math.
       Phys. 4 (1964) 1-17.
    .. [3] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
       learning", ICML 2013.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> opt = sd.optim.SGD(x, lr=0.25, momentum=0.5)
    >>> for t in range(3):
    ...     opt.step(2 * x)     # the gradient of x @ x
    >>> x
    array([-0.25,  0.5 ])
    """

    _family, _rule = "sgd", "SGD"

    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False,
                 clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                            "nesterov": nesterov}, maximize, clip, nan, average)


class Adagrad(Optimizer):
    """Rates that shrink where gradients were large [1]_::

        s += g**2
        x -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    As ``torch.optim.Adagrad``. optax and Keras start s at 0.1 and put an eps of 1e-7 inside the root.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    lr_decay : float
        Decay of the rate, at least 0.
    weight_decay : float
        Coupled: ``weight_decay * x`` is added to g; at least 0.
    initial_accumulator_value : float
        s at the start, at least 0.
    eps : float
        Outside the root, at least 0.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and stochastic
       optimization", J. Mach. Learn. Res. 12 (2011) 2121-2159.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.Adagrad(x, lr=0.1).step(2 * x)
    >>> x.round(6)
    array([ 0.9, -1.9])
    """

    _family, _rule = "adagrad", "Adagrad"

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, *,
                 maximize=False, clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
                            "initial_accumulator_value": initial_accumulator_value, "eps": eps},
                   maximize, clip, nan, average)


class Adadelta(Optimizer):
    """Steps in the units of x, from two moving averages [1]_::

        v = rho * v + (1 - rho) * g**2
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d**2
        x -= lr * d

    As ``torch.optim.Adadelta`` and ``optax.adadelta``. The paper has no lr, which is 1 here; Keras has 0.001 and
    rho = 0.95.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    rho : float
        Share of the averages that is kept, from 0 to 1.
    eps : float
        Inside the roots, at least 0.
    weight_decay : float
        Coupled: ``weight_decay * x`` is added to g; at least 0.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] M. D. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012).

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.Adadelta(x).step(2 * x)
    >>> x.round(6)
    array([ 0.996838, -1.996838])
    """

    _family, _rule = "adadelta", "Adadelta"

    def __init__(self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0, *, maximize=False, clip=None, average=None,
                 nan="propagate"):
        self._make(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay},
                   maximize, clip, nan, average)


class RMSprop(Optimizer):
    """The gradient over its root mean square [1]_, its standard deviation when centered [2]_::

        v = alpha * v + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g             (centered; else m = 0)
        d = g / (sqrt(v - m**2) + eps)              (compat="paper": g / sqrt(v - m**2 + eps))
        b = momentum * b + d
        x -= lr * b

    ``compat="torch"`` is ``torch.optim.RMSprop``. ``compat="paper"`` has eps inside the root, as Graves, and as optax
    and Keras by default; their alpha is 0.9.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    alpha : float
        Share of the averages that is kept, at least 0.
    eps : float
        At least 0.
    weight_decay : float
        Coupled: ``weight_decay * x`` is added to g; at least 0.
    momentum : float
        Share of b that is kept, at least 0.
    centered : bool
        Subtract the mean.
    compat : {"torch", "paper"}
        Where eps stands: outside the root or inside.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] T. Tieleman, G. Hinton, "Lecture 6.5 - rmsprop", Coursera: Neural Networks for Machine Learning (2012).
    .. [2] A. Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850 (2013).

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.RMSprop(x, lr=0.01).step(2 * x)
    >>> x.round(6)
    array([ 0.9, -1.9])
    """

    _family, _rule = "rmsprop", "RMSprop"

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, *,
                 compat="torch", maximize=False, clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
                            "centered": centered, "compat": compat}, maximize, clip, nan, average)


class Rprop(Optimizer):
    """Signs of gradients alone, and a step size for each entry [1]_::

        g * previous g > 0:  h *= etas[1]
                     < 0:    h *= etas[0];  g = 0
        h = min(max(h, step_sizes[0]), step_sizes[1])
        x -= h * sign(g)

    Resilient backpropagation, in the form without backtracking. As ``torch.optim.Rprop``; optax applies the step of the
    gradient before. Made for whole gradients, not for those of minibatches.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float
        h at the start, at least 0; it can neither change nor be a schedule.
    etas : tuple of float
        Factors of h, below 1 and above 1.
    step_sizes : tuple of float
        Smallest and largest h.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] M. Riedmiller, H. Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm",
       IEEE Int. Conf. on Neural Networks (1993) 586-591.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.Rprop(x, lr=0.1).step(2 * x)
    >>> x.round(6)
    array([ 0.9, -1.9])
    """

    _family, _rule = "rprop", "Rprop"

    def __init__(self, params, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50), *, maximize=False, clip=None,
                 average=None, nan="propagate"):
        self._make(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes}, maximize, clip, nan, average)


class ASGD(Optimizer):
    """Gradient descent with a decaying rate, and the mean of its points [1]_::

        eta = lr / (1 + lambd * lr * (t - 1))**alpha
        x = (1 - lambd * eta) * x - eta * g
        a += (x - a) / max(1, t - 1 - t0)           (`averages`; before step t0 + 2 a copy of x)

    As ``torch.optim.ASGD`` when torch's default type is float64; else torch rounds eta to float32. When lr changes,
    torch applies it one step later. optax and Keras have none.

    Parameters
    ----------
    params, maximize, clip, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    lambd : float
        Decay, at least 0.
    alpha : float
        Power of the decay of eta, at least 0.
    t0 : float
        Steps before the mean is begun, at least 0.
    weight_decay : float
        Coupled: ``weight_decay * x`` is added to g; at least 0.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim.
       30 (1992) 838-855.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> opt = sd.optim.ASGD(x, lr=0.25, lambd=0.0, t0=0)
    >>> for t in range(3):
    ...     opt.step(2 * x)
    >>> x, opt.averages
    (array([ 0.125, -0.25 ]), array([ 0.1875, -0.375 ]))
    """

    _family, _rule = "asgd", "ASGD"

    def __init__(self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0, *, maximize=False, clip=None,
                 nan="propagate"):
        self._make(params, {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay},
                   maximize, clip, nan)


RULES = {rule._rule.lower(): rule for rule in (
    SGD, Adagrad, Adadelta, RMSprop, Adam, AdamW, NAdam, RAdam, Adamax, Rprop, ASGD, AdaBelief, Lion,
)}


def state_for(rule, x, **options):
    """What a rule keeps beside an array, at the start: for the ``step_`` functions.

    Parameters
    ----------
    rule : str
        The name of a class in lower case: ``"adam"``.
    x : ndarray
        The array that will be stepped.
    **options
        Hyperparameters of the rule that decide what is kept (`momentum`, `centered`, `amsgrad`) or how it starts (`lr`
        of Rprop, `initial_accumulator_value`); the others may be given too.

    Returns
    -------
    dict
        `t`, the number of steps made, and arrays under torch's names; plain, to be kept or copied as you like.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> state = sd.optim.state_for("sgd", x, momentum=0.9)
    >>> sd.optim.step_sgd(x, 2 * x, state, lr=0.25, momentum=0.9)
    >>> x, state
    (array([ 0.5, -1. ]), {'t': 1, 'momentum_buffer': array([ 2., -4.])})
    """
    return new_state(RULES[as_choice(rule, "rule", *RULES)], x, options)


step_sgd = functional(SGD)
step_adagrad = functional(Adagrad)
step_adadelta = functional(Adadelta)
step_rmsprop = functional(RMSprop)
step_adam = functional(Adam)
step_adamw = functional(AdamW)
step_nadam = functional(NAdam)
step_radam = functional(RAdam)
step_adamax = functional(Adamax)
step_rprop = functional(Rprop)
step_asgd = functional(ASGD)
step_adabelief = functional(AdaBelief)
step_lion = functional(Lion)
for _name in RULES:
    globals()[f"step_{_name}"].__module__ = __name__    # where its example is looked for
