"""What a page of inference does, without a browser and without a network."""

import numpy as np
import panel as pn
import pytest
from dashboards import inference_problem as problem
from waiting import until

from imnn_lab import LFI
from imnn_lab.dashboards.common.background import Work
from imnn_lab.dashboards.common.tabs import Tabs
from imnn_lab.dashboards.inference import state as inference_state
from imnn_lab.dashboards.inference.checks import CalibrationView
from imnn_lab.dashboards.inference.controls import (
    NeuralView,
    PopulationView,
    RejectionView,
    TargetView,
)
from imnn_lab.dashboards.inference.dashboard import InferenceDashboard, InferencePage
from imnn_lab.dashboards.inference.data import DataView
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.dashboards.inference.tabs import Together
from imnn_lab.dashboards.inference.views import ExportView
from imnn_lab.inference import Uniform
from imnn_lab.inference.rejection import accept


def dashboard(simulator=problem.simulator, **options):
    settings = {"Fisher": problem.F, "labels": problem.LABELS, "seed": 1} | options
    return InferenceDashboard(
        problem.get_estimate, problem.PRIOR, simulator, problem.OBSERVED, **settings
    )


class Counting:
    def __init__(self):
        self.simulated = 0

    def __call__(self, parameters, seed):
        self.simulated += len(parameters)
        return problem.simulator(parameters, seed)


def drawn(page, n=2000):
    page.state.choices.draws = n
    page.state.draw()
    assert page.state.abc_work.wait(60)
    page.tick()
    return page


def test_all_work_is_ended_and_waited_for():
    state = dashboard().state
    assert set(state.works) == {each for each in vars(state).values() if isinstance(each, Work)}


def leaves(view):
    """Yield the views of all tabs; that of each is shown, and refreshed, when it is yielded."""
    if isinstance(view, Tabs):
        for name in view._tabs:
            view.show(name)
            yield from leaves(view.made(name))
    elif isinstance(view, Together):
        for each in view.views:
            yield from leaves(each)
    else:
        yield view


def shown(page, kind):
    """Show a view of a kind, and return it."""
    return next(view for view in leaves(page.tabs) if isinstance(view, kind))


def source(page, name):
    for view in leaves(page.tabs):
        for drawing in vars(view).values():
            for panel in getattr(drawing, "_panels", {}).values():
                for model in panel.figure.select({"name": name}):
                    return model
    raise LookupError(name)


def test_the_gaussian_approximation_is_there_at_once():
    page = InferencePage(dashboard().state)
    (line,) = source(page, "corner 0 0 lines Gaussian approximation").data["ys"]
    assert line.max() > 0
    assert source(page, "corner 1 0 lines Gaussian approximation").data["mass"] == ["95 %", "68 %"]
    assert source(page, "corner 0 0 lines ABC").data["ys"] == []


def test_the_distance_recolours_without_simulating():
    counting = Counting()
    page = drawn(InferencePage(dashboard(counting).state))
    assert counting.simulated == 2000
    before = page.brush.source.data["group"].tolist().count("ABC")
    page.state.choices.log_distance = 0.8
    page.tick()
    groups = page.brush.source.data["group"].tolist()
    distances = problem_distances(page)
    assert groups.count("ABC") == (distances < 10**0.8).sum() > before
    assert groups.count("ABC, rejected") == (distances >= 10**0.8).sum()
    assert counting.simulated == 2000
    bars = source(page, "distances 0 0 histogram ABC").data
    assert bars["count"].sum() == groups.count("ABC")
    assert source(page, "distances 0 0 x truth").data["at"] == [pytest.approx(10**0.8)]


def test_draws_are_accepted_once_per_change(monkeypatch):
    calls = []

    def counted(*arguments, **options):
        calls.append(options)
        return accept(*arguments, **options)

    monkeypatch.setattr(inference_state, "accept", counted)
    page = drawn(InferencePage(dashboard().state))
    first = len(calls)
    for _ in range(3):
        page.tick()
        InferencePage(page.state, follows=False)
    page.state.choices.smoothing = 2.0
    page.tick()
    assert len(calls) == first, "neither ticks, nor other pages, nor other choices need it again"
    page.state.choices.log_distance = 0.5
    page.tick()
    page.state.simulate_target([2, 1], 5)
    page.tick()
    assert len(calls) == first + 2, "the control: another ε and another target do"


