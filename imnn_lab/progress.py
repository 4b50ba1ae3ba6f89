"""Progress bars: one door to tqdm, so that silence is a bar too."""

from __future__ import annotations

from functools import partial
from typing import Any


def progress_bar(show: bool = True, notebook: bool | None = None, **options: Any) -> Any:
    """Return what makes a tqdm bar: in a notebook, in a terminal, or (None) wherever this runs."""
    if not show:
        return _no_bar
    if notebook is None:
        from tqdm.auto import tqdm
    elif notebook:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return partial(tqdm, **{"unit": "sim", "unit_scale": True, "leave": False, **options})


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
