"""Information-maximising neural networks: train them, watch them, steer them, infer parameters."""

from importlib import import_module
from typing import Any

_PUBLIC = {"LFI": "imnn_lab.lfi"}

__all__ = ["LFI"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_module(_PUBLIC[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
