"""What the choice among networks looks like: the information that each kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from imnn_lab.figures.data import Curve, Panels
from imnn_lab.figures.rows import rows, spans


class Tried(Protocol):
    """A network that was tried; `imnn_lab.networks.choice.Candidate` is one."""

    @property
    def name(self) -> str:
        """What it consists of."""

    @property
    def log_det_F(self) -> float:
        """Logarithm of det F, not finite if it was left out."""

    @property
    def error(self) -> float:
        """Standard error of `log_det_F`."""

    @property
    def is_chosen(self) -> bool:
        """Whether it was taken."""


def candidates(tried: Sequence[Tried]) -> Panels:
    """Describe the networks that one was chosen from: det F of each, over that of the best.

    Parameters
    ----------
    tried : sequence of candidates
        As `imnn.candidates` has them.

    Returns
    -------
    Panels
        A row for each that was valued, the best on top: a bar, and a line of one standard error.
    """
    valued = [each for each in tried if np.isfinite(each.log_det_F)]
    valued.sort(key=lambda each: -each.log_det_F)
    layers: list[Curve] = []
    for series, is_chosen in enumerate((True, False)):
        at = [i for i, each in enumerate(valued) if each.is_chosen is is_chosen]
        heights, none = -np.array(at, float), np.zeros(len(at))
        ratios = np.array([valued[i].log_det_F - valued[0].log_det_F for i in at])
        errors, kept = np.array([valued[i].error for i in at]), np.exp(ratios)
        bars = np.stack([none, kept], axis=1)
        lines = np.exp(np.stack([ratios - errors, ratios + errors], axis=1))
        layers += [spans(series, heights, ends, kept) for ends in (bars, lines)]
    names = [each.name.replace(", ", ",\n").replace(" + ", "\n+ ") for each in valued]
    panel = rows("det F, held out / that of the best", names, tuple(layers), y_label="network")
    size = (6.0, 1.2 + 0.45 * len(names))
    return Panels((panel,), ("chosen", "tried"), size=size)
