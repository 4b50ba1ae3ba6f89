"""Clouds: draws to be scattered, with parameters, estimates and distances.

A panel shows two of their columns at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imnn_lab.figures.data import Points

MOST_POINTS = 20_000  # of one cloud in one panel; more are thinned evenly


@dataclass(frozen=True)
class Cloud:
    """Draws to be scattered.

    Attributes
    ----------
    parameters, estimates : ndarray, shape (n, n_params)
    distances : ndarray, shape (n,)
    weights : ndarray, shape (n,), or None for equal ones
    rejected : bool
    series : int
    rows : ndarray of int, shape (n,), or None
        Numbers that identify the draws.
    """

    parameters: np.ndarray
    estimates: np.ndarray
    distances: np.ndarray
    weights: np.ndarray | None = None
    rejected: bool = False
    series: int = 0
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.parameters)

    def thinned(self, fraction: float) -> Cloud:
        """Return an evenly spaced fraction of the draws, from 0 to 1."""
        n = len(self)
        return self.select(np.linspace(0, n - 1, round(fraction * n)).astype(int) if n else [])

    def select(self, chosen: Sequence[int] | np.ndarray) -> Cloud:
        """Return the chosen draws, by index or by mask."""
        kept = np.asarray(chosen, None if len(chosen) else int)
        weights = None if self.weights is None else self.weights[kept]
        rows = None if self.rows is None else self.rows[kept]
        columns = (self.parameters[kept], self.estimates[kept], self.distances[kept])
        return Cloud(*columns, weights, self.rejected, self.series, rows)

    def points(self, horizontal: str, j: int, vertical: str, i: int) -> Points:
        """Return one column against another.

        Parameters
        ----------
        horizontal, vertical : {"parameter", "estimate", "distance"}
        j, i : int
            Which parameter's.
        """
        shown = self.thinned(min(1.0, MOST_POINTS / max(1, len(self))))
        values: Mapping[str, np.ndarray] = {
            "parameter": shown.parameters,
            "estimate": shown.estimates,
            "distance": shown.distances[:, None],
        }
        weights = np.ones(len(shown)) if shown.weights is None else shown.weights
        relative = weights / weights.max(initial=1e-300)
        x, y = values[horizontal][:, j], values[vertical][:, i]
        return Points(shown.series, x, y, relative, shown.rejected, shown.rows)


def column_names(labels: Sequence[str]) -> dict[str, list[str]]:
    """Name the columns of a cloud by kind: parameter, estimate, distance."""
    return {
        "parameter": list(labels),
        "estimate": [f"estimate of {label}" for label in labels],
        "distance": ["distance ρ"],
    }
