"""What Fisher matrices look like: their inverse, and its ellipses as parametric paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from imnn_lab.figures.data import MASSES, Curve, Panel, Panels
from imnn_lab.results import inverse


def fisher(
    matrices: Mapping[str, np.ndarray],
    centres: Sequence[np.ndarray],
    labels: Sequence[str],
    masses: Sequence[float] = MASSES,
) -> Panels:
    """Describe Fisher matrices: the first inverse as a matrix, the ellipses of all as paths.

    Parameters
    ----------
    matrices : mapping from name to ndarray of shape (n_params, n_params)
    centres : sequence of ndarray, shape (n_params,)
        Where the ellipses of each matrix are drawn.
    labels : sequence of str
    masses : sequence of float
        Probability masses that the ellipses enclose.
    """
    covariances = [np.linalg.inv(matrix) for matrix in matrices.values()]
    panels = []
    for i in range(len(labels)):
        for j in range(i + 1):
            layers: list[Curve] = []
            for k, (Σ, centre) in enumerate(zip(covariances, centres, strict=True)):
                layers += _paths(k, Σ, centre, (j, i), masses)
            panels.append(Panel(i, j, labels[j], "" if i == j else labels[i], tuple(layers)))
    enclosed = tuple(masses) if len(labels) > 1 else ()
    return Panels(tuple(panels), tuple(matrices), enclosed, covariances[0], tuple(labels))


def forecast(
    matrices: Mapping[str, np.ndarray | None],
    centre: np.ndarray,
    labels: Sequence[str],
    pair: tuple[int, int],
    masses: Sequence[float] = MASSES,
) -> Panels:
    """Describe Fisher matrices over two of their parameters, the others marginalised.

    Parameters
    ----------
    matrices : mapping from name to ndarray of shape (n_params, n_params)
        None and singular matrices keep their names and styles without ellipses.
    centre : ndarray, shape (n_params,)
    labels : sequence of str
    pair : (int, int)
        The parameters along x and y; the density of one parameter if they are the same.
    masses : sequence of float
        Probability masses that the ellipses enclose.
    """
    i, j = pair
    layers: list[Curve] = []
    for k, F in enumerate(matrices.values()):
        Σ = np.full((1, 1), np.nan) if F is None else inverse(F)
        layers += _paths(k, Σ, centre, pair, masses) if np.isfinite(Σ).all() else [Curve(k)]
    x_truth, y_truth = (float(centre[i]),), () if i == j else (float(centre[j]),)
    y_label = "" if i == j else labels[j]
    panel = Panel(0, 0, labels[i], y_label, tuple(layers), x_truth=x_truth, y_truth=y_truth)
    return Panels((panel,), tuple(matrices), tuple(masses) if i != j else ())


def ellipse(
    covariance: np.ndarray, centre: np.ndarray, mass: float, points: int = 181
) -> tuple[np.ndarray, np.ndarray]:
    """Return the path that encloses a probability mass of a two-dimensional Gaussian.

    Parameters
    ----------
    covariance : ndarray, shape (2, 2)
    centre : ndarray, shape (2,)
    mass : float
    points : int
        Points along the closed path.
    """
    angle = np.linspace(0, 2 * np.pi, points)
    radius = np.sqrt(stats.chi2.ppf(mass, 2))
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x, y = (centre + radius * circle @ np.linalg.cholesky(covariance).T).T
    return x, y


def _paths(
    series: int, Σ: np.ndarray, centre: np.ndarray, pair: tuple[int, int], masses: Sequence[float]
) -> list[Curve]:
    """Return the ellipses over two parameters, or the density of one."""
    i, j = pair
    if i == j:
        sd = np.sqrt(Σ[i, i])
        x = centre[i] + sd * np.linspace(-4, 4, 201)
        return [Curve(series, x, stats.norm.pdf(x, centre[i], sd))]
    sub, middle = Σ[np.ix_(pair, pair)], centre[[i, j]]
    return [Curve(series, *ellipse(sub, middle, mass), mass=mass) for mass in masses]
