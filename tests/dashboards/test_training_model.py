"""What the training dashboard puts into its models, tick by tick, without a browser."""

import io
from types import SimpleNamespace

import numpy as np
import param
import pytest
from bokeh.document import Document
from dashboards.scripted import ScriptedNetwork, statistics

from imnn_lab.dashboards import TrainingDashboard
from imnn_lab.dashboards.training import controls, views
from imnn_lab.figures.live_curves import FOLLOW
from imnn_lab.history import History, SteeringMark
from imnn_lab.results import FisherStatistics

KNOWN = np.diag([10.0, 5.0])


@pytest.fixture
def network():
    return ScriptedNetwork()


def source(root, name):
    return root.document.get_model_by_name(name)


def rooted(dashboard):
    document = Document()
    root = dashboard.body.get_root(document)
    document.add_root(root)
    return root


def test_a_page_opened_late_shows_the_whole_history(network):
    network.train(50)
    root = rooted(TrainingDashboard(network).page())
    np.testing.assert_array_equal(source(root, "training_curves").data["det_F"], np.arange(1, 51))


def test_one_dashboard_is_shown_by_two_pages(network):
    dashboard = TrainingDashboard(network)
    pages = [dashboard.page() for _ in range(2)]
    roots = [rooted(page) for page in pages]
    network.start(50, λ=2.0, ε=0.3)
    network.train(5)
    for page in pages:
        page.tick()
    for root in roots:
        assert len(source(root, "training_curves").data["det_F"]) == 5
    network.run.steer(λ=3.0, ε=0.3)
    network.run.apply()
    for page in pages:
        page.pump.tick()
    assert dashboard.state.λ == 3.0
    dashboard.state.log_lambda = 0.1
    for page in pages:
        page.pump.tick()
    assert dashboard.state.log_lambda == 0.1, "a mark is followed once, not once per page"


def test_ticks_stream_what_is_new(network):
    dashboard = TrainingDashboard(network, KNOWN).page()
    root = rooted(dashboard)
    curves = source(root, "training_curves")
    assert not len(curves.data["det_F"])
    streamed = []
    root.document.on_change(lambda event: streamed.extend(rows_streamed(event)))
    for n in (1, 7, 30):
        network.train(n)
        dashboard.pump.tick()
        dashboard.pump.tick()
    assert streamed == [7, 30], "the first points replace; then one stream a tick that has news"
    np.testing.assert_array_equal(curves.data["det_F"], np.arange(1, 39))
    np.testing.assert_array_equal(curves.data["det_F_iteration"], np.arange(38))


@pytest.mark.parametrize("change", [{"scale": "logarithmic"}, {"smoothing": 0.9}])
def test_rows_that_come_during_a_tick_are_shown_once(network, change):
    network.train(5)
    page = TrainingDashboard(network).page()
    root = rooted(page)
    page.pump.views = (SimpleNamespace(refresh=lambda moment: network.train(3)), *page.pump.views)
    page.state.param.update(**change)
    page.pump.tick()
    for name in ["training_curves"] + ["smoothed_curves"] * ("smoothing" in change):
        shown = source(root, name).data["det_F_iteration"]
        assert list(shown) == list(range(5)), "what came since belongs to the next tick"
    page.pump.tick()
    for name in ["training_curves"] + ["smoothed_curves"] * ("smoothing" in change):
        assert list(source(root, name).data["det_F_iteration"]) == list(range(8))


def test_curves_and_errors_are_shown_against_the_time_of_training(network):
    page = TrainingDashboard(network, KNOWN, ["a", "b"]).page()
    network.start(400, λ=10.0, ε=0.1)
    network.train(20)
    page.tabs.show("Errors")
    assert views.NO_ROWS not in page.errors.words.object
    network.run.pause()
    network.run.steer(λ=5.0, ε=0.1)
    network.run.apply()
    network.run.resume()
    network.train(20)  # ScriptedNetwork: 100 iterations a second, which a pause does not change
    page.state.param.update(against="seconds", shown_iteration=30)
    page.pump.tick()
    root, times = rooted(page), np.arange(40) / 100
    data = source(root, "training_curves").data
    np.testing.assert_array_equal(data["det_F_seconds"], times)
    marks = source(root, "steering_marks").data
    assert (marks["at"], marks["label"]) == ([0.2], ["λ 10 → 5"])
    assert page.curves.figure.then.location == 0.3
    end = page.curves.figure.view.data["end"][0]
    assert 0.39 < end < 0.41, "the range follows in seconds"
    page.state.window = "the last 200"
    network.train(400)
    page.pump.tick()
    assert page.curves.figure.view.data["start"][0] == pytest.approx(2.39 - 0.02 * 2)
    lines = source(root, "errors 0 0 lines validation").data
    np.testing.assert_array_equal(lines["xs"][0][:40], times)  # F is diag(1 + i, 1)
    np.testing.assert_allclose(lines["ys"][0][:40], 1 / np.sqrt(1 + np.arange(40)))
    assert "0.3162" in page.errors.words.object, "the known error, 1/√10"


