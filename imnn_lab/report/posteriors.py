"""Whether posteriors are right, from draws of the prior that were made for ABC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imnn_lab import diagnostics
from imnn_lab.diagnostics.pairs import pairs_from
from imnn_lab.figures import diagnostics as figures
from imnn_lab.inference import Draws
from imnn_lab.inference.priors import Prior
from imnn_lab.report.page import Answer, Report

CHECKS = {
    "the Gaussian approximation": diagnostics.calibration,
    "ABC": diagnostics.calibration_of_rejection,
}


def about_posteriors(
    draws: Draws, prior: Prior, Fisher: np.ndarray, labels: Sequence[str]
) -> Report:
    """Return a report on posteriors at parameters that were drawn from the prior.

    Parameters
    ----------
    draws : Draws
        Made from the prior.
    prior : Prior
    Fisher : ndarray, shape (n_params, n_params)
    labels : sequence of str
        Names of the parameters.

    Raises
    ------
    ValueError
        If there are too few draws.
    """
    pairs = pairs_from(draws, prior, Fisher, labels)
    return report_of({name: check(pairs) for name, check in CHECKS.items()})


def report_of(calibrations: Mapping[str, diagnostics.Calibration]) -> Report:
    """Return a report on calibrations.

    Parameters
    ----------
    calibrations : mapping from name to Calibration
        Of each method, "ABC" for example.
    """
    answers = tuple(
        Answer(question(name), found.verdict, "", figures.calibration(found))
        for name, found in calibrations.items()
    )
    most = max(len(found) for found in calibrations.values())
    words = (
        f"Posteriors of simulations at parameters drawn from the prior were compared with these "
        f"parameters, {most:,} of them."
    )
    return Report("Can these posteriors be trusted?", words, answers)


def question(name: str) -> str:
    """Return what is asked about a method."""
    return f"Are the posteriors of {name} right?"
