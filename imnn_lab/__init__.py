"""Information-maximising neural networks: train them, watch them, steer them, infer parameters.

Names are loaded when they are first used, so that ``import imnn_lab`` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "IMNN": ("imnn_lab.imnn", "IMNN"),
    "FisherStatistics": ("imnn_lab.results", "FisherStatistics"),
    "History": ("imnn_lab.results", "History"),
    "Regularisation": ("imnn_lab.regularisation", "Regularisation"),
    "TFRecords": ("imnn_lab.sources.records", "TFRecords"),
    "LFI": ("imnn_lab.lfi", None),
    "campaign": ("imnn_lab.campaign", None),
    "networks": ("imnn_lab.networks", None),
    "problems": ("imnn_lab.problems", None),
}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
