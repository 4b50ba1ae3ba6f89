"""What reports of `imnn_lab.diagnostics` show: for each a function that returns `Panels`."""

from imnn_lab.figures.diagnostics.calibration import calibration

__all__ = ["calibration"]
