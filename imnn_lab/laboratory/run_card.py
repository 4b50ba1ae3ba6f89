"""How to come back to a run: its address, and the other runs that this browser knows.

Which runs are a visitor's own is kept by the browser; the server tells of no others.
"""

from __future__ import annotations

import html
import time

import panel as pn

from imnn_lab.dashboards.common.layout import View, flowing, stack, with_code, words
from imnn_lab.laboratory.runs import NAME, Runs, ServedRun
from imnn_lab.laboratory.session import LaboratorySession

MOST_NAMES, PERIOD = 20, 2.0  # names that a browser keeps; seconds
NOBODY = "-"
DETAILS = '<details style="display: inline"><summary style="display: inline-block">'
# says which runs the browser remembers; puts one that is named into the address, and remembers it
REMEMBER = """
const name = source.text
let kept = []
try { kept = JSON.parse(localStorage.getItem("imnn_lab runs")) ?? [] } catch { }
if (!Array.isArray(kept)) kept = []
if (name !== "-") {
  const place = new URL(window.location)
  place.search = new URLSearchParams({run: name})
  window.history.replaceState(null, "", place)
  kept = [name, ...kept.filter(other => other !== name)].slice(0, 20)
  try { localStorage.setItem("imnn_lab runs", JSON.stringify(kept)) } catch { }
}
known.value = kept.join(" ")
"""
COPY = """
const place = new URL(window.location)
place.search = query.value
const say = () => { source.label = "Copied"; setTimeout(() => source.label = label, 2000) }
const select = () => {  // a page without HTTPS may not write to the clipboard by itself
  const field = document.body.appendChild(document.createElement("textarea"))
  field.value = place.href
  field.select()
  document.execCommand("copy")
  field.remove()
  say()
}
if (navigator.clipboard) navigator.clipboard.writeText(place.href).then(say, select)
else select()
"""


def copy_button(label: str, query: pn.widgets.TextInput, width: int) -> pn.widgets.Button:
    """Return a button that copies the address of the page with the query that a widget holds."""
    button = pn.widgets.Button(label=label, color="primary", variant="outline", width=width)
    button.js_on_click(args={"query": query, "label": label}, code=COPY)
    return button


class RunCard(View[LaboratorySession]):
    """A line on the run of this page, and one for each other run of its visitor's.

    Parameters
    ----------
    run : ServedRun
    runs : Runs
        Where the others are looked up.
    notice : str
        Shown first.
    """

    def __init__(self, run: ServedRun, runs: Runs, notice: str = "") -> None:
        super().__init__()
        self._run, self._runs, self._notice = run, runs, notice
        self._due, self._is_drawn = 0.0, False
        self._named = pn.widgets.StaticText(value="")
        self.known = pn.widgets.TextInput(value="")
        self._named.jscallback(args={"known": self.known}, value=REMEMBER)
        query = pn.widgets.TextInput(value=f"run={run.name}")
        self.copy = copy_button("Copy this run's address", query, 210)
        self._words = words()
        hidden = pn.Row(self._named, self.known, query, styles={"display": "none"}, margin=0)
        self.body = stack(flowing((self._words, 200, 1), (self.copy, 230, 0)), hidden)

    def refresh(self, moment: LaboratorySession) -> None:
        """Remember a run that is used, and say how far this visitor's runs are."""
        self.copy.visible = self._run.is_used
        if self._is_drawn:  # a browser tells of no value that was there from the first
            self._named.value = self._run.name if self._run.is_used else NOBODY
        self._is_drawn = True
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + PERIOD
            self._words.object = self._html()

    def others(self) -> dict[str, str]:
        """Return what the other runs are that this browser knows and that are here, by name."""
        names = [name for name in self.known.value.split()[:MOST_NAMES] if NAME.fullmatch(name)]
        found = {name: self._runs.words(name) for name in names if name != self._run.name}
        return {name: text for name, text in found.items() if text}

    def _html(self) -> str:
        minutes = self._runs.keep / 60
        text = self._notice
        if self._run.is_used:
            text += (
                " This run goes on when the page is closed, and ends "
                f"{minutes:,.3g} minutes after its last visitor has left."
            )
        rows = "".join(
            f'<li><a href="?run={name}">{html.escape(text)}</a></li>'
            for name, text in self.others().items()
        )
        listed = f"{DETAILS}Your other runs</summary><ul>{rows}</ul></details>"
        return f"<div>{with_code(text.strip())} {listed if rows else ''}</div>"
