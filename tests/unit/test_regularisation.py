import numpy as np
import pytest

from imnn_lab import Regularisation
from imnn_lab.regularisation import largest_closeness


@pytest.mark.parametrize(("λ", "ε", "α"), [(10, 0.01, 240.684610), (10, 0.1, 0.953101798)])
def test_rate_has_the_known_values(λ, ε, α):
    assert Regularisation(λ, ε).α == pytest.approx(α, rel=1e-8)


@pytest.mark.parametrize(("λ", "limit"), [(10, 0.10990), (100, 0.010100), (2, 0.70711)])
def test_largest_closeness_has_the_known_values(λ, limit):
    assert largest_closeness(λ) == pytest.approx(limit, abs=5e-6)
    assert Regularisation(λ, 0.9999 * largest_closeness(λ)).α > 0
    with pytest.raises(ValueError, match="Choose a smaller ϵ"):
        Regularisation(λ, 1.0001 * largest_closeness(λ))


def test_strength_has_the_known_values():
    assert Regularisation(10, 0.1).strength(0.9336734694) == pytest.approx(6.9450317670, rel=1e-9)
    assert Regularisation(10, 0.01).strength(0.9336734694) == pytest.approx(10.0, rel=1e-9)


def test_strength_switches_off_where_the_covariance_is_the_identity():
    strength = Regularisation(10, 0.1).strength(np.array([0.0, 1e-6, 50.0]))
    assert strength[0] == 0
    assert strength[1] < 2e-5
    assert strength[2] == pytest.approx(10)


@pytest.mark.parametrize(
    ("λ", "ε", "words"),
    [
        (0.5, 0.1, "larger λ"),
        (100, 0.1, "smaller ϵ"),
        (-1, 0.1, "`λ` must"),
        (10, 0, "`ϵ` must"),
        (np.nan, 0.1, "`λ` must"),
        (10, np.inf, "`ϵ` must"),
    ],
)
def test_a_pair_without_a_positive_rate_is_refused(λ, ε, words):
    with pytest.raises(ValueError, match=words):
        Regularisation(λ, ε)


@pytest.mark.parametrize("λ", ["10", None, [1, 2], 1j])
def test_a_λ_that_is_not_a_number_is_rejected(λ):
    with pytest.raises(TypeError, match="`λ` must be a finite number"):
        Regularisation(λ, 0.1)


def test_numpy_numbers_are_numbers():
    assert Regularisation(np.float32(10), np.array(0.1)).λ == 10
