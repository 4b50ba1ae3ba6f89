"""How F depends on the number of simulations that the last layer is solved on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Information of last layers that are solved on fewer simulations.

    The layers before the last stay as they were trained on all of them. F of each last layer is
    taken from simulations that are held out, and from those it was solved on: the first is what it
    is worth, the second is what one would quote without the first, too large by the bias of a
    finite number of simulations.

    Attributes
    ----------
    n_s, n_d : ndarray of int, shape (n,)
        Numbers of fiducial and derivative simulations, increasing.
    held_out, own : ndarray, shape (n, n_parts)
        ln det F of the last layers of separate parts of the training set, from all held-out
        simulations and from their own; NaN where there are fewer parts, or F is singular.
    log_det_bracket : pair of float
        Bracket of ln det F of the last layer that is solved on all, from held-out simulations.
    level : float
        Its probability.
    """

    n_s: np.ndarray
    n_d: np.ndarray
    held_out: np.ndarray
    own: np.ndarray
    log_det_bracket: tuple[float, float]
    level: float

    @property
    def gain(self) -> float:
        """What the last doubling of the simulations brought: a change of ln det F, held out."""
        means = mean_of_parts(self.held_out)
        return float(means[-1] - means[-2]) if len(means) > 1 else float("nan")

    @property
    def bias(self) -> float:
        """By how much ln det F of all simulations is larger on themselves than held out."""
        return float(mean_of_parts(self.own)[-1] - mean_of_parts(self.held_out)[-1])

    def __str__(self) -> str:
        rows = [f"{'n_s':>8}{'n_d':>8}{'ln det F held out':>20}{'on its own':>13}"]
        means = mean_of_parts(self.held_out), mean_of_parts(self.own)
        for n_s, n_d, *values in zip(self.n_s, self.n_d, *means, strict=True):
            held_out, own = (f"{x:.3f}" if np.isfinite(x) else "singular" for x in values)
            rows.append(f"{n_s:8,}{n_d:8,}{held_out:>20}{own:>13}")
        return "\n".join(rows)


def mean_of_parts(values: np.ndarray) -> np.ndarray:
    """Return means over the parts that there are, shape (n,); NaN without any."""
    known = np.isfinite(values)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), sums / np.maximum(known.sum(axis=1), 1), np.nan)
