"""What of a run is on disk, so that it survives a restart of its server.

A directory with the name of the run holds ``run.json``: how its network was built, where its state
is, objective and start of its fits, what was asked for, and the fit that goes on or waits. The
state is that of `IMNN.save`, with checkpoints while it trains; simulations of problems are made
anew from their seed, own data, the inference, earlier runs and what was found on Trust are beside
it.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import storage
from imnn_lab.dashboards.common.questions import Found
from imnn_lab.dashboards.training.ghosts import Ghost, Past
from imnn_lab.laboratory import kept_answers, stored
from imnn_lab.laboratory.build import NUMBERS, OWN, Built, build_again
from imnn_lab.laboratory.packing import TREE, Packing, unpacked

RECORD = "run.json"
INFERENCE, GHOSTS = "inference.npz", "ghosts.npz"
PAST = (Past, Ghost)  # kinds of what the second holds
PERIOD = 20.0  # seconds from one checkpoint to the next


class Kept:
    """What of a run is on disk.

    Parameters
    ----------
    directory : Path
        That of the run; made when there is something to keep.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._due = 0.0

    @property
    def is_there(self) -> bool:
        """Whether there is something to come back to."""
        return (self.directory / RECORD).is_file()

    def new_place(self) -> Path:
        """Return a directory for the state of a network that is about to be built."""
        return self.directory / secrets.token_hex(8)

    def read(self) -> dict[str, Any]:
        """Return the record.

        Raises
        ------
        DamagedFileError, OSError
            If it is damaged or cannot be read.
        """
        path = self.directory / RECORD
        with storage.whole(path):
            record = dict(json.loads(path.read_text(encoding="utf-8")))
            place = str(record["place"])
            if Path(place).name != place:
                raise ValueError(f"its state is in {place!r}")
            return record

    def words(self) -> str:
        """Return what the run is, empty if there is none."""
        try:
            return f"{self.read()['title']} · on disk" if self.is_there else ""
        except (OSError, ValueError):
            return ""

    def rebuilt(self, data: Path | None = None) -> Built:
        """Return the network as it was saved, with its simulations.

        Parameters
        ----------
        data : Path, optional
            Where the server has simulations.
        """
        record = self.read()
        recipe, place = record["recipe"], self.directory / record["place"]
        if "problem" in recipe:
            return build_again(recipe, place)
        numbers = {name: np.array(recipe[name]) for name in NUMBERS}
        if not recipe["name"]:
            return build_again(recipe, place, stored.sent_data(place / OWN, numbers))
        if data is None:
            raise ValueError("Its data are the server's, which offers none now (option --data).")
        return build_again(recipe, place, stored.own_data(data, recipe["name"], numbers))

    def keep(self, built: Built) -> None:
        """Save a network that was built, instead of one before."""
        place = built.place
        if place is None:
            return
        if not (self.is_there and self.read()["place"] == place.name):
            built.imnn.save()
            self._write({"place": place.name, "title": built.title, "recipe": dict(built.recipe)})
        for other in self.directory.iterdir():
            if other.is_dir() and other != place:
                shutil.rmtree(other, ignore_errors=True)

    @property
    def place(self) -> Path | None:
        """Directory of the network that is kept, None without one."""
        return self.directory / self.read()["place"] if self.is_there else None

    @property
    def inference(self) -> Path | None:
        """File of the inference with the network that is kept, None without a network."""
        place = self.place
        return None if place is None else place / INFERENCE

    def keep_answer(self, name: str, found: Found) -> None:
        """Write what was found about the network: what it is about, and the answer."""
        place = self.place
        if place is not None:
            kept_answers.write(place, name, found)

    def answers(self) -> tuple[dict[str, Found], list[str]]:
        """Return what was found about the network, by question, and why some of it is lost."""
        place = self.place
        return ({}, []) if place is None else kept_answers.read(place)

    def keep_ghosts(self, past: Past) -> None:
        """Write what is known of the earlier runs; what cannot be written stops no page."""
        with contextlib.suppress(OSError, ValueError):
            if (place := self.place) is not None:
                packing = Packing(PAST)
                packing.write(place / GHOSTS, packing.tree(past))

    def past(self) -> Past:
        """Return what was known of the earlier runs.

        Raises
        ------
        DamagedFileError, OSError
            If it is damaged or cannot be read.
        """
        place = self.place
        if place is None or not (path := place / GHOSTS).is_file():
            return Past()
        arrays = storage.read_npz(path)
        with storage.whole(path):
            past: Past = unpacked(storage.unpack(arrays.pop(TREE)), arrays, PAST)
            return past

    def wait(self, fit: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        """Note a fit that waits in a queue, to which a restarted server sends it again.

        Parameters
        ----------
        fit : mapping
            Its arguments.
        asked : mapping
            Iterations and patience that its visitor asked for.
        """
        if self.is_there:
            self._write(self.read() | {"queued": dict(fit), "asked": dict(asked)})

    def begin(
        self, fit: Mapping[str, Any], chosen: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> None:
        """Note a fit, which a restarted server goes on with.

        Parameters
        ----------
        fit : mapping
            Its arguments.
        chosen : mapping
            Objective and start of all fits since the beginning, which stay when it has ended.
        asked : mapping
            See `wait`, before which a network may not have been made.
        """
        self._due = time.monotonic() + PERIOD
        named = {"fit": dict(fit), "chosen": dict(chosen), "asked": dict(asked)}
        record = self.read() | named
        record.pop("queued", None)
        self._write(record)

    def checkpoint(self, run: Any) -> None:
        """Save where a fit stands, now and then; it is called between its iterations."""
        if time.monotonic() >= self._due:
            run.checkpoint()
            self._due = time.monotonic() + PERIOD

    def end(self) -> None:
        """Note that a fit has ended, or no longer waits."""
        record = self.read() if self.is_there else {}
        if not record.keys() & {"fit", "queued"}:
            return
        for name in ("fit", "queued"):
            record.pop(name, None)
        self._write(record)

    def recall(self, network: Any) -> dict[str, Any]:
        """Say what was chosen and asked for; return the record, with which a fit can go on."""
        record = self.read() if self.is_there else {}
        network.chosen, network.asked = (dict(record.get(x, {})) for x in ("chosen", "asked"))
        return record

    @staticmethod
    def go_on(network: Any, record: Mapping[str, Any]) -> None:
        """Start the rest of a fit that had not ended, or begun, by the record of its run."""
        fit, queued = record.get("fit"), record.get("queued")
        if queued is not None:
            network.start(**queued, asked=network.asked)
            return
        if fit is None:
            return
        last, history = fit.pop("last"), network.history
        if len(history) > 1:
            fit |= {name: float(history[name][-1]) for name in ("λ", "ε")}
        rest = None if last is None else last - max(0, len(history) - 1)
        if rest is None or rest > 0:
            network.start(rest, network.asked, **fit)

    def _write(self, record: Mapping[str, Any]) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with storage.aside(self.directory / RECORD) as temporary:
            storage.save_json(temporary, record)


def remove_oldest(directory: Path, most: int, spared: Iterable[str]) -> None:
    """Remove the runs that were changed last the longest time ago, until fewer than `most` are."""
    spared = set(spared)
    kept = [path.parent for path in directory.glob(f"*/{RECORD}")]
    with contextlib.suppress(OSError):
        kept.sort(key=lambda path: (path / RECORD).stat().st_mtime)
    others = [path for path in kept if path.name not in spared]
    for path in others[: max(0, len(kept) + 1 - most)]:
        shutil.rmtree(path, ignore_errors=True)
