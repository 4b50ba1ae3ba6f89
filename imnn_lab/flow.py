"""Fisher flow: how much information a linear readout finds in each layer of a network.

The readout of a layer is solved on one half of the seeds and applied to the other, both ways (see
`imnn_lab.networks.cross_fitting`), so that wide layers are not favoured. (After the Fisher flow of
arXiv:2509.02407.)
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from imnn_lab.diagnostics import FisherFlow, SummarySet
from imnn_lab.estimator import Summariser
from imnn_lab.keras_private import calls_of
from imnn_lab.networks.cross_fitting import cross_fitted
from imnn_lab.sources.source import Source
from imnn_lab.training.run import Run

COUNT = itertools.count()  # of layers that are added here
MOST_FEATURES = 1000  # of a layer whose readout is solved
SAME = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Rescaling)  # as what they take in


class FlowRecord:
    """Looks at the information in each layer while a fit runs: a callback of `IMNN.fit`.

    Parameters
    ----------
    layers : Layers
        Those of the network.
    every : int
        Number of iterations from one look to the next, at least.
    """

    def __init__(self, layers: Layers, every: int) -> None:
        self._layers, self.every = layers, every
        self._iterations: list[int] = []
        self._found: list[np.ndarray] = []

    def __call__(self, run: Run) -> None:
        """Look, unless the last time is too recent."""
        if not self._iterations or run.iteration >= self._iterations[-1] + self.every:
            self._iterations.append(run.iteration)
            self._found.append(self._layers.information())

    @property
    def flow(self) -> FisherFlow:
        """What was seen so far.

        Raises
        ------
        RuntimeError
            Before the first look.
        """
        if not self._found:
            raise RuntimeError("Nothing is recorded yet: pass this to `fit` as `callback`.")
        return self._layers.flow(self._iterations, self._found)


class Layers:
    """The layers of a network, with the simulations that go through them.

    Parameters
    ----------
    model : keras.Model
        Whose layers follow each other, or a graph of them.
    source : Source
        Simulations.
    θ_fid : ndarray, shape (n_params,)
    """

    def __init__(self, model: keras.Model, source: Source, θ_fid: np.ndarray) -> None:
        self._model, self._source, self._θ_fid = model, source, θ_fid
        self.names: list[str] = []
        self.widths: list[int] = []
        shown = []
        for name, output in _outputs(model):
            self.names.append(name)
            self.widths.append(int(np.prod(output.shape[1:])))
            if self.widths[-1] <= MOST_FEATURES:
                flat = keras.layers.Flatten(name=_new_name())
                shown.append(output if len(output.shape) == 2 else flat(output))
        joined = keras.layers.Concatenate(name=_new_name())
        together = shown[0] if len(shown) == 1 else joined(shown)
        self._summariser = Summariser(keras.Model(model.inputs, together), source.dtype)
        self._known: dict[int, tuple[bytes, float]] = {}

    def information(
        self, weights: Sequence[np.ndarray] | None = None, tell: Callable[[float], object] = float
    ) -> np.ndarray:
        """Return ln det F of each layer, shape (n_layers,).

        Parameters
        ----------
        weights : sequence of ndarray, optional
            Values of the model's variables; by default those that it has now.
        tell : callable
            Is told after each layer which share of them is done.
        """
        if weights is None:
            weights = [variable.numpy() for variable in self._model.variables]
        values = {id(v.value): x for v, x in zip(self._model.variables, weights, strict=True)}
        source = self._source
        whole = summary_set(self._summariser.with_weights(values), source, self._θ_fid)
        found, start = [], source.n_external
        for i, width in enumerate(self.widths):
            tell(i / len(self.widths))
            if width > MOST_FEATURES:
                found.append(np.nan)
                continue
            columns = [*range(source.n_external), *range(start, start + width)]
            features = replace(
                whole,
                fiducial=whole.fiducial[:, columns],
                derivative=whole.derivative[..., columns],
            )
            found.append(self._information(start, features))
            start += width
        return np.array(found)

    def _information(self, start: int, features: SummarySet) -> float:
        """Return ln det F of a layer; the last one is kept for features that did not change."""
        digest = hashlib.blake2b(features.fiducial.tobytes()).digest()
        if self._known.get(start, (b"", 0.0))[0] != digest:
            self._known[start] = digest, _information(features)
        return self._known[start][1]

    def flow(self, iterations: Sequence[int], found: Sequence[np.ndarray]) -> FisherFlow:
        """Return what was found at some iterations."""
        given = np.array(iterations), np.array(found)
        return FisherFlow(tuple(self.names), tuple(self.widths), *given)


def _new_name() -> str:
    """Return a name that no layer has: Keras counts those it gives anew in each thread."""
    return f"imnn_lab_flow_{next(COUNT)}"


def _outputs(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """Yield name and output of every layer, those of networks inside with their own."""
    for call in calls_of(model.inputs, model.outputs):
        part = call.operation
        if isinstance(part, keras.Model) and getattr(part, "inputs", None):
            for name, output in _outputs(part):
                inside = keras.Model(part.inputs, output, name=_new_name())
                yield f"{part.name}/{name}", inside(call.input_tensors)
        elif not isinstance(part, SAME):
            yield part.name, call.outputs[0]


def summary_set(summariser: Summariser, source: Source, θ_fid: np.ndarray) -> SummarySet:
    """Return the summaries that a network makes of a source."""
    δθ = None if source.δθ is None else source.δθ.numpy()
    fiducial, derivative = summariser.summaries(source)
    is_stencil = source.is_present is not None
    return SummarySet(fiducial, derivative, θ_fid, δθ, source.n_external, is_stencil)


def _information(features: SummarySet) -> float:
    """Return ln det F of a linear readout of features, solved on one half of the seeds."""
    given = features.fiducial, features.slopes, features.n_external, features.n_params
    try:
        fiducial, slopes = cross_fitted(*given, is_present=features.is_present)
    except ValueError:  # no ridge tells the parameters apart
        return -np.inf
    kept = replace(features, fiducial=fiducial, derivative=slopes, δθ=None)
    value = kept.statistics.log_det_F
    return value if np.isfinite(value) else -np.inf
