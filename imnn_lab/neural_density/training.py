"""Train a conditional density: maximum likelihood of pairs, stopped by pairs held out.

What is kept is a moving average of the weights, v̄ ← v̄ + a (v − v̄) after each update (Polyak &
Juditsky 1992). In many dimensions networks over-fit long before the learning rate has fallen, and
this takes the noise of the updates away at any time.

The pairs held out also tell whether a network is better than the regression that it starts from, by
more than chance: what is linear and Gaussian is not learned worse than that. In the same way they
tell whether a cubic regression is better than a linear one; if so, every second pair of networks
starts from it, and the two kinds are stacked: which is better differs from pair to pair.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from imnn_lab.neural_density.mixture import (
    FINEST,
    ConditionalMixture,
    LOG_2π,
    Standardisation,
    number_of_cubic_terms,
    orders_of,
)
from imnn_lab.neural_density.stacking import Stacked, stacking_shares
from imnn_lab.tensorflow_import import called

HELD_OUT = 0.1  # the share of the pairs that tells when to stop
FEWEST_UPDATES = 80  # in an epoch, unless batches become smaller than the smallest
BATCHES = (20, 1000)  # smallest and largest size of a batch
SHARE = 4 / 9  # of the variance that the means of the components have at the start
WORTH_COMPILING = 1000  # updates that save, compiled by XLA, the second that this takes
CERTAIN = 2  # standard errors of its gain on those held out with which a network is preferred
PAIRS_PER_TERM = 20  # of a cubic regression, at least
PATIENCE = 20  # epochs without improvement after which training ends
AVERAGING = 0.02  # share a of the new weights in their average: of about half an epoch
RECENT = 0.1  # part of a short training that this average is of
DECAY = (0.9, 0.99)  # of Adam's moving means of gradients and of their squares

# The weights of a member, Adam's means of its gradients and of their squares, and the averaged
# weights, a vector each.
State = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


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
        Mean ln q of the pairs trained on, while they were, and of those held out, after it, with
        averaged weights.
    best : ndarray, shape (n_members,)
        The largest `held_out` so far.
    density : Stacked
        Each member with the weights of its best epoch.
    """

    training: np.ndarray
    held_out: np.ndarray
    best: np.ndarray
    density: Stacked