def rows_streamed(event):
    name = getattr(getattr(event, "model", None), "name", "")
    data = getattr(event, "data", None) if name == "training_curves" else None
    return [] if data is None else [len(data["det_F"])]


def test_curves_of_a_long_run_keep_their_extremes_and_their_end(network):
    dashboard = TrainingDashboard(network).page()
    root = rooted(dashboard)
    random = np.random.default_rng(0)
    everything = []
    for n in (1500, 3, 600, 5000, 1, 20_000):
        everything.append(random.normal(size=n))
        network.train(n, det_F=everything[-1])
        dashboard.pump.tick()
    y = np.concatenate(everything)
    data = source(root, "training_curves").data
    assert len(data["det_F"]) <= 2000
    assert {y.min(), y.max()} <= set(data["det_F"])
    np.testing.assert_array_equal(y[data["det_F_iteration"].astype(int)], data["det_F"])
    assert len(y) - data["det_F_iteration"].max() < 64, "the end is shown"


def test_a_new_history_replaces_the_old(network):
    network.train(20)
    dashboard = TrainingDashboard(network).page()
    root = rooted(dashboard)
    network.history = History()
    dashboard.pump.tick()
    assert not len(source(root, "training_curves").data["det_F"])
    assert "No iterations yet" in dashboard.status.progress.object
    assert controls.NO_NUMBERS in dashboard.status.table.object
    network.train(3)
    dashboard.pump.tick()
    assert len(source(root, "training_curves").data["det_F"]) == 3


def test_marks_are_drawn_and_listed(network):
    network.start(100)
    network.train(20)
    dashboard = TrainingDashboard(network).page()
    root = rooted(dashboard)
    network.history.mark(SteeringMark(20, "ε", 0.05, 0.1, 17))
    dashboard.pump.tick()
    marks = source(root, "steering_marks").data
    assert (marks["at"], marks["label"]) == ([20], ["ϵ 0.1 → 0.05"])
    assert "applied at iteration 20" in dashboard.controls.applied.object


def test_a_fit_that_is_over_is_seen_as_a_whole(network):
    network.train(40)
    dashboard = TrainingDashboard(network).page()
    rooted(dashboard)
    for made in dashboard.curves.figure.figures:
        assert made.x_range.start <= 0 < 39 <= made.x_range.end < 50
        assert made.x_range.reset_end == made.x_range.end


def test_a_network_that_was_steered_and_saved_is_shown(network):
    network.train(40)
    network.history.mark(SteeringMark(20, "λ", 8.0, 10.0, 17))
    assert network.run is None
    dashboard = TrainingDashboard(network).page()
    root = rooted(dashboard)
    dashboard.pump.tick()
    assert source(root, "steering_marks").data["label"] == ["λ 10 → 8"]
    network.start(50, λ=2.0, ε=0.3)
    dashboard.pump.tick()
    assert dashboard.state.λ == 2.0


def test_a_release_is_applied_and_an_invalid_pair_explained(network):
    dashboard = TrainingDashboard(network).page()
    dashboard.tabs.show("Regulariser")
    root = rooted(dashboard)
    dashboard.state.start()
    slider = dashboard.controls.sliders["λ"]
    slider.value = 0.6
    slider.param.trigger("value")
    assert network.run.asked == [], "nothing is applied while the slider is held"
    with_throttle(slider, 0.6)
    assert network.run.asked[-1]["λ"] == pytest.approx(10**0.6, rel=1e-5)
    with_throttle(slider, 2.0)
    dashboard.pump.tick()
    assert len(network.run.asked) == 1
    assert "smaller ϵ" in dashboard.controls.rate.object
    assert source(root, "regulariser 0 0 lines chosen").data["xs"] == []
    pairs = [source(root, f"regulariser 0 1 points {name}").data for name in ("applied", "chosen")]
    assert [pair["x"].tolist() for pair in pairs] == [[10.0], [pytest.approx(100.0)]]
    with_throttle(slider, 0.9)
    dashboard.pump.tick()
    assert "rate α = " in dashboard.controls.rate.object


