"""The projected objective: features are trained for their best linear readout.

The features h are the input of a linear last layer, of which the best weights are known (see
`imnn_lab.networks.last_layer`). Only the layers before it are trained; it follows them (variable
projection: Golub & Pereyra 1973). With the seeds in two halves, A and B,

    W_A = (C_A + R_A)⁻¹ ∂μ_Aᵀ        Λ = −½ [ln det F_B(h W_A) + ln det F_A(h W_B)]

so that what W_A owes to the noise of its half counts for nothing on the other one. C_A, as in
`last_layer`, is over all simulations of half A; R_A is diagonal, a multiple of the variance of each
feature, chosen by the closed form when the fit begins, but at least a tenth. F does not change
under h W → h W A, so that there is no scale to regularise. External summaries stand before the
features, with no ridge.

Features that are trained overfit a fixed set of simulations sooner than their readout does, which
that tenth delays, and that each iteration draws the seeds of A and B anew, half of all. The last
layer is solved from all of them.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from imnn_lab import checks, slopes
from imnn_lab.fisher import mean_derivative
from imnn_lab.loss import information, loss_and_information
from imnn_lab.networks.frozen import Cut
from imnn_lab.networks.last_layer import ClosedForm
from imnn_lab.sources.source import FIRST, Source
from imnn_lab.summaries import Compressor, moments_of, split, with_external
from imnn_lab.training.step import Gradient, gradient_of

FLOOR = 1e-10  # least ridge, so that features may be copies of each other
FEWEST = 8  # simulations, of which a quarter has a covariance
LEAST = 0.1  # least ridge of trained features


class Part(NamedTuple):
    """Features of some seeds.

    Attributes
    ----------
    rows : tensor, shape (k, D)
        Features about the mean of their group, of such weights that C = rowsᵀ rows.
    dμ_dθ : tensor, shape (p, D)
    """

    rows: tf.Tensor
    dμ_dθ: tf.Tensor


def part(
    fiducial: tf.Tensor,
    derivative: tf.Tensor,
    δθ: tf.Tensor | None,
    is_present: np.ndarray | tf.Tensor | None = None,
) -> Part:
    """Return the part of features (n, D) and of derivative features (see `mean_derivative`)."""
    width = fiducial.shape[-1]
    groups = [tf.reshape(fiducial, (-1, 1, width))]
    if δθ is not None:
        groups.append(tf.reshape(derivative, (derivative.shape[0], -1, width)))
    groups = [x for x in groups if x.shape[0] > 1]
    total = sum(x.shape[0] for x in groups)
    rows = []
    for x in groups:
        n, n_groups = x.shape[:2]
        weight = np.sqrt(n / total / (n_groups * (n - 1)))
        rows.append(weight * tf.reshape(x - tf.reduce_mean(x, 0), (-1, width)))
    return Part(tf.concat(rows, 0), mean_derivative(derivative, δθ, is_present))


def readout(part: Part, ridge: tf.Tensor) -> tf.Tensor:
    """Return W = (C + R)⁻¹ ∂μᵀ, shape (D, p), with R = ridge · diag C.

    Its derivative is that of a step of Newton's method from the solution, which takes products with
    W alone, not with C.
    """
    rows, score = part.rows, tf.transpose(part.dμ_dθ)
    variance = tf.reduce_sum(rows**2, 0)
    R = tf.where(variance > 0, tf.maximum(ridge, FLOOR) * variance, 1.0)
    C = tf.matmul(*(tf.stop_gradient(rows),) * 2, transpose_a=True)
    L = tf.linalg.cholesky(C + tf.linalg.diag(tf.stop_gradient(R)))
    W = tf.linalg.cholesky_solve(L, tf.stop_gradient(score))
    residual = score - tf.matmul(rows, tf.matmul(rows, W), transpose_a=True) - R[:, None] * W
    return W + tf.linalg.cholesky_solve(L, residual)


def log_det_F(part: Part, W: tf.Tensor) -> tf.Tensor:
    """Return ln det F of the summaries h W."""
    x = tf.matmul(part.rows, W)
    L = tf.linalg.cholesky(tf.matmul(x, x, transpose_a=True))
    return information(L, tf.matmul(part.dμ_dθ, W))[1]


def cross_fitted_loss(
    fiducial: tf.Tensor,
    derivative: tf.Tensor,
    δθ: tf.Tensor | None,
    ridge: tf.Tensor,
    is_present: tf.Tensor | None = None,
) -> tf.Tensor:
    """Return Λ of features in float64, (n_s, D) and (n_d, 2, p, D), or (n_d, p, D) without δθ."""
    n, m = fiducial.shape[0] // 2, derivative.shape[0] // 2
    there = (None, None) if is_present is None else (is_present[:m], is_present[m:])
    A = part(fiducial[:n], derivative[:m], δθ, there[0])
    B = part(fiducial[n:], derivative[m:], δθ, there[1])
    return -(log_det_F(B, readout(A, ridge)) + log_det_F(A, readout(B, ridge))) / 2


def half(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return half of the rows, drawn with a seed (2,)."""
    order = tf.argsort(tf.random.stateless_uniform((x.shape[0],), seed))
    return tf.gather(x, order[: x.shape[0] // 2])


def fair_half(is_present: np.ndarray, seed: tf.Tensor) -> tf.Tensor:
    """Return half of the seeds (rows,), drawn with a seed (2,): two quarters, one after the other.

    In each, a parameter has about a quarter of its simulations.
    """
    place = tf.random.stateless_uniform((len(is_present),), seed)
    order = tf.argsort(slopes.patterns(is_present).astype(np.float32) + place)
    return tf.concat([order[0::4], order[1::4]], 0)


class Projected:
    """The layers before the last of a network, their objective, and the last one, which follows.

    Parameters
    ----------
    closed_form : ClosedForm or None
        For the last layer, None if that is not a linear one.
    source : Source
        What it is trained on.

    Attributes
    ----------
    compressor : Compressor
        From simulations to features.
    ridge : tf.Variable, shape (D,)
        Ridge of each feature, in units of its variance; 0 for external summaries.

    Raises
    ------
    ValueError
        If the objective is not defined for the model or the numbers of simulations.
    """

    def __init__(self, closed_form: ClosedForm | None, source: Source) -> None:
        if closed_form is None:
            raise _refusal("networks that end in a linear Dense layer", "another last layer")
        self.layer, self.compressor = closed_form.layer, closed_form.compressor
        if self.layer.units < source.n_params:
            expected = f"n_summaries ≥ n_params = {source.n_params}"
            raise _refusal(expected, f"n_summaries = {self.layer.units}")
        shares = 1 if source.is_present is None or source.is_present.all() else 4
        if min(source.n_s, source.n_d // shares) < FEWEST:
            received = f"n_s = {source.n_s} and n_d = {source.n_d}"
            raise _refusal(f"at least {shares * FEWEST} simulations of each kind", received)
        self._closed_form, self._behind = closed_form, self.compressor
        if not self.compressor.model.trainable_variables:
            raise _refusal("layers to train before the last one", "none")
        width = self.compressor.width(source)
        self.ridge = tf.Variable(tf.zeros(width, tf.float64), trainable=False)

    def start_from(self, cut: Cut | None) -> None:
        """Take the features of a cut network from now on, or simulations for None."""
        behind = None if cut is None else partial(cut.second, output=self.layer.input)
        self._behind = Compressor(self.compressor.model, behind)

    def choose_ridge(self, training: Source, validation: Source | None) -> np.ndarray:
        """Solve the last layer in closed form; return the ridge of each feature for training."""
        found = self._closed_form.start(training.fixed(), validation)
        assert found.variance is not None
        variance = np.maximum(found.variance, FLOOR * found.variance.max())
        ridge = found.ρ * (np.ones_like(variance) if found.factors is None else found.factors)
        if not found.each:
            ridge *= variance.mean() / variance
        return np.concatenate([np.zeros(training.n_external), np.maximum(ridge, LEAST)])

    def gradient(
        self, source: Source, λ: tf.Tensor, α: tf.Tensor, step: tf.Tensor = FIRST
    ) -> Gradient:
        """Return the loss and its gradient by the weights before the last layer, which follows.

        The source is one of simulations, or of the features of the cut of `start_from`.
        Moments and terms but the loss are those of the summaries, as for `loss_gradient`.
        """

        def loss(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            sets, is_present = self._parts(source, features), source.is_present
            if is_present is not None:
                chosen = fair_half(is_present, tf.stack([step, 1]))
                sets = half(sets[0], tf.stack([step, 0])), tf.gather(sets[1], chosen)
                is_present = tf.gather(is_present, chosen)
            elif not source.is_fresh:
                sets = tuple(half(x, tf.stack([step, i])) for i, x in enumerate(sets))
            return cross_fitted_loss(*sets, source.δθ, self.ridge, is_present), features

        value, features, gradient = gradient_of(loss, self._behind, source, step)
        self._follow(source, features)
        moments = moments_of(source, tf.matmul(features, self.layer.kernel.value))
        if self.layer.use_bias:
            shift = tf.pad(tf.cast(self.layer.bias.value, tf.float64), [[source.n_external, 0]])
            moments = moments._replace(μ=moments.μ + shift)
        terms = loss_and_information(moments, λ, α, source.n_external)
        return Gradient(moments, terms._replace(loss=value), gradient)

    def _parts(self, source: Source, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return split(source, tf.cast(with_external(source, features), tf.float64))

    def _follow(self, source: Source, features: tf.Tensor) -> None:
        """Give the last layer the readout of all simulations, with unit covariance.

        Summaries beyond the first n_params keep their directions but for the whitening.
        """
        fiducial, derivative = self._parts(source, features)
        own = slice(source.n_external, None)
        found = part(fiducial, derivative, source.δθ, source.is_present)
        W = readout(found, self.ridge)[own]
        now = tf.cast(self.layer.kernel.value, tf.float64)
        kernel = tf.concat([W, now[:, source.n_params :]], 1)
        mean = tf.reduce_mean(fiducial[:, own], 0)
        x = tf.matmul(fiducial[:, own] - mean, kernel)
        size = tf.sqrt(tf.reduce_sum(x**2, 0) / (source.n_s - 1))
        x, kernel = x / size, kernel / size
        L = tf.linalg.cholesky(tf.matmul(x, x, transpose_a=True) / (source.n_s - 1))
        kernel = tf.transpose(tf.linalg.triangular_solve(L, tf.transpose(kernel)))
        kernel = tf.where(tf.reduce_all(tf.math.is_finite(kernel)), kernel, now)
        self.layer.kernel.assign(tf.cast(kernel, source.dtype))
        if self.layer.use_bias:
            bias = -tf.linalg.matvec(kernel, mean, transpose_a=True)
            self.layer.bias.assign(tf.cast(bias, source.dtype))


def _refusal(expected: str, received: str) -> ValueError:
    remedy = "Use objective='imnn'."
    return ValueError(
        checks.wording("objective='projected'", f"be used with {expected}", received, remedy)
    )
