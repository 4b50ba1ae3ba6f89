"""Whether a network knows its training set better than other simulations.

What the training set gives above the validation set, beyond what chance gives, is memory, not
information. The scatter of ln det F is that of a jackknife over groups of seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imnn_lab.diagnostics.pairs import refuse_other
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict
from imnn_lab.results import FisherStatistics
from imnn_lab.slopes import dealt

GROUPS = 40  # of seeds
SIGNIFICANT = 3.0  # standard deviations
SMALL = 0.1  # of each marginal error
UNKNOWN = 1.0  # a standard deviation of ln det F


@dataclass(frozen=True)
class OverFitting:
    """How much more a training set seems to tell than a validation set.

    Attributes
    ----------
    difference : float
        Of ln det F, training minus validation, both with Hartlap's factor.
    sd : float
        What it scatters by for a network that knows neither set.
    error_ratio : float
        The factor by which errors from the training set are too small, each parameter's on average.
    """

    difference: float
    sd: float
    error_ratio: float

    @property
    def verdict(self) -> Verdict:
        """Whether the network over-fits; grey where chance alone gives as much."""
        words = (
            f"ln det F of the training set is {self.difference:+.2g} from that of other "
            f"simulations; chance alone gives up to ±{SIGNIFICANT * self.sd:.2g}."
        )
        if self.difference <= SIGNIFICANT * self.sd:
            if self.sd > UNKNOWN:
                words += " Whether the network over-fits cannot be told."
                return Verdict(Light.GREY, words, "Give more simulations of each kind.")
            return Verdict(Light.GREEN, f"{words} The network does not over-fit.")
        words += (
            f" The network over-fits: its training set would make each error "
            f"{100 * (1 - 1 / self.error_ratio):.2g} % too small. F of the others is what counts."
        )
        light = Light.GREEN if self.error_ratio < 1 + SMALL else Light.AMBER
        remedy = "More training simulations, augmentation or a smaller network would tell more."
        return Verdict(light, words, "" if light is Light.GREEN else remedy)

    def __str__(self) -> str:
        return str(self.verdict)


def over_fitting(training: FisherStatistics, validation: SummarySet) -> OverFitting:
    """Return how much more a training set seems to tell than a validation set.

    Parameters
    ----------
    training : FisherStatistics
        Of the training set: `IMNN.training`.
    validation : SummarySet
        Of other simulations: `IMNN.summary_set`.

    Raises
    ------
    TypeError
        If they are something else.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import problems
    >>> from imnn_lab.diagnostics import SummarySet, over_fitting
    >>> problem, sets = problems.slope(), []
    >>> for seed in (1, 2):
    ...     data = problem.training_set(n_s=200, n_d=200, seed=seed)
    ...     sets.append(SummarySet(*(x @ np.linspace(0, 10, 100)[:, None] for x in data),
    ...                            problem.θ_fid, problem.δθ))
    >>> over_fitting(sets[0].statistics, sets[1]).verdict.light.name
    'GREEN'
    """
    refuse_other("training", training, FisherStatistics, "a FisherStatistics")
    refuse_other("validation", validation, SummarySet, "a SummarySet")
    n_params = validation.n_params
    sizes = [(training.n_s, training.n_d), (validation.n_s, validation.n_d)]
    variances = np.array(_variances(validation))
    sd = np.sqrt(sum(variances @ (np.array(sizes[1]) / np.array(size)) for size in sizes))
    difference = _log_det_F(training) - _log_det_F(validation.statistics)
    return OverFitting(difference, float(sd), float(np.exp(difference / (2 * n_params))))


def _log_det_F(statistics: FisherStatistics) -> float:
    return len(statistics.dμ_dθ) * float(np.log(statistics.hartlap_factor)) + statistics.log_det_F


def _variances(summaries: SummarySet) -> tuple[float, float]:
    """Return the variances of ln det F that fiducial and derivative simulations give it."""
    every = slice(None)

    def left_out(n: int) -> list[np.ndarray]:
        groups = np.array_split(np.arange(n), min(n, GROUPS))
        return [np.delete(np.arange(n), group) for group in groups]

    rows = left_out(len(summaries.derivative))
    if not summaries.is_present.all():  # fair shares of each parameter
        order = dealt(summaries.is_present)
        rows = [np.delete(order, np.s_[k :: len(rows)]) for k in range(len(rows))]
    values = (
        [_log_det_F(summaries.part(kept, every).statistics) for kept in left_out(summaries.n_s)],
        [_log_det_F(summaries.part(every, kept).statistics) for kept in rows],
    )
    fiducial, derivative = ((len(x) - 1) * np.var(x) for x in values)
    return float(fiducial), float(derivative)
