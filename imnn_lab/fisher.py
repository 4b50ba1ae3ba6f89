"""From summaries to Fisher information, in TensorFlow, so that gradients flow.

    μ = ⟨x⟩                          C = Σ (x − μ)(x − μ)ᵀ / (n_s − 1)
    ∂μ/∂θ = ⟨(x⁺ − x⁻)/δθ⟩           F = ∂μ C⁻¹ ∂μᵀ,  through the Cholesky factor of C

(Charnock, Lavaux & Wandelt 2018, equations 8 to 13.) Statistics are computed in float64 whatever
the dtype of the network, so that ln det F neither overflows nor loses digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab.results import FisherStatistics


class Moments(NamedTuple):
    """Mean (s,), covariance (s, s) and mean derivative (p, s) of summaries, as float64 tensors."""

    μ: tf.Tensor
    C: tf.Tensor
    dμ_dθ: tf.Tensor


class Information(NamedTuple):
    """What one set of moments is worth: F (p, p) and the scalars that training watches."""

    F: tf.Tensor
    log_det_F: tf.Tensor
    log_det_C: tf.Tensor
    Λ2: tf.Tensor


def mean_derivative(derivative_summaries: tf.Tensor, δθ: tf.Tensor | None) -> tf.Tensor:
    """Return ∂μ/∂θ, shape (p, s).

    Parameters
    ----------
    derivative_summaries : tensor, shape (n_d, 2, p, s), or (n_d, p, s) where `δθ` is None
        Summaries below and above the fiducial parameters, or the derivatives of the summaries.
    δθ : tensor, shape (p,), or None
        Full width of the central difference.
    """
    if δθ is None:
        return tf.reduce_mean(derivative_summaries, axis=0)
    lower, upper = tf.unstack(tf.reduce_mean(derivative_summaries, axis=0))
    return (upper - lower) / δθ[:, None]


def moments(summaries: tf.Tensor, derivative_summaries: tf.Tensor, δθ: tf.Tensor | None) -> Moments:
    """Return the moments of summaries (n_s, s) and derivative summaries (see `mean_derivative`)."""
    x = tf.cast(summaries, tf.float64)
    μ = tf.reduce_mean(x, axis=0)
    centred = x - μ
    C = tf.matmul(centred, centred, transpose_a=True) / tf.cast(tf.shape(x)[0] - 1, tf.float64)
    return Moments(μ, C, mean_derivative(tf.cast(derivative_summaries, tf.float64), δθ))


def information(C: tf.Tensor, dμ_dθ: tf.Tensor, n_external: int = 0) -> Information:
    """Return F and its companions; NaN, without an exception, where C or F is not positive.

    The first `n_external` summaries are known: they count in F, but det C and Λ2 are those of the
    network's summaries alone.
    """
    L = tf.linalg.cholesky(C)
    whitened = tf.linalg.triangular_solve(L, tf.transpose(dμ_dθ))
    F = tf.matmul(whitened, whitened, transpose_a=True)
    if n_external:
        C = C[n_external:, n_external:]
        L = tf.linalg.cholesky(C)
    identity = tf.eye(tf.shape(C)[0], dtype=C.dtype)
    distance = C - identity
    inverse_distance = tf.linalg.cholesky_solve(L, identity) - identity
    Λ2 = 0.5 * (tf.reduce_sum(distance**2) + tf.reduce_sum(inverse_distance**2))
    return Information(F, _log_det(tf.linalg.cholesky(F)), _log_det(L), Λ2)


def fisher_statistics(
    summaries: np.ndarray, derivative_summaries: np.ndarray, δθ: np.ndarray | None
) -> FisherStatistics:
    """Return the frozen statistics of summaries.

    Parameters
    ----------
    summaries : array, shape (n_s, s)
        Summaries of the fiducial simulations.
    derivative_summaries : array, shape (n_d, 2, p, s), or (n_d, p, s) where `δθ` is None
        Summaries below and above the fiducial parameters from the same seeds, or ∂x/∂θ.
    δθ : array, shape (p,), or None
        Full width of the central difference.
    """
    found = moments(
        tf.convert_to_tensor(summaries),
        tf.convert_to_tensor(derivative_summaries),
        None if δθ is None else tf.cast(δθ, tf.float64),
    )
    μ, C, dμ_dθ = (tensor.numpy() for tensor in found)
    return FisherStatistics(μ, C, dμ_dθ, n_s=len(summaries), n_d=len(derivative_summaries))


def _log_det(cholesky: tf.Tensor) -> tf.Tensor:
    return 2 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(cholesky)))
