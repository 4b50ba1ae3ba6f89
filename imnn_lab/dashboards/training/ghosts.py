"""Earlier runs of a page, kept with their settings when a training begins anew."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imnn_lab.figures.curves import positions, thinned
from imnn_lab.figures.style import earlier_style
from imnn_lab.history import History
from imnn_lab.regularisation import EPSILON

MOST, POINTS = 20, 300  # ghosts that are kept, and points of a curve


@dataclass(frozen=True)
class Ghost:
    """An earlier run.

    Attributes
    ----------
    name : str
        What the reader calls it.
    settings : dict from str to str
        What it was made with, for a table.
    iteration, seconds, det_F, det_C : ndarray, shape (n,)
        Its curves, thinned; det F is that of validation if there is any.
    is_shown : bool
        Whether its curves are drawn.
    look : int
        Number of its style, which stays with it: see `earlier_style`.
    """

    name: str
    settings: dict[str, str]
    iteration: np.ndarray
    seconds: np.ndarray
    det_F: np.ndarray
    det_C: np.ndarray
    is_shown: bool = True
    look: int = 0


@dataclass(frozen=True)
class Past:
    """All that is known of the runs of a network.

    Attributes
    ----------
    begun : str
        How the present training began, in words, if that was chosen on a page.
    number : int
        How many have become ghosts so far, deleted ones too.
    ghosts : tuple of Ghost
    """

    begun: str = ""
    number: int = 0
    ghosts: tuple[Ghost, ...] = ()


class Ghosts:
    """The runs that are kept of a network, the last ones, in order. Any thread may call it.

    Parameters
    ----------
    keep : callable, optional
        ``keep(past)`` is called with each change.

    Attributes
    ----------
    begun : str
        How the present training began, in words, if that was chosen on a page.
    """

    def __init__(self, keep: Callable[[Past], object] | None = None) -> None:
        self.begun, self._keep = "", keep
        self._kept: tuple[Ghost, ...] = ()
        self._history: History | None = None
        self._start = ""
        self._number = 0
        self._lock = threading.Lock()

    def restore(self, past: Past) -> None:
        """Take over what was kept before a restart."""
        with self._lock:
            self.begun, self._number, self._kept = past.begun, past.number, past.ghosts

    @property
    def all(self) -> tuple[Ghost, ...]:
        """All that are kept."""
        return self._kept

    def see(self, history: History, start: str) -> None:
        """Keep the history before, if this is another one.

        Parameters
        ----------
        history : History
            The present one.
        start : str
            How its training began, in words.
        """
        with self._lock:
            before, start_before = self._history, self._start
            if history is before:
                return
            self._history, self._start = history, start
            if before is not None and len(before) > 1:
                self._number += 1
                ghost = ghost_of(before, f"run {self._number}", start_before)
                self._kept = self._kept[1 - MOST :]
                self._kept += (replace(ghost, look=_free_look(self._kept)),)
            if before is not None:
                self._tell()

    def rename(self, name: str, new: str) -> bool:
        """Give a ghost another name, unless that is empty or taken; return whether it has it."""
        is_free = bool(new.strip()) and new.strip() not in [ghost.name for ghost in self._kept]
        if is_free:
            with self._lock:
                self._kept = tuple(
                    replace(ghost, name=new.strip()) if ghost.name == name else ghost
                    for ghost in self._kept
                )
                self._tell()
        return is_free

    def delete(self, name: str) -> None:
        """Forget a ghost."""
        with self._lock:
            self._kept = tuple(ghost for ghost in self._kept if ghost.name != name)
            self._tell()

    def show(self, names: Sequence[str]) -> None:
        """Draw these, and no others."""
        with self._lock:
            self._kept = tuple(replace(g, is_shown=g.name in names) for g in self._kept)
            self._tell()

    def _tell(self) -> None:
        if self._keep is not None:
            self._keep(Past(self.begun, self._number, self._kept))


def ghost_of(history: History, name: str, start: str) -> Ghost:
    """Return what is kept of a history of at least one row.

    Parameters
    ----------
    history : History
    name, start : str
    """
    columns, _ = history.read()
    validation = columns.get("val_det_F", np.empty(0))
    det_F = validation if np.isfinite(validation).any() else columns["det_F"]
    kept, curve = thinned(columns["iteration"], det_F, POINTS)
    chosen = np.searchsorted(columns["iteration"], kept)
    settings = {
        "start": start,
        "λ": f"{columns['λ'][-1]:.4g}",
        EPSILON: f"{columns['ε'][-1]:.4g}",
        "rate": f"{columns['learning_rate'][-1]:.3g}",
        "iterations": f"{len(det_F) - 1}",
        "best det F": f"{np.nanmax(det_F):.4g}",
    }
    seconds = positions(columns, kept, "seconds")
    return Ghost(name, settings, kept, seconds, curve, columns["det_C"][chosen])


def ghost_curves(ghosts: Sequence[Ghost]) -> dict[str, list]:
    """Return the curves that are drawn, as columns with an entry for each ghost.

    Parameters
    ----------
    ghosts : sequence of Ghost
    """
    shown = [ghost for ghost in ghosts if ghost.is_shown]
    columns = ("name", "look", "iteration", "seconds", "det_F", "det_C")
    return {name: [getattr(ghost, name) for ghost in shown] for name in columns}


def swatch_html(ghost: Ghost) -> str:
    """Return a piece of a ghost's line."""
    look = earlier_style(ghost.look)
    dashes = f' stroke-dasharray="{" ".join(map(str, look.dashes))}"' if look.dashes else ""
    line = f'<path d="M0 5h24" stroke="{look.colour}" stroke-width="2"{dashes}/>'
    return f'<svg width="24" height="10" aria-hidden="true">{line}</svg> '


def legend_html(ghosts: Sequence[Ghost]) -> str:
    """Return the names of the ghosts that are drawn, each with a piece of its line.

    Parameters
    ----------
    ghosts : sequence of Ghost
    """
    named = [
        f'<span style="white-space: nowrap">{swatch_html(ghost)}{html.escape(ghost.name)}</span>'
        for ghost in ghosts
        if ghost.is_shown
    ]
    words = " &ensp; ".join(("Earlier runs:", *named))
    return f'<div style="font-size: 0.85em">{words}</div>' if named else ""


def _free_look(ghosts: Sequence[Ghost]) -> int:
    """Return the number of the first style that none of them has."""
    taken = {ghost.look for ghost in ghosts}
    return next(look for look in range(MOST) if look not in taken)
