"""Figures that take a while: a button, how far the work is, a button that stops it, the result."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import panel as pn

from imnn_lab.dashboards.common.layout import (
    WIDE,
    View,
    action_button,
    announced_html,
    asked_html,
    card,
    figure_rows,
    scrolling,
    words,
)
from imnn_lab.dashboards.common.questions import Question, Tell
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.data import Panels

WORDS = 230  # pixels of the words about a figure, which scroll
LINE = 96  # pixels of a figure on the screen for each inch on paper
INVITED = "It will stand here: press {}."
OUTDATED = "The network was trained since: ask again for what it is now."


@dataclass(frozen=True)
class Look:
    """What can be looked at.

    Attributes
    ----------
    name : str
    action : str
        What the button says.
    invitation : str
        What will be there.
    make : callable
        ``make(tell)`` returns a result; it calls ``tell(share)``, which may raise, as it goes on.
    describe : callable
        Returns the figure of a result, as `Panels`.
    say : callable
        Returns the result in words, as HTML.
    """

    name: str
    action: str
    invitation: str
    make: Callable[[Tell], Any]
    describe: Callable[[Any], Panels]
    say: Callable[[Any], str]


class LookView(View[Any]):
    """A look: what is there when the reader asked for it.

    Parameters
    ----------
    look : Look
    subject : callable
        Returns what it is about; when that differs from what it was, the view says so.
    started : callable
        Called when the reader asks, to have the page refreshed.
    question : Question
        What was asked and found so far, here or on another page.
    """

    def __init__(
        self,
        look: Look,
        subject: Callable[[], Hashable],
        started: Callable[[], object],
        question: Question,
    ) -> None:
        super().__init__()
        self.look, self._subject, self._started = look, subject, started
        self.question, self.work, self._drawn = question, question.work, 0
        self.button = action_button(look.action, self._start, 190)
        self._stop = action_button("Cancel", self.work.stop, 90, "outline")
        self._stop.visible = False
        self._status, self.words = (
            words(),
            words(announced_html(f"{look.invitation} {INVITED.format(look.action)}")),
        )
        self._figure = pn.Column(margin=0, **WIDE)
        buttons = pn.FlexBox(self.button, self._stop, gap="0px", **WIDE)
        self.body = card("", buttons, self._status, self._figure, self.words)

    def refresh(self, moment: Any) -> None:
        """Show how far the work is, or its last result."""
        work, found, share = self.work, self.question.found, self.question.share
        outdated = bool(found) and found[-1][0] != self._subject()
        if not self.changed((work.state, len(found), outdated, round(share, 2))):
            return
        self.button.disabled = self._stop.visible = work.is_running
        self._status.object = asked_html(
            self.question, self.look.name, OUTDATED if outdated else ""
        )
        if len(found) > self._drawn:
            self._drawn = len(found)
            self._show(found[-1][1])

    def _show(self, result: Any) -> None:
        described = self.look.describe(result)
        height = max(180, int(LINE * described.size[1]))
        self.drawing = Drawing(described, self.look.name, height=height)
        self._figure[:] = [figure_rows(self.drawing)]
        said = f'<div style="font-size: 0.9em">{self.look.say(result)}</div>'
        self.words.object = scrolling(said, WORDS)

    def _start(self) -> None:
        self.question.ask(self.look.make, self._subject)
        self._started()
