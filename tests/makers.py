"""Small data and networks for tests."""

import keras
import tensorflow as tf

from imnn_lab import IMNN, networks, problems

SIZE = 200


def gaussian_data(n_s=SIZE, n_d=SIZE, seed=1):
    problem = problems.gaussian()
    return *problem.training_set(n_s, n_d, seed), *problem.training_set(n_s, n_d, seed + 1)


def small_network(seed=3, dtype="float32", outputs=2, shape=(10,)):
    return networks.dense(shape, outputs, hidden=(16, 16), dtype=dtype, seed=seed)


def plain_network(seed=3, dtype="float32", outputs=2):
    """Return a network of three stock layers, which is traced several times as fast.

    It is for tests of what is done with a network, whatever its layers are.
    """
    kernel = keras.initializers.GlorotUniform
    layers = [
        keras.layers.Dense(units, activation, kernel_initializer=kernel(seed + i), dtype=dtype)
        for i, (units, activation) in enumerate([(16, "gelu"), (16, "gelu"), (outputs, None)])
    ]
    return keras.Sequential([keras.Input((10,), dtype=dtype), *layers])


def plain_imnn(**changes):
    """Return a `small_imnn` of a `plain_network`."""
    changes.setdefault("model", plain_network(dtype=changes.get("dtype", "float32")))
    return small_imnn(**changes)


def small_imnn(**changes):
    """Return an IMNN of the Gaussian problem, fast to train, that prints nothing."""
    problem = problems.gaussian()
    fiducial, derivative, validation_fiducial, validation_derivative = gaussian_data()
    arguments = {
        "n_s": SIZE,
        "n_d": SIZE,
        "n_params": 2,
        "n_summaries": 2,
        "θ_fid": problem.θ_fid,
        "δθ": problem.δθ,
        "input_shape": (10,),
        "fiducial": fiducial,
        "derivative": derivative,
        "validation_fiducial": validation_fiducial,
        "validation_derivative": validation_derivative,
        "optimiser": keras.optimizers.Adam(1e-3),
        "verbose": False,
        "seed": 5,
    }
    if "model" not in changes:
        arguments["model"] = small_network(dtype=changes.get("dtype", "float32"))
    return IMNN(**arguments | changes)


def gaussian_simulator(parameters, seed):
    """Simulate the Gaussian problem in TensorFlow."""
    shape = (tf.shape(parameters)[0], 10)
    noise = tf.random.stateless_normal(shape, seed, dtype=parameters.dtype)
    return parameters[:, :1] + tf.sqrt(parameters[:, 1:]) * noise
