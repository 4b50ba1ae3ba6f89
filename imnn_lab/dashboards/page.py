"""The page around dashboards: a title, and a switch between light and dark."""

from __future__ import annotations

from typing import Any

from panel_material_ui import Page

from imnn_lab.dashboards.sessions import calm


def page(title: str, *body: Any) -> Page:
    """Return a page for ``panel serve``; its switch between light and dark keeps what runs.

    Parameters
    ----------
    title : str
    *body : dashboards or panel viewables
    """
    return calm(Page(title=title, main=list(body), busy_indicator=None))
