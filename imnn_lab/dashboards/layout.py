"""How the views stand on the page: cards that sit side by side, or below each other when narrow."""

from __future__ import annotations

import html
import threading
from collections.abc import Sequence
from typing import Any

import panel as pn
from bokeh.document import Document
from bokeh.models import Div, Model, UIElement
from panel.io.notebook import patch_inline_stylesheets

from imnn_lab.dashboards.names import name_controls, naming_script

BORDER = "1px solid rgba(128, 128, 128, 0.35)"
OWN_SIZE = {
    "height": "auto", "max-height": "none", "min-width": "0", "max-width": "100%",
}  # fmt: skip
AS_WIDE = ".bk-clearfix { display: block !important; }"  # as its place, not as its content
FRAMED = {"border": BORDER, "border-radius": "4px"}  # a download, which has no edge of its own
CARD = {"border": BORDER, "border-radius": "8px", "padding": "12px", "min-width": "0"}


class Body(pn.Column):
    """All of a dashboard, shown in a notebook without delay, and by one thread at a time.

    Panel puts the style sheets into a notebook's models one by one, and Bokeh looks through the
    whole document after each. It sends a change as several messages, which must not be mixed with
    those of another thread.

    Attributes
    ----------
    turn : threading.RLock
        Held by who changes what a notebook shows: its frontend, or what follows a run.
    """

    def __init__(self, *objects: Any, **params: Any) -> None:
        super().__init__(*objects, **params)
        self.turn = threading.RLock()

    def _on_msg(self, ref: str, manager: Any, msg: Any) -> None:
        with self.turn:
            super()._on_msg(ref, manager, msg)

    def _get_model(
        self,
        doc: Document,
        root: Model | None = None,
        parent: Model | None = None,
        comm: Any = None,
    ) -> Model:
        name_controls(doc)
        return super()._get_model(doc, root, parent, comm)

    def _render_model(self, doc: Document | None = None, comm: Any = None) -> Model:
        doc = Document() if doc is None else doc
        with doc.models.freeze():
            root = super()._render_model(doc, comm)
            if pn.config.inline:
                for model in root.select({"type": UIElement}):
                    patch_inline_stylesheets(model)
        return root

    def _render_mimebundle(self, *arguments: Any) -> Any:
        bundle, metadata = super()._render_mimebundle(*arguments)
        return {**bundle, "text/html": bundle["text/html"] + naming_script()}, metadata


def body(*objects: Any) -> Body:
    """Return what a dashboard consists of, from top to bottom, as wide as its place."""
    return Body(*objects, sizing_mode="stretch_width", margin=0, min_width=0, styles=OWN_SIZE)


def stack(*objects: Any, max_width: str = "100%") -> pn.Column:
    """Return things below each other, as wide as their place and no wider.

    Parameters
    ----------
    *objects : panel viewables
    max_width : str
        A length, where their place may be wider than is good for them.
    """
    styles = OWN_SIZE | {"max-width": max_width}
    return pn.Column(*objects, sizing_mode="stretch_width", margin=0, min_width=0, styles=styles)


def card(title: str, *objects: Any) -> pn.Column:
    """Return a titled group.

    Parameters
    ----------
    title : str
    *objects : panel viewables
    """
    return pn.Column(
        heading(title), *objects, styles=CARD, sizing_mode="stretch_width", margin=4,
        min_width=0,
    )  # fmt: skip


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
    places = [
        pn.Column(
            viewable, sizing_mode="stretch_width", margin=0, min_width=0,
            styles={"flex": f"{grow} 1 {basis}px", "min-width": "0", "max-width": "100%"},
        )
        for viewable, basis, grow in shares
    ]  # fmt: skip
    return pn.FlexBox(
        *places, align_items="flex-start", gap="0px", sizing_mode="stretch_width", margin=0
    )


def side_by_side(*shares: tuple[Any, int, int]) -> pn.Row:
    """Return a row that breaks where it is too narrow, for grids of figures as well.

    Parameters
    ----------
    *shares : (viewable, basis, grow)
        What stands there, the width in pixels below which it moves to a row of its own, and its
        share of the width that is left over.
    """
    places = [
        pn.Column(
            viewable, sizing_mode="stretch_width", margin=0, min_width=0,
            styles={"flex": f"{grow} 1 {basis}px"} | OWN_SIZE,
        )
        for viewable, basis, grow in shares
    ]  # fmt: skip
    # pn.FlexBox would let rows overlap that hold figures
    return pn.Row(
        *places, sizing_mode="stretch_width", margin=0, min_width=0,
        styles={"flex-wrap": "wrap", "align-items": "flex-start"} | OWN_SIZE | {"width": "100%"},
    )  # fmt: skip


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table; its cells are escaped, the first of a row is a heading."""
    cell = "padding: 2px 10px 2px 0; text-align: left; font-variant-numeric: tabular-nums"
    head = "".join(f'<th scope="col" style="{cell}">{html.escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row" style="{cell}; font-weight: normal">{html.escape(first)}</th>'
        + "".join(f'<td style="{cell}">{html.escape(value)}</td>' for value in rest)
        + "</tr>"
        for first, *rest in rows
    )
    style = f"border-collapse: collapse; width: 100%; border-top: {BORDER}"
    return f'<table style="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
