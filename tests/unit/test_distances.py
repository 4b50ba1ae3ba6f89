"""Distances between estimates: by hand, in ABC and PMC, never two of them mixed."""

import copy
import pickle

import numpy as np
import pytest

from imnn_lab import LFI, diagnostics
from imnn_lab.inference import Draws, Moves, Target, Uniform, accept, population_monte_carlo
from imnn_lab.inference.distances import as_distance, deviations
from imnn_lab.inference.rejection import until_accepted

F = np.array([[10.0, 3.0], [3.0, 5.0]])
ESTIMATES = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [10.0, 40.0]])
CENTRE = np.array([2.0, 20.0])
BOTH = (LFI.ApproximateBayesianComputation, LFI.PopulationMonteCarlo)


def simulator(parameters, seed):
    return parameters + np.random.default_rng(seed).standard_normal(parameters.shape) / 3


def same(data):
    return data


def city_blocks(differences):
    return np.abs(differences).sum(axis=1)


def in_place(differences):
    differences[:] = np.abs(differences)
    return differences.sum(axis=1)


def make(kind=LFI.ApproximateBayesianComputation, simulator=simulator, Fisher=F, **options):
    options = {"seed": 1, "verbose": False, "directory": None} | options
    prior = Uniform([-4, -4], [4, 4])
    return kind(np.array([[0.3, -0.2]]), prior, Fisher, same, simulator, **options)


def test_distances_by_hand():
    fisher = Target(CENTRE, np.diag([4.0, 0.01])).distances(ESTIMATES)
    np.testing.assert_allclose(fisher, np.sqrt([16 + 4, 4 + 1, 0, 4 + 1, 256 + 4]))
    np.testing.assert_array_equal(deviations(ESTIMATES), [1, 10])  # not moved by the outlier
    target = Target(CENTRE, F, "mad").measured(ESTIMATES)
    np.testing.assert_allclose(target.distances(ESTIMATES), np.sqrt([8, 2, 0, 2, 68]))
    for function in (city_blocks, in_place):
        found = Target(CENTRE, F, function).distances(ESTIMATES)
        np.testing.assert_allclose(found, [22, 11, 0, 11, 28])
    np.testing.assert_array_equal(ESTIMATES[:, 0], [0, 1, 2, 3, 10])


def test_the_default_is_the_distance_with_the_fisher_matrix():
    for kind, arguments in zip(BOTH, ({"draws": 500}, {"max_simulations": 1500}), strict=True):
        default, named = make(kind), make(kind, distance="fisher")
        for inference in (default, named):
            inference(**arguments)
        np.testing.assert_array_equal(default.distances, named.distances)
        Δ = np.reshape(default.differences, (-1, 2))
        ρ = np.sqrt(np.einsum("ni,ij,nj->n", Δ, F, Δ))
        np.testing.assert_allclose(np.ravel(default.distances), ρ)
        assert default.targets[0].scales is None


def test_abc_measures_all_its_draws():
    ABC, other = make(distance="mad"), make(distance="mad", Fisher=np.diag([1e-6, 1e6]))
    for inference in (ABC, other):
        inference(2000)
        inference.accept_reject(nearest=50)
    scaled = ABC.differences[0] / deviations(ABC.estimates)
    np.testing.assert_allclose(ABC.distances[0], np.linalg.norm(scaled, axis=1))
    np.testing.assert_array_equal(ABC.accepted_distances[0].max(), ABC.accepted_ε[0])
    np.testing.assert_array_equal(ABC.acceptances[0].accepted, other.acceptances[0].accepted)
    adjusted = ABC.samples(adjust=True)[0]
    kernel = 1 - (ABC.accepted_distances[0] / ABC.accepted_ε[0]) ** 2
    np.testing.assert_allclose(adjusted.weights, kernel / kernel.sum())
    before = ABC.targets[0].scales
    ABC(100)
    assert not np.array_equal(ABC.targets[0].scales, before)
    with pytest.raises(RuntimeError, match="accept_reject"):
        ABC.acceptances  # noqa: B018


