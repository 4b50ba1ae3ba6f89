"""Layers for data with missing values: gaps are filled, statistics ignore what is masked."""

import keras
import numpy as np
import pytest

from imnn_lab import networks
from imnn_lab.networks.fitted_layers import fit_layers
from imnn_lab.networks.masked_layers import MOST_FILLED, Filled, SumOfPresent, fit_filled
from imnn_lab.sources.source import tangent


def rng(seed=0):
    return np.random.default_rng(seed)


def correlated(n, shape, seed=0):
    """Return fields, smooth along each axis, and where they are present."""
    x = rng(seed).normal(size=(n, *shape))
    for axis in range(1, x.ndim):
        x = x + np.roll(x, 1, axis) + np.roll(x, 2, axis)
    present = rng(seed + 1).random(x.shape) > 0.1
    return x / x.std() * 3 + 7, present


def with_mask(x, present):
    return np.stack([np.where(present, x, 0), present], -1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gaps_are_filled_by_the_conditional_mean(dtype):
    d = 20
    C = np.exp(-np.abs(np.subtract.outer(np.arange(d), np.arange(d))) / 5)
    x = rng().multivariate_normal(np.full(d, 5.0), 4 * C, 10_000)
    present = rng(1).random(x.shape) > 0.2
    data = with_mask(x, present)
    layer = Filled(1, dtype=dtype)
    layer(data[:1])
    fit_filled(layer, data)
    found = layer(data[:100].astype(dtype)).numpy()[..., 0]
    found = found * layer.scale.numpy() + layer.centre.numpy()[:, 0]
    expected = x[:100].copy()
    for one, o in zip(expected, present[:100], strict=True):
        given = C[np.ix_(~o, o)] @ np.linalg.solve(C[np.ix_(o, o)], one[o] - 5)
        one[~o] = 5 + given
    np.testing.assert_allclose(found[present[:100]], x[:100][present[:100]], rtol=1e-5)
    error = (found - expected)[~present[:100]]
    left = (expected - x[:100])[~present[:100]]
    assert error.std() < 0.1 * left.std()  # of what the other values do not tell
    assert left.std() < 0.6 * x.std()


@pytest.mark.parametrize("shape", [(1200,), (36, 36), (11, 11, 11)])
def test_gaps_in_large_fields_are_filled_from_their_neighbours(shape):
    assert np.prod(shape) > MOST_FILLED
    x, present = correlated(30, shape)
    data = with_mask(x, present)
    layer = Filled(1)
    layer(data[:1])
    fit_filled(layer, data)
    found = layer(data[:5].astype("float32")).numpy()[..., 0] * layer.scale.numpy() + 7
    gaps = ~present[:5]
    assert (found - x[:5])[gaps].std() < 0.8 * x.std()  # the mean would leave 1


def test_what_stands_in_gaps_has_no_effect():
    x, present = correlated(200, (6, 6))
    layer = Filled(1)
    clean, spoilt = with_mask(x, present), with_mask(x, present)
    spoilt[..., 0][~present] = 1e3
    layer(clean[:1])
    fit_filled(layer, clean)
    weights = [weight.copy() for weight in layer.get_weights()]
    fit_filled(layer, spoilt)
    for one, other in zip(weights, layer.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(spoilt[:3]), layer(clean[:3]), rtol=1e-5, atol=1e-5)


def test_derivatives_pass_through_filled_gaps():
    import tensorflow as tf

    x, present = correlated(100, (12,))
    data = with_mask(x, present)
    layer = Filled(1, dtype="float64")
    layer(data[:1])
    fit_filled(layer, data)
    direction = np.stack([rng(2).normal(size=(4, 12)) * present[:4], np.zeros((4, 12))], -1)
    graph = tf.function(lambda at, along: tangent(lambda z: layer(z), at, along))
    exact = graph(tf.constant(data[:4]), tf.constant(direction)).numpy()
    sides = [layer(data[:4] + side * direction).numpy() for side in (-1e-3, 1e-3)]
    np.testing.assert_allclose(exact, (sides[1] - sides[0]) / 2e-3, atol=1e-6)


def test_sums_and_means_are_over_what_is_present():
    x, present = np.arange(12.0).reshape(2, 3, 2), np.array([[1.0, 1, 0], [0, 0, 0]])[..., None]
    total, mean = (SumOfPresent(is_mean)(x, present).numpy() for is_mean in (False, True))
    np.testing.assert_allclose(total, [[2 / 3, 4 / 3], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(mean, [[1, 2], [0, 0]])


def padded(n, longest, seed=0):
    lengths = rng(seed).integers(2, 9, n)
    present = np.arange(longest) < lengths[:, None]
    x = rng(seed + 1).normal(3, 2, (n, 8))
    x = np.pad(x, ((0, 0), (0, longest - 8)))
    return with_mask(x, present)


def test_fitted_layers_of_sets_do_not_see_the_padding():
    """The same sets, padded further, give the same layers."""
    found = []
    for longest in (8, 30):
        model = networks.deep_set((longest, 2), 2, (4,), (4,), seed=1, masks=1)
        fit_layers(model, padded(300, longest))
        layers = {layer.name: layer for layer in model.layers}
        found.append((layers["robust"].mean.numpy(), layers["adapt_gaussian"].kernel.numpy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    assert found[0][0].ravel() == pytest.approx(3, abs=0.3)  # the control: with padding, 0


@pytest.mark.parametrize(
    ("make", "shape", "given"),
    [
        (networks.dense, (6, 2), {"masks": 1, "hidden": (4,)}),
        (networks.convolutional, (6, 6, 4), {"masks": 2, "filters": (4,), "hidden": (4,)}),
        (networks.deep_set, (6, 3), {"masks": 1, "each": (4,), "hidden": (4,)}),
        (networks.recurrent, (6, 2), {"masks": 1, "units": (4,), "hidden": (4,)}),
        (networks.recurrent, (6, 1), {"units": (4,), "hidden": (4,)}),
        (networks.fusion, {"a": (3, 3, 2), "b": (4, 2)}, {"masks": {"a": 1, "b": 1}}),
        (networks.fusion, {"a": (5,), "b": (4, 2)}, {"networks": {"b": "recurrent"}}),
    ],
)
def test_networks_with_masks_are_saved_and_loaded(make, shape, given, tmp_path):
    model = make(shape, 2, seed=1, **given)
    x = (rng().random((40, *model.input_shape[1:])) > 0.3).astype("float32")
    fit_layers(model, x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model(x).numpy()
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(again(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "shape", "given", "words"),
    [
        (networks.dense, (6,), {"masks": 1}, "`masks` must be 0, 1, or half"),
        (networks.deep_set, (6, 5), {"masks": 2}, "`masks` must be 0, 1, or half"),
        (networks.recurrent, (6,), {}, "`input_shape` must be .length, channels"),
        (networks.fusion, {"a": (3,)}, {"masks": {"b": 1}}, "must name arrays of `input_shape`"),
        (networks.fusion, {"a": (3,)}, {"networks": {"a": "large"}}, "`networks` must be one of"),
        (networks.fusion, {}, {}, "`input_shape` must have at least one array"),
    ],
)
def test_arguments_that_do_not_fit(make, shape, given, words):
    with pytest.raises(ValueError, match=words):
        make(shape, 2, **given)