def test_the_nearest_draws_are_accepted():
    page = drawn(InferencePage(dashboard().state))
    page.state.accept_nearest(100)
    acceptance = page.state.snapshot().acceptance
    assert acceptance.num_accepted == 100
    assert acceptance.distances[acceptance.accepted].max() <= np.sort(acceptance.distances)[99]


def test_the_python_call_follows_the_choices():
    page = InferencePage(dashboard().state)
    view = shown(page, ExportView)
    page.state.choices.particles = 321
    page.tick()
    assert "PMC(draws=321" in view.call.object
    assert "simulator" not in dashboard(None).state.python_call()


def test_errors_are_shown_beside_what_the_reader_pressed():
    page = InferencePage(dashboard().state)
    view = shown(page, PopulationView)
    page.state.choices.most_simulations = 1000
    view.attempt(view.start)
    page.tick()
    assert "be at least 2000" in view.status.object
    page.state.choices.most_simulations = 100_000
    view.attempt(page.state.stop)
    page.tick()
    assert "be at least" not in view.status.object


KINDS = {"draws": RejectionView, "learning_draws": NeuralView, "epochs": NeuralView}
BOXES = (
    "draws", "particles", "initial_draws", "criterion", "most_simulations", "learning_draws",
    "epochs",
)  # fmt: skip


@pytest.mark.parametrize("name", BOXES)
def test_an_emptied_box_is_named_where_the_reader_presses(name):
    page = InferencePage(dashboard().state)
    label = page.state.choices.param[name].label
    view = shown(page, KINDS.get(name, PopulationView))
    (box,) = (
        box for box in view.body.select(pn.widgets.Widget) if getattr(box, "label", None) == label
    )
    box.value = None
    page.tick()
    assert "=..." in page.state.python_call()
    view.attempt(view.start)
    page.tick()
    assert f"<code>{label}</code> must be a number from" in view.status.object
    assert "an empty box" in view.status.object
    assert not view.work.is_running


def test_an_emptied_seed_of_a_target_is_named():
    page = InferencePage(dashboard().state)
    view = shown(page, TargetView)
    view._seed.value = None
    view.attempt(view._simulate)
    assert "`seed` must be an integer" in view.failure


def test_whatever_is_raised_is_shown_beside_the_button():
    def broken(error):
        raise error

    view = shown(InferencePage(dashboard().state), TargetView)
    for error in (KeyError("x"), np.linalg.LinAlgError("singular"), ValueError(), OSError(5, "io")):
        assert not view.attempt(lambda e=error: broken(e))
        assert type(error).__name__ in view.failure or str(error) == view.failure


def problem_distances(page):
    snapshot = page.state.snapshot()
    return snapshot.observation.target.distances(snapshot.draws.estimates)


def test_a_selection_lasts_while_the_distance_changes_and_fills_the_table():
    page = drawn(InferencePage(dashboard().state))
    page.brush.source.selected.indices = [3, 10, 40]
    rows = page.brush.rows
    page.state.choices.log_distance = 1.0
    page.tick()
    assert page.brush.rows.tolist() == rows.tolist()
    table = page.state.snapshot().table(page.brush.rows)
    assert table["number"].tolist() == rows.tolist()
    np.testing.assert_array_equal(table["a"], page.state.snapshot().draws.parameters[rows, 0])


def test_population_monte_carlo_finds_the_posterior_and_its_iterations_are_played():
    page = InferencePage(dashboard().state)
    page.state.run_pmc()
    assert page.state.pmc_work.wait(120)
    page.tick()
    snapshot = page.state.snapshot()
    last = snapshot.samples["PMC"]
    # 500 particles: the mean's error is sd/√ESS, ESS > 300
    sd = np.sqrt(np.diag(np.linalg.inv(problem.F)))
    assert (np.abs(last.mean - snapshot.observation.target.estimate) < 5 * sd / np.sqrt(300)).all()
    page.state.choices.iteration = 0
    assert page.state.snapshot().population.iteration == 0
    assert page.state.snapshot().samples["PMC"].sd[0] > last.sd[0]


