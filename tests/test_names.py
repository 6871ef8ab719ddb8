"""The public names are there, documented, and no others.

Here because others write code against them. Tests __init__.py.
"""

import inspect

import numpy as np
import pytest

import steepest as sd

PROMISED = {
    "BusyError", "CheckpointError", "CompilationWarning", "Derivative", "Descent", "DescentStatus",
    "DifferenceWarning", "FunctionError", "Gradient", "GradientCheck", "GradientError", "Jacobian", "Status",
    "__version__", "backend", "check_gradient", "check_hessian", "check_jacobian", "compiled", "derivative", "formula",
    "gradient", "gradient_descent", "grid", "hessian", "hvp", "jacobian", "jvp", "linesearch", "maximize", "minimize",
    "minimize_many", "network", "noise_level", "optim", "plot", "schedules", "scipy_method", "set_num_threads",
    "show_config", "sparsity", "stochastic_descent", "value_and_gradient",
}


def test_the_public_names_are_those_that_are_promised():
    assert set(sd.__all__) == PROMISED
    assert all(hasattr(sd, name) for name in PROMISED)


@pytest.mark.parametrize("name", sorted(PROMISED - {"__version__"}))
def test_every_public_name_is_documented(name):
    public = getattr(sd, name)
    assert inspect.getdoc(public)
    if inspect.isfunction(public):
        doc = inspect.getdoc(public)
        for section in ("Parameters", "Returns", "Raises", "Examples"):
            assert f"\n{section}\n---" in doc, section
        for parameter in inspect.signature(public).parameters:
            assert parameter in doc, parameter


def test_options_are_keywords_only_after_the_first_two_or_three():
    for function, positional in ((sd.gradient, 2), (sd.value_and_gradient, 2), (sd.jacobian, 2), (sd.jvp, 3),
                                 (sd.derivative, 3), (sd.noise_level, 2), (sd.check_gradient, 3),
                                 (sd.check_jacobian, 3), (sd.check_hessian, 3), (sd.hessian, 2), (sd.hvp, 3),
                                 (sd.Gradient, 2), (sd.Jacobian, 2), (sd.gradient_descent, 4), (sd.minimize, 2),
                                 (sd.maximize, 2), (sd.Descent, 1), (sd.linesearch.wolfe, 2),
                                 (sd.minimize_many, 2), (sd.stochastic_descent, 3)):
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
        assert sum(kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for kind in kinds) == positional


def test_statuses_are_the_documented_numbers():
    assert [status.name for status in sd.Status] == ["RESOLVED", "ONE_SIDED", "FIXED", "UNRESOLVED", "NONFINITE"]
    assert [int(status) for status in sd.Status] == [0, 1, 2, 3, 4]
    assert issubclass(sd.BusyError, RuntimeError)
    assert issubclass(sd.DifferenceWarning, RuntimeWarning)
    full = sd.gradient(lambda x: x @ x, np.ones(2), full_output=True)
    assert isinstance(full, sd.Derivative)
