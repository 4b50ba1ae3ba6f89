"""The last layer in closed form, and whitening.

For fixed features h, the input of a linear last layer, the best n_params linear summaries are
known: the score compression x = h W with

    W = (C_h + ρ D)⁻¹ ∂μ_hᵀ

(Heavens, Jimenez & Lahav 2000), whose ridge ρ keeps it from fitting the noise of a finite set of
simulations; D is diag(C_h), or the mean of diag(C_h) times 1, which shrinks features of small
variance most. ρ and D are those that give the largest ln det F on another set, on average over both
directions: solved on training and evaluated on validation, and the other way round. Any affine map
of the summaries leaves F unchanged, so that the scale is free: x → L⁻¹(x − μ), with C = L Lᵀ the
covariance over the fiducial simulations, has unit covariance.

The moments of the features are added up chunk by chunk, for each half of the seeds, so that memory
is set by the number of features and the chunk, not by the number of simulations. C_h is the mean
over the fiducial simulations and those above and below, each about its own mean, which doubles the
simulations that it is estimated from. External summaries come before the features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import linalg

from imnn_lab.results import FisherStatistics, log_determinant
from imnn_lab.sources.source import FIRST, Rows, Source
from imnn_lab.summaries import Compressor, with_external

RIDGES = tuple(float(ρ) for ρ in np.logspace(-5, 2, 22))
FEWEST = 4  # simulations whose halves have a covariance each


# Moments of the features --------------------------------------------------------------------


class Sums(NamedTuple):
    """Sums over rows, by half of the seeds.

    Attributes
    ----------
    count : tensor, shape (2, groups)
        Groups are fiducial, then each side and parameter.
    first : tensor, shape (2, groups, D)
        Sums of the features.
    fiducial, derivative : tensor, shape (2, D, D)
        Sums of products of features over fiducial and over derivative simulations.
    """

    count: tf.Tensor
    first: tf.Tensor
    fiducial: tf.Tensor
    derivative: tf.Tensor


@dataclass(frozen=True)
class FeatureMoments:
    """Statistics of features over all simulations, and over the halves of their seeds.

    Attributes
    ----------
    fiducial : FisherStatistics
        With C over the fiducial simulations alone.
    pooled : FisherStatistics
        With C over all simulations.
    halves : tuple of FisherStatistics
        Pooled, over each half of the seeds.
    """

    fiducial: FisherStatistics
    pooled: FisherStatistics
    halves: tuple[FisherStatistics, FisherStatistics]


def feature_moments(compressor: Compressor, source: Source) -> FeatureMoments:
    """Return the moments of the features that a network computes from a source."""
    width, groups = compressor.width(source), 1 + source.sides * source.n_params

    def add(rows: Rows, sums: Sums) -> Sums:
        outputs = compressor.compress(rows, training=False)
        features = tf.cast(with_external(source, outputs, rows.positions), tf.float64)
        return _add_rows(source, rows.positions, features, sums)

    def total() -> Sums:
        shapes = [(2, groups), (2, groups, width), (2, width, width), (2, width, width)]
        zeros = Sums(*(tf.zeros(shape, tf.float64) for shape in shapes))
        return source.feed(FIRST).fold(add, zeros)

    sums = [x.numpy() for x in tf.function(total, autograph=False).get_concrete_function()()]
    fiducial, pooled = _statistics(source, *(x.sum(0) for x in sums))
    first, second = (_statistics(source, *(x[half] for x in sums))[1] for half in (0, 1))
    return FeatureMoments(fiducial, pooled, (first, second))


def _add_rows(source: Source, positions: tf.Tensor, features: tf.Tensor, sums: Sums) -> Sums:
    """Return the sums with those of more rows, features (k, D)."""
    groups = source.groups(positions)
    half = tf.cast(source.is_second_half(positions), tf.int32)
    n_groups = sums.count.shape[1]
    one_hot = tf.one_hot(half * n_groups + groups, 2 * n_groups, dtype=tf.float64)
    count = tf.reshape(tf.reduce_sum(one_hot, 0), sums.count.shape)
    first = tf.reshape(tf.matmul(one_hot, features, transpose_a=True), sums.first.shape)

    is_derivative = tf.cast(groups > 0, tf.int32)
    parts = tf.dynamic_partition(features, 2 * is_derivative + half, 4)
    products = [tf.matmul(x, x, transpose_a=True) for x in parts]
    new = Sums(count, first, tf.stack(products[:2]), tf.stack(products[2:]))
    return Sums(*(a + b for a, b in zip(sums, new, strict=True)))


def _statistics(
    source: Source,
    count: np.ndarray,
    first: np.ndarray,
    fiducial: np.ndarray,
    derivative: np.ndarray,
) -> tuple[FisherStatistics, FisherStatistics]:
    """Return the statistics with C over the fiducial simulations, and pooled."""
    means = first / count[:, None]
    n_s, n_d = int(count[0]), int(count[1])
    C = _covariance(fiducial, means[:1], n_s)
    if source.δθ is None:
        dμ_dθ, covariances = means[1:], [(n_s, C)]
    else:
        lower, upper = np.split(means[1:], 2)
        dμ_dθ = (upper - lower) / source.δθ.numpy()[:, None]
        covariances = [(n_s, C), (n_d, _covariance(derivative, means[1:], n_d))]
    covariances = [(n, each) for n, each in covariances if n > 1] or covariances
    weights, matrices = zip(*covariances, strict=True)
    pooled = np.average(matrices, axis=0, weights=weights)
    statistics = FisherStatistics(means[0], C, dμ_dθ, n_s, n_d, source.n_external)
    return statistics, replace(statistics, C=pooled)


def _covariance(products: np.ndarray, means: np.ndarray, n: int) -> np.ndarray:
    """Return the mean covariance of groups of n rows, each about its mean; NaN for one row."""
    if n < 2:
        return np.full_like(products, np.nan)
    return (products - n * means.T @ means) / (len(means) * (n - 1))


# The solution -------------------------------------------------------------------------------


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
        """Return ln det F of external and own summaries together, for a set with these features."""
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
    moments = feature_moments(compressor, training)
    if validation is not None:
        other = feature_moments(compressor, validation).pooled
        readout = solve(moments.pooled, other, layer.units)
    else:
        _check_halves(training)
        choice = solve(*moments.halves, layer.units)
        readout = _with_ridge(choice, moments.pooled, layer.units)
    fiducial, W = moments.fiducial, readout.W
    whitening = whiten(W.T @ fiducial.network_C @ W) if whitened else None
    if whitening is not None:
        W = W @ whitening
    layer.kernel.assign(W)
    if layer.use_bias:
        layer.bias.assign(-fiducial.μ[fiducial.n_external :] @ W)
    return readout


def _check_halves(training: Source) -> None:
    if training.n_s < FEWEST and (training.is_exact or training.n_d < FEWEST):
        raise ValueError(
            "Without validation simulations, the last layer is started from a comparison of two "
            f"halves of the training set, which takes {FEWEST} simulations. "
            f"Received n_s = {training.n_s} and n_d = {training.n_d}. "
            "Pass validation simulations, or use warm_start=False."
        )


def solve(training: FisherStatistics, validation: FisherStatistics, n_summaries: int) -> Readout:
    """Return the readout of the training features with the ridge that generalises best."""
    candidates = {(r.ρ, r.each): r for r in readouts(training, n_summaries)}
    values = {}
    for reverse in readouts(validation, n_summaries):
        key = reverse.ρ, reverse.each
        if key in candidates:
            values[key] = candidates[key].log_det_F(validation) + reverse.log_det_F(training)
    values = {key: value for key, value in values.items() if np.isfinite(value)}
    if not values:
        raise ValueError(
            "The network's features do not tell the parameters apart: F is singular for every "
            "ridge. Check that the simulations respond to every parameter, or use warm_start=False."
        )
    return candidates[max(values, key=lambda key: (values[key], key))]


def readouts(features: FisherStatistics, n_summaries: int) -> Iterator[Readout]:
    """Yield one readout with unit covariance for each ridge that leaves the problem solvable.

    Beside external summaries, it is the readout of the part of the features that these leave
    unexplained.
    """
    C, dμ_dθ, external_F = _unexplained(features)
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
                gain = score.T @ shrunk
                directions = directions @ _most_informative(external_F, gain, n_summaries)
            W = _with_principal_directions(directions, C, n_summaries)
            whitening = whiten(W.T @ features.network_C @ W)
            if whitening is not None:
                yield Readout(W @ whitening, ρ, each)


def _unexplained(features: FisherStatistics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Σ and V of the features h given the external summaries t, and F of t alone.

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
    """Return the n combinations of scores that add most to ln det F, shape (p, n).

    They are the leading vectors of gain · m = γ F · m, each of which adds ln(1 + γ).

    Parameters
    ----------
    F : ndarray, shape (p, p)
        Information without the scores.
    gain : ndarray, shape (p, p)
        Information of all p scores, which is their covariance.
    n : int
    """
    size = np.sqrt(np.diag(F + gain))
    units = np.outer(size, size)
    floor = 1e-9 * np.eye(len(F))
    _, vectors = linalg.eigh((gain + gain.T) / 2 / units, F / units + floor)
    return (vectors / size[:, None])[:, ::-1][:, :n]


def _with_ridge(choice: Readout, features: FisherStatistics, n_summaries: int) -> Readout:
    """Return the readout for all simulations with the ridge that was chosen on their halves."""
    same = (r for r in readouts(features, n_summaries) if (r.ρ, r.each) == (choice.ρ, choice.each))
    return next(same, choice)


def _with_principal_directions(
    directions: np.ndarray, C: np.ndarray, n_summaries: int
) -> np.ndarray:
    """Add principal directions of the features until there are n_summaries directions.

    They are the leading ones of the covariance of the features given h W for the directions W:
    C − C W (Wᵀ C W)⁻¹ Wᵀ C.
    """
    missing = n_summaries - directions.shape[1]
    if missing <= 0:
        return directions
    covariance = C @ directions
    remaining = C - covariance @ np.linalg.pinv(directions.T @ covariance) @ covariance.T
    _, vectors = linalg.eigh(remaining, subset_by_index=[len(C) - missing, len(C) - 1])
    return np.hstack([directions, vectors])


def whiten(C: np.ndarray) -> np.ndarray | None:
    """Return A with Aᵀ C A = 1, or None if C is singular.

    C is brought to unit diagonal first, so that the scales of the summaries may differ widely.
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
