"""Imports Panel in less time, as the first page of a notebook waits for it."""

from __future__ import annotations

import gc
import importlib

from param import parameterized


def import_panel() -> None:
    """Import Panel without what only its developers read and without looking for garbage.

    In IPython, param writes a table of all parameters into the docstring of each of Panel's 300
    classes; and an import leaves hardly any garbage. Together they are a quarter of the time.
    """
    writes_tables, collects = parameterized.docstring_describe_params, gc.isenabled()
    parameterized.docstring_describe_params = False
    gc.disable()
    try:
        importlib.import_module("panel")
    finally:
        parameterized.docstring_describe_params = writes_tables
        if collects:
            gc.enable()
