"""Known summaries beside those of the network."""

import numpy as np
import pytest
from kinds_of_data import plain, write
from makers import gaussian_data, plain_imnn, small_network

from imnn_lab import IMNN, networks, problems
from imnn_lab.fisher import fisher_statistics

problem = problems.gaussian()
N = 4000
LARGE = gaussian_data(N, N)


def mean(d):
    return d.mean(-1, keepdims=True)


def mean_and_variance(d):
    return np.stack([d.mean(-1), d.var(-1, ddof=1)], -1)


def mean_and_square(d):
    return np.stack([d.mean(-1), (d**2).mean(-1)], -1)


def external(summaries, data=None):
    return tuple(summaries(array) for array in (data or gaussian_data()))


def test_the_stack_has_the_F_of_the_formula():
    """F = F_t + V Σ⁻¹ Vᵀ, V = ∂μ_x − ∂μ_t C_t⁻¹ U, Σ = C_x − Uᵀ C_t⁻¹ U."""
    rng = np.random.default_rng(1)
    y = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5))
    found = fisher_statistics(y, rng.normal(size=(200, 2, 3, 5)), np.ones(3))
    C, dμ = found.C, found.dμ_dθ
    Ct, U, Cx = C[:2, :2], C[:2, 2:], C[2:, 2:]
    V = dμ[:, 2:] - dμ[:, :2] @ np.linalg.solve(Ct, U)
    Σ = Cx - U.T @ np.linalg.solve(Ct, U)
    F_t = dμ[:, :2] @ np.linalg.solve(Ct, dμ[:, :2].T)
    np.testing.assert_allclose(found.F, F_t + V @ np.linalg.solve(Σ, V.T), rtol=1e-9)


@pytest.mark.parametrize(
    ("summaries", "n_summaries", "without", "with_network"),
    [(mean_and_square, 2, 50, 50), (mean_and_variance, 1, 45, 50), (mean, 1, 0, 50)],
)
def test_the_network_adds_the_information_that_external_summaries_miss(
    summaries, n_summaries, without, with_network
):
    """Known: nothing beside sufficient summaries, 45 → 50, and all of Σ beside the mean alone.

    ln det F of 4,000 simulations scatters by sqrt(2p/n) = .03; 4 of these are 13 %, and the
    network is allowed to miss 5 % of the information that it has to find.
    """
    imnn = IMNN(
        N, N, 2, n_summaries, problem.θ_fid, problem.δθ, (10,), *LARGE,
        external=external(summaries, LARGE), seed=1, verbose=False,
        model=networks.dense((10,), n_summaries, seed=1),
    )  # fmt: skip
    known = imnn.validation.without_network
    assert known.n_s == N
    assert np.nan_to_num(known.det_F) == pytest.approx(without, rel=0.13, abs=1)
    assert 0.82 * with_network < imnn.validation.det_F < 1.13 * with_network
    assert imnn.training.det_C == pytest.approx(1, rel=1e-3), "the network's block is whitened"


def test_training_regularises_the_networks_block_alone():
    imnn = plain_imnn(external=external(lambda d: 1000 * mean_and_variance(d)), warm_start=False)
    assert pytest.approx(0, abs=1e-5) == imnn.training.Λ2
    imnn.fit(3)
    assert imnn.history["reg"][0] == pytest.approx(0, abs=1e-5)
    assert imnn.history["C"].shape == (4, 4, 4)
    for prefix, validation in (("", False), ("val_", True)):
        # The graph and NumPy compute det C and Λ2 of the same float64 matrix.
        statistics = imnn.history.statistics(2, validation)
        assert statistics.det_C == pytest.approx(imnn.history[f"{prefix}det_C"][2], rel=1e-9)
        assert pytest.approx(imnn.history[f"{prefix}reg"][2], rel=1e-6) == statistics.Λ2
        assert (statistics.n_s, statistics.n_d, statistics.n_external) == (200, 200, 2)
    assert imnn.C.shape == (4, 4)


