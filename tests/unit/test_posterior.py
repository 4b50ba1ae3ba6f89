"""Weighted samples: moments, tables, other libraries' objects."""

import sys

import numpy as np
import pytest

from imnn_lab.inference import Posterior

RNG = np.random.default_rng(0)
θ = RNG.normal(size=(2000, 3)) @ np.diag([1.0, 2.0, 0.5]) + [0, 1, 2]
COPIES = RNG.integers(0, 4, 2000)


def weighted():
    return Posterior(θ, COPIES.astype(float), ("$\\mu$", "b", "c"), properties={"ε": 0.5})


def test_weights_act_like_copies():
    posterior, copies = weighted(), np.repeat(θ, COPIES, axis=0)
    np.testing.assert_allclose(posterior.mean, copies.mean(axis=0))
    np.testing.assert_allclose(posterior.covariance, np.cov(copies.T), rtol=2e-3)
    np.testing.assert_allclose(
        posterior.quantile([0.1, 0.5, 0.9]), np.quantile(copies, [0.1, 0.5, 0.9], axis=0), atol=0.02
    )
    one = posterior.marginal(1, bins=10, ranges=[None, (-5, 7), None])
    counts, _ = np.histogram(copies[:, 1], 10, (-5, 7))
    np.testing.assert_allclose(one.values, counts / counts.sum() / 1.2)
    assert posterior.effective_samples == pytest.approx(COPIES.sum() ** 2 / (COPIES**2).sum())


def test_equal_weights_are_ordinary_moments():
    posterior = Posterior(θ, np.ones(2000), ("a", "b", "c"))
    np.testing.assert_allclose(posterior.covariance, np.cov(θ.T))
    np.testing.assert_allclose(posterior.median, np.median(θ, axis=0), atol=1e-12)
    assert posterior.effective_samples == pytest.approx(2000)
    assert posterior.interval(0.9).shape == (2, 3)


def test_the_summary_table():
    summary = weighted().summary(0.9)
    assert summary.table.shape == (3, 5)
    assert summary.columns == ("mean", "sd", "median", "5%", "95%")
    text = str(summary)
    assert "effective samples" in text
    assert "ε 0.5" in text
    latex = summary.to_latex()
    assert latex.startswith("\\begin{tabular}{lrrrrr}")
    assert "$\\mu$ & " in latex
    assert "95\\%" in latex


def test_to_arviz():
    data = weighted().to_arviz(8000)
    # 8,000 draws from 2,000 particles: standard errors 0.011 σ; five of them
    np.testing.assert_allclose(data["posterior"]["b"].mean(), weighted().mean[1], atol=0.11)


@pytest.mark.parametrize("copies", [COPIES, np.ones(2000), np.exp(-2 * θ[:, 0] ** 2)])
def test_arviz_is_told_of_no_more_samples_than_are_effective(copies):
    posterior = Posterior(θ, copies.astype(float), ("z", "b", "a"))
    data = posterior.to_arviz()
    arviz = pytest.importorskip("arviz")
    effective = posterior.effective_samples
    assert data["posterior"].attrs["effective_samples"] == effective
    ess = arviz.ess(data)
    for label, σ, mean in zip("zba", posterior.sd, posterior.mean, strict=True):
        # the standard error of ArviZ's estimate, which is of correlations up to some lag, is 10 %
        assert float(ess[label]) == pytest.approx(effective, rel=0.3)
        assert float(data["posterior"][label].mean()) == pytest.approx(
            mean, abs=4 * σ / np.sqrt(effective)
        )
    drawn = data["posterior"]["z"].values.reshape(-1)
    assert len(drawn) == round(effective)
    if len(set(copies)) == 1:
        np.testing.assert_array_equal(np.sort(drawn), np.sort(θ[:, 0]))


