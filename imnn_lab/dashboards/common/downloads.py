"""Downloads that pages offer: tables, arrays and figures, and the Python call for the same."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import panel as pn

from imnn_lab.dashboards.common.layout import FRAMED
from imnn_lab.dashboards.host.still import SCREEN
from imnn_lab.figures import Panels

CALL = """<div>The same in Python:</div>
<pre style="margin: 4px 0; padding: 6px; white-space: pre-wrap;
overflow-wrap: anywhere; font-size: 0.85em; user-select: all;
background: rgba(128, 128, 128, 0.15); border-radius: 4px"><code>{}</code></pre>"""


def download(
    filename: str, label: str, make: Callable[[], io.BytesIO], **options: Any
) -> pn.widgets.FileDownload:
    """Return a button that makes a file when it is pressed, and downloads it."""
    return pn.widgets.FileDownload(
        callback=make, filename=filename, label=label, styles=FRAMED, **{"margin": 4} | options
    )


def figure_downloads(name: str, describe: Callable[[], Panels]) -> list[pn.widgets.FileDownload]:
    """Return buttons that download a figure as PNG and PDF, drawn by matplotlib as for print.

    Parameters
    ----------
    name : str
    describe : callable
        Returns what to draw when a button is pressed.
    """

    def button(kind: str) -> pn.widgets.FileDownload:
        label = f"{name} ({kind.upper()})"
        return download(f"{name}.{kind}", label, lambda: figure_file(describe(), kind))

    return [button("png"), button("pdf")]


def figure_file(description: Panels, kind: str) -> io.BytesIO:
    """Return a figure as a "png" or "pdf" file."""
    from imnn_lab.figures.matplotlib import image

    return image(description, kind)


def still_image(description: Panels) -> bytes:
    """Return a figure as a PNG file for a notebook, which keeps it."""
    from imnn_lab.figures.matplotlib import image

    return image(description, "png", SCREEN).getvalue()


def csv_file(columns: Mapping[str, np.ndarray]) -> io.BytesIO:
    """Return columns as comma-separated values with a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return io.BytesIO(text.getvalue().encode())


def npz_file(arrays: Mapping[str, Any]) -> io.BytesIO:
    """Return arrays as an NPZ file."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    return file


def call_html(call: str) -> str:
    """Return a Python call as HTML."""
    return CALL.format(html.escape(call))
