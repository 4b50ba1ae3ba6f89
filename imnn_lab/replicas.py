"""The devices of a `tf.distribute.Strategy`, and what its workers tell each other.

A worker is a process. It has one copy of the weights, which all of its devices read. All that
workers exchange is the sum of a tensor over them (all-reduce): where only one has something to say,
the others add zeros.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab import checks

KINDS = ("OneDeviceStrategy", "MirroredStrategy", "MultiWorkerMirroredStrategy")


class Replicas:
    """The replicas of a strategy: devices, each with a share of the simulations.

    Parameters
    ----------
    strategy : tf.distribute.Strategy, optional
        None is the device that TensorFlow chooses.

    Attributes
    ----------
    n : int
        Number of replicas, those of all workers.
    here : tuple of int
        Numbers of the replicas of this worker.
    devices : tuple of str
        Their devices.
    """

    def __init__(self, strategy: Any = None) -> None:
        self._strategy = strategy
        self.n = 1
        self.here: tuple[int, ...] = (0,)
        self.devices: tuple[str, ...] = ("",)
        if strategy is not None:
            self.n = strategy.num_replicas_in_sync
            numbers = strategy.experimental_distribute_values_from_function(
                lambda replica: replica.replica_id_in_sync_group
            )
            self.here = tuple(int(x) for x in strategy.experimental_local_results(numbers))
            self.devices = tuple(strategy.extended.worker_devices)
        self._added = tf.function(
            lambda x: self.sum([x] + [tf.zeros_like(x)] * (len(self.here) - 1)),
            input_signature=[tf.TensorSpec((None,), tf.int64)],
            autograph=False,
        )

    @classmethod
    def checked(cls, strategy: Any) -> Replicas:
        """Return the replicas of a strategy that a user passed.

        Raises
        ------
        TypeError
            If it is not a strategy that has all weights on each device.
        RuntimeError
            If its scope is entered.
        """
        kinds = tuple(getattr(tf.distribute, name) for name in KINDS)
        if strategy is not None and not isinstance(strategy, kinds):
            expected = f"be one of tf.distribute.{', '.join(KINDS)}"
            raise TypeError(checks.wording("`strategy`", expected, checks.describe(strategy)))
        replicas = cls(strategy)
        replicas.check_outside()
        return replicas

    def check_outside(self) -> None:
        """Refuse to work within the scope of the strategy."""
        if self._strategy is not None and tf.distribute.has_strategy():
            raise RuntimeError(
                "`strategy`: an IMNN is made and trained outside `strategy.scope()`; its `model` "
                "may be made inside."
            )

    @property
    def is_chief(self) -> bool:
        """Whether this worker is the first, which saves, and is steered."""
        return 0 in self.here

    @property
    def has_others(self) -> bool:
        """Whether there are other workers."""
        return self.n > len(self.here)

    def check_chief(self, what: str) -> None:
        """Refuse what only the first worker does."""
        if not self.is_chief:
            raise RuntimeError(f"`strategy`: {what} is for the chief, the first worker, alone.")

    def placed(self) -> AbstractContextManager[Any]:
        """Place what is not shared out on the first device of this worker."""
        return tf.device(self.devices[0]) if self.devices[0] else contextlib.nullcontext()

    def bounds(self, size: int) -> list[tuple[int, int]]:
        """Return where the shares of `size` rows begin and end, for each replica of this worker."""
        return [(size * r // self.n, size * (r + 1) // self.n) for r in self.here]

    def most(self, size: int) -> int:
        """Return the size of the largest share of `size` rows."""
        return -(-size // self.n)

    # In the graph ---------------------------------------------------------------------------

    def sum(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the sum over all replicas of a tensor, given here for those of this worker."""
        if not self.has_others:
            return parts[0] if len(parts) == 1 else tf.add_n(parts)

        def added() -> tf.Tensor:
            replica = tf.distribute.get_replica_context()
            number = int(tf.get_static_value(replica.replica_id_in_sync_group))
            part = tf.identity(parts[self.here.index(number)])
            return replica.all_reduce(tf.distribute.ReduceOp.SUM, part)

        return self._strategy.experimental_local_results(self._strategy.run(added))[0]

    def sums(self, parts: Sequence[Sequence[tf.Tensor]]) -> list[tf.Tensor]:
        """Return the sums of several tensors of one type, given for each replica of this worker."""
        if self.n == 1:
            return list(parts[0])
        flat = [tf.concat([tf.reshape(x, (-1,)) for x in part], 0) for part in parts]
        shapes = [x.shape for x in parts[0]]
        sizes = [shape.num_elements() for shape in shapes]
        pieces = tf.split(self.sum(flat), sizes)
        return [tf.reshape(x, shape) for x, shape in zip(pieces, shapes, strict=True)]

    def of_chief(self, x: tf.Tensor) -> tf.Tensor:
        """Return a tensor of the first worker."""
        if not self.has_others:
            return x
        first = x if self.is_chief else tf.zeros_like(x)
        return self.sum([first] + [tf.zeros_like(x)] * (len(self.here) - 1))

    # Between graph calls: all workers call these in the same order --------------------------

    def total(self, numbers: Any) -> np.ndarray:
        """Return the sum over workers of integers (k,)."""
        numbers = np.asarray(numbers, np.int64)
        return self._added(tf.constant(numbers)).numpy() if self.has_others else numbers

    def bytes_of_chief(self, data: bytes) -> bytes:
        """Return the bytes that the first worker gives."""
        if not self.has_others:
            return data
        data = data if self.is_chief else b""
        (size,) = self.total([len(data)])
        words = np.zeros(-(-size // 8), np.int64)
        words.view(np.uint8)[: len(data)] = np.frombuffer(data, np.uint8)
        return self.total(words).tobytes()[:size]

    def numbers_of_chief(self, numbers: Any) -> np.ndarray:
        """Return the numbers that the first worker gives, as many as the others do."""
        words = np.array(numbers, np.float64).view(np.int64) * self.is_chief
        return self.total(words).view(np.float64)

    def share(self, variables: Sequence[Any]) -> None:
        """Give variables the values that they have on the first worker."""
        if not self.has_others:
            return
        arrays = [np.asarray(variable.numpy()) for variable in variables]
        self.check_same("network and optimiser", [(x.shape, x.dtype.str) for x in arrays])
        data = self.bytes_of_chief(b"".join(x.tobytes() for x in arrays))
        start = 0
        for variable, x in zip(variables, arrays, strict=True):
            values = np.frombuffer(data, x.dtype, x.size, start)
            variable.assign(values.reshape(x.shape))
            start += x.nbytes

    def check_same(self, what: str, value: Any) -> None:
        """Refuse, on all workers, what is not the same on all of them.

        Raises
        ------
        ValueError
            If a worker has another `value`, compared as text.
        """
        if not self.has_others:
            return
        prints = np.zeros(self.n // len(self.here), np.int64)
        prints[self.here[0] // len(self.here)] = zlib.crc32(repr(value).encode())
        others = np.flatnonzero((prints := self.total(prints)) != prints[0])
        if len(others):
            numbers = ", ".join(map(str, others))
            raise ValueError(
                f"`strategy`: all workers must have the same {what}. Received others on worker "
                f"{numbers} than on worker 0."
            )

    def any_stops(self, stops: bool) -> bool:
        """Return whether a worker asks all to stop.

        Raises
        ------
        RuntimeError
            If another worker failed.
        """
        stopping, failed = self.total([stops, 0])
        if failed:
            raise RuntimeError("`strategy`: another worker failed; its own error says why.")
        return bool(stopping)

    @contextlib.contextmanager
    def telling_of_failure(self) -> Iterator[None]:
        """Let the other workers know of an error, where they next ask whether to stop."""
        try:
            yield
        except BaseException:
            self.total([0, 1])
            raise
