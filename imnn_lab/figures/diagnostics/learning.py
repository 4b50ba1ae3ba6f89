"""det F with its bracket over training, and against the number of simulations."""

from __future__ import annotations

import numpy as np

from imnn_lab.diagnostics import HonestFisher, LearningCurve
from imnn_lab.diagnostics.learning import mean_of_parts
from imnn_lab.figures.curves import AXES, training_curves
from imnn_lab.figures.data import Band, Curve, Layer, Panel, Panels, Points
from imnn_lab.figures.decimation import robust_range
from imnn_lab.history import History
from imnn_lab.results import log_determinant


def det_fisher(
    history: History,
    report: HonestFisher,
    known_fisher: np.ndarray | None = None,
    against: str = "iteration",
) -> Panels:
    """Describe det F over training, with the bracket of the network that was kept.

    Parameters
    ----------
    history : History
    report : HonestFisher
        Of the network as it is after the training.
    known_fisher : ndarray, shape (n_params, n_params), optional
        The exact F, whose determinant is a dotted line.
    against : {"iteration", "seconds"}
        The horizontal axis, as for `training_curves`.
    """
    shown = training_curves(history, False, against=against).panels[0].layers
    curves = {curve.series: curve for curve in shown if isinstance(curve, Curve)}
    ends = _ends([curve.x for curve in curves.values()])
    low, high = report.det_bracket
    truth = () if known_fisher is None else (float(np.exp(log_determinant(known_fisher))),)
    layers: tuple[Layer, ...] = (
        Band(2, ends, np.full(2, low), np.full(2, high)),
        Curve(2, ends, np.full(2, report.det_F)),
        *(curves.get(series, Curve(series)) for series in (0, 1)),
    )
    values = [*(curve.y for curve in curves.values()), np.array([low, high])]
    panel = Panel(
        0, 0, AXES[against], "det F", layers, y_truth=truth,
        y_range=robust_range(values, False, include=truth),
    )  # fmt: skip
    names = ("training", "validation", f"bracket, {100 * report.level:.3g} %")
    return Panels((panel,), names, size=(7.0, 3.0), truth="known")


def learning_curve(report: LearningCurve, known_fisher: np.ndarray | None = None) -> Panels:
    """Describe ln det F against the number of simulations that the last layer is solved on.

    Parameters
    ----------
    report : LearningCurve
    known_fisher : ndarray, shape (n_params, n_params), optional
        The exact F, whose ln det is a dotted line.

    Returns
    -------
    Panels
        Lines through the means of all parts, a point for each part, and the bracket with all
        simulations as a band.
    """
    n, ends = report.n_s.astype(float), _ends([report.n_s])
    low, high = report.log_det_bracket
    layers: list[Layer] = [Band(2, ends, np.full(2, low), np.full(2, high))]
    for series, values in enumerate((report.held_out, report.own)):
        at, part = np.nonzero(np.isfinite(values))
        layers += [
            Curve(series, n, mean_of_parts(values)),
            Points(series, n[at], values[at, part], np.full(len(at), 0.5)),
        ]
    same = np.array_equal(report.n_s, report.n_d)
    label = "simulations of each kind" if same else "fiducial simulations; derivative in proportion"
    truth = () if known_fisher is None else (log_determinant(known_fisher),)
    panel = Panel(0, 0, label, "ln det F", tuple(layers), x_log=True, y_truth=truth)
    names = ("held out", "on its own", f"bracket, {100 * report.level:.3g} %")
    return Panels((panel,), names, size=(7.0, 3.0), truth="known")


def _ends(values: list[np.ndarray]) -> np.ndarray:
    """Return from where to where values reach; from 0 to 1 without any."""
    together = np.concatenate([np.empty(0), *values])
    return np.array([together.min(), together.max()]) if len(together) else np.array([0.0, 1.0])
