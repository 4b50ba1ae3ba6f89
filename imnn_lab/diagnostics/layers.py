"""How much information a linear readout finds in each layer of a network, over training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class FisherFlow:
    """Information of linear readouts of the layers of a network.

    Attributes
    ----------
    layers : tuple of str
        Names, from the data on; a layer of a network inside is "network/layer". Those that reshape
        or rescale are left out.
    widths : tuple of int
        Numbers of features.
    iterations : ndarray of int, shape (n,)
        When it was looked at.
    log_det_F : ndarray, shape (n, n_layers)
        ln det F then: −∞ where a readout finds no information about a parameter, NaN for a layer
        that is too wide.
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    iterations: np.ndarray
    log_det_F: np.ndarray

    @property
    def before(self) -> np.ndarray:
        """Ln det F at the first iteration, shape (n_layers,)."""
        return self.log_det_F[0]

    @property
    def now(self) -> np.ndarray:
        """Ln det F at the last iteration, shape (n_layers,)."""
        return self.log_det_F[-1]

    def __str__(self) -> str:
        longest = max(32, *(len(name) + 2 for name in self.layers))
        rows = [f"{'layer':{longest}}{'features':>10}{'ln det F before':>18}{'now':>10}"]
        for row in zip(self.layers, self.widths, self.before, self.now, strict=True):
            name, width, *values = row
            before, now = ("too wide" if np.isnan(x) else f"{x:.3f}" for x in values)
            rows.append(f"{name:{longest}}{width:10,}{before:>18}{now:>10}")
        return "\n".join(rows)
