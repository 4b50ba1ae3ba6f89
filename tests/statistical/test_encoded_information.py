"""How much information is kept of data with gaps, and of sets of any length.

With n fresh simulations ln det F̂ of p Gaussian summaries scatters by sqrt(2p/n).
"""

import numpy as np
import pytest

from imnn_lab import IMNN, networks, problems
from imnn_lab.fisher import fisher_statistics

pytestmark = pytest.mark.statistical

FIELD, MISSING = problems.field_2d(), 0.05


def with_gaps(simulations, seed):
    """Return simulations with pixels missing at random, the same for all of a row."""
    shape = (len(simulations), *(1,) * (simulations.ndim - 4), 16, 16, 1)
    gone = np.random.default_rng(seed).random(shape) < MISSING
    return np.where(gone, np.nan, simulations).astype("float32")


def gapped_sets(n_s, n_d, seed):
    fiducial, derivative = FIELD.training_set(n_s, n_d, seed)
    return with_gaps(fiducial, 10 * seed), with_gaps(derivative, 10 * seed + 1)


def exact_fisher(n_masks=40):
    """Return the mean over masks of ½ Tr C⁻¹∂C C⁻¹∂C, of the pixels that are present.

    The field has no mean mode, so that C is singular with all pixels: C⁻¹ is its pseudo-inverse.
    """
    m = np.fft.fftfreq(16) * 16
    k = 2 * np.pi / 16 * np.hypot(m[:, None], m)
    k[0, 0] = 1
    A, B = FIELD.θ_fid
    power = A * k**-B
    power[0, 0] = 0
    i, j = np.indices((16, 16)).reshape(2, -1)
    steps = (i[:, None] - i) % 16, (j[:, None] - j) % 16
    C, *changes = (
        np.fft.ifft2(x).real[steps] for x in (power, power / A, -np.log(k) * power)
    )  # fmt: skip
    F, rng = np.zeros((2, 2)), np.random.default_rng(0)
    for _ in range(n_masks):
        kept = np.ix_(*[np.flatnonzero(rng.random(256) >= MISSING)] * 2)
        inverse = np.linalg.pinv(C[kept], hermitian=True)
        products = [inverse @ change[kept] for change in changes]
        F += [[0.5 * np.sum(a * b.T) / n_masks for b in products] for a in products]
    return F


@pytest.fixture(scope="module")
def field():
    return exact_fisher(), gapped_sets(2000, 500, 1), gapped_sets(6000, 1500, 3)


def field_network(sets, masks):
    shape = (16, 16, 1 + masks)
    model = networks.convolutional(shape, 2, filters=(8,), hidden=(16,), masks=masks, seed=1)
    return IMNN(
        2000, 500, 2, 2, FIELD.θ_fid, FIELD.δθ, (16, 16, 1), *sets, model=model, seed=1,
        missing="mask" if masks else None, verbose=False,
    )  # fmt: skip


def test_of_a_field_with_gaps_all_information_of_the_pixels_left_is_kept(field):
    """Asked are 3 %, and two errors of 2.6 % for 6,000 simulations."""
    exact, sets, fresh = field
    imnn = field_network(sets, masks=1)
    share = imnn.evaluate(*fresh).det_F / np.linalg.det(exact)
    assert 0.97 - 2 * 0.026 < share < 1 + 4 * 0.026
    estimates = imnn.get_estimate(fresh[0][:4000])
    # The means of 4,000 estimates, and μ of the 2,000 simulations for training, have errors.
    error = np.sqrt(np.diag(np.linalg.inv(exact)) * (1 / 4000 + 1 / 2000))
    assert (np.abs(estimates.mean(0) - FIELD.θ_fid) < 4 * error).all()
    one = np.ma.masked_invalid(fresh[0][0])
    np.testing.assert_allclose(imnn.get_estimate(one), estimates[0], rtol=1e-3, atol=1e-4)


def test_control_gaps_that_are_numbers_lose_information(field):
    exact, sets, fresh = field
    sets, fresh = ([np.nan_to_num(x, nan=-9) for x in each] for each in (sets, fresh))
    share = field_network(sets, masks=0).evaluate(*fresh).det_F / np.linalg.det(exact)
    assert share < 0.97 - 2 * 0.026


def catalogues(n_s, n_d, seed, is_padded=False):
    """Return sets of 5 to 60 values N(μ, Σ), about θ_fid = (0, 1).

    They are lists of lists; with `is_padded` arrays, which go on with values at θ_fid.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 61, n_s + n_d)
    noise = rng.normal(size=(n_s + n_d, 60))
    θ = np.array([0, 1]) + np.array([-1, 1])[:, None, None] * np.eye(2) * 0.05
    pairs = θ[..., :1] + np.sqrt(θ[..., 1:]) * noise[n_s:, None, None]
    if is_padded:
        is_there = (np.arange(60) < lengths[n_s:, None])[:, None, None]
        return noise[:n_s, :, None], np.where(is_there, pairs, noise[n_s:, None, None])[..., None]
    of_pairs = zip(pairs, lengths[n_s:], strict=True)
    some = [[[x[:n] for x in side] for side in row] for row, n in of_pairs]
    return [x[:n] for x, n in zip(noise[:n_s], lengths[:n_s], strict=True)], some


def sums_of(sets):
    """Return sufficient summaries: Σx, Σx² and the number of values."""
    if isinstance(sets, np.ndarray) and sets.ndim == 1:
        return np.array([sets.sum(), (sets**2).sum(), len(sets)])
    return np.array([sums_of(one) for one in sets])


@pytest.fixture(scope="module")
def known():
    """Return det F of sufficient summaries of the fresh sets, which scatters with their lengths.

    F = ⟨N⟩ diag(1, ½). det F̂ scatters with ⟨N⟩⁴ of 4,000 pairs, by 4 · 16.2/(32.5 √4000) = 3 %.
    """
    fresh = catalogues(10_000, 4000, 3)
    found = fisher_statistics(*(sums_of(x) for x in fresh), np.array([0.1, 0.1])).det_F
    assert found == pytest.approx(32.5**2 / 2, rel=4 * 0.04)
    return found


def share_of_catalogues(known, input_shape, model, is_padded=False):
    sets = [x for seed in (1, 2) for x in catalogues(2000, 1000, seed, is_padded)]
    imnn = IMNN(
        2000, 1000, 2, 2, (0, 1), (0.1, 0.1), input_shape, *sets, model=model, seed=1,
        verbose=False,
    )  # fmt: skip
    return imnn.evaluate(*catalogues(10_000, 4000, 3, is_padded)).det_F / known


def test_of_sets_of_any_length_nearly_all_information_is_kept(known):
    model = networks.deep_set((60, 2), 2, (16,), (16,), masks=1, seed=1)
    assert 0.95 < share_of_catalogues(known, (None,), model) < 1.02


def test_control_padding_without_a_mask_loses_information(known):
    model = networks.deep_set((60, 1), 2, (16,), (16,), seed=1)
    assert share_of_catalogues(known, (60, 1), model, is_padded=True) < 0.5  # exact: .29