def test_the_calibration_of_all_methods_is_checked_by_one_button():
    counting = Counting()
    page = drawn(InferencePage(dashboard(counting).state), 2000)
    state = page.state
    state.choices.param.update(
        learning_draws=2000, epochs=15, checked=100, checking_simulations=5000, log_distance=0.5
    )
    state.learn()
    assert state.neural_work.wait(120)
    view = shown(page, CalibrationView)
    assert "will stand here" in view._answers.object
    view.attempt(state.check_calibration)
    assert state.check_work.wait(120)
    page.tick()
    assert "finished: 4 methods checked" in view.status.object
    assert state.n_draws == 2100, "the network had seen all draws: they are no test of it"
    assert 2100 < counting.simulated <= 2100 + 5000
    found = dict(state.snapshot().calibrations)
    names = ["the Gaussian approximation", "ABC", "the neural posterior", "PMC"]
    assert list(found) == names
    assert [len(found[name]) for name in names] == [100, 100, 100, 50]
    # exact, but for 2 % of seeds; the others are as near as their ε and their networks
    assert found["the Gaussian approximation"].is_calibrated.all()
    for name in names:
        assert f"Are the posteriors of {name} right?" in view._answers.object
    report = found["the Gaussian approximation"]
    (ranks,) = source(page, "ranks 0 0 lines Gaussian approximation").data["ys"]
    assert (np.abs(ranks) <= 1.0 + 1e-9).all() == report.band.contains(report.ranks)[0]
    assert len(source(page, "ranks 0 2 lines PMC").data["ys"]) == 1, "of the ellipse"
    assert len(source(page, "estimates 0 1 points simulations").data["x"]) > 500
    assert "neural posterior right" in state.report().to_markdown()
    state.choices.adjust = True
    page.tick()
    assert "has changed since" in view.status.object


def test_a_wrong_error_bar_is_found_by_the_check_and_a_stop_keeps_what_is_done():
    page = drawn(InferencePage(dashboard(Fisher=4 * problem.F).state), 600)
    state = page.state
    state.choices.param.update(checked=300, checking_simulations=10_000_000)
    state.check_calibration()
    until(lambda: len(state.snapshot().calibrations) >= 2)
    state.stop()
    assert state.check_work.wait(60)
    assert state.check_work.state == "stopped"
    assert state.n_draws == 600, "without a network all draws serve"
    found = dict(state.snapshot().calibrations)
    assert "PMC" not in found
    assert found["the Gaussian approximation"].verdict.light.name == "RED"
    assert found["the Gaussian approximation"].findings[0] == ("over-confident",)


def linear_gradient(data):
    return np.broadcast_to(np.linalg.solve(problem.F, problem.A.T), (len(data), 2, 3))


def with_gradient(data):
    return problem.get_estimate(data)


with_gradient.gradient = linear_gradient


def test_the_data_stand_beside_simulations_like_them_and_their_gradient():
    made = InferenceDashboard(
        with_gradient, problem.PRIOR, problem.simulator, problem.OBSERVED,
        Fisher=problem.F, labels=problem.LABELS, seed=1,
    )  # fmt: skip
    page, state = InferencePage(made.state), made.state
    view = shown(page, DataView)
    assert "will be drawn" in view.status.object
    (seen,) = source(page, "observation 0 0 lines observed").data["ys"]
    np.testing.assert_array_equal(seen, problem.OBSERVED[0])
    (slope,) = source(page, "observation 1 0 lines of the estimate of b").data["ys"]
    np.testing.assert_array_equal(slope, linear_gradient([0])[0, 1])
    state.choices.predicted_from = "PMC"
    view.attempt(state.predict)
    page.tick()
    assert "No posterior of PMC yet" in view.status.object
    state.choices.param.update(predicted_from="Gaussian approximation", predicted=400)
    view.attempt(state.predict)
    assert state.predict_work.wait(60)
    page.tick()
    assert "400 simulations from the posterior of Gaussian approximation" in view.status.object
    predictive = state.predictive
    # data − A θ is unit noise, whose variance from 400 × 3 numbers has an error of 4 %
    assert abs((predictive.data - predictive.parameters @ problem.A.T).var() - 1) < 0.2
    distances = state.observation.target.distances(problem.get_estimate(predictive.data))
    np.testing.assert_allclose(predictive.distances, distances)
    (near,) = source(page, "observation 0 0 lines nearest simulation").data["ys"]
    np.testing.assert_array_equal(near, predictive.data[distances.argmin()])
    assert f"{distances.min():.3g}" in view._list.object
    state.simulate_target([2, 1], 5)
    page.tick()
    assert "will be drawn" in view.status.object, "they were for another target"


