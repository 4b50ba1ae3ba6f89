"""The first card: choose a problem, or send own data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn

from imnn_lab.cases import CASES
from imnn_lab.dashboards.layout import card, side_by_side
from imnn_lab.dashboards.words import told, words
from imnn_lab.laboratory.building import NETWORKS, Built, OwnData, Sizes, built_data, built_problem
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.uploads import MEGABYTE, numbers, read_upload

MOST_BYTES = 12 * MEGABYTE  # what a message of the server's usual size can carry
MOST_SIMULATIONS = 20_000
WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}


class ChoosingView(pn.viewable.Viewer):
    """Choices that lead to a network, and the buttons that build it."""

    def __init__(self, session: LaboratorySession, **params: Any) -> None:
        super().__init__(**params)
        self._session, self._problem = session, ""
        options = {f"{name}: {case.words}": name for name, case in CASES.items()}
        self.problem = pn.widgets.Select(label="problem", options=options, **WIDE)
        self.network = pn.widgets.Select(label="network", options=list(NETWORKS), **WIDE)
        count = {"start": 10, "end": MOST_SIMULATIONS, "step": 100, "width": 140}
        self.n_s = pn.widgets.IntInput(label="n_s, fiducial", value=1000, **count)
        self.n_d = pn.widgets.IntInput(label="n_d, derivative", value=1000, **count)
        self.seed = pn.widgets.IntInput(label="seed", value=0, start=0, end=2**30, width=140)
        self.build = pn.widgets.Button(label="Build the network", color="primary", width=170)
        self.files = pn.widgets.FileInput(label="files", accept=".npy,.npz", multiple=True, **WIDE)
        self.θ_fid = pn.widgets.TextInput(label="θ_fid", placeholder="0, 1", **WIDE)
        self.δθ = pn.widgets.TextInput(label="δθ, full width", placeholder="0.1, 0.1", **WIDE)
        self.build_own = pn.widgets.Button(
            label="Build from own data", color="primary", variant="outline", width=170
        )
        self.build.on_click(lambda _: self._build(self._from_problem))
        self.build_own.on_click(lambda _: self._build(self._from_data))
        self._status = words()

    def refresh(self) -> None:
        """Show how far the building is."""
        work, position = self._session.building, self._session.position
        self.build.disabled = self.build_own.disabled = work.is_running
        problem = self._problem or (work.message if work.state == "failed" else "")
        state = {
            "idle": "Choose, and build a network; nothing runs before you ask for it.",
            "running": "Simulating, and preparing the network …",
            "finished": f"{work.message}: train it below.",
        }.get(work.state, "")
        if position:
            state = f"This server is busy: you are number {position} in the line."
        about = told(state) + told(problem, "alert")
        if about != self._status.object:
            self._status.object = about

    def _build(self, checked: Callable[[], Callable[[], Built]]) -> None:
        self._problem = ""
        try:
            self._session.build(checked())
        except (TypeError, ValueError) as error:
            self._problem = str(error)

    def _sizes(self) -> Sizes:
        return Sizes(int(self.n_s.value), int(self.n_d.value), int(self.seed.value))

    def _from_problem(self) -> Callable[[], Built]:
        sizes, network, problem = self._sizes(), self.network.value, self.problem.value
        if not (10 <= sizes.n_s <= MOST_SIMULATIONS and 10 <= sizes.n_d <= MOST_SIMULATIONS):
            raise ValueError(f"n_s and n_d must lie between 10 and {MOST_SIMULATIONS:,}.")
        return lambda: built_problem(problem, network, sizes)

    def _from_data(self) -> Callable[[], Built]:
        arrays: dict[str, np.ndarray] = {}
        sent = zip(self.files.filename or [], self.files.value or [], strict=True)
        for name, content in sent:
            arrays |= read_upload(name, content, MOST_BYTES)
        for name, widget in (("θ_fid", self.θ_fid), ("δθ", self.δθ)):
            if widget.value:
                arrays[name] = numbers(name, widget.value)
        for name in ("fiducial", "derivative", "θ_fid", "δθ"):
            if name not in arrays:
                raise ValueError(f"`{name}` is missing. Send it in a file, or write it below.")
        own = OwnData(arrays, np.atleast_1d(arrays["θ_fid"]), np.atleast_1d(arrays["δθ"]))
        network, sizes = self.network.value, self._sizes()
        return lambda: built_data(own, network, sizes)

    def __panel__(self) -> pn.viewable.Viewable:
        counts = pn.FlexBox(self.n_s, self.n_d, self.seed, gap="0px", **WIDE)
        problem = card("1 · A problem", self.problem, counts, self.build)
        about = (
            "Files fiducial.npy and derivative.npy (validation_fiducial, validation_derivative and "
            f"target may follow), or an .npz with these names; {MOST_BYTES // MEGABYTE} MB at most."
        )
        own = card("or your own simulations", words(about), self.files, self.θ_fid, self.δθ,
                   self.build_own)  # fmt: skip
        choices = side_by_side((problem, 320, 1), (own, 320, 1))
        return pn.Column(choices, card("Network", self.network, self._status), margin=0, **WIDE)
