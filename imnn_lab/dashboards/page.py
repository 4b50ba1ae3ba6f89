"""The page around dashboards: a title, and a switch between light and dark."""

from __future__ import annotations

from typing import Any

from panel_material_ui import Page

from imnn_lab import checks
from imnn_lab.dashboards.host.panel_private import without_busy_link
from imnn_lab.dashboards.host.sessions import take_styles_from_here


def page(title: str, *body: Any) -> Page:
    """Return a page for ``panel serve``; its switch between light and dark keeps what runs.

    Parameters
    ----------
    title : str
        Shown at its top.
    *body : dashboards or panel viewables
        What it shows, from top to bottom.

    Returns
    -------
    panel_material_ui.Page
        To be ``.servable()``.
    """
    title = checks.text("title", title)
    take_styles_from_here()
    return without_busy_link(Page(title=title, main=list(body), busy_indicator=None))
