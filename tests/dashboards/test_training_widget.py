"""The ipywidgets front end over the same state, without a browser."""

import numpy as np
import pytest
from dashboards.scripted import ScriptedNetwork
from jupyter_bokeh import BokehModel

from imnn_lab.dashboards.training import pump
from imnn_lab.widgets import TrainingWidget

# What a browser reports when it has drawn.
DRAWN = {
    "kind": "MessageSent", "msg_type": "bokeh_event", "event": "jsevent",
    "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map"}},
}  # fmt: skip


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


def test_the_objective_is_chosen_and_without_it_its_sliders_are_disabled(widget, network):
    controls, pair = widget.controls, ("log_lambda", "log_epsilon")
    controls.objective.value = "projected"
    controls.buttons["Start"].click()
    assert network.run.objective == "projected"
    widget.pump.tick()
    assert controls.objective.disabled
    assert all(controls.sliders[name].disabled for name in pair)
    assert not controls.sliders["log_learning_rate"].disabled
    assert "&#x27;projected&#x27;: λ and ϵ have no effect" in widget.words.lines.value
    network.run.finish("all is done")
    network.start(5)
    widget.pump.tick()
    assert controls.objective.value == "imnn"
    assert not any(controls.sliders[name].disabled for name in pair)
    assert "no effect" not in widget.words.lines.value


def test_the_curves_are_shown_against_the_time_of_training(widget, network, monkeypatch):
    network.start(40)
    network.train(5)
    widget.pump.tick()
    sent = widget.curves.widget
    before, was_sent = widget.curves.figure, sent.render_bundle
    widget.controls.against.value = "seconds"
    network.train(5)
    widget.pump.tick()
    figures = widget.curves.figure
    assert figures.figures[-1].xaxis.axis_label == "time of training [s]"
    np.testing.assert_array_equal(figures.source.data["det_F_seconds"], network.history["seconds"])
    assert sent.render_bundle != was_sent, "a browser draws the new ones"
    messages = []
    monkeypatch.setattr(sent, "send", lambda *message: messages.append(message))
    before.show_then(1)
    assert not messages, "those that are no longer shown send nothing"
    figures.show_then(1)
    assert messages
    sent._sync_model(None, dict(DRAWN), [])
    network.train(5)
    widget.pump.tick()
    assert len(figures.source.data["det_F"]) == 15
    widget.state.against = "iteration"  # elsewhere
    widget.pump.tick()
    assert widget.controls.against.value == "iteration"
    assert len(widget.curves.figure.source.data["det_F_iteration"]) == 15


def test_a_browser_that_comes_late_gets_everything(widget, network):
    network.start(40)
    network.train(5)
    widget.pump.tick()
    data = widget.curves.figure.source.data
    widget.curves.figure.source.data = {name: values[:0] for name, values in data.items()}
    widget.curves.widget._sync_model(None, dict(DRAWN), [])
    network.train(5)
    widget.pump.tick()
    assert len(widget.curves.figure.source.data["det_F"]) == 10
    network.train(5)
    widget.pump.tick()
    assert len(widget.curves.figure.source.data["det_F"]) == 15


def test_the_widget_waits_until_its_browser_has_what_was_sent(widget, network, monkeypatch):
    monkeypatch.setattr(pump, "LONGEST_WAIT", 0.0)
    figures, curves = widget.curves.figure, widget.curves.widget

    def shown_after_a_tick():
        network.train(5)
        widget.tick()
        return len(figures.source.data["det_F"])

    network.start(100)
    curves._sync_model(None, dict(DRAWN), [])
    assert shown_after_a_tick() == 5
    returned = {"kind": "ModelChanged", "attr": "tags", "event": "jsevent"}
    ours = returned | {"model": {"id": figures.layout.id}, "new": list(figures.layout.tags)}
    others = returned | {"model": {"id": figures.view.id}, "new": [1, False]}
    curves._sync_model(None, others, [])
    assert shown_after_a_tick() == 5, "the question has not come back"
    curves._sync_model(None, ours, [])
    assert shown_after_a_tick() == 15
    assert shown_after_a_tick() == 15
    curves._sync_model(None, dict(DRAWN), [])  # a page that was opened again
    assert shown_after_a_tick() == 25


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
