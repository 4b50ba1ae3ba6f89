"""What the choice among networks looks like."""

import numpy as np
import pytest

from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.candidates import candidates
from imnn_lab.networks.choice import Candidate

TRIED = (
    Candidate("linear", -np.inf, np.nan, 10, 0.1),
    Candidate("dense", np.log(40.0), 0.1, 20, 0.2),
    Candidate("deep_set, coordinates + dense", np.log(50.0), 0.1, 90, 0.9),
    Candidate("deep_set", np.log(49.9), 0.1, 30, 0.3, is_chosen=True),
    Candidate("convolutional", np.nan, np.nan, 0, 0.0, "too short"),
)


def test_each_that_was_valued_has_a_bar_of_what_it_kept_with_a_standard_error():
    described = candidates(TRIED)
    (panel,) = described.panels
    names = ["deep_set,\ncoordinates\n+ dense", "deep_set", "dense"]
    assert panel.y_names == tuple((-float(i), name) for i, name in enumerate(names))
    chosen, _, tried, lines = (layer.x.reshape(-1, 6) for layer in panel.layers)
    assert described.series == ("chosen", "tried")
    np.testing.assert_allclose(chosen[:, :2], [[0, 49.9 / 50]])
    np.testing.assert_allclose(tried[:, 1], [1.0, 40 / 50])
    np.testing.assert_allclose(lines[1, :2], 0.8 * np.exp([-0.1, 0.1]))
    assert [layer.series for layer in panel.layers] == [0, 0, 1, 1]
    Drawing(described, "candidates")
    draw(described)


@pytest.mark.parametrize("tried", [(), TRIED[:1]])
def test_without_any_that_was_valued_it_is_empty(tried):
    assert candidates(tried).panels[0].y_names == ()
