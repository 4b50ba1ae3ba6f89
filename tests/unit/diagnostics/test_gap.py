"""What the network, known summaries and both find of the information."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from imnn_lab.diagnostics import Light, SummarySet, information_gap
from imnn_lab.figures import draw
from imnn_lab.figures.bokeh import Drawing
from imnn_lab.figures.diagnostics import fisher as figures

EXACT = np.diag([10.0, 5.0])


def summaries(known, network, n=2000):
    """Return known summaries and those of a network of ten values, of mean 0 and variance 1."""
    rng = np.random.default_rng(1)

    def of(data):
        values = {
            "mean": data.mean(-1), "square": (data**2).mean(-1), "half": data[..., :5].mean(-1),
            "variance": (data[..., :5] ** 2).mean(-1),
        }  # fmt: skip
        return np.stack([values[name] for name in (*known, *network)], -1)

    z = rng.normal(size=(2, n, 10))
    sides = [[z[0] - 0.05, z[0] + 0.05], [z[0] * 0.95**0.5, z[0] * 1.05**0.5]]
    derivative = np.transpose([[of(x) for x in pair] for pair in sides], (2, 1, 0, 3))
    θ_fid, δθ = np.array([0.0, 1.0]), np.array([0.1, 0.1])
    return SummarySet(of(z[1]), derivative, θ_fid, δθ, len(known))


def test_all_that_there_is():
    found = information_gap(summaries((), ("mean", "square")), EXACT)
    assert list(found.found) == ["network"]
    assert found.verdict.light is Light.GREEN
    np.testing.assert_allclose(found.ratios["network"], 1, atol=0.06)


def test_half_of_it():
    """Five of ten values give errors that are √2 times as large."""
    found = information_gap(summaries((), ("half", "variance")), EXACT, labels=["a", "b"])
    assert found.verdict.light is Light.AMBER
    np.testing.assert_allclose(found.ratios["network"], np.sqrt(2), rtol=0.06)
    assert "errors up to 1.4" in found.verdict.words
    assert "times those of the data (" in found.verdict.words


def test_more_than_there_is():
    """Of seeds that do not match, or of an exact matrix of other data."""
    found = information_gap(summaries((), ("mean", "square")), EXACT / 4)
    assert found.verdict.light is Light.RED
    assert "That is more than there is in the data." in found.verdict.words


def test_known_summaries_add_to_the_network():
    found = information_gap(summaries(("mean", "square"), ("half", "variance")))
    assert found.verdict.light is Light.GREY
    assert list(found.found) == ["network", "known summaries", "network and known summaries"]
    np.testing.assert_allclose(found.ratios["known summaries"], 1, atol=0.05)
    np.testing.assert_allclose(found.ratios["network"], np.sqrt(2), rtol=0.06)


def test_summaries_that_do_not_measure_all_parameters_are_left_out():
    found = information_gap(summaries(("mean",), ("half", "square")), EXACT)
    assert "known summaries" not in found.found


def test_a_wrong_exact_matrix_is_refused():
    with pytest.raises(ValueError, match="`exact` must be a Fisher information"):
        information_gap(summaries((), ("mean", "square")), -EXACT)


def test_the_figure():
    panels = figures.information_gap(information_gap(summaries(("mean",), ("half", "square"))))
    assert draw(panels, figure=Figure(layout="constrained")).axes
    assert Drawing(panels, "gap").figures
