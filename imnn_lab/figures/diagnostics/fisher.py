"""What reports on the Fisher information look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imnn_lab.diagnostics import (
    CovarianceCheck,
    DerivativeReport,
    FisherFlow,
    Forecast,
    Gaussianity,
    HonestFisher,
    InformationGap,
    Linearity,
    Transfer,
)
from imnn_lab.diagnostics.assumptions import CURVED, FAR, LARGE_CHANGE
from imnn_lab.diagnostics.derivatives import TIGHT
from imnn_lab.diagnostics.other_codes import SHIFTED
from imnn_lab.figures.data import Curve, Panel, Panels
from imnn_lab.figures.ellipses import fisher
from imnn_lab.figures.rows import rows, spans
from imnn_lab.results import inverse

ESTIMATES = ("F", "standard", "compressed", "combined")


def honest_fisher(report: HonestFisher) -> Panels:
    """Describe marginal errors with their brackets, relative to the estimate of the report.

    Parameters
    ----------
    report : HonestFisher
    """
    estimates = {name: np.sqrt(np.diag(inverse(getattr(report, name)))) for name in ESTIMATES}
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


def derivative_doctor(report: DerivativeReport) -> Panels:
    """Describe the factor by which noise of the derivative makes each error too small.

    Parameters
    ----------
    report : DerivativeReport
    """
    name = "error / error without noise (dotted: too small)"
    return _by_name(name, report.labels, report.tightening, (TIGHT,), start=1.0)


def covariance_check(report: CovarianceCheck) -> Panels:
    """Describe how much C changes over the error of each parameter.

    Parameters
    ----------
    report : CovarianceCheck
    """
    name = "change of a variance over an error (dotted: large)"
    return _by_name(name, report.labels, report.changes, (LARGE_CHANGE,))


def gaussianity(report: Gaussianity) -> Panels:
    """Describe how far the distribution of each summary is from a normal one.

    Parameters
    ----------
    report : Gaussianity
    """
    names = [*(f"summary {i + 1}" for i in range(len(report.skewness))), "together"]
    return _by_name("distance from Gaussian (dotted: far)", names, report.distances, (FAR,))


def linearity(report: Linearity) -> Panels:
    """Describe how curved the mean is in each parameter, with what chance gives.

    Parameters
    ----------
    report : Linearity
    """
    name = "curvature over an error (dotted: large)"
    return _by_name(name, report.labels, report.curvatures, (CURVED,), report.uncertainties)


def transfer(report: Transfer) -> Panels:
    """Describe the shift of each estimate on other simulations, in units of its error.

    Parameters
    ----------
    report : Transfer
    """
    values, errors = report.bias / report.errors, report.bias_errors / report.errors
    name, limits = "shift / error (dotted: noticeable)", (SHIFTED, -SHIFTED)
    return _by_name(name, report.labels, values, limits, errors)


def information_gap(report: InformationGap) -> Panels:
    """Describe the marginal errors of the network, of known summaries, and of both.

    Parameters
    ----------
    report : InformationGap
    """
    best = report.most.errors / list(report.ratios.values())[-1]
    errors = {name: each.errors for name, each in report.found.items()}
    return _relative(errors, best, report.labels)


def fisher_flow(flow: FisherFlow) -> Panels:
    """Describe ln det F of a linear readout of each layer over training.

    Parameters
    ----------
    flow : FisherFlow
    """
    shown = [i for i in range(len(flow.layers)) if np.isfinite(flow.log_det_F[:, i]).any()]
    values = np.where(np.isfinite(flow.log_det_F), flow.log_det_F, np.nan)
    curves = tuple(
        Curve(k, flow.iterations.astype(float), values[:, i]) for k, i in enumerate(shown)
    )
    names = tuple(flow.layers[i] for i in shown)
    panel = Panel(0, 0, "iteration", "ln det F of a linear readout", curves, names=names)
    return Panels((panel,), size=(7.0, 3.5))


def flow_by_layer(flow: FisherFlow) -> Panels:
    """Describe ln det F of a linear readout of each layer, at the first look and at the last.

    Parameters
    ----------
    flow : FisherFlow

    Returns
    -------
    Panels
        A row for each layer in which a readout finds information about all parameters, from the
        data on.
    """
    found = np.stack([flow.before, flow.now], axis=1)
    shown = np.flatnonzero(np.isfinite(found).any(axis=1))
    names, found = [flow.layers[i] for i in shown], found[shown]
    heights = -np.arange(len(names), dtype=float)
    untrained = spans(0, heights, found[:, [0, 0]], found[:, 0])
    now = spans(1, heights, found, found[:, 1])
    size = (6.0, 1.2 + 0.19 * len(names))
    panel = rows("ln det F of a linear readout", names, (untrained, now), y_label="layer")
    return Panels((panel,), ("untrained", "now"), size=size)


def _by_name(
    x_label: str,
    names: Sequence[str],
    values: np.ndarray,
    limits: tuple[float, ...],
    errors: np.ndarray | None = None,
    start: float = 0.0,
) -> Panels:
    """Describe one number for each name: from `start` on, or with its error."""
    has_errors = errors is not None and np.isfinite(errors).all()
    ends = (
        np.stack([values - errors, values + errors], axis=1)
        if has_errors
        else np.stack([np.full(len(values), start), values], axis=1)
    )
    heights = -np.arange(len(names), dtype=float)
    return Panels(
        (rows(x_label, names, (spans(0, heights, ends, values),), limits),),
        (x_label,),
        size=(5.5, 1.2 + 0.35 * len(names)),
    )


def _relative(
    errors: Mapping[str, np.ndarray],
    reference: np.ndarray,
    labels: Sequence[str],
    brackets: np.ndarray | None = None,
) -> Panels:
    """Describe marginal errors over those of a reference, below each other for each parameter."""
    layers, step = [], 0.7 / max(1, len(errors))
    for k, values in enumerate(errors.values()):
        at, heights = values / reference, -np.arange(len(labels)) - k * step
        is_first = brackets is not None and k == 0
        ends = brackets / reference[:, None] if is_first else np.stack([at, at], axis=1)
        layers.append(spans(k, heights, ends, at))
    panel = rows("error / its estimate", labels, tuple(layers), (1.0,), below=0.7)
    return Panels((panel,), tuple(errors), size=(5.5, 1.2 + 0.6 * len(labels)))