def train(
    features: np.ndarray,
    values: np.ndarray,
    seeds: np.random.SeedSequence,
    *,
    members: int = 4,
    epochs: int = 40,
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
    regressions, whose = _regressions(features, values, weights, kept, held, members)
    pairs = _whitened(regressions, features, values)
    pairs = pairs if len(pairs) == 1 else pairs[whose]
    size = int(np.clip(len(kept) // FEWEST_UPDATES, *BATCHES))
    steps = -(-len(kept) // size)
    orders = orders_of(members, values.shape[1])
    start = initial_weights(features.shape[1], values.shape[1], members, architecture, rng)
    graph = graph_of(tuple(w.shape[1:] for w in start), epochs * steps > WORTH_COMPILING)
    masks = seen_by_each(orders, features.shape[1])
    of_members, states, since = [*map(tf.constant, masks)], graph.states(start), 0
    of_held, of_weights = [*map(tf.constant, pairs[:, held])], weights[held]
    log_prob = called(graph.log_prob, states, of_members, of_held).numpy()
    best = _Best(graph.weights(states, masks), log_prob, of_weights)
    shape = epochs, steps
    rates = adam_rates(rate, epochs * steps).reshape(shape)
    shares = averaging_shares(epochs * steps).reshape(shape)
    log_det = np.array([r.log_det for r in regressions])[whose]
    density = best.density(regressions, whose, orders)
    for of_updates in zip(tf.constant(rates), tf.constant(shares), strict=True):
        chosen = np.resize(rng.permutation(kept), (steps, size))
        batches = [*map(tf.constant, pairs[:, chosen])]
        of_pairs = tf.constant(weights[chosen].astype(np.float32))
        arguments = states, of_members, batches, of_pairs, *of_updates
        states, training = called(graph.epoch, *arguments)
        each = called(graph.log_prob, states, of_members, of_held).numpy()
        since += 1
        if best.take(graph.weights(states, masks), each):
            density, since = best.density(regressions, whose, orders), 0
        held_out = (of_weights * each).mean(axis=1)
        yield Epoch(training.numpy() - log_det, held_out - log_det, best.mean - log_det, density)
        if since >= PATIENCE:
            return


class _Best:
    """The best epoch of each member: the start, which is the regression, until one is better.

    Parameters
    ----------
    layers : list of ndarray, shape (n_members, ...)
        Weights at the start.
    log_prob : ndarray, shape (n_members, n)
        ln q of pairs held out, with these.
    weights : ndarray, shape (n,)
        Weights of the pairs held out.
    """

    def __init__(self, layers: list[np.ndarray], log_prob: np.ndarray, weights: np.ndarray) -> None:
        self._layers, self._log_prob, self._weights = layers, log_prob, weights
        self._of_regression = log_prob

    @property
    def mean(self) -> np.ndarray:
        """Mean ln q of each member."""
        return np.asarray((self._weights * self._log_prob).mean(axis=1))

    def take(self, layers: list[np.ndarray], log_prob: np.ndarray) -> bool:
        """Take the members that have become better; return whether there are any."""
        is_best = (self._weights * log_prob).mean(axis=1) > self.mean
        better = is_best & is_certain(self._weights * (log_prob - self._of_regression))
        self._log_prob = np.where(better[:, None], log_prob, self._log_prob)
        self._layers = [
            np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(layers, self._layers, strict=True)
        ]
        return bool(better.any())

    def density(
        self, regressions: list[Standardisation], whose: np.ndarray, orders: np.ndarray
    ) -> Stacked:
        """Return the members of each regression, averaged, and these stacked."""
        densities, log_prob = [], []
        for j, regression in enumerate(regressions):
            part = whose == j
            layers = tuple(layer[part] for layer in self._layers)
            densities.append(ConditionalMixture(regression, layers, orders[part]))
            together = np.logaddexp.reduce(self._log_prob[part]) - np.log(part.sum())
            log_prob.append(together - regression.log_det)
        return Stacked(tuple(densities), stacking_shares(np.stack(log_prob), self._weights))


class _Graph:
    """Networks of a kind, with an epoch of their training in one graph.

    Members are independent parts of it, which TensorFlow runs on several cores. The weights of one
    are one vector, so that an update takes few operations, of which each costs more than its
    arithmetic.

    Parameters
    ----------
    shapes : tuple of tuple of int
        Of the layers of one member.
    compiled : bool
        Whether XLA compiles an epoch.
    """

    def __init__(self, shapes: tuple[tuple[int, ...], ...], compiled: bool) -> None:
        self._shapes, self._sizes = shapes, [math.prod(shape) for shape in shapes]
        self._n_values = shapes[0][0]
        options = {"autograph": False, "reduce_retracing": True}
        self._epoch = tf.function(self._epoch_of_one, jit_compile=compiled, **options)
        self.epoch = tf.function(self._epoch_of_all, **options)
        self.log_prob = tf.function(self._log_prob_of_all, **options)

    def states(self, weights: list[np.ndarray]) -> list[State]:
        """Return a state of each member, from layers of shape (n_members, ...)."""
        flat = np.concatenate([w.reshape(len(w), -1) for w in weights], axis=1)
        return [(v, tf.zeros_like(v), tf.zeros_like(v), v) for v in map(tf.constant, flat)]

    def weights(self, states: Sequence[State], masks: np.ndarray) -> list[np.ndarray]:
        """Return the averaged weights of each layer, shape (n_members, ...)."""
        flat = np.stack([average.numpy() for *_, average in states])
        parts = np.split(flat, np.cumsum(self._sizes)[:-1], axis=1)
        kernel, *later = (w.reshape(-1, *s) for w, s in zip(parts, self._shapes, strict=True))
        return [kernel * masks, *later]

    def _layers(self, vector: tf.Tensor) -> list[tf.Tensor]:
        parts = tf.split(vector, self._sizes)
        return [tf.reshape(*pair) for pair in zip(parts, self._shapes, strict=True)]

    def _epoch_of_all(
        self,
        states: Sequence[State],
        masks: Sequence[tf.Tensor],
        batches: Sequence[tf.Tensor],
        *of_updates: tf.Tensor,
    ) -> tuple[list[State], tf.Tensor]:
        """Return the states after an update for each batch, and mean ln q, shape (n_members,).

        Parameters
        ----------
        states : sequence of State
        masks : sequence of tf.Tensor, shape (p, n_features + p, 1)
        batches : sequence of tf.Tensor, shape (n_updates, size, n_features + p)
            Those of each member, or of all.
        *of_updates : tf.Tensor
            Weights of the pairs, shape (n_updates, size), learning rates and shares of the new
            weights in their average, shape (n_updates,).
        """
        each = zip(states, masks, itertools.cycle(batches))
        results = [self._epoch(*of_member, *of_updates) for of_member in each]
        return [state for state, _ in results], tf.stack([log_prob for _, log_prob in results])

    def _epoch_of_one(
        self,
        state: State,
        mask: tf.Tensor,
        batches: tf.Tensor,
        weights: tf.Tensor,
        rates: tf.Tensor,
        shares: tf.Tensor,
    ) -> tuple[State, tf.Tensor]:
        """See `_epoch_of_all`."""
        steps = tf.shape(batches)[0]

        def update(i: tf.Tensor, state: State, total: tf.Tensor) -> tuple[Any, ...]:
            vector, first, second, average = state
            with tf.GradientTape() as tape:
                tape.watch(vector)
                log_prob = tf.reduce_mean(weights[i] * self._log_prob(vector, mask, batches[i]))
                loss = -log_prob
            gradient = tape.gradient(loss, vector)
            first += (1 - DECAY[0]) * (gradient - first)
            second += (1 - DECAY[1]) * (tf.square(gradient) - second)
            vector -= rates[i] * first / (tf.sqrt(second) + 1e-7)
            average += shares[i] * (vector - average)
            return i + 1, (vector, first, second, average), total + log_prob

        loop = (0, state, tf.constant(0.0))
        _, state, total = tf.while_loop(lambda i, *_: i < steps, update, loop)
        return state, total / tf.cast(steps, tf.float32)

    def _log_prob_of_all(
        self, states: Sequence[State], masks: Sequence[tf.Tensor], pairs: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """Return ln q with averaged weights, shape (n_members, n); see `_epoch_of_all`."""
        each = zip(states, masks, itertools.cycle(pairs))
        return tf.stack([self._log_prob(state[-1], mask, part) for state, mask, part in each])

    def _log_prob(self, vector: tf.Tensor, mask: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
        """Return ln q of whitened pairs by one member, shape (n,).

        Parameters
        ----------
        vector : tf.Tensor
        mask : tf.Tensor, shape (p, n_features + p, 1)
            One where r_i sees a feature or an r_j before it, else zero.
        pairs : tf.Tensor, shape (n, n_features + p)
            Features and residuals.
        """
        kernel, *later = self._layers(vector)
        hidden = tf.matmul(pairs[None], kernel * mask)
        biases, kernels = later[::2], later[1::2]
        for bias, kernel in zip(biases, kernels, strict=False):
            hidden = tf.matmul(tf.tanh(hidden + bias), kernel)
        logits, mean, log_σ = tf.split(hidden + biases[-1], 3, axis=-1)
        log_σ = tf.maximum(log_σ, FINEST)
        r = tf.transpose(pairs[:, -self._n_values :])[..., None]
        z = (r - mean) * tf.exp(-log_σ)
        terms = tf.nn.log_softmax(logits) - 0.5 * tf.square(z) - log_σ
        return tf.reduce_sum(tf.reduce_logsumexp(terms, -1) - 0.5 * LOG_2π, 0)


# Trainings that are alike share one: it is traced and compiled once.
graph_of = functools.lru_cache(maxsize=8)(_Graph)


def seen_by_each(orders: np.ndarray, n_features: int) -> np.ndarray:
    """Return one where r_i sees a feature or an r_j before it, (n_members, p, n_features + p, 1).

    Parameters
    ----------
    orders : ndarray of int, shape (n_members, p)
        See `ConditionalMixture`.
    n_features : int
    """
    place = np.argsort(orders, axis=1)
    before = place[:, None] < place[..., None]  # of r_j, where r_i is given; (members, i, j)
    features = np.ones((*orders.shape, n_features), bool)
    return np.concatenate([features, before], axis=2)[..., None].astype(np.float32)


def _regressions(
    features: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    kept: np.ndarray,
    held: np.ndarray,
    members: int,
) -> tuple[list[Standardisation], np.ndarray]:
    """Return the regressions that networks start from, and which of them each member does.

    Parameters
    ----------
    features, values, weights : ndarray, shape (n, n_features), (n, p) and (n,)
    kept, held : ndarray of int
        Indices of the pairs to fit to, and of those held out.
    members : int
    """
    linear = Standardisation.fitted(features[kept], values[kept], weights[kept])
    n_terms, whose = number_of_cubic_terms(features.shape[1]), np.arange(members) // 2 % 2
    if whose.any() and len(kept) >= PAIRS_PER_TERM * n_terms:
        cubic = Standardisation.fitted(features[kept], values[kept], weights[kept], cubic=True)
        each = [r.log_prob(features[held], values[held]) for r in (linear, cubic)]
        if is_certain(weights[held] * (each[1] - each[0])):
            return [linear, cubic], whose
    return [linear], np.zeros(members, int)


def _whitened(
    regressions: list[Standardisation], features: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Return features and residuals by each regression, (n_regressions, n, n_features + p)."""
    inputs = regressions[0].inputs(features)  # the same for all
    residuals = [r.residuals(inputs, values[:, None])[:, 0] for r in regressions]
    return np.stack([np.column_stack([inputs, r]) for r in residuals]).astype(np.float32)


def is_certain(gain: np.ndarray) -> np.ndarray:
    """Return whether the mean of gains of pairs, along the last axis, is positive beyond chance."""
    error = gain.std(axis=-1) / np.sqrt(gain.shape[-1])
    return np.asarray(gain.mean(axis=-1) > CERTAIN * error)


def adam_rates(rate: float, n: int) -> np.ndarray:
    """Return a learning rate for each of n updates, which falls to zero as a cosine.

    Divided by the bias of Adam's means, which start at zero (Kingma & Ba 2015, section 2).
    """
    step = np.arange(n)
    bias = 1 - np.power.outer(DECAY, step + 1.0)
    falling = 0.5 * rate * (1 + np.cos(np.pi * step / n))
    return (falling * np.sqrt(bias[1]) / bias[0]).astype(np.float32)


def averaging_shares(n: int) -> np.ndarray:
    """Return the share of the new weights in their average for each of n updates.

    At first it falls so that the average is of the last tenth or so of the updates.
    """
    at_first = 1 / (1 + RECENT * np.arange(n))
    return np.maximum(AVERAGING, at_first).astype(np.float32)


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
