"""What the parts of the networks compute, against NumPy written in another way, in float64."""

import keras
import numpy as np
import pytest

from imnn_lab import networks
from imnn_lab.networks import fitted_layers, layers
from imnn_lab.networks.layers import Layers, cell_side


def rng(seed=0):
    return np.random.default_rng(seed)


def model_of(shape, part):
    """Return the model of a part of a network, for inputs of this shape."""
    inputs = keras.Input(shape, dtype="float64")
    return keras.Model(inputs, part(Layers("float64", 1), inputs))


def cell_means(power, sides):
    """Return means over cells, the last of which may be smaller, in loops."""
    for axis, side in enumerate(sides, start=1):
        n = power.shape[axis]
        parts = [power.take(range(i, min(i + side, n)), axis).mean(axis) for i in range(0, n, side)]
        power = np.stack(parts, axis)
    return power.reshape(len(power), -1)


POWER = {1: "nac,ai->nic", 2: "nabc,ai,bj->nijc", 3: "nabdc,ai,bj,dk->nijkc"}


@pytest.mark.parametrize(
    ("shape", "sides"),
    [((150, 2), (3,)), ((9, 20, 2), (2, 3)), ((5, 1), (1,)), ((5, 4, 6, 2), (2, 1, 2))],
)
def test_power_is_the_square_of_modes_along_each_axis_averaged_over_cells(shape, sides):
    """Σ over cells of (Uᵀ x V)² for any modes U and V, which normalisation leaves alone here."""
    model = model_of(shape, lambda parts, x: parts.power(x))
    lengths = shape[:-1]
    modes = [rng(i).normal(size=(n, n)) for i, n in enumerate(lengths)]
    for i, mode in enumerate(reversed(modes)):  # the last axis is transformed first
        model.get_layer(f"adapt_modes_{i}").kernel.assign(mode)
    x = rng(5).normal(size=(4, *shape))
    power = np.einsum(POWER[len(lengths)], x, *modes) ** 2
    found = model(x)
    # Sums of up to 150 products in float64; Keras adds 1e-7 to a standard deviation of 1.
    if max(sides) > 1:
        np.testing.assert_allclose(found["cells"], cell_means(power, sides), rtol=1e-6, atol=1e-6)
    else:
        assert "cells" not in found
    each = np.moveaxis(power, -1, 1).reshape(len(x), -1)  # channels first
    if each.shape[1] <= 256:
        np.testing.assert_allclose(found["modes"], each, rtol=1e-6, atol=1e-6)
    else:
        assert "modes" not in found
    kernel = rng(6).normal(size=model.get_layer("adapt_bands").kernel.shape)
    model.get_layer("adapt_bands").kernel.assign(kernel)
    bands = each.reshape(len(x), shape[-1], -1) @ kernel
    expected = bands.reshape(len(x), -1)
    np.testing.assert_allclose(model(x)["bands"], expected, rtol=1e-6, atol=1e-6)


def test_power_of_a_wave_is_in_its_own_mode():
    """A wave of 3 periods across 24 periodic values is two of its Fourier modes."""
    n = 24
    model = model_of((n, 1), lambda parts, x: parts.power(x))
    fitted_layers.fit_layers(model, rng(1).normal(size=(2000, n, 1)))
    kernel = model.get_layer("adapt_modes_0").kernel.numpy()
    wave = np.cos(2 * np.pi * 3 * np.arange(n) / n + 0.4)
    power = (wave @ kernel) ** 2
    np.testing.assert_allclose(power[5:7].sum(), n / 2)  # a constant, then two of each frequency
    np.testing.assert_allclose(np.delete(power, [5, 6]), 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 2), (3, 4, 1)])
def test_positions_run_from_minus_1_to_1_along_each_axis(shape):
    model = model_of(shape, lambda parts, x: list(parts.positions(x)))
    tensors = keras.tree.flatten(model(rng().normal(size=(2, *shape))))
    assert len(tensors) == len(shape) - 1
    for axis, tensor in enumerate(tensors):
        grid = np.zeros(shape)
        for index in np.ndindex(shape):
            grid[index] = -1 + 2 * index[axis] / (shape[axis] - 1)
        np.testing.assert_allclose(tensor, np.broadcast_to(grid, (2, *shape)), atol=1e-12)


