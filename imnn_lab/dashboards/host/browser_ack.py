"""Asks a browser whether it has drawn what it was sent."""

from __future__ import annotations

import time

import panel as pn

LONGEST_WAIT = 2.0
# A page in the background draws nothing: the timer answers then. An acknowledgement sent before the
# widget exists is lost; the next one will do.
ANSWER = """
const n = Number(source.text)
const answer = () => {
  try { if (answered.value < n) answered.value = n } catch { }
}
requestAnimationFrame(() => setTimeout(answer, 0))
setTimeout(answer, 1000)
"""


class Echo(pn.viewable.Viewer):
    """Asks the browser to answer when it has drawn what it was sent.

    Without it the messages to a slow browser would queue up there, and what its reader does would
    wait behind them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._n, self._asked_at = 0, 0.0
        self._question = pn.widgets.StaticText(value="0")
        self._answered = pn.widgets.IntInput(value=0)
        # "source" is the question; Panel would keep for ever what is named among the arguments too
        self._question.jscallback(args={"answered": self._answered}, value=ANSWER)

    def ask(self) -> None:
        """Send the question, after what is to be drawn."""
        self._n += 1
        self._question.value = str(self._n)
        self._asked_at = time.monotonic()

    @property
    def is_awaited(self) -> bool:
        """Whether a browser that has answered before has yet to answer the last question."""
        if self._answered.value in (0, self._n):
            return False
        return time.monotonic() < self._asked_at + LONGEST_WAIT

    def __panel__(self) -> pn.Row:
        # models that are not visible have no view, and a view is what answers
        return pn.Row(self._question, self._answered, styles={"display": "none"}, margin=0)
