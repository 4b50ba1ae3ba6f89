"""What reports of `imnn_lab.diagnostics` show: for each a function that returns `Panels`."""

from imnn_lab.figures.diagnostics.calibration import calibration, rank_deviations
from imnn_lab.figures.diagnostics.fisher import (
    covariance_check,
    derivative_doctor,
    fisher_flow,
    flow_by_layer,
    forecasts,
    gaussianity,
    honest_fisher,
    information_gap,
    linearity,
    transfer,
)
from imnn_lab.figures.diagnostics.learning import det_fisher, learning_curve
from imnn_lab.figures.diagnostics.observation import epsilon, novelty

__all__ = [
    "calibration", "covariance_check", "derivative_doctor", "det_fisher", "epsilon", "fisher_flow",
    "flow_by_layer", "forecasts", "gaussianity", "honest_fisher", "information_gap",
    "learning_curve", "linearity", "novelty", "rank_deviations", "transfer",
]  # fmt: skip
