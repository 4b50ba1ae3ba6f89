"""The pairing of simulators: matched, unmatched, in part; campaigns and IMNNs that warn of it."""

import warnings

import numpy as np
import pytest
from makers import small_imnn
from scipy import stats

from imnn_lab import campaign, matched, problems
from imnn_lab.matched.pairing import pairing
from imnn_lab.sources.checking import warn_of_unmatched_seeds

RATES = np.linspace(1, 20, 10)


def counts(parameters, seed):
    """Simulate with one seed, as a careful user does."""
    return np.random.default_rng(seed).poisson(parameters * RATES)


def paired_counts(parameters, seed):
    return matched.poisson(seed, parameters * RATES)


def sides(n=200, values=10, seed=1):
    """Return the two sides of n simulations that are paired but for the shift by a parameter."""
    low = np.random.default_rng(seed).normal(size=(n, values))
    return low, low + 0.1


def stacked(low, high):
    return np.stack([low, high], axis=1)[:, :, None]


def noise(n, values, seed=2):
    return np.random.default_rng(seed).normal(size=(n, values))


def half_of_the_rows(n=200, values=10):
    low, high = sides(n, values)
    high[::2] = noise(n, values)[::2]
    return stacked(low, high)


def one_in_twenty_rows():
    low, high = sides(200, 100)
    high[::20] = noise(200, 100)[::20]
    return stacked(low, high)


def last_quarter_of_the_rows():
    low, high = sides(1000, 100)
    high[750:] = noise(250, 100)
    return stacked(low, high)


def nine_of_ten_values(loudness=1.0):
    low, high = sides()
    high[:, 1:] = noise(200, 9)
    return stacked(low, high) * np.array([loudness, *[1.0] * 9])


def one_of_ten_values():
    low, high = sides()
    high[:, 0] = noise(200, 1)[:, 0]
    return stacked(low, high)


UNMATCHED = {
    "all": lambda: stacked(sides()[0], noise(200, 10)),
    "half of the rows": half_of_the_rows,
    "half of the rows, one value": lambda: half_of_the_rows(values=1),
    "half of the rows, images": lambda: half_of_the_rows(values=400).reshape(200, 2, 1, 20, 20, 1),
    "a twentieth of the rows": one_in_twenty_rows,
    "nine of ten values": nine_of_ten_values,
    "nine of ten values beside a loud one": lambda: nine_of_ten_values(1e6),
    "one of ten values": one_of_ten_values,
    "the last quarter of 1,000 rows": last_quarter_of_the_rows,
}


def rare_counts():
    u = np.random.default_rng(1).random((200, 50))
    return stacked(*(stats.poisson.ppf(u, rate) for rate in (0.01, 0.0105)))


MATCHED = {
    "a shift": lambda: stacked(*sides()),
    "rare counts": rare_counts,
    "a wide step": lambda: stacked(sides()[0], np.exp(sides()[0])),
    "a parameter whose fiducial value is 0": lambda: stacked(-0.05 * sides()[0], 0.05 * sides()[0]),
    "heavy tails": lambda: stacked(*(stats.cauchy.ppf(stats.norm.cdf(side)) for side in sides())),
    "no randomness": lambda: stacked(np.zeros((200, 3)), np.ones((200, 3))),
    "some noise of its own": lambda: stacked(sides()[0], sides()[0] + 0.3 * noise(200, 10)),
}


@pytest.mark.parametrize("case", UNMATCHED)
def test_unmatched_pairs_are_noticed_also_in_part(case):
    derivative = UNMATCHED[case]()
    assert not pairing(derivative).ok
    with pytest.warns(UserWarning, match="different seeds") as warned:
        warn_of_unmatched_seeds("derivative", derivative)
    assert "imnn_lab.matched" in str(warned[0].message)


@pytest.mark.parametrize("case", MATCHED)
def test_matched_pairs_raise_no_alarm(case):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_unmatched_seeds("derivative", MATCHED[case]())


