"""Regression adjustment recovers exact posteriors where accepted draws alone are too wide."""

import numpy as np
import pytest
from linear_gaussian import LinearGaussian

from imnn_lab import LFI
from imnn_lab.inference import adjustment

pytestmark = pytest.mark.statistical


@pytest.mark.parametrize("adjust", ["linear", "quadratic"])
def test_population_at_a_wide_tolerance(adjust):
    problem, p = LinearGaussian(2, seed=3, reach=8), 2
    adjusted, plain, n = [], [], 0.0
    for seed in range(4):
        PMC = problem.inference(LFI.PopulationMonteCarlo, seed=seed)
        (population,) = PMC(2000, 4000, 0.0, max_simulations=9000)
        assert population.ε > 1
        posterior = PMC.samples(adjust=adjust)[0]
        n += posterior.effective_samples
        adjusted.append(problem.whitened_variance(posterior.covariance, 0.0))
        plain.append(problem.whitened_variance(PMC.samples()[0].covariance, 0.0))
    # Relative error of the variance sqrt(2/(p n)); particles depend on one another: eight of them.
    tolerance = 8 * np.sqrt(2 / (p * n))
    assert np.mean(adjusted) == pytest.approx(1, abs=tolerance)
    # Control: without adjustment the posterior is wider by ε²/4.
    assert np.mean(plain) > 1 + tolerance


def test_residuals_that_grow_with_the_difference():
    """θ | Δ ~ N(Δ/2, e^Δ²), so that the posterior at Δ = 0 has unit variance."""
    rng = np.random.default_rng(1)
    Δ = rng.uniform(-1, 1, (20_000, 1))
    θ = Δ / 2 + np.exp(Δ) * rng.standard_normal(Δ.shape)

    def variance():
        values, weights = adjustment.regression_adjusted(θ, Δ, np.abs(Δ[:, 0]), 1.0)
        return np.cov(values[:, 0], aweights=weights)

    # 20,000 draws of Epanechnikov weights are worth 16,700: standard error of the variance 1.1 %,
    # and of the logarithm's mean slope 0.02: five of them.
    assert variance() == pytest.approx(1, abs=0.08)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjustment, "NEEDED_PER_FEATURE", np.inf)
        assert variance() > 1.3  # control: one scale for all residuals, ⟨e^2Δ⟩ = 1.4
