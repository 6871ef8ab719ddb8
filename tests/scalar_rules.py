"""Every update rule once more, for one number at a time, in Python's floats and in the order of torch's operations.

Here to be independent of the kernels and their reference, which both are written from other forms of the formulas.
Used by test_trajectories.py, where real torch is compared with too when it is there, and by test_optim.py.
"""

from math import copysign, sqrt


def gradient(t, i):
    """The gradient of entry i at step t = 1, 2, ...: exact in a float32, of both signs, and 0 now and then."""
    return ((37 * t + 11 * i) % 101 - 50) / 64


def start(i):
    """Entry i at the start."""
    return (i - 2) / 4 + 1 / 8


def _sign(g):
    return copysign(1.0, g) if g != 0 else 0.0


def sgd(x, gradients, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    b = None
    for g in gradients:
        g = g + weight_decay * x
        if momentum != 0:
            b = g if b is None else momentum * b + (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        x = x - lr * g
    return x


def adagrad(x, gradients, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    s = initial_accumulator_value
    for t, g in enumerate(gradients, 1):
        g = g + weight_decay * x
        rate = lr / (1 + (t - 1) * lr_decay)
        s = s + g * g
        x = x - rate * g / (sqrt(s) + eps)
    return x


def adadelta(x, gradients, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    v = u = 0.0
    for g in gradients:
        g = g + weight_decay * x
        v = v * rho + (1 - rho) * g * g
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = u * rho + (1 - rho) * d * d
        x = x - lr * d
    return x


def rmsprop(x, gradients, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False,
            compat="torch"):
    v = m = b = 0.0
    for g in gradients:
        g = g + weight_decay * x
        v = v * alpha + (1 - alpha) * g * g
        m = m + (1 - alpha) * (g - m)
        spread = v - m * m if centered else v
        d = g / (sqrt(spread) + eps if compat == "torch" else sqrt(spread + eps))
        b = b * momentum + d
        x = x - lr * b
    return x


def adam(x, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False,
         decoupled_weight_decay=False):
    m = v = largest = 0.0
    for t, g in enumerate(gradients, 1):
        if decoupled_weight_decay:
            x = x * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * x
        m = m + (1 - betas[0]) * (g - m)
        v = v * betas[1] + (1 - betas[1]) * g * g
        largest = max(largest, v)
        root = sqrt(largest if amsgrad else v) / (1 - betas[1] ** t) ** 0.5 + eps
        x = x - lr / (1 - betas[0] ** t) * m / root
    return x


def adamw(x, gradients, weight_decay=1e-2, **options):
    return adam(x, gradients, weight_decay=weight_decay, decoupled_weight_decay=True, **options)


def nadam(x, gradients, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3,
          decoupled_weight_decay=False):
    m, v, product = 0.0, 0.0, 1.0
    for t, g in enumerate(gradients, 1):
        if decoupled_weight_decay:
            x = x * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * x
        mu = betas[0] * (1.0 - 0.5 * 0.96 ** (t * momentum_decay))
        mu_next = betas[0] * (1.0 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        product *= mu
        m = m + (1 - betas[0]) * (g - m)
        v = v * betas[1] + (1 - betas[1]) * g * g
        root = sqrt(v / (1 - betas[1] ** t)) + eps
        x = x - lr * (1 - mu) / (1 - product) * g / root
        x = x - lr * mu_next / (1 - product * mu_next) * m / root
    return x


def radam(x, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False):
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        if decoupled_weight_decay:
            x = x * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * x
        m = m + (1 - betas[0]) * (g - m)
        v = v * betas[1] + (1 - betas[1]) * g * g
        first, second = 1 - betas[0] ** t, 1 - betas[1] ** t
        longest = 2 / (1 - betas[1]) - 1
        length = longest - 2 * t * betas[1] ** t / second
        step = m / first * lr
        if length > 5.0:
            step *= second**0.5 / (sqrt(v) + eps)
            step *= ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
        x = x - step
    return x


def adamax(x, gradients, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    m = u = 0.0
    for t, g in enumerate(gradients, 1):
        g = g + weight_decay * x
        m = m + (1 - betas[0]) * (g - m)
        u = max(u * betas[1], abs(g) + eps)
        x = x - lr / (1 - betas[0] ** t) * m / u
    return x


def rprop(x, gradients, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0)):
    before, h = 0.0, lr
    for g in gradients:
        h *= {1.0: etas[1], -1.0: etas[0], 0.0: 1.0}[_sign(g * before)]
        h = min(max(h, step_sizes[0]), step_sizes[1])
        if g * before < 0:
            g = 0.0
        x = x - h * _sign(g)
        before = g
    return x


def asgd(x, gradients, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0):
    return asgd_and_mean(x, gradients, lr, lambd, alpha, t0, weight_decay)[0]


def asgd_and_mean(x, gradients, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0):
    eta, mu, mean = lr, 1.0, 0.0
    for t, g in enumerate(gradients, 1):
        g = g + weight_decay * x
        x = x * (1 - lambd * eta)
        x = x - eta * g
        mean = x if mu == 1 else mean + (x - mean) * mu
        eta = lr / (1 + lambd * lr * t) ** alpha
        mu = 1 / max(1, t - t0)
    return x, mean


# Those that torch has not: in the order of optax's operations.

def adabelief(x, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-16, weight_decay=0.0, eps_root=1e-16,
              decoupled_weight_decay=False):
    m = s = 0.0
    for t, g in enumerate(gradients, 1):
        if decoupled_weight_decay:
            x = x * (1 - lr * weight_decay)
        else:
            g = g + weight_decay * x
        m = (1 - betas[0]) * g + betas[0] * m
        s = (1 - betas[1]) * (g - m) ** 2 + betas[1] * s + eps_root
        x = x - lr * (m / (1 - betas[0] ** t) / (sqrt(s / (1 - betas[1] ** t)) + eps))
    return x


def lion(x, gradients, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
    m = 0.0
    for g in gradients:
        x = x - lr * (_sign((1 - betas[0]) * g + betas[0] * m) + weight_decay * x)
        m = (1 - betas[1]) * g + betas[1] * m
    return x


RULES = {function.__name__: function for function in (
    sgd, adagrad, adadelta, rmsprop, adam, adamw, nadam, radam, adamax, rprop, asgd, adabelief, lion,
)}
TORCH = set(RULES) - {"adabelief", "lion"}

# Every rule with every option: the name, and what it is given beside its defaults.
CASES = [
    ("sgd", {"lr": 0.03}),
    ("sgd", {"lr": 0.03, "momentum": 0.9}),
    ("sgd", {"lr": 0.03, "momentum": 0.9, "dampening": 0.25}),
    ("sgd", {"lr": 0.03, "momentum": 0.9, "nesterov": True}),
    ("sgd", {"lr": 0.03, "momentum": 0.5, "weight_decay": 0.125}),
    ("adagrad", {}),
    ("adagrad", {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.125, "initial_accumulator_value": 0.5, "eps": 1e-3}),
    ("adadelta", {}),
    ("adadelta", {"lr": 0.5, "rho": 0.75, "eps": 1e-3, "weight_decay": 0.125}),
    ("rmsprop", {}),
    ("rmsprop", {"centered": True, "eps": 1e-3}),
    ("rmsprop", {"momentum": 0.75, "alpha": 0.9}),
    ("rmsprop", {"momentum": 0.75, "centered": True, "weight_decay": 0.125, "eps": 1e-3}),
    ("rmsprop", {"compat": "paper", "eps": 1e-3}),
    ("rmsprop", {"compat": "paper", "eps": 1e-3, "centered": True, "momentum": 0.5}),
    ("adam", {}),
    ("adam", {"lr": 0.01, "betas": (0.75, 0.95), "eps": 1e-3, "weight_decay": 0.125}),
    ("adam", {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.9)}),
    ("adam", {"lr": 0.01, "weight_decay": 0.125, "decoupled_weight_decay": True}),
    ("adamw", {}),
    ("adamw", {"lr": 0.01, "weight_decay": 0.5, "amsgrad": True}),
    ("nadam", {}),
    ("nadam", {"lr": 0.01, "betas": (0.75, 0.95), "weight_decay": 0.125, "momentum_decay": 0.5}),
    ("nadam", {"lr": 0.01, "weight_decay": 0.125, "decoupled_weight_decay": True}),
    ("radam", {}),
    ("radam", {"lr": 0.01, "betas": (0.75, 0.9), "weight_decay": 0.125, "eps": 1e-3}),
    ("radam", {"lr": 0.01, "weight_decay": 0.125, "decoupled_weight_decay": True}),
    ("adamax", {}),
    ("adamax", {"lr": 0.01, "betas": (0.75, 0.9), "weight_decay": 0.125, "eps": 1e-3}),
    ("rprop", {}),
    ("rprop", {"lr": 0.5, "etas": (0.25, 1.5), "step_sizes": (1e-3, 0.75)}),
    ("asgd", {}),
    ("asgd", {"lr": 0.1, "lambd": 0.01, "alpha": 0.5, "t0": 10, "weight_decay": 0.125}),
    ("adabelief", {}),
    ("adabelief", {"lr": 0.01, "betas": (0.75, 0.95), "eps": 1e-3, "eps_root": 1e-6, "weight_decay": 0.125}),
    ("adabelief", {"lr": 0.01, "weight_decay": 0.125, "decoupled_weight_decay": True}),
    ("lion", {}),
    ("lion", {"lr": 0.01, "betas": (0.75, 0.95), "weight_decay": 0.125}),
]


def name_of(case):
    """The id of a case in the name of a test."""
    rule, options = case
    return "-".join([rule, *(f"{name}={value}" for name, value in options.items())])


def trajectory(rule, options, steps, count, sign=1):
    """Where `count` entries are after some steps."""
    return [RULES[rule](start(i), (sign * gradient(t, i) for t in range(1, steps + 1)), **options)
            for i in range(count)]
