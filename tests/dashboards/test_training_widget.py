"""The ipywidgets front end over the same state, without a browser."""

import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork
from jupyter_bokeh import BokehModel

from imnn_lab.widgets import TrainingWidget


@pytest.fixture
def network():
    return ScriptedNetwork()


@pytest.fixture
def widget(network):
    made = TrainingWidget(network, 50.0)
    yield made
    made.close()


def test_the_widget_follows_a_fit_from_elsewhere(widget, network):
    network.start(40, λ=2.0, ε=0.3)
    network.train(20)
    widget.pump.tick()
    data = widget.curves.figure.source.data
    np.testing.assert_array_equal(data["det_F"], np.arange(1, 21))
    assert widget.words.bar.value == pytest.approx(19 / 40)
    assert widget.controls.sliders["log_lambda"].value == 2.0
    assert widget.controls.buttons["Start"].disabled
    assert "iteration 19 of 40" in widget.words.lines.value
    assert network.run.asked == [], "following steers nothing"


def test_the_controls_reach_the_run(widget, network):
    widget.controls.counts["n_iterations"].value = "12"
    widget.controls.buttons["Start"].click()
    assert network.started[0]["n_iterations"] == 12
    widget.controls.sliders["log_lambda"].value = 4.0
    assert network.run.asked[-1]["λ"] == 4.0
    widget.controls.sliders["log_lambda"].value = 100.0
    assert len(network.run.asked) == 1
    widget.pump.tick()
    assert "smaller ϵ" in widget.words.lines.value
    widget.controls.counts["patience"].value = "many"
    widget.pump.tick()
    assert "whole number" in widget.words.lines.value


def test_a_browser_that_comes_late_gets_everything(widget, network):
    network.start(40)
    network.train(5)
    widget.pump.tick()
    data = widget.curves.figure.source.data
    widget.curves.figure.source.data = {name: values[:0] for name, values in data.items()}
    drawn = {"kind": "ModelChanged", "attr": "inner_width", "new": 300, "event": "jsevent"}
    drawn["model"] = {"id": widget.curves.figure.figures[0].id}
    widget.curves.widget._sync_model(None, drawn, [])  # what a browser reports after drawing
    network.train(5)
    widget.pump.tick()
    assert len(widget.curves.figure.source.data["det_F"]) == 10


def test_what_a_browser_returns_is_not_put_over_newer_points(widget, network):
    network.start(40)
    network.train(5)
    widget.pump.tick()
    source = widget.curves.figure.source
    older = {name: values[:2].tolist() for name, values in source.data.items()}
    returned = {"kind": "ModelChanged", "attr": "data", "new": older, "event": "jsevent"}
    returned["model"] = {"id": source.id}
    # the control: jupyter_bokeh itself would shorten the curves
    BokehModel._sync_model(widget.curves.widget, None, dict(returned), [])
    assert len(source.data["det_F"]) == 2
    widget.curves.pump.restart(widget.pump.tick())
    assert len(source.data["det_F"]) == 5
    widget.curves.widget._sync_model(None, dict(returned), [])
    assert len(source.data["det_F"]) == 5


def test_a_slider_that_its_reader_moved_is_not_set_back(widget, network):
    slider = widget.controls.sliders["log_epsilon"]
    told = []
    slider.observe(lambda change: told.append(change["new"]), "value")
    moved = 10**-0.93  # more digits than are shown
    slider.value = moved
    widget.pump.tick()
    assert told == [moved]
    widget.state.log_epsilon = -0.5
    widget.pump.tick()
    assert told[1:] == [pytest.approx(10**-0.5, rel=1e-5)]
