"""What is shown of an observation: its distances among those of simulations; ABC against ε."""

from __future__ import annotations

import numpy as np

from imnn_lab.diagnostics.epsilon import EpsilonAdvice
from imnn_lab.diagnostics.observation import Novelty
from imnn_lab.figures.data import Band, Curve, Histogram, Panel, Panels

BINS = 30


def novelty(report: Novelty) -> Panels:
    """Describe distances of observations, dotted lines, among those of the simulations.

    Parameters
    ----------
    report : Novelty

    Returns
    -------
    Panels
        One for the estimate, the summaries, and the features.
    """
    panels = []
    for column, part in enumerate(report.parts):
        counts, edges = np.histogram(part.simulated, BINS)
        bars = Histogram(0, edges, counts.astype(float), np.zeros(len(counts)))
        name = f"distance of the {part.name} [σ]"
        lines = tuple(float(one) for one in part.observed)
        panels.append(Panel(0, column, name, "simulations", (bars,), x_truth=lines))
    return Panels(tuple(panels), ("simulations",))


def epsilon(report: EpsilonAdvice) -> Panels:
    """Describe mean and width of the ABC posterior against ε, and what they go to at ε = 0.

    Parameters
    ----------
    report : EpsilonAdvice

    Returns
    -------
    Panels
        A column for each parameter: its mean above, its width below, with their errors. Dotted
        vertical lines mark the suggested and the present ε.
    """
    chosen = {"suggested": report.suggested, "present": report.present}
    marks = tuple((ε, name) for name, ε in chosen.items() if ε is not None and ε <= report.ε[-1])
    x = np.linspace(0, report.ε[-1], 100)
    powers = x[:, None] ** np.array([0, 2, 4])
    rows = (("mean", report.mean, report.mean_error), ("width", report.sd, report.sd_error))
    panels = []
    for row, (name, values, errors) in enumerate(rows):
        fitted = powers @ report.fit[row]
        fitted = fitted if row == 0 else np.sqrt(np.maximum(fitted, 0))
        for i, label in enumerate(report.labels):
            value, error = values[:, i], errors[:, i]
            layers = (
                Band(0, report.ε, value - error, value + error),
                Curve(0, report.ε, value),
                Curve(1, x, fitted[:, i]),
            )
            panels.append(Panel(row, i, "ε", f"{name} of {label}", layers, marks=marks))
    return Panels(tuple(panels), ("accepted draws", "extrapolation"))
