"""How far work is: functions that are told, and bars; the only module that imports tqdm."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from imnn_lab import checks


def told(progress: Any) -> Callable[[float], Any]:
    """Return a function that is told a share, whether or not the caller wants to know.

    Raises
    ------
    TypeError
        If `progress` is neither None nor a function.
    """
    if progress is None:
        return float
    return checks.function("progress", progress, "a share from 0 to 1 to anything")


def tqdm_class(notebook: bool | None = None) -> Any:
    """Return tqdm's class for notebooks (True), for terminals (False), or the one that fits."""
    if notebook is None:
        from tqdm.auto import tqdm
    elif notebook:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm


def progress_bar(show: bool = True, notebook: bool | None = None, **options: Any) -> Any:
    """Return a factory of bars that count simulations; `show=False` gives bars that do nothing."""
    if not show:
        return _NoBar
    counting = {"unit": "sim", "unit_scale": True, "leave": False}
    return partial(tqdm_class(notebook), **(counting | options))


def announce(message: str) -> None:
    """Print a message without breaking a bar that is on the screen."""
    tqdm_class(notebook=False).write(message)


class _NoBar:
    def __init__(self, **_: Any) -> None:
        """Take the options of a bar, and ignore them."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, n: int) -> None:
        return None

    def set_postfix(self, *_: Any, **__: Any) -> None:
        return None
