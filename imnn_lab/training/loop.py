"""The one training loop: a generator that yields a few iterations at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab.tensorflow_import import called
from imnn_lab.training.step import COLUMNS, CONTINUES, TrainingGraph

CALL_SECONDS = 0.05


@dataclass(frozen=True)
class StoppingRule:
    """When training ends. `last` and `min_iterations` count from the untrained network as 0."""

    last: int | None
    patience: int | None = None
    min_iterations: int = 0


class Iterations(NamedTuple):
    """A few consecutive iterations: what the history records of them, and the status at the end."""

    record: dict[str, np.ndarray]
    status: int


def training_iterations(
    graph: TrainingGraph, first: int, rule: StoppingRule, every: int | None = None
) -> Iterator[Iterations]:
    """Train until the rule says stop; each graph call of about 50 ms yields its iterations.

    Parameters
    ----------
    graph : TrainingGraph
        The step; its variables hold the state of training.
    first : int
        Number of the first iteration that is recorded.
    rule : StoppingRule
    every : int, optional
        Calls end after iterations divisible by this, so that a caller can store a checkpoint.

    Yields
    ------
    Iterations
    """
    forever = np.iinfo(np.int64).max
    last = forever if rule.last is None else rule.last
    patience = forever if rule.patience is None else rule.patience
    count, status = 1, CONTINUES
    while first <= last and status == CONTINUES:
        until_mark = forever if every is None else every - (first - 1) % every
        count = min(count, last - first + 1, until_mark)
        levels = graph.levels_from(first, count)
        arguments = (first, count, last, patience, rule.min_iterations)
        started = time.perf_counter()
        record, status = _advance(graph, arguments, levels)
        seconds = time.perf_counter() - started
        n = len(record["loss"])
        record["iteration"] = np.arange(first, first + n)
        record["level"] = np.full(n, np.nan) if levels is None else levels[:n]
        if graph.validation is None:
            record |= {f"val_{name}": np.full(n, np.nan) for name in COLUMNS}
        yield Iterations(record, status)
        first += n
        count = next_count(count, seconds)


def _advance(
    graph: TrainingGraph, arguments: tuple[int, ...], levels: np.ndarray | None
) -> tuple[dict[str, np.ndarray], int]:
    """Run a graph call; raise what a user's function raised in it as it was raised."""
    tensors = [tf.constant(n, tf.int64) for n in arguments]
    tensors += [] if levels is None else [tf.constant(levels, tf.float64)]
    try:
        record, status = called(graph.advance, *tensors)
    except tf.errors.OpError:
        for source in (graph.training, graph.validation):
            if source is not None and source.failures:
                raise source.failures[-1] from None
        raise
    return {name: values.numpy() for name, values in record.items()}, int(status)


def next_count(count: int, seconds: float) -> int:
    """Return how many iterations the next call should have, at most twice as many as the last."""
    return int(np.clip(count * CALL_SECONDS / max(seconds, 1e-6), 1, 2 * count))