def test_images_are_drawn_as_images():
    def simulator(parameters, seed):
        noise = np.random.default_rng(seed).standard_normal((len(parameters), 4, 5, 1))
        return parameters[:, 0, None, None, None] + noise

    def estimate(data):
        return data.mean(axis=(1, 2, 3))[:, None]

    estimate.gradient = lambda data: np.full((len(data), 1, 4, 5, 1), 1 / 20)
    observed = simulator(np.ones((1, 1)), 3)
    state = InferenceDashboard(
        estimate, Uniform([-5], [5]), simulator, observed, Fisher=[[20.0]], labels=["a"], seed=1
    ).state
    page = InferencePage(state)
    shown(page, DataView)
    (drawn_image,) = source(page, "observation 0 0 images data").data["image"]
    np.testing.assert_array_equal(drawn_image, observed[0, :, :, 0])
    (slope,) = source(page, "observation 1 0 images data").data["image"]
    np.testing.assert_array_equal(slope, np.full((4, 5), 1 / 20))
    assert source(page, "observation 0 1 images data").data["image"] == []
    state.predict()
    assert state.predict_work.wait(60)
    page.tick()
    (near,) = source(page, "observation 0 1 images data").data["image"]
    predictive = state.predictive
    np.testing.assert_array_equal(near, predictive.data[predictive.nearest, :, :, 0])
    (mean,) = source(page, "observation 0 2 images data").data["image"]
    np.testing.assert_allclose(mean, predictive.data.mean(axis=0)[:, :, 0])


def test_data_of_several_arrays_are_not_drawn_and_say_so():
    state = InferenceDashboard(
        lambda data: problem.get_estimate(np.concatenate(data, axis=1)),
        problem.PRIOR,
        target=(problem.OBSERVED[:, :1], problem.OBSERVED[:, 1:]),
        Fisher=problem.F,
    ).state
    view = shown(InferencePage(state), DataView)
    assert view._drawing is None
    assert "Without a simulator" in view.status.object


def test_another_target_keeps_draws_and_drops_populations():
    page = drawn(InferencePage(dashboard().state))
    page.state.simulate_target([2, 1], 5)
    page.tick()
    snapshot = page.state.snapshot()
    assert snapshot.draws.num_draws == 2000
    assert snapshot.populations == ()
    assert snapshot.observation.truth.tolist() == [2, 1]
    assert source(page, "corner 0 0 x truth").data["at"] == [2]
    with pytest.raises(ValueError, match="lie inside the prior"):
        page.state.simulate_target([99, 0], 1)


def test_a_failing_simulator_is_reported():
    def broken(parameters, seed):
        raise OSError("the disk is full")

    page = InferencePage(dashboard(broken).state)
    drawn(page)
    assert page.state.abc_work.state == "failed"
    assert "disk is full" in page.state.abc_work.message


def test_abc_can_be_stopped():
    page = InferencePage(dashboard().state)
    page.state.choices.draws = 1_000_000
    page.state.draw()
    page.state.stop()
    assert page.state.abc_work.wait(60)
    assert page.state.abc_work.state == "stopped"
    assert page.state.snapshot().draws.num_draws < 1_000_000


def test_a_neural_posterior_learns_on_the_page_and_serves_other_targets():
    counting = Counting()
    page = drawn(InferencePage(dashboard(counting).state), 1500)
    state = page.state
    state.choices.param.update(learning_draws=2000, epochs=15)
    state.learn()
    assert state.neural_work.wait(120)
    page.tick()
    assert counting.simulated == 2000, "the draws of ABC are learned from as well"
    assert state.n_draws == 2000
    view = shown(page, NeuralView)
    assert "15 epochs of 2,000 simulations" in view.status.object
    for name in ("training", "validation"):
        columns = source(page, f"learning 0 0 lines {name}").data
        assert [len(x) for x in columns["xs"]] == [15] * 4
        assert (columns["ys"][0][-1] < columns["ys"][0][0]).all(), "−ln q falls"
    sd = np.sqrt(np.diag(np.linalg.inv(problem.F)))
    simulated = counting.simulated
    for parameters in ([2, 1], [-3, 0]):
        state.simulate_target(parameters, 5)
        simulated += 1
        found = state.snapshot().samples["neural posterior"]
        # of the errors, at most 0.11 and 0.13 off in 24 others (12 seeds, 15 epochs, 2,000 draws)
        assert (np.abs(found.mean - state.observation.target.estimate) < 0.2 * sd).all()
        np.testing.assert_allclose(found.sd, sd, rtol=0.25)
    assert counting.simulated == simulated, "a target costs its own simulation, no other"
    assert "NP.train(draws=2000, epochs=15)" in state.python_call()


