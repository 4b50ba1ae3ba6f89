"""The estimator: θ̂(d) = θ_fid + F⁻¹ ∂μ C⁻¹ (f(d) − μ).

(Charnock, Lavaux & Wandelt 2018, equation 23: one step of quasi-maximum likelihood.)
"""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.encoding import Encoding
from imnn_lab.fisher import fisher_statistics
from imnn_lab.results import FisherStatistics
from imnn_lab.sources.source import Source, tangent
from imnn_lab.summaries import Compressor
from imnn_lab.tensorflow_import import called

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

    def __reduce__(self) -> tuple[Any, ...]:  # pickle and copy.deepcopy
        weights = [[np.array(weight) for weight in group] for group in self._weights]
        return _summariser, (packed_network(self.model), self.dtype, weights)

    def refreshed(self) -> Summariser:
        """Return a summariser with the weights that the network has now."""
        other = object.__new__(type(self))  # copy.copy would make the network anew
        vars(other).update(vars(self))
        other._weights = _values(self.model)
        return other

    def with_weights(self, values: Mapping[int, np.ndarray]) -> Summariser:
        """Return a summariser with other weights, named by the identity of their tensors."""
        other = self.refreshed()
        both = (self.model.trainable_variables, self.model.non_trainable_variables)
        other._weights = [[tf.constant(values[id(v.value)], v.dtype) for v in x] for x in both]
        return other

    def __call__(
        self, simulations: np.ndarray | tf.Tensor, tangents: tf.Tensor | None = None
    ) -> np.ndarray:
        """Return the summaries of simulations, or their derivatives along tangents, in batches.

        Parameters
        ----------
        simulations : array or tensor, shape (n,) + input_shape
        tangents : tensor, shape (n,) + input_shape, optional
            Derivatives of the simulations with respect to a parameter.

        Returns
        -------
        ndarray, shape (n, n_summaries)
        """
        batch = max(1, BATCH_VALUES // max(1, int(np.prod(simulations.shape[1:])) * 64))
        parts = []
        for i in range(0, max(1, len(simulations)), batch):
            x = tf.cast(simulations[i : i + batch], self.dtype)
            if tangents is None:
                parts.append(self._summarise(x).numpy())
            else:
                parts.append(tangent(self._summarise, x, tangents[i : i + batch]).numpy())
        return np.concatenate(parts)

    def gradient(self, simulations: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Return the gradient of combinations of the summaries with respect to simulations.

        Parameters
        ----------
        simulations : ndarray, shape (n,) + input_shape
        directions : ndarray, shape (k, n_summaries)
            The combinations.

        Returns
        -------
        ndarray, shape (n, k) + input_shape
        """
        x = tf.cast(simulations, self.dtype)
        gradients = []
        for direction in directions:
            with tf.GradientTape() as tape:
                tape.watch(x)
                combined = self._summarise(x) @ tf.cast(direction[:, None], self.dtype)
            gradients.append(tape.gradient(combined, x).numpy())
        return np.stack(gradients, axis=1)

    def statistics(self, source: Source) -> FisherStatistics:
        """Return the frozen statistics of a source."""
        fiducial, derivative = self.summaries(source)
        return fisher_statistics(
            fiducial, derivative, source.δθ, source.n_external, source.is_present
        )

    def summaries(self, source: Source) -> tuple[np.ndarray, np.ndarray]:
        """Return the summaries of a source as `split` does, external ones first."""
        compressor = Compressor(self.model, lambda x, training: self._summarise(x))
        return compressor.all_summaries(source)

    def _summarise(self, x: tf.Tensor) -> tf.Tensor:
        return called(self._call, x, self._weights)

    def _stateless(self, x: tf.Tensor, weights: list[list[tf.Tensor]]) -> tf.Tensor:
        return self.model.stateless_call(*weights, x, **self._options)[0]


def packed_network(model: keras.Model) -> bytes:
    """Return a network as the content of a ``.keras`` file."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.keras")
        model.save(path)
        return path.read_bytes()


def unpacked_network(content: bytes) -> keras.Model:
    """Return a network from what `packed_network` returned.

    Raises
    ------
    ValueError
        If it cannot be made without its Python code.
    """
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "model.keras")
            path.write_bytes(content)
            return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(
            "This network cannot be unpickled or copied without its Python code "
            f"({checks.first_line(error)}). Register its classes with "
            "keras.saving.register_keras_serializable, where they are defined."
        ) from error


