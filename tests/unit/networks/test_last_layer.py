"""The last layer in closed form: moments, readout, ridge and whitening, against known answers.

Everything is in float64: tolerances of 1e-8 to 1e-12 leave room for sums in another order and for
the conditioning of the matrices (at most about 1e4), and for nothing else.
"""

import itertools

import keras
import numpy as np
import pytest
from makers import plain_imnn

from imnn_lab import summaries
from imnn_lab.networks import last_layer
from imnn_lab.results import FisherStatistics
from imnn_lab.sources.source import ArraySource
from imnn_lab.summaries import Compressor


def rng(seed=0):
    return np.random.default_rng(seed)


def positive(size, seed=0):
    A = rng(seed).normal(size=(size, size + 2))
    return A @ A.T / size


def statistics(C, dμ_dθ, n_external=0, μ=None):
    return FisherStatistics(np.zeros(len(C)) if μ is None else μ, C, dμ_dθ, n_external=n_external)


def pooled(statistics):
    """Return statistics without halves, whose F is the ordinary one."""
    return last_layer.Pooled(statistics, (statistics.dμ_dθ, statistics.dμ_dθ))


def information(C, dμ_dθ):
    return dμ_dθ @ np.linalg.inv(C) @ dμ_dθ.T


def log_det(F):
    return np.linalg.slogdet(F)[1]


def identity(width):
    """Return a network whose features are the data, and whose last layer gives 2 summaries."""
    inputs = keras.Input((width,), dtype="float64")
    layer = keras.layers.Dense(2, dtype="float64")
    features = keras.layers.Activation("linear", dtype="float64")(inputs)
    return keras.Model(inputs, features), keras.Model(inputs, layer(features)), layer


# Moments of the features


def simulations(n_s, n_d, n_params=2, width=3, seed=0):
    generator = rng(seed)
    fiducial = generator.normal(size=(n_s, width)) @ positive(width) + 5
    noise = generator.normal(size=(n_d, 1, 1, width)) @ positive(width)
    response = generator.normal(size=(n_params, width))
    sides = np.array([-0.5, 0.5])[:, None, None]
    steps = np.array([0.2, 0.5])[:n_params, None]
    spread = generator.normal(size=(n_d, 2, n_params, width))
    return fiducial, 5 + noise + 0.1 * spread + sides * steps * response, steps[:, 0]


def by_hand(fiducial, derivative, δθ):
    """Return μ, C over the fiducial simulations, pooled C, and ∂μ/∂θ, in loops."""
    C = np.cov(fiducial.T)
    n_d, _, n_params, _ = derivative.shape
    others = [np.cov(derivative[:, i, j].T) for i, j in np.ndindex(2, n_params)]
    pooled = (len(fiducial) * C + n_d * np.mean(others, 0)) / (len(fiducial) + n_d)
    dμ = [(derivative[:, 1, j] - derivative[:, 0, j]).mean(0) / δθ[j] for j in range(n_params)]
    return fiducial.mean(0), C, pooled, np.array(dμ)


