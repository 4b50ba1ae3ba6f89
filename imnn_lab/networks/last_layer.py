"""The last layer in closed form, and whitening.

For fixed features h, the input of a linear last layer, the best n_params linear summaries are
known: the score compression x = h W with

    W = (C_h + ρ D)⁻¹ ∂μ_hᵀ

(Heavens, Jimenez & Lahav 2000), whose ridge ρ keeps it from fitting the noise of a finite set of
simulations; D is diag(C_h), or the mean of diag(C_h) times 1, which shrinks features of small
variance most. ρ and D are those that give the largest ln det F on another set, on average over both
directions: solved on training and evaluated on validation, and the other way round. If the features
are groups that a `Concatenate` layer puts side by side, each group has a ridge of its own, found
from the common one by a search along one group after the other. Any affine map
of the summaries leaves F unchanged, so that the scale is free: x → L⁻¹(x − μ), with C = L Lᵀ the
covariance over the fiducial simulations, has unit covariance.

The moments of the features are added up chunk by chunk, for each half of the seeds, so that memory
is set by the number of features and the chunk, not by the number of simulations. C_h is the mean
over the fiducial simulations and those above and below, each about its own mean, which doubles the
simulations that it is estimated from. External summaries come before the features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from scipy import linalg
from threadpoolctl import threadpool_limits

from imnn_lab.results import FisherStatistics, log_determinant
from imnn_lab.sources.source import FIRST, Rows, Source
from imnn_lab.summaries import Compressor, with_external

RIDGES = tuple(float(ρ) for ρ in np.logspace(-5, 2, 22))
COMMON_RIDGES = tuple(float(ρ) for ρ in np.logspace(-5, 1, 7))
STEPS, GAIN = (1.0, 0.5), 3e-4  # of the search for ridges of groups: decades, ln det F
MOST_TRIALS, MOST_OPERATIONS = 80, 3e10
FEWEST = 4  # simulations whose halves have a covariance each


# Moments of the features --------------------------------------------------------------------


class Sums(NamedTuple):
    """Sums over rows, by quarter or half of the seeds.

    Attributes
    ----------
    count : tensor, shape (4, groups)
        Groups are fiducial, then each side and parameter.
    first : tensor, shape (4, groups, D)
        Sums of the features.
    fiducial, derivative : tensor, shape (2, D, D)
        Sums of products of features over fiducial and over derivative simulations.
    """

    count: tf.Tensor
    first: tf.Tensor
    fiducial: tf.Tensor
    derivative: tf.Tensor


@dataclass(frozen=True)
class Pooled:
    """Statistics of features, with C over all simulations.

    Attributes
    ----------
    whole : FisherStatistics
    dμ_dθ : pair of ndarray, shape (n_params, D)
        Of each half of the derivative simulations. Their errors are independent, so that products
        of one with the other have no bias from them.
    halves : tuple of Pooled
        Of each half of the seeds, or empty.
    """

    whole: FisherStatistics
    dμ_dθ: tuple[np.ndarray, np.ndarray]
    halves: tuple[Pooled, ...] = ()

    def plain(self) -> Pooled:
        """Return the same with the derivatives of all simulations for both halves."""
        dμ_dθ = self.whole.dμ_dθ
        return Pooled(self.whole, (dμ_dθ, dμ_dθ), tuple(half.plain() for half in self.halves))


@dataclass(frozen=True)
class FeatureMoments:
    """Statistics of features over all simulations, and over the halves of their seeds.

    Attributes
    ----------
    fiducial : FisherStatistics
        With C over the fiducial simulations alone.
    pooled : Pooled
        With C over all simulations.
    """

    fiducial: FisherStatistics
    pooled: Pooled


def feature_moments(compressor: Compressor, source: Source) -> FeatureMoments:
    """Return the moments of the features that a network computes from a source."""
    return _moments(source, compressor.computed(_sums, source))


def _sums(compressor: Compressor, source: Source) -> Sums:
    width, groups = compressor.width(source), 1 + source.differences.n_groups

    def add(rows: Rows, sums: Sums) -> Sums:
        outputs = compressor.compress(rows, training=False)
        features = tf.cast(with_external(source, outputs, rows.positions), tf.float64)
        return _add_rows(source, rows.positions, features, sums)

    shapes = [(4, groups), (4, groups, width), (2, width, width), (2, width, width)]
    zeros = Sums(*(tf.zeros(shape, tf.float64) for shape in shapes))
    return source.feed(FIRST).fold(add, zeros)


def moments_of_features(source: Source, features: np.ndarray) -> FeatureMoments:
    """Return the moments of features (size, D) of all rows of a source, external ones first.

    Sums are in the type of the features, which should have means near zero.
    """
    positions = tf.range(source.size)
    group, quarter = source.groups(positions).numpy(), source.quarters(positions).numpy()
    n_groups = 1 + source.differences.n_groups
    one_hot = (n_groups * quarter + group)[:, None] == np.arange(4 * n_groups)
    first = one_hot.T.astype(features.dtype) @ features
    fiducial, derivative = (
        np.stack([_products(features[is_kind & (quarter // 2 == half)]) for half in (0, 1)])
        for is_kind in (group == 0, group > 0)
    )
    count = one_hot.sum(0).reshape(4, -1)
    sums = count, first.reshape(4, n_groups, -1), fiducial, derivative
    return _moments(source, [np.asarray(part, np.float64) for part in sums])


def _products(x: np.ndarray) -> np.ndarray:
    return x.T @ x


def _add_rows(source: Source, positions: tf.Tensor, features: tf.Tensor, sums: Sums) -> Sums:
    """Return the sums with those of more rows, features (k, D)."""
    groups, quarters = source.groups(positions), source.quarters(positions)
    n_groups = sums.count.shape[1]
    one_hot = tf.one_hot(quarters * n_groups + groups, 4 * n_groups, dtype=tf.float64)
    count = tf.reshape(tf.reduce_sum(one_hot, 0), sums.count.shape)
    first = tf.reshape(tf.matmul(one_hot, features, transpose_a=True), sums.first.shape)

    is_derivative = tf.cast(groups > 0, tf.int32)
    parts = tf.dynamic_partition(features, 2 * is_derivative + quarters // 2, 4)
    products = [tf.matmul(x, x, transpose_a=True) for x in parts]
    new = Sums(count, first, tf.stack(products[:2]), tf.stack(products[2:]))
    return Sums(*(a + b for a, b in zip(sums, new, strict=True)))


def _moments(source: Source, sums: Sequence[np.ndarray]) -> FeatureMoments:
    """Return the moments of sums by quarter (count and first) and by half (products)."""
    count, first, *products = sums
    halves = [(count[i : i + 2].sum(0), first[i : i + 2].sum(0)) for i in (0, 2)]
    quarters = [_derivative(source, *each) for each in zip(count, first, strict=True)]
    pooled = [
        Pooled(
            _statistics(source, *halves[i], *(part[i] for part in products))[1],
            _known(quarters[2 * i : 2 * i + 2], _derivative(source, *halves[i])),
        )
        for i in (0, 1)
    ]
    whole = count.sum(0), first.sum(0)
    fiducial, all_of_them = _statistics(source, *whole, *(part.sum(0) for part in products))
    derivatives = _known([_derivative(source, *each) for each in halves], fiducial.dμ_dθ)
    return FeatureMoments(fiducial, Pooled(all_of_them, derivatives, tuple(pooled)))


def _known(parts: Sequence[np.ndarray], whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives of both parts, or twice the whole if one has no simulations."""
    are_known = all(np.isfinite(part).all() for part in parts)
    return (parts[0], parts[1]) if are_known else (whole, whole)