def with_throttle(slider, value, order=("value", "value_throttled")):
    """Do what a release of the slider does."""
    with param.edit_constant(slider):
        slider.param.update(**dict.fromkeys(order, value))


def test_a_release_that_comes_before_its_value_has_it(network):
    # Panel tells changes in the order in which they were first written: the page may forget the
    # last release, and make the next, before any of that is told.
    dashboard = TrainingDashboard(network).page()
    dashboard.state.start()
    slider = dashboard.controls.sliders["λ"]
    with_throttle(slider, 0.6, order=("value_throttled", "value"))
    assert network.run.asked[-1]["λ"] == pytest.approx(10**0.6, rel=1e-5)
    assert slider.value == 0.6


def test_a_release_counts_though_it_repeats_the_last_one(network):
    # The page forgets the last release before the next: a slow one tells both in one message.
    dashboard = TrainingDashboard(network).page()
    dashboard.state.start()
    slider = dashboard.controls.sliders["λ"]
    for released in (1, 2):
        with_throttle(slider, 0.6)
        assert len(network.run.asked) == released
        slider.value = 0.9  # what another cell chose


def test_the_objective_of_a_fit_from_elsewhere_is_shown(network):
    dashboard = TrainingDashboard(network).page()
    controls = dashboard.controls
    assert not any(controls.sliders[name].disabled for name in ("λ", "ϵ"))
    network.start(40, objective="projected")
    dashboard.pump.tick()
    assert (controls.objective.value, controls.objective.disabled) == ("projected", True)
    assert all(controls.sliders[name].disabled for name in ("λ", "ϵ"))
    assert "λ and ϵ have no effect" in controls.rate.object
    assert not controls.sliders["learning rate"].disabled


def test_a_fit_from_elsewhere_moves_the_sliders(network):
    dashboard = TrainingDashboard(network).page()
    rooted(dashboard)
    network.start(50, λ=2.0, ε=0.3)
    network.train(5)
    dashboard.pump.tick()
    assert dashboard.state.λ == 2.0
    assert dashboard.controls.sliders["ϵ"].value == pytest.approx(np.log10(0.3))
    assert dashboard.controls.buttons["Start"].disabled
    assert not dashboard.controls.buttons["Stop"].disabled


def test_time_travel_shows_the_fisher_matrix_of_then(network, monkeypatch):
    monkeypatch.setattr(views, "ELLIPSE_PERIOD", 0.0)
    network.train(40)
    dashboard = TrainingDashboard(network, KNOWN).page()
    root = rooted(dashboard)
    slider = dashboard.ellipse.slider
    assert (slider.end, slider.value) == (39, 39)
    assert len(source(root, "ellipse 0 0 lines then").data["xs"]) == 0
    slider.value = 8
    dashboard.pump.tick()
    then, now = (source(root, f"ellipse 0 0 lines {which}").data["xs"] for which in ("then", "now"))
    # det F is 9 then and 40 now, all of it in the first parameter
    assert np.ptp(then[0]) / np.ptp(now[0]) == pytest.approx(np.sqrt(40 / 9))
    assert "then (iteration 8): det F = 9" in dashboard.ellipse.words.object
    network.train(10)
    dashboard.pump.tick()
    assert (slider.end, slider.value) == (49, 8), "the slider grows and stays"
    assert dashboard.curves.figure.then.location == 8
    slider.value = 49
    dashboard.pump.tick()
    assert len(source(root, "ellipse 0 0 lines then").data["xs"]) == 0


def test_smoothing_keeps_the_raw_line(network):
    network.train(100)
    dashboard = TrainingDashboard(network).page()
    root = rooted(dashboard)
    dashboard.state.smoothing = 0.9
    dashboard.pump.tick()
    smooth = source(root, "smoothed_curves").data["det_F"]
    w = 0.9 ** np.arange(100)
    expected = np.convolve(w, np.arange(1, 101))[:100] / np.cumsum(w)
    np.testing.assert_allclose(smooth, expected)
    assert len(source(root, "training_curves").data["det_F"]) == 100
    network.train(50)
    dashboard.pump.tick()
    smooth = source(root, "smoothed_curves").data["det_F"]
    w = 0.9 ** np.arange(150)
    np.testing.assert_allclose(smooth, np.convolve(w, np.arange(1, 151))[:150] / np.cumsum(w))


