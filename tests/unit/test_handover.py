"""Hand-over: priors as families, pairs for sbi and BayesFlow, draws of other packages."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from imnn_lab.handover import families_of, to_bayesflow, to_sbi
from imnn_lab.handover.families import KNOWN
from imnn_lab.inference import Draws, Independent, Posterior, TruncatedNormal, Uniform, as_prior

FINE = 2e-5  # relative; the densities of TensorFlow Probability are float32
SCIPY = {
    "Uniform": stats.uniform(1, 2),
    "LogUniform": stats.loguniform(1, 100),
    "Normal": stats.norm(1, 2),
    "TruncatedNormal": stats.truncnorm(-1, 2, loc=3, scale=0.5),
    "LogNormal": stats.lognorm(0.5, scale=2),
    "HalfNormal": stats.halfnorm(scale=3),
    "StudentT": stats.t(5, 1, 2),
    "Cauchy": stats.cauchy(1, 2),
    "Laplace": stats.laplace(1, 2),
    "Gumbel": stats.gumbel_r(1, 2),
    "Exponential": stats.expon(scale=4),
    "Gamma": stats.gamma(2, scale=0.5),
    "Beta": stats.beta(2, 3),
}
RNG = np.random.default_rng(0)
θ = RNG.normal(size=(500, 2))
PRIOR = {"a": stats.norm(0, 1), "b": stats.truncnorm(-5, 5)}


def in_tfp(family):
    """Return the distribution that TensorFlow Probability has under the name and parameters."""
    tfd = pytest.importorskip("tensorflow_probability").distributions
    numbers = {name: np.float32(value) for name, value in family.parameters.items()}
    return getattr(tfd, family.name)(**numbers)


@pytest.mark.parametrize("name", sorted(set(SCIPY) - {"LogUniform"}))
def test_a_family_has_the_density_of_the_prior_and_comes_back(name):
    (family,) = families_of(SCIPY[name])
    assert family.name == name
    assert tuple(family.parameters) == KNOWN[name]
    distribution = in_tfp(family)
    at = SCIPY[name].rvs(50, random_state=1)
    there = np.asarray(distribution.log_prob(at.astype(np.float32)))
    np.testing.assert_allclose(there, SCIPY[name].logpdf(at), rtol=FINE, atol=FINE)
    (again,) = families_of(distribution)
    assert again.name == name
    for key, value in family.parameters.items():
        assert again.parameters[key] == pytest.approx(value, rel=1e-6)


def test_a_wrong_translation_is_noticed():
    (family,) = families_of(stats.gamma(2, scale=2.0))  # whose rate is not its scale
    at = np.float32([0.5, 2.0])
    wrong = np.asarray(in_tfp(family).log_prob(at)) - stats.gamma(2, scale=0.5).logpdf(at)
    assert np.abs(wrong).max() > 0.1


def test_priors_of_several_parameters_keep_their_order():
    tfd = pytest.importorskip("tensorflow_probability").distributions
    names = [
        family.name
        for prior in (
            Independent([Uniform([0, 1], [1, 2]), TruncatedNormal([0, 1], [1, 1], [-np.inf, 0])]),
            [stats.norm([0, 1], 2), stats.multivariate_normal([1, 2], [[2, 0.5], [0.5, 1]])],
            as_prior([stats.expon(), stats.loguniform(1, 10)]),
            tfd.Independent(tfd.Normal([0.0, 1.0], 1.0), 1),
            tfd.Blockwise([tfd.Gamma(2.0, 1.0), tfd.Beta(2.0, 3.0)]),
        )
        for family in families_of(prior)
    ]
    assert names == [
        "Uniform", "Uniform", "Normal", "TruncatedNormal",
        "Normal", "Normal", "MultivariateNormal",
        "Exponential", "LogUniform",
        "Normal", "Normal",
        "Gamma", "Beta",
    ]  # fmt: skip
    joint = families_of(stats.multivariate_normal([1, 2], [[2, 0.5], [0.5, 1]]))[0]
    assert joint.n_params == 2
    np.testing.assert_array_equal(joint.parameters["covariance_matrix"], [[2, 0.5], [0.5, 1]])


@pytest.mark.parametrize(
    "prior", [stats.weibull_min(2), stats.gamma(2, loc=1), stats.beta(2, 3, scale=4)]
)
def test_other_families_are_refused(prior):
    with pytest.raises(ValueError, match=r"`prior` must be made of the families .* PyTorch"):
        families_of(prior)


class Halved:
    """An IMNN, as far as the hand-over goes."""

    def summaries(self, data):
        return data[:, ::2]


def test_what_does_not_fit_is_refused_before_a_package_is_needed():
    draws = Draws(θ, θ, np.empty((0, 2)))
    weighted = Draws(θ, θ, np.empty((0, 2)), weights=np.ones(500))
    for function in (to_sbi, to_bayesflow):
        with pytest.raises(ValueError, match="weighted"):
            function(PRIOR, weighted)
        with pytest.raises(ValueError, match="`imnn` must be left out"):
            function(PRIOR, draws, Halved())
        with pytest.raises(ValueError, match="Pass `imnn`"):
            function(PRIOR, (θ, np.zeros((500, 4, 4))))
        with pytest.raises(ValueError, match="outside its support"):
            function(Uniform([0, 0], [1, 1]), draws)
        with pytest.raises(TypeError, match="whose `summaries`"):
            function(PRIOR, draws, np.mean)


@pytest.mark.parametrize(("function", "name"), [(to_sbi, "sbi"), (to_bayesflow, "bayesflow")])
def test_a_package_that_is_missing_is_named(function, name, monkeypatch):
    for module in ("torch", "sbi", "bayesflow"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {name}"):
        function(PRIOR, (θ, θ))


def test_bayesflow_learns_from_what_it_is_given():
    bayesflow = pytest.importorskip("bayesflow")
    data, adapter = to_bayesflow(PRIOR, (θ, np.repeat(θ, 2, axis=1)), Halved())
    assert {name: one.shape for name, one in data.items()} == {
        "a": (500, 1), "b": (500, 1), "summaries": (500, 2),
    }  # fmt: skip
    adapted = adapter(data)
    np.testing.assert_allclose(adapted["inference_variables"][:, 0], θ[:, 0], rtol=1e-6)
    bounded = adapted["inference_variables"][:, 1]
    assert np.corrcoef(bounded, θ[:, 1])[0, 1] > 0.9  # of a growing function, not linear
    back = adapter({"inference_variables": np.full((3, 2), 50.0)}, inverse=True)
    assert np.allclose(back["b"], 5)  # the bound
    workflow = bayesflow.BasicWorkflow(adapter=adapter)
    workflow.fit_offline(data, epochs=1, verbose=0)
    drawn = workflow.sample(conditions={"summaries": data["summaries"][:1]}, num_samples=100)
    posterior = Posterior.from_draws(drawn, prior=PRIOR)
    assert posterior.labels == ("a", "b")
    assert np.abs(posterior.parameters[:, 1]).max() <= 5


def test_sbi_has_the_density_of_the_prior():
    torch = pytest.importorskip("torch")
    check = pytest.importorskip("sbi.utils.user_input_checks")
    for given in ([*SCIPY.values()], Uniform([0, 1], [1, 3]), stats.gamma(2)):
        ours = as_prior(given)
        drawn = ours.sample(1000, 1)
        prior, parameters, x = to_sbi(given, (drawn, drawn))
        prior, *_ = check.process_prior(prior)
        assert parameters.dtype == x.dtype == torch.float32
        there = prior.log_prob(parameters).numpy()
        np.testing.assert_allclose(there, ours.log_prob(drawn), rtol=FINE, atol=10 * FINE)
        for a, b in zip(prior.sample((1000,)).numpy().T, drawn.T, strict=True):
            assert stats.ks_2samp(a, b).pvalue > 1e-5  # of about 15 comparisons


def test_torch_is_imported_by_one_module():
    package = Path(sys.modules["imnn_lab"].__file__).parent
    found = [p.name for p in package.rglob("*.py") if "\nimport torch\n" in p.read_text("utf-8")]
    assert found == ["torch_priors.py"]
