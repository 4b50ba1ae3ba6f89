"""Last layers that are solved on fewer simulations, for features that stay as they are.

Parts of the training set are every k-th simulation, for k = 1, 2, 4, …; the last layer is solved in
closed form on each, with the ridge that generalises best from one half of the part to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from imnn_lab.diagnostics import LearningCurve, SummarySet, honest_fisher
from imnn_lab.networks.cross_fitting import FEWEST, scores
from imnn_lab.slopes import dealt

MOST_PARTS, HALVINGS = 4, 7


def learning_curve(
    training: SummarySet,
    held_out: SummarySet,
    n_summaries: int,
    widths: Sequence[int] = (),
    tell: Callable[[float], object] = float,
) -> LearningCurve:
    """Return ln det F of last layers that are solved on parts of the training set.

    Parameters
    ----------
    training, held_out : SummarySet
        Features, behind external summaries; of different simulations.
    n_summaries : int
        Of the last layer, at least n_params.
    widths : sequence of int
        Numbers of features in groups with a ridge each.
    tell : callable
        Is told which share is done before each part.

    Raises
    ------
    ValueError
        If the last layer cannot be solved on all simulations, or there are too few held out for a
        bracket.
    """
    order = dealt(training.is_present)
    training = training.part(slice(None), order)
    n = min(training.n_s, training.n_d)
    steps = [2**i for i in range(HALVINGS) if i == 0 or n // 2**i >= 2 * FEWEST][::-1]
    parts = [(i, k, at) for i, k in enumerate(steps) for at in range(min(k, MOST_PARTS))]
    found = np.full((2, len(steps), MOST_PARTS), np.nan)
    for done, (i, k, at) in enumerate(parts):
        tell(done / len(parts))
        part = training.part(slice(at, None, k), slice(at, None, k))
        try:
            W = _solved(part, n_summaries, widths)
        except ValueError:
            if k == 1:
                raise
            continue  # no ridge tells the parameters apart with so few
        read = [_read(features, W) for features in (held_out, part)]
        found[:, i, at] = [each.statistics.log_det_F for each in read]
    tell(1.0)
    bracket = honest_fisher(read[0])
    n_s, n_d = (np.array([count // k for k in steps]) for count in (training.n_s, training.n_d))
    return LearningCurve(n_s, n_d, found[0], found[1], bracket.log_det_bracket, bracket.level)


def _solved(features: SummarySet, n_summaries: int, widths: Sequence[int]) -> np.ndarray:
    given = features.fiducial, features.slopes, features.is_present, features.n_external
    return scores(*given, n_summaries, widths)


def _read(features: SummarySet, W: np.ndarray) -> SummarySet:
    """Return the summaries that a map of features makes, the external ones before them."""
    fiducial, slopes = (
        np.concatenate([x[..., : features.n_external], x[..., features.n_external :] @ W], axis=-1)
        for x in (features.fiducial, features.slopes)
    )
    return replace(features, fiducial=fiducial, derivative=slopes, δθ=None)


def halves(features: SummarySet) -> Iterator[SummarySet]:
    """Yield two sets of every other simulation."""
    for at in (0, 1):
        yield features.part(slice(at, None, 2), slice(at, None, 2))
