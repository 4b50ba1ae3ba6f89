"""The history of a training: one append-only record that can be read while it grows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.results import FisherStatistics

NUMBERS = ("det_F", "det_C", "det_Cinv", "log_det_F", "reg", "r")
COLUMNS = (
    "iteration", "loss", *NUMBERS, *(f"val_{name}" for name in NUMBERS),
    "λ", "ε", "α", "gaussianity", "level", "learning_rate", "seconds",
)  # fmt: skip
MATRICES = ("F", "C", "μ", "dμ_dθ", "val_F", "val_C", "val_μ", "val_dμ_dθ")


@dataclass(frozen=True)
class SteeringMark:
    """A change of a setting while training: from `iteration` on, `name` is `value`.

    Attributes
    ----------
    iteration : int
        The first iteration with the new value.
    name : str
        "λ", "ε", "level" or "learning_rate".
    value, previous : float
        The new value and the one before.
    requested_after : int
        The last iteration that had been recorded when the change was asked for.
    """

    iteration: int
    name: str
    value: float
    previous: float
    requested_after: int


@dataclass
class History:
    """Append-only record of a training, safe to read while it grows.

    ``history["det_F"]`` is an array of the values so far, one per iteration, the untrained network
    first. Keys: iteration, det_F, det_C, det_Cinv, log_det_F, reg (Λ2), r, loss, the
    validation's det_F, det_C, det_Cinv, log_det_F, reg and r behind ``val_``, λ, ε, α,
    gaussianity, level (of the `map_fn`, NaN without), learning_rate, seconds. The matrices F, C, μ,
    dμ_dθ (and ``val_``) are kept for at most `most_snapshots` iterations, evenly thinned;
    ``history["snapshot_iteration"]`` says which. Without a validation set, its columns are NaN and
    its matrices empty. All are empty before the
    first iterations are there: the row of the untrained network holds the loss, λ and ε of its fit.

    Parameters
    ----------
    most_snapshots : int
        How many iterations' matrices to keep.
    marks : list of SteeringMark
        Changes of settings while training.
    counts : dict from str to tuple of int
        n_s, n_d and n_external of "training" and "validation", for `statistics`; files of version
        0.1.0 do not hold them.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import History
    >>> history = History()
    >>> history.append({"iteration": np.arange(3), "det_F": np.array([1.0, 2.0, 4.0])}, {})
    >>> history["det_F"]
    array([1., 2., 4.])
    """

    most_snapshots: int = 5000
    marks: list[SteeringMark] = field(default_factory=list)
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._columns: dict[str, np.ndarray] = {}
        self._length = 0
        self._every = 1
        self._snapshots: dict[str, list[np.ndarray]] = {}

    def __reduce__(self) -> tuple[Any, ...]:  # pickle and copy.deepcopy: a lock cannot be copied
        return type(self).from_arrays, (self.arrays(),)

    def __len__(self) -> int:
        return self._length

    def append(self, columns: Mapping[str, np.ndarray], matrices: Mapping[str, np.ndarray]) -> None:
        """Append a chunk of iterations.

        Parameters
        ----------
        columns : mapping from str to ndarray, shape (n,)
            Numbers of each iteration; the column ``iteration`` is needed.
        matrices : mapping from str to ndarray, shape (n, ...)
            Vectors and matrices of each iteration.
        """
        added = len(columns["iteration"])
        with self._lock:
            for name, values in columns.items():
                self._room(name, added)[self._length : self._length + added] = values
            self._length += added
            self._keep(np.asarray(columns["iteration"], dtype=np.int64), matrices)

    def mark(self, mark: SteeringMark) -> None:
        """Record that a setting was changed.

        Parameters
        ----------
        mark : SteeringMark
            What was changed, and when.
        """
        with self._lock:
            self.marks.append(mark)

    def read(self, cursor: int = 0) -> tuple[dict[str, np.ndarray], int]:
        """Return what is new.

        Parameters
        ----------
        cursor : int
            Number of the first iteration to return.

        Returns
        -------
        dict from str to ndarray, shape (n,)
            Copies of the columns from `cursor` on.
        int
            The cursor for the next read.
        """
        cursor = checks.integer("cursor", cursor, 0)
        with self._lock:
            end = self._length
            return {name: c[cursor:end].copy() for name, c in self._columns.items()}, end

    def __getitem__(self, key: str) -> np.ndarray:
        key = checks.normalise(key)
        with self._lock:
            if key in self._columns:
                return self._columns[key][: self._length].copy()
            if key in self._snapshots:
                return np.array(self._snapshots[key])
        if key in (*COLUMNS, *MATRICES, "snapshot_iteration"):
            return np.empty(0)
        known = list(self) or [*COLUMNS, *MATRICES]
        raise KeyError(checks.wording("A key of the history", f"be one of {known}", repr(key)))

    def __iter__(self) -> Iterator[str]:
        return iter([*self._columns, *self._snapshots])

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and checks.normalise(key) in list(self)

    def keys(self) -> list[str]:
        """Return the names of all columns and matrices."""
        return list(self)

    def statistics(self, iteration: int, validation: bool = False) -> FisherStatistics:
        """Return the statistics at the kept iteration nearest to `iteration`.

        Parameters
        ----------
        iteration : int
            Number of an iteration.
        validation : bool
            Whether to return those of the validation set.

        Raises
        ------
        IndexError
            If the history is empty.
        """
        iteration = checks.integer("iteration", iteration)
        validation = checks.boolean("validation", validation)
        kept = self["snapshot_iteration"]
        if not len(kept):
            raise IndexError("The history is empty: fit the network first.")
        index = int(np.argmin(np.abs(kept - iteration)))
        prefix = "val_" if validation else ""
        with self._lock:
            μ, C, dμ_dθ = (self._snapshots[prefix + name][index] for name in ("μ", "C", "dμ_dθ"))
        counts = self.counts.get("validation" if validation else "training", ())
        return FisherStatistics(μ, C, dμ_dθ, *counts)

    def marginal_errors(
        self, validation: bool = False, most: int = 500
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the marginal errors √(F⁻¹)_αα over training.

        Parameters
        ----------
        validation : bool
            Whether to return those of the validation set.
        most : int
            Largest number of iterations, evenly chosen among those whose matrices are kept.

        Returns
        -------
        ndarray of int, shape (n,)
            The iterations.
        ndarray, shape (n, n_params)
            The errors in the units of the parameters, NaN where F is singular.
        """
        validation = checks.boolean("validation", validation)
        most = checks.integer("most", most, 2)
        names = [f"val_{name}" if validation else name for name in ("C", "dμ_dθ")]
        with self._lock:
            n = len(self._snapshots.get(names[1], ()))
            chosen = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
            kept = [[self._snapshots[name][i] for i in chosen] for name in names if n]
            iterations = [self._snapshots["snapshot_iteration"][i] for i in chosen]
        if not n:
            return np.empty(0, int), np.empty((0, 0))
        return np.array(iterations), _marginal_errors(*map(np.array, kept))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that `from_arrays` needs to make the same history again."""
        columns, _ = self.read()
        with self._lock:
            result = {f"column_{name}": values for name, values in columns.items()}
            result |= {f"matrix_{name}": np.array(kept) for name, kept in self._snapshots.items()}
            result |= {
                f"mark_{name}": np.array([getattr(mark, name) for mark in self.marks])
                for name in SteeringMark.__dataclass_fields__
            }
            result |= {f"counts_{name}": np.array(counts) for name, counts in self.counts.items()}
            return result | {"thinning": np.array([self.most_snapshots, self._every])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> History:
        """Make a history from the arrays of `arrays()`.

        Parameters
        ----------
        arrays : mapping from str to ndarray
            What `arrays` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are not such arrays: their lengths differ, or one is missing.
        """
        lengths = {
            kind: {len(values) for name, values in arrays.items() if name.startswith(f"{kind}_")}
            for kind in ("column", "matrix")
        }
        if max(map(len, lengths.values())) > 1:
            expected = "have one length for all columns, and one for all matrices"
            raise ValueError(checks.wording("A history", expected, lengths))
        most, every = arrays["thinning"].tolist()
        marks = zip(
            *(arrays[f"mark_{name}"].tolist() for name in SteeringMark.__dataclass_fields__),
            strict=True,
        )
        history = cls(most_snapshots=most, marks=[SteeringMark(*mark) for mark in marks])
        history._every = every
        for name, values in arrays.items():
            if name.startswith("column_"):
                history._columns[name.removeprefix("column_")] = values.copy()
                history._length = len(values)
            elif name.startswith("matrix_"):
                history._snapshots[name.removeprefix("matrix_")] = list(values)
            elif name.startswith("counts_"):
                history.counts[name.removeprefix("counts_")] = tuple(values.tolist())
        return history

    def _room(self, name: str, added: int) -> np.ndarray:
        """Return the column with room for `added` more rows (it doubles when full)."""
        needed = self._length + added
        column = self._columns.get(name)
        if column is None or len(column) < needed:
            grown = np.full(max(1024, 2 * needed), np.nan)
            if column is not None:
                grown[: self._length] = column[: self._length]
            self._columns[name] = column = grown
        return column

    def _keep(self, iterations: np.ndarray, matrices: Mapping[str, np.ndarray]) -> None:
        """Keep the matrices of every `_every`-th iteration; double the step when they are many."""
        everything = {"snapshot_iteration": iterations, **matrices}
        chosen = iterations % self._every == 0
        for name, values in everything.items():
            self._snapshots.setdefault(name, []).extend(np.asarray(values)[chosen])
        while len(self._snapshots["snapshot_iteration"]) > self.most_snapshots:
            self._every *= 2
            stays = np.flatnonzero(
                np.array(self._snapshots["snapshot_iteration"]) % self._every == 0
            )
            for name, kept in self._snapshots.items():
                self._snapshots[name] = [kept[i] for i in stays]


def _marginal_errors(C: np.ndarray, dμ_dθ: np.ndarray) -> np.ndarray:
    """Return √(F⁻¹)_αα, shape (n, n_params), of many C and ∂μ at once; NaN where F is singular."""
    errors = np.full(dμ_dθ.shape[:2], np.nan)
    regular = _are_regular(C)
    F = dμ_dθ[regular] @ np.linalg.solve(C[regular], dμ_dθ[regular].swapaxes(1, 2))
    known = _are_regular(F)
    variances = np.diagonal(np.linalg.inv(F[known]), axis1=1, axis2=2)
    errors[np.flatnonzero(regular)[known]] = np.sqrt(np.where(variances > 0, variances, np.nan))
    return errors


def _are_regular(matrices: np.ndarray) -> np.ndarray:
    """Say which of many matrices are finite with a positive determinant."""
    finite = np.isfinite(matrices).all(axis=(1, 2))
    signs, _ = np.linalg.slogdet(np.where(finite[:, None, None], matrices, 0.0))
    return finite & (signs > 0)
