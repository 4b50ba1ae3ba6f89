"""Neural posterior estimation: learned once from draws of the prior, then for any observation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference import Draws, Posterior
from imnn_lab.inference.amortised import AmortisedPosterior
from imnn_lab.inference.arguments import as_grid, as_target_data
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.learning import Learned, learned_posteriors
from imnn_lab.lfi.learned import (
    FEWEST,
    MOST_AT_ONCE,
    MOST_EPOCHS,
    MOST_MEMBERS,
    LearnedInference,
)
from imnn_lab.neural_density.mixture import ConditionalMixture


class NeuralPosterior(LearnedInference):
    """A density of the parameters given their estimates, learned from draws of the prior.

    A small network per parameter gives a mixture of Gaussians in coordinates without bounds (see
    `imnn_lab.neural_density.mixture`), trained on pairs of parameters and estimates. It then
    serves any observation, `at` others than the targets too, without another simulation.

    A call that is interrupted (Ctrl-C) keeps the draws, and what the networks have learned so far.

    Parameters
    ----------
    target_data, prior, Fisher, get_estimate, simulator, labels
        As for `ApproximateBayesianComputation`.
    seed, executor, max_failed, verbose, directory
        As for `ApproximateBayesianComputation`, keyword only.

    Attributes
    ----------
    target_estimates : ndarray, shape (n_targets, n_params)
        Estimates of the target data.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, shape or sign, or they do not fit one another.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import LFI, problems
    >>> from imnn_lab.inference import Uniform
    >>> problem = problems.gaussian()  # ten values, of mean μ and variance Σ
    >>> def get_estimate(data):  # or that of a trained IMNN
    ...     return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)
    >>> observed, prior = problem.simulations(1, seed=3), Uniform([-3, 0.1], [3, 5])
    >>> NP = LFI.NeuralPosterior(
    ...     observed, prior, problem.F, get_estimate, problem.simulator, ["μ", "Σ"], seed=1,
    ...     verbose=False,
    ... )
    >>> made = NP.train(draws=1000, epochs=10)
    >>> NP.sample(500).shape, NP.log_prob([0.0, 1.0]).shape
    ((1, 500, 2), (1,))
    >>> NP.at(problem.simulations(100, seed=4)).sample(50).shape  # other observations
    (100, 50, 2)
    """

    _name = "Neural posterior"

    def train(
        self,
        draws: int | Draws,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        members: int = 4,
        epochs: int = 60,
    ) -> Draws:
        """Draw from the prior, simulate, estimate, and train on the pairs.

        A tenth of the pairs is held out. Training ends when no member has a larger mean log
        probability of these for 20 epochs; the weights of the best epoch of each are kept.

        Parameters
        ----------
        draws : int or Draws
            Number of simulations; or draws that were made before: from this prior, as
            `ABC.draws`, or weighted as if they were, as those of a `PMC`.
        at_once, save_sims, tqdm_notebook
            As for `ApproximateBayesianComputation.ABC`.
        members : int, keyword only
            Networks that are trained, at once, from different starts, and averaged.
        epochs : int, keyword only
            Passes through the pairs, at most.

        Returns
        -------
        Draws
            What it was trained on, and what failed.

        Raises
        ------
        SimulationError
            If too many simulations fail.
        ValueError
            If fewer than 50 draws succeeded, or weighted ones tell less than 50 of the prior.
        RuntimeError
            If `get_estimate` has changed since this object was built.

        Warns
        -----
        UserWarning
            If a target's estimate lies outside those of all draws.
        """
        given = self._as_draws(draws) if isinstance(draws, Draws) else None
        remedy = "Draws that were made before, as `ABC.draws`, work too."
        n = 0 if given is not None else checks.integer("draws", draws, FEWEST, remedy)
        members = checks.integer("members", members, 1, maximum=MOST_MEMBERS)
        epochs = checks.integer("epochs", epochs, 1, maximum=MOST_EPOCHS)
        self._refuse_changed_estimator()
        with self._repeatable(("train",)) as seeds:
            if given is None:
                given = self._simulated(n, seeds, at_once, save_sims, tqdm_notebook)
            self._keep(given)
            (for_training,) = seeds.spawn(1)
            self._learn(given, for_training, members, epochs, tqdm_notebook)
        self._warn_of_unlike_targets()
        return given

    __call__ = train

    def at(self, data: Any) -> NeuralPosterior:
        """Return this trained posterior for other observations; no simulation is made.

        Parameters
        ----------
        data : array-like, shape (n,) + input_shape
            The targets of the result.

        Warns
        -----
        UserWarning
            If an estimate lies outside those of all draws.
        """
        self._trained()
        self._refuse_changed_estimator()
        other = copy.copy(self)
        vars(other).pop("gaussian", None)
        other.target_data = as_target_data(data)
        other.target_estimates, other.input_shape = other._estimated_target()
        other._warn_of_unlike_targets()
        return other

    def log_prob(self, θ: Any) -> np.ndarray:
        """Return the log posterior density, normalised, −∞ outside the prior.

        Parameters
        ----------
        θ : meshgrid, array of shape (n, n_params), or one point
            Where to evaluate.

        Returns
        -------
        ndarray, shape (n_targets,) + shape of the mesh, (n_targets, n) or (n_targets,)
        """
        learned, where = self._trained(), as_grid(θ, self.n_params)
        values = learned.log_prob(self.target_estimates, where.points)
        return values.reshape(self.n_targets, *where.shape)

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw from each target's posterior, shape (n_targets, n, n_params).

        Parameters
        ----------
        n : int
            How many.
        rng : numpy.random.Generator or int, optional
            Source of random numbers, or its seed; by default that of this object.
        """
        learned = self._trained()
        n = checks.integer("n", n, 1, maximum=MOST_AT_ONCE)
        generator = checks.generator("rng", self._next_seeds() if rng is None else rng)
        return learned.sample(self.target_estimates, n, generator)

    def samples(self, n: int = 10_000) -> list[Posterior]:
        """Return equally weighted samples of each target's posterior, the same in every call.

        Parameters
        ----------
        n : int
            How many.
        """
        n = checks.integer("n", n, 1, maximum=MOST_AT_ONCE)
        drawn = self.sample(n, np.random.default_rng(np.random.SeedSequence(self._entropy)))
        about = {"simulations": self.num_draws, "failed": self.num_failed}
        bounds, weights = self.prior.bounds, np.ones(n)
        return [Posterior(θ, weights, tuple(self.labels), bounds, about) for θ in drawn]

    def explore(self, *, exact: Callable[[Any], Posterior] | None = None) -> Any:
        """Return an `InferenceDashboard` with what is learned so far.

        Parameters
        ----------
        exact : callable, optional, keyword only
            ``exact(data)``: samples of the exact posterior for data of shape input_shape.

        Returns
        -------
        imnn_lab.dashboards.InferenceDashboard
            Shown by a notebook; ``.servable()`` in a script for ``panel serve``.
        """
        draws, learned = self._draws, None
        if self._learned is not None:
            curves = self.curves
            learned = Learned(self._learned, curves["training"], curves["held_out"], self.draws)
        if draws is not None and draws.weights is not None:
            draws = None  # not from the prior
        return self._dashboard(self.simulator, exact=exact, draws=draws, learned=learned)

    def _learn(
        self,
        draws: Draws,
        seeds: np.random.SeedSequence,
        members: int,
        epochs: int,
        tqdm_notebook: bool | None,
    ) -> None:
        arriving = learned_posteriors(draws, self.prior, seeds, members=members, epochs=epochs)
        self._consume(arriving, epochs, tqdm_notebook)

    def _restored(self, density: ConditionalMixture, coordinates: Coordinates) -> Any:
        return AmortisedPosterior(density, coordinates, self.prior)
