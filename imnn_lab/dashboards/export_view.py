"""Downloads: figures for publications, samples, and the Python calls that give the same."""

from __future__ import annotations

import io
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np
import panel as pn
from matplotlib.figure import Figure

from imnn_lab.dashboards.export import CALL
from imnn_lab.dashboards.inference_state import InferenceState
from imnn_lab.dashboards.layout import FRAMED, card
from imnn_lab.dashboards.snapshot import ABC, PMC, Snapshot
from imnn_lab.dashboards.words import scrolling, words
from imnn_lab.figures import static
from imnn_lab.figures.data import Panels
from imnn_lab.regularisation import EPSILON


class ExportView(pn.viewable.Viewer):
    """Buttons that download what is on the page."""

    def __init__(self, state: InferenceState, snapshot: Snapshot, **params: Any) -> None:
        super().__init__(**params)
        self._state = state
        self._shown: object = None
        self._call = words()
        figures = [
            figure_download(name, describe, kind)
            for name, describe in self._figures(snapshot)
            for kind in ("png", "pdf")
        ]
        self._samples = {name: self._samples_download(name) for name in snapshot.series}
        self._body = card(
            "Take away",
            pn.FlexBox(*figures, *self._samples.values(), gap="0px", sizing_mode="stretch_width"),
            self._call,
        )

    def refresh(self, snapshot: Snapshot) -> None:
        """Show another moment."""
        if snapshot.key == self._shown:
            return
        self._shown = snapshot.key
        for name, posterior in snapshot.samples.items():
            self._samples[name].disabled = posterior is None
        self._call.object = scrolling(CALL.format(escape(python_call(self._state, snapshot))))

    def _figures(self, snapshot: Snapshot) -> list[tuple[str, Callable[[], Panels]]]:
        figures = [("corner", lambda: self._state.snapshot().corner())]
        if snapshot.simulates:
            figures.append(("scatter", lambda: self._state.snapshot().scatter()))
            figures.append(("distances", lambda: self._state.snapshot().distances()))
        return figures

    def _samples_download(self, name: str) -> pn.widgets.FileDownload:
        def samples() -> io.BytesIO:
            posterior = self._state.snapshot().samples[name]
            place = io.BytesIO()
            if posterior is not None:
                np.savez(place, **posterior.arrays())  # type: ignore[arg-type]
            place.seek(0)
            return place

        return pn.widgets.FileDownload(
            callback=samples, filename=f"posterior-{name.replace(' ', '-')}.npz",
            label=f"{name} samples (NPZ)", disabled=True, styles=FRAMED, margin=4,
        )  # fmt: skip

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


def figure_download(
    name: str, describe: Callable[[], Panels], kind: str
) -> pn.widgets.FileDownload:
    """Return a button that downloads a figure, drawn by matplotlib as for print.

    Parameters
    ----------
    name : str
    describe : callable
        Returns what to draw when the button is pressed.
    kind : {"png", "pdf"}
    """

    def drawn() -> io.BytesIO:
        description = describe()
        size = (max(5.0, 2.6 * description.columns), max(3.6, 2.6 * description.rows))
        # not pyplot's: those are shared by all sessions of the server
        figure = static.draw(description, figure=Figure(figsize=size, layout="constrained"))
        place = io.BytesIO()
        figure.savefig(place, format=kind, dpi=200)
        place.seek(0)
        return place

    return pn.widgets.FileDownload(
        callback=drawn, filename=f"{name}.{kind}", label=f"{name} ({kind.upper()})",
        styles=FRAMED, margin=4,
    )  # fmt: skip


def python_call(state: InferenceState, snapshot: Snapshot) -> str:
    """Return the Python calls that give what is on the page."""
    choices, labels = state.choices, list(snapshot.labels)
    lines = [
        "from imnn_lab import LFI",
        "",
        "arguments = (target_data, prior, Fisher, get_estimate)",
        f"GA = LFI.GaussianApproximation(*arguments, labels={labels!r})",
    ]
    if ABC in snapshot.series:
        made = snapshot.draws.num_draws or choices.draws
        lines += [
            f"ABC = LFI.ApproximateBayesianComputation(*arguments, simulator, labels={labels!r})",
            f"ABC(draws={made})",
            f"ABC.accept_reject({EPSILON}={snapshot.ε:.4g})",
        ]
    if PMC in snapshot.series:
        first = max(choices.initial_draws, choices.particles)
        lines += [
            f"PMC = LFI.PopulationMonteCarlo(*arguments, simulator, labels={labels!r})",
            f"PMC(draws={choices.particles}, initial_draws={first}, "
            f"criterion={choices.criterion:g}, max_simulations={choices.most_simulations})",
        ]
    overlay = []
    if ABC in snapshot.series:
        adjusted = "adjust=True" if snapshot.adjust else ""
        overlay = [f'"ABC": ABC.samples({adjusted})[0]', '"PMC": PMC.samples()[0]']
    inside = f"overlay={{{', '.join(overlay)}}}" if overlay else ""
    return "\n".join([*lines, f"GA.plot({inside})"])
