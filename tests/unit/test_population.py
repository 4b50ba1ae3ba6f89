"""Population Monte Carlo: bookkeeping, stopping, resuming, several targets."""

import threading

import numpy as np
import pytest
from scipy import stats

from imnn_lab import LFI
from imnn_lab.inference import Moves, Prior, Uniform
from imnn_lab.inference.population import sizes_for
from imnn_lab.inference.proposal import Proposal, kernel_mixture
from imnn_lab.simulate import SimulationError

F = np.array([[10.0, 3.0], [3.0, 5.0]])
ROOT = np.linalg.inv(np.linalg.cholesky(F)).T


def simulator(parameters, seed):
    return parameters + np.random.default_rng(seed).standard_normal(parameters.shape) @ ROOT.T


def make(targets=((0.3, -0.2), (3.9, 3.9)), simulator=simulator, **options):
    options = {"seed": 1, "verbose": False} | options
    prior = Uniform([-4, -4], [4, 4])
    return LFI.PopulationMonteCarlo(np.array(targets), prior, F, lambda d: d, simulator, **options)


def test_each_target_has_its_own_population():
    PMC = make()
    PMC(200, 400, 0.1)
    assert PMC.stopped == ["criterion", "criterion"]
    for i in range(2):
        assert PMC.parameters[i].shape == (200, 2)
        assert PMC.weights[i].sum() == pytest.approx(1)
        np.testing.assert_allclose(PMC.distances[i], PMC.targets[i].distances(PMC.estimates[i]))
        assert PMC.ε[i] == PMC.distances[i].max()
        assert PMC.iterations[i][-1].acceptance <= 0.1
        assert (np.abs(PMC.parameters[i]) <= 4).all()
        assert np.linalg.norm(PMC.samples()[i].mean - PMC.target_estimates[i]) < 0.6
    assert not np.array_equal(PMC.parameters[0], PMC.parameters[1])
    assert PMC.posterior(bins=8).shape == (2, 8, 8)
    assert "effective samples" in str(PMC.summary()[1])


def test_distance_falls_and_simulations_are_counted():
    made = []

    def counted(parameters, seed):
        made.append(len(parameters))
        return simulator(parameters, seed)

    PMC = make(targets=[(0.3, -0.2)], simulator=counted)
    PMC(200, 400, 0.1)
    (populations,) = PMC.iterations
    ε = [population.ε for population in populations]
    assert (np.diff(ε) <= 0).all()
    assert ε[-1] < ε[0] / 3
    assert PMC.num_draws[0] == sum(made)
    assert [p.iteration for p in populations] == list(range(len(populations)))


def test_every_iteration_can_be_shown():
    PMC = make(targets=[(0.3, -0.2)])
    PMC(200, 400, 0.1)
    early = PMC.iterations[0][1].posterior(("a", "b"))
    assert early.effective_samples > 20
    assert early.properties["iterations"] == 1


def weights_anew(population, prior):
    """Evaluate the deterministic mixture directly, kernel by kernel."""
    total = population.prior_draws * np.exp(prior.log_prob(population.parameters))
    for q, count in zip(population.proposals, population.counts, strict=True):
        for centre, root, weight in zip(q.ancestors, q.roots, q.weights, strict=True):
            kernel = stats.multivariate_normal(centre, root @ root.T)
            total += count * weight * kernel.pdf(population.parameters)
    weights = np.exp(prior.log_prob(population.parameters)) / total
    return weights / weights.sum()


def test_weights_are_those_of_the_deterministic_mixture():
    PMC = make()
    PMC(200, 400, 0.1)
    for population in PMC.populations:
        np.testing.assert_allclose(population.weights, weights_anew(population, PMC.prior))


def test_mixture_of_many_ancestors_is_what_is_sampled_from():
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(5000, 1))
    weights = np.exp(-0.5 * (parameters[:, 0] - 1) ** 2)
    q = kernel_mixture(parameters, weights / weights.sum(), rng, 2.0)
    assert len(q.ancestors) == 1000
    edges = np.linspace(-3, 4, 36)
    counts, _ = np.histogram(q.sample(200_000, rng), edges)
    fine = (edges[:-1, None] + np.diff(edges)[0] * (np.arange(10) + 0.5) / 10).reshape(-1, 1)
    expected = 200_000 * q.density(fine).reshape(-1, 10).mean(axis=1) * np.diff(edges)
    # Poisson counts: 35 bins, none beyond 4 standard deviations (probability 0.2 %)
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected) + 4).all()


