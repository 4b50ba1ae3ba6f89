"""Whether posteriors are right, from draws of the prior that were made for ABC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imnn_lab import diagnostics
from imnn_lab.diagnostics.pairs import pairs_from
from imnn_lab.figures import diagnostics as figures
from imnn_lab.inference import Draws
from imnn_lab.inference.priors import Prior
from imnn_lab.report.page import Answer, Report

QUESTIONS = {
    "Are the posteriors of the Gaussian approximation right?": diagnostics.calibration,
    "Are the posteriors of ABC right?": diagnostics.calibration_of_rejection,
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
    answers = []
    for question, check in QUESTIONS.items():
        found = check(pairs)
        answers.append(Answer(question, found.verdict, "", figures.calibration(found)))
    words = (
        f"Posteriors of simulations at parameters drawn from the prior were compared with these "
        f"parameters, {len(pairs.θ):,} of them."
    )
    return Report("Can these posteriors be trusted?", words, tuple(answers))
