"""Simulations held in memory as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


class ArraySource:
    """Fiducial and derivative simulations in memory, side by side in one tensor.

    Parameters
    ----------
    fiducial : array, shape (n_s,) + input_shape
        Simulations at the fiducial parameters.
    derivative : array, shape (n_d, 2, n_params) + input_shape
        Simulations below (``[:, 0]``) and above (``[:, 1]``) the fiducial parameters.
    δθ : array, shape (n_params,)
        Full width of the central difference.
    dtype : str
        Floating-point type that the network takes.
    at_once : int, optional
        How many simulations are in the network at once; None is all of them.
    """

    def __init__(
        self,
        fiducial: np.ndarray,
        derivative: np.ndarray,
        δθ: np.ndarray,
        dtype: str,
        at_once: int | None = None,
    ) -> None:
        self.n_s, self.n_d, self.n_params = len(fiducial), len(derivative), derivative.shape[2]
        self.input_shape = tuple(fiducial.shape[1:])
        self.δθ = tf.constant(δθ, tf.float64)
        stacked = np.concatenate(
            [fiducial, derivative.reshape((-1, *self.input_shape))],
            dtype=dtype,
            casting="same_kind",
        )
        self.simulations = tf.constant(stacked)
        self._is_given = at_once is not None
        self.at_once: int = min(at_once or len(stacked), len(stacked))

    @property
    def size(self) -> int:
        """Number of simulations, n_s + 2 n_d n_params."""
        return self.n_s + 2 * self.n_d * self.n_params

    def limit(self, at_once: int | None) -> None:
        """Set how many simulations are in the network at once, where the user has not."""
        if at_once is not None and not self._is_given:
            self.at_once = min(at_once, self.size)

    @property
    def in_chunks(self) -> bool:
        """Whether the simulations go through the network in several chunks."""
        return self.at_once < self.size

    @property
    def fiducial(self) -> tf.Tensor:
        """The fiducial simulations, shape (n_s,) + input_shape."""
        return self.simulations[: self.n_s]

    def chunk(self, start: tf.Tensor) -> tf.Tensor:
        """Return at most `at_once` simulations from `start` on."""
        return self.simulations[start : start + self.at_once]

    def split(self, summaries: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Split summaries (size, s) of all simulations: (n_s, s) and (n_d, 2, n_params, s)."""
        shape = (self.n_d, 2, self.n_params, summaries.shape[-1])
        fiducial, derivative = tf.split(summaries, [self.n_s, -1])
        return fiducial, tf.reshape(derivative, shape)

    def halves(self) -> tuple[ArraySource, ArraySource]:
        """Return two sources, each with half of the seeds."""
        shape = (self.n_d, 2, self.n_params, *self.input_shape)
        fiducial = self.fiducial.numpy()
        derivative = self.simulations[self.n_s :].numpy().reshape(shape)
        n_s, n_d = self.n_s // 2, self.n_d // 2
        dtype, at_once = fiducial.dtype.name, self.at_once
        return (
            ArraySource(fiducial[:n_s], derivative[:n_d], self.δθ.numpy(), dtype, at_once),
            ArraySource(fiducial[n_s:], derivative[n_d:], self.δθ.numpy(), dtype, at_once),
        )

    def pairs(self) -> tuple[Any, Any]:
        """Return the simulations below and above, each (n_d n_params,) + input_shape."""
        shape = (self.n_d, 2, self.n_params, *self.input_shape)
        derivative = tf.reshape(self.simulations[self.n_s :], shape)
        flat = (-1, *self.input_shape)
        return tf.reshape(derivative[:, 0], flat), tf.reshape(derivative[:, 1], flat)

    def join_pairs(self, lower: tf.Tensor, upper: tf.Tensor) -> tf.Tensor:
        """Return the summaries of the two halves of `pairs` as (n_d, 2, n_params, s)."""
        shape = (self.n_d, self.n_params, lower.shape[-1])
        return tf.stack([tf.reshape(lower, shape), tf.reshape(upper, shape)], axis=1)
