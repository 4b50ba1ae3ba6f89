"""The page around dashboards: a title, and a switch between light and dark."""

from __future__ import annotations

from typing import Any

from panel_material_ui import Page

from imnn_lab.dashboards.sessions import calm, take_styles_from_here


def page(title: str, *body: Any) -> Page:
    """Return a page for ``panel serve``; its switch between light and dark keeps what runs.

    Parameters
    ----------
    title : str
    *body : dashboards or panel viewables
    """
    take_styles_from_here()
    return calm(Page(title=title, main=list(body), busy_indicator=None))
