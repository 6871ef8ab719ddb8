"""Update rules that keep a moving average of the gradient: Adam and its kin.

Here apart from the rest of `steepest.optim`, which has them all, as one subject. Tested in tests/test_optim.py.
"""

from typing import ClassVar

from .optimizer import Optimizer

__all__ = ["AdaBelief", "Adam", "AdamW", "Adamax", "Lion", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Moving averages of gradient and square, corrected for their start at zero [1]_::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2          (amsgrad: and the largest v so far takes its place below)
        x -= lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps)

    As ``torch.optim.Adam`` and ``optax.adam``. Keras has eps-hat: no division of sqrt(v), but of eps, and 1e-7. In
    AMSGrad [2]_ torch and Keras take the largest v, optax the largest v / (1 - beta2**t), which is another sequence.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    betas : tuple of float
        Shares of m and of v that are kept, at least 0 and below 1.
    eps : float
        Outside the root, at least 0.
    weight_decay : float
        Coupled: ``weight_decay * x`` is added to g; at least 0.
    amsgrad : bool
        Let no rate grow again.
    decoupled_weight_decay : bool
        As `AdamW`.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    .. [2] S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", ICLR 2018.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> opt = sd.optim.Adam(x, lr=0.1)
    >>> opt.step(2 * x)
    >>> x.round(6)
    array([ 0.9, -1.9])
    """

    _family, _rule = "adam", "Adam"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, *,
                 decoupled_weight_decay=False, maximize=False, clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                            "decoupled_weight_decay": decoupled_weight_decay}, maximize, clip, nan, average)


class AdamW(Optimizer):
    """`Adam` with decoupled weight decay [1]_: before each of its steps, ::

        x *= 1 - lr * weight_decay

    As ``torch.optim.AdamW``. optax adds the decay to the step, which is the same but for rounding, and has a
    weight_decay of 1e-4; the paper multiplies by 1 - weight_decay times the schedule without the rate.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    betas : tuple of float
        Shares of the averages that are kept, at least 0 and below 1.
    eps : float
        Outside the root, at least 0.
    weight_decay : float
        Decoupled; at least 0.
    amsgrad : bool
        As for `Adam`.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.AdamW(x, lr=0.1, weight_decay=0.5).step(2 * x)
    >>> x.round(6)
    array([ 0.85, -1.8 ])
    """

    _family, _rule = "adam", "AdamW"
    _fixed: ClassVar = {"decoupled_weight_decay": True}

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *,
                 maximize=False, clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad},
                   maximize, clip, nan, average)


class NAdam(Optimizer):
    """`Adam` with Nesterov's momentum, on a schedule [1]_::

        mu(t) = beta1 * (1 - 0.96**(t * momentum_decay) / 2);  P(t) = mu(1) * ... * mu(t)
        m, v as in Adam;  d = sqrt(v / (1 - beta2**t)) + eps
        x -= lr * (1 - mu(t)) / (1 - P(t)) * g / d  +  lr * mu(t + 1) / (1 - P(t + 1)) * m / d

    As ``torch.optim.NAdam`` when torch's default type is float64; else torch rounds P(t) to float32. Keras has
    momentum_decay = 1; ``optax.nadam`` has no schedule of mu.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    betas : tuple of float
        Shares of the averages that are kept, at least 0 and below 1.
    eps : float
        Outside the root, at least 0.
    weight_decay : float
        At least 0.
    momentum_decay : float
        At least 0.
    decoupled_weight_decay : bool
        Decay x as `AdamW` does, instead of adding ``weight_decay * x`` to g.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop (2016).

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.NAdam(x, lr=0.1).step(2 * x)
    >>> x.round(6)
    array([ 0.894355, -1.894355])
    """

    _family, _rule = "nadam", "NAdam"

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3,
                 decoupled_weight_decay=False, *, maximize=False, clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay},
                   maximize, clip, nan, average)


class RAdam(Optimizer):
    """`Adam` whose first steps, while the variance of the rate is large, are momentum alone [1]_::

        rho(oo) = 2 / (1 - beta2) - 1;  rho = rho(oo) - 2 * t * beta2**t / (1 - beta2**t)
        rho > 5:  x -= lr / (1 - beta1**t) * m * r * sqrt(1 - beta2**t) / (sqrt(v) + eps)
                  r**2 = (rho - 4) * (rho - 2) * rho(oo) / ((rho(oo) - 4) * (rho(oo) - 2) * rho)
        else:     x -= lr / (1 - beta1**t) * m

    As ``torch.optim.RAdam``. optax adds eps to the corrected root, and begins at rho >= 5; the paper at rho > 4.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    betas : tuple of float
        Shares of the averages that are kept, at least 0 and below 1.
    eps : float
        Outside the root, at least 0.
    weight_decay : float
        At least 0.
    decoupled_weight_decay : bool
        Decay x as `AdamW` does, instead of adding ``weight_decay * x`` to g.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao, J. Han, "On the variance of the adaptive learning rate and
       beyond", ICLR 2020.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.RAdam(x, lr=0.1).step(2 * x)
    >>> x.round(6)
    array([ 0.8, -1.6])
    """

    _family, _rule = "radam", "RAdam"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, decoupled_weight_decay=False, *,
                 maximize=False, clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                            "decoupled_weight_decay": decoupled_weight_decay}, maximize, clip, nan, average)


class Adamax(Optimizer):
    """`Adam` with the largest gradient, slowly forgotten, in place of the mean square [1]_::

        m = beta1 * m + (1 - beta1) * g
        u = max(beta2 * u, abs(g) + eps)
        x -= lr / (1 - beta1**t) * m / u

    As ``torch.optim.Adamax`` and ``optax.adamax``; the paper has no eps, Keras adds it to u.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    betas : tuple of float
        Shares of m and of u that are kept, at least 0 and below 1.
    eps : float
        At least 0.
    weight_decay : float
        Coupled: ``weight_decay * x`` is added to g; at least 0.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.Adamax(x, lr=0.1).step(2 * x)
    >>> x.round(6)
    array([ 0.9, -1.9])
    """

    _family, _rule = "adamax", "Adamax"

    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, *, maximize=False, clip=None,
                 average=None, nan="propagate"):
        self._make(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay},
                   maximize, clip, nan, average)


class AdaBelief(Optimizer):
    """`Adam` with the variance of the gradient about its mean in place of its mean square [1]_::

        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * (g - m)**2 + eps_root
        x -= lr / (1 - beta1**t) * m / (sqrt(s / (1 - beta2**t)) + eps)

    As ``optax.adabelief``; torch and Keras have none. The paper has one eps for both.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule.
    betas : tuple of float
        Shares of m and of s that are kept, at least 0 and below 1.
    eps : float
        Outside the root, at least 0.
    weight_decay : float
        At least 0.
    eps_root : float
        Added to s at every step, at least 0.
    decoupled_weight_decay : bool
        Decay x as `AdamW` does, instead of adding ``weight_decay * x`` to g.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] J. Zhuang, T. Tang, Y. Ding, S. Tatikonda, N. Dvornek, X. Papademetris, J. Duncan, "AdaBelief optimizer:
       adapting stepsizes by the belief in observed gradients", NeurIPS 2020.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.AdaBelief(x, lr=0.1).step(2 * x)
    >>> x.round(6)
    array([ 0.888889, -1.888889])
    """

    _family, _rule = "adabelief", "AdaBelief"

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-16, weight_decay=0, eps_root=1e-16,
                 decoupled_weight_decay=False, *, maximize=False, clip=None, average=None, nan="propagate"):
        self._make(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "eps_root": eps_root,
                            "decoupled_weight_decay": decoupled_weight_decay}, maximize, clip, nan, average)


class Lion(Optimizer):
    """The sign of a moving average, half of the memory of `Adam` [1]_::

        x = (1 - lr * weight_decay) * x - lr * sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g

    As the paper and ``optax.lion``, whose weight_decay is 1e-3; Keras has a rate of 1e-3; torch has none.

    Parameters
    ----------
    params, maximize, clip, average, nan
        As for `Optimizer`.
    lr : float or callable
        Learning rate, at least 0, or a schedule: a third to a tenth of Adam's.
    betas : tuple of float
        Shares of m in the sign and in the average, at least 0 and below 1.
    weight_decay : float
        Decoupled; at least 0.

    Raises
    ------
    TypeError, ValueError
        As `Optimizer`.

    References
    ----------
    .. [1] X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.

    Examples
    --------
    >>> import numpy as np, steepest as sd
    >>> x = np.array([1.0, -2.0])
    >>> sd.optim.Lion(x, lr=0.1).step(2 * x)
    >>> x.round(6)
    array([ 0.9, -1.9])
    """

    _family, _rule = "lion", "Lion"

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0, *, maximize=False, clip=None, average=None,
                 nan="propagate"):
        self._make(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay}, maximize, clip, nan, average)
