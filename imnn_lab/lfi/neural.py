"""Neural posterior estimation: learned once from draws of the prior, then for any observation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.inference import Draws, Posterior, Target
from imnn_lab.inference.amortised import AmortisedPosterior
from imnn_lab.inference.arguments import as_grid
from imnn_lab.inference.learning import Learned, learned_posteriors
from imnn_lab.inference.priors import Prior
from imnn_lab.inference.truncation import (
    Region,
    TruncatedPrior,
    as_from_the_prior,
    regions_of,
)
from imnn_lab.lfi.base import UNCHANGED
from imnn_lab.lfi.learned import (
    FEWEST,
    MOST_AT_ONCE,
    MOST_EPOCHS,
    MOST_MEMBERS,
    LearnedInference,
)

MOST_ROUNDS = 20
ROUNDED = 0.02  # the share of the draws that rounding in float32 may take beyond a bound


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
        epochs: int = 40,
        rounds: int = 1,
    ) -> Draws:
        """Draw from the prior, simulate, estimate, and train on the pairs.

        A tenth of the pairs is held out. Training ends when no member has a larger mean log
        probability of these for 20 epochs; the weights of the best epoch of each, averaged over
        updates, are kept, or the regression alone, unless the gain exceeds twice its standard
        error. This is a linear regression; where a cubic one is better, every second pair of
        members starts from that, and the two kinds are mixed with the shares that make the pairs
        held out most probable.

        With several rounds the simulations go to one target: those of a round are drawn from the
        prior where the posterior learned before has its mass (`imnn_lab.inference.truncation`).
        The result is then for this target alone.

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
            Passes through the pairs, at most, in each round.
        rounds : int, keyword only
            Rounds of as many simulations each, with a training after each.

        Returns
        -------
        Draws
            All that were made, weighted as if they were from the prior, and what failed.

        Raises
        ------
        SimulationError
            If too many simulations fail.
        ValueError
            If fewer than 50 draws succeeded, or weighted ones tell less than 50 of the prior; if
            draws lie outside the prior; if there are several rounds, and several targets or draws
            that were made before.
        RuntimeError
            If `get_estimate` has changed since this object was built.

        Warns
        -----
        UserWarning
            If a target's estimate lies outside those of all draws, or much of the prior does; if
            a few estimates hold nearly all of the variance, and the prior is not bounded.
        """
        n, given = self._number_or_draws(draws)
        members = checks.integer("members", members, 1, maximum=MOST_MEMBERS)
        epochs = checks.integer("epochs", epochs, 1, maximum=MOST_EPOCHS)
        rounds = checks.integer("rounds", rounds, 1, maximum=MOST_ROUNDS)
        if rounds > 1:
            self._check_rounds(given, n, rounds)
        if given is not None:
            self._check_prior_of(given)
        self._refuse_changed_estimator()
        simulating = {"at_once": at_once, "save_sims": save_sims, "tqdm_notebook": tqdm_notebook}
        learning: dict[str, Any] = {"members": members, "epochs": epochs}
        learning["tqdm_notebook"] = tqdm_notebook
        with self._repeatable(("train",)) as seeds:
            if given is None:
                self._simulated(self.prior, -(-n // rounds), seeds, self._keep, simulating)
            else:
                self._keep(given)
            (for_training,) = seeds.spawn(1)
            self._learn(self.draws, self.prior, for_training, **learning)
            self._narrow(n, rounds, seeds, simulating, learning)
        self._warn_of_unlike_targets()
        return self.draws

    __call__ = train

    def _sees_outliers(self) -> bool:
        # between two bounds, features hold the estimates moved there as well
        return not np.isfinite([self.prior.low, self.prior.high]).all()

    def _check_free(self) -> None:
        if regions_of(self._trained().prior):
            raise RuntimeError(
                "It was trained in `rounds` for one target: train in one round for any number."
            )

    def _refuse_other_target(self, path: Path, learned: AmortisedPosterior) -> None:
        for region in regions_of(learned.prior)[:1]:
            (estimate,) = region.estimate
            moved = Target(estimate, self.Fisher).distances(self.target_estimates)
            if len(moved) > 1 or moved.max() > UNCHANGED:
                expected = f"be for the target, since it was trained in `rounds` for {estimate}"
                received, remedy = f"{self.target_estimates}", "Train for this one."
                raise ValueError(checks.wording(str(path), expected, received, remedy))

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

    def _check_prior_of(self, draws: Draws) -> None:
        """Refuse draws outside the prior, and warn if they leave out much of it."""
        θ = draws.parameters if draws.weights is None else draws.parameters[draws.weights > 0]
        outside = int((self.prior.log_prob(θ) == -np.inf).sum())
        if outside > ROUNDED * len(θ):
            received = f"{outside} of {len(θ)} outside its support"
            remedy = "Draw from it, or make this object with the prior that they are from."
            raise ValueError(checks.wording("`draws`", "be from this prior", received, remedy))
        made = np.concatenate([θ, draws.failed_parameters])
        of_prior = self.prior.sample(1000, 0)
        beyond = ((of_prior < made.min(axis=0)) | (of_prior > made.max(axis=0))).mean(axis=0)
        # of n draws from the prior, the extremes leave out 15/n once in 10⁵ times
        if beyond.max() > max(0.1, 15 / draws.effective_number):
            checks.warn(
                f"{100 * beyond.max():.0f} % of the prior of {self.labels[beyond.argmax()]} lies "
                "outside all draws, which seem to be from another prior: the posterior has that "
                "one. Draw from this prior."
            )

    def _check_rounds(self, given: Draws | None, n: int, rounds: int) -> None:
        """Refuse what cannot be done in rounds."""
        if given is not None:
            expected, received = "make its own draws", "draws that were made before"
        elif self.n_targets > 1:
            expected, received = "have one target", f"{self.n_targets}"
        elif n < rounds * FEWEST:
            expected, received = f"have {FEWEST} draws in each", f"{n} draws in {rounds} rounds"
        else:
            return
        remedy = "One round serves any number of targets."
        raise ValueError(checks.wording("Training in `rounds`", expected, received, remedy))

    def _narrow(
        self,
        n: int,
        rounds: int,
        seeds: np.random.SeedSequence,
        simulating: dict[str, Any],
        learning: dict[str, Any],
    ) -> None:
        """Make the rounds after the first, each where the one before has the posterior's mass."""
        priors, parts = [self.prior], [self.draws]

        def keep(new: Draws) -> None:
            parts.append(new)
            self._draws = as_from_the_prior(parts, priors)

        for i in range(1, rounds):
            for_region, for_training = seeds.spawn(2)
            rng = np.random.default_rng(for_region)
            region = Region.of(self._trained(), self.target_estimates, rng)
            priors.append(TruncatedPrior(priors[-1], region))
            size = (n - sum(part.num_draws for part in parts)) // (rounds - i)
            self._simulated(priors[-1], size, seeds, keep, simulating)
            whole = Draws.joined(parts)
            inside = priors[-1].log_prob(whole.parameters) > -np.inf
            self._learn(whole.where(inside), priors[-1], for_training, **learning)

    def _learn(
        self,
        draws: Draws,
        prior: Prior,
        seeds: np.random.SeedSequence,
        *,
        members: int,
        epochs: int,
        tqdm_notebook: bool | None,
    ) -> None:
        """Train on draws; what is learned so far is kept from epoch to epoch."""
        arriving = learned_posteriors(draws, prior, seeds, members=members, epochs=epochs)
        self._consume(arriving, epochs, tqdm_notebook)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = self._trained().to_arrays()
        for i, region in enumerate(regions_of(self._trained().prior)):
            arrays |= {f"region_{i}.{name}": a for name, a in region.to_arrays().items()}
        return arrays

    def _restored(self, arrays: dict[str, np.ndarray]) -> AmortisedPosterior:
        prior = self.prior
        for i in range(MOST_ROUNDS):
            if region := storage.below(f"region_{i}", arrays):
                prior = TruncatedPrior(prior, Region.from_arrays(region, prior))
        return AmortisedPosterior.from_arrays(arrays, prior)
