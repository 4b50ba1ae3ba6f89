"""With units from the simulations, ABC and PMC need no right Fisher matrix."""

import numpy as np
import pytest
from linear_gaussian import LinearGaussian

from imnn_lab import LFI

pytestmark = pytest.mark.statistical


class Mismeasured(LinearGaussian):
    """Two parameters, of which F takes the second to be measured fifty times less well."""

    def inference(self, kind, **options):
        wrong = np.diag([1, 0.02])
        arguments = (self.target, self.prior, wrong @ self.F @ wrong, self.estimate, self.simulate)
        return kind(*arguments, verbose=False, **options)

    def widened(self, scales, ε):
        """Return the exact variances, and those within an ellipse of semi-axes ε · scales."""
        return np.diag(np.linalg.inv(self.F)) + (ε * scales) ** 2 / 4


def test_abc_in_units_of_the_draws():
    problem = Mismeasured(2, seed=3, reach=8)
    variances, means = {}, {}
    for distance in ("mad", "fisher"):
        ABC = problem.inference(LFI.ApproximateBayesianComputation, seed=1, distance=distance)
        ABC(300_000)
        ABC.accept_reject(nearest=2000)
        (posterior,) = ABC.samples()
        variances[distance], means[distance] = posterior.sd**2, posterior.mean
        if distance == "mad":
            expected = problem.widened(ABC.targets[0].scales, ABC.accepted_ε[0])
    exact = np.diag(np.linalg.inv(problem.F))
    assert (expected < 1.4 * exact).all()  # the ellipse is small
    # A variance of 2,000 Gaussian samples has relative error sqrt(2/2000) = 0.032, a mean one of
    # 0.022 standard deviations; five of them.
    np.testing.assert_allclose(variances["mad"], expected, rtol=0.16)
    shift = (means["mad"] - problem.estimate_of_target) / np.sqrt(expected)
    np.testing.assert_allclose(shift, 0, atol=0.11)
    # Control: the same draws, by a distance that hardly looks at the second parameter
    assert variances["fisher"][1] > 10 * exact[1]


def test_pmc_in_units_of_each_round():
    problem = Mismeasured(2, seed=3)
    exact, ratios, shifts, ignored, wide = np.diag(np.linalg.inv(problem.F)), [], [], [], []
    for seed in range(6):
        for distance in ("mad", "fisher"):
            PMC = problem.inference(LFI.PopulationMonteCarlo, seed=seed, distance=distance)
            (population,) = PMC(1000, 2000, 0.0, 50.0, max_simulations=30_000)
            (posterior,) = PMC.samples()
            if distance == "fisher":
                wide.append(posterior.sd**2 / exact)
                continue
            expected = problem.widened(population.scales, population.ε)
            ratios.append(posterior.sd**2 / expected)
            ignored.append(population.parameters.var(axis=0) / expected)
            shifts.append((posterior.mean - problem.estimate_of_target) / np.sqrt(expected))
            assert (expected < 1.2 * exact).all()
            assert posterior.effective_samples > 500
    # Six runs of more than 500 effective samples: relative error of the mean variance below
    # sqrt(2/3000) = 0.026, of the mean 0.018 standard deviations; five of them.
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1, atol=0.13)
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0, atol=0.09)
    # Controls: as many simulations by the wrong F leave the second parameter several times as
    # wide, and particles without weights, recomputed when the distance changes, are too narrow.
    assert np.mean(wide, axis=0)[1] > 4
    assert (np.mean(ignored, axis=0) < 0.87).any()
