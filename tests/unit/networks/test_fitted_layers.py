"""Each rule that fits a layer to simulations, against a known answer.

Layers have dtype float64 here, so that tolerances of 1e-9 to 1e-12 leave room for sums in another
order and for the conditioning of the matrices (at most about 1e3), and for nothing else.
"""

import itertools

import keras
import numpy as np
import pytest
from scipy import stats

from imnn_lab import networks
from imnn_lab.networks import fitted_layers
from imnn_lab.networks.fitted_layers import fit_layers, mark, shrunk_covariance
from imnn_lab.networks.layers import Layers

layers = keras.layers


def rng(seed=0):
    return np.random.default_rng(seed)


def fitted(layer, rule, x):
    """Return the layer, built for x and fitted to it by the rule, and its outputs."""
    layer.build((None, *x.shape[1:]))
    rule(layer, x)
    return layer, layer(x).numpy()


def exact_covariance(C, n, seed=0):
    """Return n rows whose sample covariance (n − 1) is exactly C and whose mean is 0."""
    x = rng(seed).normal(size=(n, len(C)))
    x -= x.mean(0)
    whitened = np.linalg.qr(x)[0] * np.sqrt(n - 1)
    return whitened @ np.linalg.cholesky(C).T


def covariance(x):
    centred = x - x.mean(0)
    return np.einsum("ni,nj->ij", centred, centred) / len(x)


# Normalisation


def test_standard_gives_mean_0_and_variance_1_of_each_feature():
    x = rng().gamma(2.0, size=(400, 7, 3)) * [1, 10, 1e-3] + [0, 5, -2]
    layer, y = fitted(layers.Normalization(dtype="float64"), fitted_layers.fit_standard, x)
    np.testing.assert_allclose(y.mean((0, 1)), 0, atol=1e-10)
    np.testing.assert_allclose(y.var((0, 1)), 1, rtol=1e-9)
    # Keras stores the variance, the square of Σ (x − μ)² / n, without Bessel's correction.
    expected = [sum((v - np.mean(f)) ** 2 for v in f) / len(f) for f in x.reshape(-1, 3).T]
    np.testing.assert_allclose(layer.adapt_variance.numpy().ravel(), expected, rtol=1e-9)


def test_standard_leaves_the_scale_of_a_constant_feature():
    x = np.stack([np.full(50, 3.0), 3.0 + 1e-6 * rng().normal(size=50)], 1)
    _, y = fitted(layers.Normalization(dtype="float64"), fitted_layers.fit_standard, x)
    np.testing.assert_allclose(y[:, 0], 0, atol=1e-12)
    # A scatter below 1e-5 of the mean counts as rounding, and is not blown up to 1.
    assert np.abs(y[:, 1]).max() < 1e-4


def test_robust_takes_median_and_quartiles():
    # Quartiles of 0, 1, …, 100 are 25, 50 and 75; those of a Gaussian are 1.349 σ apart.
    x = rng().permutation(np.arange(101.0))[:, None]
    _, y = fitted(layers.Normalization(dtype="float64"), fitted_layers.fit_robust, x)
    np.testing.assert_allclose(y, (x - 50) / (50 / 1.349), rtol=1e-12)
    x[x == 100] = 1e4  # an outlier changes neither
    _, y = fitted(layers.Normalization(dtype="float64"), fitted_layers.fit_robust, x)
    np.testing.assert_allclose(y, (x - 50) / (50 / 1.349), rtol=1e-12)
    control = fitted(layers.Normalization(dtype="float64"), fitted_layers.fit_standard, x)[1]
    assert np.abs(control[x < 101]).max() < 0.2  # it dominates the mean and the variance


def test_robust_scale_is_the_standard_deviation_of_a_gaussian():
    x = 2 + 3 * rng(1).normal(size=(100_000, 1))
    layer = fitted(layers.Normalization(dtype="float64"), fitted_layers.fit_robust, x)[0]
    # The relative error of σ by quartiles is 1.17 / √n = 0.0037, that of the median 1.25 σ / √n.
    np.testing.assert_allclose(np.sqrt(layer.adapt_variance.numpy()), 3, rtol=4 * 0.0037)
    np.testing.assert_allclose(layer.adapt_mean.numpy(), 2, atol=4 * 1.25 * 3 / np.sqrt(1e5))
    assert abs(np.subtract(*np.quantile(x, [0.75, 0.25])) / 3 - 1) > 0.3  # control: 1.349 missing


