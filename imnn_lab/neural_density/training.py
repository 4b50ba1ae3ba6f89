"""Train a conditional density: maximum likelihood of pairs, stopped by pairs held out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from imnn_lab.neural_density.mixture import (
    FINEST,
    ConditionalMixture,
    LOG_2π,
    Standardisation,
)

HELD_OUT = 0.1  # the share of the pairs that tells when to stop
FEWEST_UPDATES = 40  # in an epoch, unless batches become smaller than the smallest
BATCHES = (50, 1000)  # smallest and largest size of a batch
SHARE = 4 / 9  # of the variance that the means of the components have at the start
PATIENCE = 20  # epochs without improvement after which training ends


@dataclass(frozen=True)
class Architecture:
    """Sizes of the networks.

    Attributes
    ----------
    hidden : tuple of int
        Units of each hidden layer.
    components : int
        Gaussians of each mixture.
    """

    hidden: tuple[int, ...] = (64, 64)
    components: int = 8


@dataclass(frozen=True)
class Epoch:
    """A pass through the pairs.

    Attributes
    ----------
    training, held_out : ndarray, shape (n_members,)
        Mean ln q of the pairs trained on, while they were, and of those held out, after it.
    best : ndarray, shape (n_members,)
        The largest `held_out` so far.
    density : ConditionalMixture
        Each member with the weights of that epoch.
    """

    training: np.ndarray
    held_out: np.ndarray
    best: np.ndarray
    density: ConditionalMixture


def train(
    features: np.ndarray,
    values: np.ndarray,
    seeds: np.random.SeedSequence,
    *,
    members: int = 4,
    epochs: int = 60,
    rate: float = 1e-2,
    architecture: Architecture = Architecture(),
    weights: np.ndarray | None = None,
) -> Iterator[Epoch]:
    """Yield the epochs of a training.

    Parameters
    ----------
    features : ndarray, shape (n, n_features)
    values : ndarray, shape (n, p)
    seeds : numpy.random.SeedSequence
    members : int
        Networks from different starts, trained at once.
    epochs : int
        The most; it ends after 20 that improve no member. The learning rate falls to zero as a
        cosine over all of them.
    rate : float
        Of learning, at the start.
    architecture : Architecture
    weights : ndarray, shape (n,), optional
        Weights of the pairs, up to a factor.
    """
    rng = np.random.default_rng(seeds)
    order = rng.permutation(len(values))
    n_held = max(1, round(HELD_OUT * len(values)))
    kept, held = order[n_held:], order[:n_held]
    weights = np.ones(len(values)) if weights is None else weights.astype(np.float64)
    for part in (kept, held):
        weights[part] /= weights[part].mean() or 1.0
    standardisation = Standardisation.fitted(features[kept], values[kept], weights[kept])
    inputs = standardisation.inputs(features)
    residuals = standardisation.residuals(inputs, values[:, None])[:, 0]
    pairs = np.concatenate([inputs, residuals, weights[:, None]], axis=1).astype(np.float32)
    graph = _Graph(
        initial_weights(features.shape[1], values.shape[1], members, architecture, rng),
        values.shape[1],
    )
    size = int(np.clip(len(kept) // FEWEST_UPDATES, *BATCHES))
    steps = -(-len(kept) // size)
    graph.compile(keras.optimizers.schedules.CosineDecay(rate, epochs * steps))
    best, since = graph.numpy(), 0
    reached = graph.log_prob(tf.constant(pairs[held])).numpy()  # of the regression alone
    log_det = standardisation.log_det
    for _ in range(epochs):
        shuffled = pairs[rng.permutation(kept)]
        shuffled = np.concatenate([shuffled, shuffled[: steps * size - len(kept)]])
        training = graph.epoch(tf.constant(shuffled.reshape(steps, size, -1))).numpy()
        held_out = graph.log_prob(tf.constant(pairs[held])).numpy()
        better = held_out > reached
        reached = np.where(better, held_out, reached)
        best = [
            np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(graph.numpy(), best, strict=True)
        ]
        since = 0 if better.any() else since + 1
        density = ConditionalMixture(standardisation, tuple(best))
        yield Epoch(training - log_det, held_out - log_det, reached - log_det, density)
        if since >= PATIENCE:
            return


class _Graph:
    """The networks of all members as variables, with an epoch of their training in one graph."""

    def __init__(self, weights: list[np.ndarray], n_values: int) -> None:
        self.variables = [tf.Variable(w) for w in weights]
        n_inputs = weights[0].shape[2]
        before = np.arange(n_inputs) < n_inputs - n_values + np.arange(n_values)[:, None]
        self._mask = tf.constant(before[..., None].astype(np.float32))
        self._n_values = n_values
        self.log_prob = tf.function(self._log_prob, reduce_retracing=True)

    def compile(self, schedule: keras.optimizers.schedules.LearningRateSchedule) -> None:
        optimiser = keras.optimizers.Adam(schedule, beta_2=0.99)
        variables = self.variables
        optimiser.build(variables)

        @tf.function(reduce_retracing=True)
        def epoch(batches: tf.Tensor) -> tf.Tensor:
            total = tf.zeros(variables[0].shape[0])
            for batch in batches:
                with tf.GradientTape() as tape:
                    log_prob = self._log_prob(batch)
                    loss = -tf.reduce_sum(log_prob)
                optimiser.apply(tape.gradient(loss, variables), variables)
                total += log_prob
            return total / tf.cast(tf.shape(batches)[0], tf.float32)

        self.epoch = epoch

    def numpy(self) -> list[np.ndarray]:
        kernel, *later = (v.numpy() for v in self.variables)
        return [kernel * self._mask.numpy(), *later]

    def _log_prob(self, pairs: tf.Tensor) -> tf.Tensor:
        """Return the mean ln q of whitened pairs, shape (n_members,).

        Parameters
        ----------
        pairs : tf.Tensor, shape (n, n_features + p + 1)
            Features, residuals, and weights whose mean is one.
        """
        kernel, *later = self.variables
        pairs, weights = pairs[:, :-1], pairs[:, -1]
        hidden = tf.einsum("bi,epih->epbh", pairs, kernel * self._mask)
        biases, kernels = later[::2], later[1::2]
        for bias, kernel in zip(biases, kernels, strict=False):
            hidden = tf.matmul(tf.tanh(hidden + bias), kernel)
        logits, mean, log_σ = tf.split(hidden + biases[-1], 3, axis=-1)
        log_σ = tf.maximum(log_σ, FINEST)
        r = tf.transpose(pairs[:, -self._n_values :])[None, :, :, None]
        terms = logits - 0.5 * tf.square((r - mean) * tf.exp(-log_σ)) - log_σ
        each = tf.reduce_logsumexp(terms, -1) - tf.reduce_logsumexp(logits, -1) - 0.5 * LOG_2π
        return tf.reduce_mean(tf.reduce_sum(each, 1) * weights, -1)


def initial_weights(
    n_features: int, p: int, members: int, architecture: Architecture, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return kernel, bias, kernel, ...: those of the density that the regression alone gives.

    All mixtures are N(0, 1), with eight components to 10⁻⁵ nats.
    """
    sizes = (n_features + p, *architecture.hidden, 3 * architecture.components)
    weights: list[np.ndarray] = []
    for inputs, outputs in itertools.pairwise(sizes):
        kernel = rng.standard_normal((members, p, inputs, outputs)) / np.sqrt(inputs)
        weights += [kernel, np.zeros((members, p, 1, outputs))]
    k = architecture.components
    means = np.linspace(-2, 2, k)
    weights[-2] *= 0
    weights[-1][..., :k] = -0.5 * means**2 / SHARE
    weights[-1][..., k : 2 * k] = means
    weights[-1][..., 2 * k :] = 0.5 * np.log(1 - SHARE)
    return [w.astype(np.float32) for w in weights]
