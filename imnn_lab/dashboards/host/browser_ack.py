"""Asks the browser of a page of Panel's whether it has drawn what it was sent."""

from __future__ import annotations

import weakref

import panel as pn

from imnn_lab.dashboards.host.browser import Acknowledged

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
    """What a page holds to answer when it has drawn what it was sent.

    Attributes
    ----------
    browser : Acknowledged
    """

    def __init__(self) -> None:
        super().__init__()
        self._question = pn.widgets.StaticText(value="0")
        self._answered = pn.widgets.IntInput(value=0)
        # "source" is the question; Panel would keep for ever what is named among the arguments too,
        # and what those refer to: so they do not refer to the question, nor to the browser
        self._question.jscallback(args={"answered": self._answered}, value=ANSWER)
        self.browser = Acknowledged(lambda n: self._question.param.update(value=str(n)))
        browser = weakref.proxy(self.browser)
        self._answered.param.watch(lambda event: browser.answer(event.new), "value")

    def __panel__(self) -> pn.Row:
        # models that are not visible have no view, and a view is what answers
        return pn.Row(self._question, self._answered, styles={"display": "none"}, margin=0)