def test_robust_takes_the_mean_deviation_where_the_quartiles_are_equal():
    x = np.zeros((100, 1))
    x[:10, 0] = 5.0  # the quartiles are all 0; the mean absolute deviation is 0.5
    _, y = fitted(layers.Normalization(dtype="float64"), fitted_layers.fit_robust, x)
    # √(π/2) = 1.2533 to its five digits.
    np.testing.assert_allclose(y[:10], 5.0 / (0.5 * np.sqrt(np.pi / 2)), rtol=5e-5)
    np.testing.assert_allclose(y[10:], 0, atol=1e-12)


# Gaussian values


def test_units_stand_at_quantiles_of_each_channel():
    # Quantiles of 0, 1, …, 1000 at the level q are 1000 q. Four units have the levels 1/8, 3/8,
    # 5/8 and 7/8; their neighbours at the ends are at 0.1/4 and 1 − 0.1/4.
    x = np.stack([np.arange(1001.0), -10 * np.arange(1001.0)], 1)
    x = np.stack([rng(i).permutation(column) for i, column in enumerate(x.T)], 1)
    layer = layers.Dense(8, "tanh", dtype="float64")
    layer, y = fitted(layer, fitted_layers.fit_quantiles, x)
    levels = np.array([0.025, 0.125, 0.375, 0.625, 0.875, 0.975])
    expected = []
    for column, quantiles in zip(x.T, (1000 * levels, -10_000 * (1 - levels)), strict=True):
        for left, centre, right in zip(quantiles, quantiles[1:], quantiles[2:], strict=False):
            expected.append(np.tanh((column - centre) / (0.75 * (right - left))))
    np.testing.assert_allclose(y, np.transpose(expected), atol=1e-10)


def test_units_of_a_channel_of_equal_values_have_a_finite_width():
    x = np.full((50, 1), 2.0)
    layer, _ = fitted(layers.Dense(4, "tanh", dtype="float64"), fitted_layers.fit_quantiles, x)
    np.testing.assert_allclose(layer.kernel.numpy(), 100)  # the smallest width is 0.01


def normal_scores(x):
    """Return Φ⁻¹((k − ½) / n) for the k-th smallest of n different values."""
    scores = np.empty(len(x))
    scores[np.argsort(x)] = stats.norm.ppf((np.arange(1, len(x) + 1) - 0.5) / len(x))
    return scores


