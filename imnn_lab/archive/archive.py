"""A saved IMNN: one directory that is consistent at every moment.

``state.npz`` holds settings, weights, the state of training, statistics and history; it is replaced
in one step, as the last file of a save, and makes the save valid. Beside it stand the network
(``model.keras``), from which only its layers are read, and, for use without this package, its
weights (``<weight_file>.weights.h5``) and ``estimator.npz`` with θ_fid, Finv, dμ_dθ, Cinv and μ.
All of them carry the fingerprint of the network (`archive.fingerprint`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks, storage
from imnn_lab.archive import fingerprint as fingerprints
from imnn_lab.archive.state import (
    STATE,
    SUMMARIES,
    SavedTraining,
    check_numbers,
    saved_fingerprint,
    state_arrays,
)
from imnn_lab.estimator import Estimator
from imnn_lab.history import History
from imnn_lab.networks.fitted_layers import refresh_normalisation
from imnn_lab.results import FisherStatistics
from imnn_lab.settings import Settings

MOST_BYTES = 2**26  # of summaries


@dataclass(frozen=True)
class Archive:
    """What is saved of an IMNN.

    Attributes
    ----------
    settings : Settings
        Checked arguments of the IMNN.
    weights : list of ndarray
        All variables of the network, as they are to be used.
    initial : list of ndarray
        The same before any training, for a reset.
    statistics : dict
        FisherStatistics of "training" and, if present, "validation".
    history : History
        The record of all iterations.
    optimiser : dict
        The configuration of the optimiser, as Keras serialises it.
    training_state : list of ndarray
        The variables of a `TrainingGraph`, empty before the first fit.
    next : int
        Number of the next iteration of an interrupted training, −1 if the last one ended.
    fingerprint : str
        That of the network; "" if version 0.1.0 saved it.
    ridge : ndarray, shape (D,), optional
        That of the projected objective, if it was used.
    summaries : pair of ndarray, optional
        As in a `SavedTraining`; not saved if they are large.
    """

    settings: Settings
    weights: list[np.ndarray]
    initial: list[np.ndarray]
    statistics: dict[str, FisherStatistics]
    history: History
    optimiser: dict[str, Any]
    training_state: list[np.ndarray]
    next: int
    fingerprint: str
    ridge: np.ndarray | None = None
    summaries: tuple[np.ndarray, np.ndarray] | None = None

    def labelled_as(self, other: Settings) -> Archive:
        """Return this with the names of the parameters of other settings, if it has none."""
        settings = self.settings.labelled_as(other)
        named = {
            name: replace(found, names=settings.labels) for name, found in self.statistics.items()
        }
        return replace(self, settings=settings, statistics=named)

    def write(
        self, directory: Path, model: keras.Model, estimator: Estimator, weight_file: str
    ) -> None:
        """Write everything, each file whole or not at all, the state last."""
        mark = {"fingerprint": np.array(self.fingerprint)}

        def write_network(path: Path) -> None:
            model.save(path)
            fingerprints.mark_network(path, self.fingerprint)

        def write_weights(path: Path) -> None:
            model.save_weights(path)
            fingerprints.mark_weights(path, self.fingerprint)

        storage.write_together(
            {
                directory / "model.keras": write_network,
                storage.weights_path(directory, weight_file): write_weights,
                directory / "estimator.npz": lambda path: storage.save_npz(
                    path, estimator.arrays() | mark
                ),
                directory / STATE: lambda path: storage.save_npz(path, self._arrays()),
            }
        )

    def checkpoint(self, directory: Path) -> None:
        """Replace the state alone, in one step, beside the network of an earlier `write`."""
        storage.write_npz(directory / STATE, self._arrays())

    def _arrays(self) -> dict[str, np.ndarray]:
        plain = {
            "settings": self.settings.as_dict(),
            "optimiser": self.optimiser,
            "next": self.next,
            "fingerprint": self.fingerprint,
        }
        result = {"archive": storage.pack(plain)}
        result |= _numbered("weight", self.weights) | _numbered("state", self.training_state)
        result |= _numbered("initial", self.initial)
        result |= {} if self.ridge is None else {"ridge": self.ridge}
        for name, statistics in self.statistics.items():
            result |= _prefixed(name, statistics.arrays())
        if self.summaries is not None and sum(x.nbytes for x in self.summaries) <= MOST_BYTES:
            result |= _prefixed("summaries", dict(zip(SUMMARIES, self.summaries, strict=True)))
        return result | _prefixed("history", self.history.arrays())

    @classmethod
    def read(cls, directory: Path) -> Archive:
        """Read the state of a saved IMNN.

        Raises
        ------
        FileNotFoundError
            If there is none in the directory.
        ValueError
            If the file is damaged, or holds settings or weights that cannot be.
        """
        arrays = state_arrays(directory)
        with storage.whole(directory / STATE):
            saved = SavedTraining.from_arrays(arrays)
            plain = storage.unpack(arrays["archive"])
            archive = cls(
                settings=saved.settings,
                weights=_unnumbered("weight", arrays),
                initial=_unnumbered("initial", arrays),
                statistics=saved.statistics,
                summaries=saved.summaries,
                history=saved.history,
                optimiser=dict(plain["optimiser"]),
                training_state=_unnumbered("state", arrays),
                next=checks.integer("next", plain["next"], -1),
                fingerprint=saved_fingerprint(arrays),
                ridge=arrays.get("ridge"),
            )
            archive._check_weights()
        return archive

    def _check_weights(self) -> None:
        for array in (*self.weights, *self.initial):
            check_numbers("Each weight", array)
        if self.ridge is not None:
            check_numbers("The ridge", self.ridge)
        shapes = [[array.shape for array in each] for each in (self.weights, self.initial)]
        if not self.weights or shapes[0] != shapes[1]:
            expected = f"have the shapes {shapes[1]} of the initial ones"
            raise ValueError(checks.wording("The weights", expected, shapes[0]))
        if any(array.dtype.kind not in "iufb" for array in self.training_state):
            raise ValueError("The state of training must hold numbers.")

    def model(self, directory: Path, model: keras.Model | None) -> keras.Model:
        """Return the network with its weights; `model` replaces one that Keras cannot load."""
        if model is None:
            path = directory / "model.keras"
            self._check_same_network(path)
            try:
                model = keras.models.load_model(path, compile=False)
            except Exception as error:
                raise ValueError(
                    f"The network in {str(directory)!r} cannot be loaded without its Python code "
                    f"({checks.first_line(error)}). Make the same network and pass it as "
                    "IMNN.load(directory, model=network)."
                ) from error
        elif not isinstance(model, keras.Model):
            expected = "be a Keras model like the saved one"
            raise TypeError(checks.wording("`model`", expected, checks.describe(model)))
        assign(model.variables, self.weights, "The saved network")
        refresh_normalisation(model)
        return model

    def _check_same_network(self, path: Path) -> None:
        with storage.whole(path), zipfile.ZipFile(path) as file:
            storage.check_zip(path, file)
            if damaged := file.testzip():
                raise ValueError(f"{damaged} is damaged")
        if fingerprints.network_fingerprint(path) != self.fingerprint:
            received = "another one: it was replaced, or a save to this directory was interrupted"
            remedy = "Make the network of state.npz and pass it as IMNN.load(directory, model=...)."
            expected = "hold the network that was saved with state.npz"
            raise ValueError(checks.wording(f"{path}", expected, received, remedy))

    def check_weights(self, path: Path) -> None:
        """Refuse a file of weights of another network."""
        if fingerprints.weights_fingerprint(path) not in ("", self.fingerprint):
            expected = "hold weights of the network that is saved beside it"
            raise ValueError(checks.wording(f"{path}", expected, "those of another one"))


def assign(variables: Sequence[Any], values: Sequence[np.ndarray], context: str) -> None:
    """Assign saved values to variables, refusing those of another network."""
    here = [tuple(variable.shape) for variable in variables]
    saved = [value.shape for value in values]
    if here != saved:
        expected = f"have variables of the shapes {here}"
        raise ValueError(
            checks.wording(context, expected, saved, "Pass the network it was saved with.")
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(tf.constant(value, dtype=variable.dtype))


def _numbered(name: str, values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_{i:06d}": value for i, value in enumerate(values)}


def _unnumbered(name: str, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}_")]


def _prefixed(name: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}/{key}": value for key, value in arrays.items()}
