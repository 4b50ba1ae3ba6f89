"""Every call of the LFI section of the interface that imnn_lab keeps, by position and keyword."""

import inspect
from functools import partial

import numpy as np
import pytest
from tensorflow_probability import distributions as tfd

from imnn_lab import LFI

Fisher = np.array([[10.0, 3.0], [3.0, 5.0]])
ROOT = np.linalg.inv(np.linalg.cholesky(Fisher)).T
labels = ["a", "b"]
target_data = np.array([[0.3, -0.2], [1.0, 0.5]])


def get_estimate(data):
    return np.asarray(data)


def simulator(parameters, seed=None, simulator_args=None):
    noise = np.random.default_rng(seed).standard_normal(parameters.shape)
    return parameters + noise @ ROOT.T


@pytest.fixture(scope="module")
def prior():
    return tfd.Independent(tfd.Uniform([-4.0, -4.0], [4.0, 4.0]), 1)


@pytest.fixture
def ABC(prior):
    return LFI.ApproximateBayesianComputation(
        target_data, prior, Fisher, get_estimate, lambda p: simulator(p, None), labels
    )


@pytest.fixture
def PMC(prior):
    return LFI.PopulationMonteCarlo(
        target_data, prior, Fisher, get_estimate, lambda p: simulator(p, None), labels
    )


SIGNATURES = {
    LFI.GaussianApproximation: "target_data prior Fisher get_estimate labels",
    LFI.GaussianApproximation.plot_Fisher: "figsize",
    LFI.GaussianApproximation.log_prob: "grid gridsize",
    LFI.GaussianApproximation.prob: "grid gridsize",
    LFI.GaussianApproximation.log_posterior: "grid gridsize",
    LFI.GaussianApproximation.posterior: "grid gridsize",
    LFI.GaussianApproximation.plot: "grid gridsize",
    LFI.ApproximateBayesianComputation: "target_data prior Fisher get_estimate simulator labels",
    LFI.ApproximateBayesianComputation.__call__: "draws at_once save_sims",
    LFI.ApproximateBayesianComputation.ABC: "draws at_once save_sims PMC update",
    LFI.ApproximateBayesianComputation.accept_reject: "ε",
    LFI.ApproximateBayesianComputation.get_min_accepted: (
        "ε accepted min_draws at_once save_sims tqdm_notebook"
    ),
    LFI.ApproximateBayesianComputation.posterior: (
        "bins ranges ε draws accepted at_once save_sims tqdm_notebook"
    ),
    LFI.ApproximateBayesianComputation.plot: (
        "smoothing bins ranges ε draws accepted at_once save_sims tqdm_notebook"
    ),
    LFI.ApproximateBayesianComputation.scatter_plot: (
        "axes rejected ε draws accepted at_once save_sims tqdm_notebook"
    ),
    LFI.PopulationMonteCarlo: "target_data prior Fisher get_estimate simulator labels",
    LFI.PopulationMonteCarlo.__call__: (
        "draws initial_draws criterion percentile at_once save_sims tqdm_notebook"
    ),
    LFI.PopulationMonteCarlo.PMC: (
        "draws initial_draws criterion percentile at_once save_sims tqdm_notebook"
    ),
    LFI.PopulationMonteCarlo.posterior: (
        "bins ranges draws initial_draws criterion percentile at_once save_sims tqdm_notebook"
    ),
    LFI.PopulationMonteCarlo.plot: (
        "smoothing bins ranges draws initial_draws criterion percentile at_once save_sims "
        "tqdm_notebook"
    ),
    LFI.PopulationMonteCarlo.scatter_plot: (
        "axes draws initial_draws criterion percentile at_once save_sims tqdm_notebook"
    ),
}


@pytest.mark.parametrize("called", SIGNATURES, ids=lambda called: called.__qualname__)
def test_arguments_by_position_in_order(called):
    parameters = [
        parameter.name
        for parameter in inspect.signature(called).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self"
    ]
    assert parameters == SIGNATURES[called].split()


def test_gaussian_approximation(prior):
    GA = LFI.GaussianApproximation(target_data, prior, Fisher, get_estimate, labels=labels)
    assert GA.plot_Fisher(figsize=(6, 3)).get_size_inches().tolist() == [6, 3]
    for function in (GA.log_prob, GA.prob, GA.log_posterior, GA.posterior):
        assert function(grid=None, gridsize=None).shape == (2, 20, 20)
        assert function(None, (10, 12)).shape == (2, 10, 12)
        assert function(grid=np.zeros((5, 2))).shape == (2, 5)
        assert function(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 6))).shape == (
            2,
            6,
            4,
        )
    GA.plot(gridsize=(30, 30), color="red", linewidth=2)
    GA.plot(np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9)))


def test_abc(ABC, tmp_path):
    ABC(1000, True, str(tmp_path / "sims"))
    ABC.ABC(1000, at_once=True, save_sims=None, PMC=False, update=True)
    assert ABC.parameters.shape == ABC.estimates.shape == (1000, 2)
    assert ABC.differences.shape == (2, 1000, 2)
    assert ABC.distances.shape == (2, 1000)
    ABC.accept_reject(1.0)
    assert (ABC.num_accepted + ABC.num_rejected == ABC.num_draws).all()
    for name in ("parameters", "differences", "estimates", "distances"):
        for kind, number in (("accepted", ABC.num_accepted), ("rejected", ABC.num_rejected)):
            arrays = getattr(ABC, f"{kind}_{name}")
            assert [len(array) for array in arrays] == number.tolist()


