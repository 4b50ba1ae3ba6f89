"""The card "Can I trust it?": the answers of a report, made when the reader asks for them."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

import panel as pn

from imnn_lab.dashboards.common.downloads import download
from imnn_lab.dashboards.common.layout import (
    WIDE,
    View,
    action_button,
    announced_html,
    asked_html,
    card,
    scrolling,
    with_code,
    words,
)
from imnn_lab.dashboards.common.questions import Question, Tell
from imnn_lab.diagnostics import Verdict
from imnn_lab.report import Answer, Report, light_html

INVITATION = (
    "A light and a sentence for each question will stand here: how much information there is, and "
    "whether what it comes from can be trusted. Press Check: it looks at the simulations again."
)
HEIGHT = 565  # pixels of the answers, which scroll if there are more
OUTDATED = "What is shown has changed since these checks."


class TrustView(View[Any]):
    """A button that checks what is shown, one that cancels, the answers, the report as a file.

    Parameters
    ----------
    make : callable
        ``make(tell)`` returns the report; it calls ``tell(share)``, which may raise, as it goes on.
        It is called in a thread of its own.
    subject : callable
        Returns what the report is about; when it differs from that at the time of the last report,
        the card says so.
    question : Question
        The reports so far, made here or on another page.
    started : callable, optional
        Called when the reader asks for a report, to have the page refreshed.
    remedies : mapping, optional
        See `on_page`.
    """

    def __init__(
        self,
        make: Callable[[Tell], Report],
        subject: Callable[[], Hashable],
        question: Question,
        started: Callable[[], object] | None = None,
        remedies: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._make, self._subject, self._started = make, subject, started
        self._remedies = remedies or {}
        self.question, self.work = question, question.work
        self._button = action_button("Check", self._start, 90)
        self._stop = action_button("Cancel", self.work.stop, 90, "outline")
        self._stop.visible = False
        self._download = download("report.html", "Report (HTML)", self._file, width=140)
        self._download.disabled = True
        self._status, self._answers = words(), words(announced_html(INVITATION))
        buttons = pn.FlexBox(self._button, self._stop, self._download, gap="0px", **WIDE)
        self.body = card("", buttons, self._status, self._answers)

    @property
    def word(self) -> str:
        """The worst light of the last report, or why there is none."""
        reports = self.question.found
        if self.work.is_running:
            return "checking"
        if not reports:
            return "not checked"
        subject, report = reports[-1]
        return str(report.light.value) if subject == self._subject() else "to be checked again"

    def refresh(self, moment: Any) -> None:
        """Show the answers of the last report."""
        work, reports, share = self.work, self.question.found, self.question.share
        outdated = bool(reports) and reports[-1][0] != self._subject()
        if not self.changed((work.state, len(reports), outdated, round(share, 2))):
            return
        self._button.disabled = self._stop.visible = work.is_running
        self._download.disabled = not reports
        self._status.object = asked_html(self.question, "checks", OUTDATED if outdated else "")
        if reports:
            answers = (
                replace(each, verdict=on_page(each.verdict, self._remedies))
                for each in reports[-1][1].answers
            )
            self._answers.object = scrolling("".join(map(answer_html, answers)), HEIGHT)

    def _start(self) -> None:
        self.question.ask(self._make, self._subject)
        if self._started is not None:
            self._started()

    def _file(self) -> io.BytesIO:
        return io.BytesIO(self.question.found[-1][1].to_html().encode())


def on_page(verdict: Verdict, remedies: Mapping[str, str]) -> Verdict:
    """Return a verdict with what readers of a page can do.

    Parameters
    ----------
    verdict : Verdict
    remedies : mapping from str to str
        What is said in other words, and these words.
    """
    remedy = verdict.remedy
    for said, instead in remedies.items():
        remedy = remedy.replace(said, instead)
    return replace(verdict, remedy=remedy)


def answer_html(answer: Answer) -> str:
    """Return an answer as HTML: its light and question, the words below."""
    light = answer.verdict.light
    title = f"{light_html(light)} <b>{html.escape(answer.question)}</b> {html.escape(light.value)}"
    verdict = with_code(str(answer.verdict))
    text = f'<p style="margin: .1em 0 0 1.2em; font-size: 0.9em">{verdict}</p>'
    return f'<div style="margin: .3em 0">{title}{text}</div>'