def _derivative(source: Source, count: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return ∂μ/∂θ (n_params, D) from counts and sums by group; NaN without simulations."""
    with np.errstate(invalid="ignore"):
        means = first[1:] / count[1:, None]
    return source.differences.of_means(means)


def _statistics(
    source: Source,
    count: np.ndarray,
    first: np.ndarray,
    fiducial: np.ndarray,
    derivative: np.ndarray,
) -> tuple[FisherStatistics, FisherStatistics]:
    """Return the statistics with C over the fiducial simulations, and pooled."""
    means, dμ_dθ = first / count[:, None], _derivative(source, count, first)
    n_s, n_d = int(count[0]), int(count[1:].min())
    C = _covariance(fiducial, means[:1], n_s)
    covariances = [(n_s, C)]
    if source.δθ is not None:
        covariances.append((n_d, _covariance(derivative, means[1:], n_d)))
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
    factors : ndarray, shape (n_features,), or None
        What ρ is multiplied by for each feature.
    values : ndarray, shape (4,) or (2,)
        What ln det F is, in both directions, on each half of a set that was not solved for.
    variance : ndarray, shape (n_features,), or None
        That of each feature over the fiducial simulations.
    """

    W: np.ndarray
    ρ: float
    each: bool
    factors: np.ndarray | None = None
    values: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))
    variance: np.ndarray | None = None

    @property
    def score(self) -> float:
        """The mean of `values`."""
        return float(np.mean(self.values))

    def log_det_F(self, features: Pooled) -> float:
        """Return ln det F of external and own summaries together, for a set with these features.

        F is the product of ∂μ of one half of the derivative simulations with that of the other, so
        that features whose derivatives are noise do not seem to be informative; −∞ if that is not
        positive definite.
        """
        whole = features.whole
        W = linalg.block_diag(np.eye(whole.n_external), self.W)
        first, second = (dμ_dθ @ W for dμ_dθ in features.dμ_dθ)
        A = whiten(W.T @ whole.C @ W)
        if A is None:
            return -np.inf
        F = (first @ A) @ (second @ A).T
        F = (F + F.T) / 2
        diagonal = np.diag(F)
        if not (diagonal > 0).all():
            return -np.inf
        correlation = F / np.sqrt(np.outer(diagonal, diagonal))
        if not np.linalg.eigvalsh(correlation)[0] > 0:
            return -np.inf
        return log_determinant(correlation) + float(np.log(diagonal).sum())


