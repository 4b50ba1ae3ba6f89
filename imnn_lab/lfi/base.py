"""What all ways of inference share: checked arguments, targets, tables and histograms."""

from __future__ import annotations

import abc
import contextlib
import copy
import inspect
import os
import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from imnn_lab import checks, storage
from imnn_lab.executors import Executor, as_executor
from imnn_lab.inference import (
    Draws,
    ForwardModel,
    GaussianPosterior,
    Posterior,
    Summary,
    Target,
    as_prior,
)
from imnn_lab.inference.arguments import (
    as_fisher,
    as_labels,
    as_sizes,
    as_target_data,
)
from imnn_lab.inference.density import as_ranges, bin_edges, common_ranges, histogram
from imnn_lab.inference.forward import as_estimates
from imnn_lab.inference.journal import Journal
from imnn_lab.inference.prior_adapters import labels_of
from imnn_lab.progress import progress_bar
from imnn_lab.simulate import ExecutorError, leaves_of, name_of

NOT_COPIED = ("get_estimate", "simulator", "prior", "executor", "_distance")
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
        self.labels = as_labels(labels_of(prior, labels, get_estimate), self.n_params)
        self.prior = as_prior(prior, self.n_params, self.labels)
        self.get_estimate = checks.function("get_estimate", get_estimate, "data to estimates")
        self.target_data = as_target_data(target_data)
        self.target_estimates, self.input_shape = self._estimated_target()
        self._entropy = np.random.SeedSequence(checks.seed_or_none("seed", seed)).entropy
        self._calls = 0
        self._interrupted: tuple[Any, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled; refuse a function or an executor that cannot be."""
        for name in NOT_COPIED:
            try:
                pickle.dumps(getattr(self, name, None))
            except Exception as error:
                raise TypeError(
                    f"This {type(self).__name__} cannot be pickled, because its "
                    f"`{name.strip('_')}` cannot ({checks.first_line(error)}). Define functions "
                    "in a module, and set `executor` to None; results are saved with "
                    "`samples()[0].to_npz(path)`."
                ) from error
        return vars(self)

    def __copy__(self) -> Inference:
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Inference:
        """Return a copy with the same functions, prior and executor, and results of its own."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        for name, value in vars(self).items():
            vars(copied)[name] = value if name in NOT_COPIED else copy.deepcopy(value, memo)
        return copied

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

    def _dashboard(self, simulator: Callable[..., Any] | None, **results: Any) -> Any:
        """Return the page of this inference, with the results so far."""
        from imnn_lab.dashboards.host.panel_import import import_panel

        import_panel()
        from imnn_lab.dashboards import InferenceDashboard

        data, shape = self.target_data, self.input_shape
        target: Any = (
            tuple(leaf.reshape(-1, *s) for leaf, s in zip(data, shape, strict=True))
            if isinstance(data, tuple)
            else data.reshape(-1, *shape)
        )
        results |= {"Fisher": self.Fisher, "labels": self.labels}
        return InferenceDashboard(self.get_estimate, self.prior, simulator, target, **results)

    def _estimated_target(self) -> tuple[np.ndarray, Any]:
        """Return the targets' estimates (n_targets, n_params) and the shape of one datum."""
        data, p = self.target_data, self.n_params
        leaves = leaves_of(data)
        try:
            found = self.get_estimate(copy.deepcopy(data))
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise  # raised inside of it
            expected, received = "take the target data", checks.first_line(error)
            raise TypeError(checks.wording("`get_estimate`", expected, received)) from None
        found = checks.real_array("get_estimate", found)
        estimates = np.array(found, np.float64)
        shapes_of_one = [(p,), (1, p)] if len(leaves[0]) != 1 else [(p,)] * (p > 1)
        if estimates.shape in shapes_of_one:  # one target without an axis of its own
            shapes = tuple(leaf.shape for leaf in leaves)
            estimates = estimates.reshape(1, p)
        else:
            shapes = tuple(leaf.shape[1:] for leaf in leaves)
            estimates = as_estimates(estimates, len(leaves[0]), p)
        checks.finite("get_estimate(target_data)", estimates)
        return estimates, shapes if isinstance(data, tuple) else shapes[0]

    def _refuse_changed_estimator(self) -> None:
        """Raise if the estimator gives the target another estimate than when this was built."""
        estimates, _ = self._estimated_target()
        pairs = zip(self.target_estimates, estimates, strict=True)
        moved = max(Target(old, self.Fisher).distances(new[None])[0] for old, new in pairs)
        if moved > UNCHANGED:
            received = f"estimates that moved by {moved:.3g} standard deviations"
            expected = "give the target the estimate it had when this object was built"
            remedy = "It was trained on since: build a new object, with its new Fisher matrix."
            raise RuntimeError(checks.wording("`get_estimate`", expected, received, remedy))

    @contextlib.contextmanager
    def _repeatable(self, call: tuple[Any, ...]) -> Iterator[np.random.SeedSequence]:
        """Yield the seeds of a call; if Ctrl-C or an executor ends it, it has them again when next.

        It must not add its draws to those of an earlier call, which may be the same ones.
        """
        self._calls -= self._interrupted == call
        seeds = self._next_seeds()
        try:
            yield seeds
        except (KeyboardInterrupt, ExecutorError):
            self._interrupted = call
            raise

    def _next_seeds(self) -> np.random.SeedSequence:
        self._calls, self._interrupted = self._calls + 1, None
        return np.random.SeedSequence(self._entropy, spawn_key=(self._calls,))


class SimulatedInference(Inference, abc.ABC):
    """Inference that simulates.

    Parameters
    ----------
    target_data, prior, Fisher, get_estimate, labels, seed
        See `Inference`.
    simulator : callable
        ``simulator(parameters)`` or ``simulator(parameters, seed)``: parameters (n, n_params) and
        one integer → simulations (n,) + input_shape.
    executor : concurrent.futures.Executor, optional
        Where to simulate: a process pool, loky, Dask's ``Client.get_executor()``, or another object
        with `submit`.
    max_failed : float
        Largest tolerated fraction of failed simulations.
    verbose : bool
        Show progress bars.
    directory : str or path, optional
        Keeps finished batches of draws; the same calls after a crash go on from them, as does a
        call that is repeated after Ctrl-C.
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
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(target_data, prior, Fisher, get_estimate, labels, seed=seed)
        self.simulator = checks.function("simulator", simulator, "parameters to simulations")
        self.executor = as_executor(executor)
        self.max_failed = checks.fraction("max_failed", max_failed)
        self.verbose = checks.boolean("verbose", verbose)
        self._journal = None if directory is None else self._journal_in(directory, seed)

    def _journal_in(self, directory: Any, seed: int | None) -> Journal:
        """Return the journal of a directory, and take its seed."""
        about = {
            "class": type(self).__name__,
            "simulator": name_of(self.simulator),
            "Fisher": self.Fisher.tolist(),
            "target_estimates": self.target_estimates.tolist(),
        }
        path = checks.path("directory", directory, "None keeps no files.")
        journal = Journal(path, about, None if seed is None else int(seed))
        self._entropy = journal.entropy
        return journal

    def _model(
        self,
        at_once: Any,
        save_sims: Any,
        tqdm_notebook: Any = None,
        show: bool = True,
        keep: Callable[[Draws], Any] | None = None,
    ) -> ForwardModel:
        """Return the forward model with the options of one call."""
        if isinstance(at_once, bool | np.bool_):
            at_once = bool(at_once)
        elif at_once is not None:
            at_once = checks.integer("at_once", at_once, 1, "True, False and None work too.")
        return ForwardModel(
            self.simulator,
            self.get_estimate,
            self.n_params,
            shape=self.input_shape,
            at_once=at_once,
            executor=self.executor,
            max_failed=self.max_failed,
            save_sims=None if save_sims is None else _as_prefix(save_sims),
            bar=progress_bar(self.verbose and show, tqdm_notebook, desc=type(self).__name__),
            keep=keep,
            journal=self._journal,
        )

    @abc.abstractmethod
    def samples(self) -> list[Posterior]:
        """Return the weighted samples of each target's posterior."""

    def summary(self, mass: float = 0.68) -> list[Summary]:
        """Return the table of each target: mean, sd, median, credible interval.

        Parameters
        ----------
        mass : float
            Probability mass of the interval, between 0 and 1.
        """
        mass = checks.number("mass", mass, above=0, below=1)
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

    def _check_histogram(self, bins: Any, ranges: Any) -> None:
        """Check what a histogram is asked for, before the simulations."""
        as_sizes("bins", bins, self.n_params, 20)
        as_ranges(ranges, self.n_params)

    def _edges(self, posteriors: list[Posterior], bins: Any, ranges: Any) -> list[np.ndarray]:
        sizes = as_sizes("bins", bins, self.n_params, 20)
        return bin_edges(sizes, common_ranges(posteriors, as_ranges(ranges, self.n_params)))

    def _histograms(self, posteriors: list[Posterior], bins: Any, ranges: Any) -> np.ndarray:
        edges = self._edges(posteriors, bins, ranges)
        return np.stack([histogram(p.parameters, p.weights, edges).values for p in posteriors])


def _as_prefix(save_sims: Any) -> str:
    path = checks.path("save_sims", save_sims)
    storage.check_writable(path.parent, "save_sims")
    return str(path)


def as_callback(value: Any) -> Callable[..., Any] | None:
    """Return a function of a population and the index of its target, or None."""
    if value is None:
        return None
    checks.function("callback", value, "(population, target_index) to True to stop")
    with contextlib.suppress(ValueError):  # a built-in has no signature
        signature = inspect.signature(value)
        try:
            signature.bind(None, 0)
        except TypeError:
            expected = "be callable as callback(population, target_index)"
            received = f"one with the signature {signature}"
            raise TypeError(checks.wording("`callback`", expected, received)) from None
    return value


def refuse_together(function: str, options: Iterable[str], reason: str) -> None:
    """Raise a TypeError if there are options that would be ignored."""
    if names := ", ".join(map(repr, options)):
        raise TypeError(f"`{function}` would ignore {names}: {reason}.")


def pop_options(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Remove from `options` those of the given names, and return them."""
    return {name: options.pop(name) for name in names if name in options}


def refuse_unknown(function: str, options: dict[str, Any]) -> None:
    """Raise a TypeError if keyword arguments remain that the function does not have."""
    if options:
        names = ", ".join(map(repr, options))
        raise TypeError(f"`{function}` got an unexpected keyword {names}.")
