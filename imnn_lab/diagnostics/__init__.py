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
from imnn_lab.diagnostics.calibrations import (
    Calibration,
    calibration,
    calibration_of,
    calibration_of_rejection,
)
from imnn_lab.diagnostics.derivatives import DerivativeReport, derivative_doctor
from imnn_lab.diagnostics.epsilon import EpsilonAdvice, epsilon_advisor
from imnn_lab.diagnostics.fisher import HonestFisher, fisher_estimates, honest_fisher
from imnn_lab.diagnostics.forecast import Forecast
from imnn_lab.diagnostics.gap import InformationGap, information_gap
from imnn_lab.diagnostics.layers import FisherFlow
from imnn_lab.diagnostics.learning import LearningCurve
from imnn_lab.diagnostics.observation import Distances, Novelty, novelty
from imnn_lab.diagnostics.other_codes import Transfer, transfer
from imnn_lab.diagnostics.over_fit import OverFitting, over_fitting
from imnn_lab.diagnostics.pairs import Pairs, draw_pairs, pairs_of
from imnn_lab.diagnostics.posteriors import (
    Posteriors,
    gaussian_posteriors,
    population_posteriors,
    rejection_posteriors,
)
from imnn_lab.diagnostics.recalibration import Recalibration, recalibrate
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict

__all__ = [
    "Calibration",
    "CovarianceCheck",
    "DerivativeReport",
    "Distances",
    "EpsilonAdvice",
    "FisherFlow",
    "Forecast",
    "Gaussianity",
    "HonestFisher",
    "InformationGap",
    "LearningCurve",
    "Light",
    "Linearity",
    "Novelty",
    "OverFitting",
    "Pairs",
    "Posteriors",
    "Recalibration",
    "SummarySet",
    "Transfer",
    "Verdict",
    "calibration",
    "calibration_of",
    "calibration_of_rejection",
    "covariance_check",
    "derivative_doctor",
    "draw_pairs",
    "epsilon_advisor",
    "fisher_estimates",
    "gaussian_posteriors",
    "gaussianity",
    "honest_fisher",
    "information_gap",
    "linearity",
    "novelty",
    "over_fitting",
    "pairs_of",
    "population_posteriors",
    "recalibrate",
    "rejection_posteriors",
    "transfer",
]
