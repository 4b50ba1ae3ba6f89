"""State of the inference page: targets, draws, populations and the choices of the reader.

No web library is imported here. The threads that simulate only append to records; pages read a
`Snapshot`.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import param

from imnn_lab import checks
from imnn_lab.dashboards.common.background import Record, Work
from imnn_lab.dashboards.inference import tasks
from imnn_lab.dashboards.inference.calibrating import Plan, calibration_task
from imnn_lab.dashboards.inference.predicting import Predictive, predictive_task
from imnn_lab.dashboards.inference.snapshot import (
    ABC,
    EXACT,
    GAUSSIAN,
    NEURAL,
    PMC,
    Observation,
    Snapshot,
)
from imnn_lab.diagnostics import Calibration
from imnn_lab.inference.arguments import as_fisher, as_labels
from imnn_lab.inference.draws import Draws, Target
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.gaussian import GaussianPosterior
from imnn_lab.inference.learning import Learned
from imnn_lab.inference.population import Population, Stopping
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.prior_adapters import as_prior, labels_of
from imnn_lab.inference.rejection import Acceptance, accept
from imnn_lab.regularisation import EPSILON
from imnn_lab.report import Report
from imnn_lab.report.posteriors import report_of

MOST_DRAWS = 1_000_000
FEWEST = 100  # draws that a neural posterior learns from
SAMPLES = 5000  # of the neural posterior
SHOWN = ("log_distance", "adjust", "iteration", "smoothing", "axes")


class Choices(param.Parameterized):
    """What the reader of an inference page sets; None is a box that was emptied."""

    log_distance = param.Number(
        0.0, bounds=(-2, 2), step=0.01, label="log₁₀ ε", doc="Distance within which ABC accepts."
    )
    adjust = param.Boolean(False, label="regression adjustment")
    draws = param.Integer(10_000, bounds=(1, MOST_DRAWS), allow_None=True, label="simulations")
    particles = param.Integer(500, bounds=(10, 100_000), allow_None=True, label="particles")
    initial_draws = param.Integer(
        2000, bounds=(10, MOST_DRAWS), allow_None=True, label="initial draws"
    )
    criterion = param.Number(0.05, bounds=(0, 1), allow_None=True, label="stop at acceptance")
    most_simulations = param.Integer(
        100_000, bounds=(10, 10 * MOST_DRAWS), allow_None=True, label="maximum simulations"
    )
    learning_draws = param.Integer(
        5000, bounds=(FEWEST, MOST_DRAWS), allow_None=True, label="draws to learn from"
    )
    epochs = param.Integer(40, bounds=(1, 10_000), allow_None=True, label="epochs")
    checked = param.Integer(500, bounds=(20, 10_000), allow_None=True, label="posteriors to check")
    checking_simulations = param.Integer(
        50_000, bounds=(0, 10 * MOST_DRAWS), allow_None=True, label="simulations for PMC"
    )
    predicted_from = param.Selector(
        default=GAUSSIAN, objects=[GAUSSIAN, ABC, PMC, NEURAL], label="simulations from"
    )
    predicted = param.Integer(100, bounds=(10, 10_000), allow_None=True, label="number")
    iteration = param.Integer(-1, bounds=(-1, None), doc="Population to show; −1 is the last.")
    smoothing = param.Number(1.0, bounds=(0, 5), step=0.1, label="smoothing (bins)")
    axes = param.Selector(
        default="parameter_estimate",
        objects={
            "parameters and estimates": "parameter_estimate",
            "parameters": "parameter_parameter",
            "estimates": "estimate_estimate",
        },
        label="scatter plot of",
    )

    @property
    def ε(self) -> float:
        """Distance within which ABC accepts."""
        return float(10**self.log_distance)

    def chosen(self, name: str) -> Any:
        """Return a number that was chosen.

        Raises
        ------
        ValueError
            If its box is empty.
        """
        value, about = getattr(self, name), self.param[name]
        if value is None:
            expected = "be a number from {:,} to {:,}".format(*about.bounds)
            raise ValueError(checks.wording(f"`{about.label}`", expected, "an empty box"))
        return value


class InferenceState:
    """Targets, draws, populations, and the choices of the reader.

    Parameters
    ----------
    get_estimate : callable
        Data (n,) + input_shape → estimates (n, n_params).
    Fisher : array-like, shape (n_params, n_params)
    prior : any
        See `imnn_lab.inference.as_prior`.
    simulator : callable, optional
        ``simulator(parameters)`` or ``simulator(parameters, seed)``; without one only the Gaussian
        approximation is available.
    labels : sequence of str, optional
    exact : callable, optional
        ``exact(data)``: samples of the exact posterior for data of shape input_shape.
    seed : int, optional
        Seed of all random numbers; None draws one.

    Attributes
    ----------
    choices : Choices
    observations : list of Observation
        All targets.
    abc_work, pmc_work, neural_work, check_work : Work
        The threads that simulate, learn and check.
    predict_work : Work
        The thread that simulates at draws of a posterior.
    predictive : Predictive or None
        What it has simulated for the chosen target.
    progress : tuple of float and str
        How much of the check is done, from 0 to 1, and what is next.
    checked : object
        What identifies the methods whose calibration was checked.
    changes : int
        How often a target was chosen, or something begun that replaces what was there.
    """

    def __init__(
        self,
        get_estimate: Callable[..., Any],
        Fisher: Any,
        prior: Any,
        simulator: Callable[..., Any] | None = None,
        labels: Sequence[str] | None = None,
        *,
        exact: Callable[[Any], Posterior] | None = None,
        seed: int | None = None,
    ) -> None:
        self.Fisher = as_fisher(Fisher)
        self.labels = as_labels(labels_of(prior, labels, get_estimate), len(self.Fisher))
        self.prior = as_prior(prior, len(self.Fisher), self.labels)
        self.get_estimate = checks.function("estimator", get_estimate, "data to estimates")
        if simulator is not None:
            checks.function("simulator", simulator, "parameters to simulations")
        if exact is not None:
            checks.function("exact", exact, "data to a posterior")
        self.simulator, self.exact = simulator, exact
        self.choices = Choices()
        self.observations: list[Observation] = []
        self.abc_work, self.pmc_work = Work("ABC"), Work("PMC")
        self.neural_work, self.check_work = Work("neural posterior"), Work("calibration")
        self.progress = 0.0, ""
        self.predict_work = Work("posterior predictive draws")
        self.predictive: Predictive | None = None
        self._gradient: tuple[Observation, np.ndarray | None] | None = None
        self._seeds = np.random.SeedSequence(checks.seed_or_none("seed", seed))
        none = np.empty((0, len(self.Fisher)))
        self._draws = Record((Draws(none, none, none),))
        self._joined: tuple[int, Draws] | None = None
        self._acceptance: Acceptance | None = None
        self._observation: Observation | None = None
        self._populations: Record[Population] = Record()
        self._exact: Record[Posterior] = Record()
        self._learned: Learned | None = None
        self._neural: tuple[Learned, Target, Posterior | None] | None = None
        self._calibrations: Record[tuple[str, Calibration]] = Record()
        self.checked: object = None
        self.changes = 0

    @property
    def model(self) -> ForwardModel:
        """The simulator followed by the estimator.

        Raises
        ------
        RuntimeError
            If there is no simulator.
        """
        if self.simulator is None:
            raise RuntimeError("Nothing can be simulated here: pass `simulator=...` first.")
        return ForwardModel(self.simulator, self.get_estimate, len(self.Fisher))

    # Targets ----------------------------------------------------------------------------------

    @property
    def observation(self) -> Observation:
        """The target whose posteriors are shown.

        Raises
        ------
        RuntimeError
            If there is no target yet.
        """
        if self._observation is None:
            raise RuntimeError("No target yet: call `choose_target(observe(name, data))` first.")
        return self._observation

    def observe(self, name: str, data: Any, truth: np.ndarray | None = None) -> Observation:
        """Add a target and return it.

        Parameters
        ----------
        name : str
        data : ndarray, shape (1,) + input_shape, or a tuple of such arrays
        truth : ndarray, shape (n_params,), optional
            The parameters it was simulated at.
        """
        estimate = np.ravel(self.get_estimate(copy.deepcopy(data)))
        estimate = checks.vector("get_estimate(target)", estimate, len(self.Fisher))
        gaussian = GaussianPosterior(estimate, self.Fisher, self.prior, self.labels)
        samples = gaussian.samples(10_000, 0)
        target = Target(estimate, self.Fisher)
        self.observations.append(Observation(name, data, target, gaussian, samples, truth))
        return self.observations[-1]

    def suggested_parameters(self) -> tuple[list[float], list[float]]:
        """Return where a target may be simulated, in digits that matter, and a step of each.

        They are the estimate within the prior, in steps of a tenth of its error or less.
        """
        observation = self.observation
        sd = np.sqrt(np.diag(observation.gaussian.likelihood_covariance))
        steps = [float(f"1e{int(np.floor(np.log10(each))) - 1}") for each in sd]
        digits = [
            round(x / step) * step
            for x, step in zip(observation.target.estimate, steps, strict=True)
        ]
        inside = np.clip(digits, self.prior.low, self.prior.high)
        return [float(f"{value:.12g}") for value in inside], steps

    def simulate_target(self, parameters: Any, seed: int) -> None:
        """Simulate data at parameters inside the prior, and choose them as the target.

        Raises
        ------
        ValueError
            If the parameters lie outside the prior.
        TypeError
            If the seed is no integer.
        RuntimeError
            If there is no simulator, or it fails.
        """
        seed = checks.integer("seed", seed, 0)
        θ = checks.vector("parameters", parameters, len(self.Fisher))
        if not np.isfinite(self.prior.log_prob(θ[None])).all():
            low, high = self.prior.low.tolist(), self.prior.high.tolist()
            expected = f"lie inside the prior, from {low} to {high}"
            raise ValueError(checks.wording("The target's parameters", expected, θ.tolist()))
        at = ", ".join(f"{label} = {v:.4g}" for label, v in zip(self.labels, θ, strict=True))
        data = tasks.simulated_data(self.model, θ, seed)
        self.choose_target(self.observe(f"simulated at {at} (seed {seed})", data, θ))

    def choose_target(
        self, observation: Observation, populations: Sequence[Population] = ()
    ) -> None:
        """Show the posteriors of a target. Draws belong to the prior and stay; populations go."""
        self.pmc_work.stop()
        self.pmc_work = Work("PMC")
        self._observation, self.changes = observation, self.changes + 1
        self._populations, self._exact = Record(tuple(populations)), Record()
        self.choices.iteration = -1
        self.predict_work.stop()
        self.predict_work, self.predictive = Work("posterior predictive draws"), None
        if self.exact is not None:
            exact, record, data = self.exact, self._exact, observation.data

            def task(stop: threading.Event) -> str:
                first = tuple(leaf[0] for leaf in data) if isinstance(data, tuple) else data[0]
                record.append(exact(copy.deepcopy(first)))
                return "computed"

            Work("exact posterior").start(task)

    # Simulating -------------------------------------------------------------------------------

    @property
    def n_draws(self) -> int:
        """Number of simulations from draws of the prior."""
        return len(self._joined_draws().parameters)

    def report(self) -> Report:
        """Return a report on the methods whose calibration has been checked.

        Raises
        ------
        RuntimeError
            If none has been checked yet.
        """
        calibrations = dict(self._calibrations.read())
        if not calibrations:
            raise RuntimeError("Nothing is checked yet: call `check_calibration()` first.")
        return report_of(calibrations)

    @property
    def has_changed_since_check(self) -> bool:
        """Whether the methods that were checked are others now."""
        return self.checked != self._to_check()

    def _to_check(self) -> object:
        learned, choices = self._learned, self.choices
        n_epochs = 0 if learned is None else len(learned.training)
        return n_epochs, choices.adjust, choices.log_distance

    def check_calibration(self) -> None:
        """Check whether the posteriors of all methods hold the truth as often as they say.

        It is done in a thread, at draws that the neural posterior has not learned from; those that
        are missing are simulated, and are draws of ABC as well.

        Raises
        ------
        RuntimeError
            If there is no simulator.
        ValueError
            If a box is empty.
        """
        model, choices = self.model, self.choices
        if self.check_work.is_running:
            return
        n, budget = choices.chosen("checked"), choices.chosen("checking_simulations")
        known = self.prior, self.Fisher, self.labels
        rate = self._accepted().rate
        plan = Plan(*known, self._learned, n, rate, choices.adjust, budget)
        self._calibrations, self.changes = Record(), self.changes + 1
        self.checked, self.progress = self._to_check(), (0.0, "simulating")
        seeds, results = self._next_seeds(), self._calibrations

        def tell(done: float, step: str) -> None:
            self.progress = done, step

        self.check_work.start(calibration_task(model, plan, seeds, self._draws, results, tell))

    def keep_calibrations(
        self, calibrations: Sequence[tuple[str, Calibration]], checked: object
    ) -> None:
        """Show calibrations that were checked elsewhere.

        Parameters
        ----------
        calibrations : sequence of pairs
            Name of each method, and its calibration.
        checked : object
            What `checked` was there.
        """
        self._calibrations, self.checked = Record(tuple(calibrations)), checked

    def add_draws(self, draws: Draws) -> None:
        """Add draws from the prior that were simulated elsewhere."""
        self._draws.append(draws)

    def draw(self) -> None:
        """Draw from the prior and simulate, as often as chosen, in a thread.

        Raises
        ------
        RuntimeError
            If there is no simulator.
        ValueError
            If the box of their number is empty.
        """
        model, n, seeds = self.model, self.choices.chosen("draws"), self._next_seeds()
        self.abc_work.start(tasks.draw_task(model, self.prior, n, seeds, self._draws))

    def accept_nearest(self, n: int) -> None:
        """Choose the distance within which the n nearest draws are accepted.

        Parameters
        ----------
        n : int
            At most the number of draws.
        """
        distances = np.sort(self._accepted().distances)[:n]
        if len(distances):
            # slightly more than the distance of the last one, since a draw at ε is not accepted
            ε = np.nextafter(distances[-1], np.inf) * (1 + 1e-9)
            self.choices.log_distance = float(np.clip(np.log10(ε), -2, 2))

    def run_pmc(self) -> None:
        """Run population Monte Carlo for the chosen target, in a thread.

        Raises
        ------
        RuntimeError
            If there is no simulator.
        ValueError
            If the initial draws exceed the maximum of simulations, or a box is empty.
        """
        model, choices = self.model, self.choices
        if self.pmc_work.is_running:
            return
        particles, initial = choices.chosen("particles"), choices.chosen("initial_draws")
        most = choices.chosen("most_simulations")
        rules = Stopping(choices.chosen("criterion"), most)
        sizes = (particles, max(initial, particles))
        if sizes[1] > most:
            expected = f"be at least {sizes[1]}, the number of initial draws"
            raise ValueError(checks.wording("`maximum simulations`", expected, most))
        self._populations, self.changes = Record(), self.changes + 1
        choices.iteration = -1
        target, seeds, record = self.observation.target, self._next_seeds(), self._populations
        self.pmc_work.start(
            tasks.population_task(model, self.prior, target, sizes, rules, seeds, record)
        )

    def predict(self) -> None:
        """Simulate at draws of the posterior that is chosen, in a thread.

        Raises
        ------
        RuntimeError
            If there is no simulator, or that posterior is not there yet.
        ValueError
            If the box of their number is empty.
        """
        model, name = self.model, self.choices.predicted_from
        n, self.changes = self.choices.chosen("predicted"), self.changes + 1
        posterior = self.snapshot().samples[name]
        if posterior is None:
            raise RuntimeError(f"No posterior of {name} yet: make it on the tab Posterior first.")
        work, target, seeds = self.predict_work, self.observation.target, self._next_seeds()

        def keep(predictive: Predictive) -> None:
            if self.predict_work is work:  # still the same target
                self.predictive = predictive

        work.start(predictive_task(model, name, posterior, target, n, seeds, keep))

    def gradient(self) -> np.ndarray | None:
        """Return ∂θ̂/∂d at the target, shape (n_params,) + input_shape; None if it is not known.

        It is that of the estimator's method `gradient`, or of the object whose method it is.
        """
        observation, last = self.observation, self._gradient
        if last is None or last[0] is not observation:
            last = self._gradient = observation, self._gradient_of(observation)
        return last[1]

    def _gradient_of(self, observation: Observation) -> np.ndarray | None:
        owner = getattr(self.get_estimate, "__self__", None)
        of = getattr(self.get_estimate, "gradient", getattr(owner, "gradient", None))
        try:
            found = None if of is None else np.asarray(of(copy.deepcopy(observation.data)))[0]
        except Exception:  # it needs external summaries, for example
            return None
        return found

    def keep_learned(self, learned: Learned) -> None:
        """Show what a neural posterior has learned so far."""
        self._learned = learned

    def learn(self) -> None:
        """Learn the posterior of any observation from draws of the prior, in a thread.

        Draws that are missing are simulated first; they are draws of ABC as well.

        Raises
        ------
        RuntimeError
            If there is no simulator.
        ValueError
            If a box is empty.
        """
        model = self.model
        if self.neural_work.is_running:
            return
        sizes = self.choices.chosen("learning_draws"), self.choices.chosen("epochs")
        self.changes += 1
        self.neural_work.start(
            tasks.learning_task(
                model, self.prior, sizes, self._next_seeds(), self._draws, self.keep_learned
            )
        )

    @property
    def works(self) -> tuple[Work, ...]:
        """All that simulates, learns and checks."""
        simulating = self.abc_work, self.pmc_work, self.predict_work
        return (*simulating, self.neural_work, self.check_work)

    def stop(self) -> None:
        """Ask everything that simulates, learns and checks to end."""
        for work in self.works:
            work.stop()

    def snapshot(self) -> Snapshot:
        """Return the results and choices at this moment."""
        populations, exact = self._populations.read(), self._exact.read()
        acceptance, choices, learned = self._accepted(), self.choices, self._learned
        calibrations = self._calibrations.read()
        n_epochs = 0 if learned is None else len(learned.training)
        results = (populations, exact, calibrations)
        n = (self.changes, acceptance.draws.num_draws, n_epochs, *map(len, results))
        return Snapshot(
            key=(*n, *(getattr(choices, name) for name in SHOWN)),
            observation=self.observation,
            acceptance=acceptance,
            populations=populations,
            learned=learned,
            neural=None if learned is None else self._of_target(learned),
            calibrations=calibrations,
            exact=exact[0] if exact else None,
            series=self._series(),
            prior=self.prior,
            adjust=choices.adjust,
            iteration=choices.iteration,
            smoothing=choices.smoothing,
            axes=choices.axes,
        )

    def python_call(self) -> str:
        """Return the Python calls that give what the page shows."""
        choices, labels = self.choices, f"labels={list(self.labels)!r}"
        lines = [
            "from imnn_lab import LFI",
            "",
            "arguments = (target_data, prior, Fisher, get_estimate)",
            f"GA = LFI.GaussianApproximation(*arguments, {labels})",
        ]
        if self.simulator is None:
            return "\n".join([*lines, "GA.plot()"])
        draws = self._joined_draws().num_draws or choices.draws
        boxes = (choices.initial_draws, choices.particles)
        initial = None if None in boxes else max(boxes)
        adjust = "adjust=True" if choices.adjust else ""
        lines += [
            f"ABC = LFI.ApproximateBayesianComputation(*arguments, simulator, {labels})",
            f"ABC(draws={_written(draws)})",
            f"ABC.accept_reject({EPSILON}={choices.ε:.4g})",
            f"PMC = LFI.PopulationMonteCarlo(*arguments, simulator, {labels})",
            f"PMC(draws={_written(choices.particles)}, initial_draws={_written(initial)}, "
            f"criterion={_written(choices.criterion)}, "
            f"max_simulations={_written(choices.most_simulations)})",
            f"NP = LFI.NeuralPosterior(*arguments, simulator, {labels})",
            f"NP.train(draws={_written(choices.learning_draws)}, "
            f"epochs={_written(choices.epochs)})",
            f'overlay = {{"ABC": ABC.samples({adjust})[0], "PMC": PMC.samples()[0], '
            f'"{NEURAL}": NP.samples()[0]}}',
            "GA.plot(overlay=overlay)",
        ]
        return "\n".join(lines)

    def _series(self) -> tuple[str, ...]:
        simulated = (ABC, PMC, NEURAL) if self.simulator is not None else ()
        return (GAUSSIAN, *simulated, *((EXACT,) if self.exact is not None else ()))

    def _accepted(self) -> Acceptance:
        """Return which draws are accepted, computed once per draws, target and ε."""
        draws, target, ε = self._joined_draws(), self.observation.target, self.choices.ε
        last = self._acceptance
        if last is None or last.draws is not draws or last.target is not target or last.ε != ε:
            last = self._acceptance = accept(draws, target, ε=ε)
        return last

    def _of_target(self, learned: Learned) -> Posterior | None:
        """Return samples of what is learned for the target, drawn once for both."""
        target, last = self.observation.target, self._neural
        if last is None or last[0] is not learned or last[1] is not target:
            last = self._neural = learned, target, self._drawn(learned, target)
        return last[2]

    def _drawn(self, learned: Learned, target: Target) -> Posterior | None:
        rng, about = np.random.default_rng(0), {"simulations": learned.draws.num_draws}
        try:
            (θ,) = learned.posterior.sample(target.estimate[None], SAMPLES, rng)
        except RuntimeError:  # hardly anything lies inside the prior
            return None
        return Posterior(θ, np.ones(SAMPLES), self.labels, self.prior.bounds, about)

    def _joined_draws(self) -> Draws:
        parts = self._draws.read()
        if self._joined is None or self._joined[0] != len(parts):
            self._joined = len(parts), Draws.joined(parts)
        return self._joined[1]

    def _next_seeds(self) -> np.random.SeedSequence:
        return self._seeds.spawn(1)[0]


def _written(number: float | None) -> str:
    """Return a number as Python code, dots for one that is not there."""
    return "..." if number is None else f"{number:.12g}"
