"""The stages after the first card: train, infer, results."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import panel as pn

from imnn_lab.dashboards.inference import InferenceDashboard, InferencePage
from imnn_lab.dashboards.layout import FRAMED, card, stack
from imnn_lab.dashboards.results import ResultsPage
from imnn_lab.dashboards.results_files import Results, results_of
from imnn_lab.dashboards.training import TrainingDashboard
from imnn_lab.dashboards.words import told, words
from imnn_lab.laboratory.building import Built
from imnn_lab.laboratory.choosing import MOST_BYTES, WIDE
from imnn_lab.laboratory.session import LaboratorySession
from imnn_lab.laboratory.uploads import read_upload


class TrainingStage(pn.viewable.Viewer):
    """The training dashboard of what was built last."""

    def __init__(self, session: LaboratorySession, **params: Any) -> None:
        super().__init__(**params)
        self._session = session
        self._shown: Built | None = None
        self._body = stack()

    def refresh(self) -> None:
        """Show the dashboard of a new network."""
        built, network = self._session.built, self._session.network
        if built is self._shown or built is None or network is None:
            return
        self._shown = built
        dashboard = TrainingDashboard(network, built.known_fisher, built.labels)
        self._body[:] = [words("<h2>2 · Train</h2>"), dashboard]

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


class InferenceStage(pn.viewable.Viewer):
    """A button, and behind it the page of inference with the network as it is then."""

    def __init__(self, session: LaboratorySession, **params: Any) -> None:
        super().__init__(**params)
        self._session, self._problem = session, ""
        self._page: InferencePage | None = None
        self._wanted, self._shown = False, None
        self._button = pn.widgets.Button(
            label="Infer with this network", color="primary", width=200
        )
        self._button.on_click(self._ask)
        self._status = words()
        self._place = stack()
        self._body = stack()

    def refresh(self) -> None:
        """Show the button once there is a network, and bring its page up to date."""
        built = self._session.built
        if built is not self._shown:
            self._shown = built  # type: ignore[assignment]
            self._page, self._place[:], self._session.inference = None, [], None
            self._body[:] = [
                words("<h2>3 · Infer</h2>"), self._button, self._status, self._place,
            ]  # fmt: skip
        if self._wanted:
            self._wanted = False
            self._begin()
        self._status.object = told(self._problem, "alert")
        if self._page is not None:
            self._page.refresh()

    def _ask(self, _: Any) -> None:
        self._wanted, self._problem = True, ""

    def _begin(self) -> None:
        built = self._session.built
        if built is None:
            return
        try:
            dashboard = InferenceDashboard(
                built.imnn.estimator, built.prior_here(), built.simulator, built.target,
                labels=built.labels, exact=built.exact,
            )  # fmt: skip
        except (TypeError, ValueError, RuntimeError) as error:
            self._problem = str(error)
            return
        if self._session.inference is not None:
            self._session.inference.stop()
        self._session.inference = dashboard.state
        self._page = InferencePage(dashboard.state, follows=False)
        self._place[:] = [self._page.body]

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body


class ResultsStage(pn.viewable.Viewer):
    """What this session found, and saved results that a visitor opens."""

    def __init__(self, session: LaboratorySession, **params: Any) -> None:
        super().__init__(**params)
        self._session, self._problem = session, ""
        self._wanted: Results | None = None
        self._page: ResultsPage | None = None
        self._files = pn.widgets.FileInput(label="results", accept=".npz", multiple=True, **WIDE)
        show = pn.widgets.Button(
            label="Show this session's results", color="primary", variant="outline", width=230
        )
        opened = pn.widgets.Button(
            label="Open these files", color="primary", variant="outline", width=150
        )
        show.on_click(self._show)
        opened.on_click(self._open)
        self._download = pn.widgets.FileDownload(
            callback=self._state, filename="state.npz", label="Network and history (state.npz)",
            styles=FRAMED, disabled=True, width=260,
        )  # fmt: skip
        self._status = words()
        self._place = stack()
        self._body = stack(
            words("<h2>4 · Results</h2>"),
            card(
                "Look again",
                pn.FlexBox(show, self._download, gap="0px", **WIDE),
                words("Saved before: state.npz, and posteriors' .npz."),
                self._files,
                opened,
                self._status,
            ),
            self._place,
        )

    def refresh(self) -> None:
        """Show what was asked for."""
        self._download.disabled = self._session.built is None
        self._status.object = told(self._problem, "alert")
        if self._wanted is not None:
            self._page, self._wanted = ResultsPage(self._wanted), None
            self._place[:] = [self._page.body]
        if self._page is not None:
            self._page.refresh()

    def _show(self, _: Any) -> None:
        found = self._session.results()
        self._problem = ""
        if found.trainings or found.posteriors:
            self._wanted = found
        else:
            self._problem = "There are no results yet: build a network above, or open files."

    def _open(self, _: Any) -> None:
        self._problem, found = "", Results()
        try:
            for name, content in zip(self._files.filename or [], self._files.value or []):  # noqa: B905
                arrays = read_upload(name, content, MOST_BYTES)
                found = found.joined(results_of(name.rpartition(".")[0], arrays))
        except ValueError as error:
            self._problem = str(error)
            return
        if not (found.trainings or found.posteriors):
            self._problem = "No file was chosen."
            return
        self._wanted = found

    def _state(self) -> io.BytesIO:
        built = self._session.built
        if built is None:
            return io.BytesIO()
        with tempfile.TemporaryDirectory() as place:
            built.imnn.save(place)
            return io.BytesIO((Path(place) / "state.npz").read_bytes())

    def __panel__(self) -> pn.viewable.Viewable:
        return self._body
