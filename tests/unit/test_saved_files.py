"""What version 0.1.0 saved still loads, and its training still resumes.

`fixtures/saved_by_0_1_0` holds a fit of 12 iterations that was steered (``finished``), the
``state.npz`` of its checkpoint after iteration 4, and what that version read from both
(``expected.json``): F, the history, the marks and three estimates.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from imnn_lab import IMNN, problems

SAVED = Path(__file__).parents[1] / "fixtures" / "saved_by_0_1_0"
EXPECTED = json.loads((SAVED / "expected.json").read_text(encoding="utf-8"))


def saved(kind, tmp_path):
    """Return a directory as it stood after the fit, or after the checkpoint."""
    place = shutil.copytree(SAVED / "finished", tmp_path / "saved")
    shutil.copy(SAVED / kind / "state.npz", place)
    return place


def assert_same(imnn, expected):
    # Sums in another order change float32 summaries in their last digits, no more.
    np.testing.assert_allclose(imnn.F, expected["F"], rtol=1e-4)
    np.testing.assert_allclose(
        imnn.get_estimate(np.array(EXPECTED["observations"])), expected["estimate"], atol=1e-4
    )
    assert len(imnn.history) == expected["iterations"]
    np.testing.assert_allclose(imnn.history["val_det_F"], expected["val_det_F"], rtol=1e-4)
    np.testing.assert_array_equal(imnn.history["λ"], expected["λ"])
    marks = [[mark.iteration, mark.name, mark.value] for mark in imnn.history.marks]
    assert marks == expected["marks"]


@pytest.mark.parametrize("kind", ["finished", "checkpoint"])
def test_files_of_version_0_1_0_load(kind, tmp_path):
    assert_same(IMNN.load(saved(kind, tmp_path)), EXPECTED[kind])


def test_training_saved_by_version_0_1_0_resumes(tmp_path):
    problem = problems.gaussian()
    training, validation = (problem.training_set(n_s=300, n_d=100, seed=i) for i in (1, 2))
    imnn = IMNN.load(
        saved("checkpoint", tmp_path),
        fiducial=training[0],
        derivative=training[1],
        validation_fiducial=validation[0],
        validation_derivative=validation[1],
    )
    imnn.fit(4)
    assert_same(imnn, EXPECTED["resumed"])


def test_the_control_is_noticed(tmp_path):
    imnn = IMNN.load(saved("finished", tmp_path))
    with pytest.raises(AssertionError):
        assert_same(imnn, EXPECTED["checkpoint"])