def test_the_scale_of_the_curves_can_be_changed(network):
    network.train(10)
    dashboard = TrainingDashboard(network).page()
    root = rooted(dashboard)
    dashboard.state.scale = "logarithmic"
    dashboard.pump.tick()
    assert len(dashboard.curves.figure.source.data["det_F"]) == 10
    assert dashboard.curves.figure.figures[0].y_scale.__class__.__name__ == "LogScale"
    assert root.select_one({"name": "training_curves"}) is dashboard.curves.figure.source


def test_ranges_follow_ignore_outliers_and_can_show_them(network):
    network.train(200, det_F=np.where(np.arange(200) == 50, 1e9, np.arange(1.0, 201.0)))
    dashboard = TrainingDashboard(network).page()
    root = rooted(dashboard)
    view = source(root, "curves_view")
    assert view.data["end"][1] < 1e3
    generation = view.data["generation"][0]
    dashboard.state.fit_all = True
    dashboard.pump.tick()
    assert view.data["end"][1] > 1e9
    assert view.data["generation"][0] > generation, "a choice lets go of a zoom"
    dashboard.state.window = "the last 200"
    network.train(300)
    dashboard.pump.tick()
    assert view.data["start"][0] == pytest.approx(299, abs=10)
    dashboard.state.window = "off"
    network.train(300)
    dashboard.pump.tick()
    assert view.data["end"][0] < 510
    assert "view.tags[1]" in FOLLOW


def test_downloads_hold_what_they_say(network):
    network.train(30)
    dashboard = TrainingDashboard(network, KNOWN).page()
    rooted(dashboard)
    made = {name: button.callback() for name, button in dashboard.export.buttons.items()}
    table = np.genfromtxt(made["CSV"], delimiter=",", names=True, encoding="utf-8")
    np.testing.assert_array_equal(table["det_F"], network.history["det_F"])
    arrays = np.load(io.BytesIO(made["NPZ"].getvalue()), allow_pickle=False)
    again = History.from_arrays(dict(arrays))
    np.testing.assert_array_equal(again["det_F"], network.history["det_F"])
    assert made["PNG"].getvalue().startswith(b"\x89PNG")
    assert made["PDF"].getvalue().startswith(b"%PDF")


@pytest.mark.parametrize("validation", [False, True])
def test_without_validation_the_table_has_dashes_and_the_ellipse_is_from_training(validation):
    # with validation: the control
    network = ScriptedNetwork(validation)
    network.train(5)
    dashboard = TrainingDashboard(network).page()
    rooted(dashboard)
    origin = "from validation" if validation else "from training"
    assert origin in dashboard.ellipse.words.object
    dashes = 0 if validation else len(controls.ROWS)
    assert dashboard.status.table.object.count("–") == dashes


def test_the_table_says_which_weights_were_kept_where_the_last_are_not(network):
    # det F of validation rises to 10, and falls again
    values = np.log([5.0, 10.0, 8.0, 6.0])
    network.start(4)
    network.train(4, val_log_det_F=values)
    dashboard = TrainingDashboard(network).page()
    rooted(dashboard)
    network.validation = FisherStatistics(*statistics(10.0))
    dashboard.pump.tick()
    assert "Kept" not in dashboard.status.table.object  # it runs
    network.run.finish("all iterations are done")
    for det_F, words in {
        10.0: "Kept: the weights of iteration 1, det F 10 on validation.",
        12.0: "Kept: other weights than the last, det F 12 on validation.",  # solved again
        6.0: "",  # those of the last iteration
    }.items():
        network.validation = FisherStatistics(*statistics(det_F))
        dashboard.pump.tick()
        assert dashboard.status.table.object.partition("</table>")[2].count(words or "Kept") == (
            1 if words else 0
        )


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_the_weight_of_gaussianity_is_said_where_there_is_one(network, weight):
    network.train(5, gaussianity=np.full(5, weight))
    dashboard = TrainingDashboard(network).page()
    rooted(dashboard)
    assert ("gaussianity = 0.25" in dashboard.status.progress.object) == (weight > 0)


def test_words_from_elsewhere_are_escaped(network):
    network.start(5)
    network.run.state, network.run.error = "failed", ValueError("<script>x</script>")
    dashboard = TrainingDashboard(network).page()
    rooted(dashboard)
    assert "<script>" not in dashboard.status.word.object
    assert "Failed: ValueError" in dashboard.status.word.object


@pytest.mark.parametrize(
    ("known", "labels", "words"),
    [(np.eye(3), None, "known_fisher"), (None, ["μ"], "`labels` must name each of the 2")],
)
def test_known_fisher_and_labels_of_another_size_are_rejected(network, known, labels, words):
    with pytest.raises(ValueError, match=words):
        TrainingDashboard(network, known, labels)
