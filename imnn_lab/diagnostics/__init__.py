"""How far F, an error bar and a posterior can be trusted: results in, frozen reports out.

Each report holds numbers, and a `Verdict`: a light, a sentence, and what to do.
"""

from imnn_lab.diagnostics.assumptions import (
    CovarianceCheck,
    Gaussianity,
    Linearity,
    covariance_check,
    gaussianity,
    linearity,
)
from imnn_lab.diagnostics.fisher import HonestFisher, fisher_estimates, honest_fisher
from imnn_lab.diagnostics.forecast import Forecast
from imnn_lab.diagnostics.gap import InformationGap, information_gap
from imnn_lab.diagnostics.other_codes import Transfer, transfer
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict

__all__ = [
    "CovarianceCheck",
    "Forecast",
    "Gaussianity",
    "HonestFisher",
    "InformationGap",
    "Light",
    "Linearity",
    "SummarySet",
    "Transfer",
    "Verdict",
    "covariance_check",
    "fisher_estimates",
    "gaussianity",
    "honest_fisher",
    "information_gap",
    "linearity",
    "transfer",
]
