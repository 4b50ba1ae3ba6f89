"""What the façades of inference share: checked arguments, and results by target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import cached_property
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.bars import progress_bar
from imnn_lab.inference.arguments import as_fisher, as_labels, as_target_data
from imnn_lab.inference.density import bin_edges, common_ranges, histogram
from imnn_lab.inference.draws import Target
from imnn_lab.inference.forward import ForwardModel, as_estimates
from imnn_lab.inference.gaussian import GaussianPosterior
from imnn_lab.inference.grids import as_ranges, as_sizes
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.prior_adapters import as_prior
from imnn_lab.inference.summary import Summary
from imnn_lab.lfi import views
from imnn_lab.lfi.arguments import as_fraction

UNCHANGED = 1e-3  # standard deviations that repeated estimates of the target may differ by


class Inference:
    """Targets, a prior, a Fisher matrix and an estimator, checked once.

    Parameters
    ----------
    target_data : array-like, shape (n_targets,) + input_shape, or a tuple of such arrays
        Observed data.
    prior : any
        See `imnn_lab.inference.as_prior`.
    Fisher : array-like, shape (n_params, n_params)
    get_estimate : callable
        Data (n,) + input_shape → estimates (n, n_params).
    labels : sequence of str, optional
        A name for each parameter.
    seed : int, optional
        Seed of all random numbers; None draws one.
    """

    def __init__(
        self,
        target_data: Any,
        prior: Any,
        Fisher: Any,
        get_estimate: Callable[..., Any],
        labels: Sequence[str] | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self.Fisher = as_fisher(Fisher)
        self.n_params = len(self.Fisher)
        self.prior = as_prior(prior, self.n_params)
        self.labels = as_labels(labels, self.n_params)
        if not callable(get_estimate):
            expected = "be a function from data to estimates"
            message = checks.wording("`get_estimate`", expected, checks.describe(get_estimate))
            raise TypeError(message)
        self.get_estimate = get_estimate
        self.target_data = as_target_data(target_data)
        self.target_estimates, self.input_shape = self._estimated_target()
        self._entropy = np.random.SeedSequence(checks.seed_or_none("seed", seed)).entropy
        self._calls = 0

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return len(self.target_estimates)

    @property
    def targets(self) -> list[Target]:
        """The targets' estimates, with the metric of the Fisher matrix."""
        return [Target(estimate, self.Fisher) for estimate in self.target_estimates]

    @cached_property
    def gaussian(self) -> list[GaussianPosterior]:
        """The Gaussian approximation of each target's posterior."""
        return [
            GaussianPosterior(estimate, self.Fisher, self.prior, self.labels)
            for estimate in self.target_estimates
        ]

    def _explored(self, simulator: Callable[..., Any] | None, **there: Any) -> Any:
        """Return the page of this inference; `there` is what has been simulated already."""
        from imnn_lab.dashboards import InferenceDashboard
        from imnn_lab.dashboards.notebooks import prepare_notebook

        prepare_notebook()
        given, shapes = self.target_data, self.input_shape
        target: Any = given
        if isinstance(given, tuple):
            target = tuple(x.reshape(-1, *s) for x, s in zip(given, shapes, strict=True))
        else:
            target = given.reshape(-1, *shapes)
        known = {"Fisher": self.Fisher, "labels": self.labels}
        return InferenceDashboard(
            self.get_estimate, self.prior, simulator, target, **known, **there
        )

    def _estimated_target(self) -> tuple[np.ndarray, Any]:
        """Return the targets' estimates (n_targets, n_params) and the shape of one datum."""
        data = self.target_data
        leaves = data if isinstance(data, tuple) else (data,)
        estimates = np.asarray(self.get_estimate(data), np.float64)
        p, lone = self.n_params, len(leaves[0]) != 1
        if estimates.shape in ([(p,), (1, p)] if lone else [(p,)] * (p > 1)):
            shapes = tuple(leaf.shape for leaf in leaves)  # one target without an axis of its own
            estimates = estimates.reshape(1, p)
        else:
            shapes = tuple(leaf.shape[1:] for leaf in leaves)
            probe = ForwardModel(self.get_estimate, self.get_estimate, self.n_params)
            estimates = as_estimates(estimates, len(leaves[0]), probe)
        checks.finite("get_estimate(target_data)", estimates)
        return estimates, shapes if isinstance(data, tuple) else shapes[0]

    def _refuse_changed_estimator(self) -> None:
        """Raise if the estimator gives the target another estimate than when this was built."""
        now, _ = self._estimated_target()
        moved = max(
            target.distances(estimate[None])[0]
            for target, estimate in zip(self.targets, now, strict=True)
        )
        if moved > UNCHANGED:
            received = f"estimates that moved by {moved:.3g} standard deviations"
            expected = "give the target the estimate it had when this object was built"
            remedy = "It was trained on since: build a new object, with its new Fisher matrix."
            raise RuntimeError(checks.wording("`get_estimate`", expected, received, remedy))

    def _next_seeds(self) -> np.random.SeedSequence:
        self._calls += 1
        return np.random.SeedSequence(self._entropy, spawn_key=(self._calls,))


