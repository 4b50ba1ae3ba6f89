"""What can be read of a saved IMNN without its network, and without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.history import History
from imnn_lab.results import FisherStatistics
from imnn_lab.settings import Settings

SETS = ("training", "validation")
STATE = "state.npz"
SUMMARIES = ("fiducial", "derivative")


@dataclass(frozen=True)
class SavedTraining:
    """Settings, statistics and history of a saved IMNN.

    Attributes
    ----------
    settings : Settings
    statistics : dict
        FisherStatistics of "training" and, if present, "validation".
    history : History
    summaries : pair of ndarray, shapes (n_s, n_all) and (n_d, 2, n_params, n_all), optional
        External summaries and those of the network: fiducial, and for the derivative (exact ones,
        and those of stencils, which may be NaN, of shape (n_rows, n_params, n_all)), of the
        validation set or, without one, of training.
    """

    settings: Settings
    statistics: dict[str, FisherStatistics]
    history: History
    summaries: tuple[np.ndarray, np.ndarray] | None = None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SavedTraining:
        """Read the arrays of a ``state.npz``.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are not those of a saved IMNN, or cannot be.
        """
        settings = Settings.from_dict(storage.unpack(arrays["archive"])["settings"])
        statistics = {
            name: replace(FisherStatistics.from_arrays(part), names=settings.labels)
            for name in SETS
            if (part := unprefixed(name, arrays))
        }
        history = History.from_arrays(unprefixed("history", arrays))
        for name, saved in statistics.items():  # version 0.1.0 did not save them with the history
            history.counts.setdefault(name, (saved.n_s, saved.n_d, saved.n_external))
            _check_statistics(name, saved, settings)
        return cls(settings, statistics, history, _saved_summaries(arrays, statistics, settings))


def _saved_summaries(
    arrays: Mapping[str, np.ndarray], statistics: Mapping[str, FisherStatistics], settings: Settings
) -> tuple[np.ndarray, np.ndarray] | None:
    named = unprefixed("summaries", arrays)
    if not named:
        return None
    fiducial, derivative = (named[name] for name in SUMMARIES)
    last = list(statistics.values())[-1]
    n = len(last.μ)
    sides = () if settings.δθ is None else (2,)
    shapes = (last.n_s, n), (last.n_d, *sides, settings.n_params, n)
    if settings.stencils is not None and derivative.ndim == 3 and derivative.dtype.kind == "f":
        there = ~np.isnan(derivative).all(axis=-1)
        if there.sum(axis=0).min() == last.n_d:
            shapes = shapes[0], (len(derivative), settings.n_params, n)
        derivative = np.where(there[..., None], derivative, 0)
    for name, array, shape in zip(SUMMARIES, (fiducial, derivative), shapes, strict=True):
        context = f"Summaries ({name})"
        check_numbers(context, array)
        if array.shape != shape:
            raise ValueError(checks.wording(context, f"have shape {shape}", array.shape))
    return fiducial, named["derivative"]


def state_arrays(directory: Path) -> dict[str, np.ndarray]:
    """Return the arrays of ``state.npz`` in a directory.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file is damaged.
    """
    remedy = "An IMNN is saved in directory/filename: check both."
    storage.check_holds(directory, STATE, "a saved IMNN", remedy)
    return storage.read_npz(directory / STATE)


def saved_fingerprint(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the fingerprint in the arrays of a ``state.npz``; "" if it has none."""
    return str(storage.unpack(arrays["archive"]).get("fingerprint", ""))


def check_numbers(name: str, array: np.ndarray) -> None:
    """Refuse a saved array that is not of numbers, or holds one that is not finite."""
    if array.dtype.kind not in "iufb" or not np.isfinite(array).all():
        expected = "hold finite numbers only"
        raise ValueError(checks.wording(f"{name}", expected, checks.describe(array)))


def _check_statistics(name: str, found: FisherStatistics, settings: Settings) -> None:
    n = settings.n_summaries + checks.integer("n_external", found.n_external, 0)
    for symbol, shape in (("μ", (n,)), ("C", (n, n)), ("dμ_dθ", (settings.n_params, n))):
        array = getattr(found, symbol)
        check_numbers(f"{symbol} of {name}", array)
        if array.shape != shape:
            expected = f"have shape {shape}"
            raise ValueError(checks.wording(f"{symbol} of {name}", expected, array.shape))


def check_directory(directory: Path, fingerprint: str, overwrites: bool) -> None:
    """Refuse a directory that cannot be written, or holds another network than that to be saved.

    Raises
    ------
    ValueError
        If nothing can be written there, or another network is saved and not to be overwritten.
    """
    storage.check_writable(directory)
    if overwrites or not (directory / STATE).is_file():
        return
    if saved_fingerprint(storage.read_npz(directory / STATE, "archive")) != fingerprint:
        received = f"{str(directory)!r}, where another network is saved"
        expected = "be new, or hold an earlier save of this network"
        remedy = (
            "Go on with that network (load=True or IMNN.load), choose another directory, or pass "
            "overwrite=True to replace it."
        )
        raise ValueError(checks.wording("`directory`", expected, received, remedy))


def unprefixed(name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with ``<name>/``, without that."""
    start = f"{name}/"
    return {key.removeprefix(start): a for key, a in arrays.items() if key.startswith(start)}
