"""How the documentation is built: Sphinx, numpydoc, nothing else. ``ci/docs`` runs it.

Here so that docstrings are the reference and pages stand beside them. Every example in them runs in ci/test.
"""

from steepest import __version__

project = "steepest"
version = release = __version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax",
              "matplotlib.sphinxext.plot_directive", "numpydoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_title = "steepest"
autosummary_generate = True
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
default_role = "any"
nitpicky = False
plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 90)]
suppress_warnings = ["ref.any", "ref.ref"]     # of what is inherited from scikit-learn
