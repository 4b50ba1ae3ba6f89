"""The page around dashboards: a title, and a switch between light and dark."""

from __future__ import annotations

from typing import Any

from panel.util import edit_readonly
from panel_material_ui import Page


def page(title: str, *body: Any) -> Page:
    """Return a page for ``panel serve``; its switch between light and dark keeps what runs.

    Parameters
    ----------
    title : str
    *body : dashboards or panel viewables
    """
    made = Page(title=title, main=list(body), busy_indicator=None)
    # Panel links `busy` to a flag that every tick of every session sets and clears, and each
    # change walks through all models of the page: most of a server's time.
    with edit_readonly(made):
        made.busy = False
    return made
