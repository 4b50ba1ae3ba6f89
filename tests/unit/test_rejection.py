"""Approximate Bayesian computation: bookkeeping, budgets, failures, files."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from imnn_lab import LFI, problems
from imnn_lab.inference import Posterior, Uniform
from imnn_lab.simulate import SimulationError

F = np.array([[10.0, 3.0], [3.0, 5.0]])
ROOT = np.linalg.inv(np.linalg.cholesky(F)).T


def simulator(parameters, seed):
    return parameters + np.random.default_rng(seed).standard_normal(parameters.shape) @ ROOT.T


def estimate(data):
    return data


def make(targets=((0.3, -0.2), (3.9, 3.9)), simulator=simulator, **options):
    options = {"seed": 1, "verbose": False} | options
    prior = Uniform([-4, -4], [4, 4])
    return LFI.ApproximateBayesianComputation(
        np.array(targets), prior, F, estimate, simulator, **options
    )


def test_two_targets_accept_different_numbers():
    ABC = make()
    ABC(20_000)
    ABC.accept_reject(1.0)
    assert ABC.num_accepted[0] != ABC.num_accepted[1]
    for i in range(2):
        assert len(ABC.accepted_parameters[i]) == ABC.num_accepted[i]
        assert len(ABC.rejected_distances[i]) == ABC.num_rejected[i]
        Δ = ABC.accepted_estimates[i] - ABC.target_estimates[i]
        np.testing.assert_array_equal(ABC.accepted_differences[i], Δ)
        ρ = np.sqrt(np.einsum("ni,ij,nj->n", Δ, F, Δ))
        np.testing.assert_allclose(ABC.accepted_distances[i], ρ)
        assert ρ.max() < 1.0 <= ABC.rejected_distances[i].min()
    assert ABC.differences.shape == (2, 20_000, 2)
    assert ABC.distances.shape == (2, 20_000)
    assert ABC.posterior(bins=7).shape == (2, 7, 7)


def test_histogram_is_a_density_on_its_edges():
    ABC = make()
    values = ABC.posterior(bins=(6, 9), ranges=[(-1, 1), None], ε=1.0, draws=20_000)
    edges = ABC.bin_edges((6, 9), [(-1, 1), None])
    assert [len(edge) for edge in edges] == [7, 10]
    cell = np.prod([edge[1] - edge[0] for edge in edges])
    np.testing.assert_allclose(values.sum(axis=(1, 2)) * cell, [1, 0])  # none of target 1 there
    np.testing.assert_array_equal(edges[0][[0, -1]], [-1, 1])


def test_another_distance_costs_no_simulation():
    calls = []

    def counted(parameters):
        calls.append(len(parameters))
        return parameters

    ABC = make(simulator=counted)
    ABC(1000)
    before = sum(calls)
    for ε in (0.5, 2.0, 1.0):
        ABC.accept_reject(ε)
    ABC.accept_reject(quantile=0.1)
    np.testing.assert_array_equal(ABC.num_accepted, [100, 100])
    ABC.accept_reject(nearest=7)
    np.testing.assert_array_equal(ABC.num_accepted, [7, 7])
    assert ABC.acceptances[0].ε == np.sort(ABC.distances[0])[6]
    assert sum(calls) == before == 1000


def test_greek_keywords_in_any_spelling():
    ABC = make()
    ABC(1000)
    ABC.accept_reject(**{"\u03f5": 1.0})
    first = ABC.num_accepted
    ABC.accept_reject(ε=1.0)
    np.testing.assert_array_equal(first, ABC.num_accepted)
    with pytest.raises(TypeError, match="once"):
        ABC.accept_reject(**{"\u03f5": 1.0, "ε": 2.0})


@pytest.mark.parametrize("number", [0, 1])
def test_the_posterior_of_none_and_of_one_accepted_draw(number):
    ABC = make()
    ABC(1000)
    ε = 1e-9 if number == 0 else np.sort(ABC.distances[0])[0] * 1.0001
    ABC.accept_reject(ε)
    assert ABC.num_accepted[0] == number
    assert ABC.num_accepted[0] + ABC.num_rejected[0] + ABC.num_failed == ABC.num_draws
    values = ABC.posterior(bins=5)
    assert np.isfinite(values).all()
    posterior = ABC.samples()[0]
    assert posterior.effective_samples == number
    assert np.isnan(posterior.mean).all() == (number == 0)
    assert str(ABC.summary()[0])
    if number == 0:
        with pytest.raises(ValueError, match="raise ε"):
            posterior.sample(3)


def test_failures_are_counted_apart():
    def half(parameters, seed):
        data = simulator(parameters, seed)
        data[parameters[:, 0] > 2] = np.nan
        return data

    ABC = make(simulator=half)
    ABC(10_000)
    ABC.accept_reject(1.0)
    assert ABC.num_failed == (ABC.failed_parameters[:, 0] > 2).sum() > 2000
    np.testing.assert_array_equal(
        ABC.num_accepted + ABC.num_rejected + ABC.num_failed, [10_000] * 2
    )
    assert "not finite" in ABC.failure


def test_abc_whose_simulations_all_fail():
    ABC = make(simulator=lambda parameters: parameters * np.nan)
    with pytest.raises(SimulationError, match="not finite"):
        ABC(1000)
    ABC = make(simulator=lambda parameters: parameters * np.nan, max_failed=1.0)
    ABC(1000)
    ABC.accept_reject(1.0)
    np.testing.assert_array_equal(ABC.num_accepted, [0, 0])
    assert ABC.num_failed == ABC.num_draws == 1000


def test_estimates_that_are_not_finite_fail():
    ABC = make()
    ABC.get_estimate = lambda d: np.where(d > 2, np.nan, d) if len(d) > 2 else d
    ABC(1000)
    assert 0 < ABC.num_failed < 1000
    assert ABC.failure == "An estimate is not finite."


def test_until_enough_are_accepted():
    ABC = make()
    ABC.get_min_accepted(1.0, 30, min_draws=500)
    assert ABC.num_accepted.min() >= 30
    assert ABC.num_draws % 500 == 0
    assert ABC.stopped == "accepted"
    drawn = ABC.num_draws
    ABC.get_min_accepted(1.0, 20)  # enough are there
    assert ABC.num_draws == drawn


def test_the_budget_of_simulations_ends_get_min_accepted():
    ABC = make(targets=[(30.0, 30.0)])
    ABC.get_min_accepted(0.1, 5, min_draws=100, max_draws=1000)
    assert ABC.stopped == "max_draws"
    assert ABC.num_draws == 1000
    np.testing.assert_array_equal(ABC.num_accepted, [0])


def test_saved_simulations(tmp_path):
    name = str(tmp_path / "sims")
    ABC = make(targets=[(0.3, -0.2)])
    ABC(100, save_sims=name)
    ABC(50, save_sims=name)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["sims_000000.npz", "sims_000001.npz"]  # neither overwrote the other
    with np.load(tmp_path / files[1]) as saved:
        np.testing.assert_array_equal(saved["parameters"], ABC.parameters)
        simulations = saved["simulations"]
        parameters = saved["parameters"]
    np.testing.assert_array_equal(simulations, ABC.estimates)

    again = make(targets=[(0.3, -0.2)], simulator=lambda _: simulations)
    again(draws=parameters, predrawn=True, save_sims=None, at_once=10)
    np.testing.assert_array_equal(again.distances, ABC.distances)
    old = make(targets=[(0.3, -0.2)], simulator=lambda _: simulations)
    old.ABC(parameters, PMC=True)
    np.testing.assert_array_equal(old.distances, ABC.distances)


def test_predrawn_draws_are_not_mixed_with_the_priors():
    ABC = make(targets=[(0.3, -0.2)])
    ABC(np.full((10, 2), 0.3), predrawn=True)
    ABC.get_min_accepted(1.0, 5, min_draws=100)
    assert ABC.num_draws % 100 == 0


def test_update_false_changes_nothing():
    ABC = make()
    kept = ABC(100)
    other = ABC.ABC(200, update=False)
    assert other.num_draws == 200
    assert ABC.draws is kept


@pytest.mark.parametrize(
    ("at_once", "largest"),
    [(True, 50), (False, 1), (1, 1), (7, 7), (None, 2), (np.int64(3), 3)],
)
def test_at_once_sets_the_number_of_simulations_in_a_call(at_once, largest):
    sizes = []

    def counted(parameters):
        sizes.append(len(parameters))
        return parameters

    make(simulator=counted)(50, at_once)
    assert max(sizes) == largest
    assert sum(sizes) == 50


def test_same_seed_same_draws():
    np.testing.assert_array_equal(make()(500).estimates, make()(500).estimates)
    assert not np.array_equal(make()(500).estimates, make(seed=2)(500).estimates)
    ABC = make()
    assert not np.array_equal(ABC(500).estimates, ABC(500).estimates)


def test_a_changed_estimator_is_refused():
    shift = [0.0]
    ABC = LFI.ApproximateBayesianComputation(
        np.zeros((1, 2)), Uniform([-4, -4], [4, 4]), F, lambda d: d + shift[0], simulator
    )
    shift[0] = 0.5
    with pytest.raises(RuntimeError, match="build a new object"):
        ABC(10)


def test_results_before_the_first_draws_are_refused():
    ABC = make()
    with pytest.raises(RuntimeError, match=r"ABC\(draws"):
        ABC.parameters  # noqa: B018
    ABC(10)
    with pytest.raises(RuntimeError, match="accept_reject"):
        ABC.posterior()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ABC: ABC(0), "`draws` must be an integer of at least 1"),
        (lambda ABC: ABC(np.zeros((3, 2))), "predrawn=True"),
        (lambda ABC: ABC(np.zeros((3, 3)), predrawn=True), "`draws` must be parameters"),
        (lambda ABC: ABC(10, at_once=0), "`at_once` must"),
        (lambda ABC: ABC(10, save_sims=3), "`save_sims` must"),
        (lambda ABC: ABC(10, save_sims="/proc/imnn_lab/sims"), "`save_sims` must"),
        (lambda ABC: ABC.accept_reject(-1.0), "`ε` must"),
        (lambda ABC: ABC.accept_reject(), "ε, quantile or nearest"),
        (lambda ABC: ABC.accept_reject(1.0, nearest=3), "ε, quantile or nearest"),
        (lambda ABC: ABC.accept_reject(quantile=2.0), "`quantile` must"),
        (lambda ABC: ABC.get_min_accepted(1.0, 0), "`accepted` must"),
        (lambda ABC: ABC.posterior(bins=(3, 3, 3), ε=1.0), "`bins` must"),
        (lambda ABC: ABC.posterior(ranges=[(1, 0), (0, 1)], ε=1.0), "`ranges` must"),
        (lambda ABC: ABC.posterior(ε=1.0, bans=3), "`posterior` got an unexpected keyword 'bans'"),
        (lambda ABC: ABC.scatter_plot("parameters", ε=1.0), "`axes` must be one of"),
        (lambda ABC: ABC.scatter_plot(rejected=2, ε=1.0), "`rejected` must"),
    ],
)
def test_bad_calls_of_abc_are_rejected(call, message):
    ABC = make()
    ABC(10)
    with pytest.raises((TypeError, ValueError), match=message):
        call(ABC)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simulator": None}, "`simulator` must be a function"),
        ({"executor": 3}, "`executor` must"),
        ({"max_failed": 2}, "`max_failed` must"),
        ({"verbose": 1}, "`verbose` must"),
    ],
)
def test_bad_arguments_of_abc_are_rejected(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(**changes)


def test_regression_adjustment_needs_enough_draws():
    ABC = make()
    ABC(100)
    ABC.accept_reject(nearest=3)
    with pytest.raises(ValueError, match="regression adjustment must have at least 4"):
        ABC.samples(adjust=True)


def test_abc_without_verbose_prints_nothing(capsys):
    ABC = make()
    ABC(100)
    assert capsys.readouterr() == ("", "")


def test_results_are_posteriors(tmp_path):
    ABC = make(labels=["$a$", "b"])
    ABC(5000)
    ABC.accept_reject(1.0)
    posterior = ABC.samples()[0]
    posterior.to_npz(tmp_path / "posterior.npz")
    read = Posterior.from_npz(tmp_path / "posterior.npz")
    np.testing.assert_array_equal(read.parameters, posterior.parameters)
    assert (read.labels, dict(read.properties)) == (("$a$", "b"), dict(posterior.properties))
    assert ABC.sample(5, 0).shape == (2, 5, 2)


def test_data_with_summaries_known_alongside():
    def both(parameters, seed):
        data = simulator(parameters, seed)
        return data[:, :1], data[:, 1]

    def estimate_from(pair):
        data, known = pair
        return np.column_stack([data, known])

    target = (np.array([[0.3], [1.0]]), np.array([-0.2, 0.0]))
    ABC = LFI.ApproximateBayesianComputation(
        target, Uniform([-4, -4], [4, 4]), F, estimate_from, both, seed=1, verbose=False
    )
    ABC(2000)
    np.testing.assert_array_equal(ABC.target_estimates, [[0.3, -0.2], [1.0, 0.0]])
    assert ABC.num_failed == 0
    assert ABC.estimates.shape == (2000, 2)


def in_place(parameters, seed):
    """Change the units of the parameters where they stand."""
    parameters[:, 1] = np.sqrt(parameters[:, 1])
    return parameters


def out_of_place(parameters, seed):
    return np.column_stack([parameters[:, 0], np.sqrt(parameters[:, 1])])


def doubled_in_place(data):
    data *= 2
    return data


@pytest.mark.parametrize("predrawn", [False, True])
def test_functions_that_work_in_place_change_no_draws(predrawn):
    results, given, observed = [], np.full((40, 2), 2.0), np.array([[0.3, 0.2]])
    prior = Uniform([0, 0], [4, 4])
    for simulator, estimator in ((in_place, doubled_in_place), (out_of_place, lambda d: 2 * d)):
        ABC = LFI.ApproximateBayesianComputation(
            observed, prior, F, estimator, simulator, seed=1, verbose=False
        )
        ABC(given if predrawn else 400, predrawn=predrawn)
        ABC.accept_reject(nearest=20)
        results.append((ABC.parameters, ABC.estimates, ABC.samples()[0].mean))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(given, 2.0)
    np.testing.assert_array_equal(observed, [[0.3, 0.2]])


def test_a_predrawn_function_gives_what_it_keeps_away():
    saved = np.ones((10, 2))
    ABC = make(simulator=lambda _: saved)
    ABC.get_estimate = doubled_in_place
    ABC.target_estimates = 2 * ABC.target_estimates
    ABC(np.ones((10, 2)), predrawn=True)
    np.testing.assert_array_equal(saved, 1)


def test_a_simulator_and_an_estimator_may_fill_one_array_again_and_again():
    simulations, estimates = np.empty((10, 2)), np.empty((10, 2))

    def filling(parameters):
        simulations[: len(parameters)] = parameters
        return simulations[: len(parameters)]

    def estimator(data):
        estimates[: len(data)] = data
        return estimates[: len(data)]

    prior = Uniform([-4, -4], [4, 4])
    ABC = LFI.ApproximateBayesianComputation(
        np.zeros((1, 2)), prior, F, estimator, filling, seed=1, verbose=False
    )
    for _ in range(2):
        ABC(10, at_once=5)
        np.testing.assert_array_equal(ABC.estimates, ABC.parameters)


def test_what_is_read_from_abc_can_be_changed_without_changing_it():
    ABC = make()
    ABC(100)
    ABC.accept_reject(nearest=10)
    before = ABC.samples()[0].mean
    ABC.parameters[:], ABC.estimates[:] = 0, 0
    ABC.samples()[0].parameters[:] = 0
    np.testing.assert_array_equal(ABC.samples()[0].mean, before)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"ε": 1e-12}, "no draw is accepted within ε = 1e-12; the nearest of 400 is at ρ = "),
        ({"ε": 1e9}, "all 400 draws are accepted"),
        ({"quantile": 1.0}, "all 400 draws are accepted"),
        ({"nearest": 400}, "all 400 draws are accepted"),
    ],
)
def test_accepting_none_or_all_is_warned_of(choice, words):
    ABC = make(targets=[(0.3, -0.2)])
    ABC(400)
    with pytest.warns(UserWarning, match=words):
        ABC.accept_reject(**choice)


def test_more_than_there_are_cannot_be_accepted():
    ABC = make()
    ABC(400)
    with pytest.raises(ValueError, match="`nearest` must be at most 400, the draws that succeeded"):
        ABC.accept_reject(nearest=10**9)


@pytest.mark.parametrize("constant", [0.0, 0.7])
def test_an_estimator_that_tells_nothing_is_warned_of(constant):
    ABC = make(targets=[(0.3, -0.2)])
    ABC.get_estimate = lambda d: np.full_like(d, constant)
    ABC.target_estimates = np.zeros((1, 2)) + constant
    ABC(400)
    with pytest.warns(UserWarning, match="all 400 estimates are at the same distance"):
        ABC.accept_reject(nearest=10)


def test_few_accepted_draws_are_no_reason_to_warn(recwarn):
    ABC = make(targets=[(0.3, -0.2)], simulator=lambda parameters: parameters)
    ABC(np.full((10, 2), 0.3), predrawn=True)  # all alike, as the parameters are
    ABC.accept_reject(nearest=5)
    ABC(400)
    ABC.accept_reject(nearest=20)
    assert not recwarn.list


@pytest.mark.parametrize("Fisher", [1e308 * np.eye(2), np.diag([1, 1e-200]), 1e200 * np.eye(2)])
def test_a_fisher_matrix_whose_distances_overflow_is_refused(Fisher):
    with pytest.raises(ValueError, match="`Fisher` must have a diagonal from 1e-150 to 1e"):
        LFI.ApproximateBayesianComputation(
            np.zeros((1, 2)), Uniform([-4, -4], [4, 4]), Fisher, estimate, simulator
        )


def test_a_process_pool_simulates_a_problem():
    problem = problems.gaussian()
    prior = Uniform([-3, 0.1], [3, 5])

    def estimator(data):
        return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)

    arguments = (problem.simulations(1, 3), prior, problem.F, estimator, problem.simulator)
    here = LFI.ApproximateBayesianComputation(*arguments, seed=1, verbose=False)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        there = LFI.ApproximateBayesianComputation(
            *arguments, seed=1, verbose=False, executor=executor
        )
        np.testing.assert_array_equal(there(100).estimates, here(100).estimates)
        assert there.num_failed == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bans": 3}, "unexpected keyword 'bans'"),
        ({"bins": (3, 3, 3)}, "`bins` must"),
        ({"ranges": [(1, 0), (0, 1)]}, "`ranges` must"),
        ({"adjust": "yes"}, "`adjust` must"),
        ({"accepted": 5, "quantile": 0.1}, "would ignore 'quantile'"),
        ({"accepted": 5, "nearest": 3}, "would ignore 'nearest'"),
        ({"max_draws": 5}, "would ignore 'max_draws'"),
    ],
)
def test_the_keywords_of_posterior_are_checked_before_the_draws(options, words):
    counted = []
    ABC = make(simulator=lambda parameters: counted.append(1) or parameters)
    with pytest.raises((TypeError, ValueError), match=words):
        ABC.posterior(ε=1.0, draws=100, **options)
    if "bans" not in options and "adjust" not in options:
        with pytest.raises((TypeError, ValueError), match=words):
            ABC.plot(ε=1.0, draws=100, **options)
    with pytest.raises(ValueError, match="`axes` must"):
        ABC.scatter_plot("parameters", ε=1.0, draws=100)
    assert not counted


@pytest.mark.parametrize("labels", [3, {"a", "b"}, object(), [1, 2], "ab", ["a"], np.eye(2)])
def test_labels_that_are_none_are_refused(labels):
    with pytest.raises(ValueError, match="`labels` must be 2 strings"):
        make(labels=labels)