class ClosedForm:
    """The linear last layer of a model, and what it takes to solve it in closed form.

    Attributes
    ----------
    layer : keras.layers.Dense
    compressor : Compressor
        From simulations to features, the input of the layer.
    """

    def __init__(self, model: keras.Model, layer: keras.layers.Dense) -> None:
        self.layer = layer
        self.compressor = Compressor(keras.Model(model.inputs[0], layer.input))
        self._widths = groups(model)

    @classmethod
    def of(cls, model: keras.Model) -> ClosedForm | None:
        """Return that of a model, None if it ends in something else."""
        layer = last_dense_layer(model)
        return None if layer is None else cls(model, layer)

    def start(self, training: Source, validation: Source | None, whitened: bool = True) -> Readout:
        """Solve the layer, and return the solution.

        Without a validation set the ridge is chosen by splitting the seeds of the training set.
        """
        layer, moments = self.layer, feature_moments(self.compressor, training)
        if validation is not None:
            other = feature_moments(self.compressor, validation).pooled
            readout = solve(moments.pooled, other, layer.units, self._widths)
        else:
            _check_halves(training)
            first, second = moments.pooled.halves
            choice = solve(first, second, layer.units, self._widths)
            readout = same_ridge(choice, moments.pooled.whole, layer.units) or choice
        fiducial, W = moments.fiducial, readout.W
        whitening = whiten(W.T @ fiducial.network_C @ W) if whitened else None
        if whitening is not None:
            W = W @ whitening
        layer.kernel.assign(W)
        if layer.use_bias:
            layer.bias.assign(-fiducial.μ[fiducial.n_external :] @ W)
        return replace(readout, variance=np.diag(fiducial.network_C))

    def scratch(self, training: Source, whitened: bool = True, seed: int | None = None) -> None:
        """Draw the layer at random (Glorot & Bengio 2010), with summaries of unit covariance.

        Its kernel W is uniform within ±√(6/(n_features + n_summaries)), times the whitening of the
        summaries h W.

        Parameters
        ----------
        training : Source
        whitened : bool
            Whether to whiten; otherwise the covariance is what it happens to be.
        seed : int, optional
            Seed of the kernel.
        """
        layer = self.layer
        n_features, bias = layer.input.shape[-1], np.zeros(layer.units)
        limit = np.sqrt(6 / (n_features + layer.units))
        W = np.random.default_rng(seed).uniform(-limit, limit, (n_features, layer.units))
        if whitened:
            fiducial = feature_moments(self.compressor, training).fiducial
            whitening = whiten(W.T @ fiducial.network_C @ W)
            W = W if whitening is None else W @ whitening
            bias = -fiducial.μ[fiducial.n_external :] @ W
        layer.kernel.assign(W)
        if layer.use_bias:
            layer.bias.assign(bias)


