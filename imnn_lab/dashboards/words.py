"""Words on a page: texts, and notices that screen readers announce."""

from __future__ import annotations

from html import escape

from imnn_lab.dashboards.layout import LiveText

MARGIN = (4, 10)
EDGES = {"status": "#56B4E9", "alert": "#D55E00"}


def words(text: str = "") -> LiveText:
    """Return text that changes, as HTML."""
    return LiveText(text, MARGIN)


def told(text: str, role: str = "status") -> str:
    """Return a text that screen readers announce when it changes; nothing for no text.

    Parameters
    ----------
    text : str
    role : {"status", "alert"}
        An alert is announced at once.
    """
    edge = f"padding: 4px 8px; border-left: 4px solid {EDGES[role]}"
    return f'<div role="{role}" style="{edge}">{escape(text)}</div>' if text else ""


def scrolling(content: str, height: int = 280) -> str:
    """Return HTML that scrolls where it is wider than the page or higher than so many pixels."""
    # contain: its place gives it its width, its content does not
    style = f"overflow: auto; contain: inline-size; max-height: {height}px"
    return f'<div tabindex="0" style="{style}">{content}</div>'
