"""The same problem through imnn-tf's LFI; run in a process of its own, prints JSON.

It runs beside current TensorFlow with TF_USE_LEGACY_KERAS=1.
"""

import json
import sys
import time

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from imnn_tf import lfi

F = np.array([[10.0, 3.0], [3.0, 5.0]], np.float32)
ROOT = np.linalg.inv(np.linalg.cholesky(F)).T.astype(np.float32)
made = [0]


def simulate(parameters):
    parameters = np.asarray(parameters, np.float32)
    made[0] += len(parameters)
    noise = np.random.default_rng().standard_normal(parameters.shape, dtype=np.float32)
    return parameters + noise @ ROOT.T


def arguments():
    return {
        "target_data": np.array([[0.3, -0.2]], np.float32),
        "prior": tfp.distributions.Blockwise(
            [tfp.distributions.Uniform(low=np.float32(-4), high=np.float32(4)) for _ in range(2)]
        ),
        "Fisher": F,
        "get_estimate": lambda data: tf.convert_to_tensor(data, tf.float32),
        "simulator": simulate,
        "labels": ["a", "b"],
    }


def boxed(options):
    options["prior"].low = np.array([-4.0, -4.0], np.float32)
    options["prior"].high = np.array([4.0, 4.0], np.float32)
    return options


def main(what):
    options, began = boxed(arguments()), time.perf_counter()
    if what == "abc":
        sampler = lfi.ApproximateBayesianComputation(**options)
        sampler(1_000_000)
        sampler.accept_reject(0.5)
        parameters = np.asarray(sampler.accepted_parameters[0])
    else:
        sampler = lfi.PopulationMonteCarlo(**options)
        sampler(draws=1000, initial_draws=2000, criterion=0.01, tqdm_notebook=False)
        parameters = np.asarray(sampler.parameters)
    parameters = parameters.reshape(-1, 2)
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "simulations": made[0],
                "effective": len(parameters),
                "variance": float(np.trace(F @ np.cov(parameters.T)) / 2),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