@pytest.mark.parametrize("package", ["arviz", "getdist"])
def test_a_package_that_is_missing_is_named(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {package}"):
        getattr(weighted(), f"to_{package}")()


def test_arviz_keeps_the_order_of_parameters():
    data = Posterior(θ, np.ones(2000), ("z", "b", "a")).to_arviz()
    assert list(data["posterior"].data_vars) == ["z", "b", "a"]
    with pytest.raises(ValueError, match="has no samples"):
        Posterior(θ[:0], np.ones(0), ("z", "b", "a")).to_arviz()


def test_no_samples_are_refused_by_getdist():
    with pytest.raises(ValueError, match="has no samples"):
        Posterior(θ[:0], np.ones(0), ("z", "b", "a")).to_getdist()


def test_arviz_with_slashes_in_labels():
    data = Posterior(θ, np.ones(2000), ("ω/h", "b", "c")).to_arviz(10)
    xarray = pytest.importorskip("xarray")
    is_tree = isinstance(data, getattr(xarray, "DataTree", ()))
    assert ("ω\u2215h" if is_tree else "ω/h") in data["posterior"].data_vars
    if is_tree:  # `to_arviz` renames for as long as this raises
        with pytest.raises(ValueError, match="'/' character"):
            xarray.DataTree.from_dict({"posterior": xarray.Dataset({"ω/h": ("draw", [1.0])})})


def test_to_getdist():
    chains = weighted().to_getdist()
    np.testing.assert_allclose(chains.getMeans(), weighted().mean)
    assert [p.label for p in chains.paramNames.names] == ["\\mu", "b", "c"]
    assert [p.name for p in chains.paramNames.names] == ["mu", "b", "c"]


def test_names_that_getdist_would_cut(tmp_path):
    labels = ("$\\Omega_{m} h$", "Ω_m h*", "Ω_m h?")
    chains = Posterior(θ, np.ones(2000), labels, np.array([[-9.0] * 3, [9.0] * 3])).to_getdist()
    names = [p.name for p in chains.paramNames.names]
    assert names == ["Omega_m_h", "Ω_m_h", "Ω_m_h_2"]
    assert not any(p.isDerived for p in chains.paramNames.names)
    assert [p.label for p in chains.paramNames.names] == [label.strip("$") for label in labels]
    np.testing.assert_allclose([chains.mean(name) for name in names], θ.mean(axis=0))
    assert chains.ranges.getUpper("Ω_m_h_2") == 9


def test_draws_follow_the_weights():
    drawn = weighted().sample(5000, 1)
    # standard error of the mean: σ sqrt(1/5000); five of them
    np.testing.assert_allclose(drawn.mean(axis=0), weighted().mean, atol=5 * 2 / np.sqrt(5000))


def test_a_posterior_of_ten_parameters():
    posterior = Posterior(RNG.normal(size=(500, 10)), np.ones(500), tuple("abcdefghij"))
    assert posterior.marginal(9, 2).values.shape[0] >= 5
    assert posterior.summary().table.shape == (10, 5)


def test_weights_must_have_a_sum():
    with pytest.raises(ValueError, match="`weights` must have a positive sum"):
        Posterior(θ, np.zeros(2000), ("a", "b", "c"))


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_damaged_file_is_named(damage, tmp_path):
    path = tmp_path / "posterior.npz"
    weighted().to_npz(path)
    np.testing.assert_array_equal(Posterior.from_npz(path).weights, weighted().weights)
    if damage == "other":
        np.savez(path, parameters=θ)
    else:
        path.write_bytes(path.read_bytes()[: 1000 if damage == "cut" else 0])
    with pytest.raises(ValueError, match=r"posterior\.npz must be a whole file"):
        Posterior.from_npz(path)
    for lost, what in ((tmp_path, "a directory"), ("nothing", "which is not there")):
        with pytest.raises(FileNotFoundError, match=f"`path` must be a file. Received .*, {what}."):
            Posterior.from_npz(lost)


def test_labels_choose_the_order_of_named_draws():
    drawn = {"b": np.zeros(3), "a": np.ones(3)}
    np.testing.assert_array_equal(Posterior.from_draws(drawn, labels=["a", "b"]).mean, [1, 0])
    np.testing.assert_array_equal(Posterior.from_draws(drawn, labels=["c", "d"]).mean, [0, 1])
    with pytest.raises(ValueError, match="`labels` must be the names of the draws"):
        Posterior.from_draws(drawn, labels=["a", "c"])
    with pytest.raises(ValueError, match="`labels` must be different"):
        Posterior.from_draws(np.zeros((3, 2)), labels=["a", "a"])
