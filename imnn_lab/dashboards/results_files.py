"""Reads saved results: trainings and posteriors, from directories, files or arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.inference.posterior import Posterior
from imnn_lab.results import FisherStatistics, History
from imnn_lab.saved import SavedTraining

KINDS = "be a state.npz that IMNN.save wrote, or an .npz that Posterior.to_npz wrote"


@dataclass(frozen=True)
class Results:
    """What was found in some files.

    Attributes
    ----------
    trainings : dict from name to SavedTraining
    posteriors : dict from name to Posterior
    """

    trainings: dict[str, SavedTraining] = field(default_factory=dict)
    posteriors: dict[str, Posterior] = field(default_factory=dict)

    def joined(self, other: Results) -> Results:
        """Return what is in both."""
        return Results(self.trainings | other.trainings, self.posteriors | other.posteriors)


def read_results(path: Path | str) -> Results:
    """Read a saved IMNN's directory, a result file, or a directory that holds some of them.

    Raises
    ------
    FileNotFoundError
        If there is nothing there.
    ValueError
        If a file that was asked for is something else.
    """
    place = Path(path)
    if place.is_file():
        return results_of(place.stem, storage.read_npz(place))
    found = Results()
    for file in sorted([*place.glob("state.npz"), *place.glob("*/state.npz")]):
        found = found.joined(results_of(file.parent.name, storage.read_npz(file)))
    for file in sorted(place.glob("posterior*.npz")):
        found = found.joined(results_of(file.stem, storage.read_npz(file)))
    if not (found.trainings or found.posteriors):
        message = f"There are no results in {str(place)!r}: neither state.npz nor posterior*.npz."
        raise FileNotFoundError(f"{message} Check the path.")
    return found


def results_of(name: str, arrays: Mapping[str, np.ndarray]) -> Results:
    """Return the result that the arrays of one file hold.

    Raises
    ------
    ValueError
        If they hold none.
    """
    try:
        if "archive" in arrays:
            return Results(trainings={name: SavedTraining.from_arrays(arrays)})
        if {"parameters", "weights", "about"} <= set(arrays):
            title = name.removeprefix("posterior-").replace("-", " ")
            return Results(posteriors={title: Posterior.from_arrays(arrays)})
    except (KeyError, ValueError, TypeError) as error:
        received = f"one that is damaged: {error}"
        raise ValueError(checks.wording(f"`{name}`", KINDS, received)) from error
    received = f"one with {', '.join(sorted(arrays)[:6]) or 'nothing in it'}"
    raise ValueError(checks.wording(f"`{name}`", KINDS, received))


class TrainedBefore:
    """A saved training as dashboards look at a network: it has a history and no run."""

    run = None

    def __init__(self, saved: SavedTraining) -> None:
        self.saved, self.history = saved, saved.history

    @property
    def validation(self) -> FisherStatistics | None:
        """Statistics of validation, None without one."""
        return self.saved.statistics.get("validation")

    @property
    def θ_fid(self) -> np.ndarray:
        """Fiducial parameters, shape (n_params,)."""
        return np.array(self.saved.settings.θ_fid)

    def start(self, *_: object, **__: object) -> History:
        """Refuse to train: there are no data."""
        raise RuntimeError("These are saved results. Load them with IMNN.load to train further.")
