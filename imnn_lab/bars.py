"""Bars that show how many simulations are done: one door to tqdm, so that silence is a bar too."""

from __future__ import annotations

from functools import partial
from typing import Any


def tqdm_class(notebook: bool | None = None) -> Any:
    """Return tqdm's class for a notebook (True), a terminal (False), or whatever this is (None)."""
    if notebook is None:
        from tqdm.auto import tqdm
    elif notebook:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm


def progress_bar(show: bool = True, notebook: bool | None = None, **options: Any) -> Any:
    """Return what makes a bar that counts simulations; one that shows nothing if not `show`."""
    if not show:
        return _no_bar
    counting = {"unit": "sim", "unit_scale": True, "leave": False}
    return partial(tqdm_class(notebook), **(counting | options))


class _NoBar:
    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def update(self, n: int) -> None:
        return None

    def set_postfix(self, **_: Any) -> None:
        return None


def _no_bar(**_: Any) -> _NoBar:
    return _NoBar()