def test_gaussian_values_are_fitted_to_normal_scores():
    """The layer is the least-squares fit of normal scores by a channel and its own units."""
    x = rng(2).gamma(1.5, size=(500, 2)) ** [1, 2]
    units = np.tanh(np.concatenate([x[:, :1] - [0.5, 1, 2], x[:, 1:] / 3 - [0.5, 1, 2]], 1))
    ends = np.arcsinh(np.concatenate([x[:, :1] - [0, 4], x[:, 1:] / 3 - [0, 4]], 1))
    inputs = np.concatenate([x, units, ends], 1)
    layer = layers.Dense(2, dtype="float64")
    layer, y = fitted(layer, fitted_layers.fit_gaussian, inputs)
    kernel = layer.kernel.numpy()
    own = [0, 2, 3, 4, 8, 9], [1, 5, 6, 7, 10, 11]
    # Channel 0 takes no inputs of channel 1, and the other way round.
    np.testing.assert_array_equal(kernel[own[1], 0], 0)
    np.testing.assert_array_equal(kernel[own[0], 1], 0)
    for channel, columns in enumerate(own):
        a, b = inputs[:, columns], normal_scores(x[:, channel])
        a = a - a.mean(0)
        # A ridge of 1e-6 of the variance of each input is a row for each beneath the data.
        rows = np.sqrt(len(a) * (1e-6 * a.var(0) + 1e-12))
        both = np.concatenate([a, np.diag(rows)])
        solution = np.linalg.lstsq(both, np.r_[b, np.zeros(len(rows))], rcond=None)[0]
        np.testing.assert_allclose(kernel[columns, channel], solution, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(y[:, channel], a @ solution, atol=1e-7)


def test_ends_are_units_at_the_outer_quantiles():
    x = np.stack([np.arange(1001.0), -10 * np.arange(1001.0)], 1)
    layer = layers.Dense(4, dtype="float64")
    _, y = fitted(layer, fitted_layers.fit_ends, x)
    expected = [
        (x[:, 0] - 2) / 18, (x[:, 0] - 998) / 18, (x[:, 1] + 9980) / 180, (x[:, 1] + 20) / 180,
    ]  # fmt: skip
    np.testing.assert_allclose(y, np.transpose(expected), atol=1e-9)


@pytest.mark.parametrize("name", ["lognormal", "exponential", "gaussian"])
def test_values_become_gaussian_within_two_thousandths_of_their_variance(name):
    """Without units at the ends, 2.7 and 5.3 thousandths of the variance are not Gaussian."""
    g = rng(4).normal(size=(20_000, 1))
    values = {
        "lognormal": np.exp, "exponential": lambda z: -stats.norm.logsf(z), "gaussian": np.copy,
    }  # fmt: skip
    inputs = keras.Input((1,), dtype="float64")
    model = keras.Model(inputs, Layers("float64", 1).gaussian(inputs)[0])
    x = values[name](g)
    x = (x - np.median(x)) / x.std()
    fit_layers(model, x)
    rest = 1 - np.corrcoef(model(x).numpy()[:, 0], g[:, 0])[0, 1] ** 2
    assert rest < 2e-3


@pytest.mark.parametrize("skewed", [np.exp, lambda z: z + z**3, lambda z: -(np.abs(z) ** 4)])
def test_quantiles_and_gaussian_together_give_gaussian_values(skewed):
    x = skewed(rng(3).normal(size=(5000, 1)))
    _, units = fitted(layers.Dense(8, "tanh", dtype="float64"), fitted_layers.fit_quantiles, x)
    _, ends = fitted(layers.Dense(2, dtype="float64"), fitted_layers.fit_ends, x)
    inputs = np.concatenate([x, units, np.arcsinh(ends)], 1)
    _, y = fitted(layers.Dense(1, dtype="float64"), fitted_layers.fit_gaussian, inputs)
    explained = np.corrcoef(y[:, 0], normal_scores(x[:, 0]))[0, 1] ** 2
    control = np.corrcoef(x[:, 0], normal_scores(x[:, 0]))[0, 1] ** 2
    # Eight steps and a line leave a few per cent of the variance, mostly in the tails.
    assert explained > 0.95
    assert control < 0.9


# Linear layers


def test_directions_are_axes_and_the_diagonals_of_their_pairs():
    x = rng().normal(size=(20, 3))
    _, y = fitted(layers.Dense(6, dtype="float64"), fitted_layers.fit_directions, x)
    a, b, c = x.T
    expected = [a, b, c, (a + b) / 2**0.5, (a + c) / 2**0.5, (b + c) / 2**0.5]
    np.testing.assert_allclose(y, np.transpose(expected), atol=1e-12)
    # (Σ of squares along axes and diagonals gives each product: x y = (x + y)²/2 − x²/2 − y²/2.)
    np.testing.assert_allclose(a * c, y[:, 4] ** 2 - y[:, 0] ** 2 / 2 - y[:, 2] ** 2 / 2)


def ledoit_wolf(x):
    """Return the shrunk covariance by lemmas 3.2 to 3.4 of Ledoit & Wolf (2004), in loops."""
    x = np.array(x) - np.mean(x, 0)
    n, p = x.shape

    def inner(a, b):
        return np.trace(a @ b.T) / p

    S = sum(np.outer(row, row) for row in x) / n
    m = inner(S, np.eye(p))
    d2 = inner(S - m * np.eye(p), S - m * np.eye(p))
    differences = [np.outer(row, row) - S for row in x]
    b2 = min(sum(inner(e, e) for e in differences) / n**2, d2)
    return b2 / d2 * m * np.eye(p) + (d2 - b2) / d2 * S


@pytest.mark.parametrize(("n", "p"), [(30, 5), (200, 5), (10, 20)])
def test_shrinkage_is_that_of_ledoit_and_wolf(n, p):
    x = rng(n).normal(size=(n, p)) * np.linspace(1, 3, p) + 7
    np.testing.assert_allclose(shrunk_covariance(x), ledoit_wolf(x), rtol=1e-10, atol=1e-12)


def test_shrinkage_comes_nearer_to_the_true_covariance():
    truth = np.diag(np.linspace(0.5, 2, 20))
    distances = []
    for seed in range(50):
        x = rng(seed).normal(size=(25, 20)) * np.sqrt(np.diag(truth))
        distances.append([np.sum((C - truth) ** 2) for C in (shrunk_covariance(x), covariance(x))])
    shrunk, sample = np.mean(distances, 0)
    # E|S − Σ|² is about ((tr Σ)² + tr Σ²) / n = 27; the best share b²/d² of 1 leaves α² b² / d²
    # = 3.7 · 27 / 31 = 3.3 (Ledoit & Wolf, theorem 2.1). Means of 50 scatter by under 5 %.
    assert shrunk < 0.25 * sample
    assert 20 < sample < 35


def test_whitening_is_the_symmetric_inverse_root():
    x = rng(4).normal(size=(300, 4)) @ rng(5).normal(size=(4, 4)) + 3
    layer, y = fitted(layers.Dense(4, dtype="float64"), fitted_layers.fit_whitening, x)
    W = layer.kernel.numpy()
    np.testing.assert_allclose(W, W.T, atol=1e-12)
    np.testing.assert_allclose(W @ ledoit_wolf(x) @ W, np.eye(4), atol=1e-9)
    assert (np.linalg.eigvalsh(W) > 0).all()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-10)


