"""Neural posteriors: densities that are densities, bookkeeping, interruptions, other priors."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from imnn_lab import LFI
from imnn_lab.inference import Draws, Prior, Uniform
from imnn_lab.inference.amortised import AmortisedPosterior
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.neural_density import training
from imnn_lab.neural_density.mixture import ConditionalMixture, Standardisation, orders_of
from imnn_lab.neural_density.stacking import Stacked

F = np.diag([25.0, 4.0])
TARGETS = np.array([[0.3, -0.2], [0.97, 0.9]])
SEEDS = np.random.SeedSequence(4)
SMALL = training.Architecture((8, 8), 3)


def simulator(parameters, seed):
    noise = np.random.default_rng(seed).standard_normal(parameters.shape)
    return parameters + noise @ np.linalg.cholesky(np.linalg.inv(F)).T


def estimate(data):
    return data


def make(prior=None, targets=TARGETS, simulator=simulator, **options):
    prior = Uniform([-1, -1], [1, 1]) if prior is None else prior
    options = {"seed": 1, "verbose": False} | options
    return LFI.NeuralPosterior(targets, prior, F, estimate, simulator, **options)


def mixture(n_features, p, members=2, seed=0):
    """Return a density with random weights, far from a Gaussian one."""
    rng = np.random.default_rng(seed)
    weights = training.initial_weights(n_features, p, members, SMALL, rng)
    weights = [w + 0.3 * rng.standard_normal(w.shape).astype(np.float32) for w in weights]
    root = np.linalg.cholesky(np.eye(p) + 0.5)
    slopes = rng.standard_normal((n_features, p))
    standard = Standardisation(np.zeros(n_features), np.ones(n_features), np.ones(p), slopes, root)
    return ConditionalMixture(standard, tuple(weights), orders_of(members, p))


class Disc(Prior):
    """Uniform over a disc."""

    low, high = np.array([-1.0, -1.0]), np.array([1.0, 1.0])

    def sample(self, n, rng=None):
        rng = np.random.default_rng(rng)
        radius, angle = np.sqrt(rng.random(n)), 2 * np.pi * rng.random(n)
        return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def log_prob(self, θ):
        return np.where((θ**2).sum(axis=-1) <= 1, -np.log(np.pi), -np.inf)


@pytest.fixture(scope="module")
def NP():
    made = make()
    made.train(1000, epochs=8, members=2)
    return made


def test_the_density_of_one_number_integrates_to_one():
    u = np.linspace(-40, 40, 20_001)
    density = mixture(2, 1)
    values = density.log_prob(np.array([[0.5, -1.0], [2.0, 1.0]]), np.tile(u[:, None], (2, 1, 1)))
    # A sum over a grid much finer than σ is exact but for float32: 1e-4.
    np.testing.assert_allclose(np.exp(values).sum(axis=1) * (u[1] - u[0]), 1, atol=1e-4)


@pytest.mark.parametrize(
    "prior",
    [Uniform([-1, -1], [1, 1]), [stats.expon(0, 1), stats.norm(0, 2)], Disc()],
    ids=["bounds", "one bound", "disc"],
)
def test_the_posterior_of_two_parameters_integrates_to_one(prior):
    posterior, observed = made_by_hand(prior), np.array([[0.3, -0.2]])
    (drawn,) = posterior.sample(observed, 5000, np.random.default_rng(2))
    far = np.clip([drawn.min(axis=0) - 2, drawn.max(axis=0) + 2], *posterior.prior.bounds)
    edges = [np.linspace(*sides, 601) for sides in far.T]
    centres = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
    θ = np.stack(np.meshgrid(*centres, indexing="ij"), axis=-1).reshape(-1, 2)
    cell = np.prod([edge[1] - edge[0] for edge in edges])
    values = np.exp(posterior.log_prob(observed, θ)[0])
    # Midpoints of 360,000 cells, and the edge of a disc through some: 0.5 %. The mass in a disc
    # is known from 2,000 draws: sqrt(p (1 − p)/2000)/p < 2 % each, three of them.
    tolerance = 0.06 if isinstance(prior, Disc) else 0.005
    assert values.sum() * cell == pytest.approx(1, abs=tolerance)
    assert (values[~(posterior.prior.log_prob(θ) > -np.inf)] == 0).all()
    # Control: without ln |du/dθ| it does not.
    u, _ = posterior.coordinates.from_parameters(θ)
    features = posterior.coordinates.features(observed)
    without = np.exp(posterior.density.log_prob(features, u[None])[0])
    assert abs(without.sum() * cell - 1) > tolerance


def test_the_density_on_a_bound_is_that_before_it(NP):
    # Of a truncated Gaussian, at its bounds and its middle; what is learned from 1,000 draws is
    # right to about half a nat.
    target, σ = np.array([[0.97, 0.9]]), np.array([0.2, 0.5])
    sides = stats.truncnorm((-1 - target[0]) / σ, (1 - target[0]) / σ, target[0], σ)
    θ = np.array([[1.0, 1.0], [1.0, 0.6], [0.9, 0.6]])
    exact = sides.logpdf(θ).sum(axis=-1)
    learned = NP.at(target)
    np.testing.assert_allclose(learned.log_prob(θ)[0], exact, atol=1)
    # Control: what the network continues to a bound is far off.
    continued = replace(NP.at(target)._learned, within=learned.prior.bounds)
    assert np.abs(continued.log_prob(target, θ)[0] - exact)[:2].min() > 5


def made_by_hand(prior):
    from imnn_lab.inference import as_prior

    prior = as_prior(prior)
    density = mixture(2 + int(np.isfinite(prior.bounds).any(axis=0).sum()), 2)
    standard = density.standardisation
    middle = np.where(np.isfinite(prior.low) & np.isinf(prior.high), 0.9, 0.0)
    narrow = Standardisation(
        standard.centre, standard.scale, middle, 0.2 * standard.slopes, 0.4 * standard.root
    )
    coordinates = Coordinates(prior.low, prior.high, np.array([0.2, 0.4]))
    density = replace(density, standardisation=narrow)
    margin = np.array([[0.02], [-0.02]])
    within = prior.bounds + margin
    return AmortisedPosterior(Stacked((density,), np.ones(1)), coordinates, prior, within)


def test_draws_have_the_density_that_is_told():
    density = mixture(1, 3)
    feature = np.array([[0.7]])
    drawn = density.sample(feature, 40_000, np.random.default_rng(1))
    # Importance weights q'/q of draws of q have mean one, for a narrower q'.
    other = mixture(1, 3, seed=0)
    shifted = Standardisation(
        *[getattr(other.standardisation, n) for n in ("centre", "scale", "intercept", "slopes")],
        0.9 * other.standardisation.root,
    )
    narrow = replace(other, standardisation=shifted)
    weights = np.exp(narrow.log_prob(feature, drawn) - density.log_prob(feature, drawn))[0]
    error = weights.std() / np.sqrt(len(weights))
    assert abs(weights.mean() - 1) < 4 * error < 0.05


def test_stacked_densities_are_drawn_from_with_their_shares():
    parts = mixture(1, 2, seed=0), mixture(1, 2, seed=1)
    stacked, feature = Stacked(parts, np.array([0.8, 0.2])), np.array([[0.7]])
    drawn = stacked.sample(feature, 20_000, np.random.default_rng(1))

    def ratio(shares):
        return Stacked(parts, np.array(shares)).log_prob(feature, drawn)[0] - at_draws[0]

    at_draws = stacked.log_prob(feature, drawn)
    # Importance weights of another mixture of the same parts have mean one; its control is a
    # density that is too large everywhere.
    weights = np.exp(ratio([0.5, 0.5]))
    error = weights.std() / np.sqrt(len(weights))
    assert abs(weights.mean() - 1) < 4 * error < 0.05
    assert abs(np.exp(ratio([0.6, 0.6])).mean() - 1) > 4 * error
    np.testing.assert_array_equal(ratio([1, 0]) + at_draws[0], parts[0].log_prob(feature, drawn)[0])
    same = Stacked.from_arrays(stacked.to_arrays())
    np.testing.assert_array_equal(same.log_prob(feature, drawn), at_draws)


def test_shares_are_those_that_make_the_pairs_most_probable():
    rng = np.random.default_rng(2)
    values = np.where(rng.random(4000) < 0.3, 0, 3) + rng.standard_normal(4000)
    each = stats.norm.logpdf(values, [[0], [3], [30]])
    shares = training.stacking_shares(each, np.ones(4000))
    # Of 4,000 draws of which 30 % are from the first: sqrt(.3 .7/4000) = .007, and a third more
    # since the two overlap; four times as much.
    np.testing.assert_allclose(shares, [0.3, 0.7, 0], atol=0.04)
    # Weights are repetitions: of the first part's draws alone, the first part has all.
    first = training.stacking_shares(each, np.where(values < -1, 1.0, 0.0))
    assert first[0] > 0.99


def test_training_and_evaluation_know_one_formula():
    rng = np.random.default_rng(3)
    features = rng.standard_normal((300, 2))
    values = features @ [[1.0, 0.2, 0], [0, 1, -1]] + rng.standard_normal((300, 3)) * 0.3
    seeds = np.random.SeedSequence(4)
    *_, last = training.train(features, values, seeds, members=2, epochs=3, architecture=SMALL)
    held = np.random.default_rng(np.random.SeedSequence(4)).permutation(300)[:30]
    (density,) = last.density.densities
    standard, orders = density.standardisation, density.orders
    each = [
        ConditionalMixture(standard, tuple(w[[e]] for w in density.weights), orders[[e]])
        for e in range(2)
    ]
    reached = [d.log_prob(features[held], values[held][:, None]).mean() for d in each]
    np.testing.assert_allclose(reached, last.best, rtol=1e-4)  # float32


def test_the_regression_is_kept_where_networks_gain_nothing():
    rng = np.random.default_rng(3)
    features, noise = rng.standard_normal((2, 1000, 1))

    def kept(values):
        seeds, options = np.random.SeedSequence(4), {"epochs": 6, "architecture": SMALL}
        *_, last = training.train(features, values, seeds, members=3, **options)
        kernels = [density.weights[-2] for density in last.density.densities]
        return [[not kernel.any() for kernel in several] for several in kernels]

    assert kept(features + 0.3 * noise) == [[True] * 3]
    assert kept(features**2 + 0.3 * noise) == [[False] * 2, [True]]  # the last one's is cubic
    assert kept(np.sin(4 * features) + 0.1 * noise) == [[False] * 3]  # control


def test_a_cubic_regression_finds_what_it_has_terms_for():
    rng = np.random.default_rng(3)
    features = rng.uniform(-1, 1, (5000, 2))
    values = rng.standard_normal((5000, 2))
    values[:, 0] = 1 + features[:, 0] * (2 + features[:, 1] ** 2) + 0.1 * values[:, 0]

    def width(cubic):
        return Standardisation.fitted(features, values, np.ones(5000), cubic=cubic).root[0, 0]

    # Known within 1/sqrt(2 · 5000) = 1 %; without products sqrt(0.1² + 4/135) = 0.2.
    assert width(True) == pytest.approx(0.1, rel=0.05)
    assert width(False) == pytest.approx(0.2, rel=0.05)


def test_compiled_training_is_the_same(monkeypatch):
    rng = np.random.default_rng(3)
    features = rng.standard_normal((100, 1))
    values = features + 0.3 * rng.standard_normal((100, 1))

    def reached(worth):
        monkeypatch.setattr(training, "WORTH_COMPILING", worth)
        seeds, options = np.random.SeedSequence(4), {"epochs": 3, "architecture": SMALL}
        return np.stack([e.held_out for e in training.train(features, values, seeds, **options)])

    # Sums of float32 in another order.
    np.testing.assert_allclose(reached(0), reached(1000), rtol=1e-3)


def test_trainings_at_once_give_what_each_gives_alone():
    # They share a graph. Float32 and one order of all sums: equal.
    rng = np.random.default_rng(3)
    features, values = rng.standard_normal((2, 2, 300, 2))

    def held_out(i):
        seeds, options = np.random.SeedSequence(i), {"epochs": 4, "architecture": SMALL}
        trained = training.train(features[i], values[i], seeds, members=3, **options)
        return np.stack([epoch.held_out for epoch in trained])

    with ThreadPoolExecutor(2) as threads:
        at_once = list(threads.map(held_out, range(2)))
    np.testing.assert_array_equal(at_once, [held_out(i) for i in range(2)])
    assert (at_once[0] != at_once[1]).all()  # control


def test_many_trainings_are_not_told_to_retrace(caplog):
    tf.get_logger().addHandler(caplog.handler)
    pairs = np.random.default_rng(3).standard_normal((200, 8))
    try:
        for p in range(1, 8):
            options = {"members": 1, "epochs": 1, "architecture": SMALL}
            list(training.train(pairs[:, :1], pairs[:, 1 : p + 1], SEEDS, **options))
    finally:
        tf.get_logger().removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def test_the_average_is_of_the_weights_after_each_update():
    rng = np.random.default_rng(3)
    masks = training.seen_by_each(orders_of(2, 2), 1)
    start = training.initial_weights(1, 2, 2, SMALL, rng)
    graph = training.graph_of(tuple(w.shape[1:] for w in start), False)
    batches = rng.standard_normal((5, 20, 3)).astype(np.float32)
    weights, rates = np.ones((5, 20), np.float32), training.adam_rates(0.01, 5)
    shares = np.array([1, 0.5, 0.25, 0.02, 0.02], np.float32)
    start = graph.states(start)
    at_once, _ = graph.epoch(start, list(masks), [batches], weights, rates, shares)
    states, average = start, 0.0
    for i, share in enumerate(shares):
        one = slice(i, i + 1)
        of_update = weights[one], rates[one], shares[one]
        states, _ = graph.epoch(states, list(masks), [batches[one]], *of_update)
        average = average + share * (np.stack([vector for vector, *_ in states]) - average)
    averages = np.stack([state[-1] for state in at_once])
    np.testing.assert_allclose(averages, average, atol=1e-6)  # float32
    # Control: they are not those of the last update.
    assert np.abs(averages - [vector for vector, *_ in at_once]).max() > 1e-3


def test_shares_of_the_average():
    # Of a short training the mean of the last tenth, later of 50 updates: Σ age · weight of each.
    shares = training.averaging_shares(1000).astype(float)
    left = np.append(np.cumprod(1 - shares[:0:-1])[::-1], 1)
    assert (shares * left).sum() == pytest.approx(1)
    age = (shares * left * np.arange(1000)[::-1]).sum()
    assert age == pytest.approx(49, rel=0.01)


def test_rates_are_those_of_adam_with_a_cosine():
    n, slopes = 20, np.array([1.0, 4.0], np.float32)
    schedule = keras.optimizers.schedules.CosineDecay(0.1, n)
    optimiser = keras.optimizers.Adam(schedule, *training.DECAY)
    variable = keras.Variable(np.ones(2, np.float32))
    x, first, second = np.ones(2), np.zeros(2), np.zeros(2)
    for rate in training.adam_rates(0.1, n):
        optimiser.apply([slopes * variable.value], [variable])
        first += (1 - training.DECAY[0]) * (slopes * x - first)
        second += (1 - training.DECAY[1]) * ((slopes * x) ** 2 - second)
        x -= rate * first / (np.sqrt(second) + 1e-7)
    np.testing.assert_allclose(x, np.asarray(variable.value), rtol=1e-4)  # float32
    assert np.abs(x).max() < 0.9  # control: it has moved


def test_every_draw_lies_inside_the_prior(NP):
    θ = NP.sample(5000, rng=1)
    assert θ.shape == (2, 5000, 2)
    assert (np.abs(θ) <= 1).all()
    outside = NP.log_prob(np.array([[1.001, 0.0], [0.0, -1.001], [3.0, 3.0]]))
    assert (outside == -np.inf).all()
    assert np.isfinite(NP.log_prob(np.array([[1.0, 1.0], [-1.0, 0.3]]))).all()


def test_no_draw_lies_in_the_hole_of_a_prior():
    θ = made_by_hand(Disc()).sample(np.array([[0.3, -0.2]] * 2), 2000, np.random.default_rng(1))
    assert ((θ**2).sum(axis=-1) <= 1).all()


def test_shapes_of_all_results(NP):
    mesh = np.meshgrid(*[np.linspace(-1, 1, 5)] * 2, indexing="ij")
    assert NP.log_prob(mesh).shape == (2, 5, 5)
    assert NP.log_prob(np.zeros((7, 2))).shape == (2, 7)
    assert NP.log_prob([0.1, 0.2]).shape == (2,)
    assert NP.posterior(bins=(4, 6)).shape == (2, 4, 6)
    assert [len(edge) for edge in NP.bin_edges(4)] == [5, 5]
    assert [len(posterior) for posterior in NP.samples(70)] == [70, 70]
    assert NP.summary()[1].properties["simulations"] == 1000
    assert NP.curves["held_out"].shape == NP.curves["training"].shape == (8, 2)
    assert NP.num_draws == len(NP.draws.parameters) == 1000


def test_a_plot_is_drawn(NP):
    assert len(NP.plot(bins=10, truth=[0.2, 0.1], smoothing=1.0).axes) >= 3


def test_samples_are_the_same_in_every_call_and_sample_draws_anew(NP):
    first, again = NP.samples(50)[0], NP.samples(50)[0]
    np.testing.assert_array_equal(first.parameters, again.parameters)
    assert (NP.sample(50) != NP.sample(50)).any()
    np.testing.assert_array_equal(NP.sample(50, rng=3), NP.sample(50, rng=3))


def test_a_seed_gives_the_same_posterior(NP):
    again = make()
    again.train(1000, epochs=8, members=2)
    point = [0.3, 0.1]
    # Sums of float32 depend on the threads at work: 1e-5.
    np.testing.assert_allclose(again.log_prob(point), NP.log_prob(point), rtol=1e-5)
    # Control: the same draws with other networks to begin with.
    other = make(seed=2)
    other.train(NP.draws, epochs=1)
    assert not np.allclose(other.log_prob(point), NP.log_prob(point), rtol=1e-5)


def test_other_observations_cost_no_simulation(NP):
    made = []

    def counted(parameters, seed):
        made.append(len(parameters))
        return simulator(parameters, seed)

    counting = make(simulator=counted)
    counting.train(100, epochs=1)
    other = counting.at(np.zeros((30, 2)))
    assert other.sample(10).shape == (30, 10, 2)
    assert sum(made) == 100
    assert counting.n_targets == 2
    np.testing.assert_array_equal(NP.at(TARGETS).log_prob([0.1, 0.1]), NP.log_prob([0.1, 0.1]))


def test_observations_of_another_shape_are_refused():
    def noisy(parameters, seed):
        return parameters + np.random.default_rng(seed).standard_normal((len(parameters), 9))

    data, prior = np.ones((1, 9)), Uniform([0], [2])
    made = LFI.NeuralPosterior(data, prior, [[9.0]], lambda d: d.mean(axis=1), noisy, seed=1)
    made.train(50, epochs=1, members=1)
    with pytest.raises(ValueError, match=r"`data` must have shape .* \(9,\). Received .* \(4,\)"):
        made.at(np.ones((5, 4)))


def test_points_that_are_not_finite_are_refused(NP):
    for number in (np.nan, np.inf):
        with pytest.raises(ValueError, match="`grid` must contain finite numbers only"):
            NP.log_prob([0.1, number])


def test_draws_of_ABC_are_trained_on_without_a_simulation(NP):
    def refuse(parameters):
        raise AssertionError

    again = make(simulator=refuse)
    assert again.train(NP.draws, epochs=1) is NP.draws
    assert again.num_draws == 1000


def test_draws_of_another_prior_are_refused_or_warned_of(NP):
    with pytest.raises(ValueError, match=r"must be from this prior.* outside its support"):
        make(prior=Uniform([-0.5, -1], [1, 1])).train(NP.draws, epochs=1)
    wider = make(prior=Uniform([-1, -3], [1, 1]))
    with pytest.warns(UserWarning, match="% of the prior of θ₂ lies outside all draws"):
        wider.train(NP.draws, epochs=1, members=1)


def test_few_or_misshapen_draws_are_refused():
    with pytest.raises(ValueError, match="`draws` must be an integer of at least 50"):
        make().train(20)
    few = Draws(np.zeros((20, 2)), np.zeros((20, 2)), np.empty((0, 2)))
    with pytest.raises(ValueError, match="have at least 50 parameters of 2 numbers each"):
        make().train(few)


def test_weights_that_tell_too_little_or_nothing_are_refused(NP):
    rare = np.where(np.arange(1000) < 30, 1.0, 0.0)
    with pytest.raises(ValueError, match="as much as 50 draws from the prior at least"):
        make().train(replace(NP.draws, weights=rare))
    for wrong in (-rare, rare * np.nan, rare[:5]):
        with pytest.raises(ValueError, match="weights of `draws` must be finite, not negative"):
            make().train(replace(NP.draws, weights=wrong))


def test_integer_weights_are_repeated_draws():
    rng = np.random.default_rng(1)
    features, values = rng.standard_normal((40, 2)), rng.gamma(2.0, size=(40, 2))
    times = rng.integers(0, 4, 40)
    repeated = [np.repeat(a, times, axis=0) for a in (features, values)]
    weighted = Standardisation.fitted(features, values, 1e3 * times)
    expected = Standardisation.fitted(*repeated, np.ones(times.sum()))
    for name in ("centre", "scale", "intercept", "slopes", "root"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(expected, name), rtol=1e-9)
    made = [
        Coordinates.fitted(Uniform([0, 0], [99, 99]), values, features, times),
        Coordinates.fitted(Uniform([0, 0], [99, 99]), repeated[1], repeated[0]),
    ]
    np.testing.assert_allclose(made[0].scale, made[1].scale, rtol=1e-9)


def test_nothing_is_told_before_training():
    for call in (lambda: make().samples(), lambda: make().log_prob([0, 0]), lambda: make().curves):
        with pytest.raises(RuntimeError, match="Nothing is trained yet"):
            call()
    with pytest.raises(RuntimeError, match="No draws yet"):
        make().draws  # noqa: B018


def test_an_interruption_keeps_what_is_learned(monkeypatch):
    epochs = training.train

    def interrupted(*arguments, **options):
        arriving = epochs(*arguments, **options)
        yield next(arriving)
        yield next(arriving)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    made = make()
    with pytest.raises(KeyboardInterrupt):
        made.train(100, epochs=10)
    assert made.num_draws == 100
    assert len(made.curves["held_out"]) == 2
    assert made.sample(5).shape == (2, 5, 2)


def test_an_observation_unlike_all_draws_is_warned_of(NP):
    with pytest.warns(UserWarning, match="target 1 lies outside those of all draws"):
        NP.at(np.array([[0.0, 0.0], [9.0, 0.0]]))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_know_what_was_learned(copied, NP):
    np.testing.assert_array_equal(copied(NP).log_prob([0.1, 0.2]), NP.log_prob([0.1, 0.2]))


@pytest.mark.parametrize("weights", [None, np.linspace(0, 1, 1000)])
def test_what_is_saved_is_loaded(tmp_path, NP, weights):
    saved = NP
    if weights is not None:
        saved = make()
        saved.train(replace(NP.draws, weights=weights), epochs=1, members=1)
    saved.save(tmp_path)
    loaded = make(targets=TARGETS[:1]).load(tmp_path)
    point = [0.1, 0.2]
    # Products of float32 depend on the number of rows: 1e-5.
    np.testing.assert_allclose(loaded.log_prob(point), saved.log_prob(point)[:1], rtol=1e-5)
    np.testing.assert_array_equal(loaded.curves["held_out"], saved.curves["held_out"])
    for name in ("parameters", "estimates", "failed_parameters", "weights", "failure"):
        np.testing.assert_array_equal(getattr(loaded.draws, name), getattr(saved.draws, name))
    assert [path.name for path in tmp_path.iterdir()] == ["learned.npz"]


def test_what_is_not_there_damaged_or_of_another_inference_is_refused(tmp_path, NP):
    for place, lack in ((tmp_path, r"has no file learned\.npz"), ("nothing", "is no directory")):
        words = f"must hold what a NeuralPosterior saved. Received .*, which {lack}. Pass what"
        with pytest.raises(FileNotFoundError, match=words):
            make().load(place)
    with pytest.raises(RuntimeError, match="Nothing is trained yet"):
        make().save(tmp_path)
    NP.save(tmp_path)
    other = LFI.NeuralPosterior(TARGETS, NP.prior, 2 * F, estimate, simulator, verbose=False)
    with pytest.raises(ValueError, match="must be saved by a NeuralPosterior of the same Fisher"):
        other.load(tmp_path)
    with pytest.raises(ValueError, match="must be saved by one of the same prior"):
        make(prior=Uniform([-1, -1], [1, 2])).load(tmp_path)
    file = tmp_path / "learned.npz"
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ValueError, match="must be a whole file"):
        make().load(tmp_path)


def test_rounds_spend_the_budget_around_the_target(tmp_path):
    made, around = make(targets=TARGETS[:1]), []

    def recorded(parameters, seed):
        around.append(parameters)
        return simulator(parameters, seed)

    made.simulator = recorded
    draws = made.train(310, at_once=True, rounds=3, epochs=1, members=1)
    assert made.num_draws == sum(map(len, around)) == len(draws.parameters) == 310
    assert [len(θ) for θ in around] == [104, 103, 103]
    distances = [np.abs(θ - TARGETS[0]).max() for θ in around]
    assert distances[1] < distances[0]
    assert draws.effective_number < 310
    assert (np.abs(made.sample(500, rng=1)) <= 1).all()
    with pytest.raises(RuntimeError, match="trained in `rounds` for one target"):
        made.at(TARGETS)
    made.save(tmp_path)
    loaded = make(targets=TARGETS[:1]).load(tmp_path)
    np.testing.assert_array_equal(loaded.sample(50, rng=1), made.sample(50, rng=1))
    for others in (TARGETS[1:], TARGETS):
        with pytest.raises(ValueError, match="must be for the target, since it was trained in"):
            make(targets=others).load(tmp_path)


def test_an_interrupted_round_keeps_what_was_learned():
    made, calls = make(targets=TARGETS[:1]), []

    def interrupted(parameters, seed):
        calls.append(len(parameters))
        if len(calls) > 3:
            raise KeyboardInterrupt
        return simulator(parameters, seed)

    made.simulator = interrupted
    with pytest.raises(KeyboardInterrupt):
        made.train(200, at_once=50, rounds=2, epochs=1, members=1)
    assert made.num_draws == 150
    assert made.sample(5).shape == (1, 5, 2)


def test_rounds_are_for_one_target_and_fresh_draws(NP):
    with pytest.raises(ValueError, match="`rounds` must have one target"):
        make().train(200, rounds=2)
    one = make(targets=TARGETS[:1])
    with pytest.raises(ValueError, match="must make its own draws"):
        one.train(NP.draws, rounds=2)
    with pytest.raises(ValueError, match="must have 50 draws in each"):
        one.train(90, rounds=2)


def test_estimates_that_determine_the_parameters_are_no_error():
    made = make(simulator=lambda parameters: parameters)
    made.train(100, epochs=2)
    assert np.isfinite(made.samples(100)[0].sd).all()
