"""What every set of simulations has: its numbers, the order of its rows, and how to split them."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from imnn_lab.sources.augmentation import Augmentation
from imnn_lab.sources.feeds import Feed, Rows

FIRST = np.int64(0)


class Source(abc.ABC):
    """Fiducial simulations, and derivative simulations or derivatives of simulations.

    Parameters
    ----------
    n_s, n_d, n_params : int
        Numbers of fiducial and of derivative simulations, and of parameters.
    input_shape : tuple of int
        Shape of one simulation.
    δθ : array, shape (n_params,), or None
        Full width of the central difference; None where the derivatives are exact.
    dtype : str
        Floating-point type that the network takes.
    at_once : int, optional
        How many simulations are in the network at once; None is all of them.
    external : array, shape (size, n_external), optional
        Known summaries of the simulations, in the order of the rows; where the derivatives are
        exact, those of the derivative rows are derivatives.
    augmentation : Augmentation, optional
        What happens to the simulations anew in every iteration.

    Attributes
    ----------
    is_fresh : bool
        Whether every iteration has simulations of its own.
    failures : sequence of Exception
        What users' functions raised while simulations were read or made.
    """

    is_fresh = False
    failures: Sequence[Exception] = ()

    def __init__(
        self,
        n_s: int,
        n_d: int,
        n_params: int,
        input_shape: tuple[int, ...],
        δθ: np.ndarray | None,
        dtype: str,
        at_once: int | None = None,
        external: np.ndarray | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.n_s, self.n_d, self.n_params = n_s, n_d, n_params
        self.input_shape, self.dtype = tuple(input_shape), dtype
        self.δθ = None if δθ is None else tf.constant(δθ, tf.float64)
        self._is_given = at_once is not None
        self.at_once: int = min(at_once or self.size, self.size)
        self.augmentation = augmentation
        self.external = None if external is None else tf.constant(external, dtype)

    @property
    def is_exact(self) -> bool:
        """Whether the derivatives of the simulations are given, instead of pairs."""
        return self.δθ is None

    @property
    def sides(self) -> int:
        """2 for simulations below and above, 1 for exact derivatives."""
        return 1 if self.is_exact else 2

    @property
    def size(self) -> int:
        """Number of rows: n_s + 2 n_d n_params, or n_s + n_d n_params for exact derivatives."""
        return self.n_s + self.sides * self.n_d * self.n_params

    @property
    def n_external(self) -> int:
        """Number of known summaries."""
        return 0 if self.external is None else int(self.external.shape[1])

    def limit(self, at_once: int | None) -> None:
        """Set how many simulations are in the network at once, where the user has not."""
        if at_once is not None and not self._is_given:
            self.at_once = min(at_once, self.size)

    @property
    def in_chunks(self) -> bool:
        """Whether the simulations go through the network in several chunks."""
        return self.at_once < self.size

    @abc.abstractmethod
    def feed(self, step: tf.Tensor) -> Feed:
        """Return the pass of an iteration; iterations differ only where something is random."""

    @abc.abstractmethod
    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations, to adapt layers to."""

    def settled(self) -> Source:
        """Return a source whose simulations are the same in every pass: this one, if they are."""
        return self

    def _pieces_of(self, fiducial: tf.Tensor, derivative: tf.Tensor) -> list[Rows]:
        """Return the rows of simulations and of what stands in `derivative`, (…) + input_shape.

        Exact derivatives are the tangents of rows of their own, pairs are simulations like others.
        """
        numbers, n_s = tf.range(self.size), self.n_s
        flat = tf.reshape(derivative, (-1, *self.input_shape))
        if not self.is_exact:
            return [Rows(tf.concat([fiducial, flat], 0), numbers)]
        repeated = tf.repeat(fiducial[: self.n_d], self.n_params, axis=0)
        return [Rows(fiducial, numbers[:n_s]), Rows(repeated, numbers[n_s:], flat)]

    def _augmented(self, rows: Rows, step: tf.Tensor = FIRST) -> Rows:
        if self.augmentation is None:
            return rows
        return self.augmentation(rows, self.seeds(rows.positions), step)

    def stack(self, summaries: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Put the known summaries before those of the network, (k, n_external + s)."""
        if self.external is None:
            return summaries
        return tf.concat([tf.gather(self.external, positions), summaries], axis=1)

    def split(self, summaries: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Split summaries (size, s) of all rows: (n_s, s) and (n_d, 2, n_params, s).

        Where derivatives are exact the latter is (n_d, n_params, s).
        """
        sides = () if self.is_exact else (2,)
        shape = (self.n_d, *sides, self.n_params, summaries.shape[-1])
        fiducial, derivative = tf.split(summaries, [self.n_s, -1])
        return fiducial, tf.reshape(derivative, shape)

    def seeds(self, positions: tf.Tensor) -> tf.Tensor:
        """Return the number of the random seed of each row, the same for all rows of one seed.

        Derivatives that are exact belong to the fiducial simulation of the same number; pairs have
        seeds of their own, from n_s on.
        """
        beyond = tf.maximum(positions - self.n_s, 0) // (self.sides * self.n_params)
        first = 0 if self.is_exact else self.n_s
        return tf.where(positions < self.n_s, positions, first + beyond)

    def groups(self, positions: tf.Tensor) -> tf.Tensor:
        """Return 0 for fiducial rows, and 1, 2, … for each side and parameter."""
        n = self.sides * self.n_params
        return tf.where(positions < self.n_s, 0, 1 + (positions - self.n_s) % n)

    def is_second_half(self, positions: tf.Tensor) -> tf.Tensor:
        """Tell which rows belong to the second half of the seeds of their kind."""
        beyond = (positions - self.n_s) // (self.sides * self.n_params)
        return tf.where(positions < self.n_s, positions >= self.n_s // 2, beyond >= self.n_d // 2)
