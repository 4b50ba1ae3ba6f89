"""Fresh simulations from a simulator: seeds, derivatives, what is refused."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from kinds_of_data import settings
from makers import SIZE, gaussian_simulator, plain_network

from imnn_lab import IMNN, problems
from imnn_lab.sources import sources
from imnn_lab.sources.source import tangent
from imnn_lab.summaries import split

problem = problems.gaussian()
NUMPY = problem.simulator
FORWARD = {"central": (gaussian_simulator, problem.δθ), "exact": (gaussian_simulator, None)}
KINDS = FORWARD | {"NumPy": (NUMPY, problem.δθ)}


def fresh_imnn(simulator=gaussian_simulator, δθ=problem.δθ, **changes):
    given = {
        "n_s": SIZE, "n_d": SIZE, "n_params": 2, "n_summaries": 2, "θ_fid": problem.θ_fid,
        "δθ": δθ, "input_shape": (10,), "simulator": simulator, "verbose": False, "seed": 5,
        "optimiser": keras.optimizers.Adam(1e-3), "model": plain_network(),
    }  # fmt: skip
    return IMNN(**given | changes)


def pieces(source, step=0):
    return source.feed(tf.constant(step, tf.int64)).pieces


def are_different(one, other):
    """Whether no simulation of one set is in the other."""
    return not {x.tobytes() for x in one.numpy()} & {x.tobytes() for x in other.numpy()}


def fresh_sources(simulator, δθ, **changes):
    return sources(settings(δθ=δθ, **changes), simulator=simulator)


@pytest.mark.parametrize("kind", KINDS)
def test_tensorflow_has_nothing_to_warn_of(kind):
    said = []
    handler = logging.Handler()
    handler.emit = said.append
    logger = tf.get_logger()
    logger.addHandler(handler)
    try:
        fresh_sources(*KINDS[kind])
        assert said == []
        tf.function(lambda θ: θ).get_concrete_function(tf.TensorSpec((1,)))
        assert said, "the control was not noticed"
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("kind", KINDS)
def test_every_iteration_has_its_own_simulations_which_the_seed_decides(kind):
    source, validation = fresh_sources(*KINDS[kind])
    first, second = pieces(source)[0].simulations, pieces(source, 1)[0].simulations
    assert are_different(first, second)
    assert are_different(first, pieces(validation)[0].simulations)
    np.testing.assert_array_equal(pieces(source)[0].simulations, first)
    again, _ = fresh_sources(*KINDS[kind])
    np.testing.assert_array_equal(pieces(again, 1)[0].simulations, second)
    other, _ = fresh_sources(*KINDS[kind], seed=6)
    assert are_different(pieces(other)[0].simulations, first)


@pytest.mark.parametrize("kind", ["central", "NumPy"])
def test_pairs_share_their_random_numbers_and_stand_at_their_parameters(kind):
    source, _ = fresh_sources(*KINDS[kind])
    x, d = split(source, pieces(source)[0].simulations)
    assert x.shape == (SIZE, 10)
    lower, upper = d.numpy()[:, 0], d.numpy()[:, 1]
    np.testing.assert_allclose(upper[:, 0] - lower[:, 0], problem.δθ[0], rtol=1e-5)
    ratio = np.sqrt((1 + problem.δθ[1] / 2) / (1 - problem.δθ[1] / 2))
    np.testing.assert_allclose(upper[:, 1] / lower[:, 1], ratio, rtol=1e-4)


def test_a_simulator_may_work_in_place_and_fill_one_array():
    filled = {}

    def in_place(θ, seed):
        drawn = NUMPY(θ.copy(), seed.copy())
        place = filled.setdefault(len(θ), np.empty_like(drawn))
        place[:] = drawn
        θ += 1
        seed += 1
        return place

    found, expected = (
        [piece.simulations for piece in pieces(fresh_sources(one, problem.δθ)[0])]
        for one in (in_place, NUMPY)
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_exact_derivatives_are_those_of_the_simulator():
    source, validation = fresh_sources(gaussian_simulator, None)
    for one in (source, validation):
        fiducial, derivative = pieces(one)
        tangents = derivative.tangents.numpy().reshape(SIZE, 2, 10)
        np.testing.assert_allclose(tangents[:, 0], 1, rtol=1e-6)
        # ∂/∂Σ of μ + √Σ z is z/2 at Σ = 1.
        np.testing.assert_allclose(tangents[:, 1], fiducial.simulations / 2, rtol=1e-5)


def test_loops_are_differentiated():
    def looping(θ, seed):
        noise = tf.random.stateless_normal((10, tf.shape(θ)[0]), seed, dtype=θ.dtype)
        walk = tf.scan(lambda before, now: 0.5 * before + now, noise)
        return θ[:, :1] + tf.sqrt(θ[:, 1:]) * tf.transpose(walk)

    source, _ = fresh_sources(looping, None)
    fiducial, derivative = pieces(source)
    tangents = derivative.tangents.numpy().reshape(SIZE, 2, 10)
    np.testing.assert_allclose(tangents[:, 1], fiducial.simulations / 2, rtol=1e-4, atol=1e-6)
    imnn = fresh_imnn(looping, None)
    imnn.fit(2)
    assert np.isfinite(imnn.history["det_F"]).all()


def test_the_tangent_is_that_of_forward_mode():
    x, direction = (tf.constant(np.random.default_rng(i).normal(size=(3, 4))) for i in (1, 2))
    for function in (lambda x: tf.sin(x) * x, lambda x: tf.gather(x, [2, 0, 0])):
        with tf.autodiff.ForwardAccumulator(x, direction) as accumulator:
            value = function(x)
        found = tangent(function, x, direction)
        np.testing.assert_allclose(found, accumulator.jvp(value), rtol=1e-12)
    found = tangent(lambda x: tf.sin(x) * x, x, direction)
    np.testing.assert_allclose(found, (np.cos(x) * x + np.sin(x)) * direction, rtol=1e-12)


def clipped(θ, seed):
    """A simulator with control flow of Python on tensors, which AutoGraph converts."""
    noise = tf.random.stateless_normal((tf.shape(θ)[0], 10), seed, dtype=θ.dtype)
    if tf.reduce_max(θ) > 1e3:
        noise *= 0.0
    for _ in tf.range(3):
        noise *= 2.0
    return θ[:, :1] + tf.sqrt(θ[:, 1:]) * noise


def test_control_flow_of_simulators_is_converted():
    imnn = fresh_imnn(clipped, None)
    fiducial, derivative = pieces(imnn._trainer.training)
    tangents = derivative.tangents.numpy().reshape(SIZE, 2, 10)
    np.testing.assert_allclose(tangents[:, 1], fiducial.simulations / 2, rtol=1e-4, atol=1e-6)
    imnn.fit(2)
    assert np.isfinite(imnn.history["det_F"]).all()


@pytest.mark.parametrize("kind", ["central", "NumPy"])  # "exact" takes its seeds as "central"
def test_training_is_reproducible_and_resumes_its_sequence_of_seeds(kind, tmp_path):
    whole, first = (fresh_imnn(*KINDS[kind]) for _ in range(2))
    whole.fit(6, best=False)
    first.fit(3, best=False)
    np.testing.assert_allclose(first.history["det_F"], whole.history["det_F"][:4], rtol=1e-6)
    assert len(np.unique(whole.history["det_F"])) == 7
    first.save(tmp_path / "saved")
    loaded = IMNN.load(tmp_path / "saved", simulator=KINDS[kind][0])
    loaded.fit(3, best=False)
    np.testing.assert_allclose(loaded.history["det_F"], whole.history["det_F"], rtol=1e-6)


def test_a_kill_between_checkpoints_loses_no_seed(tmp_path):
    whole = fresh_imnn()
    whole.fit(6, best=False)
    stopped = fresh_imnn(directory=str(tmp_path), filename="one")

    def stop(run):
        if run.iteration >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.fit(6, best=False, checkpoint=2, callback=stop)
    loaded = IMNN.load(tmp_path / "one", simulator=gaussian_simulator)
    loaded.fit(6 - (len(loaded.history) - 1), best=False)
    np.testing.assert_allclose(loaded.history["det_F"], whole.history["det_F"], rtol=1e-6)


def test_averaged_weights_are_kept_and_statistics_are_those_of_the_held_out_set():
    kept, last = fresh_imnn(), fresh_imnn()
    kept.fit(30)
    last.fit(30, best=False)
    weights = [imnn.model.get_weights() for imnn in (kept, last)]
    assert any(not np.allclose(a, b) for a, b in zip(*weights, strict=True))
    assert kept.validation.n_s == SIZE
    np.testing.assert_array_equal(kept.F, kept.validation.F)
    best = np.nanmax(kept.history["val_det_F"])
    assert kept.validation.det_F != pytest.approx(best, rel=1e-9), "it is not the luckiest"


def test_numbers_of_the_held_out_set():
    imnn = fresh_imnn(validation_n_s=300, validation_n_d=100)
    assert (imnn.validation.n_s, imnn.validation.n_d) == (300, 100)


def test_chunks_of_fresh_simulations_give_the_same_training():
    whole, parts = fresh_imnn(), fresh_imnn(at_once=64)
    for imnn in (whole, parts):
        imnn.fit(3)
    np.testing.assert_allclose(parts.history["det_F"], whole.history["det_F"], rtol=1e-4)


def test_a_numpy_simulator_that_fails_later_ends_the_fit():
    def failing(θ, seed):
        calls.append(seed)
        if len(calls) > 40:
            raise OSError("no licence left")
        return NUMPY(θ, seed)

    calls = []
    imnn = fresh_imnn(failing)
    with pytest.raises(OSError, match="no licence left"):
        imnn.fit(50)


def unseeded(θ, seed):
    return np.random.default_rng().normal(size=(len(θ), 10))


def frozen(θ, seed):
    return np.random.default_rng(1).normal(size=(len(θ), 10)) * θ[:, 1:]


def without_tangent(θ, seed):
    rate = tf.broadcast_to(tf.exp(θ[:, :1]) + θ[:, 1:], (tf.shape(θ)[0], 10))
    return tf.random.stateless_poisson(tf.shape(rate), seed, rate, θ.dtype)


@pytest.mark.parametrize(
    ("simulator", "δθ", "error", "words"),
    [
        (3, problem.δθ, TypeError, "must be callable"),
        (unseeded, problem.δθ, ValueError, "other simulations for the same seed"),
        (frozen, problem.δθ, ValueError, "the same simulations for two seeds"),
        (lambda θ, seed: NUMPY(θ, seed)[:, :4], problem.δθ, ValueError, r"shape \(4, 4\)"),
        (lambda θ: θ, problem.δθ, RuntimeError, r"work as simulator\(parameters, seed\)"),
        (lambda θ, seed: NUMPY(θ, seed) * np.inf, problem.δθ, ValueError, "finite"),
        (NUMPY, None, ValueError, "TensorFlow code if δθ is None"),
        (without_tangent, None, ValueError, "derivatives by parameter 0 .* exactly zero"),
    ],
)
def test_unusable_simulators_are_rejected(simulator, δθ, error, words):
    with pytest.raises(error, match=words):
        fresh_imnn(simulator, δθ)


def test_a_simulator_is_the_only_origin():
    with pytest.raises(ValueError, match="Received `fiducial` as well"):
        fresh_imnn(fiducial=np.zeros((SIZE, 10)))


def test_more_derivatives_than_simulations_are_refused():
    with pytest.raises(ValueError, match=r"`n_d`.* at most n_s"):
        fresh_imnn(δθ=None, n_d=SIZE + 1)
