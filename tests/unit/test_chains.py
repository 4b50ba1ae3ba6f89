"""Draws of other packages become posteriors of ours."""

import inspect

import numpy as np
import pytest

from imnn_lab.inference import Posterior, Uniform

RNG = np.random.default_rng(0)
θ = RNG.normal(size=(400, 2))
weights = RNG.random(400)


class Tensor:
    """A tensor of PyTorch as far as it matters: on a device, and part of a graph."""

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    def cpu(self):
        return self.values


@pytest.mark.parametrize(
    ("samples", "labels"),
    [
        (θ, ("θ₁", "θ₂")),
        (θ[None], ("θ₁", "θ₂")),
        (Tensor(θ), ("θ₁", "θ₂")),
        ({"a": θ[:, 0], "b": θ[:, 1]}, ("a", "b")),
        ({"a": θ[None, :, :1], "b": θ[None, :, 1:]}, ("a", "b")),
        ({"x": θ}, ("x[0]", "x[1]")),
        ({"a": Tensor(θ[:, 0]), "b": θ[:, 1]}, ("a", "b")),
    ],
)
def test_arrays_tensors_and_dicts(samples, labels):
    posterior = Posterior.from_draws(samples)
    np.testing.assert_array_equal(posterior.parameters, θ)
    assert posterior.labels == labels
    assert posterior.effective_samples == pytest.approx(400)
    renamed = Posterior.from_draws(samples, weights, ["c", "d"], Uniform([-9, -9], [9, 9]))
    assert renamed.labels == ("c", "d")
    np.testing.assert_array_equal(renamed.bounds, [[-9, -9], [9, 9]])
    np.testing.assert_allclose(renamed.mean, weights @ θ / weights.sum())


def test_arviz_and_back():
    arviz = pytest.importorskip("arviz")
    data = Posterior(θ, np.ones(400), ("ω/h", "b")).to_arviz()
    for given in (data, data["posterior"]):
        again = Posterior.from_draws(given)
        assert again.labels == ("ω/h", "b")
        np.testing.assert_array_equal(np.sort(again.parameters, axis=0), np.sort(θ, axis=0))
    named = {"v": θ.reshape(4, 100, 2), "s": θ[:, 0].reshape(4, 100)}
    is_old = "posterior" in inspect.signature(arviz.from_dict).parameters  # before 1.0
    chains = arviz.from_dict(posterior=named) if is_old else arviz.from_dict({"posterior": named})
    several = Posterior.from_draws(chains)
    columns = dict(zip(several.labels, several.parameters.T, strict=True))
    np.testing.assert_array_equal(columns["v[1]"], θ[:, 1])
    np.testing.assert_array_equal(columns["s"], θ[:, 0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.zeros((3, 100, 2)),), "Take the draws of one observation"),
        (({"a": θ[:, 0], "b": θ[:9, 1]},), "one number of draws"),
        (({},), "one number of draws"),
        ((θ[:, 0],), "be an array"),
        ((np.full((9, 2), np.nan),), "finite"),
        ((θ, weights[:9]), "one entry for each of 400"),
        ((θ, -weights), "not be negative"),
        ((θ, None, ["a"]), "be 2 strings"),
    ],
)
def test_what_is_no_set_of_draws_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Posterior.from_draws(*arguments)
    with pytest.raises(TypeError, match="Pass an array"):
        Posterior.from_draws("draws")
