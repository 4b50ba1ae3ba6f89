"""What reports on the Fisher information look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import linalg

from imnn_lab.diagnostics.fisher import HonestFisher
from imnn_lab.diagnostics.forecast import Forecast
from imnn_lab.figures.data import Curve, Panel, Panels, Points
from imnn_lab.figures.ellipses import fisher

ESTIMATES = ("F", "standard", "compressed", "combined")


def honest_fisher(report: HonestFisher) -> Panels:
    """Describe marginal errors with their brackets, relative to the estimate of the report.

    Parameters
    ----------
    report : HonestFisher
    """
    estimates = {name: np.sqrt(np.diag(linalg.inv(getattr(report, name)))) for name in ESTIMATES}
    return _relative(estimates, report.errors, report.labels, report.error_brackets)


def forecasts(forecasts: Mapping[str, Forecast]) -> Panels:
    """Describe forecasts of the same parameters: ellipses of all, the covariance of the first.

    Parameters
    ----------
    forecasts : mapping from str to Forecast
    """
    shown = list(forecasts.values())
    matrices = {name: each.F for name, each in forecasts.items()}
    return fisher(matrices, [each.θ_fid for each in shown], shown[0].names)


def _relative(
    errors: Mapping[str, np.ndarray],
    reference: np.ndarray,
    labels: Sequence[str],
    brackets: np.ndarray | None = None,
) -> Panels:
    """Describe marginal errors over those of a reference: a panel for each parameter."""
    panels = []
    for i, label in enumerate(labels):
        layers: list[Curve | Points] = []
        if brackets is not None:
            ends = brackets[i] / reference[i]
            layers.append(Curve(0, ends[np.isfinite(ends)], np.zeros(np.isfinite(ends).sum())))
        for k, values in enumerate(errors.values()):
            at = values[i : i + 1] / reference[i]
            layers.append(Points(k, at, np.array([-float(k)]), np.ones(1)))
        panels.append(
            Panel(i, 0, "error / its estimate", label, tuple(layers), x_truth=(1.0,),
                  y_range=(-len(errors), 1.0))
        )  # fmt: skip
    return Panels(tuple(panels), tuple(errors), size=(4.0, 1.4))
