"""How much of the information is found: by the network, by known summaries, by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.diagnostics.fisher import (
    HonestFisher,
    checked_labels,
    enough,
    honest_fisher,
    tells_apart,
)
from imnn_lab.diagnostics.summary_set import SummarySet
from imnn_lab.diagnostics.verdict import Light, Verdict
from imnn_lab.results import inverse

MISSING, MUCH_MISSING = 1.1, 1.5  # a marginal error over that of all information
OTHER_NETWORKS = "or try other networks: `model=None`."
ALL = "network and known summaries"


@dataclass(frozen=True, eq=False)
class InformationGap:
    """Marginal errors of the network alone, of known summaries alone, and of both.

    Attributes
    ----------
    found : mapping from str to HonestFisher
        "network", and with external summaries "known summaries" and "network and known summaries";
        those that measure all parameters.
    exact : ndarray, shape (n_params, n_params), or None
        The exact Fisher information of the data, where it is known.
    labels : tuple of str
        Names of the parameters.
    """

    found: Mapping[str, HonestFisher]
    exact: np.ndarray | None
    labels: tuple[str, ...]

    @property
    def most(self) -> HonestFisher:
        """That of all summaries together."""
        return list(self.found.values())[-1]

    @property
    def ratios(self) -> dict[str, np.ndarray]:
        """Marginal errors over the exact ones, or over those of all summaries, (n_params,) each."""
        best = self.most.errors if self.exact is None else np.sqrt(np.diag(inverse(self.exact)))
        return {name: each.errors / best for name, each in self.found.items()}

    @property
    def verdict(self) -> Verdict:
        """How much is missing, where that is known; otherwise what each adds."""
        words = [self._of(name) for name in self.found]
        if self.exact is None:
            end = "How much there is in the data is not known."
            return Verdict(Light.GREY, " ".join([*words, end]))
        exact = np.sqrt(np.diag(inverse(self.exact)))
        least = (self.most.error_brackets[:, 0] / exact).max()  # at least so much is missing
        if (self.most.error_brackets[:, 1] / exact).min() < 1 / MISSING:
            words.append("That is more than there is in the data.")
            remedy = (
                "F is too large (simulations that were trained on, seeds that do not match), or "
                "the exact one is not that of these data."
            )
            return Verdict(Light.RED, " ".join(words), remedy)
        if least < MISSING:
            return Verdict(Light.GREEN, " ".join(words))
        light = Light.AMBER if least < MUCH_MISSING else Light.RED
        remedy = f"Train longer, on more simulations, {OTHER_NETWORKS}"
        return Verdict(light, " ".join(words), remedy)

    def __str__(self) -> str:
        return str(self.verdict)

    def _of(self, name: str) -> str:
        ratio = self.ratios[name]
        i = int(ratio.argmax())
        best = "of all summaries" if self.exact is None else "of the data"
        return (
            f"{name[0].upper()}{name[1:]}: det F = {self.found[name].det_F:.3g}, errors up to "
            f"{ratio[i]:.3g} times those {best} ({self.labels[i]})."
        )


def information_gap(
    summaries: SummarySet, exact: Any = None, *, labels: Sequence[str] | None = None
) -> InformationGap:
    """Return how much information the network and known summaries find, alone and together.

    Parameters
    ----------
    summaries : SummarySet
        The first `n_external` are the known ones.
    exact : array-like, shape (n_params, n_params), optional
        The exact Fisher information, where it is known.
    labels : sequence of str, optional
        Names of the parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is not valid, or there are too few simulations.
    """
    enough(summaries)
    names = checked_labels(labels, summaries.n_params, summaries.names)
    F = None if exact is None else checked_fisher("exact", exact, summaries.n_params)
    n = summaries.n_external
    parts = {"network": slice(n, None)}
    if n:
        parts |= {"known summaries": slice(None, n), ALL: slice(None)}
    chosen = {name: _columns(summaries, columns) for name, columns in parts.items()}
    found = {
        name: honest_fisher(part, labels=names)
        for name, part in chosen.items()
        if part.n_summaries >= part.n_params and tells_apart(part)
    }
    return InformationGap(found, F, names)


def _columns(summaries: SummarySet, columns: slice) -> SummarySet:
    """Return the set of some of the summaries."""
    chosen = summaries.fiducial[:, columns], summaries.derivative[..., columns]
    return replace(summaries, fiducial=chosen[0], derivative=chosen[1], n_external=0)


def checked_fisher(name: str, exact: Any, n_params: int) -> np.ndarray:
    """Return an exact Fisher information of shape (n_params, n_params), or refuse it.

    Raises
    ------
    TypeError, ValueError
        If it is none, or has another shape.
    """
    F = checks.finite(name, checks.real_array(name, exact)).astype(float)
    if F.shape != (n_params, n_params) or not np.isfinite(inverse(F)).all():
        expected = f"be a Fisher information of shape {(n_params, n_params)}"
        raise ValueError(checks.wording(f"`{name}`", expected, checks.describe(F)))
    return F
