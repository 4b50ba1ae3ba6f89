"""What a corner plot shows: marginals on the diagonal, contours by probability mass below it.

Contours of few draws are islands, or wide if they are smoothed until they are none: such draws are
shown as points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.clouds import Cloud
from imnn_lab.figures.data import MASSES, Contours, Curve, Layer, Panel, Panels
from imnn_lab.inference.density import Density, Marginals, common_ranges

FEWEST = 200  # effective draws that contours are drawn of


def corner(
    posteriors: Mapping[str, Marginals | None],
    labels: Sequence[str],
    *,
    truths: Sequence[Any] = (),
    masses: Sequence[float] = MASSES,
    bins: int | None = None,
    ranges: Any = None,
    smoothing: float | None = None,
    clouds: Sequence[Cloud] = (),
) -> Panels:
    """Describe a corner plot: densities on the diagonal, contours below it.

    Parameters
    ----------
    posteriors : mapping from name to posterior
        Overlaid; anything with `marginal` and `ranges`. None keeps the name and style of one that
        does not exist yet.
    labels : sequence of str
        A name for each parameter.
    truths : sequence of parameter vectors
        Where to draw lines; NaN entries draw none.
    masses : sequence of float
        Probability masses that the contours enclose.
    bins : int, optional
        Bins along each parameter.
    ranges : sequence of pairs, optional
        Range of each parameter; None fits all posteriors.
    smoothing : float, optional
        Width of a Gaussian filter in bins; it widens what it smooths.
    clouds : sequence of Cloud
        Draws to show below the contours; those of posteriors of fewer than 200 effective draws are
        shown in any case, and have no contours.
    """
    shown = [posterior for posterior in posteriors.values() if posterior is not None]
    if not shown:
        raise ValueError(checks.wording("A corner plot", "show at least one posterior", "none"))
    limits = common_ranges(shown, ranges)
    options: dict[str, Any] = {"bins": bins, "ranges": limits}
    few = {k: p for k, p in enumerate(posteriors.values()) if is_of_few(p)}
    given = {cloud.series for cloud in clouds}
    clouds = [*clouds, *(_draws_of(k, p) for k, p in few.items() if k not in given)]
    panels = []
    for i in range(len(labels)):
        for j in range(i + 1):
            chosen = (i,) if i == j else (j, i)
            densities = [
                None
                if p is None or (k in few and i != j)
                else p.marginal(*chosen, **options).smoothed(smoothing)
                for k, p in enumerate(posteriors.values())
            ]
            panel = _corner_panel(i, j, densities, labels, limits, truths, masses)
            panels.append(panel if i == j else _with_points(panel, clouds))
    return Panels(tuple(panels), tuple(posteriors), tuple(masses) if len(labels) > 1 else ())


def is_of_few(posterior: Any) -> bool:
    """Return whether a posterior has draws, but too few for contours."""
    return bool(getattr(posterior, "effective_samples", FEWEST) < FEWEST)


def _draws_of(series: int, posterior: Any) -> Cloud:
    """Return the draws of a posterior, which has neither estimates nor distances of them."""
    θ = posterior.parameters
    return Cloud(θ, θ, np.zeros(len(θ)), posterior.weights, series=series)


def _corner_panel(
    i: int,
    j: int,
    densities: Sequence[Density | None],
    labels: Sequence[str],
    limits: Sequence[tuple[float, float]],
    truths: Sequence[Any],
    masses: Sequence[float],
) -> Panel:
    return Panel(
        i,
        j,
        labels[j],
        "" if i == j else labels[i],
        tuple(_layer(k, density, masses) for k, density in enumerate(densities)),
        x_range=limits[j],
        y_range=None if i == j else limits[i],
        x_truth=known_entries(truths, j),
        y_truth=() if i == j else known_entries(truths, i),
    )


def _layer(series: int, density: Density | None, masses: Sequence[float]) -> Layer:
    if density is None or not density.values.any():
        return Curve(series)
    if len(density.axes) == 1:
        return Curve(series, density.axes[0], density.values)
    x, y = density.axes
    decreasing = tuple(sorted(masses, reverse=True))
    return Contours(series, x, y, density.values, density.levels(decreasing), decreasing)


def _with_points(panel: Panel, clouds: Sequence[Cloud]) -> Panel:
    i, j = panel.row, panel.column
    points: list[Layer] = [cloud.points("parameter", j, "parameter", i) for cloud in clouds]
    return replace(panel, layers=(*points, *panel.layers))


def known_entries(truths: Sequence[Any], i: int) -> tuple[float, ...]:
    """Return the i-th entry of each parameter vector, without unknown (NaN) ones."""
    entries = [float(np.atleast_1d(np.asarray(truth, np.float64))[i]) for truth in truths]
    return tuple(entry for entry in entries if np.isfinite(entry))
