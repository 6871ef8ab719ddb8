"""Pictures: each takes and returns Axes of matplotlib, which is imported when one is drawn; none is shown.

Here as the list of what there is; each part stands in a file of its own. Tested in tests/test_plot.py.
"""

from .plot_fields import contour, gradient_field, step_error, surface, tangent
from .plot_networks import decision_boundary, layers, loss_plane, sparsity_colors
from .plot_paths import animate, convergence, descent_path, learning_rates

__all__ = [
    "animate", "contour", "convergence", "decision_boundary", "descent_path", "gradient_field", "layers",
    "learning_rates", "loss_plane", "sparsity_colors", "step_error", "surface", "tangent",
]
