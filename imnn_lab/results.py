"""What training finds: frozen Fisher statistics, and one append-only history.

    F = ∂μ C⁻¹ ∂μᵀ,        Λ2 = ½(‖C − 1‖² + ‖C⁻¹ − 1‖²)

(Charnock, Lavaux & Wandelt 2018, equations 13 and 19).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import linalg

from imnn_lab import checks

MATRICES = ("F", "C", "μ", "dμ_dθ", "val_F", "val_C", "val_μ", "val_dμ_dθ")


@dataclass(frozen=True, eq=False)
class FisherStatistics:
    """Mean, covariance and mean derivative of summaries, and the Fisher information they give.

    Attributes
    ----------
    μ : ndarray, shape (n_summaries,)
        Mean of the summaries of the fiducial simulations.
    C : ndarray, shape (n_summaries, n_summaries)
        Covariance of the summaries (divisor n_s − 1).
    dμ_dθ : ndarray, shape (n_params, n_summaries)
        Derivative of the mean with respect to the parameters.
    F : ndarray, shape (n_params, n_params)
        Fisher information, in the inverse units of the parameters squared.
    n_s, n_d : int
        How many fiducial and derivative simulations they were estimated from.
    n_external : int
        How many summaries, the first ones, are known and not the network's.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import FisherStatistics
    >>> C = np.array([[2, 0.5], [0.5, 1]])
    >>> found = FisherStatistics(μ=np.zeros(2), C=C, dμ_dθ=np.array([[1, 2], [0, 1]]))
    >>> np.round(found.F, 6)
    array([[4.      , 2.      ],
           [2.      , 1.142857]])
    >>> round(found.det_F, 6), round(found.Λ2, 6)
    (0.571429, 0.933673)
    """

    μ: np.ndarray
    C: np.ndarray
    dμ_dθ: np.ndarray
    n_s: int = 0
    n_d: int = 0
    n_external: int = 0

    @cached_property
    def F(self) -> np.ndarray:
        """Fisher information, shape (n_params, n_params); NaN where C is singular."""
        try:
            # SciPy's solve_triangular leaves a thread spinning for 0.1 s on a core of training's
            whitened = np.linalg.solve(np.linalg.cholesky(self.C), self.dμ_dθ.T)
        except (linalg.LinAlgError, ValueError):
            return np.full((len(self.dμ_dθ),) * 2, np.nan)
        return whitened.T @ whitened

    @cached_property
    def Finv(self) -> np.ndarray:
        """Inverse Fisher information, the covariance of estimates, shape (n_params, n_params)."""
        return inverse(self.F)

    @cached_property
    def Cinv(self) -> np.ndarray:
        """Inverse covariance of the summaries, shape (n_summaries, n_summaries)."""
        return inverse(self.C)

    @cached_property
    def log_det_F(self) -> float:
        """Ln det F, or NaN where F is singular."""
        return log_determinant(self.F)

    @property
    def det_F(self) -> float:
        """Determinant of the Fisher information."""
        return float(np.exp(self.log_det_F))

    @property
    def network_C(self) -> np.ndarray:
        """Covariance of the network's summaries alone, shape (n_network, n_network)."""
        return self.C[self.n_external :, self.n_external :]

    @property
    def without_network(self) -> FisherStatistics | None:
        """Statistics of the known summaries alone, None where there are none."""
        n = self.n_external
        if not n:
            return None
        return FisherStatistics(self.μ[:n], self.C[:n, :n], self.dμ_dθ[:, :n], self.n_s, self.n_d)

    @property
    def det_C(self) -> float:
        """Determinant of the covariance of the network's summaries."""
        return float(np.exp(log_determinant(self.network_C)))

    @property
    def det_Cinv(self) -> float:
        """Determinant of the inverse covariance of the network's summaries."""
        return float(np.exp(-log_determinant(self.network_C)))

    @property
    def Λ2(self) -> float:
        """Distance of the covariance of the network's summaries, and of its inverse, from 1."""
        C = self.network_C
        identity = np.eye(len(C))
        return 0.5 * float(np.sum((C - identity) ** 2) + np.sum((inverse(C) - identity) ** 2))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what `from_arrays` needs to make the same statistics again."""
        return {name: np.asarray(getattr(self, name)) for name in _FIELDS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> FisherStatistics:
        """Make statistics from the arrays of `arrays()`.

        Parameters
        ----------
        arrays : mapping from str to ndarray
            What `arrays` returned.
        """
        μ, C, dμ_dθ, *counts = (arrays[name] for name in _FIELDS if name in arrays)
        return cls(μ, C, dμ_dθ, *(int(n) for n in counts))

    def __str__(self) -> str:
        known = self.without_network
        beside = f", {known.det_F:.6g} without the network" if known else ""
        return (
            f"det F = {self.det_F:.6g}{beside}, det C = {self.det_C:.4g} "
            f"(from {self.n_s} fiducial and {self.n_d} derivative simulations)"
        )


_FIELDS = ("μ", "C", "dμ_dθ", "n_s", "n_d", "n_external")


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Invert a symmetric positive matrix; NaN where it is not one."""
    try:
        factor = linalg.cho_factor(matrix, lower=True)
    except (linalg.LinAlgError, ValueError):
        return np.full_like(matrix, np.nan)
    return linalg.cho_solve(factor, np.eye(len(matrix)))


