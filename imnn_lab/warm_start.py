"""The last layer in closed form, and whitening.

For fixed features h, the input of a linear last layer, the best n_params linear summaries are
known: the score compression x = h W with

    W = (C_h + ρ D)⁻¹ ∂μ_hᵀ,      D = diag(C_h)

(Heavens, Jimenez & Lahav 2000), whose ridge ρ keeps it from fitting the noise of a finite set of
simulations. ρ is the one that gives the largest ln det F on another set. Any affine map
of the summaries leaves F as it is, so that the scale can be chosen: x → L⁻¹(x − μ), C = L Lᵀ, has
unit covariance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
from scipy import linalg

from imnn_lab.compression import Compressor
from imnn_lab.results import FisherStatistics, log_determinant
from imnn_lab.sources.arrays import ArraySource as Source

RIDGES = (0.0, *(float(ρ) for ρ in np.logspace(-5, 1, 13)))


@dataclass(frozen=True)
class Readout:
    """A linear map of features to summaries, x = h W + b."""

    W: np.ndarray
    b: np.ndarray
    ρ: float

    def moments(self, features: FisherStatistics) -> FisherStatistics:
        """Return the statistics of the summaries from those of the features."""
        return FisherStatistics(
            μ=features.μ @ self.W + self.b,
            C=self.W.T @ features.C @ self.W,
            dμ_dθ=features.dμ_dθ @ self.W,
            n_s=features.n_s,
            n_d=features.n_d,
        )


def solve(training: FisherStatistics, validation: FisherStatistics, n_summaries: int) -> Readout:
    """Return the readout whose ridge gives the largest ln det F on the validation features."""
    best, best_value = None, -np.inf
    for readout in readouts(training, n_summaries):
        value = readout.moments(validation).log_det_F
        if best is None or value > best_value:
            best, best_value = readout, value
    if best is None:
        raise linalg.LinAlgError("The features of the network are constant.")
    return best


def readouts(features: FisherStatistics, n_summaries: int) -> Iterator[Readout]:
    """Yield one whitened readout for each ridge that leaves the problem solvable."""
    scale = np.sqrt(np.diag(features.C))
    alive = scale > 1e-6 * max(scale.max(), np.finfo(float).tiny)
    inverse_scale = np.where(alive, 1 / np.where(alive, scale, 1), 0)
    correlation = features.C * np.outer(inverse_scale, inverse_scale)
    values, vectors = linalg.eigh(correlation)
    score = vectors.T @ (inverse_scale[:, None] * features.dμ_dθ.T)
    for ρ in RIDGES:
        if ρ == 0 and not _is_well_posed(values, features):
            continue
        directions = inverse_scale[:, None] * (
            vectors @ (score / (np.clip(values, 0, None) + ρ)[:, None])
        )
        W = _completed(directions, features.C, n_summaries)
        readout = _whitened(W, features, ρ)
        if readout is not None:
            yield readout


def _is_well_posed(values: np.ndarray, features: FisherStatistics) -> bool:
    return values[0] > 1e-7 * values[-1] and len(values) <= features.n_s / 2


def _completed(directions: np.ndarray, C: np.ndarray, n_summaries: int) -> np.ndarray:
    """Add the leading principal directions of what the score directions leave of the features."""
    missing = n_summaries - directions.shape[1]
    if missing <= 0:
        return directions
    seen = C @ directions
    left = C - seen @ np.linalg.pinv(directions.T @ seen) @ seen.T
    _, vectors = linalg.eigh(left, subset_by_index=[len(C) - missing, len(C) - 1])
    return np.hstack([directions, vectors])


def _whitened(W: np.ndarray, features: FisherStatistics, ρ: float) -> Readout | None:
    whitening = whiten(W.T @ features.C @ W)
    if whitening is None or not np.isfinite(W).all():
        return None
    W = W @ whitening
    return Readout(W, -features.μ @ W, ρ)


def whiten(C: np.ndarray) -> np.ndarray | None:
    """Return A with Aᵀ C A = 1, or None where C is singular.

    C is brought to unit diagonal first, so that summaries of very different scales do no harm.
    """
    scale = np.sqrt(np.diag(C))
    if not np.isfinite(C).all() or not (scale > 0).all():
        return None
    try:
        L = linalg.cholesky(C / np.outer(scale, scale), lower=True)
    except linalg.LinAlgError:
        return None
    A = linalg.solve_triangular(L, np.diag(1 / scale), lower=True).T
    return A if np.isfinite(log_determinant(C / np.outer(scale, scale))) else None


def last_dense_layer(model: keras.Model) -> keras.layers.Dense | None:
    """Return the linear `Dense` layer that a model ends in, or None."""
    layers = getattr(model, "layers", [])
    if not layers or not isinstance(layers[-1], keras.layers.Dense):
        return None
    layer = layers[-1]
    linear = layer.activation is keras.activations.linear
    ends_here = getattr(model, "outputs", None) and layer.output is model.outputs[0]
    return layer if linear and ends_here and layer.trainable and layer.use_bias else None


def start(
    layer: keras.layers.Dense,
    model: keras.Model,
    training: Source,
    validation: Source | None,
    whitened: bool = True,
) -> Readout:
    """Solve the last layer of a model in closed form, and return the solution.

    Without a validation set the ridge is chosen by splitting the seeds of the training set.
    """
    features = keras.Model(model.inputs[0], layer.input)
    statistics = Compressor(features).statistics
    found = statistics(training)
    if validation is not None:
        readout = solve(found, statistics(validation), layer.units)
    else:
        first, second = (statistics(half) for half in training.halves())
        ρ = solve(first, second, layer.units).ρ
        readout = _at(ρ, found, layer.units)
    W = readout.W if whitened else readout.W * 1.0
    layer.kernel.assign(W)
    if layer.use_bias:
        layer.bias.assign(readout.b)
    return readout


def _at(ρ: float, features: FisherStatistics, n_summaries: int) -> Readout:
    return min(readouts(features, n_summaries), key=lambda readout: abs(readout.ρ - ρ))
