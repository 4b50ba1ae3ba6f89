"""Dashboards: Panel views that pull what they show from runs, histories and results.

Names are loaded on first use, so that importing a state does not import Panel.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "InferenceDashboard": "inference.dashboard",
    "ResultsDashboard": "results.dashboard",
    "TrainingDashboard": "training.dashboard",
    "stop_with_session": "host.sessions",
}

__all__ = ["InferenceDashboard", "ResultsDashboard", "TrainingDashboard", "stop_with_session"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
