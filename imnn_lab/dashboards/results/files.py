"""Reads saved results: trainings and posteriors, from directories, files or arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.archive.state import SavedTraining
from imnn_lab.inference.posterior import Posterior
from imnn_lab.results import FisherStatistics

KINDS = "be a state.npz that IMNN.save wrote, or an .npz that Posterior.to_npz wrote"


@dataclass(frozen=True)
class Results:
    """Trainings and posteriors, by name.

    Attributes
    ----------
    trainings : dict from name to SavedTraining
    posteriors : dict from name to Posterior
    note : str
        Said where the posteriors stand.
    """

    trainings: dict[str, SavedTraining] = field(default_factory=dict)
    posteriors: dict[str, Posterior] = field(default_factory=dict)
    note: str = ""

    def joined(self, other: Results) -> Results:
        """Return what is in both."""
        posteriors = self.posteriors | other.posteriors
        return Results(self.trainings | other.trainings, posteriors, self.note or other.note)


def read_results(path: Path | str) -> Results:
    """Read a saved IMNN's directory, a result file, or a directory that holds some of them.

    Raises
    ------
    FileNotFoundError
        If the path holds no results.
    ValueError
        If a result file is damaged, or a file given by name is of another kind.
    """
    path = checks.path("path", path)
    if path.is_file():
        return results_of(path.stem, storage.read_npz(path))
    results = Results()
    for file in sorted([*path.glob("state.npz"), *path.glob("*/state.npz")]):
        results = results.joined(results_of(file.parent.name, storage.read_npz(file)))
    for file in sorted(path.glob("posterior*.npz")):
        results = results.joined(results_of(file.stem, storage.read_npz(file)))
    if not (results.trainings or results.posteriors):
        expected = "hold results: state.npz or posterior*.npz"
        received = f"{str(path)!r}, {'without them' if path.is_dir() else 'which is not there'}"
        message = checks.wording("`path`", expected, received, "Check the path.")
        raise FileNotFoundError(message)
    return results


def results_of(name: str, arrays: Mapping[str, np.ndarray]) -> Results:
    """Return the result that the arrays of one file hold.

    Raises
    ------
    ValueError
        If they hold none, or are damaged.
    """
    try:
        if "archive" in arrays:
            return Results(trainings={name: SavedTraining.from_arrays(arrays)})
        if {"parameters", "weights", "about"} <= set(arrays):
            title = name.removeprefix("posterior-").replace("-", " ")
            return Results(posteriors={title: Posterior.from_arrays(arrays)})
    except Exception as error:
        received = f"a damaged one: {error}"
        raise ValueError(checks.wording(f"`{name}`", KINDS, received)) from error
    received = f"one with {', '.join(sorted(arrays)[:6]) or 'no arrays'}"
    raise ValueError(checks.wording(f"`{name}`", KINDS, received))


class SavedNetwork:
    """A saved training as a training dashboard shows a network."""

    run = None

    def __init__(self, saved: SavedTraining) -> None:
        self.history, self.θ_fid = saved.history, np.array(saved.settings.θ_fid)
        self.names = saved.settings.labels
        self.validation: FisherStatistics | None = saved.statistics.get("validation")

    def start(self, *_: object, **__: object) -> NoReturn:
        """Refuse to train: the data are not saved."""
        raise RuntimeError("These are saved results. Load them with IMNN.load to train further.")
