"""A fit from a random last layer: everything is left to training, and nothing else changes."""

import keras
import numpy as np
import pytest
from makers import plain_imnn

from imnn_lab import IMNN, networks, problems


@pytest.fixture(scope="module")
def imnn():
    problem = problems.gaussian()
    sets = (*problem.training_set(500, 500, seed=1), *problem.training_set(500, 500, seed=2))
    given = 500, 500, 2, 2, problem.θ_fid, problem.δθ, (10,), *sets
    model = networks.dense((10,), 2, seed=3)
    return IMNN(*given, model=model, optimiser=keras.optimizers.Adam(3e-3), verbose=False)


def test_information_climbs_from_nearly_nothing(imnn):
    started = np.linalg.det(imnn.F)
    imnn.fit(150, reset=True, warm_start=False, seed=1, best=False)
    det_F = imnn.history["val_det_F"]
    # a random readout of 100 features keeps little of det F = 50: 0.2 here; control: closed form
    assert det_F[0] < 5 < 15 < det_F[-1]
    assert started > 30
    # the layer is not solved again at the end: F is that of the last weights
    assert np.linalg.det(imnn.F) == pytest.approx(det_F[-1], rel=1e-3)


def test_covariance_settles_without_whitening(imnn):
    imnn.fit(250, reset=True, warm_start=False, whiten=False, seed=1, best=False)
    det_C = imnn.history["det_C"]
    assert abs(np.log(det_C[0])) > 1
    # the regulariser lets go where C is within ε = 0.1 or so of 1, which is 0.2 in ln det C; twice
    assert abs(np.log(det_C[-1])) < 0.4
    imnn.fit(0, reset=True, warm_start=False, whiten=True, seed=1)
    assert imnn.history["det_C"][0] == pytest.approx(1, abs=1e-3)


def test_the_default_is_what_it_was_bit_by_bit():
    fresh, other = plain_imnn(), plain_imnn()
    fresh.fit(5)
    other.fit(3, reset=True, warm_start=False, seed=1)
    other.fit(5, reset=True)
    for name in ("det_F", "val_det_F", "det_C", "loss"):
        np.testing.assert_array_equal(fresh.history[name], other.history[name])
    for a, b in zip(fresh.model.variables, other.model.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_seed_gives_the_same_start_and_another_one_another():
    imnn, starts = plain_imnn(), []
    for seed in (1, 1, 2):
        imnn.fit(0, reset=True, warm_start=False, seed=seed)
        starts.append(imnn.history["det_F"][0])
    assert starts[0] == starts[1] != starts[2]


def test_the_closed_form_can_start_without_whitening():
    imnn = plain_imnn()
    whitened = np.linalg.det(imnn.F)
    imnn.fit(0, reset=True, whiten=False)
    assert np.linalg.det(imnn.F) == pytest.approx(whitened, rel=1e-3)
    assert abs(np.log(imnn.history["det_C"][0])) > 0.01  # 1 to five digits if whitened


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"warm_start": False}, "`reset` must be True"),
        ({"whiten": True}, "`reset` must be True"),
        ({"seed": 1, "reset": True}, "`warm_start` must be False for a `seed`"),
    ],
)
def test_options_without_effect_are_refused(given, words):
    imnn = plain_imnn()
    with pytest.raises(ValueError, match=words):
        imnn.fit(1, **given)
    assert len(imnn.history) == 0


def test_a_network_without_a_linear_last_layer_is_refused():
    imnn = plain_imnn(warm_start=False)  # whose whitening layer stands at its end
    with pytest.raises(ValueError, match="trained linear `Dense` layer"):
        imnn.fit(1, reset=True, warm_start=False)
