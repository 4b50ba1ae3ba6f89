"""Draws with and without weights."""

import numpy as np
import pytest

from imnn_lab.inference import Draws


def drawn(n, start=0.0, weights=None, failed=0, failure=None):
    θ = start + np.arange(n, dtype=float)[:, None]
    return Draws(θ, 10 * θ, np.full((failed, 1), -1.0), failure, weights)


def test_draws_without_weights_count_in_full():
    assert drawn(4).effective_number == 4
    joined = Draws.joined([drawn(2), drawn(3, 5, failed=1, failure="why")])
    assert joined.weights is None
    assert joined.parameters[:, 0].tolist() == [0, 1, 5, 6, 7]
    assert (joined.num_draws, joined.failure) == (6, "why")


def test_the_effective_number_knows_no_factor():
    weights = np.array([1.0, 1.0, 2.0, 0.0])
    # (1 + 1 + 2)²/(1 + 1 + 4)
    for factor in (1, 1e-200, 1e200):
        assert drawn(4, weights=factor * weights).effective_number == pytest.approx(16 / 6)
    assert drawn(4, weights=np.zeros(4)).effective_number == 0


def test_joined_parts_count_as_their_effective_numbers():
    weighted = drawn(4, weights=1e5 * np.array([1.0, 1.0, 2.0, 0.0]))
    joined = Draws.joined([drawn(3), weighted])
    np.testing.assert_array_equal(joined.weights[:3], 1)
    np.testing.assert_allclose(joined.weights[3:], np.array([1, 1, 2, 0]) * (16 / 6) / 4)
    # whatever the weights, effective numbers add up
    assert joined.effective_number == pytest.approx(3 + 16 / 6)


def test_some_of_the_draws_keep_their_weights_and_the_failed_ones():
    some = drawn(4, weights=np.arange(4.0), failed=2).where(np.array([True, False, False, True]))
    assert some.parameters[:, 0].tolist() == [0, 3]
    assert some.estimates[:, 0].tolist() == [0, 30]
    assert some.weights.tolist() == [0, 3]
    assert some.num_failed == 2
    assert drawn(3).where(np.array([True, False, True])).weights is None
