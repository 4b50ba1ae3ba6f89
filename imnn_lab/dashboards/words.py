"""Words on a page: headings, notices that screen readers announce, tables."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import panel as pn

STYLE = """
:host { --edge: color-mix(in srgb, currentColor 22%, transparent); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--edge); }
th:first-child, td:first-child { text-align: left; }
caption { text-align: left; padding: 2px 0 6px; opacity: 0.75; }
.scroll { overflow: auto; max-height: 280px; }
.notice { padding: 6px 10px; border-left: 4px solid #56B4E9; }
.notice.problem { border-left-color: #D55E00; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
"""


def words(text: str = "", **options: Any) -> pn.pane.HTML:
    """Return a pane of text."""
    return pn.pane.HTML(text, stylesheets=[STYLE], sizing_mode="stretch_width", **options)


def heading(text: str, about: str = "") -> pn.pane.HTML:
    """Return a heading, and a line about what it heads."""
    line = f"<div style='opacity:0.75;font-size:13px'>{escape(about)}</div>" if about else ""
    return words(f"<h2 style='font-size:17px;margin:6px 0 2px'>{escape(text)}</h2>{line}")


def told(text: str, problem: bool = False) -> str:
    """Return a text that screen readers announce when it changes; nothing for no text."""
    role = "alert" if problem else "status"
    kind = "notice problem" if problem else "notice"
    return f'<div class="{kind}" role="{role}">{escape(text)}</div>' if text else ""


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table of texts; the first column heads its row."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>"
        + f'<th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
