"""The summaries that F is estimated from."""

import numpy as np
import pytest
from makers import plain_imnn

from imnn_lab import IMNN, problems
from imnn_lab.archive import archive

PROBLEM = problems.gaussian()


@pytest.fixture(scope="module")
def imnn():
    return plain_imnn()


def test_of_the_validation_set(imnn):
    found = imnn.summary_set()
    assert found.fiducial.shape == (imnn.validation.n_s, 2)
    for name in ("μ", "C", "dμ_dθ", "F"):
        ours, theirs = getattr(found.statistics, name), getattr(imnn.validation, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_of_other_simulations_and_of_a_part_of_them(imnn):
    fiducial, derivative = PROBLEM.training_set(n_s=60, n_d=30, seed=9)
    found = imnn.summary_set(fiducial, derivative)
    np.testing.assert_allclose(
        found.part(slice(None, 40), np.arange(20)).statistics.F,
        imnn.evaluate(fiducial[:40], derivative[:20]).F,
        rtol=1e-4,
    )


def test_is_saved_unless_it_is_large(imnn, tmp_path, monkeypatch):
    imnn.save(tmp_path / "saved")
    found, again = imnn.summary_set(), IMNN.load(tmp_path / "saved").summary_set()
    np.testing.assert_array_equal(again.fiducial, found.fiducial)
    np.testing.assert_array_equal(again.derivative, found.derivative)
    monkeypatch.setattr(archive, "MOST_BYTES", 100)
    imnn.save(tmp_path / "large")
    with pytest.raises(RuntimeError, match="loaded without data"):
        IMNN.load(tmp_path / "large").summary_set()
