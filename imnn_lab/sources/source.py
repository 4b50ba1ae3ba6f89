"""Sources give the simulations of each iteration, and a pass over them: all at once or in chunks.

The rows of a set have one order, and `positions` are their numbers in it: first the n_s fiducial
simulations, then those that derivatives are made of (see `imnn_lab.sources.differences`).
"""

from __future__ import annotations

import abc
import copy
import functools
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
import tensorflow as tf

from imnn_lab.replicas import Replicas
from imnn_lab.sources.differences import Columns, Differences, quarters

if TYPE_CHECKING:
    from imnn_lab.sources.repeats import Fingerprints

FIRST = np.int64(0)
SourceType = TypeVar("SourceType", bound="Source")


class Rows(NamedTuple):
    """Simulations for the network.

    Attributes
    ----------
    simulations : tensor, shape (k,) + input_shape
    positions : tensor of int32, shape (k,)
        Their numbers in the order of the set.
    tangents : tensor, shape (k,) + input_shape, or None
        Derivatives of the simulations by one parameter each; the network then gives the derivative
        of the summaries.
    """

    simulations: tf.Tensor
    positions: tf.Tensor
    tangents: tf.Tensor | None = None

    def part(self, start: tf.Tensor, at_once: int) -> Rows:
        """Return at most `at_once` rows from `start` on."""
        return Rows(*(None if x is None else x[start : start + at_once] for x in self))


def tangent(function: Callable[[tf.Tensor], Any], x: tf.Tensor, direction: tf.Tensor) -> Any:
    """Return the derivative of ``function(x)``, one tensor or several, along `direction`.

    It comes from two reverse passes: the gradient of w · ``function(x)`` is linear in w, and its
    own gradient by w is the derivative. That is traced faster than TensorFlow's forward mode, which
    has none of loops. Where the function is differentiated again, as in training, this is as well.
    """
    zero = tf.UnconnectedGradients.ZERO
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(x)
            value = function(x)
        weight = tf.nest.map_structure(tf.ones_like, value)
        outer.watch(weight)
        gradient = tf.convert_to_tensor(inner.gradient(value, x, weight, zero))
    return outer.gradient(gradient, weight, direction, zero)


State = Any
Step = Callable[[Rows, State], State]
Augment = Callable[[Rows, tf.Tensor, tf.Tensor], Rows]


class Feed(Protocol):
    """One pass over a set; passes of one feed give the same rows.

    Attributes
    ----------
    pieces : sequence of Rows
        All rows, if they are in memory: rows without tangents, and rows with them.
    shares : sequence of (str, Feed)
        The pass on each device of this process: itself on one, unless replicas share it.
    """

    pieces: Sequence[Rows]
    shares: Sequence[tuple[str, Feed]]

    def fold(self, step: Step, state: State) -> State:
        """Return ``state`` after ``state = step(rows, state)`` for all chunks of rows."""


class MemoryFeed:
    """Rows in memory.

    Parameters
    ----------
    pieces : sequence of Rows
        Rows without tangents, and rows with them.
    at_once : int
        Largest number of rows in a chunk.
    """

    def __init__(self, pieces: Sequence[Rows], at_once: int) -> None:
        self.at_once = at_once
        self.pieces: Sequence[Rows] = tuple(pieces)
        self.shares: Sequence[tuple[str, Feed]] = [("", self)]

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


class SharedFeed:
    """The rows of the replicas of this process.

    Parameters
    ----------
    shares : sequence of (str, MemoryFeed)
        A device and its rows.
    """

    def __init__(self, shares: Sequence[tuple[str, MemoryFeed]]) -> None:
        self.shares: Sequence[tuple[str, Feed]] = list(shares)
        self.pieces: Sequence[Rows] = tuple(piece for _, feed in shares for piece in feed.pieces)

    def fold(self, step: Step, state: State) -> State:
        """Return the state after all chunks of these rows; see `Feed`."""
        for _, feed in self.shares:
            state = feed.fold(step, state)
        return state


