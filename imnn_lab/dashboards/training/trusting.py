"""How far results of a training can be trusted: answers of a report, and figures beside them."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from imnn_lab.dashboards.common.layout import (
    View,
    announced_html,
    side_by_side,
    stack,
    with_code,
    words,
)
from imnn_lab.dashboards.common.questions import Tell
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.common.trust import TrustView, on_page
from imnn_lab.dashboards.training.looks import Look, LookView
from imnn_lab.dashboards.training.protocols import remedies_of, state_of
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.diagnostics import HonestFisher, LearningCurve
from imnn_lab.figures import diagnostics as figures
from imnn_lab.figures.data import Panels
from imnn_lab.report import Report

RECORDED = (
    "The training that is shown was recorded. What is asked here is about the network before it "
    "trains: press Start first."
)


class Trusting(View[Any]):
    """The card that checks the results, and beside it what can be looked at.

    Parameters
    ----------
    state : TrainingState
    labels : sequence of str
    known_fisher : ndarray, shape (n_params, n_params), optional
    """

    def __init__(
        self, state: TrainingState, labels: Sequence[str], known_fisher: np.ndarray | None
    ) -> None:
        super().__init__()

        subject = partial(state_of, state.imnn)

        def started() -> None:
            state.param.update(acts=state.acts + 1)

        def make(tell: Tell) -> Report:
            given = {"labels": labels, "known_fisher": known_fisher, "progress": tell}
            report: Report = state.imnn.report(**given)  # type: ignore[attr-defined]
            return report

        question, remedies = state.questions.named("report"), remedies_of(state.imnn)
        self.answers = TrustView(make, subject, question, started, remedies)
        looks = _looks(state.imnn, labels, known_fisher)
        self.looks = {
            look.name: LookView(look, subject, started, state.questions.named(look.name))
            for look in looks
        }
        shown: list[tuple[Any, int, int]] = [(self.answers, 420, 3)]
        self._tabs: Tabs[Any] | None = None
        if self.looks:
            self._tabs = Tabs([Tab(name, partial(self.looks.get, name)) for name in self.looks])
            shown.append((self._tabs, 420, 2))
        self._state, self._note = state, words()
        self.body = stack(self._note, side_by_side(*shown))

    @property
    def word(self) -> str:
        """The worst light of the last report, or why there is none."""
        return self.answers.word

    @property
    def is_working(self) -> bool:
        """Whether something that the reader asked for is on its way."""
        views = [self.answers, *self.looks.values()]
        return any(view.work.is_running for view in views)

    def refresh(self, moment: Any) -> None:
        """Bring the answers, and the look that is shown, up to date."""
        is_recorded = getattr(self._state.imnn, "is_recorded", False)
        self._note.object = announced_html(RECORDED if is_recorded else "")
        self.answers.refresh(moment)
        if self._tabs is not None:
            self._tabs.refresh(moment)


def trusting(
    state: TrainingState, labels: Sequence[str], known_fisher: np.ndarray | None
) -> Trusting | None:
    """Return the view of a network that can report on its results, None of others.

    Parameters
    ----------
    state : TrainingState
    labels : sequence of str
    known_fisher : ndarray, shape (n_params, n_params), optional
    """
    return Trusting(state, labels, known_fisher) if hasattr(state.imnn, "report") else None


def _looks(imnn: Any, labels: Sequence[str], known_fisher: np.ndarray | None) -> Iterator[Look]:
    """Yield what this network can show."""
    if hasattr(imnn, "honest_fisher"):
        yield Look(
            "det F",
            "Find the bracket",
            "det F over training, with the bracket in which more simulations would find it.",
            partial(_bracketed, imnn, labels, known_fisher),
            lambda found: found[0],
            lambda found: _bracket(found[1], remedies_of(imnn)),
        )
    if hasattr(imnn, "learning_curve"):
        yield Look(
            "Simulations",
            "Solve on fewer",
            "F against the number of simulations: the last layer is solved anew on parts of the "
            "training set; its F is taken from simulations that are held out, and from its own, "
            "which is too large by the bias of a finite number.",
            imnn.learning_curve,
            lambda curve: figures.learning_curve(curve, known_fisher),
            _gain,
        )
    if hasattr(imnn, "fisher_flow"):
        yield Look(
            "Layers",
            "Look into each layer",
            "How much information a linear readout finds in each layer, untrained and now: where "
            "it is made, and where it is lost.",
            imnn.fisher_flow,
            figures.flow_by_layer,
            lambda flow: _as_written(str(flow)),
        )


def _bracketed(
    imnn: Any, labels: Sequence[str], known_fisher: np.ndarray | None, tell: Tell
) -> tuple[Panels, HonestFisher]:
    """Return det F over training with its bracket, as a figure, and the bracket."""
    found = imnn.honest_fisher(labels=labels, progress=tell)
    return figures.det_fisher(imnn.history, found, known_fisher), found


def _bracket(report: HonestFisher, remedies: Mapping[str, str]) -> str:
    """Return whether F can be quoted, and the brackets of the errors below."""
    verdict = report.verdict
    details = str(report).removeprefix(str(verdict)).strip("\n")
    return f"<p>{with_code(str(on_page(verdict, remedies)))}</p>{_as_written(details)}"


def _gain(curve: LearningCurve) -> str:
    """Return what the last doubling brought, and the bias, above the numbers."""
    gained = f"The last doubling changed ln det F by {curve.gain:+.3f}, held out. "
    bias = f"On its own simulations it differs by {curve.bias:+.3f}: by this bias, and by chance."
    return f"<p>{'' if np.isnan(curve.gain) else gained}{bias}</p>{_as_written(str(curve))}"


def _as_written(text: str) -> str:
    """Return lines of text as HTML: those of numbers keep their places."""
    style = "white-space: pre-wrap; margin: 0; font-size: 0.85em"
    return f'<pre style="{style}">{html.escape(text)}</pre>'