def test_whitening_leaves_independent_values_on_their_axes():
    x = exact_covariance(np.diag([1.0, 4.0, 9.0]), 100)
    layer, _ = fitted(layers.Dense(3, dtype="float64"), fitted_layers.fit_whitening, x)
    kernel = layer.kernel.numpy()
    np.testing.assert_allclose(kernel, np.diag(np.diag(kernel)), atol=1e-12)


def test_whitening_bounds_directions_without_scatter():
    x = rng(6).normal(size=(200, 1)) * [[1.0, 1.0]]  # the difference of the two is always 0
    # The shrinkage lifts it to 2 m b²/d² with b²/d² ≈ 2/n, well above the floor of 1e-6.
    _, y = fitted(layers.Dense(2, dtype="float64"), fitted_layers.fit_whitening, x)
    np.testing.assert_allclose(y[:, 0], y[:, 1], atol=1e-9)
    assert y.var(0).max() < 1


def test_principal_components_of_whitened_values_are_those_before_whitening():
    C = np.array([[2.0, 0.8, 0.1], [0.8, 1.0, 0.3], [0.1, 0.3, 0.5]])
    x = exact_covariance(C, 400, seed=7)
    whitening, white = fitted(layers.Dense(3, dtype="float64"), fitted_layers.fit_whitening, x)
    layer = layers.Dense(3, dtype="float64")
    layer.build((None, 3))
    fitted_layers.fit_principal(whitening, layer, white)
    y = layer(white).numpy()
    axes = np.linalg.svd(C)[0]  # the leading axis first, up to a sign
    scores = x @ axes
    correlation = np.corrcoef(y.T, scores.T)[:3, 3:]
    np.testing.assert_allclose(np.abs(correlation), np.eye(3), atol=1e-9)
    control = np.corrcoef(white.T, scores.T)[:3, 3:]
    assert np.abs(np.abs(control) - np.eye(3)).max() > 0.1


def by_hand(x, kernel, bias):
    """Return a valid correlation of x (n, height, width, channels), in loops."""
    height, width = kernel.shape[:2]
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    y = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for i, j in itertools.product(range(rows), range(columns)):
        y[:, i, j] = np.einsum("nabc,abcf->nf", x[:, i : i + height, j : j + width], kernel) + bias
    return y


def test_filters_of_patches_are_whitened_principal_components():
    x = np.cumsum(np.cumsum(rng(8).normal(size=(60, 6, 7, 2)), 1), 2)
    layer = layers.Conv2D(5, (3, 2), dtype="float64")
    layer, y = fitted(layer, fitted_layers.fit_patches, x)
    np.testing.assert_allclose(y, by_hand(x, layer.kernel.numpy(), layer.bias.numpy()), atol=1e-9)
    # Over all patches, components are uncorrelated, and have the variance v / (v + v̄/100) for the
    # variance v of the component, where v̄ is the mean of the five.
    patches = np.array([x[:, i : i + 3, j : j + 2].reshape(60, -1)
                        for i in range(4) for j in range(6)]).reshape(-1, 12)  # fmt: skip
    v = np.linalg.svd(patches - patches.mean(0), compute_uv=False)[:5] ** 2 / (len(patches) - 1)
    components = y.reshape(-1, 5)
    np.testing.assert_allclose(components.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(components.T), np.diag(v / (v + 0.01 * v.mean())), atol=1e-8)


