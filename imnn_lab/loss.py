"""The loss, with everything that it is made of.

    F = ∂μ C⁻¹ ∂μᵀ                      Λ2 = ½(‖C − 1‖² + ‖C⁻¹ − 1‖²)
    r = λ Λ2 / (Λ2 + exp(−α Λ2))        Λ = −ln det F + r Λ2

(Charnock, Lavaux & Wandelt 2018, equations 13, 19 and 20; the gradient flows through r as well.)
A fit can add γ Γ, which is 0 for Gaussian summaries: with y the whitened summaries of the fiducial
simulations, of zero mean and unit covariance, it has the squares of their skewness and excess
kurtosis,

    Γ = Σ_a [⟨y_a³⟩² + (⟨y_a⁴⟩ − 3)²]   y = L⁻¹ (x − μ), C = L Lᵀ
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from imnn_lab.fisher import Moments


class LossTerms(NamedTuple):
    """The loss of one set of summaries and its ingredients: scalars, and F (p, p), in float64.

    `value` tells how good they are: ln det F − γ Γ.
    """

    loss: tf.Tensor
    F: tf.Tensor
    log_det_F: tf.Tensor
    log_det_C: tf.Tensor
    Λ2: tf.Tensor
    coupling: tf.Tensor
    value: tf.Tensor


def loss_and_information(
    moments: Moments, λ: tf.Tensor, α: tf.Tensor, n_external: int = 0
) -> LossTerms:
    """Return the loss and its ingredients; NaN, without an exception, if C or F is not positive.

    Parameters
    ----------
    moments : Moments
    λ, α : float64 scalar
        Strength and rate of the regularisation.
    n_external : int
        How many summaries, the first ones, are external: they count in F, but det C and Λ2 are
        those of the network's summaries alone.
    """
    L = tf.linalg.cholesky(moments.C)
    F, log_det_F = information(L, moments.dμ_dθ)

    C = moments.C[n_external:, n_external:]
    L = tf.linalg.cholesky(C) if n_external else L
    identity = tf.eye(tf.shape(C)[0], dtype=C.dtype)
    inverse = tf.linalg.cholesky_solve(L, identity)
    Λ2 = 0.5 * (tf.reduce_sum((C - identity) ** 2) + tf.reduce_sum((inverse - identity) ** 2))

    r = λ * Λ2 / (Λ2 + tf.exp(-α * Λ2))
    return LossTerms(-log_det_F + r * Λ2, F, log_det_F, _log_det(L), Λ2, r, log_det_F)


def non_gaussianity(summaries: tf.Tensor) -> tf.Tensor:
    """Return Γ of summaries (n, s), in float64.

    It does not depend on their means and scales. For n Gaussian simulations its mean is about
    30 s / n: 6 / n for each skewness, 24 / n for each kurtosis.
    """
    x = tf.cast(summaries, tf.float64)
    centred = x - tf.reduce_mean(x, 0)
    C = tf.matmul(centred, centred, transpose_a=True) / tf.cast(tf.shape(x)[0], tf.float64)
    y = tf.linalg.triangular_solve(tf.linalg.cholesky(C), tf.transpose(centred))
    skewness, kurtosis = tf.reduce_mean(y**3, 1), tf.reduce_mean(y**4, 1) - 3
    return tf.reduce_sum(skewness**2 + kurtosis**2)


def information(L: tf.Tensor, dμ_dθ: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return F and ln det F, given C = L Lᵀ."""
    whitened = tf.linalg.triangular_solve(L, tf.transpose(dμ_dθ))
    F = tf.matmul(whitened, whitened, transpose_a=True)
    return F, _log_det(tf.linalg.cholesky(F))


def _log_det(cholesky: tf.Tensor) -> tf.Tensor:
    return 2 * tf.reduce_sum(tf.math.log(tf.linalg.diag_part(cholesky)))
