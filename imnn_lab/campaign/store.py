"""The directory of a campaign: what is finished survives a crash, and no file is half-written.

campaign.json holds the arguments. chunks/ holds finished rows, each file with a name of its own; it
goes when the arrays are there: fiducial.npy, derivative.npy, seeds.npy and failures.json.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.campaign.plan import Failure

MANIFEST, CHUNKS, FAILURES = "campaign.json", "chunks", "failures.json"
ARRAYS = ("fiducial", "derivative", "seeds")


@dataclass(frozen=True)
class Chunk:
    """Finished rows, and the failures on the way.

    Attributes
    ----------
    rows : dict of int to ndarray, shape (length of the row,) + input_shape
        The simulations of each row.
    seeds : dict of int to int
        The seed of each row.
    failures : tuple of Failure
        What failed, in these rows or in others.
    """

    rows: Mapping[int, np.ndarray]
    seeds: Mapping[int, int]
    failures: Sequence[Failure] = ()


class Store:
    """The directory of one campaign.

    Parameters
    ----------
    path : Path
        The directory; made if it is not there.
    arguments : dict
        The arguments of the campaign, as JSON can hold them.

    Raises
    ------
    ValueError
        If the directory belongs to a campaign with other arguments or to something else.
    """

    def __init__(self, path: Path, arguments: dict[str, Any]) -> None:
        self.path = path
        manifest = path / MANIFEST
        if manifest.is_file():
            self._compare(json.loads(manifest.read_text(encoding="utf-8")), arguments)
            return
        self._refuse_strangers()
        path.mkdir(parents=True, exist_ok=True)
        with storage.aside(manifest) as place:
            _write_json(arguments, place)

    @property
    def is_finished(self) -> bool:
        """Whether the arrays are there."""
        return all(file.is_file() for file in self._results())

    def add(self, chunk: Chunk) -> None:
        """Keep a chunk in a file of its own."""
        arrays = {f"row-{row}": simulations for row, simulations in chunk.rows.items()}
        failures = storage.pack([failure.as_dict() for failure in chunk.failures])
        seeds = storage.pack([[row, seed] for row, seed in chunk.seeds.items()])
        name = self.path / CHUNKS / f"{uuid.uuid4().hex}.npz"
        storage.write_npz(name, arrays | {"seeds": seeds, "failures": failures})

    def chunks(self) -> Iterator[Chunk]:
        """Yield what is kept.

        Raises
        ------
        ValueError
            If a file is damaged.
        """
        for path in sorted((self.path / CHUNKS).glob("[!.]*.npz")):
            try:
                yield _read_chunk(path)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                remedy = "Remove the file: what it held is simulated again."
                message = checks.wording(f"{path}", "be a whole file", repr(error), remedy)
                raise ValueError(message) from error

    def finish(self, arrays: Mapping[str, np.ndarray], failures: Sequence[Failure]) -> None:
        """Write the arrays, then remove the chunks and what killed processes left behind."""
        listed = [failure.as_dict() for failure in failures]
        writers = {self._array(name): partial(_write_array, arrays[name]) for name in ARRAYS}
        storage.write_together(writers | {self.path / FAILURES: partial(_write_json, listed)})
        self.clear()

    def clear(self) -> None:
        """Remove the chunks and half-written files of processes that were killed."""
        shutil.rmtree(self.path / CHUNKS, ignore_errors=True)
        for file in [*self._results(), self.path / MANIFEST]:
            for left in self.path.glob(f".{file.stem}-*{file.name}"):
                left.unlink(missing_ok=True)

    def read(self) -> tuple[dict[str, np.ndarray], tuple[Failure, ...]]:
        """Return the arrays and the failures of a finished campaign."""
        listed = json.loads((self.path / FAILURES).read_text(encoding="utf-8"))
        arrays = {name: np.load(self._array(name), allow_pickle=False) for name in ARRAYS}
        return arrays, tuple(map(Failure.from_dict, listed))

    def _array(self, name: str) -> Path:
        return self.path / f"{name}.npy"

    def _results(self) -> list[Path]:
        return [*map(self._array, ARRAYS), self.path / FAILURES]

    def _compare(self, kept: dict[str, Any], arguments: dict[str, Any]) -> None:
        other = [name for name in arguments if kept.get(name) != arguments[name]]
        if other:
            expected = ", ".join(f"{name} = {kept.get(name)}" for name in other)
            received = ", ".join(f"{name} = {arguments[name]}" for name in other)
            remedy = "Choose another directory, or remove this one."
            expected = f"belong to the same campaign; {self.path} was made with {expected}"
            raise ValueError(checks.wording("`directory`", expected, received, remedy))

    def _refuse_strangers(self) -> None:
        there = [file.name for file in [*self._results(), self.path / CHUNKS] if file.exists()]
        if there or (self.path.exists() and not self.path.is_dir()):
            received = f"{self.path} with {', '.join(there)}" if there else f"the file {self.path}"
            expected = f"be new, or hold a campaign with its {MANIFEST}"
            raise ValueError(
                checks.wording("`directory`", expected, received, "Choose another directory.")
            )


def _read_chunk(path: Path) -> Chunk:
    arrays = storage.read_npz(path)
    seeds = dict(storage.unpack(arrays["seeds"]))
    failures = tuple(map(Failure.from_dict, storage.unpack(arrays["failures"])))
    return Chunk({row: arrays[f"row-{row}"] for row in seeds}, seeds, failures)


def _write_json(value: Any, place: os.PathLike[str]) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1)
    Path(place).write_text(text + "\n", encoding="utf-8")


def _write_array(array: np.ndarray, place: Path) -> None:
    with place.open("wb") as file:
        np.save(file, array)