def assert_moments(statistics, expected, is_pooled):
    μ, C, pooled, dμ_dθ = expected
    np.testing.assert_allclose(statistics.μ, μ, rtol=1e-11)
    np.testing.assert_allclose(statistics.C, pooled if is_pooled else C, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(statistics.dμ_dθ, dμ_dθ, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("at_once", [None, 7])
@pytest.mark.parametrize(("n_s", "n_d"), [(40, 30), (31, 17)])
def test_moments_of_features_whole_or_by_chunks(n_s, n_d, at_once):
    fiducial, derivative, δθ = simulations(n_s, n_d)
    source = ArraySource(fiducial, derivative, δθ, "float64", at_once)
    moments = last_layer.feature_moments(Compressor(identity(3)[0]), source)
    whole = by_hand(fiducial, derivative, δθ)
    assert_moments(moments.fiducial, whole, is_pooled=False)
    assert_moments(moments.pooled.whole, whole, is_pooled=True)
    first = by_hand(fiducial[: n_s // 2], derivative[: n_d // 2], δθ)
    second = by_hand(fiducial[n_s // 2 :], derivative[n_d // 2 :], δθ)
    assert_moments(moments.pooled.halves[0].whole, first, is_pooled=True)
    assert_moments(moments.pooled.halves[1].whole, second, is_pooled=True)
    sizes = [(half.whole.n_s, half.whole.n_d) for half in moments.pooled.halves]
    assert sizes == [(n_s // 2, n_d // 2), (n_s - n_s // 2, n_d - n_d // 2)]


def test_moments_of_exact_derivatives_have_the_covariance_of_the_fiducial_simulations():
    fiducial, derivative, _ = simulations(40, 30)
    tangents = derivative[:, 0]
    source = ArraySource(fiducial, tangents, None, "float64", at_once=11)
    moments = last_layer.feature_moments(Compressor(identity(3)[0]), source)
    expected = fiducial.mean(0), np.cov(fiducial.T), np.cov(fiducial.T), tangents.mean(0)
    assert_moments(moments.fiducial, expected, is_pooled=False)
    assert_moments(moments.pooled.whole, expected, is_pooled=True)


def test_external_summaries_come_before_the_features():
    fiducial, derivative, δθ = simulations(40, 30)
    t, t_d = rng(1).normal(size=(40, 1)), rng(2).normal(size=(30, 2, 2, 1))
    external = np.concatenate([t, t_d.reshape(-1, 1)])
    source = ArraySource(fiducial, derivative, δθ, "float64", at_once=9, external=external)
    moments = last_layer.feature_moments(Compressor(identity(3)[0]), source)
    both = [np.concatenate(pair, -1) for pair in ((t, fiducial), (t_d, derivative))]
    assert_moments(moments.pooled.whole, by_hand(*both, δθ), is_pooled=True)
    assert moments.pooled.whole.n_external == 1


def test_derivatives_of_halves_and_of_quarters():
    fiducial, derivative, δθ = simulations(31, 17)
    source = ArraySource(fiducial, derivative, δθ, "float64")
    pooled = last_layer.feature_moments(Compressor(identity(3)[0]), source).pooled
    for found, rows in [
        (pooled.dμ_dθ, (slice(0, 8), slice(8, 17))),
        (pooled.halves[0].dμ_dθ, (slice(0, 4), slice(4, 8))),
        (pooled.halves[1].dμ_dθ, (slice(8, 12), slice(12, 17))),
    ]:
        for dμ_dθ, part in zip(found, rows, strict=True):
            expected = by_hand(fiducial, derivative[part], δθ)[3]
            np.testing.assert_allclose(dμ_dθ, expected, rtol=1e-9, atol=1e-11)


def test_derivatives_that_are_noise_do_not_seem_to_be_information():
    """Unmatched seeds add 2s/(δθ² n_d) to each diagonal element of F; products of halves do not."""
    biased, crossed = [], []
    for seed in range(100):
        δθ, noise = 0.1, rng(seed).normal(size=(2, 60, 2, 1, 1))
        derivative = noise[0] + np.array([-0.05, 0.05])[:, None, None] * 5  # F = 25
        source = ArraySource(noise[1, :, 0, 0], derivative, np.array([δθ]), "float64")
        rows = np.concatenate([noise[1, :, 0, 0], derivative.reshape(-1, 1)])
        moments = last_layer.moments_of_features(source, rows).pooled
        plain = last_layer.Pooled(moments.whole, (moments.whole.dμ_dθ,) * 2)
        readout = last_layer.Readout(np.ones((1, 1)), 0.0, True)
        biased.append(np.exp(readout.log_det_F(plain)))
        crossed.append(np.exp(readout.log_det_F(moments)))
    # The bias is 2 / (.01 · 60) = 3.3. F scatters by 2 · 5 · √3.3 = 18, the mean of 100 by 1.8.
    assert abs(np.mean(crossed) - 25) < 3 * 1.8
    assert 0.5 < np.mean(np.subtract(biased, crossed)) < 6  # control: 3.3, within 3 errors of .9


def test_halves_of_a_single_pair_take_the_covariance_of_the_fiducial_simulations():
    fiducial, derivative, δθ = simulations(40, 3)
    source = ArraySource(fiducial, derivative, δθ, "float64")
    moments = last_layer.feature_moments(Compressor(identity(3)[0]), source)
    half = moments.pooled.halves[0].whole
    assert half.n_d == 1
    np.testing.assert_allclose(half.C, np.cov(fiducial[:20].T), rtol=1e-9, atol=1e-11)


# The readout


def test_readout_is_the_score_compression_with_a_ridge():
    """W ∝ (C + ρ D)⁻¹ ∂μᵀ, with D = diag(C) and D = tr(C)/n · 1, up to a map of the summaries."""
    C, dμ_dθ = positive(5) * np.outer([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]), rng(3).normal(size=(2, 5))
    readouts = list(last_layer.Scores(statistics(C, dμ_dθ)).readouts(2))
    assert len(readouts) == 2 * len(last_layer.RIDGES)
    for readout in readouts:
        D = np.diag(np.diag(C)) if readout.each else np.trace(C) / 5 * np.eye(5)
        expected = np.linalg.solve(C + readout.ρ * D, dμ_dθ.T)
        mixing = np.linalg.lstsq(expected, readout.W, rcond=None)[0]
        np.testing.assert_allclose(expected @ mixing, readout.W, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(readout.W.T @ C @ readout.W, np.eye(2), atol=1e-9)


def test_readout_without_ridge_keeps_all_information():
    C, dμ_dθ = positive(6), rng(4).normal(size=(2, 6))
    features = statistics(C, dμ_dθ)
    values = {
        r.ρ: r.log_det_F(pooled(features))
        for r in last_layer.Scores(features).readouts(2)
        if r.each
    }
    whole = log_det(information(C, dμ_dθ))
    smallest = min(values)
    # F is at its maximum for ρ = 0, so that it falls with ρ², here 1e-5 squared times O(100).
    assert 0 <= whole - values[smallest] < 1e-7
    assert whole - values[max(values)] > 1e-2  # control: a ridge of 100 loses information


def test_readout_ignores_features_that_do_not_vary():
    C, dμ_dθ = np.zeros((4, 4)), np.zeros((2, 4))
    C[:3, :3], dμ_dθ[:, :3] = positive(3), rng(5).normal(size=(2, 3))
    for readout in last_layer.Scores(statistics(C, dμ_dθ)).readouts(2):
        np.testing.assert_allclose(readout.W[3], 0, atol=1e-12)


def test_readout_beside_external_summaries_adds_what_they_leave():
    C, dμ_dθ = positive(6, seed=6), rng(6).normal(size=(2, 6))
    features = statistics(C, dμ_dθ, n_external=2)
    readout = next(last_layer.Scores(features).readouts(2))
    whole, alone = log_det(information(C, dμ_dθ)), log_det(information(C[2:, 2:], dμ_dθ[:, 2:]))
    assert 0 <= whole - readout.log_det_F(pooled(features)) < 1e-6  # as without ridge, above
    # control: the readout of the features alone loses information beside the external summaries
    ignorant = next(last_layer.Scores(statistics(C[2:, 2:], dμ_dθ[:, 2:])).readouts(2))
    assert whole - ignorant.log_det_F(pooled(features)) > 1e-3
    assert alone < whole


def test_unexplained_part_of_the_features():
    """Σ is the inverse of a block of the inverse covariance; F_t + V Σ⁻¹ Vᵀ is the whole F."""
    C, dμ_dθ = positive(5, seed=7) * 1e3, rng(7).normal(size=(2, 5))
    Σ, V, F = last_layer.unexplained(statistics(C, dμ_dθ, n_external=2))
    np.testing.assert_allclose(Σ, np.linalg.inv(np.linalg.inv(C)[2:, 2:]), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(F, information(C[:2, :2], dμ_dθ[:, :2]), rtol=1e-9)
    np.testing.assert_allclose(F + V @ np.linalg.inv(Σ) @ V.T, information(C, dμ_dθ), rtol=1e-9)


def test_most_informative_combinations_solve_the_generalised_eigenproblem():
    F, gain = positive(4, seed=8) * 50, positive(4, seed=9)
    M = last_layer._most_informative(F, gain, 4)
    γ = np.diag(M.T @ gain @ M) / np.diag(M.T @ F @ M)
    # The floor of 1e-9 of the unit diagonal shifts γ and the vectors by that much, over gaps in γ.
    np.testing.assert_allclose(gain @ M, F @ M * γ, atol=1e-6)
    assert (np.diff(γ) < 0).all()
    np.testing.assert_allclose(np.sum(np.log1p(γ)), log_det(F + gain) - log_det(F), atol=1e-7)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_most_informative_combinations_add_most_to_log_det_F(n):
    F, gain = positive(4, seed=10), positive(4, seed=11)

    def value(M):  # scores have the covariance `gain`, and ∂⟨score⟩/∂θ = gain
        return log_det(F + gain @ M @ np.linalg.inv(M.T @ gain @ M) @ M.T @ gain)

    best = value(last_layer._most_informative(F, gain, n))
    γ = np.sort(np.linalg.eigvals(np.linalg.solve(F, gain)).real)[::-1]
    np.testing.assert_allclose(best - log_det(F), np.sum(np.log1p(γ[:n])), atol=1e-7)
    others = [value(rng(i).normal(size=(4, n))) for i in range(200)]
    assert max(others) < best


def test_most_informative_combinations_depend_on_neither_order_nor_units():
    F, gain, units = positive(3, seed=12), positive(3, seed=13), np.array([1e-6, 1.0, 1e6])
    M = last_layer._most_informative(F, gain, 2)
    scaled = np.outer(units, units)
    N = last_layer._most_informative(F * scaled, gain * scaled, 2) * units[:, None]
    np.testing.assert_allclose(np.linalg.norm(M, axis=0) ** -1 * M,
                               np.linalg.norm(N, axis=0) ** -1 * N, atol=1e-6)  # fmt: skip


def test_missing_summaries_are_principal_directions_of_the_rest():
    """Given h₀, independent features keep their variances: the largest of them come first."""
    C = np.diag([3.0, 1.0, 9.0, 4.0])
    first = np.eye(4)[:, :1]
    W = last_layer._with_principal_directions(first, C, 3)
    np.testing.assert_array_equal(W[:, :1], first)
    np.testing.assert_allclose(np.abs(W[:, 1:]), np.eye(4)[:, [3, 2]], atol=1e-12)
    assert last_layer._with_principal_directions(first, C, 1) is first


def test_missing_summaries_take_no_account_of_what_the_others_explain():
    C = positive(4, seed=14) + 0.5 * np.ones((4, 4))
    w = rng(15).normal(size=(4, 1))
    W = last_layer._with_principal_directions(w, C, 2)
    conditional = C - C @ w @ w.T @ C / (w.T @ C @ w)
    u, s, _ = np.linalg.svd(conditional)
    np.testing.assert_allclose(np.abs(u[:, 0] @ W[:, 1]), 1, rtol=1e-9)
    np.testing.assert_allclose(W[:, 1] @ conditional @ W[:, 1], s[0], rtol=1e-9)
    assert abs(np.linalg.eigh(C)[1][:, -1] @ W[:, 1]) < 0.99  # control: those of C are others


def test_more_summaries_than_parameters_keep_the_information():
    C, dμ_dθ = positive(6, seed=16), rng(16).normal(size=(2, 6))
    features = statistics(C, dμ_dθ)
    readout = next(last_layer.Scores(features).readouts(4))
    assert readout.W.shape == (6, 4)
    np.testing.assert_allclose(readout.W.T @ C @ readout.W, np.eye(4), atol=1e-9)
    assert abs(readout.log_det_F(pooled(features)) - log_det(information(C, dμ_dθ))) < 1e-7


def test_fewer_summaries_than_parameters_beside_external_ones():
    C, dμ_dθ = positive(7, seed=17), rng(17).normal(size=(3, 7))
    features = statistics(C, dμ_dθ, n_external=3)
    value = next(last_layer.Scores(features).readouts(1)).log_det_F(pooled(features))
    Σ, V, F = last_layer.unexplained(features)
    γ = np.linalg.eigvals(np.linalg.solve(F, V @ np.linalg.inv(Σ) @ V.T)).real
    np.testing.assert_allclose(value, log_det(F) + np.log1p(γ.max()), atol=1e-6)


# The ridge


def sample(n, width, seed):
    """Return moments of n simulations: one informative feature, the others noise."""
    x = rng(seed).normal(size=(n, width))
    dμ_dθ = np.zeros((1, width))
    dμ_dθ[0, 0] = 1.0
    noisy = dμ_dθ + rng(seed + 1000).normal(size=(1, width)) / np.sqrt(n)
    return statistics(np.cov(x.T), noisy)


@pytest.mark.parametrize("seed", range(6))
def test_ridge_is_the_best_of_both_directions(seed):
    sets = sample(60, 20, 2 * seed), sample(60, 20, 2 * seed + 1)
    readout = last_layer.solve(*map(pooled, sets), 1)
    values = {}
    for ρ, each in itertools.product(last_layer.RIDGES, (True, False)):
        value = 0.0
        for here, there in (sets, sets[::-1]):
            C, dμ_dθ = here.C, here.dμ_dθ
            D = np.diag(np.diag(C)) if each else np.trace(C) / len(C) * np.eye(len(C))
            w = np.linalg.solve(C + ρ * D, dμ_dθ.T)
            value += log_det(information(w.T @ there.C @ w, there.dμ_dθ @ w))
        values[ρ, each] = value
    assert (readout.ρ, readout.each) == max(values, key=values.get)
    expected = np.linalg.solve(
        sets[0].C + readout.ρ * (np.diag(np.diag(sets[0].C)) if readout.each
                                 else np.trace(sets[0].C) / 20 * np.eye(20)),
        sets[0].dμ_dθ.T,
    )  # fmt: skip
    cosine = (expected.T @ readout.W) / np.linalg.norm(expected) / np.linalg.norm(readout.W)
    np.testing.assert_allclose(np.abs(cosine), 1, rtol=1e-9)


def test_ridge_generalises_where_features_are_many():
    gains = []
    for seed in range(0, 40, 2):
        training, validation = sample(40, 30, seed), sample(40, 30, seed + 1)
        chosen = last_layer.solve(pooled(training), pooled(validation), 1)
        smallest = next(last_layer.Scores(training).readouts(1))
        truth = statistics(np.eye(30), np.eye(1, 30))
        gains.append(chosen.log_det_F(pooled(truth)) - smallest.log_det_F(pooled(truth)))
    # With 30 features in 40 simulations, the sample inverse loses a factor of n/(n − p − 2) ≈ 5 of
    # F; the mean gain of 20 sets is about ln 2 or more, and its scatter is 0.1.
    assert np.mean(gains) > 0.5
    exact = statistics(positive(5), rng(18).normal(size=(1, 5)))
    assert last_layer.solve(pooled(exact), pooled(exact), 1).ρ == min(
        last_layer.RIDGES
    )  # control: no noise


@pytest.mark.parametrize("each", [True, False])
def test_one_ridge_gives_the_readout_of_the_scan(each):
    features = statistics(positive(6, seed=19) * 5, rng(19).normal(size=(2, 6)))
    scores = last_layer.Scores(features)
    for expected in scores.readouts(2):
        if expected.each == each:
            found = scores.readout(2, expected.ρ, each, np.ones(6))
            assert_same_space(found.W, expected.W)


def test_a_ridge_of_each_group_is_that_of_its_features():
    C, dμ_dθ = positive(5, seed=20), rng(20).normal(size=(2, 5))
    factors = np.repeat([1.0, 100.0], [3, 2])
    found = last_layer.Scores(statistics(C, dμ_dθ)).readout(2, 0.3, True, factors)
    assert_same_space(found.W, np.linalg.solve(C + np.diag(0.3 * factors * np.diag(C)), dμ_dθ.T))


def assert_same_space(found, expected):
    mixing = np.linalg.lstsq(expected, found, rcond=None)[0]
    np.testing.assert_allclose(expected @ mixing, found, rtol=1e-7, atol=1e-9)


def grouped_sample(n, seed):
    """Return moments of n simulations of 3 informative features and 40 that are noise."""
    dμ_dθ = np.zeros((1, 43))
    dμ_dθ[0, :3] = 1.0
    x = rng(seed).normal(size=(n, 43))
    noisy = dμ_dθ + rng(seed + 1000).normal(size=(1, 43)) / np.sqrt(n)
    return statistics(np.cov(x.T), noisy)


def test_a_ridge_for_each_group_keeps_more_than_a_common_one():
    """With 80 simulations, 40 features of noise cost about half of F; their ridge shuts them out.

    Known: F of the three features is 3. The gain of ten sets is 5 to 6 times its error.
    """
    gains = []
    truth = statistics(np.eye(43), np.concatenate([np.ones((1, 3)), np.zeros((1, 40))], 1))
    for seed in range(0, 20, 2):
        sets = grouped_sample(80, seed), grouped_sample(80, seed + 1)
        common, grouped, wrong = (
            last_layer.solve(*map(pooled, sets), 1, widths).log_det_F(pooled(truth))
            for widths in ((), (3, 40), (40, 3))
        )
        gains.append([grouped - common, wrong - common])
        assert grouped < np.log(3)
    right, wrong = np.mean(gains, 0)
    assert right > 0.1
    assert wrong < 0.5 * right  # control: groups that do not tell the features apart


def test_groups_are_what_a_concatenation_puts_side_by_side():
    x = keras.Input((4,))
    parts = [keras.layers.Dense(n)(x) for n in (3, 5)]
    joined = keras.layers.Concatenate()(parts)
    assert last_layer.groups(keras.Model(x, keras.layers.Dense(2)(joined))) == (3, 5)
    behind = keras.layers.Dense(6)(joined)
    assert last_layer.groups(keras.Model(x, keras.layers.Dense(2)(behind))) == (6,)


def every_part(moments):
    return [part.whole for part in (moments.pooled, *moments.pooled.halves)]


def test_moments_of_features_in_memory_are_those_of_the_graph():
    fiducial, derivative, δθ = simulations(31, 17)
    external = rng(3).normal(size=(31 + 17 * 4, 1))
    source = ArraySource(fiducial, derivative, δθ, "float64", external=external)
    expected = last_layer.feature_moments(Compressor(identity(3)[0]), source)
    rows = np.concatenate([fiducial, derivative.reshape(-1, 3)])
    found = last_layer.moments_of_features(source, np.hstack([external, rows]))
    pairs = zip(every_part(found), every_part(expected), strict=True)
    for a, b in pairs:
        for name in ("μ", "C", "dμ_dθ"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-12)
        assert (a.n_s, a.n_d, a.n_external) == (b.n_s, b.n_d, 1)


def test_features_without_information_are_refused():
    features = statistics(np.eye(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="do not tell the parameters apart"):
        last_layer.solve(pooled(features), pooled(features), 2)


# Whitening


def test_whitening_gives_unit_covariance():
    units = np.array([1e-8, 1.0, 1e8])
    C = positive(3, seed=19)
    A = last_layer.whiten(C * np.outer(units, units))
    np.testing.assert_allclose(A.T @ (C * np.outer(units, units)) @ A, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(A, np.triu(A))  # the transpose of an inverse Cholesky factor
    L = np.linalg.cholesky(C)
    np.testing.assert_allclose(A * units[:, None], np.linalg.inv(L).T, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "C", [np.ones((2, 2)), np.zeros((2, 2)), np.diag([1.0, -1.0]), np.diag([1.0, np.nan])]
)
def test_singular_covariances_cannot_be_whitened(C):
    assert last_layer.whiten(C) is None


# The start of a layer


@pytest.mark.parametrize("has_validation", [True, False])
@pytest.mark.parametrize("is_whitened", [True, False])
def test_start_gives_mean_0_unit_covariance_and_the_information_of_all_features(
    has_validation, is_whitened
):
    fiducial, derivative, δθ = simulations(20_000, 20_000)
    source = ArraySource(fiducial, derivative, δθ, "float64")
    other = ArraySource(*simulations(20_000, 20_000, seed=0), "float64") if has_validation else None
    _, model, layer = identity(3)
    readout = last_layer.ClosedForm(model, layer).start(source, other, whitened=is_whitened)
    y = model(fiducial).numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-9)
    own = (
        np.cov(y.T)
        if is_whitened
        else readout.W.T @ by_hand(fiducial, derivative, δθ)[2] @ (readout.W)
    )
    np.testing.assert_allclose(own, np.eye(2), atol=1e-9)
    _, C, _, dμ_dθ = by_hand(fiducial, derivative, δθ)
    kernel = layer.kernel.numpy()
    value = log_det(information(kernel.T @ C @ kernel, dμ_dθ @ kernel))
    # Features h W for W = C⁻¹ ∂μᵀ have all the information; the pooled C differs by 1/√n.
    assert abs(value - log_det(information(C, dμ_dθ))) < 0.02
    layer.kernel.assign(rng(20).normal(size=(3, 2)))  # control: any other map loses some
    kernel = layer.kernel.numpy()
    loss = log_det(information(C, dμ_dθ)) - log_det(
        information(kernel.T @ C @ kernel, dμ_dθ @ kernel)
    )
    assert loss > 0.1


def test_too_few_simulations_for_two_halves_are_refused():
    source = ArraySource(*simulations(3, 3), "float64")
    _, model, layer = identity(3)
    with pytest.raises(ValueError, match=r"takes 4 simulations. Received n_s = 3 and n_d = 3"):
        last_layer.ClosedForm(model, layer).start(source, None)


def dense(**keywords):
    return keras.layers.Dense(2, **keywords)


@pytest.mark.parametrize(
    ("last", "is_suitable"),
    [
        (dense, True),
        (lambda: dense(use_bias=False), True),
        (lambda: dense(activation="tanh"), False),
        (lambda: dense(trainable=False), False),
        (lambda: keras.layers.Rescaling(1.0), False),
    ],
)
def test_only_a_trainable_linear_dense_layer_is_started(last, is_suitable):
    layer = last()
    model = keras.Sequential([keras.Input((2,)), layer])
    assert last_layer.last_dense_layer(model) is (layer if is_suitable else None)


def test_features_are_traced_once_for_all_fits(monkeypatch):
    real, traced = last_layer._sums, []

    def sums(compressor, source):
        traced.append(source)
        return real(compressor, source)

    monkeypatch.setattr(last_layer, "_sums", sums)
    monkeypatch.setattr(summaries, "SMALL_VALUES", 0)  # a small pass is not traced
    imnn = plain_imnn()
    imnn.fit(1)
    imnn.fit(1, objective="projected")
    assert len(traced) == 2  # training and validation
