"""What reports on the Fisher information look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import linalg

from imnn_lab.diagnostics import (
    CovarianceCheck,
    Forecast,
    Gaussianity,
    HonestFisher,
    InformationGap,
    Linearity,
    Transfer,
)
from imnn_lab.diagnostics.assumptions import CURVED, FAR, LARGE_CHANGE
from imnn_lab.diagnostics.other_codes import SHIFTED
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


def covariance_check(report: CovarianceCheck) -> Panels:
    """Describe how much C changes over the error of each parameter.

    Parameters
    ----------
    report : CovarianceCheck
    """
    name = "change of a variance over an error"
    return _by_name(name, report.labels, report.changes, (("large", LARGE_CHANGE),))


def gaussianity(report: Gaussianity) -> Panels:
    """Describe how far the distribution of each summary is from a normal one.

    Parameters
    ----------
    report : Gaussianity
    """
    names = [*(str(i + 1) for i in range(len(report.skewness))), "together"]
    return _by_name("distance from Gaussian", names, report.distances, (("far", FAR),))


def linearity(report: Linearity) -> Panels:
    """Describe how curved the mean is in each parameter, with what chance gives.

    Parameters
    ----------
    report : Linearity
    """
    name, reference = "curvature over an error", (("large", CURVED),)
    return _by_name(name, report.labels, report.curvatures, reference, report.uncertainties)


def transfer(report: Transfer) -> Panels:
    """Describe the shift of each estimate on other simulations, in units of its error.

    Parameters
    ----------
    report : Transfer
    """
    units, references = report.errors, (("noticeable", SHIFTED), ("", -SHIFTED))
    values, errors = report.bias / units, report.bias_errors / units
    return _by_name("shift / error", report.labels, values, references, errors)


def information_gap(report: InformationGap) -> Panels:
    """Describe the marginal errors of the network, of known summaries, and of both.

    Parameters
    ----------
    report : InformationGap
    """
    best = report.most.errors / list(report.ratios.values())[-1]
    errors = {name: each.errors for name, each in report.found.items()}
    return _relative(errors, best, report.labels)


def _by_name(
    y_label: str,
    names: Sequence[str],
    values: np.ndarray,
    references: tuple[tuple[str, float], ...],
    errors: np.ndarray | None = None,
) -> Panels:
    """Describe one number for each name, with error bars."""
    at = np.arange(len(names), dtype=float)
    layers: list[Curve | Points] = [Points(0, at, values, np.ones(len(at)))]
    if errors is not None and np.isfinite(errors).all():
        for x, value, error in zip(at, values, errors, strict=True):
            layers.append(Curve(0, np.full(2, x), np.array([value - error, value + error])))
    marks = tuple(zip(at.tolist(), names, strict=True))
    ends = (-0.5, len(names) - 0.5)
    panel = Panel(
        0, 0, "", y_label, tuple(layers), x_range=ends, references=references, marks=marks
    )
    return Panels((panel,), (y_label,), size=(4.0, 3.0))


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
