"""Write the reference as web pages: ``python docs/reference.py [directory]``."""

import sys
from pathlib import Path

import pdoc

from imnn_lab import quiet

quiet.import_tensorflow()

import imnn_lab  # noqa: E402


def write(directory: Path) -> None:
    """Write a page for each public module of imnn_lab, and ``index.html``."""
    for module in (imnn_lab, imnn_lab.dashboards):  # pdoc looks for names that are loaded
        vars(module).update({name: getattr(module, name) for name in module.__all__})
    pdoc.render.configure(docformat="numpy", show_source=False)
    pdoc.pdoc("imnn_lab", "imnn_lab.lfi", output_directory=directory)


if __name__ == "__main__":
    write(Path(*sys.argv[1:2] or ["reference"]))
