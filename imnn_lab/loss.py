"""The loss: Λ = −ln det F + r Λ2, with r = λ Λ2 / (Λ2 + exp(−α Λ2)).

(Charnock, Lavaux & Wandelt 2018, equation 19; the gradient flows through r as well.)
"""

from __future__ import annotations

import tensorflow as tf

from imnn_lab.fisher import Information


def strength(Λ2: tf.Tensor, λ: tf.Tensor, α: tf.Tensor) -> tf.Tensor:
    """Return r(Λ2), the dynamic strength of the regularisation (scalar)."""
    return λ * Λ2 / (Λ2 + tf.exp(-α * Λ2))


def imnn_loss(information: Information, λ: tf.Tensor, α: tf.Tensor) -> tf.Tensor:
    """Return the loss of one set of summaries (scalar, float64)."""
    return -information.log_det_F + strength(information.Λ2, λ, α) * information.Λ2
