"""What the page opens with: a short training that was recorded, and the network to repeat it.

``python -m imnn_lab.laboratory.example`` makes the record anew, with what a visitor gets who builds
``PROBLEM`` with ``NETWORK`` and ``SIZES`` and presses Start: data/example.npz.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab.dashboards.training.protocols import TrainingRun
from imnn_lab.history import History
from imnn_lab.laboratory.build import SCRATCH, Built, Sizes, build_problem, described_problem
from imnn_lab.laboratory.kept import Kept
from imnn_lab.results import FisherStatistics

PROBLEM, NETWORK, SIZES, ITERATIONS = "gaussian", SCRATCH, Sizes(4000, 4000, 0), 400
PACE = 80.0  # iterations that are played in a second
MATRICES = ("μ", "C", "dμ_dθ", "val_μ", "val_C", "val_dμ_dθ")
DIGITS = 2.0**12  # to which matrices are kept, relative to the power of two above: 4 digits
NOTICE = "This is a recorded example of a small network: all layers but its last start at random."


class RecordedNetwork:
    """A network whose training was recorded; the network itself is made when it is first needed.

    Attributes
    ----------
    history : History
        The record, which plays from the moment it is first looked at; that of the network once it
        trains.
    """

    def __init__(self, described: Built, kept: Kept | None = None) -> None:
        self._described, self._played, self._kept = described, History(), kept
        self._lock, self._playing = threading.Lock(), threading.Lock()
        self._began = 0.0
        self._is_whole = False
        self._network: Any = None
        self.θ_fid, self.names = described.imnn.θ_fid, described.labels
        self.optimiser = self.level = None
        self.candidates: tuple[Any, ...] = ()  # it is not chosen among several

    @property
    def is_ready(self) -> bool:
        """Whether the network is made."""
        return self._network is not None

    @property
    def run(self) -> TrainingRun | None:
        """The last run of the network."""
        return None if self._network is None else self._network.run

    @property
    def is_recorded(self) -> bool:
        """Whether the history is the record, and not that of the network."""
        return self.run is None

    @property
    def validation(self) -> FisherStatistics:
        """Statistics of validation; those of the record's first row until there is a network."""
        if self._network is not None:
            return self._network.validation
        _, matrices = record()
        μ, C, dμ_dθ = (matrices[f"val_{name}"][0] for name in ("μ", "C", "dμ_dθ"))
        return FisherStatistics(μ, C, dμ_dθ)

    @property
    def history(self) -> History:
        """All iterations so far."""
        if self.run is not None:
            return self._network.history
        self._play()
        return self._played

    def show_whole(self) -> None:
        """Show all of the record at once, for who wants nothing to move."""
        self._is_whole = True

    def network(self) -> Any:
        """Return the network; it takes a second or two to make it."""
        with self._lock:
            if self._network is None:
                place = None if self._kept is None else self._kept.new_place()
                built = build_problem(PROBLEM, NETWORK, SIZES, place)
                if self._kept is not None:
                    self._kept.keep(built)
                self._network = built.imnn
                self.optimiser = self._network.optimiser
        return self._network

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.network(), name)

    def _play(self) -> None:
        """Let the record grow to where it is now; the server's threads may ask as well as pages."""
        with self._playing:
            now = time.monotonic()
            self._began = self._began or now
            columns, matrices = record()
            length = len(columns["iteration"])
            start, end = len(self._played), 1 + int(PACE * (now - self._began))
            if self._is_whole:
                end = length
            if start < min(end, length):
                self._played.append(_rows(columns, start, end), _rows(matrices, start, end))


def example(kept: Kept | None = None) -> Built:
    """Return the recorded example as a visitor sees it who has not built anything.

    Parameters
    ----------
    kept : Kept, optional
        Keeps the network once it is made.
    """
    described = described_problem(PROBLEM, SIZES)
    recipe = {"problem": PROBLEM, "network": NETWORK} | asdict(SIZES)
    return replace(described, imnn=RecordedNetwork(described, kept), recipe=recipe)


@functools.cache
def record() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return columns and matrices of all recorded iterations."""
    with (files("imnn_lab") / "data" / "example.npz").open("rb") as file, np.load(file) as arrays:
        kept = {name: np.asarray(arrays[name], float) for name in arrays.files}
    matrices = {name: kept.pop(name) for name in MATRICES}
    return kept, matrices


def recipe(iterations: int = ITERATIONS) -> dict[str, Any]:
    """Train the example anew, and return what is kept of its history."""
    imnn = build_problem(PROBLEM, NETWORK, SIZES).imnn
    imnn.fit(iterations)
    columns, _ = imnn.history.read()
    exact = {name: values.astype(np.float32) for name, values in columns.items()}
    return exact | {name: _rounded(imnn.history[name]) for name in MATRICES}


def _rows(arrays: Mapping[str, np.ndarray], start: int, end: int) -> dict[str, np.ndarray]:
    return {name: values[start:end] for name, values in arrays.items()}


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return numbers of few digits, which take less room when compressed."""
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.round(fraction * DIGITS) / DIGITS, exponent).astype(np.float32)


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).parents[1] / "data" / "example.npz", **recipe())