def test_abc_by_a_function():
    ABC = make(distance=city_blocks)
    ABC.get_min_accepted(0.5, 20, min_draws=500)  # its unit stays the same
    ρ = np.abs(ABC.accepted_differences[0]).sum(axis=1)
    np.testing.assert_array_equal(ABC.accepted_distances[0], ρ)
    assert ABC.stopped == "accepted"
    assert ρ.max() < 0.5


def test_pmc_keeps_the_nearest_of_all_draws_in_the_units_of_the_last_round():
    PMC = make(LFI.PopulationMonteCarlo, distance="mad")
    (last,) = PMC(100, 400, 0.05, 50.0)
    assert len(last.proposals) > 3
    (populations,) = PMC.iterations
    (before,) = [p for p in populations if len(p.made) == last.round_start]
    round_before = Draws.joined(before.made[before.round_start :])
    np.testing.assert_array_equal(last.scales, deviations(round_before.estimates))
    assert (last.scales < populations[0].scales / 2).all()  # those of the prior

    every, target = PMC.draws, PMC.targets[0]
    ρ = target.distances(every.estimates)
    np.testing.assert_array_equal(np.sort(last.distances), np.sort(ρ)[:100])
    np.testing.assert_array_equal(target.distances(last.estimates), last.distances)
    rows = np.argsort(ρ, kind="stable")[:100]
    weights = every.weights[rows] / every.weights[rows].sum()
    order = np.argsort(last.distances, kind="stable")
    np.testing.assert_allclose(last.weights[order], weights)
    assert PMC.samples(adjust=True)[0].effective_samples > 20


@pytest.mark.parametrize("distance", ["mad", city_blocks])
def test_a_resumed_run_is_an_uninterrupted_one(distance):
    whole = make(LFI.PopulationMonteCarlo, distance=distance)
    whole(100, 400, 0.0, 50.0, max_simulations=1500)
    halves = make(LFI.PopulationMonteCarlo, distance=distance)
    halves(100, 400, 0.0, 50.0, max_simulations=800)
    halves = pickle.loads(pickle.dumps(copy.deepcopy(halves)))
    halves.resume(max_simulations=1500)
    assert halves.distance == distance
    np.testing.assert_array_equal(halves.distances[0], whole.distances[0])
    np.testing.assert_array_equal(halves.weights[0], whole.weights[0])


@pytest.mark.parametrize("other", ["fisher", city_blocks])
def test_a_population_goes_on_with_no_other_distance(other):
    PMC = make(LFI.PopulationMonteCarlo, distance="mad")
    (population,) = PMC(50, 200, 0.3)
    target = Target(PMC.target_estimates[0], F, other)
    moving = population_monte_carlo(
        population, target, PMC.prior, PMC._model(None, None), np.random.SeedSequence(1), Moves()
    )
    with pytest.raises(ValueError, match="go on with the target, and the distance, that it began"):
        next(moving)
    with pytest.raises(AttributeError):
        PMC.distance = other


