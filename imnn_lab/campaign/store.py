"""The directory of a campaign: finished rows survive a crash, and no file is half-written.

campaign.json holds the arguments. chunks/ holds finished rows in files with unique names; it is
removed when the arrays are written: fiducial.npy, derivative.npy, seeds.npy and failures.json.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import storage
from imnn_lab.campaign.design import Failure

MANIFEST, CHUNKS, FAILURES = "campaign.json", "chunks", "failures.json"
ARRAYS = ("fiducial", "derivative", "seeds")
REMEDY = "Remove the file: its rows are simulated again."


@dataclass(frozen=True)
class FinishedRows:
    """Finished rows, and the failures before them.

    Attributes
    ----------
    rows : dict of int to ndarray, shape (length of the row,) + input_shape
        The simulations of each row.
    seeds : dict of int to int
        The seed of each row.
    failures : tuple of Failure
        Failures in these rows or in others.
    """

    rows: Mapping[int, np.ndarray]
    seeds: Mapping[int, int]
    failures: Sequence[Failure] = ()


class Store:
    """The directory of one campaign.

    Parameters
    ----------
    path : Path
        The directory; created if it does not exist.
    arguments : dict
        The arguments of the campaign, in values that JSON can hold.

    Raises
    ------
    ValueError
        If the directory belongs to a campaign with other arguments or to something else, or cannot
        be written.
    """

    def __init__(self, path: Path, arguments: dict[str, Any]) -> None:
        self.path = path
        others = [*self._results(), path / CHUNKS]
        storage.described(path / MANIFEST, "campaign", arguments, others=others)

    @property
    def is_finished(self) -> bool:
        """Whether the arrays have been written."""
        return all(file.is_file() for file in self._results())

    def add(self, finished: FinishedRows) -> None:
        """Write finished rows to a new file."""
        arrays = {f"row-{row}": simulations for row, simulations in finished.rows.items()}
        failures = storage.pack([failure.as_dict() for failure in finished.failures])
        seeds = storage.pack([[row, seed] for row, seed in finished.seeds.items()])
        name = self.path / CHUNKS / f"{uuid.uuid4().hex}.npz"
        storage.write_npz(name, arrays | {"seeds": seeds, "failures": failures})

    def read_rows(self) -> Iterator[FinishedRows]:
        """Yield the finished rows of each file.

        Raises
        ------
        ValueError
            If a file is damaged.
        """
        for path in sorted((self.path / CHUNKS).glob("[!.]*.npz")):
            with storage.whole(path, REMEDY):
                finished = _read_rows(path)
            yield finished

    def finish(self, arrays: Mapping[str, np.ndarray], failures: Sequence[Failure]) -> None:
        """Write the arrays, then remove the chunks and the temporary files of killed processes."""
        listed = [failure.as_dict() for failure in failures]
        writers = {self._array(name): partial(_write_array, arrays[name]) for name in ARRAYS}
        writers[self.path / FAILURES] = partial(storage.save_json, value=listed)
        storage.write_together(writers)
        self.clear()

    def clear(self) -> None:
        """Remove the chunks and the temporary files of killed processes."""
        shutil.rmtree(self.path / CHUNKS, ignore_errors=True)
        for file in [*self._results(), self.path / MANIFEST]:
            for temporary in self.path.glob(f".{file.stem}-*{file.name}"):
                temporary.unlink(missing_ok=True)

    def read(self) -> tuple[dict[str, np.ndarray], tuple[Failure, ...]]:
        """Return the arrays and the failures of a finished campaign.

        Raises
        ------
        ValueError
            If a file is damaged.
        """
        arrays = {}
        for name in ARRAYS:
            with storage.whole(self._array(name)):
                arrays[name] = np.load(self._array(name), allow_pickle=False)
        with storage.whole(self.path / FAILURES):
            listed = json.loads((self.path / FAILURES).read_text(encoding="utf-8"))
            return arrays, tuple(map(Failure.from_dict, listed))

    def _array(self, name: str) -> Path:
        return self.path / f"{name}.npy"

    def _results(self) -> list[Path]:
        return [*map(self._array, ARRAYS), self.path / FAILURES]


def _read_rows(path: Path) -> FinishedRows:
    arrays = storage.read_npz(path, remedy=REMEDY)
    seeds = dict(storage.unpack(arrays["seeds"]))
    failures = tuple(map(Failure.from_dict, storage.unpack(arrays["failures"])))
    return FinishedRows({row: arrays[f"row-{row}"] for row in seeds}, seeds, failures)


def _write_array(array: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, array)