def log_determinant(matrix: np.ndarray) -> float:
    """Ln det of a symmetric positive matrix; NaN where it is not one."""
    if not np.isfinite(matrix).all():
        return float("nan")
    sign, value = np.linalg.slogdet(matrix)
    return float(value) if sign > 0 else float("nan")


@dataclass(frozen=True)
class SteeringMark:
    """A change of a setting while training: from `iteration` on, `name` is `value`.

    Attributes
    ----------
    iteration : int
        The first iteration with the new value.
    name : str
        "λ", "ε" or "learning_rate".
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

    ``history["det_F"]`` is an array of what is there so far, one entry an iteration, the untrained
    network first. Keys: iteration, det_F, det_C, det_Cinv, log_det_F, reg (Λ2), r, loss, the
    validation's det_F, det_C, det_Cinv, log_det_F, reg and r behind ``val_``, λ, ε, α,
    learning_rate, seconds. The matrices F, C, μ, dμ_dθ (and ``val_``) are kept for at most
    `most_snapshots` iterations, evenly thinned; ``history["snapshot_iteration"]`` says which.
    Validation columns are NaN, and validation matrices empty, where there is no validation.

    Parameters
    ----------
    most_snapshots : int
        How many iterations' matrices to keep.
    marks : list of SteeringMark
        Changes of settings while training.

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

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._columns: dict[str, np.ndarray] = {}
        self._length = 0
        self._every = 1
        self._snapshots: dict[str, list[np.ndarray]] = {}

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
        if key in (*MATRICES, "snapshot_iteration"):
            return np.empty(0)
        raise KeyError(checks.wording("A key of the history", f"be one of {list(self)}", repr(key)))

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
        kept = self["snapshot_iteration"]
        if not len(kept):
            raise IndexError("The history is empty: fit the network first.")
        index = int(np.argmin(np.abs(kept - iteration)))
        prefix = "val_" if validation else ""
        with self._lock:
            μ, C, dμ_dθ = (self._snapshots[prefix + name][index] for name in ("μ", "C", "dμ_dθ"))
        return FisherStatistics(μ=μ, C=C, dμ_dθ=dμ_dθ)

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
            return result | {"thinning": np.array([self.most_snapshots, self._every])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> History:
        """Make a history from the arrays of `arrays()`.

        Parameters
        ----------
        arrays : mapping from str to ndarray
            What `arrays` returned.
        """
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
