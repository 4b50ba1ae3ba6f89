"""Parameters of very different sizes, 2.1e-9 beside 70, give what rescaled ones give."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from imnn_lab import IMNN, LFI, diagnostics, networks, problems
from imnn_lab.dashboards.inference.controls import TargetView
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.diagnostics import Forecast
from imnn_lab.figures import bokeh, corner, draw
from imnn_lab.figures.decimation import robust_range
from imnn_lab.inference import Uniform
from imnn_lab.inference.adjustment import regression_adjusted
from imnn_lab.inference.arguments import as_fisher
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.journal import _is_same
from imnn_lab.inference.proposal import cholesky_of_spread

NAMES = ("A_s", "H0", "n_s")
SIZES = np.array([1e-11, 1.0, 1e-2])  # of a parameter, of which the centre is some hundred
CENTRE, HALF = np.array([210.0, 70.0, 96.0]), np.array([4.0, 5.0, 6.0])
A = np.random.default_rng(1).normal(size=(12, 3)) * [1.0, 0.5, 0.7]
RTOL = 1e-6


@dataclass
class Setting:
    """The same linear problem in units of `sizes`."""

    sizes: np.ndarray

    def __post_init__(self):
        s = self.sizes
        self.problem = problems.linear_gaussian(A / s, np.eye(12), CENTRE * s, 0.4 * s)
        self.F, self.prior = self.problem.F, Uniform((CENTRE - HALF) * s, (CENTRE + HALF) * s)
        self.gain = np.linalg.solve(A.T @ A, A.T) * s[:, None]
        self.observed = self.problem.simulator((CENTRE + np.array([[0.3, 0.5, -0.4]])) * s, 3)[0]

    def estimate(self, data):
        return data @ self.gain.T

    @property
    def arguments(self):
        return self.observed, self.prior, self.F, self.estimate

    def unit(self, posterior):
        return np.concatenate([posterior.mean / self.sizes, posterior.sd / self.sizes])


@pytest.fixture(scope="module")
def settings():
    return Setting(np.ones(3)), Setting(SIZES)


def gaussian(setting):
    GA = LFI.GaussianApproximation(*setting.arguments, labels=NAMES, seed=1)
    return setting.unit(GA.gaussian[0].samples(1000, 1))


def rejection(setting, adjust):
    ABC = LFI.ApproximateBayesianComputation(
        *setting.arguments, setting.problem.simulator, NAMES, seed=1, verbose=False
    )
    ABC(draws=3000)
    ABC.accept_reject(nearest=300)
    return setting.unit(ABC.samples(adjust=adjust)[0])


def population(setting):
    PMC = LFI.PopulationMonteCarlo(
        *setting.arguments, setting.problem.simulator, NAMES, seed=1, verbose=False
    )
    PMC(100, 200, criterion=0.5)
    return setting.unit(PMC.samples()[0])


def calibration(setting):
    pairs = diagnostics.draw_pairs(
        setting.problem.simulator, setting.prior, setting.estimate, setting.F, 200, seed=1,
        verbose=False, labels=NAMES,
    )  # fmt: skip
    return str(diagnostics.calibration(pairs))


def forecasts(setting):
    forecast = Forecast(setting.F, CENTRE * setting.sizes, NAMES)
    unit = forecast.reparametrised(np.diag(1 / setting.sizes))
    marginal = [forecast.marginal([name]).errors[0] for name in NAMES]
    return np.concatenate([forecast.errors / setting.sizes, marginal / setting.sizes, unit.errors])


@pytest.mark.parametrize(
    "result",
    [
        gaussian, partial(rejection, adjust=False), partial(rejection, adjust=True), population,
        calibration, forecasts,
    ],
)  # fmt: skip
def test_results_are_those_of_the_rescaled_problem(settings, result):
    expected, found = (result(setting) for setting in settings)
    if isinstance(found, str):
        assert found == expected
    else:
        np.testing.assert_allclose(found, expected, RTOL)


def test_networks_are_those_of_the_rescaled_problem(settings):
    found = []
    for setting in settings:
        s, problem = setting.sizes, setting.problem
        data = [*problem.training_set(200, 200, 1), *problem.training_set(200, 200, 2)]
        parameters = dict(zip(NAMES, zip(CENTRE * s, 0.4 * s, strict=True), strict=True))
        names = ("fiducial", "derivative", "validation_fiducial", "validation_derivative")
        imnn = IMNN(
            parameters=parameters, model=networks.linear((12,), 3), verbose=False, seed=1,
            **dict(zip(names, data, strict=True)),
        )  # fmt: skip
        lights = [
            answer.verdict.light.name for answer in imnn.report(known_fisher=setting.F).answers
        ]
        novelty = str(imnn.novelty(setting.observed))
        estimate = imnn.get_estimate(setting.observed) / s
        found.append((imnn.F * np.outer(s, s), estimate, lights, novelty))
    np.testing.assert_allclose(found[1][0], found[0][0], 1e-2)  # of float32
    np.testing.assert_allclose(found[1][1], found[0][1], 1e-3)
    assert found[1][2:] == found[0][2:]


def test_a_learned_posterior_is_as_wide_in_any_units(settings):
    spreads = []
    for setting in settings:
        θ = setting.prior.sample(500, 1)
        estimates = setting.estimate(setting.problem.simulator(θ, 2))
        spreads.append(Coordinates.fitted(setting.prior, θ, estimates).scale / setting.sizes)
    np.testing.assert_allclose(spreads[1], spreads[0], RTOL)


def test_the_page_suggests_parameters_in_their_own_digits(settings):
    for setting in settings:
        given = setting.estimate, setting.F, setting.prior, setting.problem.simulator, NAMES
        state = InferenceState(*given, seed=1)
        state.choose_target(state.observe("observed", setting.observed[None]))
        values, steps = state.suggested_parameters()
        estimate = state.observation.target.estimate
        errors = np.sqrt(np.diag(np.linalg.inv(setting.F)))
        assert (np.abs(values - estimate) < 0.1 * errors).all()
        assert ((0.009 * errors < steps) & (steps < 0.11 * errors)).all()
        assert all(len(f"{value!r}") < 12 for value in values)
        view = TargetView(state)
        assert [widget.value for widget in view._parameters] == values


def test_figures_of_both_renderers_show_both_sizes(settings):
    _, setting = settings
    posterior = LFI.GaussianApproximation(*setting.arguments, labels=NAMES).gaussian[0]
    description = corner({"Gaussian": posterior}, NAMES)
    drawn = draw(description)
    drawn.canvas.draw()
    errors = np.sqrt(np.diag(np.linalg.inv(setting.F)))
    for name, error in zip(NAMES, errors, strict=True):
        (axes,) = {a for a in drawn.axes if a.get_xlabel() == name}
        low, high = axes.get_xlim()
        assert 2 * error < high - low < 20 * error
        shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert len(shown) >= 2
    drawing = bokeh.Drawing(description, "scales")
    ranges = {name: drawing.ranges[name] for name in NAMES}
    for name, error in zip(NAMES, errors, strict=True):
        assert 2 * error < ranges[name].end - ranges[name].start < 20 * error


def test_a_jacobian_between_units_is_invertible():
    forecast = Forecast(np.eye(2), [1, 1])
    changed = forecast.reparametrised(np.diag([1e-12, 1e3]))
    np.testing.assert_allclose(changed.errors, [1e-12, 1e3])
    with pytest.raises(ValueError, match="invertible"):
        forecast.reparametrised(np.outer([1e-12, 1], [1, 2]))


def test_fisher_matrices_of_any_units_are_taken_or_refused():
    units = np.array([1e11, 1.0, 1e2])
    F = np.array([[4, 1.9, 1], [1.9, 1, 0.5], [1, 0.5, 1]])
    np.testing.assert_allclose(as_fisher(F * np.outer(units, units)), F * np.outer(units, units))
    tilted = F.copy()
    tilted[1, 2] *= 2
    for wrong in (F * [[1, 1, 1], [1, -1, 1], [1, 1, 1]], tilted):
        with pytest.raises(ValueError, match="symmetric and positive definite"):
            as_fisher(wrong * np.outer(units, units))


def test_a_regular_spread_keeps_the_units():
    spread = np.array([[1e-22, 1e-11], [1e-11, 1.0]])  # of particles on a line
    root = cholesky_of_spread(spread)
    np.testing.assert_allclose(np.diag(root @ root.T), [1e-22, 1.0], 1e-3)


def test_adjustment_follows_small_differences():
    rng = np.random.default_rng(1)
    Δ = rng.normal(size=(200, 2)) * [1e-14, 1.0]
    parameters = Δ + np.array([1e-12, 70.0])
    adjusted, _ = regression_adjusted(parameters, Δ, np.full(200, 0.1), 1.0)
    np.testing.assert_allclose(adjusted, np.broadcast_to([1e-12, 70.0], (200, 2)))


def test_a_journal_tells_small_numbers_apart():
    assert not _is_same([[2.1e-9, 70.0]], [[3.0e-9, 70.0]])
    assert _is_same([[2.1e-9, 70.0]], [[2.1001e-9, 70.0]])


def test_summaries_of_other_fiducial_values_are_told_apart():
    rng = np.random.default_rng(1)
    sets = [
        diagnostics.SummarySet(
            rng.normal(size=(50, 1)),
            rng.normal(size=(50, 2, 1, 1)) + np.array([[[-1.0]], [[1.0]]]),
            np.array([θ]),
            np.array([2e-10]),
        )
        for θ in (2.1e-9, 3.0e-9)
    ]
    with pytest.raises(ValueError, match="`other` must have 1 summaries at θ_fid"):
        diagnostics.transfer(*sets)


def test_curves_of_a_tiny_determinant_fill_their_axis():
    low, high = robust_range([np.linspace(1e-15, 2e-15, 50)], False)
    assert high - low < 3e-15
