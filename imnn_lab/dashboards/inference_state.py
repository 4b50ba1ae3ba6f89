"""What a page of inference is about: targets, draws, populations and what the reader chose.

Nothing here draws, and no web library is imported. The threads that simulate only append to
records; pages read a `Snapshot`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import param

from imnn_lab import checks
from imnn_lab.dashboards import simulating
from imnn_lab.dashboards.observations import Observation, inside, observe, simulated_data
from imnn_lab.dashboards.snapshot import ABC, EXACT, GAUSSIAN, PMC, Snapshot
from imnn_lab.dashboards.work import Record, Work
from imnn_lab.inference.arguments import as_fisher, as_labels
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.population import Population
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.prior_adapters import as_prior
from imnn_lab.inference.stopping import Stopping

MOST_DRAWS = 1_000_000
SHOWN = ("log_distance", "adjust", "iteration", "smoothing", "axes")


class Choices(param.Parameterized):
    """What a reader of a page of inference sets."""

    log_distance = param.Number(
        0.0, bounds=(-2, 2), step=0.01, label="log₁₀ ε", doc="Distance within which ABC accepts."
    )
    adjust = param.Boolean(False, label="regression adjustment")
    draws = param.Integer(10_000, bounds=(1, MOST_DRAWS), label="simulations to make")
    particles = param.Integer(500, bounds=(10, 100_000), label="particles")
    initial_draws = param.Integer(2000, bounds=(10, MOST_DRAWS), label="first draws")
    criterion = param.Number(0.05, bounds=(0, 1), label="stop at acceptance")
    most_simulations = param.Integer(
        100_000, bounds=(10, 10 * MOST_DRAWS), label="simulations at most"
    )
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
        ``simulator(parameters)`` or ``simulator(parameters, seed)``; None leaves the Gaussian
        approximation alone.
    labels : sequence of str, optional
    exact : callable, optional
        ``exact(data)``: samples of the exact posterior for data of shape input_shape.
    seed : int, optional
        Seed of all random numbers; None draws one.
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
        self.prior = as_prior(prior, len(self.Fisher))
        self.labels = as_labels(labels, len(self.Fisher))
        self.simulator, self.exact, self.seed = simulator, exact, seed
        self.model = ForwardModel(simulator or get_estimate, get_estimate, len(self.Fisher))
        self.choices = Choices()
        self.observations: list[Observation] = []
        self.drawing, self.moving = Work("ABC"), Work("PMC")
        self._seeds = np.random.SeedSequence(checks.seed_or_none("seed", seed))
        self._drawn: Record[Draws] = Record()
        self._joined: tuple[int, Draws] | None = None
        self._observation: Observation | None = None
        self._populations: Record[Population] = Record()
        self._exact: Record[Posterior] = Record()
        self._changes = 0

    # Targets ----------------------------------------------------------------------------------

    @property
    def observation(self) -> Observation:
        """The target that is looked at.

        Raises
        ------
        RuntimeError
            If there is none yet.
        """
        if self._observation is None:
            raise RuntimeError(checks.wording("The page", "have a target", "none", "Add one."))
        return self._observation

    def observe(self, name: str, data: Any, truth: Any = None) -> None:
        """Add a target, shape (1,) + input_shape, and look at it."""
        made = observe(name, data, self.model, self.Fisher, self.prior, self.labels, truth)
        self.observations.append(made)
        self.look_at(made)

    def simulate_target(self, parameters: Any, seed: int) -> None:
        """Simulate at parameters inside the prior, and look at that as the target."""
        θ = inside(self.prior, parameters)
        at = ", ".join(f"{label} = {v:.4g}" for label, v in zip(self.labels, θ, strict=True))
        self.observe(f"simulated at {at} (seed {seed})", simulated_data(self.model, θ, seed), θ)

    def look_at(self, observation: Observation, populations: Sequence[Population] = ()) -> None:
        """Choose a target. Draws are kept, since they belong to the prior; populations are not."""
        self.moving.stop()
        self.moving = Work("PMC")
        self._observation, self._changes = observation, self._changes + 1
        self._populations, self._exact = Record(tuple(populations)), Record()
        self.choices.iteration = -1
        if self.exact is not None:
            find, record = self.exact, self._exact

            def task(stop: Any) -> str:
                record.append(find(observation.data[0]))
                return "it was found"

            Work("exact posterior").start(task)

    # Simulating -------------------------------------------------------------------------------

    def keep(self, draws: Draws) -> None:
        """Add draws from the prior that were made elsewhere."""
        self._drawn.append(draws)

    def draw(self) -> None:
        """Make as many draws as chosen, in a thread."""
        self._require_simulator()
        seeds = self._next_seeds()
        self.drawing.start(
            simulating.drawing(self.model, self.prior, self.choices.draws, seeds, self._drawn)
        )

    def move(self) -> None:
        """Run population Monte Carlo for the present target, in a thread.

        Raises
        ------
        ValueError
            If the budget is smaller than what it begins with.
        """
        self._require_simulator()
        if self.moving.is_running:
            return
        choices = self.choices
        sizes = (choices.particles, max(choices.initial_draws, choices.particles))
        if sizes[1] > choices.most_simulations:
            expected = f"be at least {sizes[1]}, the draws it begins with"
            received = choices.most_simulations
            raise ValueError(checks.wording("`simulations at most`", expected, received))
        self._populations, self._changes = Record(), self._changes + 1
        choices.iteration = -1
        rules = Stopping(choices.criterion, choices.most_simulations)
        target, seeds, record = self.observation.target, self._next_seeds(), self._populations
        self.moving.start(
            simulating.moving(self.model, self.prior, target, sizes, rules, seeds, record)
        )

    def stop(self) -> None:
        """Ask everything that simulates to end."""
        self.drawing.stop()
        self.moving.stop()

    @property
    def is_simulating(self) -> bool:
        """Whether ABC or PMC is running."""
        return self.drawing.is_running or self.moving.is_running

    def snapshot(self) -> Snapshot:
        """Return what there is at this moment."""
        populations, exact = self._populations.read(), self._exact.read()
        draws = self._all_draws()
        chosen = self.choices.param.values()
        settings = {name: value for name, value in chosen.items() if name in SHOWN}
        key = (self._changes, draws.num_draws, len(populations), len(exact), *settings.values())
        return Snapshot(
            key=key,
            observation=self.observation,
            draws=draws,
            populations=populations,
            exact=exact[0] if exact else None,
            series=self._series(),
            prior=self.prior,
            ε=self.choices.ε,
            adjust=self.choices.adjust,
            iteration=self.choices.iteration,
            smoothing=self.choices.smoothing,
            axes=self.choices.axes,
        )

    def _series(self) -> tuple[str, ...]:
        simulated = (ABC, PMC) if self.simulator is not None else ()
        return (GAUSSIAN, *simulated, *((EXACT,) if self.exact is not None else ()))

    def _all_draws(self) -> Draws:
        parts = self._drawn.read()
        if self._joined is None or self._joined[0] != len(parts):
            none = np.empty((0, self.model.n_params))
            self._joined = (len(parts), Draws.joined([Draws(none, none, none), *parts]))
        return self._joined[1]

    def _require_simulator(self) -> None:
        if self.simulator is None:
            remedy = "Pass `simulator`."
            raise RuntimeError(checks.wording("The page", "have a simulator", "none", remedy))

    def _next_seeds(self) -> np.random.SeedSequence:
        return self._seeds.spawn(1)[0]
