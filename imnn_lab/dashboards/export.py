"""What can be taken away: history as CSV and NPZ, curves as PNG and PDF, the call in Python."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable

import numpy as np
import panel as pn

from imnn_lab.dashboards.layout import FRAMED, LiveText, card
from imnn_lab.dashboards.pump import Moment
from imnn_lab.dashboards.state import TrainingState
from imnn_lab.figures.curves import training_curves
from imnn_lab.results import History

CALL = """<div>The same in Python:</div>
<pre style="margin: 4px 0; padding: 6px; white-space: pre-wrap;
overflow-wrap: anywhere; font-size: 0.85em; user-select: all;
background: rgba(128, 128, 128, 0.15); border-radius: 4px"><code>{}</code></pre>"""


class Export(pn.viewable.Viewer):
    """Buttons for downloads, made when they are pressed, and the call that does the same.

    Parameters
    ----------
    state : TrainingState
    known_det_fisher : float, optional
    """

    def __init__(self, state: TrainingState, known_det_fisher: float | None = None) -> None:
        super().__init__()
        self.state, self._known = state, known_det_fisher
        self.buttons = {
            "CSV": self._button("history.csv", lambda: history_csv(self._history)),
            "NPZ": self._button("history.npz", lambda: history_npz(self._history)),
            "PNG": self._button("training.png", lambda: self._figure("png")),
            "PDF": self._button("training.pdf", lambda: self._figure("pdf")),
        }
        self.call = LiveText("", margin=(4, 10))

    @property
    def _history(self) -> History:
        return self.state.imnn.history

    def refresh(self, moment: Moment) -> None:
        """Allow downloads once there is something, and write the call as chosen now."""
        for button in self.buttons.values():
            button.disabled = not len(moment.history)
        self.call.object = CALL.format(html.escape(self.state.python_call()))

    def _figure(self, kind: str) -> io.BytesIO:
        return curves_file(self._history, kind, self._known)

    @staticmethod
    def _button(filename: str, make: Callable[[], io.BytesIO]) -> pn.widgets.FileDownload:
        label = filename.rpartition(".")[2].upper()
        return pn.widgets.FileDownload(
            callback=make,
            filename=filename,
            label=label,
            margin=4,
            width=72,
            disabled=True,
            styles=FRAMED,
        )

    def __panel__(self) -> pn.Column:
        row = pn.FlexBox(*self.buttons.values(), sizing_mode="stretch_width", gap="0px")
        return card("Take away", row, self.call)


def history_csv(history: History) -> io.BytesIO:
    """Return the columns of a history as a CSV file, one row an iteration."""
    columns, _ = history.read()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(np.stack(list(columns.values()), axis=1).tolist())
    return io.BytesIO(text.getvalue().encode("utf-8"))


def history_npz(history: History) -> io.BytesIO:
    """Return all that `History.from_arrays` needs as an NPZ file."""
    file = io.BytesIO()
    np.savez(file, **history.arrays())  # type: ignore[arg-type]
    file.seek(0)
    return file


def curves_file(history: History, kind: str, known_det_fisher: float | None = None) -> io.BytesIO:
    """Return the training curves as a "png" or "pdf" file, drawn for print."""
    from imnn_lab.figures.static_curves import save_curves

    file = io.BytesIO()
    save_curves(training_curves(history, known_det_fisher=known_det_fisher), file, kind)
    file.seek(0)
    return file
