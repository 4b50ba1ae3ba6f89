"""Matched simulations from a simulator: in the graph of training, or in a thread beside it.

A simulator of TensorFlow code is part of the graph, and its derivatives are exact (by automatic
differentiation) or central differences with shared seeds. One of NumPy code is called in a thread,
one iteration ahead of the network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources.augmentation import step_seed
from imnn_lab.sources.checking import check_tangents
from imnn_lab.sources.source import tangent
from imnn_lab.tensorflow_import import called

Simulator = Callable[[Any, Any], Any]
CONTRACT = "simulator(parameters, seed)"
PROBED = 4  # simulations in a trial


class SimulationMaker(Protocol):
    """Makes the simulations of a step; `failures` keeps the exceptions of the simulator."""

    failures: list[Exception]

    def __call__(self, n_s: int, n_d: int, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return fiducial simulations, and derivative simulations or derivatives."""


class TensorFlowSimulator:
    """A simulator of TensorFlow code; see `SimulationMaker`."""

    def __init__(self, simulator: Simulator, settings: Settings) -> None:
        self.settings = settings
        self.failures: list[Exception] = []
        self._simulator = tf.function(simulator)

    def raw(self, parameters: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Return the simulator's output, unchecked."""
        return called(self._simulator, tf.constant(parameters), tf.constant(seed)).numpy()

    def simulate(self, parameters: Any, seed: tf.Tensor) -> tf.Tensor:
        """Return simulations (n,) + input_shape."""
        parameters = tf.convert_to_tensor(parameters)
        simulations = tf.cast(called(self._simulator, parameters, seed), self.settings.dtype)
        return tf.ensure_shape(simulations, (parameters.shape[0], *self.settings.input_shape))

    def __call__(self, n_s: int, n_d: int, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the simulations of a step."""
        seeds = _two_seeds(step_seed(self.settings.simulation_seed, step))
        fiducial = self.simulate(_fiducial_parameters(self.settings, n_s), seeds[0])
        if self.settings.is_exact:
            return fiducial, self.derivatives(n_s, seeds[0])[:n_d]
        sides = [self.simulate(θ, seeds[1]) for θ in _side_parameters(self.settings, n_d)]
        shape = (n_d, 2, len(sides) // 2, *self.settings.input_shape)
        return fiducial, tf.reshape(tf.stack(sides, axis=1), shape)

    def derivatives(self, n: int, seed: tf.Tensor) -> tf.Tensor:
        """Return the derivatives of n simulations, (n, n_params) + input_shape."""
        θ = tf.constant(_fiducial_parameters(self.settings, n))
        derivatives = [
            tangent(lambda θ: self.simulate(θ, seed), θ, tf.constant(np.tile(unit, (n, 1))))
            for unit in np.eye(self.settings.n_params, dtype=self.settings.dtype)
        ]
        return tf.stack(derivatives, axis=1)


class NumpySimulator:
    """A simulator of NumPy code; see `SimulationMaker`."""

    def __init__(self, simulator: Simulator, settings: Settings) -> None:
        self.simulator, self.settings = simulator, settings
        self.failures: list[Exception] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="imnn_lab simulator")
        self._ahead: dict[tuple[int, int, int], Future[list[np.ndarray]]] = {}
        self._lock = Lock()

    def __call__(self, n_s: int, n_d: int, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the simulations of a step."""
        types = [tf.as_dtype(self.settings.dtype)] * 2
        fiducial, derivative = tf.numpy_function(
            lambda at: self._next(n_s, n_d, int(at)), [step], types
        )
        one, p = self.settings.input_shape, self.settings.n_params
        return tf.ensure_shape(fiducial, (n_s, *one)), tf.ensure_shape(
            derivative, (n_d, 2, p, *one)
        )

    def _next(self, n_s: int, n_d: int, step: int) -> list[np.ndarray]:
        """Return the simulations of a step, and start to make those of the next."""
        with self._lock:
            try:
                ahead = self._ahead.pop((n_s, n_d, step), None)
                both = self._make(n_s, n_d, step) if ahead is None else ahead.result()
                if step >= 0:
                    self._make_ahead(n_s, n_d, step + 1)
                return both
            except Exception as error:
                self.failures.append(error)
                raise

    def _make_ahead(self, n_s: int, n_d: int, step: int) -> None:
        with contextlib.suppress(RuntimeError):  # when Python exits, executors take nothing more
            future = self._thread.submit(self._make, n_s, n_d, step)
            self._ahead = {(n_s, n_d, step): future}

    def _make(self, n_s: int, n_d: int, step: int) -> list[np.ndarray]:
        sequence = np.random.SeedSequence([self.settings.simulation_seed, step + 2])
        seeds = (sequence.generate_state(4).reshape(2, 2) % 2**31).astype(np.int32)
        fiducial = self.simulate(_fiducial_parameters(self.settings, n_s), seeds[0])
        pairs = [self.simulate(θ, seeds[1]) for θ in _side_parameters(self.settings, n_d)]
        shape = (n_d, 2, self.settings.n_params, *self.settings.input_shape)
        return [fiducial, np.stack(pairs, axis=1).reshape(shape)]

    def raw(self, parameters: np.ndarray, seed: np.ndarray) -> Any:
        """Return the simulator's output, unchecked."""
        return self.simulator(parameters.copy(), seed.copy())

    def simulate(self, parameters: np.ndarray, seed: np.ndarray) -> np.ndarray:
        """Return simulations (n,) + input_shape."""
        simulations = checks.real_array("simulator", self.raw(parameters, seed))
        _check_shape(simulations.shape, (len(parameters), *self.settings.input_shape))
        dtype = self.settings.dtype
        return checks.data("`simulator`", simulations, dtype).astype(dtype)


def simulation_maker(simulator: Any, settings: Settings) -> SimulationMaker:
    """Try a simulator, and return the maker of simulations for its kind of code.

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
    if not _is_graph_code(simulator, settings):
        maker = NumpySimulator(simulator, settings)
        _check_follows_seed(maker)
        if settings.is_exact:
            remedy = "Pass δθ for central differences, or write it with TensorFlow."
            expected = "be TensorFlow code if δθ is None"
            raise ValueError(checks.wording("`simulator`", expected, "other code", remedy))
        return maker
    in_graph = TensorFlowSimulator(simulator, settings)
    _check_follows_seed(in_graph)
    if settings.is_exact:
        _check_differentiable(in_graph)
    return in_graph


def _fiducial_parameters(settings: Settings, n: int) -> np.ndarray:
    """Return the fiducial parameters, repeated n times, (n, n_params)."""
    return np.tile(settings.θ_fid, (n, 1)).astype(settings.dtype)


def _side_parameters(settings: Settings, n: int) -> list[np.ndarray]:
    """Return the parameters below θ_fid for each parameter, then above, each (n, n_params)."""
    widths = np.diag(np.asarray(settings.δθ))
    shifts = np.concatenate([-widths, widths]) / 2
    return [np.tile(settings.θ_fid + shift, (n, 1)).astype(settings.dtype) for shift in shifts]


def _is_graph_code(simulator: Simulator, settings: Settings) -> bool:
    """Whether a simulator can be traced and returns a tensor of the graph."""
    parameters = tf.TensorSpec((PROBED, settings.n_params), settings.dtype)
    outputs = []
    try:
        tf.function(lambda at, seed: outputs.append(simulator(at, seed))).get_concrete_function(
            parameters, tf.TensorSpec((2,), tf.int32)
        )
    except Exception:
        return False
    return isinstance(outputs[0], tf.Tensor)


def _check_follows_seed(maker: NumpySimulator | TensorFlowSimulator) -> None:
    """Refuse a simulator whose random numbers depend on something other than its seed."""
    θ = _fiducial_parameters(maker.settings, PROBED)
    first, again, other = (_trial(maker, θ, [number, 1]) for number in (7, 7, 8))
    expected = f"{CONTRACT} must give the same simulations for the same seed, others for another"
    for wrong, received in (
        (not np.array_equal(first, again), "other simulations for the same seed"),
        (np.array_equal(first, other), "the same simulations for two seeds"),
    ):
        if wrong:
            remedy = (
                "Draw from tf.random.stateless_* or from np.random.default_rng with that seed, "
                "and not from other generators."
            )
            raise ValueError(f"`simulator`: {expected}. Received {received}. {remedy}")


def _trial(
    maker: NumpySimulator | TensorFlowSimulator, θ: np.ndarray, seed: list[int]
) -> np.ndarray:
    try:
        made = maker.raw(θ, np.array(seed, np.int32))
    except Exception as error:
        received = f"{type(error).__name__}: {error}"
        expected = f"work as {CONTRACT} for parameters of shape {θ.shape}"
        raise RuntimeError(checks.wording("`simulator`", expected, received)) from error
    simulations = np.array(checks.real_array("simulator", made))  # it may be filled again
    _check_shape(simulations.shape, (len(θ), *maker.settings.input_shape))
    return checks.data("`simulator`", simulations, maker.settings.dtype)


def _check_shape(received: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if tuple(received) != expected:
        words = f"return an array of shape (n,) + input_shape = {expected}"
        raise ValueError(checks.wording("`simulator`", words, f"shape {tuple(received)}"))


def _check_differentiable(maker: TensorFlowSimulator) -> None:
    """Refuse a simulator without derivatives, or with zeros."""
    check_tangents("simulator", maker.derivatives(PROBED, tf.constant([7, 1], tf.int32)).numpy())


def _two_seeds(seed: tf.Tensor) -> list[tf.Tensor]:
    return [tf.stack([seed[0], seed[1] // 2 * 2 + kind]) for kind in (0, 1)]
