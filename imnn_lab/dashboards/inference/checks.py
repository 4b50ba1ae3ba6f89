"""The checks of the inference page: calibration of all methods, and estimates against the truth."""

from __future__ import annotations

import io

import panel as pn

from imnn_lab.dashboards.common.downloads import download
from imnn_lab.dashboards.common.layout import (
    WIDE,
    View,
    action_button,
    announced_html,
    card,
    figure_rows,
    scrolling,
    side_by_side,
    stack,
    words,
)
from imnn_lab.dashboards.common.trust import answer_html
from imnn_lab.dashboards.inference.snapshot import Snapshot
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.report import Answer
from imnn_lab.report.posteriors import question

INVITATION = (
    "Posteriors of simulations at parameters from the prior are compared with these parameters: "
    "if they are right, the ranks of the true parameters stay within the band. A light and a "
    "sentence for each method will stand here."
)
PROGRESS = (
    '<progress value="{:.3f}" aria-label="progress of the check" style="width: 100%"></progress>'
)


class CalibrationView(View[Snapshot]):
    """A button that checks all methods, their ranks, and what they say.

    Parameters
    ----------
    state : InferenceState
    """

    def __init__(self, state: InferenceState) -> None:
        super().__init__()
        self._state, choices = state, state.choices.param
        snapshot = state.snapshot()
        self._start = action_button(
            "Check calibration", lambda: self.attempt(state.check_calibration), 160
        )
        self._stop = action_button("Stop", state.check_work.stop, 80, "outline")
        self._report = download("report.html", "Report (HTML)", self._file, width=140)
        self._report.disabled = True
        self.status, self._answers = words(), words(announced_html(INVITATION))
        boxes = [
            pn.widgets.IntInput.from_param(choices.checked, step=100, width=140),
            pn.widgets.IntInput.from_param(choices.checking_simulations, step=10_000, width=140),
        ]
        self._ranks = Drawing(snapshot.ranks, "ranks", height=180)
        self._estimates = Drawing(snapshot.estimates, "estimates", height=150)
        figures = stack(
            card("Ranks of the true parameters", figure_rows(self._ranks)),
            card("Estimates against the truth", figure_rows(self._estimates)),
        )
        controls = card(
            "Calibration",
            pn.FlexBox(*boxes, gap="0px", **WIDE),
            pn.FlexBox(self._start, self._stop, self._report, gap="0px", **WIDE),
            self.status,
            self._answers,
        )
        self.body = side_by_side((figures, 560, 3), (controls, 330, 2))

    def refresh(self, snapshot: Snapshot) -> None:
        """Show how far the check is, and what it came to."""
        work, progress = self._state.check_work, self._state.progress
        failure = self.failure or (work.message if work.state == "failed" else "")
        outdated = bool(snapshot.calibrations) and self._state.has_changed_since_check
        if not self.changed((snapshot.key, work.state, progress, failure, outdated)):
            return
        self._start.disabled, self._stop.disabled = work.is_running, not work.is_running
        self._report.disabled = not snapshot.calibrations
        self.status.object = self._words(outdated) + announced_html(failure, "alert")
        if snapshot.calibrations:
            answers = [
                answer_html(Answer(question(name), found.verdict))
                for name, found in snapshot.calibrations
            ]
            self._answers.object = scrolling("".join(answers), 390)
        self._ranks.update(snapshot.ranks)
        self._estimates.update(snapshot.estimates)

    def _words(self, outdated: bool) -> str:
        work, (done, step) = self._state.check_work, self._state.progress
        if work.is_running:
            return PROGRESS.format(done) + announced_html(f"{work.state}: {step} …")
        ended = {"finished": f"finished: {work.message}", "stopped": work.message}
        since = " What is shown has changed since this check." if outdated else ""
        return announced_html(ended.get(work.state, "") + since)

    def _file(self) -> io.BytesIO:
        return io.BytesIO(self._state.report().to_html().encode())
