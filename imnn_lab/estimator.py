"""The estimator: θ̂(d) = θ_fid + F⁻¹ ∂μ C⁻¹ (f(d) − μ).

(Charnock, Lavaux & Wandelt 2018, equation 23: one step of quasi-maximum likelihood.)
"""

from __future__ import annotations

import copy
import inspect

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.results import FisherStatistics

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
    """

    def __init__(
        self,
        summariser: Summariser,
        statistics: FisherStatistics,
        θ_fid: np.ndarray,
        input_shape: tuple[int, ...],
    ) -> None:
        self.summariser, self.statistics = summariser, statistics
        self.θ_fid, self.input_shape = θ_fid, input_shape

    def __call__(self, data: np.ndarray) -> np.ndarray:
        """Return estimates: (n_params,) for one simulation, (n, n_params) for n of them.

        Raises
        ------
        TypeError, ValueError
            If `data` is not an array of shape `input_shape` or (n,) + `input_shape`.
        """
        batch, single = self._batch(data)
        estimates = self.from_summaries(self.summariser(batch))
        return estimates[0] if single else estimates

    def from_summaries(self, summaries: np.ndarray) -> np.ndarray:
        """Return the estimates (n, n_params) of summaries (n, n_summaries)."""
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

    def _batch(self, data: np.ndarray) -> tuple[np.ndarray, bool]:
        array = checks.real_array("data", data)
        shape = self.input_shape
        if array.shape == shape:
            return array[None], True
        if array.shape[1:] == shape:
            return array, False
        expected = f"have shape input_shape = {shape} or (n,) + input_shape"
        raise ValueError(checks.wording("`data`", expected, f"shape {array.shape}"))
