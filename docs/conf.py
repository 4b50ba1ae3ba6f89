"""How Sphinx builds the documentation: ``sphinx-build -W docs docs/_build``.

Building runs the tutorials. Where they have just been run, ``-D nb_execution_mode=off`` shows the
outputs that are stored in them.
"""

import os
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("PANEL_INLINE", "true")  # the tutorials' pages load no script from elsewhere

from imnn_lab import tensorflow_import

tensorflow_import.import_tensorflow()

HERE = Path(__file__).parent

# Sphinx reads only files below this one; it would follow a link out again.
shutil.rmtree(HERE / "tutorials", ignore_errors=True)
shutil.copytree(HERE.parent / "tutorials", HERE / "tutorials")

project = "imnn_lab"
version = release = installed_version("imnn_lab")
copyright = "the authors of imnn_lab"
html_title = f"imnn_lab {release}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

# Guides
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = [
    "myst.header",  # tutorials may start a part with a heading of a lower level
    "mystnb.unknown_mime_type",  # what Panel tells JupyterLab besides its HTML
    "ref.python",  # words in types of attributes, as in "shape (n_params,)", refer to nothing
]

# Tutorials
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_output_stderr = "remove"  # progress bars
nb_merge_streams = True
nb_ipywidgets_js = {}  # widgets need a kernel; their scripts would come from another host

# Reference
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types and shapes stand in the docstrings
autodoc_default_options = {"members": True, "special-members": "__call__"}
napoleon_google_docstring = False
napoleon_use_param = False  # or words of types, as in "shape (n_params,)", become links
napoleon_use_ivar = True
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"

# Pages
html_theme = "furo"
html_show_sourcelink = False
html_copy_source = False


def link_tutorials(app, docname, source):
    """Let the guides' links to notebooks, which are right in the repository, reach their pages."""
    source[0] = source[0].replace("../../tutorials/", "../tutorials/")


def setup(app):
    """Connect what is particular to this project."""
    app.connect("source-read", link_tutorials)
