"""What the address of a page asks for; everything in it is checked."""

from __future__ import annotations

import panel as pn

from imnn_lab.dashboards.host.sessions import in_session
from imnn_lab.laboratory.runs import NAME

MOST_LETTERS = 200  # of a value


def asked() -> dict[str, str]:
    """Return the query of the address of this session's page, the last value of each name."""
    if not in_session():
        return {}
    found = {name: values[-1] for name, values in pn.state.session_args.items() if values}
    texts = {name: _text(value)[:MOST_LETTERS] for name, value in found.items()}
    return {name: text for name, text in texts.items() if text}


def run_name(query: dict[str, str]) -> str:
    """Return the name of the run that is asked for, empty if there is none."""
    name = query.get("run", "")
    return name if NAME.fullmatch(name) else ""


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
