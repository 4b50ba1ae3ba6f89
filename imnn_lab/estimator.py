"""The estimator: θ̂(d) = θ_fid + F⁻¹ ∂μ C⁻¹ (f(d) − μ).

(Charnock, Lavaux & Wandelt 2018, equation 23: one step of quasi-maximum likelihood.)
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.results import FisherStatistics
from imnn_lab.sources.tangents import tangent

BATCH_VALUES = 2**22


class Summariser:
    """A network with its weights as they were when this was made.

    Training the network further does not change it.
    """

    def __init__(self, model: keras.Model, dtype: str) -> None:
        self.model, self.dtype = model, dtype
        self._weights = _values(model)
        takes_training = "training" in inspect.signature(model.call).parameters
        self._options = {"training": False} if takes_training else {}
        self._call = tf.function(self._stateless, reduce_retracing=True, autograph=False)

    def refreshed(self) -> Summariser:
        """Return a summariser with the weights that the network has now."""
        other = copy.copy(self)
        other._weights = _values(self.model)
        return other

    def __call__(self, simulations: np.ndarray) -> np.ndarray:
        """Return the summaries (n, n_summaries) of simulations (n,) + input_shape, in batches."""
        batch = max(1, BATCH_VALUES // max(1, int(np.prod(simulations.shape[1:])) * 64))
        parts = [
            self._call(tf.constant(simulations[i : i + batch], self.dtype), self._weights).numpy()
            for i in range(0, max(1, len(simulations)), batch)
        ]
        return np.concatenate(parts)

    def derivatives(self, simulations: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        """Return the derivatives of the summaries, (n, p, n_summaries).

        Parameters
        ----------
        simulations : array, shape (n,) + input_shape
        tangents : array, shape (n, p) + input_shape
            Derivatives of the simulations.
        """
        n, p = tangents.shape[:2]
        shape = (p, *simulations.shape[1:])
        batch = max(1, BATCH_VALUES // max(1, int(np.prod(shape)) * 64))
        parts = []
        for i in range(0, n, batch):
            x = tf.constant(np.repeat(simulations[i : i + batch], p, axis=0), self.dtype)
            flat = tf.constant(tangents[i : i + batch].reshape((-1, *shape[1:])), self.dtype)
            parts.append(tangent(lambda x: self._call(x, self._weights), x, flat).numpy())
        return np.concatenate(parts).reshape(n, p, -1)

    def _stateless(self, x: tf.Tensor, weights: list[list[tf.Tensor]]) -> tf.Tensor:
        return self.model.stateless_call(*weights, x, **self._options)[0]


def _values(model: keras.Model) -> list[list[tf.Tensor]]:
    both = (model.trainable_variables, model.non_trainable_variables)
    return [[tf.identity(variable.value) for variable in variables] for variables in both]


class Estimator:
    """A function from data to parameter estimates, frozen: network, weights and statistics.

    Parameters
    ----------
    summariser : Summariser
        Gives the summaries f(d).
    statistics : FisherStatistics
        F, ∂μ, C and μ.
    θ_fid : ndarray, shape (n_params,)
        Fiducial parameters.
    input_shape : tuple of int
        Shape of one simulation.
    preprocess : callable, optional
        What is done to each simulation first.
    """

    def __init__(
        self,
        summariser: Summariser,
        statistics: FisherStatistics,
        θ_fid: np.ndarray,
        input_shape: tuple[int, ...],
        preprocess: Callable[[np.ndarray], Any] | None = None,
    ) -> None:
        self.summariser, self.statistics = summariser, statistics
        self.θ_fid, self.input_shape, self.preprocess = θ_fid, input_shape, preprocess

    def __call__(self, data: Any, external: Any = None) -> np.ndarray:
        """Return estimates: (n_params,) for one simulation, (n, n_params) for n of them.

        Parameters
        ----------
        data : array of shape `input_shape` or (n,) + `input_shape`
            Or a tuple of this and `external`.
        external : array of shape (n_external,) or (n, n_external), optional
            Known summaries of the data, where the network was trained beside such.

        Raises
        ------
        TypeError, ValueError
            If they have other shapes, or `external` is missing or too much.
        """
        if external is None and self.statistics.n_external and _is_pair(data):
            data, external = data
        batch, single = self._batch(data)
        summaries = self._with_external(self.summariser(batch), external)
        estimates = self.from_summaries(summaries)
        return estimates[0] if single else estimates

    def from_summaries(self, summaries: np.ndarray) -> np.ndarray:
        """Return the estimates of summaries, shape (n, n_params).

        Parameters
        ----------
        summaries : array, shape (n, n_summaries)
            Summaries, the known ones first.
        """
        found = self.statistics
        return self.θ_fid + (summaries - found.μ) @ (found.Finv @ found.dμ_dθ @ found.Cinv).T

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of ``estimator.npz``, in the dtype of the network."""
        found = self.statistics
        named = {
            "Finv": found.Finv,
            "θ_fid": self.θ_fid,
            "dμ_dθ": found.dμ_dθ,
            "Cinv": found.Cinv,
            "μ": found.μ,
        }
        return {name: array.astype(self.summariser.dtype) for name, array in named.items()}

    def _with_external(self, summaries: np.ndarray, external: Any) -> np.ndarray:
        n, width = len(summaries), self.statistics.n_external
        if external is None and not width:
            return summaries
        if external is None or not width:
            expected = f"hold {width} known summaries" if width else "be left out"
            received = "nothing" if external is None else checks.describe(external)
            remedy = "Known summaries are those that the network was trained beside."
            raise ValueError(checks.wording("`external`", expected, received, remedy))
        array = checks.real_array("external", external)
        if array.shape not in {(n, width)} | ({(width,)} if n == 1 else set()):
            expected = f"have shape (n, n_external) = {(n, width)}"
            raise ValueError(checks.wording("`external`", expected, f"shape {array.shape}"))
        return np.concatenate([array.reshape(n, width), summaries], axis=1)

    def _batch(self, data: Any) -> tuple[np.ndarray, bool]:
        array = checks.real_array("data", data)
        shape = self.input_shape
        single = array.ndim == len(shape)
        if single or array.ndim == len(shape) + 1:
            batch = self._prepared(array[None] if single else array)
            if batch.shape[1:] == shape:
                return batch, single
        expected = f"have shape input_shape = {shape} or (n,) + input_shape"
        raise ValueError(checks.wording("`data`", expected, f"shape {array.shape}"))

    def _prepared(self, batch: np.ndarray) -> np.ndarray:
        if self.preprocess is None:
            return batch
        mapped = np.array([np.asarray(self.preprocess(one)) for one in batch])
        shape = (len(batch), *self.input_shape)
        return mapped.reshape(shape) if mapped.size == math.prod(shape) else mapped


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple | list) and len(data) == 2
