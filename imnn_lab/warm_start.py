"""The last layer in closed form, and whitening.

For fixed features h, the input of a linear last layer, the best n_params linear summaries are
known: the score compression x = h W with

    W = (C_h + ρ D)⁻¹ ∂μ_hᵀ

(Heavens, Jimenez & Lahav 2000), whose ridge ρ keeps it from fitting the noise of a finite set of
simulations; D is diag(C_h), or the mean of diag(C_h) times 1, which holds features of small
variance back. C_h is the mean over the fiducial simulations and those above and below, each about
its own mean, which doubles the simulations it is estimated from. ρ and D are those that give the
largest ln det F on another set, on average over both directions: solved on training and judged on
validation, and the other way round. Any affine map of the summaries leaves F as it is, so that the
scale is free: x → L⁻¹(x − μ), with C = L Lᵀ the covariance over the fiducial simulations, has
unit covariance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
from scipy import linalg

from imnn_lab.compression import Compressor
from imnn_lab.feature_moments import feature_moments
from imnn_lab.results import FisherStatistics, log_determinant
from imnn_lab.sources.source import Source

RIDGES = tuple(float(ρ) for ρ in np.logspace(-5, 2, 22))


@dataclass(frozen=True)
class Readout:
    """A linear map W of features to summaries, and the ridge that gave it.

    Attributes
    ----------
    W : ndarray, shape (n_features, n_summaries)
    ρ : float
        Strength of the ridge.
    each : bool
        Whether the ridge is in units of each feature's variance, or of their mean.
    """

    W: np.ndarray
    ρ: float
    each: bool

    def log_det_F(self, features: FisherStatistics) -> float:
        """Return ln det F of the known summaries and those of a set with these features."""
        W = linalg.block_diag(np.eye(features.n_external), self.W)
        return FisherStatistics(features.μ @ W, W.T @ features.C @ W, features.dμ_dθ @ W).log_det_F


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
    compressor = Compressor(keras.Model(model.inputs[0], layer.input))
    found = feature_moments(compressor, training)
    if validation is not None:
        other = feature_moments(compressor, validation).pooled
        readout = solve(found.pooled, other, layer.units)
    else:
        choice = solve(*found.halves, layer.units)
        readout = _with_ridge(choice, found.pooled, layer.units)
    fiducial, W = found.fiducial, readout.W
    whitening = whiten(W.T @ fiducial.network_C @ W) if whitened else None
    if whitening is not None:
        W = W @ whitening
    layer.kernel.assign(W)
    if layer.use_bias:
        layer.bias.assign(-fiducial.μ[fiducial.n_external :] @ W)
    return readout


def solve(training: FisherStatistics, validation: FisherStatistics, n_summaries: int) -> Readout:
    """Return the readout of the training features with the ridge that generalises best."""
    there, back = (
        {(r.ρ, r.each): (r, r.log_det_F(other)) for r in readouts(mine, n_summaries)}
        for mine, other in ((training, validation), (validation, training))
    )
    values = {key: there[key][1] + back[key][1] for key in there.keys() & back.keys()}
    values = {key: value for key, value in values.items() if np.isfinite(value)}
    if not values:
        raise ValueError(
            "The network's features do not tell the parameters apart: F is singular for every "
            "ridge. Check that the simulations respond to every parameter, or use warm_start=False."
        )
    return there[max(values, key=lambda key: (values[key], key))][0]


def readouts(features: FisherStatistics, n_summaries: int) -> Iterator[Readout]:
    """Yield one readout with unit covariance for each ridge that leaves the problem solvable.

    Beside known summaries it is that of what these leave unexplained of the features.
    """
    C, dμ_dθ, known_F = _unexplained(features)
    scale = np.sqrt(np.diag(features.network_C))
    alive = scale > 1e-6 * max(scale.max(), np.finfo(float).tiny)
    for each in (True, False):
        size = np.where(alive, scale, 1) if each else np.sqrt(np.mean(scale**2))
        inverse_scale = alive / np.maximum(size, np.finfo(float).tiny)
        values, vectors = linalg.eigh(C * np.outer(inverse_scale, inverse_scale))
        score = vectors.T @ (inverse_scale[:, None] * dμ_dθ.T)
        for ρ in RIDGES:
            shrunk = score / (np.clip(values, 0, None) + ρ)[:, None]
            directions = inverse_scale[:, None] * (vectors @ shrunk)
            if n_summaries < directions.shape[1]:
                directions = directions @ _most_informative(known_F, score.T @ shrunk, n_summaries)
            W = _completed(directions, C, n_summaries)
            whitening = whiten(W.T @ features.network_C @ W)
            if whitening is not None:
                yield Readout(W @ whitening, ρ, each)


def _unexplained(features: FisherStatistics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Σ and V of the features given the known summaries t, and F of t alone.

    Σ = C_h − Uᵀ C_t⁻¹ U and V = ∂μ_h − ∂μ_t C_t⁻¹ U, with U the covariance of t and h.
    """
    n, C, dμ_dθ = features.n_external, features.C, features.dμ_dθ
    if not n:
        return C, dμ_dθ, np.zeros((len(dμ_dθ),) * 2)
    scale = np.sqrt(np.diag(C)[:n])
    inverse = np.linalg.pinv(C[:n, :n] / np.outer(scale, scale), hermitian=True)
    inverse /= np.outer(scale, scale)
    U = C[:n, n:]
    F = dμ_dθ[:, :n] @ inverse @ dμ_dθ[:, :n].T
    return C[n:, n:] - U.T @ inverse @ U, dμ_dθ[:, n:] - dμ_dθ[:, :n] @ inverse @ U, F


