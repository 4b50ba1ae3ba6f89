"""Whether a network knows its training set better than other simulations."""

import numpy as np
import pytest

from imnn_lab import problems
from imnn_lab.diagnostics import Light, OverFitting, SummarySet, over_fitting

PROBLEM = problems.gaussian()


def summaries(network, seed, n_s=400, n_d=200):
    simulations = PROBLEM.training_set(n_s=n_s, n_d=n_d, seed=seed)
    return SummarySet(*map(network, simulations), PROBLEM.θ_fid, PROBLEM.δθ)


def known(data):
    return np.stack([data.mean(-1), (data**2).mean(-1)], -1)


@pytest.mark.statistical
def test_honest_networks_are_not_accused():
    """One in 740 exceeds three standard deviations; 5 of 200 have a probability below 1e-4.

    The standard deviation of 200 differences is known to 5 %, that of each jackknife to 20 %.
    """
    found = [
        over_fitting(summaries(known, 2 * i).statistics, summaries(known, 2 * i + 1))
        for i in range(200)
    ]
    differences = np.array([x.difference for x in found])
    assert sum(x.verdict.light is not Light.GREEN for x in found) <= 4
    assert np.std(differences) == pytest.approx(np.mean([x.sd for x in found]), rel=0.15)


def test_memory_is_seen():
    fiducial, derivative = PROBLEM.training_set(n_s=60, n_d=60, seed=1)
    values = np.concatenate([fiducial, fiducial**2], -1)
    slopes = np.concatenate([derivative, derivative**2], -1)
    slope = (slopes[:, 1] - slopes[:, 0]).mean(0) / PROBLEM.δθ[:, None]
    W = np.linalg.solve(np.cov(values, rowvar=False), slope.T)  # the best for these alone

    def network(data):
        return np.concatenate([data, data**2], -1) @ W

    own, other, third = (summaries(network, seed, 60, 60) for seed in (1, 2, 3))
    found = over_fitting(own.statistics, other)
    assert found.verdict.light is Light.AMBER
    assert found.error_ratio > 1.1
    assert over_fitting(other.statistics, third).verdict.light is Light.GREEN


def test_what_chance_gives_is_said_and_what_cannot_be_told():
    """A difference of twice what "chance alone gives" must not be called none."""
    near = OverFitting(difference=1.0, sd=0.5, error_ratio=1.3).verdict
    assert near.light is Light.GREEN
    assert "is +1 from that of other simulations; chance alone gives up to ±1.5." in near.words
    unknown = OverFitting(difference=4.2, sd=2.0, error_ratio=2.9).verdict
    assert unknown.light is Light.GREY
    assert "cannot be told" in unknown.words
    assert OverFitting(difference=7.0, sd=2.0, error_ratio=5.8).verdict.light is Light.AMBER
