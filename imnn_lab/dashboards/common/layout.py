"""What pages consist of: views, cards side by side or below each other, texts, tables, figures."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import panel as pn
from bokeh.document import Document
from bokeh.models import CustomJS, Div

from imnn_lab import checks
from imnn_lab.dashboards.common.questions import Question
from imnn_lab.dashboards.host.panel_private import LiveColumn
from imnn_lab.figures.bokeh import Drawing

Moment = TypeVar("Moment")

BORDER = "1px solid rgba(128, 128, 128, 0.35)"
OWN_SIZE = {
    "height": "auto", "max-height": "none", "min-width": "0", "max-width": "100%",
}  # fmt: skip
AS_WIDE = ".bk-clearfix { display: block !important; }"  # as wide as the page, not the content
FRAMED = {"border": BORDER, "border-radius": "4px"}  # a download, which has no edge of its own
CARD = {"border": BORDER, "border-radius": "8px", "padding": "12px", "min-width": "0"}
WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}
TEXT_MARGIN = (4, 10)
# Words on buttons have a contrast of 4.5 to 1 at least, in both themes.
SOLID = """
:host(.solid) .bk-btn.bk-btn-primary { background: #1976d2 !important; color: white !important }
:host(.solid) .bk-btn.bk-btn-danger { background: #c62828 !important; color: white !important }
"""
# Of buttons of which one is chosen; !important: the theme has rules for buttons of its own.
CHOSEN = """
.bk-btn-group .bk-btn {
  background: none !important; color: inherit !important; border: 1px solid currentColor !important
}
.bk-btn-group .bk-btn.bk-active { background: #1976d2 !important; color: white !important }
"""
# Panel's own arrow is black in both themes.
ARROW = """
select.bk-input {
  background-image: linear-gradient(45deg, transparent 50%, currentColor 50%),
    linear-gradient(-45deg, transparent 50%, currentColor 50%) !important;
  background-position: right 15px center, right 9px center !important;
  background-size: 6px 6px !important;
  background-repeat: no-repeat !important
}
"""
# Browsers' own grey is too dark on a dark page.
HINT = "input::placeholder { color: inherit; font-style: italic; opacity: 1 }"
EDGES = {"status": "#56B4E9", "alert": "#D55E00"}
TAB_ROW, TAB_PANEL = "imnn-tab-row", "imnn-tab-panel"  # classes of what becomes tabs
# Names for controls that Bokeh 3.9 and Panel 1.9 leave without one. They come and go, and lie in
# shadow roots, which no selector or observer of the document reaches: so they are looked up once a
# second. test_every_control_has_a_name (served) tells whether Bokeh and Panel name them.
# Tabs are dressed as such again whenever Bokeh draws their row anew.
NAME_CONTROLS = """
{
  const dress = row => {
    const root = row.shadowRoot, tabs = [...root.querySelectorAll("button")]
    root.querySelector(".bk-btn-group")?.setAttribute("role", "tablist")
    for (const tab of tabs) {
      const active = tab.classList.contains("bk-active")
      tab.setAttribute("role", "tab")
      tab.setAttribute("aria-selected", String(active))
      tab.tabIndex = active ? 0 : -1
    }
    const shown = tabs.find(tab => tab.tabIndex === 0)
    if (shown && root.imnn_focused && document.activeElement === document.body) shown.focus()
    for (const panel of row.getRootNode().querySelectorAll(".TAB_PANEL")) {
      panel.setAttribute("role", "tabpanel")
      panel.setAttribute("aria-label", text(shown).split("\\n")[0])
    }
  }
  const move = event => {
    const tabs = [...event.target.parentElement.children], at = tabs.indexOf(event.target)
    const to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1}[event.key]
    if (to === undefined) return
    event.preventDefault()
    const tab = tabs.at(to % tabs.length)
    tab.click()
    tab.focus()
  }
  const tabs_of = row => {
    const root = row.shadowRoot
    if (!root || root.imnn_tabs) return
    root.imnn_tabs = new MutationObserver(() => dress(row))
    root.imnn_tabs.observe(root, {subtree: true, childList: true, attributeFilter: ["class"]})
    root.addEventListener("keydown", move)
    root.addEventListener("focusin", () => { root.imnn_focused = true })
    root.addEventListener("focusout", event => { root.imnn_focused = !event.target.isConnected })
    dress(row)
  }
  const text = element => element?.textContent.trim() ?? ""
  const kinds = [
    [".noUi-handle", root => text(root.querySelector(".bk-slider-title")).replace(/:[^:]*$/, "")],
    ["input[type=range]", root => text(root.querySelector(".pn-player-title"))],
    ["input[type=checkbox]", (_, control) => text(control.nextElementSibling)],
    [".bk-spin-btn-up", () => "more"],
    [".bk-spin-btn-down", () => "less"],
    ["[role=progressbar]", () => "busy"],
    [".bk-events", root => root.host?.getRootNode().host?.dataset?.about],
    ["button", (_, control) => text(control) ? "" : control.className],
  ]
  const look = root => {
    for (const control of root.querySelectorAll("*")) {
      if (control.shadowRoot) look(control.shadowRoot)
      if (control.classList.contains("TAB_ROW")) tabs_of(control)
      if (control.hasAttribute("aria-label")) continue
      const kind = kinds.find(([selector]) => control.matches(selector))
      const name = kind?.[1](root, control)
      if (!name) continue
      control.setAttribute("aria-label", name)
      if (control.matches(".bk-events")) control.setAttribute("role", "img")
    }
  }
  window.imnn_lab_names ??= setInterval(() => look(document), 1000)
}
""".replace("TAB_ROW", TAB_ROW).replace("TAB_PANEL", TAB_PANEL)


class View(pn.viewable.Viewer, Generic[Moment]):
    """One part of a page. The page's tick calls `refresh` with what there is to show.

    Subclasses set `body` and define `refresh`.

    Attributes
    ----------
    body : panel viewable
        What the page shows.
    failure : str
        Why the last act that the reader asked for failed, empty if it did not.
    """

    body: Any

    def __init__(self) -> None:
        super().__init__()
        self.failure = ""
        self._key: Hashable = object()

    def refresh(self, moment: Moment) -> None:
        """Show another moment."""
        raise NotImplementedError

    def changed(self, key: Hashable) -> bool:
        """Return whether the key differs from that of the last call, and remember it."""
        before, self._key = self._key, key
        return key != before

    def attempt(self, act: Callable[[], object]) -> bool:
        """Do what the reader asked for; keep the message of an error as `failure`.

        Simulators and estimators of the reader's may raise anything.

        Returns
        -------
        bool
            Whether it succeeded.
        """
        self.failure = ""
        try:
            act()
        except Exception as error:
            self.failure = checks.words_of(error)
        return not self.failure

    def __panel__(self) -> Any:
        return self.body


class Body(LiveColumn):
    """All of a dashboard: its page names its controls."""

    def prepare(self, document: Document) -> None:
        """Let a served page name its controls once it is ready."""
        document.js_on_event("document_ready", CustomJS(code=NAME_CONTROLS))

    def notebook_html(self) -> str:
        """Return the script that names controls in a notebook."""
        return f'<script type="application/javascript">{NAME_CONTROLS}</script>'


def body(*objects: Any) -> Body:
    """Return what a dashboard consists of, from top to bottom, as wide as the page."""
    return Body(*objects, margin=0, styles=OWN_SIZE, **WIDE)


def stack(*objects: Any, max_width: str = "100%") -> pn.Column:
    """Return things below each other, as wide as the page allows and no wider.

    Parameters
    ----------
    *objects : panel viewables
    max_width : str
        A CSS length.
    """
    styles = OWN_SIZE | {"max-width": max_width}
    return pn.Column(*objects, margin=0, styles=styles, **WIDE)


def card(title: str, *objects: Any) -> pn.Column:
    """Return a titled group.

    Parameters
    ----------
    title : str
        Empty where something above says it.
    *objects : panel viewables
    """
    above = [heading(title)] if title else []
    return pn.Column(*above, *objects, styles=CARD, margin=4, **WIDE)


def heading(text: str) -> pn.pane.HTML:
    """Return the title of a card."""
    words = f'<h3 style="margin: 0; font-size: 1.05em">{html.escape(text)}</h3>'
    return pn.pane.HTML(words, margin=(0, 5, 6, 5), sizing_mode="stretch_width")


class LiveText(pn.viewable.Viewer):
    """HTML that changes often: only what changed is sent.

    A pane of Panel's own sends its style sheets with each change, and a notebook then fetches them
    from a host outside.

    Parameters
    ----------
    text : str
        HTML.
    margin : tuple of int
        Above and below, left and right, in pixels.
    """

    def __init__(self, text: str = "", margin: tuple[int, int] = (0, 5)) -> None:
        super().__init__()
        self._model = Div(
            text=text, sizing_mode="stretch_width", margin=margin, stylesheets=[AS_WIDE]
        )

    @property
    def object(self) -> str:
        """The HTML that is shown."""
        return str(self._model.text)

    @object.setter
    def object(self, text: str) -> None:
        if text != self._model.text:
            self._model.text = text

    def __panel__(self) -> pn.pane.Bokeh:
        return pn.pane.Bokeh(self._model, sizing_mode="stretch_width", margin=0)


def flowing(*shares: tuple[Any, int, int]) -> pn.FlexBox:
    """Return a row that breaks where it is too narrow, for figures that stretch.

    Grids of figures want `side_by_side`.

    Parameters
    ----------
    *shares : (viewable, basis, grow)
    """
    size = {"min-width": "0", "max-width": "100%"}
    cells = [
        pn.Column(viewable, margin=0, styles={"flex": f"{grow} 1 {basis}px"} | size, **WIDE)
        for viewable, basis, grow in shares
    ]
    return pn.FlexBox(
        *cells, align_items="flex-start", gap="0px", sizing_mode="stretch_width", margin=0
    )


def side_by_side(*shares: tuple[Any, int, int]) -> pn.Row:
    """Return a row that breaks where it is too narrow, for grids of figures as well.

    Parameters
    ----------
    *shares : (viewable, basis, grow)
        What stands there, the width in pixels below which it moves to a row of its own, and its
        share of the width that is left over.
    """
    cells = [
        pn.Column(viewable, margin=0, styles={"flex": f"{grow} 1 {basis}px"} | OWN_SIZE, **WIDE)
        for viewable, basis, grow in shares
    ]
    # pn.FlexBox would let rows overlap that hold figures
    styles = {"flex-wrap": "wrap", "align-items": "flex-start"} | OWN_SIZE | {"width": "100%"}
    return pn.Row(*cells, margin=0, styles=styles, **WIDE)


def action_button(
    label: str, act: Callable[[], object], width: int, variant: str = "solid"
) -> pn.widgets.Button:
    """Return a button that calls a function when it is pressed."""
    button = pn.widgets.Button(
        label=label, color="primary", variant=variant, width=width, stylesheets=[SOLID]
    )
    button.on_click(lambda _: act())
    return button


class Select(pn.widgets.Select):
    """A choice of one, whose arrow is seen in both themes."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**{"stylesheets": [ARROW]} | params)


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    swatches: Sequence[str] = (),
    is_dense: bool = False,
) -> str:
    """Return an HTML table; its cells are escaped, the first of a row is a heading.

    Parameters
    ----------
    header : sequence of str
    rows : sequence of sequences of str
    swatches : sequence of str
        HTML that stands before the headings of the rows, which do not break then.
    is_dense : bool
        Whether it has many columns: smaller, and only headings break into lines.
    """
    unbroken = "; white-space: nowrap" if swatches else ""
    space, size = (6, 0.8) if is_dense else (10, 0.9)
    cell = f"padding: 1px {space}px 1px 0; text-align: left; font-variant-numeric: tabular-nums"
    number = f"{cell}; white-space: nowrap" if is_dense else cell
    head = "".join(f'<th scope="col" style="{cell}">{html.escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row" style="{cell}; font-weight: normal; min-width: 4.4em{unbroken}">'
        f"{swatch}{html.escape(first)}</th>"
        + "".join(f'<td style="{number}">{html.escape(value)}</td>' for value in rest)
        + "</tr>"
        for (first, *rest), swatch in zip(rows, swatches or [""] * len(rows), strict=True)
    )
    style = f"border-collapse: collapse; width: 100%; border-top: {BORDER}; font-size: {size}em"
    return f'<table style="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def words(text: str = "") -> LiveText:
    """Return text that changes, as HTML."""
    return LiveText(text, TEXT_MARGIN)


def with_code(text: str) -> str:
    """Return a text as HTML, in which what stands between backticks is set as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def announced_html(text: str, role: str = "status") -> str:
    """Return a text that screen readers announce when it changes; nothing for no text.

    Parameters
    ----------
    text : str
    role : {"status", "alert"}
        An alert is announced at once.
    """
    edge = f"padding: 4px 8px; border-left: 4px solid {EDGES[role]}"
    return f'<div role="{role}" style="{edge}">{with_code(text)}</div>' if text else ""


def asked_html(question: Question, name: str, outdated: str) -> str:
    """Return how far the work on a question is, why it failed, or else what is outdated.

    Parameters
    ----------
    question : Question
    name : str
        Of the bar of work that goes on, for screen readers.
    outdated : str
        Said when nothing else is.
    """
    if question.work.state == "failed":
        return announced_html(question.work.message, "alert")
    if not question.work.is_running:
        return announced_html(outdated)
    share = question.share
    begun = f' value="{share:.2f}"' if share else ""
    said = f"{100 * share:.0f} %" if begun else "at work"
    return f'<progress max="1"{begun} aria-label="{html.escape(name)}"></progress> {said}'


def scrolling(content: str, height: int = 280) -> str:
    """Return HTML that scrolls where it is wider than the page or higher than so many pixels."""
    # contain: the width comes from the page, not from the content
    style = f"overflow: auto; contain: inline-size; max-height: {height}px"
    return f'<div tabindex="0" style="{style}">{content}</div>'


def figure_pane(figure: Any) -> pn.pane.Bokeh:
    """Return a pane for a figure, as wide as the page allows."""
    return pn.pane.Bokeh(figure, margin=0, **WIDE)


def figure_rows(
    drawing: Drawing, legend_inside: bool = False, has_legend: bool = True
) -> pn.Column:
    """Return a drawing's legend and its figures in rows.

    Each figure is a pane of its own: Bokeh's grids do not finish deep inside Panel's layouts.

    Parameters
    ----------
    drawing : Drawing
    legend_inside : bool
        Whether the legend stands in the last places of the first row if they are free, instead of
        above.
    has_legend : bool
    """
    cells = [
        [_cell(figure, left) for figure, left in zip(row, drawing.lefts, strict=True)]
        for row in drawing.figures
    ]
    free = [figure is None for figure in drawing.figures[0]]
    is_inside = legend_inside and free[-1]
    if is_inside:
        first = free.index(True)
        cells[0][first:] = [_cell(drawing.legend, sum(drawing.lefts[first:]), len(free) - first)]
    rows = [pn.Row(*row, margin=0, **WIDE) for row in cells]
    above = [] if is_inside or not has_legend else [figure_pane(drawing.legend)]
    return pn.Column(*above, *rows, margin=0, **WIDE)


def _cell(figure: Any, left: int, columns: int = 1) -> Any:
    """Return a figure, or nothing, as wide as others but for what its axes need."""
    inside = [] if figure is None else [figure_pane(figure)]
    styles = {"flex": f"{columns} 1 {left}px", "min-width": "0"}
    return pn.Column(*inside, margin=0, styles=styles, **WIDE)
