"""The seed-compatible façade of approximate Bayesian computation by rejection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.posterior import Posterior
from imnn_lab.inference.rejection import Acceptance, accept, prior_draws, rounds, until_accepted
from imnn_lab.lfi.accepted import AcceptedDraws
from imnn_lab.lfi.arguments import as_fraction


class ApproximateBayesianComputation(AcceptedDraws):
    """Draw from the prior, simulate, and accept what lies within ε of the target.

    Draws are kept: another ε costs no simulation.

    Parameters
    ----------
    target_data : array-like, shape (n_targets,) + input_shape
        Observed data.
    prior : TFP or scipy.stats distribution, list of those, or any object with sample and log_prob
        See `imnn_lab.inference.as_prior`.
    Fisher : array-like, shape (n_params, n_params)
        Symmetric and positive definite.
    get_estimate : callable
        Data (n,) + input_shape → estimates (n, n_params).
    simulator : callable
        ``simulator(parameters)`` or ``simulator(parameters, seed)``: parameters (n, n_params) →
        simulations (n,) + input_shape.
    labels : sequence of str, optional
        A name for each parameter.
    seed : int, optional, keyword only
        Seed of all random numbers.
    executor : concurrent.futures.Executor, optional, keyword only
        Where to simulate.
    max_failed : float, keyword only
        The largest fraction of failed simulations to put up with.
    verbose : bool, keyword only
        Show progress bars.

    Attributes
    ----------
    target_estimates : ndarray, shape (n_targets, n_params)
        Estimates of the target data.
    stopped : str or None
        Why `get_min_accepted` stopped: "accepted" or "max_draws".

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
    >>> ABC = LFI.ApproximateBayesianComputation(
    ...     observed, prior, problem.F, get_estimate, problem.simulator, ["μ", "Σ"], seed=1,
    ...     verbose=False,
    ... )
    >>> made = ABC(draws=2000)
    >>> accepted = ABC.accept_reject(ϵ=1.5)
    >>> int(ABC.num_accepted[0] + ABC.num_rejected[0])
    2000
    >>> ABC.accepted_parameters[0].shape == (ABC.num_accepted[0], 2)
    True
    >>> ABC.posterior(bins=10).shape
    (1, 10, 10)
    """

    _from_prior = False
    stopped: str | None = None

    def __call__(
        self,
        draws: Any,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        *,
        predrawn: bool = False,
    ) -> Draws:
        """Make draws.

        Parameters
        ----------
        draws, at_once, save_sims, predrawn
            As for `ABC`.

        Returns
        -------
        Draws
            All draws, those whose simulation failed included.
        """
        return self.ABC(draws, at_once, save_sims, predrawn=predrawn)

    def ABC(
        self,
        draws: Any,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        PMC: bool = False,
        update: bool = True,
        *,
        predrawn: bool = False,
        tqdm_notebook: bool | None = None,
    ) -> Draws:
        """Draw from the prior, simulate, estimate.

        Parameters
        ----------
        draws : int, or ndarray of shape (n, n_params)
            Number of simulations; or, with `predrawn`, the parameters to simulate at (in one call,
            so that a simulator may return what was saved).
        at_once : bool, int or None
            True simulates all in one call, False each in its own, an integer that many; None
            chooses.
        save_sims : str, optional
            Write simulations and parameters to ``<save_sims>_000000.npz``, ...
        PMC : bool
            An older name of `predrawn`.
        update : bool
            Keep the draws in this object; otherwise they are returned and nothing else changes.
        predrawn : bool, keyword only
            Whether `draws` are parameters to simulate at.
        tqdm_notebook : bool, optional, keyword only
            Whether the progress bar is a notebook's; None finds out.

        Returns
        -------
        Draws
            All draws, those whose simulation failed included.

        Raises
        ------
        SimulationError
            If too many simulations fail.
        RuntimeError
            If `get_estimate` has changed since this object was built.
        """
        self._refuse_changed_estimator()
        given = checks.boolean("predrawn", predrawn) or checks.boolean("PMC", PMC)
        if given:
            model = self._model(True, save_sims, tqdm_notebook)
            result = model.draws(self._as_parameters(draws), self._next_seeds())
        else:
            model = self._model(at_once, save_sims, tqdm_notebook)
            remedy = "Parameters to simulate at go with predrawn=True."
            number = checks.integer("draws", draws, 1, remedy)
            result = prior_draws(model, self.prior, number, self._next_seeds())
        if checks.boolean("update", update):
            self._keep(result, from_prior=not given)
        return result

    @checks.greek_keywords
    def accept_reject(
        self, ε: float | None = None, *, quantile: float | None = None, nearest: int | None = None
    ) -> list[Acceptance]:
        """Accept the draws within ε of each target; no simulation is made.

        Parameters
        ----------
        ε : float, optional
            Radius ε of acceptance, in standard deviations of the estimate.
        quantile : float, optional, keyword only
            Accept this fraction of the draws instead.
        nearest : int, optional, keyword only
            Accept this many of the draws instead.

        Returns
        -------
        list of Acceptance
            Which draws each target accepts.

        Raises
        ------
        ValueError
            If not exactly one of the three is given.
        RuntimeError
            If there are no draws yet.
        """
        if ε is not None:
            ε = checks.number("ε", ε, above=0)
        if quantile is not None:
            quantile = as_fraction("quantile", quantile)
        if nearest is not None:
            nearest = checks.integer("nearest", nearest, 1)
        self._acceptances = [
            accept(self.draws, target, ε=ε, quantile=quantile, nearest=nearest)
            for target in self.targets
        ]
        return self._acceptances

    @checks.greek_keywords
    def get_min_accepted(
        self,
        ε: float,
        accepted: int,
        min_draws: int = 1000,
        at_once: bool | int | None = None,
        save_sims: str | None = None,
        tqdm_notebook: bool | None = None,
        *,
        max_draws: int = 1_000_000,
    ) -> list[Acceptance]:
        """Draw until every target has enough accepted draws; those already made count.

        Parameters
        ----------
        ε : float
            Radius ε of acceptance.
        accepted : int
            How many each target needs.
        min_draws : int
            How many to simulate at a time.
        at_once, save_sims, tqdm_notebook
            As for `ABC`.
        max_draws : int, keyword only
            Simulations after which to stop all the same; `stopped` says which it was.

        Returns
        -------
        list of Acceptance
            Which draws each target accepts.

        Raises
        ------
        SimulationError
            If too many simulations fail.

        Examples
        --------
        >>> accepted = ABC.get_min_accepted(ϵ=1.0, accepted=50)
        >>> ABC.stopped, bool(ABC.num_accepted[0] >= 50)
        ('accepted', True)
        """
        self._refuse_changed_estimator()
        ε = checks.number("ε", ε, above=0)
        size = checks.integer("min_draws", min_draws, 1)
        model = self._model(at_once, save_sims, tqdm_notebook)
        kept = self._draws if self._from_prior else None
        result, self.stopped = until_accepted(
            rounds(model, self.prior, size, self._next_seeds()),
            self.targets,
            ε,
            checks.integer("accepted", accepted, 1),
            checks.integer("max_draws", max_draws, 1),
            [] if kept is None else [kept],
        )
        self._keep(result, from_prior=True)
        return self.accept_reject(ε)

    def explore(self, *, exact: Callable[[Any], Posterior] | None = None) -> Any:
        """Return an `InferenceDashboard` with the draws made so far.

        Parameters
        ----------
        exact : callable, optional, keyword only
            ``exact(data)``: samples of the exact posterior for data of shape input_shape.

        Returns
        -------
        imnn_lab.dashboards.InferenceDashboard
            Shown by a notebook; ``.servable()`` in a script for ``panel serve``.
        """
        return self._explored(
            self.simulator, exact=exact, draws=self._draws if self._from_prior else None
        )

    def _keep(self, draws: Draws, from_prior: bool) -> None:
        self._draws, self._from_prior, self._acceptances = draws, from_prior, None

    def _as_parameters(self, draws: Any) -> np.ndarray:
        array = np.asarray(checks.real_array("draws", draws), np.float64)
        array = array[:, None] if array.ndim == self.n_params == 1 else array
        if array.ndim != 2 or array.shape[1] != self.n_params or not len(array):
            expected = f"be parameters of shape (n, {self.n_params}) when predrawn"
            raise ValueError(checks.wording("`draws`", expected, f"shape {array.shape}"))
        return checks.finite("draws", array)
