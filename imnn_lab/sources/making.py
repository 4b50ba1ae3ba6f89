"""Matched simulations from a simulator: in the graph of training, or beside it.

A simulator of TensorFlow code is part of the graph, and its derivatives are exact (forward-mode
differentiation, or two reverse passes where the code has loops) or central differences with shared
seeds. One of NumPy code is called in a thread, one iteration ahead of what the network needs.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources.augmentation import step_seed
from imnn_lab.sources.checking import check_tangents
from imnn_lab.sources.tangents import reverse_tangent, tangent

Simulator = Callable[[Any, Any], Any]
CONTRACT = "simulator(parameters, seed)"
PROBED = 4  # simulations in a trial


class Made(Protocol):
    """Makes the simulations of a step; `failures` keeps what the simulator raised."""

    failures: list[Exception]

    def __call__(self, n_s: int, n_d: int, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return fiducial simulations, and derivative simulations or derivatives."""


@dataclass(frozen=True)
class Points:
    """Where simulations are made, and what they look like."""

    θ_fid: np.ndarray
    δθ: np.ndarray | None
    input_shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, settings: Settings) -> Points:
        """Return those of an IMNN."""
        θ_fid = np.array(settings.θ_fid)
        return cls(θ_fid, settings.widths, settings.input_shape, settings.dtype)

    def fiducial(self, n: int) -> np.ndarray:
        """Return the fiducial parameters n times, (n, n_params)."""
        return np.tile(self.θ_fid, (n, 1)).astype(self.dtype)

    def sides(self, n: int) -> list[np.ndarray]:
        """Return the parameters below by each parameter, then above, each (n, n_params)."""
        widths = np.diag(np.asarray(self.δθ))
        shifts = np.concatenate([-widths, widths]) / 2
        return [np.tile(self.θ_fid + shift, (n, 1)).astype(self.dtype) for shift in shifts]

    def directions(self, n: int) -> list[np.ndarray]:
        """Return the unit vectors of each parameter n times, each (n, n_params)."""
        return [np.tile(unit, (n, 1)).astype(self.dtype) for unit in np.eye(len(self.θ_fid))]