def test_learning_can_be_stopped_and_keeps_what_is_learned():
    page = drawn(InferencePage(dashboard().state), 300)
    state = page.state
    state.choices.param.update(learning_draws=300, epochs=10_000)
    state.learn()
    until(lambda: state.snapshot().learned is not None)
    state.stop()
    assert state.neural_work.wait(60)
    assert state.neural_work.state == "stopped"
    snapshot = state.snapshot()
    assert len(snapshot.learned.training) < 10_000
    assert snapshot.samples["neural posterior"] is not None
    state.choices.param.update(learning_draws=1_000_000)
    state.learn()
    state.stop()
    assert state.neural_work.wait(60)
    assert state.snapshot().learned is snapshot.learned, "also while it simulates"
    assert 300 <= state.n_draws < 1_000_000


@pytest.mark.parametrize("name", ["GA", "ABC", "PMC", "NP"])
def test_facades_open_the_page_with_what_they_have(name):
    arguments = (problem.OBSERVED, problem.PRIOR, problem.F, problem.get_estimate)
    options = {"labels": problem.LABELS, "seed": 1}
    if name == "GA":
        state = LFI.GaussianApproximation(*arguments, **options).explore().state
        assert InferencePage(state).brush.series == ("Gaussian approximation",)
        return
    kind = {
        "ABC": LFI.ApproximateBayesianComputation,
        "PMC": LFI.PopulationMonteCarlo,
        "NP": LFI.NeuralPosterior,
    }[name]
    inference = kind(*arguments, problem.simulator, verbose=False, **options)
    if name == "NP":
        assert inference.explore().state.snapshot().learned is None
        inference.train(draws=300, epochs=2)
        snapshot = inference.explore().state.snapshot()
        assert snapshot.draws.num_draws == 300
        assert snapshot.learned.held_out.shape == (2, 4)
        assert snapshot.samples["neural posterior"] is not None
        return
    inference.ABC(300) if name == "ABC" else inference.PMC(50, 200, 0.5)
    snapshot = inference.explore().state.snapshot()
    assert (snapshot.draws.num_draws == 300) if name == "ABC" else len(snapshot.populations) > 1


def test_an_estimator_without_a_fisher_matrix_is_refused():
    with pytest.raises(TypeError, match="bring its Fisher matrix"):
        InferenceDashboard(problem.get_estimate, problem.PRIOR)


def test_nothing_is_simulated_without_a_simulator():
    with pytest.raises(RuntimeError, match="pass `simulator="):
        InferenceDashboard(problem.get_estimate, problem.PRIOR, Fisher=problem.F)
    state = dashboard(None).state
    for act in (state.draw, state.run_pmc, lambda: state.simulate_target([0, 0], 1)):
        with pytest.raises(RuntimeError, match="pass `simulator="):
            act()
    with pytest.raises(RuntimeError, match="No target yet"):
        InferenceState(problem.get_estimate, problem.F, problem.PRIOR).snapshot()


def test_figures_reach_as_far_as_the_posteriors():
    # the forecast's errors are four times too small, as those at θ_fid may be for a far target
    state = dashboard(Fisher=16 * problem.F, exact=problem.exact).state
    until(lambda: state.snapshot().exact is not None)
    snapshot = state.snapshot()
    low, high = np.quantile(snapshot.exact.parameters, [0.01, 0.99], axis=0)
    reached = np.array(snapshot.ranges).T
    assert (reached[0] < low).all()
    assert (reached[1] > high).all()
    forecast = np.array(snapshot.observation.gaussian.ranges(width=4.5)).T
    assert (forecast[0] > low).any(), "the control: the forecast alone does not reach so far"


def test_the_exact_posterior_gets_data_without_the_axis_of_targets():
    def exact(data):
        first, second = data
        return problem.exact(np.concatenate([first, second]))

    state = InferenceDashboard(
        lambda data: problem.get_estimate(np.concatenate(data, axis=1)),
        problem.PRIOR,
        target=(problem.OBSERVED[:, :1], problem.OBSERVED[:, 1:]),
        Fisher=problem.F,
        exact=exact,
    ).state
    until(lambda: state.snapshot().exact is not None)


def test_figures_do_not_reach_over_the_whole_prior_while_the_distance_is_large():
    page = drawn(InferencePage(dashboard().state))
    page.state.choices.log_distance = 2.0
    page.tick()
    snapshot = page.state.snapshot()
    assert snapshot.acceptance.accepted.all()
    widths = np.diff(snapshot.ranges)[:, 0]
    forecast = np.diff(snapshot.observation.gaussian.ranges(width=4.5))[:, 0]
    assert (widths <= 3.001 * forecast).all()