@pytest.mark.parametrize(("p", "part"), [(1, 1 / 16), (2, 1 / 4), (3, 9 / 16), (5, 3 / 4)])
def test_with_more_parameters_more_kernels_are_as_wide_as_all_particles(p, part):
    rng = np.random.default_rng(0)
    parameters, weights = rng.normal(size=(400, p)), np.full(400, 1 / 400)
    roots = kernel_mixture(parameters, weights, rng, 2.0).roots
    whole = 2 * np.cov(parameters.T, bias=True).reshape(p, p)
    is_wide = np.isclose(roots @ roots.transpose(0, 2, 1), whole).all(axis=(1, 2))
    assert is_wide.mean() == part
    assert is_wide.reshape(25, 16).mean(axis=1) == pytest.approx(part)  # evenly spread


def test_density_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    roots = np.linalg.cholesky(np.full((30, 3, 3), 0.5) + rng.random((30, 1, 1)) * np.eye(3))
    q = Proposal(rng.normal(size=(30, 3)), np.full(30, 1 / 30), roots)
    θ = rng.normal(size=(101, 3))
    whole = q.density(θ)
    monkeypatch.setattr("imnn_lab.inference.proposal.BLOCK", 64)
    np.testing.assert_allclose(q.density(θ), whole)
    assert q.density(θ[:0]).shape == (0,)


def test_resuming_goes_on_as_if_it_had_not_stopped():
    whole, parts = make(), make()
    whole(200, 400, 0.05)
    parts(200, 400, 0.3)
    first = parts.num_draws
    parts.resume(0.05)
    assert (parts.num_draws > first).all()
    for i in range(2):
        np.testing.assert_array_equal(whole.parameters[i], parts.parameters[i])
        np.testing.assert_array_equal(whole.weights[i], parts.weights[i])


def test_stopped_by_the_budget():
    PMC = make()
    PMC(200, 400, 0.0, max_simulations=1000)
    assert PMC.stopped == ["max_simulations"] * 2
    assert (PMC.num_draws <= 1000).all()
    assert (PMC.num_draws > 800).all()


def test_stopped_by_the_clock():
    PMC = make()
    PMC(200, 400, 0.0, max_seconds=0.05)
    assert PMC.stopped == ["max_seconds"] * 2


def test_stopped_by_a_callback():
    seen = []
    PMC = make()
    PMC(200, 400, 0.0, callback=lambda p, i: seen.append(i) or p.iteration == 3)
    assert PMC.stopped == ["asked"] * 2
    assert [p.iteration for p in PMC.populations] == [3, 0]
    assert seen == [0] * 4 + [1]


def test_stopped_from_another_thread():
    PMC, started = make(), threading.Event()
    run = threading.Thread(
        target=PMC, args=(200, 400, 0.0), kwargs={"callback": lambda *_: started.set()}
    )
    run.start()
    assert started.wait(20)
    PMC.stop()
    run.join(20)
    assert not run.is_alive()
    assert PMC.stopped == ["asked"] * 2


def test_interrupted_runs_keep_what_they_have():
    def interrupted(population, target):
        if population.iteration == 3:
            raise KeyboardInterrupt

    PMC = make()
    with pytest.raises(KeyboardInterrupt):
        PMC(200, 400, 0.0, callback=interrupted)
    assert PMC.stopped[0] == "interrupted"
    assert PMC.populations[0].iteration == 3
    PMC.resume(0.2)
    assert PMC.stopped == ["criterion"] * 2


def test_percentile_sets_how_many_move():
    assert Moves(75.0).proposals(300) == 100
    assert Moves(50.0).proposals(300) == 300
    assert Moves(99.99).proposals(300) == 1
    assert [Moves(None).proposals(n) for n in (50, 100, 1000)] == [1, 1, 10]
    PMC = make(targets=[(0.3, -0.2)])
    PMC(100, 200, 0.0, None, max_simulations=300)
    assert (np.diff([p.simulations for p in PMC.iterations[0]]) <= 1).all()


def test_failures_are_counted():
    def half(parameters, seed):
        return np.where(parameters[:, :1] > 2, np.nan, simulator(parameters, seed))

    PMC = make(targets=[(0.3, -0.2)], simulator=half)
    PMC(200, 400, 0.1)
    assert PMC.num_failed[0] > 50
    assert "not finite" in PMC.failure


def test_too_few_simulations_succeed_at_first():
    def rarely(parameters, seed):
        return np.where(np.abs(parameters[:, :1]) > 1, np.nan, simulator(parameters, seed))

    PMC = make(targets=[(0.3, -0.2)], simulator=rarely, max_failed=0.9)
    PMC(300, 400, 0.05)  # about a quarter of 400 succeed: the population grows to its size
    sizes = [len(p.parameters) for p in PMC.iterations[0]]
    assert sizes[0] < 200
    assert sizes[-1] == 300
    assert np.isinf(PMC.iterations[0][0].ε)
    assert np.isfinite(PMC.ε).all()
    with pytest.raises(SimulationError, match="to start from"):
        make(simulator=lambda p: p * np.nan, max_failed=1.0)(10, 20, 0.1)