def test_patches_of_one_value_and_axes_of_length_one_can_be_fitted():
    x = 3 + 2 * rng(9).normal(size=(50, 6, 6, 1))
    _, y = fitted(layers.Conv2D(1, 1, dtype="float64"), fitted_layers.fit_patches, x)
    np.testing.assert_allclose(np.abs(y), np.abs(x - x.mean()) / np.sqrt(1.01 * x.var(ddof=1)))
    mode = layers.Dense(1, use_bias=False, dtype="float64")
    _, y = fitted(mode, fitted_layers.fit_modes, x.reshape(-1, 1))
    np.testing.assert_allclose(np.abs(y), np.abs(x.reshape(-1, 1)))


@pytest.mark.parametrize("is_stationary", [True, False])
def test_modes_of_stationary_data_are_those_of_their_toeplitz_covariance(is_stationary):
    """The eigenvectors of a tridiagonal Toeplitz matrix are sin(π j k / (n + 1))."""
    n = 8
    C = 2 * np.eye(n) + 0.7 * (np.eye(n, k=1) + np.eye(n, k=-1))
    if not is_stationary:  # other values on the diagonals with the same means
        second = np.diag([0.25, -0.05, -0.05, -0.05, -0.05, -0.05], 2)
        C += np.diag(np.resize([0.3, -0.3], n)) + second + second.T
    x = exact_covariance(C, 300, seed=10)
    layer = layers.Dense(n, use_bias=False, dtype="float64")
    layer, _ = fitted(layer, fitted_layers.fit_modes, x)
    j = np.arange(1, n + 1)
    sines = np.sqrt(2 / (n + 1)) * np.sin(np.pi * np.outer(j, j) / (n + 1))
    overlap = np.abs(sines[:, ::-1].T @ layer.kernel.numpy())  # in order of their variance
    np.testing.assert_allclose(overlap, np.eye(n), atol=1e-9)
    own = np.abs(sines[:, ::-1].T @ np.linalg.eigh(C)[1])  # control: the eigenvectors of C itself
    assert np.allclose(own, np.eye(n), atol=1e-9) == is_stationary


@pytest.mark.parametrize("n", [7, 8])
def test_modes_of_periodic_data_are_fourier_modes(n):
    """Their circulant covariance is diagonal in them, and so is that of white noise."""
    lags = np.minimum(np.arange(n), n - np.arange(n))
    C = 0.4 ** np.abs(lags[np.abs(np.subtract.outer(np.arange(n), np.arange(n)))])
    for covariance in (C, np.eye(n)):
        layer = layers.Dense(n, use_bias=False, dtype="float64")
        x = exact_covariance(covariance, 300, seed=12)
        kernel = fitted(layer, fitted_layers.fit_modes, x)[0].kernel.numpy()
        np.testing.assert_allclose(kernel.T @ kernel, np.eye(n), atol=1e-12)
        np.testing.assert_allclose(kernel, fitted_layers.fourier(n), atol=1e-12)
    rotated = fitted_layers.fourier(n).T @ C @ fitted_layers.fourier(n)
    np.testing.assert_allclose(rotated, np.diag(np.diag(rotated)), atol=1e-12)


def test_bands_hold_modes_of_equal_frequency():
    """Of 8 × 8 Fourier modes the frequency is √(f₁² + f₂²); each mode is in one band."""
    bases = []
    for _ in range(2):
        basis = layers.Dense(8, use_bias=False, dtype="float64")
        basis.build((None, 8))
        basis.kernel.assign(fitted_layers.fourier(8))
        bases.append(basis)
    layer = layers.Dense(5, use_bias=False, dtype="float64")
    layer.build((None, 64))
    fitted_layers.fit_bands(bases, layer, np.zeros((1, 64)))
    kernel = layer.kernel.numpy()
    f = np.array([0, 1, 1, 2, 2, 3, 3, 4]) / 8
    frequency = np.hypot.outer(f, f).ravel()
    band = np.minimum((frequency / frequency.max() * 5).astype(int), 4)
    assert (np.count_nonzero(kernel, axis=1) == 1).all()
    np.testing.assert_array_equal(kernel.argmax(1), band)
    np.testing.assert_allclose((kernel**2).sum(0), 1)


@pytest.mark.parametrize(("n_modes", "n_bands"), [(3, 3), (6, 5), (4, 1)])
def test_every_band_holds_a_mode(n_modes, n_bands):
    basis = layers.Dense(n_modes, use_bias=False, dtype="float64")
    basis.build((None, n_modes))
    basis.kernel.assign(fitted_layers.fourier(n_modes))
    layer = layers.Dense(n_bands, use_bias=False, dtype="float64")
    layer.build((None, n_modes))
    fitted_layers.fit_bands([basis], layer, np.zeros((1, n_modes)))
    assert (np.count_nonzero(layer.kernel.numpy(), axis=0) > 0).all()


