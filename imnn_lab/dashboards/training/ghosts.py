"""Earlier runs of a page, kept with their settings when a training begins anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imnn_lab.figures.curves import positions, thinned
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
    """

    name: str
    settings: dict[str, str]
    iteration: np.ndarray
    seconds: np.ndarray
    det_F: np.ndarray
    det_C: np.ndarray
    is_shown: bool = True


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

    @property
    def shown(self) -> tuple[Ghost, ...]:
        """Those whose curves are drawn."""
        return tuple(ghost for ghost in self._kept if ghost.is_shown)

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
                self._kept = (*self._kept, ghost)[-MOST:]
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


def ghost_curves(ghosts: Ghosts) -> dict[str, list]:
    """Return the curves that are drawn, as columns with an entry for each ghost.

    Parameters
    ----------
    ghosts : Ghosts
    """
    shown = ghosts.shown
    columns = ("iteration", "seconds", "det_F", "det_C")
    curves = {name: [getattr(ghost, name) for ghost in shown] for name in columns}
    return {"name": [ghost.name for ghost in shown], **curves}
