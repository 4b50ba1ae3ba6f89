"""What inference with a learned density shares: draws, training, curves, and a file of them."""

from __future__ import annotations

import abc
import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.inference import Draws, Posterior, prior_draws
from imnn_lab.inference.arguments import as_target_data
from imnn_lab.inference.priors import Prior
from imnn_lab.lfi import plots
from imnn_lab.lfi.base import SimulatedInference
from imnn_lab.neural_density.mixture import Standardisation
from imnn_lab.progress import progress_bar

FEWEST = 50  # draws to train on
MOST_MEMBERS, MOST_EPOCHS, MOST_AT_ONCE = 20, 10_000, 10**8
FILE = "learned.npz"
SAME = 1e-3  # of Fisher matrices and priors, relative
# If so few of the draws hold so much of the estimates' variance, networks do not see the others.
# Of draws with Student's t of 3 degrees of freedom a tenth or more hold it.
FEW, HELD = 0.05, 0.99


class LearnedInference(SimulatedInference):
    """Inference with a density that is learned from draws.

    Parameters
    ----------
    target_data, prior, Fisher, get_estimate, simulator, labels
        As for `ApproximateBayesianComputation`.
    seed, executor, max_failed, verbose, directory
        As for `ApproximateBayesianComputation`, keyword only.
    """

    _name: str
    _draws: Draws | None = None
    _learned: Any = None
    _curves: list[np.ndarray] | None = None

    @abc.abstractmethod
    def samples(self, n: int = 10_000) -> list[Posterior]:
        """Return equally weighted samples, the same in every call."""

    def at(self, data: Any) -> Self:
        """Return what is trained for other observations; no simulation is made.

        Parameters
        ----------
        data : array-like, shape (n,) + input_shape
            The targets of the result.

        Returns
        -------
        NeuralPosterior or NeuralLikelihood
            As this one.

        Raises
        ------
        RuntimeError
            If nothing has been trained yet, or only for one target, in several rounds.
        ValueError
            If they have another shape than the targets.

        Warns
        -----
        UserWarning
            If an estimate lies outside those of all draws.
        """
        self._trained()
        self._check_free()
        self._refuse_changed_estimator()
        other = copy.copy(self)
        vars(other).pop("gaussian", None)
        other.target_data = as_target_data(data)
        other.target_estimates, other.input_shape = other._estimated_target()
        if other.input_shape != self.input_shape:
            expected = f"have shape (n,) + input_shape = (n,) + {self.input_shape}"
            received, remedy = f"(n,) + {other.input_shape}", "Train on simulations like them."
            raise ValueError(checks.wording("`data`", expected, received, remedy))
        other._warn_of_unlike_targets()
        return other

    def _check_free(self) -> None:
        """Refuse other targets if it was trained for one."""

    @abc.abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays of what is learned."""

    @abc.abstractmethod
    def _restored(self, arrays: dict[str, np.ndarray]) -> Any:
        """Return what is learned from its arrays."""

    def posterior(self, bins: Any = None, ranges: Any = None) -> np.ndarray:
        """Return the histogram of `samples`, a density over all parameters.

        Parameters
        ----------
        bins : int or sequence of int, optional
            Bins along each parameter, 20 by default.
        ranges : sequence of (low, high), optional
            Range of each parameter; by default where the samples lie. `bin_edges` returns the
            edges that result.

        Returns
        -------
        ndarray, shape (n_posteriors,) + bins

        Raises
        ------
        RuntimeError
            If nothing has been trained yet.
        """
        self._check_histogram(bins, ranges)
        return self._histograms(self.samples(), bins, ranges)

    def plot(
        self, smoothing: float | None = None, bins: Any = None, ranges: Any = None, **kwargs: Any
    ) -> Any:
        """Draw the posterior as a corner plot and return the figure.

        Parameters
        ----------
        smoothing : float, optional
            Width of a Gaussian filter in bins; it widens the posterior.
        bins, ranges
            As for `posterior`.
        **kwargs
            truth, overlay, masses, figure, figsize (see `GaussianApproximation.plot`), and
            properties of matplotlib lines.

        Returns
        -------
        matplotlib.figure.Figure
        """
        self._check_histogram(bins, ranges)
        kwargs |= {"smoothing": smoothing, "bins": bins, "ranges": ranges}
        return plots.corner_plot(self._name, self.samples(), self.labels, **kwargs)

    @property
    def draws(self) -> Draws:
        """All draws made.

        Raises
        ------
        RuntimeError
            If there are none yet.
        """
        if self._draws is None:
            raise RuntimeError("No draws yet: call `train(draws=...)` first.")
        return self._draws

    @property
    def num_draws(self) -> int:
        """Number of simulations, failed ones included."""
        return self.draws.num_draws

    @property
    def num_failed(self) -> int:
        """Number of simulations that failed."""
        return self.draws.num_failed

    @property
    def failure(self) -> str | None:
        """What the first failure said."""
        return self.draws.failure

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Mean log probability of the pairs in each epoch, shape (n_epochs, members).

        "training": of those trained on, during the epoch; "held_out": of the others, after it.

        Raises
        ------
        RuntimeError
            If nothing has been trained yet.
        """
        self._trained()
        training, held_out = np.array(self._curves).transpose(1, 0, 2)
        return {"training": training, "held_out": held_out}

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the draws and what was learned from them to a file in a directory.

        Parameters
        ----------
        directory : str or path
            Created if it does not exist; what was saved there before is replaced.

        Raises
        ------
        RuntimeError
            If nothing has been trained yet.
        """
        self._trained()
        draws = self.draws
        path = checks.path("directory", directory)
        storage.check_writable(path)
        about = {"class": type(self).__name__, "failure": draws.failure}
        arrays = {"Fisher": self.Fisher, "curves": np.array(self._curves)}
        arrays |= {f"draws.{name}": getattr(draws, name) for name in _names_of(draws)}
        arrays |= {f"learned.{name}": a for name, a in self._arrays().items()}
        arrays["log_prior"] = _log_prior(self.prior, draws)
        storage.write_npz(path / FILE, {"about": storage.pack(about), **arrays})

    def load(self, directory: str | os.PathLike[str]) -> Self:
        """Take what another object saved.

        It must have been made with the same prior, Fisher matrix and estimator; the targets and
        the simulator may be others.

        Parameters
        ----------
        directory : str or path
            What `save` was given.

        Returns
        -------
        NeuralPosterior or NeuralLikelihood
            This object.

        Raises
        ------
        FileNotFoundError
            If nothing was saved there.
        ValueError
            If the file is damaged, or what made it had another class, prior or Fisher matrix, or
            was trained for another target, in several rounds.
        """
        path = checks.path("directory", directory) / FILE
        what, remedy = f"what a {type(self).__name__} saved", "Pass what `save` was given."
        storage.check_holds(path.parent, FILE, what, remedy)
        arrays = storage.read_npz(path)
        with storage.whole(path):
            about = storage.unpack(arrays.pop("about"))
            draws = Draws(**storage.below("draws", arrays), failure=about["failure"])
            name, Fisher, log_prior = about["class"], arrays["Fisher"], arrays["log_prior"]
        self._refuse_others(path, name, Fisher, draws, log_prior)
        with storage.whole(path):
            learned = self._restored(storage.below("learned", arrays))
            curves = list(arrays["curves"])
        self._refuse_other_target(path, learned)
        self._draws, self._learned, self._curves = draws, learned, curves
        return self

    def _refuse_other_target(self, path: Path, learned: Any) -> None:
        """Refuse what was trained for one target, if this one is another."""

    def _refuse_others(
        self, path: Path, name: str, Fisher: np.ndarray, draws: Draws, log_prior: np.ndarray
    ) -> None:
        """Raise if what is saved belongs to another kind of inference, network or prior."""
        fits = Fisher.shape == self.Fisher.shape
        fits = fits and np.allclose(
            Fisher, self.Fisher, rtol=SAME, atol=SAME * np.abs(Fisher).max()
        )
        if not fits or name != type(self).__name__:
            expected = f"be saved by a {type(self).__name__} of the same Fisher matrix"
            received = f"one of a {name} with {Fisher.tolist()}"
            remedy = "A network that was trained on needs a new training."
            raise ValueError(checks.wording(str(path), expected, received, remedy))
        if not np.allclose(_log_prior(self.prior, draws), log_prior, rtol=SAME, atol=SAME):
            expected, remedy = "be saved by one of the same prior", "Train with the new prior."
            raise ValueError(checks.wording(str(path), expected, "one of another", remedy))

    def _simulated(
        self,
        prior: Prior,
        n: int,
        seeds: np.random.SeedSequence,
        keep: Callable[[Draws], Any],
        simulating: Mapping[str, Any],
    ) -> None:
        """Pass draws of a prior to `keep`, also those made before an interruption."""
        parts: list[Draws] = []
        try:
            model = self._model(**simulating, keep=parts.append)
            self._as_draws(prior_draws(model, prior, n, seeds))
        finally:
            if parts:
                keep(Draws.joined(parts))

    def _keep(self, draws: Draws) -> None:
        self._draws, self._learned, self._curves = draws, None, None

    def _consume(self, arriving: Iterator[Any], epochs: int, tqdm_notebook: bool | None) -> None:
        """Train; what is learned so far is kept from epoch to epoch."""
        if self._sees_outliers():
            _warn_of_outliers(self.draws, self.labels)
        make = progress_bar(self.verbose, tqdm_notebook, desc="Training", unit="epoch")
        curves: list[np.ndarray] = []
        with make(total=epochs) as bar:
            for learned, epoch in arriving:
                curves.append(np.array([epoch.training, epoch.held_out]))
                self._learned, self._curves = learned, curves
                bar.update(1)
                bar.set_postfix({"held out": f"{epoch.held_out.mean():.3f}"})

    def _sees_outliers(self) -> bool:
        """Whether estimates that are far from all others spoil what is learned."""
        return True

    def _trained(self) -> Any:
        if self._learned is None:
            raise RuntimeError("Nothing is trained yet: call `train(draws=...)` first.")
        return self._learned

    def _number_or_draws(self, draws: int | Draws) -> tuple[int, Draws | None]:
        """Return how many draws to make, or those that were made before."""
        if isinstance(draws, Draws):
            return 0, self._as_draws(draws)
        remedy = "Draws that were made before, as `ABC.draws`, work too."
        return checks.integer("draws", draws, FEWEST, remedy), None

    def _as_draws(self, draws: Draws) -> Draws:
        for name in ("parameters", "estimates"):
            shape = getattr(draws, name).shape
            if len(shape) != 2 or shape[1] != self.n_params or shape[0] < FEWEST:
                expected = f"have at least {FEWEST} {name} of {self.n_params} numbers each"
                remedy = "Draw more."
                raise ValueError(checks.wording("`draws`", expected, f"shape {shape}", remedy))
        if draws.weights is not None:
            _check_weights(draws, draws.weights)
        return draws

    def _warn_of_unlike_targets(self) -> None:
        estimates = self.draws.estimates
        low, high = estimates.min(axis=0), estimates.max(axis=0)
        beyond = ((self.target_estimates < low) | (self.target_estimates > high)).any(axis=1)
        if beyond.any():
            checks.warn(
                f"The estimate of target {np.flatnonzero(beyond)[0]} lies outside those of all "
                f"draws ({beyond.sum()} of {len(beyond)} targets do): its posterior is a guess. "
                "Draw more, or take a wider prior."
            )


def _warn_of_outliers(draws: Draws, labels: Sequence[str]) -> None:
    """Warn if few draws hold nearly all of what the parameters leave of the estimates' variance."""
    θ, estimates, weights = draws.parameters, draws.estimates, draws.weights
    weights = np.ones(len(θ)) if weights is None else weights
    regression = Standardisation.fitted(θ, estimates, weights)
    squares = regression.residuals(regression.inputs(θ), estimates[:, None])[:, 0] ** 2
    for label, each in zip(labels, squares.T, strict=True):
        order = np.argsort(-each)
        held = np.cumsum((weights * each)[order])
        n = int(np.searchsorted(held, HELD * held[-1])) + 1
        # held[-1] is the sum of the weights, unless there is nothing but rounding
        if weights[order[:n]].sum() <= FEW * weights.sum() < held[-1]:
            checks.warn(
                f"Of {len(θ):,} draws, {n:,} hold {100 * HELD:.0f} % of the variance of the "
                f"estimate of {label}: what is learned for all others may be far too wide. Mend "
                "simulations that go wrong, bound what `get_estimate` returns (np.clip), or leave "
                "such draws out: `train(draws.where(mask))`."
            )
            return


def _names_of(draws: Draws) -> tuple[str, ...]:
    names = ("parameters", "estimates", "failed_parameters")
    return names if draws.weights is None else (*names, "weights")


def _log_prior(prior: Prior, draws: Draws) -> np.ndarray:
    """Return the log density at a few of the draws, which tells one prior from another."""
    return prior.log_prob(draws.parameters[:FEWEST])


def _check_weights(draws: Draws, weights: np.ndarray) -> None:
    if np.shape(weights) != (len(draws.parameters),) or not (
        np.isfinite(weights).all() and np.min(weights) >= 0
    ):
        expected = "be finite, not negative, and one for each of the parameters"
        received = f"shape {np.shape(weights)}, {weights}"
        raise ValueError(checks.wording("The weights of `draws`", expected, received))
    if draws.effective_number < FEWEST:
        expected = f"tell as much as {FEWEST} draws from the prior at least"
        received = f"as much as {draws.effective_number:.3g}"
        remedy = "Draw more, or add draws from the prior by `Draws.joined`."
        raise ValueError(checks.wording("`draws`", expected, received, remedy))