def test_every_kind_of_data(tmp_path):
    arrays = external(mean_and_variance)
    reference = plain_imnn(external=arrays)
    untrained = reference.training, reference.validation
    reference.fit(2)
    simulations = dict(
        zip(
            ("fiducial", "derivative", "validation_fiducial", "validation_derivative"),
            map(plain, gaussian_data()),
            strict=True,
        )
    )
    files = [
        write(tmp_path, array.astype("float32"), filename=f"t{i}") for i, array in enumerate(arrays)
    ]
    for kinds in (tuple(map(plain, arrays)), tuple(files)):  # arrays in training, of any kind
        imnn = plain_imnn(external=kinds)
        for found, expected in zip((imnn.training, imnn.validation), untrained, strict=True):
            np.testing.assert_allclose(found.F, expected.F, rtol=1e-4)
    imnn = plain_imnn(external=arrays, **simulations, cache="disk")  # in chunks, as all streams
    imnn.fit(2)
    np.testing.assert_allclose(imnn.history["det_F"], reference.history["det_F"], rtol=1e-4)


def test_estimates_take_data_and_external_summaries_and_survive_saving(tmp_path):
    imnn = plain_imnn(external=external(mean_and_variance))
    x = gaussian_data()[2]
    t = mean_and_variance(x)
    estimates = imnn.get_estimate(x, t)
    np.testing.assert_array_equal(imnn.get_estimate((x, t)), estimates)
    np.testing.assert_allclose(imnn.get_estimate(x[0], t[0]), estimates[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(estimates.mean(0), [0, 1], atol=1e-3)
    np.testing.assert_allclose(np.cov(estimates.T), imnn.Finv, rtol=1e-3)
    imnn.save(tmp_path / "saved")
    loaded = IMNN.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.get_estimate((x, t)), estimates, rtol=1e-6)
    assert loaded.statistics.without_network.det_F == imnn.statistics.without_network.det_F
    assert "without the network" in str(imnn.statistics)


def test_other_sets_are_evaluated_with_their_external_summaries():
    imnn = plain_imnn(external=external(mean_and_variance))
    fiducial, derivative = gaussian_data()[2:]
    t = (mean_and_variance(fiducial), mean_and_variance(derivative))
    found = imnn.evaluate(fiducial, derivative, t)
    np.testing.assert_allclose(found.F, imnn.validation.F, rtol=1e-4)
    with pytest.raises(ValueError, match="hold 2 external summaries"):
        imnn.evaluate(fiducial, derivative)


T = external(mean_and_variance)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (T[0], TypeError, "tuple of 2 or 4 parts"),
        (T[:2], ValueError, "validation simulations as well"),
        ((T[0][:-1], *T[1:]), ValueError, r"have shape \(200,\) \+ \(n_external,\)"),
        ((T[0], T[1][..., :1], *T[2:]), ValueError, "as many summaries"),
        ((T[0] * np.nan, *T[1:]), ValueError, "finite"),
        ((None, *T[1:]), TypeError, "external"),
        ((lambda seed: T[0][seed, 0], *T[1:]), ValueError, "as many summaries"),
    ],
)
def test_bad_external_summaries_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        plain_imnn(external=given)


def test_estimates_need_the_external_summaries():
    imnn = plain_imnn(external=T)
    x = gaussian_data()[2]
    with pytest.raises(ValueError, match=r"`external` must hold 2 external summaries.*nothing"):
        imnn.get_estimate(x)
    with pytest.raises(ValueError, match=r"have shape \(n, n_external\) = \(200, 2\)"):
        imnn.get_estimate(x, T[2][:, :1])
    with pytest.raises(ValueError, match="`external` must be left out"):
        plain_imnn().get_estimate(x, T[2])


def test_fewer_summaries_than_parameters_need_external_ones():
    with pytest.raises(ValueError, match="fewer need `external`"):
        plain_imnn(n_summaries=1, model=small_network(outputs=1))
    plain_imnn(n_summaries=1, model=small_network(outputs=1), external=T).fit(2)
