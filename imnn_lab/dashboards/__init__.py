"""Dashboards: Panel views that pull what they show from runs, histories and results.

Names are loaded when they are first used, so that a state can be had without Panel.
"""

from __future__ import annotations

import importlib
from typing import Any

_PLACES = {
    "InferenceDashboard": "inference",
    "ResultsDashboard": "results",
    "TrainingDashboard": "training",
}

__all__ = ["InferenceDashboard", "ResultsDashboard", "TrainingDashboard"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