def _check_halves(training: Source) -> None:
    if training.n_s < FEWEST and (training.δθ is None or training.n_d < FEWEST):
        raise ValueError(
            "Without validation simulations, the last layer is started from a comparison of two "
            f"halves of the training set, which takes {FEWEST} simulations. "
            f"Received n_s = {training.n_s} and n_d = {training.n_d}. "
            "Pass validation simulations, or use warm_start=False."
        )


def groups(model: keras.Model) -> tuple[int, ...]:
    """Return the widths of the groups of features that a model gives its last layer.

    They are what a `Concatenate` layer in front of it puts side by side, otherwise all features.
    """
    features = model.layers[-1].input
    for layer in model.layers:
        if isinstance(layer, keras.layers.Concatenate) and layer.output is features:
            return tuple(int(part.shape[-1]) for part in layer.input)
    return (int(features.shape[-1]),)


Valued: TypeAlias = Callable[[Readout | None, Readout | None], Readout | None]


def solve(
    training: Pooled,
    validation: Pooled,
    n_summaries: int,
    widths: Sequence[int] = (),
) -> Readout:
    """Return the readout of the training features with the ridges that generalise best.

    Parameters
    ----------
    training, validation : Pooled
        Of the features.
    n_summaries : int
    widths : sequence of int
        Numbers of features in groups with a ridge each.

    Raises
    ------
    ValueError
        If F is singular for every ridge, also with the derivatives of all simulations.
    """
    sides = Scores(training.whole), Scores(validation.whole)
    # A loaded machine has no core to spare for threads that wait for each other.
    with threadpool_limits(1, user_api="blas"):
        for sets in ((training, validation), (training.plain(), validation.plain())):
            valued = partial(_valued, sets)
            choice = (
                _by_group(sides, valued, n_summaries, widths)
                if len(widths) > 1
                else _by_scan(sides, valued, n_summaries)
            )
            if choice is not None:
                return choice
    raise ValueError(
        "The network's features do not tell the parameters apart: F is singular for every "
        "ridge. Check that the simulations respond to every parameter, or use warm_start=False."
    )


def _valued(
    sets: tuple[Pooled, Pooled], forward: Readout | None, reverse: Readout | None
) -> Readout | None:
    """Return `forward` with ln det F of both on the set that they were not solved for.

    None if that is not finite on each half of it, or one of them could not be solved.
    """
    if forward is None or reverse is None:
        return None
    pairs = zip((forward, reverse), sets[::-1], strict=True)
    parts = [(r, part) for r, other in pairs for part in other.halves or (other,)]
    values = np.array([r.log_det_F(part) for r, part in parts])
    return replace(forward, values=values) if np.isfinite(values).all() else None


def _best(readouts: Iterable[Readout | None]) -> Readout | None:
    found = (r for r in readouts if r is not None)
    return max(found, key=lambda r: (r.score, r.ρ, r.each), default=None)


def _by_scan(sides: tuple[Scores, Scores], valued: Valued, n_summaries: int) -> Readout | None:
    """Return the readout with the best of RIDGES."""
    forward, reverse = ({(r.ρ, r.each): r for r in s.readouts(n_summaries)} for s in sides)
    return _best(valued(forward[key], reverse[key]) for key in forward.keys() & reverse.keys())


def _by_group(
    sides: tuple[Scores, Scores], valued: Valued, n_summaries: int, widths: Sequence[int]
) -> Readout | None:
    """Return the readout with a ridge for each group of features.

    From the best common ridge, the strength of one group after the other is multiplied and divided
    by a factor while that raises the score; then the factor is made smaller.
    """
    n = min(n_summaries, len(sides[0].features.dμ_dθ))
    most = int(np.clip(MOST_OPERATIONS / sum(widths) ** 3, 3 * len(widths), MOST_TRIALS))

    def tried(ρ: float, each: bool, steps: np.ndarray) -> Readout | None:
        factors = np.repeat(10.0**steps, widths)
        return valued(*(side.readout(n, ρ, each, factors) for side in sides))

    steps = np.zeros(len(widths))
    best = _best(tried(ρ, each, steps) for each in (True, False) for ρ in COMMON_RIDGES)
    if best is None:
        return None
    trials = 0
    for size in STEPS:
        has_improved = True
        while has_improved and trials < most:
            has_improved = False
            for group, sign in itertools.product(range(len(widths)), (size, -size)):
                while trials < most:
                    new = steps.copy()
                    new[group] += sign
                    found, trials = tried(best.ρ, best.each, new), trials + 1
                    if found is None or not found.score > best.score + GAIN:
                        break
                    best, steps, has_improved = found, new, True
    if n == n_summaries:
        return best
    whole = sides[0].readout(n_summaries, best.ρ, best.each, best.factors)
    return best if whole is None else replace(whole, values=best.values)