def _summariser(network: bytes, dtype: str, weights: list[list[np.ndarray]]) -> Summariser:
    result = Summariser(unpacked_network(network), dtype)
    result._weights = [[tf.constant(weight) for weight in group] for group in weights]
    return result


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
        Preprocessing of each simulation.
    names : tuple of str, optional
        Names of the parameters.
    encoding : Encoding, optional
        How data become arrays of `input_shape`.
    """

    def __init__(
        self,
        summariser: Summariser,
        statistics: FisherStatistics,
        θ_fid: np.ndarray,
        input_shape: tuple[int, ...],
        preprocess: Callable[[np.ndarray], Any] | None = None,
        names: tuple[str, ...] | None = None,
        encoding: Encoding | None = None,
    ) -> None:
        self.names = names
        self.summariser, self.statistics = summariser, statistics
        self.θ_fid, self.input_shape, self.preprocess = θ_fid, input_shape, preprocess
        self.encoding = encoding

    def __call__(self, data: Any, external: Any = None) -> np.ndarray:
        """Return estimates: (n_params,) for one simulation, (n, n_params) for n of them.

        Parameters
        ----------
        data : array of shape `input_shape` or (n,) + `input_shape`
            Or a tuple of this and `external`. Of an encoded network, data as they were handed
            over for training.
        external : array of shape (n_external,) or (n, n_external), optional
            External summaries of the data, if the network was trained with them.

        Raises
        ------
        TypeError, ValueError
            If they have other shapes, hold values that are no data (NaN, masked or marks of
            missing data), or `external` is missing or unexpected.
        """
        if external is None and self.statistics.n_external and self._is_pair(data):
            data, external = data
        batch, single = self._batch(data)
        estimates = self.from_summaries(self._summaries(batch, external))
        estimates[self._too_large(batch)] = np.nan
        return estimates[0] if single else estimates

    def summaries(self, data: Any, external: Any = None) -> np.ndarray:
        """Return the summaries of data, the external ones first, shape (n, n_summaries).

        Parameters
        ----------
        data, external
            As for `__call__`.
        """
        if external is None and self.statistics.n_external and self._is_pair(data):
            data, external = data
        return self._summaries(self._batch(data)[0], external)

    def from_summaries(self, summaries: np.ndarray) -> np.ndarray:
        """Return the estimates of summaries, shape (n, n_params).

        Parameters
        ----------
        summaries : array, shape (n, n_summaries)
            Summaries, the external ones first.
        """
        statistics = self.statistics
        gain = statistics.Finv @ statistics.dμ_dθ @ statistics.Cinv
        return self.θ_fid + (summaries - statistics.μ) @ gain.T

    def gradient(self, data: Any) -> np.ndarray:
        """Return ∂θ̂/∂d, the gradient of the estimates with respect to the data.

        It says what the network looks at: by how much each value of the data moves each estimate.

        Parameters
        ----------
        data : array of shape `input_shape` or (n,) + `input_shape`
            One simulation or observation, or several, without external summaries. Of an encoded
            network, or one with a `map_fn`, the gradient is that of what the network takes.

        Returns
        -------
        ndarray, shape (n_params,) + input_shape or (n, n_params) + input_shape
        """
        batch, single = self._batch(data)
        statistics = self.statistics
        gain = statistics.Finv @ statistics.dμ_dθ @ statistics.Cinv
        gradients = self.summariser.gradient(batch, gain[:, statistics.n_external :])
        return gradients[0] if single else gradients

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of ``estimator.npz``, in the dtype of the network; names if any."""
        names = ("Finv", "dμ_dθ", "Cinv", "μ")
        named = {name: getattr(self.statistics, name) for name in names} | {"θ_fid": self.θ_fid}
        arrays = {name: array.astype(self.summariser.dtype) for name, array in named.items()}
        return arrays if self.names is None else arrays | {"names": np.array(self.names, np.str_)}

    def _summaries(self, batch: np.ndarray, external: Any) -> np.ndarray:
        return self._with_external(self.summariser(batch), external)

    def _with_external(self, summaries: np.ndarray, external: Any) -> np.ndarray:
        n, width = len(summaries), self.statistics.n_external
        if external is None and not width:
            return summaries
        if external is None or not width:
            expected = f"hold {width} external summaries" if width else "be left out"
            received = "nothing" if external is None else checks.describe(external)
            remedy = "External summaries are those that the network was trained with."
            raise ValueError(checks.wording("`external`", expected, received, remedy))
        array = checks.real_array("external", external)
        if array.shape not in {(n, width)} | ({(width,)} if n == 1 else set()):
            expected = f"have shape (n, n_external) = {(n, width)}"
            raise ValueError(checks.wording("`external`", expected, f"shape {array.shape}"))
        array = checks.finite("external", array)
        return np.concatenate([array.reshape(n, width), summaries], axis=1)

    def encode(self, data: Any) -> np.ndarray:
        """Return data as the network takes them, (n,) + input_shape, before any `map_fn`.

        Parameters
        ----------
        data
            As for `__call__`.
        """
        if self.encoding is None:
            array = checks.real_array("data", data)
            return array[None] if array.ndim == len(self.input_shape) else array
        return self.encoding.batch("`data`", data)[0]

    def _batch(self, data: Any) -> tuple[np.ndarray, bool]:
        shape = self.input_shape
        if self.encoding is not None:
            array, single = self.encoding.batch("`data`", data)
            array = array[0] if single else array
        else:
            array = checks.real_array("data", data)
            single = array.ndim == len(shape)
        if single or array.ndim == len(shape) + 1:
            batch = self._prepared(array[None] if single else array)
            if batch.shape[1:] == shape:
                dtype = self.summariser.dtype if single else None
                return checks.data("`data`", batch, dtype, guess=single), single
        expected = f"have shape input_shape = {shape} or (n,) + input_shape"
        raise ValueError(checks.wording("`data`", expected, f"shape {array.shape}"))

    def _too_large(self, batch: np.ndarray) -> np.ndarray:
        """Return which of several data the dtype cannot hold: one of them must not end a run."""
        most = np.finfo(self.summariser.dtype).max
        found = (np.abs(batch) > most).any(axis=tuple(range(1, batch.ndim)))
        if found.any():
            checks.warn(
                f"`data` holds numbers above {most:.1e}, the largest of {self.summariser.dtype}, "
                f"in {found.sum()} simulations, the first at index {found.argmax()}: their "
                "estimates are NaN. Train in other units, or with dtype='float64'."
            )
        return found

    def _is_pair(self, data: Any) -> bool:
        """Whether data are (data, external); several arrays in a list are not a tuple."""
        kinds = tuple if self.encoding is not None else tuple | list
        return isinstance(data, kinds) and len(data) == 2

    def _prepared(self, batch: np.ndarray) -> np.ndarray:
        if self.preprocess is None:
            return batch
        mapped = checks.real_array("map_fn(data)", [self.preprocess(one.copy()) for one in batch])
        shape = (len(batch), *self.input_shape)
        return mapped.reshape(shape) if mapped.size == math.prod(shape) else mapped
