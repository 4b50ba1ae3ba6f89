"""What the training of a neural posterior shows: −ln q by epoch, in training and validation."""

from __future__ import annotations

import numpy as np

from imnn_lab.figures.data import Curve, Layer, Panel, Panels
from imnn_lab.inference.learning import Learned

SERIES = ("training", "validation")


def learning_curves(learned: Learned | None) -> Panels:
    """Describe how a neural posterior was learned: two lines for each of its networks.

    Parameters
    ----------
    learned : Learned or None
        None shows empty axes.

    Returns
    -------
    Panels
        −ln q, a mean over draws, against the epoch: of those trained on, and of those held out.
    """
    layers: list[Layer] = []
    for series, values in enumerate(
        () if learned is None else (learned.training, learned.held_out)
    ):
        epochs = np.arange(1, len(values) + 1)
        layers += [Curve(series, epochs, -member) for member in values.T]
    empty = (Curve(0), Curve(1))
    return Panels((Panel(0, 0, "epoch", "−ln q", tuple(layers) or empty),), SERIES, size=(5.0, 2.4))