def _most_informative(F: np.ndarray, gain: np.ndarray, n: int) -> np.ndarray:
    """Return the n combinations of the scores that add most to ln det F, shape (p, n).

    They are the leading vectors of gain · m = γ F · m, each of which adds ln(1 + γ).
    """
    size = np.sqrt(np.diag(F + gain))
    units = np.outer(size, size)
    floor = 1e-9 * np.eye(len(F))
    _, vectors = linalg.eigh((gain + gain.T) / 2 / units, F / units + floor)
    return (vectors / size[:, None])[:, ::-1][:, :n]


def _with_ridge(choice: Readout, features: FisherStatistics, n_summaries: int) -> Readout:
    """Return the readout of all features with the ridge that was chosen for a part of them."""
    same = (r for r in readouts(features, n_summaries) if (r.ρ, r.each) == (choice.ρ, choice.each))
    return next(same, choice)


def _completed(directions: np.ndarray, C: np.ndarray, n_summaries: int) -> np.ndarray:
    """Add the leading principal directions of what the score directions leave of the features."""
    missing = n_summaries - directions.shape[1]
    if missing <= 0:
        return directions
    seen = C @ directions
    left = C - seen @ np.linalg.pinv(directions.T @ seen) @ seen.T
    _, vectors = linalg.eigh(left, subset_by_index=[len(C) - missing, len(C) - 1])
    return np.hstack([directions, vectors])


def whiten(C: np.ndarray) -> np.ndarray | None:
    """Return A with Aᵀ C A = 1, or None where C is singular.

    C is brought to unit diagonal first, so that summaries of very different scales do no harm.
    """
    if not np.isfinite(C).all() or not (np.diag(C) > 0).all():
        return None
    scale = np.sqrt(np.diag(C))
    correlation = C / np.outer(scale, scale)
    try:
        L = linalg.cholesky(correlation, lower=True)
    except linalg.LinAlgError:
        return None
    if not log_determinant(correlation) > -30 * len(C):
        return None
    return linalg.solve_triangular(L, np.diag(1 / scale), lower=True).T


def last_dense_layer(model: keras.Model) -> keras.layers.Dense | None:
    """Return the linear `Dense` layer that a model ends in, or None."""
    layers = getattr(model, "layers", [])
    if not layers or not isinstance(layers[-1], keras.layers.Dense):
        return None
    layer = layers[-1]
    linear = layer.activation is keras.activations.linear
    ends_here = getattr(model, "outputs", None) and layer.output is model.outputs[0]
    return layer if linear and ends_here and layer.trainable else None
