"""Where the weights of a network start.

Here so that every rule stands beside its formula; n_in and n_out are the inputs and outputs of a layer. Tested in
tests/test_initializers.py.

===============  ==============================================  =======================
name             weights                                         after
===============  ==============================================  =======================
zeros            0
constant         `value`
normal           N(0, `scale`²), 0.01 by default
uniform          U(-`scale`, `scale`), 0.01 by default
glorot_uniform   U(-r, r), r = √(6 / (n_in + n_out))             Glorot and Bengio, 2010
glorot_normal    N(0, 2 / (n_in + n_out))                        the same
he_uniform       U(-r, r), r = √(6 / n_in)                       He and others, 2015
he_normal        N(0, 2 / n_in)                                  the same
lecun_uniform    U(-r, r), r = √(3 / n_in)                       LeCun and others, 1998
lecun_normal     N(0, 1 / n_in)                                  the same
===============  ==============================================  =======================

Biases start at 0. Normal distributions are not cut off.
"""

import numpy as np

from .options import as_float, as_number

__all__ = ["INITIALIZERS", "default_for", "initial_weights", "parse"]

# name: (distribution, squared scale from n_in and n_out)
_SCALED = {
    "glorot": lambda n_in, n_out: 2 / (n_in + n_out),
    "he": lambda n_in, n_out: 2 / n_in,
    "lecun": lambda n_in, n_out: 1 / n_in,
}
INITIALIZERS = ("zeros", "constant", "normal", "uniform",
                *(f"{name}_{kind}" for name in _SCALED for kind in ("uniform", "normal")))
_NUMBERED = {"constant": None, "normal": 0.01, "uniform": 0.01}
# Those that half of the inputs leave at rest.
_HALF_AT_REST = ("relu", "leaky_relu", "gelu", "silu", "softplus")


def default_for(activation):
    """He's for rectifiers, Glorot's for all others."""
    return "he_uniform" if activation in _HALF_AT_REST else "glorot_uniform"


def parse(given):
    """``(name, number)`` of an initializer given by name, or as a pair of a name and its number."""
    name, number = given if isinstance(given, (tuple, list)) and len(given) == 2 else (given, None)
    if not isinstance(name, str) or name not in INITIALIZERS:
        raise ValueError(f"initializer must be one of {', '.join(map(repr, INITIALIZERS))}, or a pair such as "
                         f"('normal', 0.01), not {given!r}")
    if name not in _NUMBERED:
        if number is not None:
            raise ValueError(f"initializer {name!r} takes no number")
    elif number is None:
        number = _NUMBERED[name]
        if number is None:
            raise ValueError(f"initializer {name!r} needs a number: ({name!r}, value)")
    elif name == "constant":
        number = as_float(number, "the value of initializer 'constant'")
    else:
        number = as_number(number, f"the scale of initializer {name!r}", above=0.0)
    return name, number


def initial_weights(name, number, n_in, n_out, source):
    """Weights of a layer in float64, (n_in, n_out), from `parse` and a `random_numbers.Source`."""
    count = n_in * n_out
    if name in ("zeros", "constant"):
        return np.full((n_in, n_out), number or 0.0)
    base, _, kind = name.rpartition("_")
    variance = _SCALED[base](n_in, n_out) if base else None
    if kind == "normal":
        values = source.normal(count) * (number if variance is None else np.sqrt(variance))
    else:
        values = (2 * source.uniform(count) - 1) * (number if variance is None else np.sqrt(3 * variance))
    return values.reshape(n_in, n_out)
