"""The runs of a server: they belong to it, and not to the pages that show them.

A run is found by its name, which nobody can guess. It ends some time after its last visitor has
left, and at once if that visitor has not used it.
"""

from __future__ import annotations

import functools
import re
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from imnn_lab.laboratory.kept import Kept, remove_oldest
from imnn_lab.laboratory.offer import Offer
from imnn_lab.laboratory.pool import Pool, shared_pool
from imnn_lab.laboratory.session import LaboratorySession

NAME = re.compile(r"[\w-]{22}", re.ASCII)
BYTES = 16  # of chance in a name
MOST_RUNS, KEEP = 100, 30 * 60.0  # seconds; unless a server says otherwise


@dataclass(eq=False)
class ServedRun:
    """The work of a visitor, under its name.

    Attributes
    ----------
    name : str
    session : LaboratorySession
    visitors : int
        Pages that show it now.
    left : float
        When the last of them was closed.
    """

    name: str
    session: LaboratorySession
    visitors: int = 0
    left: float = 0.0

    @property
    def is_used(self) -> bool:
        """Whether its visitor has asked for something."""
        return self.session.is_used

    def words(self) -> str:
        """Return what it is and how far."""
        built, network = self.session.built, self.session.network
        if built is None or network is None:
            return f"building a network: {self.session.building.state}"
        state = "ready" if network.run is None else network.run.state
        return f"{built.title} · {state}, iteration {max(0, len(network.history) - 1):,}"


class Runs:
    """The runs of a server, by name.

    Parameters
    ----------
    pool : Pool
    most : int
        Number of runs; the one that was left first makes place for a new one.
    keep : float
        Seconds from the moment at which the last visitor left a run to its end.

    Attributes
    ----------
    offer : Offer
        What the server offers.
    directory : Path or None
        Where runs are kept, to be found after a restart.
    """

    def __init__(self, pool: Pool, most: int = MOST_RUNS, keep: float = KEEP) -> None:
        self.pool, self.most, self.keep = pool, most, keep
        self.offer = Offer()
        self.directory: Path | None = None
        self._runs: dict[str, ServedRun] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._runs)

    def find(self, name: str) -> ServedRun | None:
        """Return the run of this name that works or waits here, None if there is none."""
        return self._runs.get(name)

    def words(self, name: str) -> str:
        """Return what the run of this name is and how far, empty if there is none."""
        run, kept = self.find(name), self._kept(name)
        if run is not None:
            return run.words()
        return "" if kept is None else kept.words()

    def enter(self, name: str = "") -> ServedRun:
        """Return the run of this name, or a new one, for one more visitor.

        Raises
        ------
        RuntimeError
            If there are too many runs, and all of them have visitors.
        """
        with self._lock:
            run = self.find(name) or self._restored(name) or self._new()
            run.visitors += 1
            return run

    def leave(self, run: ServedRun) -> None:
        """Say that a visitor has left a run."""
        with self._lock:
            run.visitors -= 1
            run.left = left = time.monotonic()
            if run.visitors:
                return
        if not run.is_used or self.keep <= 0:
            self._end(run, left)
            return
        timer = threading.Timer(min(self.keep, threading.TIMEOUT_MAX), self._end, (run, left))
        timer.daemon, timer.name = True, "imnn_lab run end"
        timer.start()

    def keep_all(self) -> None:
        """Write what is not on disk yet of all runs that are kept."""
        for run in list(self._runs.values()):
            run.session.keep_inference(now=True)

    def _kept(self, name: str) -> Kept | None:
        if self.directory is None or not NAME.fullmatch(name):
            return None
        return Kept(self.directory / name)

    def _restored(self, name: str) -> ServedRun | None:
        """Return a run that is on disk alone, which goes on where it was."""
        kept = self._kept(name)
        if kept is None or not kept.is_there:
            return None
        run = self._new(name)
        run.session.build(lambda: kept.rebuilt(self.offer.data))
        return run

    def _new(self, name: str = "") -> ServedRun:
        while len(self._runs) >= self.most:
            idle = [run for run in self._runs.values() if not run.visitors]
            if not idle:
                raise RuntimeError(
                    f"This server has {self.most} runs, all visited. Come back later."
                )
            first = min(idle, key=lambda run: run.left)
            self._end(first, first.left)
        if self.directory is not None and not name:
            remove_oldest(self.directory, self.most, self._runs)
        name = name or secrets.token_urlsafe(BYTES)
        session = LaboratorySession(self.pool, self.offer, self._kept(name))
        run = self._runs[name] = ServedRun(name, session)
        return run

    def _end(self, run: ServedRun, left: float) -> None:
        """End a run, unless it has had another visitor since."""
        with self._lock:
            if run.visitors or run.left != left:
                return
            self._runs.pop(run.name, None)
        run.session.end()


@functools.cache
def shared_runs() -> Runs:
    """Return the runs of this process, which all pages share."""
    return Runs(shared_pool())