def test_a_point_target_on_a_deterministic_simulator():
    PMC = make(targets=[(0.3, -0.2)], simulator=lambda parameters: np.round(parameters))
    PMC(50, 100, 0.5, max_simulations=5000)  # estimates coincide: distances tie
    assert PMC.stopped[0] in ("criterion", "max_simulations")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((200, 100, 0.1), "`initial_draws` must be an integer of at least 200"),
        ((3, 100, 0.1), "`draws` must be an integer of at least 4"),
        ((200, 400, 2.0), "`criterion` must"),
        ((200, 400, 0.1, 100), "no particle would ever move"),
        ((200, 400, 0.1, 0), "`percentile` must"),
    ],
)
def test_bad_arguments_of_pmc_are_rejected(arguments, message):
    with pytest.raises(ValueError, match=message):
        make()(*arguments)
    with pytest.raises(RuntimeError, match="PMC"):
        make().parameters  # noqa: B018
    with pytest.raises(RuntimeError, match="No run to resume: call `PMC"):
        make().resume()
    with pytest.raises(ValueError, match="at least initial_draws"):
        make()(10, 100, 0.1, max_simulations=50)


def test_same_seed_same_population():
    runs = [make(seed=s) for s in (1, 1, 2)]
    for PMC in runs:
        PMC(100, 200, 0.2)
    np.testing.assert_array_equal(runs[0].parameters[0], runs[1].parameters[0])
    assert not np.array_equal(runs[0].parameters[0], runs[2].parameters[0])


def test_saved_simulations(tmp_path):
    PMC = make(targets=[(0.3, -0.2)])
    PMC(100, 200, 0.2, save_sims=str(tmp_path / "pmc"))
    files = sorted(tmp_path.iterdir())
    assert files[0].name == "pmc_000000.npz"
    total = 0
    for path in files:
        with np.load(path) as saved:
            assert saved["parameters"].shape == saved["simulations"].shape
            total += len(saved["parameters"])
    assert total == PMC.num_draws[0]


def test_functions_that_work_in_place_change_no_particles():
    def squared(parameters, seed):
        parameters[:] = simulator(parameters**2, seed)
        return parameters

    def doubled(data):
        data *= 2
        return data

    class InPlace(Prior):
        low, high = np.array([-4.0, -4.0]), np.array([4.0, 4.0])

        def sample(self, n, rng=None):
            return Uniform(self.low, self.high).sample(n, rng)

        def log_prob(self, θ):
            values = Uniform(self.low, self.high).log_prob(θ)
            θ[:] = 0
            return values

    def zeroed(population, target):
        population.parameters[:] = 0
        population.weights[:] = 0

    observed = np.array([[0.3, 0.2]])
    changing = LFI.PopulationMonteCarlo(
        observed, InPlace(), F, doubled, squared, seed=1, verbose=False
    )
    changing(100, 200, 0.2, callback=zeroed)
    changing.parameters[0][:] = 0
    changing.samples()[0].parameters[:] = 0
    pure = LFI.PopulationMonteCarlo(
        observed,
        Uniform([-4, -4], [4, 4]),
        F,
        lambda d: 2 * d,
        lambda parameters, seed: simulator(parameters**2, seed),
        seed=1,
        verbose=False,
    )
    pure(100, 200, 0.2)
    np.testing.assert_array_equal(changing.parameters, pure.parameters)
    np.testing.assert_array_equal(changing.weights, pure.weights)
    np.testing.assert_array_equal(observed, [[0.3, 0.2]])


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_an_estimator_that_tells_nothing_is_refused(offset):
    target = (0.3, -0.2)
    PMC = LFI.PopulationMonteCarlo(
        np.array([target]),
        Uniform([-4, -4], [4, 4]),
        F,
        lambda d: np.full(d.shape, target) + offset * (len(d) > 1),
        simulator,
        seed=1,
        verbose=False,
    )
    with pytest.raises(ValueError, match="200 estimates at the same distance"):
        PMC(100, 200, 0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"callback": 3}, "`callback` must be a function"),
        ({"callback": lambda population: None}, r"`callback` must be callable as callback\("),
        ({"kernel_scala": 3}, "unexpected keyword 'kernel_scala'"),
        ({"bins": (3, 3, 3)}, "`bins` must"),
        ({"max_seconds": -1}, "`max_seconds` must"),
    ],
)
def test_the_keywords_of_pmc_are_checked_before_the_draws(options, words):
    counted = []
    PMC = make(simulator=lambda parameters: counted.append(1) or parameters)
    with pytest.raises((TypeError, ValueError), match=words):
        PMC.posterior(draws=100, initial_draws=200, criterion=0.5, **options)
    with pytest.raises(ValueError, match="`axes` must"):
        PMC.scatter_plot("parameters", 100, 200, 0.5)
    assert not counted


