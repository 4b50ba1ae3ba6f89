"""What one pass over a set of simulations is fed with: rows, all at once or in chunks.

The rows of a set stand in one order, and `positions` are their numbers in it: first the n_s
fiducial simulations, then those below and above (seed, lower or upper, parameter), or, where the
derivatives are exact, one row for each derivative (seed, parameter).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import tensorflow as tf


class Rows(NamedTuple):
    """Simulations for the network.

    Attributes
    ----------
    simulations : tensor, shape (k,) + input_shape
    positions : tensor of int32, shape (k,)
        Their numbers in the order of the set.
    tangents : tensor, shape (k,) + input_shape, or None
        Derivatives of the simulations by one parameter each; what is wanted then is the derivative
        of the summaries.
    """

    simulations: tf.Tensor
    positions: tf.Tensor
    tangents: tf.Tensor | None = None

    def part(self, start: tf.Tensor, at_once: int) -> Rows:
        """Return at most `at_once` rows from `start` on."""
        return Rows(*(None if x is None else x[start : start + at_once] for x in self))


State = Any
Step = Callable[[Rows, State], State]


class Feed(Protocol):
    """One pass over a set, which can be repeated and is the same then.

    Attributes
    ----------
    pieces : sequence of Rows
        All rows, where they are in memory: rows without tangents, and rows with them.
    """

    pieces: Sequence[Rows]

    def fold(self, step: Step, state: State) -> State:
        """Return ``state`` after ``state = step(rows, state)`` for all chunks of rows."""


class MemoryFeed:
    """Rows in memory.

    Parameters
    ----------
    pieces : sequence of Rows
        Rows without tangents, and rows with them.
    at_once : int
        How many rows a chunk has at most.
    """

    def __init__(self, pieces: Sequence[Rows], at_once: int) -> None:
        self.at_once = at_once
        self.pieces: Sequence[Rows] = tuple(pieces)

    def fold(self, step: Step, state: State) -> State:
        """Return the state after all chunks; see `Feed`."""
        for piece in self.pieces:
            state = self._fold_piece(piece, step, state)
        return state

    def _fold_piece(self, piece: Rows, step: Step, state: State) -> State:
        size = piece.simulations.shape[0]
        if size <= self.at_once:
            return step(piece, state)

        def body(start: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return start + self.at_once, step(piece.part(start, self.at_once), state)

        return tf.while_loop(lambda start, _: start < size, body, (tf.constant(0), state))[1]


class Stream:
    """A dataset that is gone through again and again, without being opened anew each time.

    Parameters
    ----------
    dataset : tf.data.Dataset
        Of the fields of `Rows`.
    chunks : int
        How many elements it has.
    """

    def __init__(self, dataset: tf.data.Dataset, chunks: int) -> None:
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.apply_default_optimizations = False
        self.chunks = chunks
        self._dataset = dataset.repeat().with_options(options)
        self._iterator = iter(self._dataset)
        self._is_within = tf.Variable(False, trainable=False)

    def fold(self, step: Step, state: State) -> State:
        """Return the state after all chunks; see `Feed`.

        Where the pass before ended within the dataset, because something failed, it starts over.
        """
        reopened = tf.cond(self._is_within, self._start_over, tf.no_op)
        with tf.control_dependencies([reopened]):
            begun = self._is_within.assign(True)

        def body(k: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return k + 1, step(Rows(*self._iterator.get_next()), state)

        with tf.control_dependencies([begun]):
            start = (tf.constant(0), state)
        k, state = tf.while_loop(lambda k, _: k < self.chunks, body, start, parallel_iterations=1)
        self._is_within.assign(k < self.chunks)
        return state

    def _start_over(self) -> tf.Operation:
        tf.raw_ops.MakeIterator(
            dataset=self._dataset._variant_tensor, iterator=self._iterator._iterator_resource
        )
        return tf.no_op()


class StreamFeed:
    """Rows that are read anew in every pass.

    Parameters
    ----------
    streams : sequence of Stream
    prepared : callable
        Takes and returns `Rows`: what is still to be done to them.
    """

    def __init__(self, streams: Sequence[Stream], prepared: Callable[[Rows], Rows]) -> None:
        self.streams, self._prepared = tuple(streams), prepared
        self.pieces: Sequence[Rows] = ()

    def fold(self, step: Step, state: State) -> State:
        """Return the state after all chunks; see `Feed`."""
        for stream in self.streams:
            state = stream.fold(lambda rows, state: step(self._prepared(rows), state), state)
        return state