class Source(abc.ABC):
    """Fiducial simulations, and derivative simulations or derivatives of simulations.

    Parameters
    ----------
    n_s : int
        Number of fiducial simulations.
    differences : Differences
        What the rows after them are.
    input_shape : tuple of int
        Shape of one simulation.
    dtype : str
        Floating-point type that the network takes.
    at_once : int, optional
        Largest number of simulations in the network at once; None is all of them.
    external : array, shape (size, n_external), optional
        External summaries of the simulations, in the order of the rows; if the derivatives are
        exact, those of the derivative rows are derivatives.
    augmentation : callable, optional
        Random function of (rows, seeds, step), which returns rows; drawn anew in every iteration.

    Attributes
    ----------
    is_fresh : bool
        Whether every iteration has its own simulations.
    failures : sequence of Exception
        Exceptions of users' functions while simulations were read or made.
    replicas : Replicas
        What shares the simulations; if there are several, `feed` gives the rows of this process.
    prints : sequence of Fingerprints
        What tells its fiducial simulations from others, and its derivative ones unless exact;
        empty if they are fresh.
    """

    is_fresh = False
    prints: Sequence[Fingerprints] = ()
    replicas = Replicas()
    failures: Sequence[Exception] = ()

    def __init__(
        self,
        n_s: int,
        differences: Differences,
        input_shape: tuple[int, ...],
        dtype: str,
        at_once: int | None = None,
        external: np.ndarray | None = None,
        augmentation: Augment | None = None,
    ) -> None:
        self.n_s, self.differences = n_s, differences
        self.input_shape, self.dtype = tuple(input_shape), dtype
        self._is_given = at_once is not None
        self.at_once: int = min(at_once or self.size, self.size)
        self.augmentation = augmentation
        self.external = None if external is None else tf.constant(external, dtype)

    @property
    def n_d(self) -> int:
        """Number of derivative simulations of each kind, the smallest of all parameters."""
        return self.differences.n_d

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return self.differences.n_params

    @property
    def δθ(self) -> tf.Tensor | None:
        """Full width of the central difference; None for exact derivatives and for stencils."""
        return self.differences.δθ

    @property
    def is_exact(self) -> bool:
        """Whether the derivatives of the simulations are given, instead of simulations."""
        return self.differences.is_exact

    @property
    def is_present(self) -> np.ndarray | None:
        """Of stencils: which seeds each parameter has, (n_rows, n_params); otherwise None."""
        return self.differences.is_present

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.n_s + self.differences.size

    @property
    def n_external(self) -> int:
        """Number of external summaries."""
        return 0 if self.external is None else int(self.external.shape[1])

    @property
    def in_chunks(self) -> bool:
        """Whether the simulations go through the network in several chunks."""
        return self.at_once < self.size

    @property
    def is_whole(self) -> bool:
        """Whether all simulations go through the network at once, on one device."""
        return self.replicas.n == 1 and not self.in_chunks

    @property
    def level(self) -> tf.Variable | None:
        """The level of the augmentation, None without one."""
        return getattr(self.augmentation, "level", None)

    def limited(self: SourceType, at_once: int | None) -> SourceType:
        """Return a source of the same simulations with at most `at_once` in the network at once.

        A number that the user chose is kept.
        """
        if at_once is None or self._is_given:
            return self
        source = copy.copy(self)
        source.at_once = min(at_once, self.at_once)
        return source

    @abc.abstractmethod
    def feed(self, step: tf.Tensor) -> Feed:
        """Return the pass of an iteration; iterations differ only if something is random."""

    @abc.abstractmethod
    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations, to fit layers to."""

    def fixed(self) -> Source:
        """Return a source whose simulations are the same in every pass: this one, if they are."""
        return self

    def first(self, n_s: int, n_d: int) -> ArraySource:
        """Return the first n_s fiducial and n_d derivative simulations, in memory."""
        one = self.input_shape
        derivative, differences = self.differences.first(n_d)
        chosen = np.r_[:n_s, self.n_s + derivative]
        size = len(chosen)
        places = np.full(self.size, -1, np.int32)
        places[chosen] = np.arange(size)

        def add(rows: Rows, kept: tf.Tensor) -> tf.Tensor:
            at = tf.gather(places, rows.positions)
            is_kept = at >= 0
            values = rows.simulations if rows.tangents is None else rows.tangents
            values = tf.boolean_mask(values, is_kept)
            return tf.tensor_scatter_nd_update(kept, tf.boolean_mask(at, is_kept)[:, None], values)

        def collected() -> tf.Tensor:
            return self.feed(FIRST).fold(add, tf.zeros((size, *one), self.dtype))

        x = tf.function(collected, autograph=False).get_concrete_function()().numpy()
        external = None if self.external is None else self.external.numpy()[chosen]
        return ArraySource(x[:n_s], x[n_s:], differences, self.dtype, None, external)

    def _pieces_of(self, fiducial: tf.Tensor, derivative: tf.Tensor) -> list[Rows]:
        """Return the rows of fiducial and derivative simulations, each (…) + input_shape.

        Exact derivatives are the tangents of their own rows, which repeat fiducial simulations.
        """
        numbers, n_s = tf.range(self.size), self.n_s
        flat = tf.reshape(derivative, (-1, *self.input_shape))
        if not self.is_exact:
            return [Rows(tf.concat([fiducial, flat], 0), numbers)]
        repeated = tf.repeat(fiducial[: self.n_d], self.n_params, axis=0)
        return [Rows(fiducial, numbers[:n_s]), Rows(repeated, numbers[n_s:], flat)]

    def _augment(self, rows: Rows, step: tf.Tensor = FIRST) -> Rows:
        if self.augmentation is None:
            return rows
        return self.augmentation(rows, self.seeds(rows.positions), step)

    def seeds(self, positions: tf.Tensor) -> tf.Tensor:
        """Return the number of the random seed of each row, the same for all rows of one seed.

        Exact derivatives have the seed of the fiducial simulation of the same number; others have
        their own seeds, from n_s on.
        """
        first = 0 if self.is_exact else self.n_s
        beyond = first + self.differences.seeds(self._beyond(positions))
        return tf.where(positions < self.n_s, positions, beyond)

    def groups(self, positions: tf.Tensor) -> tf.Tensor:
        """Return 0 for fiducial rows, and 1, 2, … for each group of derivative rows."""
        beyond = 1 + self.differences.groups(self._beyond(positions))
        return tf.where(positions < self.n_s, 0, beyond)

    def quarters(self, positions: tf.Tensor) -> tf.Tensor:
        """Return in which quarter of the seeds of their kind rows are, from 0 to 3."""
        beyond = self.differences.quarters(self._beyond(positions))
        return tf.where(positions < self.n_s, quarters(positions, self.n_s), beyond)

    def _beyond(self, positions: tf.Tensor) -> tf.Tensor:
        """Return the derivative rows at positions, 0 for fiducial ones."""
        return tf.maximum(positions - self.n_s, 0)


class ArraySource(Source):
    """Fiducial and derivative simulations in memory, in one tensor.

    Parameters
    ----------
    fiducial : array, shape (n_s,) + input_shape
        Simulations at the fiducial parameters.
    derivative : array, shape (n_d, 2, n_params) + input_shape, or (n_d, n_params) + input_shape
        Simulations below (``[:, 0]``) and above (``[:, 1]``) the fiducial parameters; or, if `δθ`
        is None, derivatives of the first n_d fiducial simulations; or the rows of `Differences`.
    δθ : array, shape (n_params,), None, or Differences
    dtype, at_once, external, augmentation
        As for `Source`.

    Attributes
    ----------
    drawn : tuple of int, or None
        n_s and n_d that training draws from these simulations in every iteration, and the seed;
        None if it takes all.
    """

    def __init__(
        self,
        fiducial: np.ndarray,
        derivative: np.ndarray,
        δθ: np.ndarray | Differences | None,
        dtype: str,
        at_once: int | None = None,
        external: np.ndarray | None = None,
        augmentation: Augment | None = None,
    ) -> None:
        differences = (
            δθ
            if isinstance(δθ, Differences)
            else Columns(len(derivative), derivative.shape[1 if δθ is None else 2], δθ)
        )
        super().__init__(
            len(fiducial), differences, fiducial.shape[1:], dtype, at_once, external, augmentation
        )
        both = (tf.constant(np.asarray(x, dtype)) for x in (fiducial, derivative))
        self._pieces = self._pieces_of(*both)
        self.drawn: tuple[int, int, int] | None = None
        self._shares: list[tuple[str, list[Rows]]] = []

    def feed(self, step: tf.Tensor) -> Feed:
        """Return the pass of an iteration."""
        if not self._shares:
            return self._pass(self._pieces, step)
        shares = []
        for device, pieces in self._shares:
            with tf.device(device):
                shares.append((device, self._pass(pieces, step)))
        return SharedFeed(shares)

    def _pass(self, pieces: Sequence[Rows], step: tf.Tensor) -> MemoryFeed:
        return MemoryFeed([self._augment(piece, step) for piece in pieces], self.at_once)

    @property
    def in_chunks(self) -> bool:
        """Whether the simulations of a replica go through the network in several chunks."""
        return self.at_once < sum(self.replicas.most(x.positions.shape[0]) for x in self._pieces)

    @property
    def pieces(self) -> Sequence[Rows]:
        """All rows, as they are before augmentation."""
        return tuple(self._pieces)

    def checksum(self) -> int:
        """Return a number that differs where simulations do."""
        tensors = [x for rows in self._pieces for x in (*rows, self.external) if x is not None]
        return functools.reduce(lambda sum, x: zlib.crc32(x.numpy(), sum), tensors, 0)

    def shared(self, replicas: Replicas) -> ArraySource:
        """Return a source of the same simulations, of which each replica has a share."""
        if replicas.n == 1:
            return self
        source = copy.copy(self)
        source.replicas = replicas
        bounds = [replicas.bounds(piece.positions.shape[0]) for piece in self._pieces]
        source._shares = []
        for device, of_pieces in zip(replicas.devices, zip(*bounds, strict=True), strict=True):
            with tf.device(device):
                pieces = [
                    Rows(*(None if x is None else tf.identity(x[start:stop]) for x in piece))
                    for piece, (start, stop) in zip(self._pieces, of_pieces, strict=True)
                ]
            source._shares.append((device, pieces))
        return source

    def mapped(self, values: tf.Tensor, at_once: int | None) -> ArraySource:
        """Return a source of what a function makes of the simulations.

        Parameters
        ----------
        values : tensor, shape (size, width)
            What it makes of the rows in their order; of exact derivatives, its derivatives.
        at_once : int or None
            Largest number in the network at once, if the user did not choose one.
        """
        source = copy.copy(self)
        source.input_shape = tuple(values.shape[1:])
        if not self._is_given:
            source.at_once = min(at_once or self.size, self.size)
        if self.is_exact:
            source._pieces = source._pieces_of(*tf.split(values, [self.n_s, -1]))
        else:
            source._pieces = [Rows(values, tf.range(self.size))]
        return source

    def fiducial(self, most: int) -> np.ndarray:
        """Return at most `most` fiducial simulations, spread over all."""
        chosen = np.unique(np.linspace(0, self.n_s - 1, min(most, self.n_s)).astype(int))
        rows = Rows(tf.gather(self._pieces[0].simulations, chosen), tf.constant(chosen, tf.int32))
        return self._augment(rows).simulations.numpy()
