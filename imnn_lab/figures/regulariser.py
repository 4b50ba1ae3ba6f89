"""What the regulariser looks like: r(Λ2), and which pairs (λ, ε) are allowed."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from imnn_lab.figures.data import Band, Curve, Panel, Panels, Points
from imnn_lab.regularisation import EPSILON, Regularisation, largest_closeness

SERIES = ("applied", "chosen", "now", "forbidden")
Λ_RANGE = (0.5, 1000.0)
ε_RANGE = (1e-4, 1.0)


def regulariser(
    applied: Regularisation,
    chosen: Regularisation | None,
    pair: tuple[float, float],
    now: tuple[float, float],
) -> Panels:
    """Describe r(Λ2) beside the map of the allowed pairs.

    Parameters
    ----------
    applied : Regularisation
        What training uses.
    chosen : Regularisation or None
        What is chosen but not applied; None if it is the same, or not allowed.
    pair : (float, float)
        λ and ε as chosen, allowed or not.
    now : (float, float)
        Λ2 and r of the last iteration; NaN if there is none.
    """
    first, second = SERIES.index("applied"), SERIES.index("chosen")
    curves = (
        coupling_curve(first, applied),
        Curve(second) if chosen is None else coupling_curve(second, chosen),
        _point(SERIES.index("now"), *now),
    )
    points = (_point(first, applied.λ, applied.ε), _point(second, *pair))
    title = "Coupling of the regularisation"
    coupling = Panel(0, 0, "Λ2", "coupling r", curves, x_log=True, title=title)
    layers = (*forbidden_bands(), *points)
    title = "Which pairs are allowed"
    pairs = Panel(0, 1, "λ", EPSILON, layers, Λ_RANGE, ε_RANGE, True, True, title=title)
    return Panels((coupling, pairs), SERIES)


@lru_cache(16)
def coupling_curve(series: int, regularisation: Regularisation, points: int = 241) -> Curve:
    """Describe r(Λ2) over eight decades around the bend of the curve."""
    bend = np.log10(1 / regularisation.α)
    Λ2 = np.logspace(bend - 4, bend + 4, points)
    return Curve(series, Λ2, regularisation.strength(Λ2))


@cache
def forbidden_bands(points: int = 161) -> tuple[Band, Band]:
    """Describe where ε is too small or too large for λ, so that there is no positive rate α."""
    series = SERIES.index("forbidden")
    λ = np.geomspace(*Λ_RANGE, points)
    floor, ceiling = np.full(points, ε_RANGE[0] / 2), np.full(points, 2 * ε_RANGE[1])
    smallest = np.maximum(1 / λ - 1, floor)
    largest = np.minimum([largest_closeness(value) for value in λ], ceiling)
    return Band(series, λ, floor, smallest), Band(series, λ, largest, ceiling)


def _point(series: int, x: float, y: float) -> Points:
    xy = np.array([[x, y]] if np.isfinite([x, y]).all() and x > 0 else np.empty((0, 2)))
    return Points(series, xy[:, 0], xy[:, 1], np.ones(len(xy)))
