"""What a page of inference does, without a browser and without a network."""

import time

import numpy as np
import pytest
from dashboards import inference_problem as problem

from imnn_lab import LFI
from imnn_lab.dashboards.inference import InferenceDashboard, InferencePage


def dashboard(simulator=problem.simulator, **options):
    settings = {"Fisher": problem.F, "labels": problem.LABELS, "seed": 1} | options
    return InferenceDashboard(
        problem.get_estimate, problem.PRIOR, simulator, problem.OBSERVED, **settings
    )


class Counting:
    def __init__(self):
        self.made = 0

    def __call__(self, parameters, seed):
        self.made += len(parameters)
        return problem.simulator(parameters, seed)


def drawn(page, n=2000):
    page.state.choices.draws = n
    page.state.draw()
    assert page.state.drawing.wait(60)
    page.refresh()
    return page


def source(page, name):
    for view in page.views:
        for panel in getattr(getattr(view, "_drawing", None), "_panels", {}).values():
            for found in panel.figure.select({"name": name}):
                return found
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
    assert counting.made == 2000
    before = page.brush.source.data["group"].tolist().count("ABC")
    page.state.choices.log_distance = 0.8
    page.refresh()
    groups = page.brush.source.data["group"].tolist()
    distances = problem_distances(page)
    assert groups.count("ABC") == (distances < 10**0.8).sum() > before
    assert groups.count("ABC, rejected") == (distances >= 10**0.8).sum()
    assert counting.made == 2000
    bars = source(page, "distances 0 0 histogram ABC").data
    assert bars["count"].sum() == groups.count("ABC")
    assert source(page, "distances 0 0 x truth").data["at"] == [pytest.approx(10**0.8)]


def problem_distances(page):
    found = page.state.snapshot()
    return found.observation.target.distances(found.draws.estimates)


def test_a_selection_lasts_while_the_distance_changes_and_fills_the_table():
    page = drawn(InferencePage(dashboard().state))
    page.brush.source.selected.indices = [3, 10, 40]
    rows = page.brush.rows
    page.state.choices.log_distance = 1.0
    page.refresh()
    assert page.brush.rows.tolist() == rows.tolist()
    table = page.state.snapshot().table(page.brush.rows)
    assert table["number"].tolist() == rows.tolist()
    np.testing.assert_array_equal(table["a"], page.state.snapshot().draws.parameters[rows, 0])


def test_population_monte_carlo_finds_the_posterior_and_its_iterations_are_played():
    page = InferencePage(dashboard().state)
    page.state.move()
    assert page.state.moving.wait(120)
    page.refresh()
    found = page.state.snapshot()
    last = found.samples["PMC"]
    # 500 particles: the mean's error is sd/√ESS, ESS > 300
    sd = np.sqrt(np.diag(np.linalg.inv(problem.F)))
    assert (np.abs(last.mean - found.observation.target.estimate) < 5 * sd / np.sqrt(300)).all()
    page.state.choices.iteration = 0
    assert page.state.snapshot().population.iteration == 0
    assert page.state.snapshot().samples["PMC"].sd[0] > last.sd[0]


def test_another_target_keeps_draws_and_drops_populations():
    page = drawn(InferencePage(dashboard().state))
    page.state.simulate_target([2, 1], 5)
    page.refresh()
    found = page.state.snapshot()
    assert found.draws.num_draws == 2000
    assert found.populations == ()
    assert found.observation.truth.tolist() == [2, 1]
    assert source(page, "corner 0 0 x truth").data["at"] == [2]
    with pytest.raises(ValueError, match="lie inside the prior"):
        page.state.simulate_target([99, 0], 1)


def test_a_simulator_that_fails_is_told_of():
    def broken(parameters, seed):
        raise OSError("the disk is full")

    page = InferencePage(dashboard(broken).state)
    drawn(page)
    assert page.state.drawing.state == "failed"
    assert "disk is full" in page.state.drawing.message


def test_work_can_be_stopped():
    page = InferencePage(dashboard().state)
    page.state.choices.draws = 1_000_000
    page.state.draw()
    page.state.stop()
    assert page.state.drawing.wait(60)
    assert page.state.drawing.state == "stopped"
    assert page.state.snapshot().draws.num_draws < 1_000_000


@pytest.mark.parametrize("name", ["GA", "ABC", "PMC"])
def test_facades_open_the_page_with_what_they_have(name):
    arguments = (problem.OBSERVED, problem.PRIOR, problem.F, problem.get_estimate)
    options = {"labels": problem.LABELS, "seed": 1}
    if name == "GA":
        state = LFI.GaussianApproximation(*arguments, **options).explore().state
        assert InferencePage(state).brush.series == ("Gaussian approximation",)
        return
    kind = {"ABC": LFI.ApproximateBayesianComputation, "PMC": LFI.PopulationMonteCarlo}[name]
    made = kind(*arguments, problem.simulator, verbose=False, **options)
    made.ABC(300) if name == "ABC" else made.PMC(50, 200, 0.5)
    found = made.explore().state.snapshot()
    assert (found.draws.num_draws == 300) if name == "ABC" else len(found.populations) > 1


def test_an_estimator_without_a_fisher_matrix_is_refused():
    with pytest.raises(TypeError, match="bring its Fisher matrix"):
        InferenceDashboard(problem.get_estimate, problem.PRIOR)


def test_figures_reach_as_far_as_the_posteriors():
    # the forecast's errors are four times too small, as those at θ_fid may be for a far target
    state = dashboard(Fisher=16 * problem.F, exact=problem.exact).state
    until_found(state)
    snapshot = state.snapshot()
    low, high = np.quantile(snapshot.exact.parameters, [0.01, 0.99], axis=0)
    reached = np.array(snapshot.ranges).T
    assert (reached[0] < low).all()
    assert (reached[1] > high).all()
    forecast = np.array(snapshot.observation.gaussian.ranges(width=4.5)).T
    assert (forecast[0] > low).any(), "the control: the forecast alone does not reach so far"


def test_figures_do_not_reach_over_the_whole_prior_while_the_distance_is_large():
    page = drawn(InferencePage(dashboard().state))
    page.state.choices.log_distance = 2.0
    page.refresh()
    snapshot = page.state.snapshot()
    assert snapshot.acceptance.accepted.all()
    widths = np.diff(snapshot.ranges)[:, 0]
    forecast = np.diff(snapshot.observation.gaussian.ranges(width=4.5))[:, 0]
    assert (widths <= 3.001 * forecast).all()


def until_found(state, seconds=60):
    end = time.monotonic() + seconds
    while state.snapshot().exact is None:
        assert time.monotonic() < end
        time.sleep(0.05)
