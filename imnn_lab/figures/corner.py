"""What a corner plot shows: marginals on the diagonal, contours by probability mass below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.figures.clouds import Cloud
from imnn_lab.figures.data import MASSES, Contours, Curve, Layer, Panel, Panels
from imnn_lab.inference.density import Density, Marginals, common_ranges


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
        Overlaid; anything with `marginal` and `ranges`. None keeps the name's place and style for
        one that is not there yet.
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
        Draws to show below the contours.
    """
    shown = {k: p for k, p in enumerate(posteriors.values()) if p is not None}
    if not shown:
        raise ValueError(checks.wording("A corner plot", "show at least one posterior", "none"))
    limits = common_ranges(list(shown.values()), ranges)
    options: dict[str, Any] = {"bins": bins, "ranges": limits}
    panels = []
    for i in range(len(labels)):
        for j in range(i + 1):
            chosen = (i,) if i == j else (j, i)
            densities = {
                k: p.marginal(*chosen, **options).smoothed(smoothing) for k, p in shown.items()
            }
            panel = _corner_panel(i, j, densities, labels, limits, truths, masses)
            panels.append(panel if i == j else _with_points(panel, clouds))
    return Panels(len(labels), len(labels), tuple(panels), tuple(posteriors))


def _corner_panel(
    i: int,
    j: int,
    densities: Mapping[int, Density],
    labels: Sequence[str],
    limits: Sequence[tuple[float, float]],
    truths: Sequence[Any],
    masses: Sequence[float],
) -> Panel:
    x_truth = marked(truths, j)
    if i == j:
        curves = tuple(Curve(k, d.axes[0], d.values) for k, d in densities.items())
        return Panel(i, i, labels[i], "", limits[i], None, curves, x_truth)
    decreasing = tuple(sorted(masses, reverse=True))
    contours = tuple(
        Contours(k, d.axes[0], d.axes[1], d.values, d.levels(decreasing), decreasing)
        for k, d in densities.items()
        if d.values.any()
    )
    return Panel(
        i, j, labels[j], labels[i], limits[j], limits[i], contours, x_truth, marked(truths, i)
    )


def _with_points(panel: Panel, clouds: Sequence[Cloud]) -> Panel:
    i, j = panel.row, panel.column
    points: list[Layer] = [cloud.points("parameter", j, "parameter", i) for cloud in clouds]
    return replace(panel, layers=(*points, *panel.layers))


def marked(truths: Sequence[Any], i: int) -> tuple[float, ...]:
    """Return the i-th entry of each truth, without the unknown (NaN) ones."""
    entries = [float(np.atleast_1d(np.asarray(truth, np.float64))[i]) for truth in truths]
    return tuple(entry for entry in entries if np.isfinite(entry))
