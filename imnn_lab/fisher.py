"""The moments of summaries, from which the Fisher information follows, in TensorFlow.

    μ = ⟨x⟩                          C = Σ (x − μ)(x − μ)ᵀ / (n_s − 1)
    ∂μ/∂θ = ⟨(x⁺ − x⁻)/δθ⟩           F = ∂μ C⁻¹ ∂μᵀ

(Charnock, Lavaux & Wandelt 2018, equations 8 to 13.) The derivative from other points than x⁻ and
x⁺ is that of `imnn_lab.stencils`, the mean over the seeds of each parameter. Moments are computed
in float64 whatever the dtype of the network, so that ln det F neither overflows nor loses digits.
`FisherStatistics` and, in the graph, `imnn_lab.loss` compute F from them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab.results import FisherStatistics


class Moments(NamedTuple):
    """Mean (s,), covariance (s, s) and mean derivative (p, s) of summaries, as float64 tensors."""

    μ: tf.Tensor
    C: tf.Tensor
    dμ_dθ: tf.Tensor


def mean_derivative(
    derivative_summaries: tf.Tensor,
    δθ: tf.Tensor | None,
    is_present: np.ndarray | tf.Tensor | None = None,
) -> tf.Tensor:
    """Return ∂μ/∂θ, shape (p, s).

    Parameters
    ----------
    derivative_summaries : tensor, shape (n_d, 2, p, s), or (n_d, p, s) if `δθ` is None
        Summaries below and above the fiducial parameters, or the derivatives of the summaries.
    δθ : tensor, shape (p,), or None
        Full width of the central difference.
    is_present : array or tensor of bool, shape (n_d, p), optional
        Which derivatives there are; the others are left out.
    """
    if is_present is not None:
        counts = tf.reduce_sum(tf.cast(is_present, derivative_summaries.dtype), 0)
        zero = tf.zeros((), derivative_summaries.dtype)
        there = tf.where(tf.convert_to_tensor(is_present)[..., None], derivative_summaries, zero)
        return tf.reduce_sum(there, axis=0) / counts[:, None]
    if δθ is None:
        return tf.reduce_mean(derivative_summaries, axis=0)
    lower, upper = tf.unstack(tf.reduce_mean(derivative_summaries, axis=0))
    return (upper - lower) / δθ[:, None]


def moments(
    summaries: tf.Tensor,
    derivative_summaries: tf.Tensor,
    δθ: tf.Tensor | None,
    is_present: np.ndarray | None = None,
) -> Moments:
    """Return the moments of summaries (n_s, s) and derivative summaries (see `mean_derivative`)."""
    x = tf.cast(summaries, tf.float64)
    μ = tf.reduce_mean(x, axis=0)
    centred = x - μ
    C = tf.matmul(centred, centred, transpose_a=True) / tf.cast(tf.shape(x)[0] - 1, tf.float64)
    derivative = tf.cast(derivative_summaries, tf.float64)
    return Moments(μ, C, mean_derivative(derivative, δθ, is_present))


def fisher_statistics(
    summaries: Any,
    derivative_summaries: Any,
    δθ: Any,
    n_external: int = 0,
    is_present: np.ndarray | None = None,
) -> FisherStatistics:
    """Return the frozen statistics of summaries.

    Parameters
    ----------
    summaries : array or tensor, shape (n_s, s)
        Summaries of the fiducial simulations.
    derivative_summaries : array or tensor, shape (n_d, 2, p, s), or (n_d, p, s) if `δθ` is None
        Summaries below and above the fiducial parameters from the same seeds, or ∂x/∂θ.
    δθ : array or tensor, shape (p,), or None
        Full width of the central difference.
    n_external : int
        How many summaries, the first ones, are external.
    is_present : array of bool, shape (n_d, p), optional
        Which derivatives there are; n_d of the statistics is then the smallest number.
    """
    widths = None if δθ is None else tf.cast(δθ, tf.float64)
    μ, C, dμ_dθ = (x.numpy() for x in moments(summaries, derivative_summaries, widths, is_present))
    n_s, n_d = len(summaries), len(derivative_summaries)
    if is_present is not None:
        n_d = int(is_present.sum(axis=0).min())
    return FisherStatistics(μ, C, dμ_dθ, n_s, n_d, n_external)
