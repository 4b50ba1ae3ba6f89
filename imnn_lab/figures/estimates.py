"""What estimates of simulations show beside the parameters that these were made at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imnn_lab.figures.data import Curve, Panel, Panels, Points
from imnn_lab.inference.draws import Draws

MOST_POINTS = 1000


def estimates_and_truth(draws: Draws, labels: Sequence[str]) -> Panels:
    """Describe estimates against the truth, a panel for each parameter.

    Parameters
    ----------
    draws : Draws
        At most 1,000 of them are shown.
    labels : sequence of str
        A name for each parameter.
    """
    step = max(1, len(draws.parameters) // MOST_POINTS)
    θ, estimates = draws.parameters[::step], draws.estimates[::step]
    panels = []
    for i, label in enumerate(labels):
        points = Points(0, θ[:, i], estimates[:, i], np.full(len(θ), 0.3))
        ends = np.array([θ[:, i].min(), θ[:, i].max()]) if len(θ) else np.empty(0)
        layers = (points, Curve(1, ends, ends))
        panels.append(Panel(0, i, f"true {label}", f"estimate of {label}", layers))
    return Panels(tuple(panels), ("simulations", "truth"))
