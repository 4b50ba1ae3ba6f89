"""Pages: what a person steers a training and explores posteriors with.

A page reads protocols (a run, a history, an estimator) and never a façade; names are loaded when
they are first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "InferenceDashboard": "imnn_lab.dashboards.inference",
}

__all__ = [*_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
