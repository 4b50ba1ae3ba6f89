"""Neural likelihood estimation: for several independent observations, and other priors."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference import Draws, Posterior, as_prior
from imnn_lab.inference.amortised import AmortisedLikelihood
from imnn_lab.inference.arguments import as_grid
from imnn_lab.inference.coordinates import Coordinates
from imnn_lab.inference.learning import learned_likelihoods
from imnn_lab.inference.tempering import Particles, tempered
from imnn_lab.lfi.learned import MOST_EPOCHS, MOST_MEMBERS, LearnedInference
from imnn_lab.progress import progress_bar

PARTICLES = (10, 100_000)  # fewest and most


class NeuralLikelihood(LearnedInference):
    """A density of the estimates given the parameters, learned from draws.

    The targets are independent observations of the same parameters: their likelihoods are
    multiplied, and there is one posterior of all. It is sampled by particles that move from the
    prior to it (see `imnn_lab.inference.tempering`), which gives the evidence as well.

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
    >>> from imnn_lab.inference import TruncatedNormal, Uniform
    >>> problem = problems.gaussian()  # ten values, of mean μ and variance Σ
    >>> def get_estimate(data):  # or that of a trained IMNN
    ...     return np.stack([data.mean(axis=1), data.var(axis=1, ddof=1)], axis=1)
    >>> observed, prior = problem.simulations(3, seed=3), Uniform([-3, 0.1], [3, 5])
    >>> NL = LFI.NeuralLikelihood(
    ...     observed, prior, problem.F, get_estimate, problem.simulator, ["μ", "Σ"], seed=1,
    ...     verbose=False,
    ... )
    >>> made = NL.train(draws=1000, epochs=10)
    >>> NL.sample(500).shape, NL.log_likelihood([0.0, 1.0]).shape  # of all three together
    ((1, 500, 2), ())
    >>> other = NL.with_prior(TruncatedNormal([0, 1], [1, 1], [-3, 0.1], [3, 5]))
    >>> sorted(other.samples(500)[0].properties)
    ['effective_number', 'failed', 'log_evidence', 'simulations']
    """

    _name = "Neural likelihood"
    _last: tuple[int, tuple[Any, ...], Particles] | None = None  # number, what they are of

    def train(
        self,
        draws: int | Draws,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        members: int = 4,
        epochs: int = 40,
    ) -> Draws:
        """Draw from the prior, simulate, estimate, and train on the pairs.

        Parameters
        ----------
        draws : int or Draws
            Number of simulations; or draws that were made before, of any parameters.
        at_once, save_sims, tqdm_notebook
            As for `ApproximateBayesianComputation.ABC`.
        members, epochs : int, keyword only
            As for `NeuralPosterior.train`.

        Returns
        -------
        Draws
            What it was trained on, and what failed.

        Raises
        ------
        SimulationError
            If too many simulations fail.
        ValueError
            If fewer than 50 draws succeeded.
        RuntimeError
            If `get_estimate` has changed since this object was built.

        Warns
        -----
        UserWarning
            If a target's estimate lies outside those of all draws, or a few estimates hold nearly
            all of the variance.
        """
        n, given = self._number_or_draws(draws)
        members = checks.integer("members", members, 1, maximum=MOST_MEMBERS)
        epochs = checks.integer("epochs", epochs, 1, maximum=MOST_EPOCHS)
        self._refuse_changed_estimator()
        simulating = {"at_once": at_once, "save_sims": save_sims, "tqdm_notebook": tqdm_notebook}
        with self._repeatable(("train",)) as seeds:
            if given is None:
                self._simulated(self.prior, n, seeds, self._keep, simulating)
            else:
                self._keep(given)
            (for_training,) = seeds.spawn(1)
            options = {"members": members, "epochs": epochs}
            arriving = learned_likelihoods(self.draws, self.prior, for_training, **options)
            self._consume(arriving, epochs, tqdm_notebook)
        self._warn_of_unlike_targets()
        return self.draws

    __call__ = train

    def with_prior(self, prior: Any) -> NeuralLikelihood:
        """Return this trained likelihood with another prior; no simulation is made.

        Parameters
        ----------
        prior : any
            See `imnn_lab.inference.as_prior`. It should not reach beyond the draws.

        Warns
        -----
        UserWarning
            If more than a tenth of it lies outside the draws.
        """
        self._trained()
        other = copy.copy(self)
        vars(other).pop("gaussian", None)
        other.prior = as_prior(prior, self.n_params, self.labels)
        made = self.draws.parameters
        θ = other.prior.sample(1000, 0)
        beyond = ((θ < made.min(axis=0)) | (θ > made.max(axis=0))).any(axis=1).mean()
        if beyond > 0.1:
            checks.warn(
                f"{100 * beyond:.0f} % of the prior lies outside all draws, where the likelihood "
                "is a guess. Draw from a wider prior."
            )
        return other

    def log_likelihood(self, θ: Any) -> np.ndarray:
        """Return the log likelihood of all targets together.

        Parameters
        ----------
        θ : meshgrid, array of shape (n, n_params), or one point
            Where to evaluate.

        Returns
        -------
        ndarray, shape of the mesh, (n,) or ()
        """
        learned, where = self._trained(), as_grid(θ, self.n_params)
        return learned.log_prob(self.target_estimates, where.points).reshape(where.shape)

    def samples(self, n: int = 2000) -> list[Posterior]:
        """Return samples of the posterior of all targets together, the same in every call.

        Their `properties` have the log evidence, and how many particles were effective before
        they were last drawn again by weight.

        Parameters
        ----------
        n : int
            How many particles move.
        """
        n = checks.integer("n", n, PARTICLES[0], maximum=PARTICLES[1])
        last = self._particles(n)
        about = {
            "simulations": self.num_draws,
            "failed": self.num_failed,
            "log_evidence": last.log_evidence,
            "effective_number": last.effective_number,
        }
        bounds, labels = self.prior.bounds, tuple(self.labels)
        return [Posterior(last.parameters.copy(), np.ones(n), labels, bounds, about)]

    def sample(self, n: int, rng: Any = None) -> np.ndarray:
        """Draw from the posterior of all targets together, shape (1, n, n_params).

        Parameters
        ----------
        n : int
            How many particles move.
        rng : numpy.random.Generator or int, optional
            Source of random numbers, or its seed; by default that of this object.
        """
        self._trained()
        n = checks.integer("n", n, PARTICLES[0], maximum=PARTICLES[1])
        generator = checks.generator("rng", self._next_seeds() if rng is None else rng)
        return self._sampled(n, generator).parameters[None]

    def _particles(self, n: int) -> Particles:
        """Return the particles of this object's seed, made once for the same targets and prior."""
        of = self._trained(), self.target_estimates, self.prior
        if self._last is not None:
            number, of_last, particles = self._last
            if number == n and all(a is b for a, b in zip(of, of_last, strict=True)):
                return particles
        rng = np.random.default_rng(np.random.SeedSequence(self._entropy))
        self._last = n, of, self._sampled(n, rng)
        return self._last[-1]

    def _sampled(self, n: int, rng: np.random.Generator) -> Particles:
        """Return particles of the posterior."""
        learned, made = self._trained(), self.draws
        coordinates = Coordinates.fitted(self.prior, made.parameters, made.estimates)

        def log_likelihood(θ: np.ndarray) -> np.ndarray:
            return learned.log_prob(self.target_estimates, θ)

        make = progress_bar(self.verbose, desc="Sampling", unit="%")
        with make(total=100) as bar:
            shown = 0
            for particles in tempered(log_likelihood, self.prior, coordinates, n, rng):
                bar.update(int(100 * particles.β) - shown)
                shown = int(100 * particles.β)
        return particles

    def _arrays(self) -> dict[str, np.ndarray]:
        return self._trained().to_arrays()

    def _restored(self, arrays: dict[str, np.ndarray]) -> AmortisedLikelihood:
        return AmortisedLikelihood.from_arrays(arrays)