def test_a_round_of_equal_estimates_keeps_the_units():
    def rounded(parameters, seed):
        return np.round(simulator(parameters, seed))

    PMC = make(LFI.PopulationMonteCarlo, rounded, distance="mad")
    (last,) = PMC(100, 400, 0.0, 50.0, max_simulations=3000)
    spread = np.abs(last.made[-1].estimates - np.median(last.made[-1].estimates, axis=0))
    assert (np.median(spread, axis=0) == 0).any()
    assert (last.scales >= 0.5).all()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("distance", "error", "words"),
    [
        (None, ValueError, "`distance` must be one of 'fisher', 'mad'. Received None"),
        ("euclid", ValueError, "A function from differences of shape"),
        (3, ValueError, "`distance` must be one of"),
        (lambda Δ: Δ, ValueError, r"must have the shape \(3,\). Received the shape \(3, 2\)"),
        (lambda Δ: Δ[:, 0] / 0, ValueError, "must contain finite numbers"),
        (lambda Δ: Δ[:, 0] - 1, ValueError, "must be at least 0. Received -1.0"),
        (lambda Δ: None, TypeError, "must be an array of real numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
def test_what_is_no_distance_is_refused(kind, distance, error, words):
    with pytest.raises(error, match=words):
        make(kind, distance=distance)


def test_changing_units_are_refused_before_any_draw():
    made = []
    ABC = make(simulator=lambda parameters: made.append(1) or parameters, distance="mad")
    for call in (ABC.get_min_accepted, lambda ε, n: ABC.posterior(ε=ε, accepted=n)):
        with pytest.raises(ValueError, match="whose units stay the same while draws are added"):
            call(1.0, 10)
    with pytest.raises(ValueError, match="must be measured from simulations first"):
        until_accepted(iter([Draws(*[np.ones((3, 2))] * 3)]), ABC.targets, 1.0, 1, 10)
    assert not made


@pytest.mark.parametrize("call", [lambda ABC: ABC.accept_reject(nearest=3), lambda A: A.distances])
def test_estimates_that_are_the_same_have_no_unit(call):
    ABC = make(distance="mad", simulator=lambda θ: np.column_stack([θ[:, 0], θ[:, 1] > 3.5]))
    ABC(100)
    with pytest.raises(ValueError, match=r"no parameter has the same value in half.*fisher"):
        call(ABC)
    PMC = make(LFI.PopulationMonteCarlo, distance="mad", simulator=np.zeros_like)
    with pytest.raises(ValueError, match="400 simulations, median absolute deviations"):
        PMC(100, 400, 0.1)


def test_draws_of_a_directory_serve_every_distance(tmp_path):
    made = []

    def counted(parameters, seed):
        made.append(len(parameters))
        return simulator(parameters, seed)

    ABC = make(simulator=counted, directory=tmp_path)
    ABC(300)
    other = make(simulator=counted, directory=tmp_path, distance="mad")
    np.testing.assert_array_equal(other(300).estimates, ABC.estimates)
    assert sum(made) == 300
    assert not np.array_equal(other.distances, ABC.distances)


def test_a_function_without_a_name_cannot_be_pickled():
    ABC = make(distance=lambda Δ: np.abs(Δ).max(axis=1))
    assert copy.deepcopy(ABC).distance is ABC.distance
    with pytest.raises(TypeError, match="because its `distance` cannot"):
        pickle.dumps(ABC)


def test_what_shows_the_default_refuses_others():
    for kind in BOTH:
        with pytest.raises(ValueError, match='distance="fisher", the one that it shows'):
            make(kind, distance="mad").explore()
    ABC = make(distance="mad")
    ABC(400)
    with pytest.raises(ValueError, match='distance="fisher", whose ε is in standard deviations'):
        diagnostics.epsilon_advisor(ABC)


def test_calibration_uses_the_distance_of_abc():
    ABC = make(distance="mad", Fisher=np.diag([1.0, 1e-6]))
    ABC(400)
    pairs = diagnostics.pairs_of(ABC)
    found = diagnostics.rejection_posteriors(pairs, 20, most=5)
    assert found.method == "ABC, the nearest 20 of 399, distance mad"
    others = np.arange(400) != 0
    draws = Draws(pairs.θ[others], pairs.estimates[others], np.empty((0, 2)))
    for distance, is_same in (("mad", True), ("fisher", False)):
        target = Target(pairs.estimates[0], pairs.Fisher, distance)
        nearest = accept(draws, target, nearest=20).posterior(ABC.labels).parameters
        assert np.array_equal(np.sort(nearest, 0), np.sort(found.samples[0], 0)) == is_same


def test_a_distance_is_tried_at_the_target_and_a_standard_deviation_off():
    seen = []
    as_distance(lambda Δ: seen.append(Δ) or np.abs(Δ).sum(axis=1), np.diag([4.0, 100.0]))
    np.testing.assert_allclose(seen[0], [[0, 0], [0.5, 0], [0, 0.1]])
