"""Fisher flow: how much information a linear readout finds in each layer of a network.

The readout of a layer is solved on one half of the seeds and applied to the other, both ways (see
`imnn_lab.networks.cross_fitting`), so that wide layers are not favoured. (After the Fisher flow of
arXiv:2509.02407.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np

from imnn_lab.diagnostics import SummarySet
from imnn_lab.estimator import Summariser
from imnn_lab.networks.cross_fitting import cross_fitted
from imnn_lab.sources.source import Source

MOST_FEATURES = 1000  # of a layer whose readout is solved


@dataclass(frozen=True, eq=False)
class FisherFlow:
    """Information of linear readouts of the layers of a network.

    Attributes
    ----------
    layers : tuple of str
        Names, from the data on.
    widths : tuple of int
        Numbers of features.
    before, now : ndarray, shape (n_layers,)
        ln det F before any training and now: −∞ where a readout finds no information about a
        parameter, NaN for a layer that is too wide.
    """

    layers: tuple[str, ...]
    widths: tuple[int, ...]
    before: np.ndarray
    now: np.ndarray

    def __str__(self) -> str:
        rows = [f"{'layer':32}{'features':>10}{'ln det F before':>18}{'now':>10}"]
        for row in zip(self.layers, self.widths, self.before, self.now, strict=True):
            name, width, *values = row
            before, now = ("too wide" if np.isnan(x) else f"{x:.3f}" for x in values)
            rows.append(f"{name:32}{width:10,}{before:>18}{now:>10}")
        return "\n".join(rows)


def fisher_flow(
    model: keras.Model, source: Source, θ_fid: np.ndarray, initial: Sequence[np.ndarray]
) -> FisherFlow:
    """Return the information of each layer's output, with the weights now and before training.

    Parameters
    ----------
    model : keras.Model
        Whose layers follow each other, or a graph of them.
    source : Source
        Simulations.
    θ_fid : ndarray, shape (n_params,)
    initial : sequence of ndarray
        Values of the model's variables before training.
    """
    values = {id(v.value): x for v, x in zip(model.variables, initial, strict=True)}
    names, widths, before, now = [], [], [], []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        output = layer.output
        names.append(layer.name)
        widths.append(int(np.prod(output.shape[1:])))
        if widths[-1] > MOST_FEATURES:
            before.append(np.nan)
            now.append(np.nan)
            continue
        flat = output if len(output.shape) == 2 else keras.layers.Flatten()(output)
        summariser = Summariser(keras.Model(model.inputs, flat), source.dtype)
        now.append(_information(summariser, source, θ_fid))
        before.append(_information(summariser.with_weights(values), source, θ_fid))
    return FisherFlow(tuple(names), tuple(widths), np.array(before), np.array(now))


def summary_set(summariser: Summariser, source: Source, θ_fid: np.ndarray) -> SummarySet:
    """Return the summaries that a network makes of a source."""
    δθ = None if source.δθ is None else source.δθ.numpy()
    fiducial, derivative = summariser.summaries(source)
    is_stencil = source.is_present is not None
    return SummarySet(fiducial, derivative, θ_fid, δθ, source.n_external, is_stencil)


def _information(summariser: Summariser, source: Source, θ_fid: np.ndarray) -> float:
    features = summary_set(summariser, source, θ_fid)
    given = features.fiducial, features.slopes, source.n_external, len(θ_fid)
    try:
        fiducial, slopes = cross_fitted(*given, is_present=features.is_present)
    except ValueError:  # no ridge tells the parameters apart
        return -np.inf
    kept = replace(features, fiducial=fiducial, derivative=slopes, δθ=None)
    value = kept.statistics.log_det_F
    return value if np.isfinite(value) else -np.inf
