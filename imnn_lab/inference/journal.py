"""The directory of an inference: the draws of finished batches survive a crash.

inference.json holds what the inference is; draws/ holds finished batches in files with unique
names. A batch is found again by the seed, the parameters and the size of the batches that it
belongs to: what is asked for again is read, anything else is simulated.
"""

from __future__ import annotations

import hashlib
import operator
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import storage
from imnn_lab.inference.draws import Draws

MANIFEST, FOLDER = "inference.json", "draws"
PAUSE = 1.0  # seconds for which finished batches may wait to be written together


class Journal:
    """Finished batches of draws, in memory and in a directory.

    Parameters
    ----------
    path : Path
        The directory; created if it does not exist.
    about : dict
        What the inference is, in values that JSON can hold: its class and simulator, the Fisher
        matrix and the estimates of the targets.
    entropy : int, optional
        Seed of all random numbers; None takes that of the directory, or draws one.

    Attributes
    ----------
    entropy : int
        Seed of all random numbers.

    Raises
    ------
    ValueError
        If the directory belongs to another inference or to something else, or a file is damaged.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], entropy: int | None) -> None:
        self.path = path
        given = {**about} if entropy is None else {**about, "entropy": entropy}
        chosen = {"entropy": np.random.SeedSequence(entropy).entropy}
        others = path.iterdir() if path.is_dir() else ()
        kept = storage.described(
            path / MANIFEST, "inference", given, chosen, others=others, is_same=_is_same
        )
        with storage.whole(path / MANIFEST):
            self.entropy = operator.index(kept["entropy"])
        self._finished: dict[str, dict[int, Draws]] = {}
        for key, number, draws in self._read():
            self._finished.setdefault(key, {})[number] = draws

    def record(self, seeds: np.random.SeedSequence, parameters: np.ndarray, size: int) -> Record:
        """Return the record of batches of `size` simulations at parameters (n, n_params)."""
        digest = hashlib.sha256(repr((seeds.entropy, seeds.spawn_key, size)).encode())
        digest.update(np.ascontiguousarray(parameters).tobytes())
        key = digest.hexdigest()
        return Record(self.path / FOLDER, key, self._finished.setdefault(key, {}))

    def _read(self) -> Iterator[tuple[str, int, Draws]]:
        """Yield the key, the number and the draws of each batch."""
        remedy = "Remove the file: its draws are simulated again."
        for path in sorted((self.path / FOLDER).glob("[!.]*.npz")):
            arrays = storage.read_npz(path, remedy=remedy)
            with storage.whole(path, remedy):
                key, rows = storage.unpack(arrays.pop("about"))
                ends = np.cumsum([row[1:3] for row in rows], axis=0)
                pieces = {
                    name: np.split(arrays[name], ends[:-1, int(name == "failed_parameters")])
                    for name in ("parameters", "estimates", "failed_parameters")
                }
                found = [
                    (key, row[0], Draws(**{n: p[i] for n, p in pieces.items()}, failure=row[3]))
                    for i, row in enumerate(rows)
                ]
            yield from found


class Record:
    """The finished batches of one call of a simulator; written once a second and at the end."""

    def __init__(self, folder: Path, key: str, finished: dict[int, Draws]) -> None:
        self.finished = finished
        self._folder, self._key = folder, key
        self._waiting: dict[int, Draws] = {}
        self._written = time.monotonic()

    def add(self, number: int, draws: Draws) -> None:
        """Keep the draws of a batch, by its number."""
        self.finished[number] = self._waiting[number] = draws
        if time.monotonic() - self._written >= PAUSE:
            self.write()

    def write(self) -> None:
        """Write the batches that are not written yet to a new file."""
        if self._waiting:
            rows = [
                [number, len(draws.parameters), draws.num_failed, draws.failure]
                for number, draws in self._waiting.items()
            ]
            joined = Draws.joined(list(self._waiting.values()))
            names = ("parameters", "estimates", "failed_parameters")
            arrays = {name: getattr(joined, name) for name in names}
            about = storage.pack([self._key, rows])
            storage.write_npz(self._folder / f"{uuid.uuid4().hex}.npz", {"about": about, **arrays})
        self._waiting, self._written = {}, time.monotonic()


def _is_same(kept: Any, given: Any) -> bool:
    """Compare values; numbers that come from a network differ a little between machines."""
    if not isinstance(given, list):
        return bool(kept == given)
    alike = isinstance(kept, list) and np.shape(kept) == np.shape(given)
    return alike and np.allclose(kept, given, rtol=1e-3, atol=1e-3 * np.abs(given).max(axis=0))