@pytest.mark.parametrize(
    "problem", [problems.gaussian(), problems.field_2d(), problems.autoregressive()]
)
def test_the_problems_raise_no_alarm_and_their_shuffled_pairs_do(problem):
    derivative = problem.training_set(2, 50, 1)[1]
    assert pairing(derivative).ok
    derivative[:, 1] = np.roll(derivative[:, 1], 1, axis=0)
    assert not pairing(derivative).is_paired.any()


@pytest.mark.statistical
@pytest.mark.parametrize("n", [20, 50, 200])
def test_false_alarms_are_rare_and_true_ones_are_not(n):
    """Of sides that correlate by 0.9, and of none; 200 sets each."""
    rng = np.random.default_rng(n)
    alarms = {0.9: 0, 0.0: 0}
    for r in alarms:
        for values in (1, 3, 30, 100):
            for _ in range(50):
                low, own = rng.normal(size=(2, n, values))
                found = pairing(stacked(low, r * low + np.sqrt(1 - r**2) * own))
                alarms[r] += not found.ok
    assert alarms[0.9] <= 10  # 5 %
    assert alarms[0.0] >= 190


def test_each_parameter_is_judged_for_itself_and_in_words():
    low, high = sides(values=30)
    derivative = np.stack([np.stack([low, low], 1), np.stack([high, noise(200, 30)], 1)], 1)
    found = pairing(derivative)
    assert found.is_paired.tolist() == [True, False]
    assert "parameter 0: paired (median correlation 1.00; 100% of the values" in str(found)
    assert "parameter 1: unmatched" in str(found)
    assert "imnn_lab.matched" in str(found)
    assert found.noise[0] < 0.01 < 0.8 < found.noise[1]
    half = pairing(half_of_the_rows(values=100))
    assert "matched only in part" in str(half)
    assert abs(half.paired_rows[0] - 0.5) < 0.05


def test_a_simulator_is_checked_before_a_campaign():
    assert not matched.check(counts, [1.0], [0.05]).ok
    found = matched.check(paired_counts, [1.0], [0.05])
    assert found.ok
    assert found.n == 50
    assert found.noise[0] < 0.1


def test_pairs_with_a_failure_are_left_out_and_too_few_are_an_error():
    def failing(parameters, seed):
        if seed % 10 == 0 and parameters[0, 0] > 1:
            raise ValueError("diverged")
        return paired_counts(parameters, seed)

    found = matched.check(failing, [1.0], [0.05])
    assert found.ok
    assert 30 < found.n < 50
    with pytest.raises(campaign.SimulationError):
        matched.check(lambda parameters, seed: np.full((1, 3), np.nan), [1.0], [0.05])


def test_a_simulator_of_several_arrays_is_checked_as_one():
    def two(parameters, seed):
        return paired_counts(parameters, seed), counts(parameters, seed)[:, -2:]

    found = matched.check(two, [1.0], [0.05])
    assert not found.ok
    assert 0.8 <= found.paired_values[0] < 1


class Counted:
    def __init__(self):
        self.first = []

    def __call__(self, parameters, seed):
        self.first.append(seed)
        return counts(parameters, seed)


def test_a_campaign_warns_after_its_first_pairs_and_makes_none_for_it():
    simulator = Counted()
    with pytest.warns(UserWarning, match="different seeds"):
        made = campaign.training_set(simulator, [1.0], [0.05], 30, 25, 1, show=False)
    assert len(simulator.first) == 30 + 2 * 25
    assert set(simulator.first[: 2 * 25]) == set(made.derivative_seeds)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        campaign.training_set(paired_counts, [1.0], [0.05], 30, 25, 1, show=False)


def test_an_imnn_warns_of_rows_that_are_unmatched_in_part():
    derivative = problems.gaussian().training_set(2, 200, 5)[1]
    derivative[::2, 1] = np.roll(derivative[::2, 1], 1, axis=0)
    with pytest.warns(UserWarning, match="matched only in part"):
        small_imnn(derivative=derivative)