def same_ridge(choice: Readout, features: FisherStatistics, n_summaries: int) -> Readout | None:
    """Return the readout of other features with the ridge of one that was chosen."""
    return Scores(features).readout(n_summaries, choice.ρ, choice.each, choice.factors)


class Scores:
    """Features whose readouts are wanted for many ridges.

    Beside external summaries, a readout is that of the part of the features that these leave
    unexplained.
    """

    def __init__(self, features: FisherStatistics) -> None:
        self.features = features
        self._C, self._dμ_dθ, self._external_F = unexplained(features)
        scale = np.sqrt(np.diag(features.network_C))
        alive = scale > 1e-6 * max(scale.max(), np.finfo(float).tiny)
        self._inverse_scale = {
            each: alive / np.maximum(size, np.finfo(float).tiny)
            for each, size in (
                (True, np.where(alive, scale, 1)),
                (False, np.sqrt(np.mean(scale**2))),
            )
        }

    def readouts(self, n_summaries: int) -> Iterator[Readout]:
        """Yield one readout with unit covariance for each ridge that leaves it solvable."""
        for each in (True, False):
            C, score = self._scaled(each)
            values, vectors = linalg.eigh(C)
            score = vectors.T @ score
            for ρ in RIDGES:
                shrunk = score / (np.clip(values, 0, None) + ρ)[:, None]
                readout = self._finished(
                    vectors @ shrunk, score.T @ shrunk, n_summaries, Readout(shrunk, ρ, each)
                )
                if readout is not None:
                    yield readout

    def readout(
        self, n_summaries: int, ρ: float, each: bool, factors: np.ndarray | None = None
    ) -> Readout | None:
        """Return the readout with unit covariance for a ridge, or None."""
        C, score = self._scaled(each)
        C.flat[:: len(C) + 1] += ρ if factors is None else ρ * factors
        try:
            L = linalg.cho_factor(C, lower=True, overwrite_a=True, check_finite=False)
        except linalg.LinAlgError:
            return None
        solution = linalg.cho_solve(L, score, check_finite=False)
        return self._finished(
            solution, score.T @ solution, n_summaries, Readout(solution, ρ, each, factors)
        )

    def _scaled(self, each: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return C and the transposed ∂μ of features divided by their scale."""
        unit = self._inverse_scale[each]
        return self._C * np.outer(unit, unit), unit[:, None] * self._dμ_dθ.T

    def _finished(
        self, solution: np.ndarray, gain: np.ndarray, n_summaries: int, readout: Readout
    ) -> Readout | None:
        """Return the readout of n_summaries from the scores of all parameters (D, p)."""
        directions = self._inverse_scale[readout.each][:, None] * solution
        if n_summaries < directions.shape[1]:
            directions = directions @ _most_informative(self._external_F, gain, n_summaries)
        W = _with_principal_directions(directions, self._C, n_summaries)
        whitening = whiten(W.T @ self.features.network_C @ W)
        return None if whitening is None else replace(readout, W=W @ whitening)


def unexplained(features: FisherStatistics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


def before_last_layer(model: keras.Model) -> keras.Model | None:
    """Return the part of a model that computes the features of its linear last layer, or None."""
    layer = last_dense_layer(model)
    if layer is None or len(layer.input.shape) != 2:
        return None
    return keras.Model(model.inputs, layer.input)


def last_dense_layer(model: keras.Model) -> keras.layers.Dense | None:
    """Return the linear `Dense` layer that a model ends in, or None."""
    layers = getattr(model, "layers", [])
    if not layers or not isinstance(layers[-1], keras.layers.Dense):
        return None
    layer = layers[-1]
    linear = layer.activation is keras.activations.linear
    ends_here = getattr(model, "outputs", None) and layer.output is model.outputs[0]
    return layer if linear and ends_here and layer.trainable else None
