"""A network is moved to where the data are, and remembers where it was."""

import numpy as np
import pytest
from makers import plain_network

from imnn_lab import IMNN, problems, retraining
from imnn_lab.diagnostics import Light
from imnn_lab.inference import Uniform

PROBLEM = problems.exponential()
N = 100
FAR = PROBLEM.simulator(np.array([[7.0]]), 5)[0]
NEAR = FAR * 2 / FAR.mean()


def made(n):
    data = *PROBLEM.training_set(n, n, 1), *PROBLEM.training_set(n, n, 2)
    model = plain_network(outputs=1)
    known = PROBLEM.θ_fid, PROBLEM.δθ
    return IMNN(n, n, 1, 1, *known, (10,), *data, model=model, verbose=False, seed=1)


@pytest.fixture(scope="module")
def imnn():
    return made(N)


class Simulator:
    """Counts its calls; interrupts after some of them."""

    def __init__(self, most=None):
        self.calls, self.most = 0, most

    def __call__(self, parameters, seed):
        self.calls += 1
        if self.calls == self.most:
            raise KeyboardInterrupt
        return PROBLEM.simulator(parameters, seed)


def sd(imnn):
    return float(np.sqrt(imnn.Finv[0, 0]))


def test_the_posterior_far_from_the_fiducial_becomes_right(imnn):
    before = imnn.model.get_weights()
    exact = FAR.mean() / np.sqrt(10)  # 1/sqrt(F) at the maximum of the likelihood
    found = imnn.retrain_at_estimate(FAR, PROBLEM.simulator, 3)
    assert sd(imnn) < 0.6 * exact, "the control"
    # deep features keep more than 60 % of F: errors of at most 1/sqrt(.6), and noise
    assert 0.85 < sd(found.imnn) / exact < 1.4
    assert abs(found.estimates[-1, 0] - FAR.mean()) < 0.5 * exact
    assert found.reason == "settled"
    assert found.distances[0] > 2 > 0.5 > found.distances[-1]
    np.testing.assert_array_equal(found.fiducials[0], imnn.θ_fid)
    np.testing.assert_array_equal(found.fiducials[1], found.estimates[0])
    np.testing.assert_array_equal(found.imnn.θ_fid, found.fiducials[-1])
    assert found.verdict.light is Light.GREEN
    assert "must not be used twice" in str(found)
    for ours, theirs in zip(imnn.model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_features_are_those_of_the_old_network_and_the_last_layer_is_new(imnn):
    found = imnn.retrain_at_estimate(FAR, PROBLEM.simulator, 3, max_rounds=1)
    *features, kernel, _ = imnn.model.get_weights()
    *new_features, new_kernel, _ = found.imnn.model.get_weights()
    for ours, theirs in zip(features, new_features, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.allclose(kernel, new_kernel)


def test_near_the_fiducial_nothing_is_simulated(imnn):
    simulator = Simulator()
    found = imnn.retrain_at_estimate(NEAR, simulator, 3)
    assert (found.imnn, found.rounds, simulator.calls) == (imnn, 0, 0)
    assert "nothing is to be moved" in str(found)


def test_it_goes_on_in_its_directory(tmp_path):
    imnn, once = made(40), {"max_rounds": 1}
    expected = imnn.retrain_at_estimate(FAR, PROBLEM.simulator, 3, **once)
    per_round = 2 * 3 * 40
    interrupted = Simulator(most=per_round - 50)
    with pytest.raises(KeyboardInterrupt):
        imnn.retrain_at_estimate(FAR, interrupted, 3, directory=tmp_path, **once)
    rest = Simulator()
    found = imnn.retrain_at_estimate(FAR, rest, 3, directory=tmp_path, **once)
    assert 0 < rest.calls < per_round * found.rounds - 150
    np.testing.assert_array_equal(found.fiducials, expected.fiducials)
    np.testing.assert_allclose(found.imnn.F, expected.imnn.F, rtol=1e-5)
    again = Simulator()
    read = imnn.retrain_at_estimate(FAR, again, 3, directory=tmp_path, **once)
    assert again.calls == 0
    np.testing.assert_array_equal(read.estimates, found.estimates)
    for changed in ((NEAR * 9, 3), (FAR, 4)):
        with pytest.raises(ValueError, match="same retraining"):
            imnn.retrain_at_estimate(changed[0], again, changed[1], directory=tmp_path, **once)


def test_rounds_and_bounds_end_it(imnn):
    none = imnn.retrain_at_estimate(FAR, PROBLEM.simulator, 3, max_rounds=0)
    assert (none.reason, none.rounds) == ("max_rounds", 0)
    assert none.verdict.light is Light.AMBER
    prior = Uniform([0.5], [3.0])
    found = imnn.retrain_at_estimate(FAR, PROBLEM.simulator, 3, prior=prior)
    assert found.reason == "bounds"
    assert found.fiducials.max() <= 3 - PROBLEM.δθ[0] / 2
    assert "prior ends" in str(found)


class Saturating:
    """Stands for a network whose F falls faster than its estimates grow."""

    def __init__(self, θ, estimate=None):
        self.θ_fid, self.F, self.estimate = θ, np.diag(4 / θ**4), estimate

    def get_estimate(self, observation):
        return 2.2 * self.θ_fid if self.estimate is None else self.estimate


@pytest.mark.parametrize(("estimate", "reason"), [(None, "lost"), (np.array([5.0]), "settled")])
def test_a_network_that_knows_nothing_there_is_no_success(estimate, reason):
    class Instant(retraining.Rounds):
        def trained(self, number, θ):
            return Saturating(θ, estimate)

    rounds = Instant(None, None, np.array([0.1]), (1, 1), (1, 1), 1, None, None, False)
    start = Saturating(np.array([2.0]), estimate)
    found = retraining.retrain(start, None, rounds, None, max_rounds=5, settled=0.5)
    assert found.reason == reason
    assert found.verdict.light is (Light.GREEN if estimate is not None else Light.RED)
    assert ("knows little" in str(found)) == (reason == "lost")


def test_the_cost_comes_first_and_fit_is_called(imnn, capsys):
    fitted = []
    found = imnn.retrain_at_estimate(
        FAR, PROBLEM.simulator, 3, max_rounds=1, fit=fitted.append, verbose=True
    )
    assert fitted == [found.imnn]
    assert f"Round 1: {2 * 3 * N:,} simulations at [" in capsys.readouterr().out


def test_what_cannot_be_moved_is_refused(imnn):
    with pytest.raises(ValueError, match="`observation` must be one"):
        imnn.retrain_at_estimate(FAR[None], PROBLEM.simulator, 3)
    with pytest.raises(ValueError, match="wider than δθ"):
        imnn.retrain_at_estimate(FAR, PROBLEM.simulator, 3, prior=Uniform([2.0], [2.1]))
    with pytest.raises(TypeError, match="`simulator`"):
        imnn.retrain_at_estimate(FAR, None, 3)
