"""Pickles and deep copies: right, or refused in one sentence."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from makers import gaussian_data, plain_imnn, small_imnn
from tensorflow_probability import distributions

from imnn_lab import IMNN, LFI, History
from imnn_lab.inference import Uniform

FIDUCIAL, *_ = gaussian_data()
OBSERVED = FIDUCIAL[:3]
PRIOR = Uniform([-3, 0.1], [3, 5])
F = np.diag([10.0, 5.0])


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


ways = pytest.mark.parametrize("copied", [pickled, copy.deepcopy])


@pytest.fixture(scope="module")
def imnn():
    made = small_imnn()
    made.fit(5)
    return made


@ways
def test_a_copied_imnn_is_as_saved_and_loaded(copied, imnn, tmp_path):
    again = copied(imnn)
    np.testing.assert_array_equal(again.get_estimate(OBSERVED), imnn.get_estimate(OBSERVED))
    np.testing.assert_array_equal(again.history["loss"], imnn.history["loss"])
    assert again.settings == imnn.settings
    with pytest.raises(RuntimeError, match=r"is a copy, which has none. Save it and pass them"):
        again.fit(1)
    loaded = IMNN.load(again.save(tmp_path))
    np.testing.assert_array_equal(loaded.get_estimate(OBSERVED), imnn.get_estimate(OBSERVED))


def halved(simulation):
    return simulation / 2


def test_a_copy_preprocesses_as_its_original():
    made = plain_imnn(map_fn=halved)
    np.testing.assert_array_equal(pickled(made).get_estimate(OBSERVED), made.get_estimate(OBSERVED))


def test_an_imnn_in_training_is_not_copied(imnn):
    run = imnn.start(10**6)
    try:
        with pytest.raises(RuntimeError, match="A fit of this IMNN is running"):
            copy.deepcopy(imnn)
    finally:
        run.stop()
        run.wait()


@ways
def test_a_copied_estimator_stays_as_it_was(copied):
    made = plain_imnn()
    estimator = made.estimator
    before = estimator(OBSERVED)
    made.fit(20, best=False)  # the network that the estimator holds has other weights now
    again = copied(estimator)
    np.testing.assert_array_equal(again(OBSERVED), before)
    assert again.summariser.model is not made.model


def test_a_network_that_needs_its_code_says_so():
    class Mine(keras.Model):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.last = keras.layers.Dense(2)

        def call(self, x):
            return self.last(x)

    made = small_imnn(model=Mine(), whiten=False)
    for thing in (made, made.estimator):
        with pytest.raises(ValueError, match=r"without its Python code .*register_keras_serial"):
            pickled(thing)


@ways
def test_a_copied_history_goes_on(copied, imnn):
    again = copied(imnn.history)
    assert again.keys() == imnn.history.keys()
    again.append({"iteration": np.arange(6, 8)}, {})
    assert len(again) == len(imnn.history) + 2
    assert len(copied(History())) == 0


def moments(data):
    return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)


def simulator(parameters, seed):
    noise = np.random.default_rng(seed).normal(size=(len(parameters), 10))
    return parameters[:, :1] + np.sqrt(parameters[:, 1:]) * noise


def inferences(prior=PRIOR, get_estimate=moments, **options):
    given = (OBSERVED, prior, F, get_estimate)
    ABC = LFI.ApproximateBayesianComputation(*given, simulator, seed=1, verbose=False, **options)
    PMC = LFI.PopulationMonteCarlo(*given, simulator, seed=1, verbose=False, **options)
    return [LFI.GaussianApproximation(*given, seed=1), ABC, PMC]


def with_results():
    GA, ABC, PMC = inferences()
    ABC(1000)
    ABC.accept_reject(0.5)
    PMC(30, 60, 0.5)
    return GA, ABC, PMC


@ways
def test_copied_inference_holds_the_results_and_goes_on(copied):
    GA, ABC, PMC = with_results()
    np.testing.assert_array_equal(copied(GA).posterior(gridsize=10), GA.posterior(gridsize=10))
    for made in (ABC, PMC):
        again = copied(made)
        for mine, theirs in zip(again.samples(), made.samples(), strict=True):
            np.testing.assert_array_equal(mine.parameters, theirs.parameters)
            np.testing.assert_array_equal(mine.weights, theirs.weights)
    before = ABC.samples()[0].parameters
    copied(ABC)(1000)  # a copy draws for itself
    np.testing.assert_array_equal(ABC.samples()[0].parameters, before)


TFP = distributions.Blockwise([distributions.Uniform(-3.0, 3.0), distributions.Uniform(0.1, 5.0)])


@pytest.mark.parametrize(
    ("name", "options"),
    [("get_estimate", {"get_estimate": lambda data: moments(data)}), ("prior", {"prior": TFP})],
)
def test_what_cannot_be_pickled_is_named_and_can_still_be_copied(name, options):
    for made in inferences(**options):
        with pytest.raises(TypeError, match=f"cannot be pickled, because its `{name}` cannot"):
            pickle.dumps(made)
        assert copy.deepcopy(made).prior is copy.copy(made).prior is made.prior


def test_an_executor_is_named():
    with ThreadPoolExecutor(1) as executor:
        _, ABC, PMC = inferences(executor=executor)
        for made in (ABC, PMC):
            with pytest.raises(TypeError, match=r"its `executor` cannot.*`executor` to None"):
                pickle.dumps(made)
            assert copy.deepcopy(made).executor is executor