class InGraph:
    """A simulator of TensorFlow code; see `Made`."""

    def __init__(self, simulator: Simulator, points: Points, seed: int) -> None:
        self.points, self.seed = points, seed
        self.failures: list[Exception] = []
        self._simulator = tf.function(simulator)
        self.tangent = tangent

    def raw(self, parameters: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Return what the simulator gives, unchecked."""
        return self._simulator(tf.constant(parameters), tf.constant(seed)).numpy()

    def simulate(self, parameters: Any, seed: tf.Tensor) -> tf.Tensor:
        """Return simulations (n,) + input_shape."""
        parameters = tf.convert_to_tensor(parameters)
        found = tf.cast(self._simulator(parameters, seed), self.points.dtype)
        return tf.ensure_shape(found, (parameters.shape[0], *self.points.input_shape))

    def __call__(self, n_s: int, n_d: int, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the simulations of a step."""
        seeds = _two_seeds(step_seed(self.seed, step))
        fiducial = self.simulate(self.points.fiducial(n_s), seeds[0])
        if self.points.δθ is None:
            return fiducial, self._derivatives(n_s, seeds[0])[:n_d]
        sides = [self.simulate(θ, seeds[1]) for θ in self.points.sides(n_d)]
        shape = (n_d, 2, len(sides) // 2, *self.points.input_shape)
        return fiducial, tf.reshape(tf.stack(sides, axis=1), shape)

    def _derivatives(self, n: int, seed: tf.Tensor) -> tf.Tensor:
        θ = tf.constant(self.points.fiducial(n))
        found = [
            self.tangent(lambda θ: self.simulate(θ, seed), θ, tf.constant(direction))
            for direction in self.points.directions(n)
        ]
        return tf.stack(found, axis=1)


@dataclass
class Beside:
    """A simulator of NumPy code; see `Made`."""

    simulator: Simulator
    points: Points
    seed: int
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="imnn_lab simulator")
        self._ahead: dict[tuple[int, int, int], Future[list[np.ndarray]]] = {}
        self._lock = Lock()

    def __call__(self, n_s: int, n_d: int, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the simulations of a step."""
        types = [tf.as_dtype(self.points.dtype)] * 2
        fiducial, derivative = tf.numpy_function(
            lambda at: self._taken(n_s, n_d, int(at)), [step], types
        )
        one, p = self.points.input_shape, len(self.points.θ_fid)
        return tf.ensure_shape(fiducial, (n_s, *one)), tf.ensure_shape(
            derivative, (n_d, 2, p, *one)
        )

    def _taken(self, n_s: int, n_d: int, step: int) -> list[np.ndarray]:
        """Return the simulations of a step, and begin with the next."""
        with self._lock:
            try:
                ahead = self._ahead.pop((n_s, n_d, step), None)
                found = self._make(n_s, n_d, step) if ahead is None else ahead.result()
                if step >= 0:
                    work = self._thread.submit(self._make, n_s, n_d, step + 1)
                    self._ahead = {(n_s, n_d, step + 1): work}
                return found
            except Exception as error:
                self.failures.append(error)
                raise

    def _make(self, n_s: int, n_d: int, step: int) -> list[np.ndarray]:
        rng = np.random.SeedSequence([self.seed, step + 2])
        seeds = rng.generate_state(4).reshape(2, 2) % 2**31
        fiducial = self.simulate(self.points.fiducial(n_s), seeds[0].astype(np.int32))
        pairs = [self.simulate(θ, seeds[1].astype(np.int32)) for θ in self.points.sides(n_d)]
        shape = (n_d, 2, len(self.points.θ_fid), *self.points.input_shape)
        return [fiducial, np.stack(pairs, axis=1).reshape(shape)]

    def raw(self, parameters: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Return what the simulator gives, unchecked."""
        return np.asarray(self.simulator(parameters, seed))

    def simulate(self, parameters: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Return simulations (n,) + input_shape."""
        found = self.raw(parameters, seed)
        _check_shape(found.shape, (len(parameters), *self.points.input_shape))
        return checks.finite("simulator", found.astype(self.points.dtype))


def made_by(simulator: Any, settings: Settings) -> Made:
    """Try a simulator, and return what makes simulations with it.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        See `simulator_sources`.
    """
    if not callable(simulator):
        remedy = f"Pass a function {CONTRACT} that returns simulations."
        raise TypeError(
            checks.wording("`simulator`", "be callable", checks.describe(simulator), remedy)
        )
    points, seed = Points.of(settings), settings.simulation_seed
    if _is_graph_code(simulator, points):
        made: InGraph | Beside = InGraph(simulator, points, seed)
    else:
        made = Beside(simulator, points, seed)
    _check_follows_seed(made)
    if points.δθ is None:
        if isinstance(made, Beside):
            remedy = "Pass δθ for central differences, or write it with TensorFlow."
            expected = "be TensorFlow code where δθ is None"
            raise ValueError(checks.wording("`simulator`", expected, "other code", remedy))
        _find_tangent(made)
    return made


def _is_graph_code(simulator: Simulator, points: Points) -> bool:
    """Tell whether a simulator can be traced: then it gives a tensor of the graph."""
    parameters = tf.TensorSpec((PROBED, len(points.θ_fid)), points.dtype)
    outputs = []
    try:
        tf.function(lambda at, seed: outputs.append(simulator(at, seed))).get_concrete_function(
            parameters, tf.TensorSpec((2,), tf.int32)
        )
    except Exception:
        return False
    return isinstance(outputs[0], tf.Tensor)


def _check_follows_seed(made: InGraph | Beside) -> None:
    """Refuse a simulator whose random numbers do not follow its seed alone."""
    θ = made.points.fiducial(PROBED)
    first, again, other = (_trial(made, θ, [number, 1]) for number in (7, 7, 8))
    expected = f"{CONTRACT} must give the same simulations for the same seed, others for another"
    for wrong, received in (
        (not np.array_equal(first, again), "other simulations for the same seed"),
        (np.array_equal(first, other), "the same simulations for two seeds"),
    ):
        if wrong:
            remedy = (
                "Draw from tf.random.stateless_* or from np.random.default_rng with that seed, "
                "and from nothing else."
            )
            raise ValueError(f"`simulator`: {expected}. Received {received}. {remedy}")


def _trial(made: InGraph | Beside, θ: np.ndarray, seed: list[int]) -> np.ndarray:
    try:
        given = np.array(seed, np.int32)
        found = made.raw(θ, given)
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        expected = f"work as {CONTRACT} for parameters of shape {θ.shape}"
        raise RuntimeError(checks.wording("`simulator`", expected, received)) from error
    _check_shape(found.shape, (len(θ), *made.points.input_shape))
    return checks.finite("simulator", found)


def _check_shape(received: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(received) != expected:
        words = f"return an array of shape (n,) + input_shape = {expected}"
        raise ValueError(checks.wording("`simulator`", words, f"shape {tuple(received)}"))


def _find_tangent(made: InGraph) -> None:
    """Choose the kind of differentiation that the simulator's code allows; refuse zeros."""
    seed = tf.constant([7, 1], tf.int32)

    def derivatives() -> np.ndarray:
        return tf.function(lambda: made._derivatives(PROBED, seed))().numpy()

    try:
        found = derivatives()
    except Exception:
        made.tangent = reverse_tangent
        found = derivatives()
    if not found.any() and made.tangent is tangent:
        made.tangent = reverse_tangent
        found = derivatives()
    check_tangents("simulator", found)


def _two_seeds(seed: tf.Tensor) -> list[tf.Tensor]:
    return [tf.stack([seed[0], seed[1] // 2 * 2 + kind]) for kind in (0, 1)]