def test_keywords_that_would_be_ignored_are_refused():
    PMC = make()
    PMC(50, 100, 0.5)
    for options in ({"criterion": 0.1}, {"kernel_scale": 2.0}, {"initial_draws": 10}):
        with pytest.raises(TypeError, match="would ignore"):
            PMC.posterior(**options)
    with pytest.raises(TypeError, match="`callback` must"):
        PMC.resume(callback=3)


def test_a_budget_alone_chooses_the_rest():
    PMC = make(targets=[(0.3, -0.2)])
    PMC(max_simulations=2000)
    (population,) = PMC.populations
    assert PMC.stopped == ["max_simulations"]
    assert (population.size, population.prior_draws) == sizes_for(2000, 2)
    assert 1900 < PMC.num_draws[0] <= 2000
    PMC(draws=100, max_simulations=500)
    assert len(PMC.parameters[0]) == 100
    with pytest.raises(TypeError, match="`PMC` must get `draws`, `initial_draws`"):
        PMC()
    with pytest.raises(ValueError, match="`max_simulations` must"):
        PMC(max_simulations=3)


@pytest.mark.parametrize("budget", [4, 10, 100, 10**3, 10**5])
def test_sizes_fit_every_budget(budget):
    for n_params in (1, 2, 10):
        draws, initial = sizes_for(max(budget, n_params + 2), n_params)
        assert n_params + 2 <= draws <= initial <= max(budget, n_params + 2)


def test_adjusted_particles():
    PMC = make()
    PMC(200, 400, 0.3)
    for i, adjusted in enumerate(PMC.samples(adjust=True)):
        plain = PMC.samples()[i]
        assert not np.array_equal(adjusted.parameters, plain.parameters)
        assert (np.abs(adjusted.parameters) <= 4).all()
    assert PMC.posterior(bins=8, adjust="quadratic").shape == (2, 8, 8)


def test_the_nearest_of_all_draws_are_adjusted():
    PMC = make(targets=((0.3, -0.2),))
    PMC(100, 400, 0.0, max_simulations=4000)
    everything = PMC.draws  # weighted in another way
    distances = PMC.targets[0].distances(everything.estimates)
    keep = min(3 * 100, len(distances) // 10)
    nearest = np.argsort(distances)[:keep]
    ε = distances[nearest].max()
    expected = everything.weights[nearest] * (1 - (distances[nearest] / ε) ** 2)
    adjusted = PMC.samples(adjust=True)[0]
    assert adjusted.properties["ε"] == ε > PMC.ε[0]
    np.testing.assert_allclose(np.sort(adjusted.weights), np.sort(expected / expected.sum()))
    assert keep > 200
    assert adjusted.effective_samples > 1.5 * PMC.effective_samples[0]
    PMC(100, 200, 1.0)  # its particles are most of all draws
    assert len(PMC.samples(adjust=True)[0].parameters) == 100


def test_no_other_adjustments():
    PMC = make()
    PMC(200, 400, 0.3)
    with pytest.raises(ValueError, match="`adjust` must"):
        PMC.samples(adjust="cubic")
    with pytest.raises(ValueError, match=r"`adjust` must come with .*adjust=True and target=None"):
        PMC.populations[0].posterior(("a", "b"), adjust=True)


def test_all_draws_are_weighted_against_the_prior():
    PMC = make(targets=[(0.3, -0.2), (0.5, 0.5)])
    PMC(200, 2000, 0.1)
    draws = PMC.draws
    assert draws.num_draws == PMC.num_draws.sum() - 2000  # those of the prior are shared
    mean = np.average(draws.parameters, axis=0, weights=draws.weights)
    variance = np.average(draws.parameters**2, axis=0, weights=draws.weights)
    # U(−4, 4) has variance 16/3, and the 2,000 draws of the prior are worth as many: standard
    # errors 2.3/sqrt(2000) = 0.052 and 4.8/sqrt(2000) = 0.11; five of them.
    np.testing.assert_allclose(mean, 0, atol=0.26)
    np.testing.assert_allclose(variance, 16 / 3, atol=0.55)
    plain = (draws.parameters**2).mean(axis=0)
    assert (np.abs(plain - 16 / 3) > 0.55).any()  # control
