"""Simulations held in memory as arrays."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from imnn_lab.sources.augmentation import Augmentation
from imnn_lab.sources.feeds import MemoryFeed, Rows
from imnn_lab.sources.source import Source


class ArraySource(Source):
    """Fiducial and derivative simulations in memory, side by side in one tensor.

    Parameters
    ----------
    fiducial : array, shape (n_s,) + input_shape
        Simulations at the fiducial parameters.
    derivative : array, shape (n_d, 2, n_params) + input_shape, or (n_d, n_params) + input_shape
        Simulations below (``[:, 0]``) and above (``[:, 1]``) the fiducial parameters; or, where
        `δθ` is None, derivatives of the first n_d fiducial simulations.
    δθ : array, shape (n_params,), or None
        Full width of the central difference.
    dtype : str
        Floating-point type that the network takes.
    at_once : int, optional
        How many simulations are in the network at once; None is all of them.
    external : array, shape (size, n_external), optional
        Known summaries of the rows.
    augmentation : Augmentation, optional
        What happens to the simulations anew in every iteration.
    """

    def __init__(
        self,
        fiducial: np.ndarray,
        derivative: np.ndarray,
        δθ: np.ndarray | None,
        dtype: str,
        at_once: int | None = None,
        external: np.ndarray | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        n_params = derivative.shape[1 if δθ is None else 2]
        super().__init__(
            len(fiducial), len(derivative), n_params, fiducial.shape[1:], δθ, dtype, at_once,
            external, augmentation,
        )  # fmt: skip
        both = (tf.constant(np.asarray(x, dtype)) for x in (fiducial, derivative))
        self._pieces = self._pieces_of(*both)

    def pairs(self, most: int) -> np.ndarray:
        """Return at most `most` rows of pairs, (n, 2, n_params) + input_shape."""
        n, p = min(most, self.n_d), self.n_params
        found = self._pieces[0].simulations[self.n_s : self.n_s + 2 * n * p].numpy()
        return found.reshape((n, 2, p, *self.input_shape))

    def feed(self, step: tf.Tensor) -> MemoryFeed:
        """Return the pass of an iteration."""
        return MemoryFeed([self._augmented(piece, step) for piece in self._pieces], self.at_once)

    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations, spread over all."""
        chosen = np.unique(np.linspace(0, self.n_s - 1, min(most, self.n_s)).astype(int))
        rows = Rows(tf.gather(self._pieces[0].simulations, chosen), tf.constant(chosen, tf.int32))
        return self._augmented(rows).simulations.numpy()