def test_parameters_drawn_by_the_user_under_the_older_name(ABC):
    parameters = np.random.default_rng(0).uniform(-4, 4, (300, 2))
    ABC.ABC(parameters, True, None, True, True)
    np.testing.assert_array_equal(ABC.parameters, parameters)
    other = ABC.ABC(draws=100, update=False)
    assert len(other.parameters) == 100
    np.testing.assert_array_equal(ABC.parameters, parameters)


def test_the_simulator_of_the_description_with_its_arguments_bound(prior):
    def described(parameters, seed, simulator_args):
        noise = seed.standard_normal(parameters.shape)
        return parameters + simulator_args["scale"] * noise @ ROOT.T

    bound = partial(described, seed=np.random.default_rng(3), simulator_args={"scale": 1.0})
    both = (target_data, prior, Fisher, get_estimate, bound, labels)
    ABC, PMC = LFI.ApproximateBayesianComputation(*both), LFI.PopulationMonteCarlo(*both)
    ABC(500)
    whitened = (ABC.estimates - ABC.parameters) @ np.linalg.cholesky(Fisher)
    np.testing.assert_allclose(whitened.std(axis=0), [1, 1], atol=4 / np.sqrt(1000))
    PMC(50, 100, 0.5)
    assert [p.shape for p in PMC.parameters] == [(50, 2)] * 2


def test_get_min_accepted(ABC):
    ABC.get_min_accepted(
        ε=1.0, accepted=10, min_draws=100, at_once=True, save_sims=None, tqdm_notebook=False
    )
    assert (ABC.num_accepted >= 10).all()


def test_abc_posterior(ABC):
    values = ABC.posterior(
        bins=[10, 12], ranges=[[-2, 2], [-2, 3]], ε=1.0, draws=2000, accepted=None, at_once=True
    )
    assert values.shape == (2, 10, 12)
    np.testing.assert_allclose(values.sum(axis=(1, 2)) * 0.4 * 5 / 12, [1, 1])
    assert ABC.posterior(ε=1.0, accepted=20).shape == (2, 20, 20)
    assert ABC.posterior().shape == (2, 20, 20)


def test_abc_plots(ABC):
    ABC.plot(smoothing=1, bins=10, ranges=None, ε=1.0, draws=2000, color="black")
    ABC.plot()
    for axes in ("parameter_estimate", "parameter_parameter", "estimate_estimate"):
        ABC.scatter_plot(axes, 0.1)
        ABC.scatter_plot(axes=axes, rejected=1.0, ε=0.5, s=1)


def test_saved_simulations(prior):
    saved_parameters = np.random.default_rng(0).uniform(-4, 4, (500, 2))
    saved_simulations = simulator(saved_parameters, 1)
    simulator_ = lambda _: saved_simulations  # noqa: E731
    ABC = LFI.ApproximateBayesianComputation(
        target_data, prior, Fisher, get_estimate, simulator_, labels
    )
    ABC(draws=saved_parameters, predrawn=True, save_sims=None, at_once=True)
    ABC.accept_reject(1.0)
    np.testing.assert_array_equal(ABC.estimates, saved_simulations)


def test_pmc(PMC):
    PMC(100, 200, 0.2, 75, True, None, False)
    PMC.PMC(
        draws=100,
        initial_draws=200,
        criterion=0.2,
        percentile=None,
        at_once=True,
        save_sims=None,
        tqdm_notebook=False,
    )
    assert [p.shape for p in PMC.parameters] == [(100, 2)] * 2
    assert [w.shape for w in PMC.weights] == [(100,)] * 2
    assert [d.shape for d in PMC.distances] == [(100,)] * 2
    assert [e.shape for e in PMC.estimates] == [d.shape for d in PMC.differences] == [(100, 2)] * 2


def test_pmc_posterior(PMC):
    values = PMC.posterior(
        bins=8, ranges=None, draws=100, initial_draws=200, criterion=0.2, percentile=75
    )
    assert values.shape == (2, 8, 8)
    assert PMC.posterior([5, 6]).shape == (2, 5, 6)


def test_pmc_plots(PMC):
    PMC.plot(smoothing=1, bins=10, draws=100, initial_draws=200, criterion=0.2, color="black")
    PMC.plot()
    for axes in ("parameter_estimate", "parameter_parameter", "estimate_estimate"):
        PMC.scatter_plot(axes)
        PMC.scatter_plot(axes, 100, 200, 0.2, 75)


def test_unbounded_priors_work_everywhere():
    normal = tfd.MultivariateNormalDiag([0.0, 0.0], [2.0, 2.0])
    GA = LFI.GaussianApproximation(target_data, normal, Fisher, get_estimate)
    assert np.isfinite(GA.posterior()).all()
    GA.plot()
    both = (target_data, normal, Fisher, get_estimate, lambda p: simulator(p, None))
    ABC, PMC = LFI.ApproximateBayesianComputation(*both), LFI.PopulationMonteCarlo(*both)
    assert np.isfinite(ABC.posterior(ε=1.0, draws=2000)).all()
    assert np.isfinite(PMC.posterior(None, None, 100, 200, 0.2)).all()
    ABC.plot()
    PMC.plot()