class SimulatedInference(Inference, ABC):
    """Inference that simulates.

    Parameters
    ----------
    target_data, prior, Fisher, get_estimate, labels, seed
        See `Inference`.
    simulator : callable
        ``simulator(parameters)`` or ``simulator(parameters, seed)``: parameters (n, n_params) and
        one integer → simulations (n,) + input_shape.
    executor : concurrent.futures.Executor, optional
        Where to simulate: a process pool, Dask's ``Client.get_executor()``, ...
    max_failed : float
        The largest fraction of failed simulations to put up with.
    verbose : bool
        Show progress bars.
    """

    def __init__(
        self,
        target_data: Any,
        prior: Any,
        Fisher: Any,
        get_estimate: Callable[..., Any],
        simulator: Callable[..., Any],
        labels: Sequence[str] | None = None,
        *,
        seed: int | None = None,
        executor: Executor | None = None,
        max_failed: float = 0.5,
        verbose: bool = True,
    ) -> None:
        super().__init__(target_data, prior, Fisher, get_estimate, labels, seed=seed)
        if not callable(simulator):
            expected = "be a function from parameters to simulations"
            raise TypeError(checks.wording("`simulator`", expected, checks.describe(simulator)))
        if executor is not None and not callable(getattr(executor, "submit", None)):
            expected = "be a concurrent.futures.Executor or None"
            remedy = "Dask: client.get_executor()."
            received = checks.describe(executor)
            raise TypeError(checks.wording("`executor`", expected, received, remedy))
        self.simulator, self.executor = simulator, executor
        self.max_failed = as_fraction("max_failed", max_failed)
        self.verbose = checks.boolean("verbose", verbose)

    def _model(
        self, at_once: Any, save_sims: Any, tqdm_notebook: Any = None, show: bool = True
    ) -> ForwardModel:
        """Return the forward model with the options of one call."""
        if at_once is not None and not isinstance(at_once, bool | np.bool_):
            at_once = checks.integer("at_once", at_once, 1, "True, False and None work too.")
        return ForwardModel(
            self.simulator,
            self.get_estimate,
            self.n_params,
            self.input_shape,
            bool(at_once) if isinstance(at_once, np.bool_) else at_once,
            self.executor,
            self.max_failed,
            None if save_sims is None else checks.text("save_sims", save_sims),
            progress_bar(self.verbose and show, tqdm_notebook, desc=type(self).__name__),
        )

    @abstractmethod
    def samples(self) -> list[Posterior]:
        """Return the weighted samples of each target's posterior."""

    def summary(self, mass: float = 0.68) -> list[Summary]:
        """Return the table of each target: mean, sd, median, credible interval.

        Parameters
        ----------
        mass : float
            Probability mass of the interval, between 0 and 1.
        """
        return [posterior.summary(mass) for posterior in self.samples()]

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw from each target's posterior by weight, shape (n_targets, n, n_params).

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator or int, optional
            Source of random numbers, or its seed.
        """
        return np.stack([posterior.sample(n, rng) for posterior in self.samples()])

    def bin_edges(self, bins: Any = None, ranges: Any = None) -> list[np.ndarray]:
        """Return the edges of the bins that `posterior` uses, shape (bins + 1,) for each parameter.

        Parameters
        ----------
        bins, ranges
            As for `posterior`.
        """
        return self._edges(self.samples(), bins, ranges)

    def _edges(self, posteriors: list[Posterior], bins: Any, ranges: Any) -> list[np.ndarray]:
        sizes = as_sizes("bins", bins, self.n_params, 20)
        return bin_edges(sizes, common_ranges(posteriors, as_ranges(ranges, self.n_params)))

    def _histograms(self, posteriors: list[Posterior], bins: Any, ranges: Any) -> np.ndarray:
        edges = self._edges(posteriors, bins, ranges)
        return np.stack([histogram(p.parameters, p.weights, edges).values for p in posteriors])

    def _scattered(
        self, clouds: Any, name: str, axes: str, truth: Any = None, **kwargs: Any
    ) -> Any:
        """Draw clouds of draws, one series for each target."""
        from imnn_lab.figures import scatter, static

        names = list(views.named(self.gaussian, name))
        truths, targets = views.as_truths(truth, self.n_params), list(self.target_estimates)
        described = scatter.scatter(
            clouds, names, self.labels, axes, truths=truths, targets=targets
        )
        return static.draw(described, **kwargs)