def test_far_values_are_compressed_but_not_made_equal():
    model = model_of((1,), lambda parts, x: parts.compressed(x))
    x = rng().permutation(np.arange(101.0))[:, None]  # the median is 50, the quartiles 25 and 75
    fitted_layers.fit_layers(model, x)
    z = (np.array([[50.0], [51.0], [1e6], [-1e6]]) - 50) / (50 / 1.349)
    np.testing.assert_allclose(model(z * 50 / 1.349 + 50), 10 * np.arcsinh(z / 10), atol=1e-9)


def test_groups_of_features_have_unit_variance_times_a_weight():
    groups = {"a": (2.0, [0]), "b": (0.5, [1]), "none": (1.0, [])}

    def readout(parts, x):
        chosen = {name: (w, [x[:, i : i + 1] for i in part]) for name, (w, part) in groups.items()}
        return parts.readout(parts.features(chosen), 2)

    model = model_of((2,), readout)
    x = rng().normal(size=(300, 2)) * [3, 40] + 7
    fitted_layers.fit_layers(model, x)
    features = keras.Model(model.input, model.layers[-1].input)(x).numpy()
    np.testing.assert_allclose(features.std(0), [2.0, 0.5], rtol=1e-9)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-10)


def test_whitened_values_and_their_principal_components():
    model = model_of((3,), lambda parts, x: parts.whitened(x))
    rotation = np.linalg.qr(rng(3).normal(size=(3, 3)))[0]
    x = rng(2).normal(size=(5000, 3)) * [1, 2, 3] @ rotation + 1
    fitted_layers.fit_layers(model, x)
    white, principal = (tensor.numpy() for tensor in model(x))
    # The variances 1, 4 and 9 are shrunk by b²/d² = (14² + 98) / 5000 / 33 = 0.2 % of 14/3.
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=0.02)
    axes = np.linalg.svd(x - x.mean(0), full_matrices=False)[2]
    correlation = np.corrcoef(principal.T, (x @ axes.T).T)[:3, 3:]
    np.testing.assert_allclose(np.abs(correlation), np.eye(3), atol=0.02)


@pytest.mark.parametrize(
    ("shape", "side"), [((10, 1), 1), ((200, 1), 1), ((201, 1), 2), ((20, 20, 1), 2), ((100, 5), 3)]
)
def test_cells_leave_at_most_200_values(shape, side):
    assert cell_side(shape) == side

    def left(side):
        return np.prod(np.ceil(np.array(shape[:-1]) / side)) * shape[-1]

    assert left(side) <= layers.MOST_POSITIONS
    assert side == 1 or left(side - 1) > layers.MOST_POSITIONS


def test_networks_of_one_seed_are_equal_and_layers_have_seeds_of_their_own():
    first, same, other = (networks.dense((8,), 2, hidden=(8, 8), seed=seed) for seed in (1, 1, 2))
    for a, b in zip(first.weights, same.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(np.array(a) != b) for a, b in zip(first.weights, other.weights, strict=True))
    dense = [layer for layer in first.layers if isinstance(layer, keras.layers.Dense)]
    kernels = [layer.kernel.numpy() for layer in dense if layer.trainable][:2]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1


@pytest.mark.parametrize("shape", [(1, 5), (1, 6, 1), (6, 1, 1), (1, 1, 1)])
def test_axes_of_length_one_suit_the_convolutional_network(shape):
    model = networks.convolutional(shape, 1, filters=(4,), hidden=(4,), dtype="float64", seed=1)
    fitted_layers.fit_layers(model, rng(4).normal(size=(100, *shape)))
    assert np.isfinite(model(rng(5).normal(size=(10, *shape)))).all()


@pytest.mark.parametrize(
    ("shape", "kernel_size", "step"),
    [((16, 16, 1), None, 1), ((64, 64, 1), None, 4), ((400, 1), None, 2), ((64, 64, 1), 2, 2)],
)
def test_learned_channels_see_every_so_many_patches(shape, kernel_size, step):
    model = networks.convolutional(
        shape, 1, filters=(2,), kernel_size=kernel_size, dtype="float64", seed=1
    )
    patches = model.get_layer("adapt_patches")
    kind = type(patches)
    (learned,) = (x for x in model.layers if isinstance(x, kind) and x.trainable)
    x = rng(1).normal(size=(2, *shape))
    whole, seen = keras.Model(model.inputs[0], [patches.output, learned.input])(x)
    along = (slice(None), *[slice(None, None, step)] * (len(shape) - 1))
    np.testing.assert_array_equal(seen, whole.numpy()[along])
