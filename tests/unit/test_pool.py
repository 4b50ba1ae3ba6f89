"""n_s and n_d drawn from a larger pool in every iteration."""

import numpy as np
import pytest
import tensorflow as tf
from makers import gaussian_data, plain_imnn, plain_network

from imnn_lab import IMNN, augmentations
from imnn_lab.sources.pool import DrawnSource
from imnn_lab.sources.source import ArraySource

FIDUCIAL, DERIVATIVE, *HELD_OUT = gaussian_data()
POOL = {"n_s": 120, "n_d": 80, "resample": True}


def pool_of(n_s=30, n_d=12, is_exact=False, drawn=(8, 5, 3), augmentation=None):
    """Return a source of simulations that are their own numbers."""
    fiducial = np.arange(n_s, dtype="float32")[:, None]
    sides = () if is_exact else (2,)
    derivative = 1000 + np.arange(n_d * (1 if is_exact else 2) * 3, dtype="float32")
    derivative = derivative.reshape(n_d, *sides, 3, 1)
    δθ = None if is_exact else np.ones(3)
    source = ArraySource(fiducial, derivative, δθ, "float32", augmentation=augmentation)
    source.drawn = drawn
    return source


def drawn_at(source, step):
    return DrawnSource(source).feed(tf.constant(step, tf.int64)).pieces


def test_each_iteration_draws_its_own_rows_of_pairs():
    source, seen = pool_of(), []
    for step in range(40):
        (rows,) = drawn_at(source, step)
        fiducial, derivative = rows.simulations.numpy()[:8, 0], rows.simulations.numpy()[8:, 0]
        assert rows.positions.numpy().tolist() == list(range(8 + 5 * 6))
        assert len(set(fiducial)) == 8
        groups = (derivative.reshape(5, 6) - 1000) / 6
        np.testing.assert_allclose(groups, groups[:, :1] + np.arange(6) / 6, rtol=1e-6)
        assert len(set(groups[:, 0])) == 5
        seen.append((fiducial.tolist(), groups[:, 0].tolist()))
    assert seen[0] != seen[1]
    assert {x for fiducial, _ in seen for x in fiducial} == set(range(30))
    assert {x for _, derivative in seen for x in derivative} == set(range(12))
    (again,) = drawn_at(source, 7)
    assert again.simulations.numpy()[:8, 0].tolist() == seen[7][0]


def test_exact_derivatives_stay_with_their_simulations():
    fiducial, derivative = drawn_at(pool_of(is_exact=True), 4)
    assert fiducial.simulations.shape == (8, 1)
    rows = (derivative.tangents.numpy()[:, 0] - 1000) // 3
    np.testing.assert_array_equal(derivative.simulations.numpy()[:, 0], rows)
    assert derivative.positions.numpy().tolist() == list(range(8, 8 + 15))


def test_a_pool_that_is_drawn_whole_trains_as_without():
    whole = plain_imnn()
    pool = plain_imnn(resample=True)
    for imnn in (whole, pool):
        imnn.fit(4)
    np.testing.assert_allclose(pool.history["det_F"], whole.history["det_F"], rtol=1e-3)
    np.testing.assert_allclose(pool.F, whole.F, rtol=1e-3)


@pytest.mark.parametrize("objective", ["imnn", "projected"])
def test_statistics_at_the_end_are_those_of_the_pool(objective):
    imnn = plain_imnn(**POOL)
    assert (imnn.training.n_s, imnn.training.n_d) == (200, 200)
    imnn.fit(5, objective=objective)
    assert (imnn.training.n_s, imnn.training.n_d) == (200, 200)
    recorded = imnn.history.statistics(3)
    assert (recorded.n_s, recorded.n_d) == (120, 80)
    np.testing.assert_allclose(imnn.training.F, imnn.evaluate(FIDUCIAL, DERIVATIVE).F, rtol=1e-3)
    assert len(set(imnn.history["det_F"])) == 6


def test_an_interrupted_fit_draws_what_it_would_have_drawn(tmp_path):
    def stop(run):
        if run.iteration >= 4:
            run.stop()

    data = dict(zip(("fiducial", "derivative"), (FIDUCIAL, DERIVATIVE), strict=True))
    held_out = {"validation_fiducial": HELD_OUT[0], "validation_derivative": HELD_OUT[1]}
    whole = plain_imnn(**POOL)
    whole.fit(8)
    where = {"directory": str(tmp_path), "filename": "pool"}
    plain_imnn(**POOL, **where).fit(8, checkpoint=4, callback=stop)
    again = IMNN.load(tmp_path / "pool", **data, **held_out)
    assert again.settings.resample
    again.fit(8 - (len(again.history) - 1))
    assert again.history["loss"].tolist() == whole.history["loss"].tolist()


def test_augmentation_of_what_is_drawn():
    imnn = plain_imnn(**POOL, map_fn=augmentations.noise(1.0))
    imnn.fit(3, level=0.5)
    assert np.isfinite(imnn.F).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_s": 201}, "`fiducial` must hold at least n_s = 201 simulations to draw them from"),
        ({"n_d": 201}, "`derivative` must hold at least n_d = 201"),
        ({"n_s": None}, r"must be given `n_s`"),
        ({"resample": 1}, "`resample` must be True or False"),
        ({"fiducial": lambda seed: FIDUCIAL[seed]}, "`resample` must be False unless `fiducial`"),
        (
            {"external": (FIDUCIAL[:, :1], DERIVATIVE[..., :1])},
            "`resample` must be False with `ext",
        ),
        (
            {"simulator": lambda θ, seed: θ, "fiducial": None, "derivative": None},
            "`resample` must be False with a `simulator`",
        ),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(changes, words):
    arguments = POOL | {"validation_fiducial": None, "validation_derivative": None}
    with pytest.raises((TypeError, ValueError), match=words):
        plain_imnn(**arguments | {"model": plain_network()} | changes)
