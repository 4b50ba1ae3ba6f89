"""What a calibration shows: ranks and their band, means and truth, z-scores and contraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imnn_lab.diagnostics.calibrations import Calibration
from imnn_lab.diagnostics.rank_band import RankBand, cumulative
from imnn_lab.figures.data import Band, Curve, Panel, Panels, Points

SERIES = ("posteriors", "calibrated")
CUMULATIVE = "fraction of ranks − rank"


def calibration(report: Calibration) -> Panels:
    """Describe a calibration: a column for each parameter, and one for all together.

    Parameters
    ----------
    report : Calibration

    Returns
    -------
    Panels
        Above the distribution of ranks less that of uniform ones, with its simultaneous band; in
        the middle the posteriors' means against the truth; below z-scores against contraction. In
        the last column are the ranks of ellipse and TARP.
    """
    panels = []
    for i, label in enumerate(report.labels):
        panels += [
            _ranks(0, i, f"rank of {label}", report.ranks[i], report.band),
            _recovery(report, i),
            _z_scores(report, i),
        ]
    last = len(report.labels)
    together = (("mass of the ellipse", report.ellipse_ranks), ("mass of TARP", report.tarp_ranks))
    panels += [_ranks(row, last, *each, report.band) for row, each in enumerate(together)]
    return Panels(tuple(panels), SERIES)


def rank_deviations(reports: Mapping[str, Calibration | None], labels: Sequence[str]) -> Panels:
    """Describe how far the ranks of several methods are from uniform, in units of their bands.

    Parameters
    ----------
    reports : mapping from name to Calibration or None
        Of each method; None keeps the name and style of one that is not there yet.
    labels : sequence of str
        A name for each parameter.

    Returns
    -------
    Panels
        A column for each parameter, and one for the mass of the ellipse. The band of calibrated
        posteriors, which is narrower for more of them, reaches from −1 to 1 for all.
    """
    z = np.array([0.0, 1.0])
    band = Band(len(reports), z, -np.ones(2), np.ones(2))
    panels = []
    for i, name in enumerate([*(f"rank of {label}" for label in labels), "mass of the ellipse"]):
        curves = [_deviation(series, i, each) for series, each in enumerate(reports.values())]
        panels.append(Panel(0, i, name, "deviation / band", (band, *curves), x_range=(0, 1)))
    return Panels(tuple(panels), (*reports, "calibrated"))


def _deviation(series: int, i: int, report: Calibration | None) -> Curve:
    if report is None:
        return Curve(series)
    ranks = report.ranks[i] if i < len(report.ranks) else report.ellipse_ranks
    band = report.band
    above = cumulative(ranks, band.points) - band.points
    allowed = np.where(above > 0, band.high - band.points, band.points - band.low)
    return Curve(series, band.points, above / np.maximum(allowed, 1e-12))


def _ranks(row: int, column: int, name: str, ranks: np.ndarray, band: RankBand) -> Panel:
    z = np.concatenate([[0], band.points, [1]])
    low, high = (np.concatenate([[0], edge - band.points, [0]]) for edge in (band.low, band.high))
    found = Curve(0, z, cumulative(ranks, z) - z)
    layers = Band(1, z, low, high), found
    return Panel(row, column, name, CUMULATIVE, layers, x_range=(0, 1), references=(("", 0.0),))


def _recovery(report: Calibration, i: int) -> Panel:
    θ, label = report.θ[:, i], report.labels[i]
    ends = np.array([θ.min(), θ.max()])
    points = Points(0, θ, report.mean[:, i], np.full(len(θ), 0.5))
    names = f"true {label}", f"posterior mean of {label}"
    return Panel(1, i, *names, (points, Curve(1, ends, ends)))


def _z_scores(report: Calibration, i: int) -> Panel:
    contraction, z = report.contraction[:, i], report.z_scores[:, i]
    points = Points(0, contraction, z, np.full(len(z), 0.5))
    lines = (("", -1.0), ("", 0.0), ("", 1.0))
    x_label = f"contraction of {report.labels[i]}"
    return Panel(2, i, x_label, "z-score", (points,), references=lines)
