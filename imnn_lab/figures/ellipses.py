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
    pairs = [(i, j) for i in range(len(labels)) for j in range(i + 1)]
    panels = []
    for i, j in pairs:
        layers: list[Curve] = []
        for k, (Σ, centre) in enumerate(zip(covariances, centres, strict=True)):
            layers += (
                _gaussian_curve(k, Σ, centre, i)
                if i == j
                else _ellipses(k, Σ, centre, j, i, masses)
            )
        y_label = "" if i == j else labels[i]
        panels.append(Panel(i, j, labels[j], y_label, None, None, tuple(layers)))
    size = len(labels)
    return Panels(size, size, tuple(panels), tuple(matrices), covariances[0], tuple(labels))


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


def fisher_paths(
    F: np.ndarray, centre: np.ndarray, pair: tuple[int, int], masses: Sequence[float] = MASSES
) -> list[Curve]:
    """Describe one Fisher matrix over two of its parameters, the others marginalised.

    Parameters
    ----------
    F : ndarray, shape (n_params, n_params)
    centre : ndarray, shape (n_params,)
    pair : (int, int)
        The parameters along x and y; the density of one parameter if they are the same.
    masses : sequence of float

    Returns
    -------
    list of Curve
        Empty where F is singular.
    """
    Σ = inverse(F)
    if not np.isfinite(Σ).all():
        return []
    i, j = pair
    return _gaussian_curve(0, Σ, centre, i) if i == j else _ellipses(0, Σ, centre, i, j, masses)


def _ellipses(
    series: int, Σ: np.ndarray, centre: np.ndarray, i: int, j: int, masses: Sequence[float]
) -> list[Curve]:
    sub, middle = Σ[np.ix_([i, j], [i, j])], centre[[i, j]]
    return [Curve(series, *ellipse(sub, middle, mass), mass=mass) for mass in masses]


def _gaussian_curve(series: int, Σ: np.ndarray, centre: np.ndarray, i: int) -> list[Curve]:
    sd = np.sqrt(Σ[i, i])
    x = centre[i] + sd * np.linspace(-4, 4, 201)
    return [Curve(series, x, stats.norm.pdf(x, centre[i], sd))]
