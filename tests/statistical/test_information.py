"""How much of the exact Fisher information the default recipe keeps, on fresh simulations.

With n fresh simulations ln det F̂ of p Gaussian summaries scatters by sqrt(2p/n). A compression
cannot hold more information than the data: det F̂ above the exact value by 4 of these is a bug.
"""

import numpy as np
import pytest

from imnn_lab import IMNN, networks, problems

pytestmark = pytest.mark.statistical

CASES = {
    # name: (problem, network, input_shape, n_s, n_d, fresh, asked of the untrained, of the trained)
    "gaussian dense": (
        problems.gaussian(), networks.dense, (10,), 1000, 1000, 50_000, 42 / 50, 43 / 50,
    ),
    "gaussian deep set": (
        problems.gaussian(), networks.deep_set, (10, 1), 1000, 1000, 50_000, 46 / 50, 47 / 50,
    ),
    "slope": (problems.slope(), networks.dense, (100,), 1000, 1000, 20_000, 0.95, 0.95),
    "field": (
        problems.field_2d(), networks.convolutional, (16, 16, 1), 2000, 500, 4_000, 0.65, 0.65,
    ),
    "nile": (
        problems.autoregressive(), networks.convolutional, (100, 1), 1000, 250, 10_000, 0.8, 0.8,
    ),
    "exponential": (
        problems.exponential(), networks.deep_set, (10, 1), 1000, 1000, 20_000, 0.9, 0.9,
    ),
}  # fmt: skip


def shaped(data, problem, input_shape):
    leading = data.ndim - len(problem.input_shape)
    return data.reshape(*data.shape[:leading], *input_shape).astype("float32")


@pytest.mark.parametrize("name", CASES)
def test_the_default_recipe_keeps_the_information(name):
    problem, make, shape, n_s, n_d, n_fresh, untrained, trained = CASES[name]
    sets = [
        shaped(data, problem, shape)
        for seed in (1, 2)
        for data in problem.training_set(n_s, n_d, seed)
    ]
    p = problem.n_params
    imnn = IMNN(
        n_s, n_d, p, p, problem.θ_fid, problem.δθ, shape, *sets,
        model=make(shape, p, seed=1), seed=1, verbose=False,
    )  # fmt: skip
    fresh = [
        shaped(data, problem, shape) for data in problem.training_set(n_fresh, n_fresh // 4, 3)
    ]
    ceiling = 1 + 4 * np.sqrt(2 * p / n_fresh)
    share = imnn.evaluate(*fresh).det_F / problem.det_F
    assert untrained <= share <= ceiling
    imnn.fit(10)
    share = imnn.evaluate(*fresh).det_F / problem.det_F
    assert trained <= share <= ceiling


def share_after_training(objective):
    """Return det F / exact before and after 20 iterations of a small network of convolutions."""
    import keras

    problem, n = problems.autoregressive(), 500
    inputs, x = keras.Input(problem.input_shape), keras.layers.Normalization()
    x = x(inputs)
    for seed, (filters, size) in enumerate([(16, 7), (32, 5)]):
        start = keras.initializers.GlorotUniform(seed=seed)
        x = keras.layers.Conv1D(
            filters, size, strides=2, activation="gelu", kernel_initializer=start
        )(x)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling1D()(x))
    imnn = IMNN(
        n, n, 3, 3, problem.θ_fid, problem.δθ, problem.input_shape,
        *problem.training_set(n, n, 1), *problem.training_set(n, n, 2),
        model=keras.Model(inputs, outputs), optimiser=keras.optimizers.Adam(5e-3), verbose=False,
    )  # fmt: skip
    fresh = problem.training_set(10_000, 2500, 3)
    before = imnn.evaluate(*fresh).det_F / problem.det_F
    imnn.fit(20, objective=objective)
    return before, imnn.evaluate(*fresh).det_F / problem.det_F


def test_projected_training_gains_a_third_of_what_is_missing():
    """Features that must be learned, from 500 simulations of a series.

    det F of 10,000 fresh simulations scatters by sqrt(2p/n) = 2.4 % about that of the network.
    """
    untrained, trained = share_after_training("projected")
    asked = untrained + (1 - untrained) / 3
    assert untrained < 0.6
    assert asked < trained < 1.1
    # The control: so few iterations of all weights for the ordinary objective do not gain as much.
    assert share_after_training("imnn")[1] < asked


def test_control_a_linear_summary_knows_nothing_of_the_variance():
    """The same test fails for a network that cannot see the variance."""
    import keras

    problem, *_ = CASES["gaussian dense"]
    sets = [data for seed in (1, 2) for data in problem.training_set(1000, 1000, seed)]
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(2)])
    imnn = IMNN(
        1000, 1000, 2, 2, problem.θ_fid, problem.δθ, (10,), *sets, model=model, verbose=False
    )
    # A linear summary has det F = 0; 1,000 simulations fake a little.
    assert imnn.evaluate(*problem.training_set(20_000, 5_000, 3)).det_F < 0.02 * problem.det_F


def test_unmatched_seeds_overestimate_the_information_as_derived():
    """Unmatched seeds add 2 s/(δθ² n_d) to each diagonal of F; matched ones add almost nothing."""
    from imnn_lab.fisher import fisher_statistics

    problem, n = problems.gaussian(), 1000
    excess = []
    for seed in range(20):
        _, matched = problem.training_set(n, n, seed)
        _, other = problem.training_set(n, n, seed + 100)
        unmatched = np.stack([matched[:, 0], other[:, 1]], axis=1)
        x = problem.simulations(n, seed + 200)

        def summaries(d):
            return np.stack([d.mean(-1), (d**2).mean(-1)], -1)

        F = [
            fisher_statistics(summaries(x), summaries(d), problem.δθ).F
            for d in (unmatched, matched)
        ]
        excess.append(np.diag(F[0] - F[1]))
    # Expected 2·2/(0.01·1000) = 0.4 for unmatched seeds. A single excess scatters by about
    # 2 sqrt(F_αα · 2/(δθ² n_d)) = 2.8 and 2.0; the mean of 20 by 0.63 and 0.45: 4 of these.
    assert np.abs(np.mean(excess, 0) - 0.4)[0] < 4 * 2.8 / np.sqrt(20)
    assert np.abs(np.mean(excess, 0) - 0.4)[1] < 4 * 2.0 / np.sqrt(20)
    assert np.var(excess) > 0.5, "the noise of unmatched seeds is there"


def test_a_finite_set_overestimates_by_the_hartlap_factor():
    """E[F̂] = F (n_s − 1)/(n_s − s − 2) for Gaussian summaries."""
    random, n_s, s = np.random.default_rng(5), 20, 3
    dμ = np.eye(3)[None]
    from imnn_lab.fisher import fisher_statistics

    found = [
        np.trace(fisher_statistics(random.normal(size=(n_s, s)), dμ, None).F) / 3
        for _ in range(2000)
    ]
    expected = (n_s - 1) / (n_s - s - 2)
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - expected) < 4 * error
    assert abs(np.mean(found) - 1) > 4 * error, "the control: without the factor the test fails"
