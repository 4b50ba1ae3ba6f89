"""The page of inference: a target, four ways to its posterior, and the draws behind them."""

from __future__ import annotations

import html
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import panel as pn

from imnn_lab import checks
from imnn_lab.dashboards.common.downloads import still_image
from imnn_lab.dashboards.common.layout import body
from imnn_lab.dashboards.host.notebooks import follow, load_mathematics
from imnn_lab.dashboards.host.still import Picture
from imnn_lab.dashboards.inference.snapshot import Snapshot
from imnn_lab.dashboards.inference.state import InferenceState
from imnn_lab.dashboards.inference.tabs import page_tabs
from imnn_lab.dashboards.inference.views import summary_table
from imnn_lab.figures.bokeh import Brush
from imnn_lab.inference.arguments import as_target_data
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.learning import Learned
from imnn_lab.inference.population import Population
from imnn_lab.inference.posterior import Posterior


class InferenceDashboard(pn.viewable.Viewer):
    """Infer parameters by hand and eye: four posteriors beside each other.

    They are the Gaussian approximation, ABC, PMC and the neural posterior.

    Parameters
    ----------
    estimator : callable
        Data (n,) + input_shape → estimates (n, n_params), for example `imnn.estimator`.
    prior : any
        See `imnn_lab.inference.as_prior`.
    simulator : callable, optional
        ``simulator(parameters)`` or ``simulator(parameters, seed)``; without one only the Gaussian
        approximation is available.
    target : array-like, shape (n_targets,) + input_shape, or tuple of such arrays, optional
        Observed data; by default a target is simulated at a draw from the prior.
    Fisher : array-like, shape (n_params, n_params), optional
        By default that of the estimator's statistics.
    labels : sequence of str, optional
        A name for each parameter.
    exact : callable, optional
        ``exact(data)``: samples of the exact posterior for data of shape input_shape.
    seed : int, optional
        Seed of all random numbers.
    draws : Draws, optional
        Draws from the prior to start with.
    populations : sequence of Population, optional
        Iterations of population Monte Carlo to start with, for the first target.
    learned : Learned, optional
        What a neural posterior has learned, to start with.

    Attributes
    ----------
    state : InferenceState
        Shared by all pages that show this dashboard.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape, or the shapes do not match.
    RuntimeError
        If there is neither a target nor a simulator.
    """

    def __init__(
        self,
        estimator: Callable[..., Any],
        prior: Any,
        simulator: Callable[..., Any] | None = None,
        target: Any = None,
        *,
        Fisher: Any = None,
        labels: Sequence[str] | None = None,
        exact: Callable[[Any], Posterior] | None = None,
        seed: int | None = None,
        draws: Draws | None = None,
        populations: Sequence[Population] = (),
        learned: Learned | None = None,
    ) -> None:
        super().__init__()
        populations = checks.entries("populations", populations, "populations")
        for name, given, kind in (
            *(("populations", population, Population) for population in populations),
            *(() if draws is None else (("draws", draws, Draws),)),
            *(() if learned is None else (("learned", learned, Learned),)),
        ):
            if not isinstance(given, kind):
                expected = f"hold a {kind.__name__} of imnn_lab.inference"
                raise TypeError(checks.wording(f"`{name}`", expected, checks.describe(given)))
        if Fisher is None:
            Fisher = _fisher_of(estimator)
        self.state = InferenceState(
            estimator, Fisher, prior, simulator, labels, exact=exact, seed=seed
        )
        load_mathematics(self.state.labels)
        if target is None:
            self.state.simulate_target(self.state.prior.sample(1, 0)[0], 0)
        else:
            self._add_targets(as_target_data(target), populations)
        if draws is not None:
            self.state.add_draws(draws)
        if learned is not None:
            self.state.keep_learned(learned)

    def _add_targets(self, target: Any, populations: Sequence[Population]) -> None:
        leaves = target if isinstance(target, tuple) else (target,)
        n = len(leaves[0])
        for i in range(n):
            row = tuple(leaf[i : i + 1] for leaf in leaves)
            name = "observed" if n == 1 else f"observed, target {i}"
            self.state.observe(name, row if isinstance(target, tuple) else row[0])
        self.state.choose_target(self.state.observations[0], populations)

    def __panel__(self) -> pn.viewable.Viewable:
        return InferencePage(self.state).body


class InferencePage:
    """The views of one page. They belong to one document; many pages may share a state.

    Parameters
    ----------
    state : InferenceState
    follows : bool
        Whether the page ticks by itself; otherwise its owner calls `tick`.
    beside : viewable, optional
        Stands beside the names of the tabs.

    Attributes
    ----------
    tabs : Tabs
    body : Viewable
    """

    def __init__(self, state: InferenceState, follows: bool = True, beside: Any = None) -> None:
        self.state = state
        snapshot = state.snapshot()
        self._shown: object = None
        self.brush = Brush(snapshot.series)
        self._show_draws(snapshot)
        self.tabs = page_tabs(state, self.brush, beside)
        self.body = body(self.tabs)
        self.tick()
        if follows:
            follow(self)

    def tick(self) -> bool:
        """Show the present results and choices, which may change at any time."""
        snapshot = self.state.snapshot()
        self._show_draws(snapshot)
        self.tabs.refresh(snapshot)
        return True

    def picture_key(self) -> Hashable | None:
        """Return what changes with the picture, None while something simulates or learns."""
        if any(work.is_running for work in self.state.works):
            return None
        return self.state.snapshot().key

    def picture(self) -> Picture:
        """Return the corner plot and the table of the posteriors."""
        snapshot = self.state.snapshot()
        target = f"<div>Of: <b>{html.escape(snapshot.observation.name)}</b></div>"
        det_F = f"<div>det F = {np.linalg.det(self.state.Fisher):.5g}</div>"
        numbers = target + det_F + summary_table(snapshot.samples)
        return Picture((still_image(snapshot.corner),), numbers)

    def _show_draws(self, snapshot: Snapshot) -> None:
        if snapshot.simulates and snapshot.key != self._shown:
            self._shown = snapshot.key
            self.brush.update([snapshot.corner, snapshot.scatter])


def _fisher_of(estimator: Any) -> np.ndarray:
    statistics = getattr(estimator, "statistics", None)
    if statistics is None:
        remedy = "Pass Fisher=..., for example imnn.F."
        received = checks.describe(estimator)
        expected = "bring its Fisher matrix (`statistics.F`)"
        raise TypeError(checks.wording("`estimator`", expected, received, remedy))
    return np.asarray(statistics.F)