# Which layers are fitted, to what, and how often


def test_layers_are_fitted_in_their_order_to_what_comes_before_them():
    inputs = keras.Input((2,), dtype="float64")
    first = mark(layers.Normalization(dtype="float64"), fitted_layers.fit_standard)
    second = mark(layers.Dense(2, dtype="float64"), fitted_layers.fit_whitening)
    model = keras.Model(inputs, second(first(inputs)))
    x = rng(11).normal(size=(1100, 2)) @ [[3.0, 1.0], [0.0, 0.5]] + 10  # more than two batches
    fit_layers(model, x)
    z = (x - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(second.kernel @ ledoit_wolf(z) @ second.kernel, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(model(x), z @ second.kernel.numpy(), atol=1e-9)


def test_a_network_is_fitted_once():
    model = networks.dense((4,), 2, hidden=(4,), dtype="float64", seed=1)
    x = rng(12).normal(size=(300, 4))
    fit_layers(model, x)
    weights = [weight.numpy() for weight in model.weights]
    fit_layers(model, 5 + 3 * x)
    for weight, before in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(weight, before)


@pytest.mark.parametrize(
    ("make", "shape"),
    [(networks.dense, (5,)), (networks.convolutional, (8, 8)), (networks.deep_set, (6, 2))],
)
def test_a_copy_that_was_made_before_fitting_is_refused(make, shape):
    network, x = make(shape, 2), rng().normal(size=(60, *shape)).astype("float32")
    with pytest.raises(ValueError, match="copy of a network of imnn_lab, made before"):
        fit_layers(keras.models.clone_model(network), x)
    fit_layers(network, x)
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    fitted_layers.refresh_normalisation(copy)
    fit_layers(copy, x)  # fitted before: nothing to refuse, nothing changes
    np.testing.assert_array_equal(copy(x), network(x))


def test_a_user_layer_called_adapt_is_left_alone():
    inputs = keras.Input((3,), dtype="float64")
    dense = [layers.Dense(3, dtype="float64", name=f"adapt_{name}") for name in ("x", "whitening")]
    model = keras.Model(inputs, dense[1](dense[0](inputs)))
    before = [layer.kernel.numpy() for layer in dense]
    fit_layers(model, rng(13).normal(size=(100, 3)))
    for layer, kernel in zip(dense, before, strict=True):
        np.testing.assert_array_equal(layer.kernel, kernel)


@pytest.mark.parametrize("name", ["standard_x", "robust", "normalization"])
def test_a_user_normalisation_is_adapted_as_keras_does_whatever_its_name(name):
    x = rng(14).gamma(1.0, size=(1000, 2)) * 1e-7 + 1.0  # our rules would not touch its scale
    layer = layers.Normalization(dtype="float64", name=name)
    model = keras.Sequential([keras.Input((2,), dtype="float64"), layer])
    fit_layers(model, x)
    np.testing.assert_allclose(layer.mean.numpy().ravel(), x.mean(0))
    np.testing.assert_allclose(layer.variance.numpy().ravel(), x.var(0), rtol=1e-3)
    assert int(layer.count) == len(x)


def test_a_user_normalisation_with_given_numbers_stays():
    layer = layers.Normalization(mean=[1.0], variance=[4.0], dtype="float64", name="standard_x")
    model = keras.Sequential([keras.Input((1,), dtype="float64"), layer])
    fit_layers(model, rng(15).normal(size=(100, 1)))
    np.testing.assert_allclose(model(np.array([[5.0]])), 2.0)


def test_normalisation_uses_assigned_weights_only_when_refreshed():
    inner = layers.Normalization(dtype="float64")
    nested = keras.Sequential([keras.Input((1,), dtype="float64"), inner])
    model = keras.Sequential([keras.Input((1,), dtype="float64"), nested])
    inner.adapt(np.array([[0.0], [2.0]]))
    inner.adapt_mean.assign([10.0])
    inner.adapt_variance.assign([4.0])
    x = np.array([[14.0]])
    assert model(x).numpy()[0, 0] == 13.0  # control: what Keras does by itself
    fitted_layers.refresh_normalisation(model)
    assert model(x).numpy()[0, 0] == 2.0
