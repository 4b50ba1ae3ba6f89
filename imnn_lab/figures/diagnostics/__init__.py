"""What reports of `imnn_lab.diagnostics` show: for each a function that returns `Panels`."""

from imnn_lab.figures.diagnostics.calibration import calibration
from imnn_lab.figures.diagnostics.fisher import forecasts, honest_fisher
from imnn_lab.figures.diagnostics.observation import epsilon, novelty

__all__ = ["calibration", "epsilon", "forecasts", "honest_fisher", "novelty"]
