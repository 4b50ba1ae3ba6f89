"""Simulate what is still missing, round after round, until nothing is.

The first round simulates every row that is not there yet, the second repeats those that failed
with the same seed (a licence server that was away, a worker that was lost); then their seeds are
replaced, the next two rounds do the same, and so on. Each call of `training_set` starts with the
first seeds again, so that an interruption has no say in which seeds are used.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.bars import progress_bar
from imnn_lab.campaign.ledger import Ledger, TrainingSet, from_arrays
from imnn_lab.campaign.plan import Plan
from imnn_lab.campaign.store import Store
from imnn_lab.simulate import SimulationError, simulate

ATTEMPTS = 2  # at each seed
IN_FLIGHT = 1024  # batches: results are all kept, so only their number in the queue is bounded


@checks.greek_keywords
def training_set(
    simulator: Callable[[np.ndarray, int], Any],
    θ_fid: Any,
    δθ: Any,
    n_s: int,
    n_d: int,
    seed: int,
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    *,
    size: int | None = None,
    replacements: int = 10,
    max_failed: float = 0.5,
    show: bool = True,
) -> TrainingSet:
    """Make the matched simulations that an IMNN is trained with.

    The simulations are the same for any executor, number of workers and `size`, and whether or not
    a campaign was interrupted, as long as the simulator's failures depend on its arguments alone.

    Parameters
    ----------
    simulator : callable
        ``simulator(parameters, seed)``: one call for each simulation, with `parameters` an array of
        shape (1, n_params) and `seed` an int from 0 to 2³¹−1; it returns an array of shape (1,) +
        input_shape (the contract of every simulator here, for a batch of one). The same seed must
        give the same randomness at any parameters. For processes it must be picklable: defined in
        a module, not in a session.
    θ_fid : array-like, shape (n_params,)
        Fiducial parameters.
    δθ : array-like, shape (n_params,)
        Full width of the central difference: derivative simulations sit at θ_fid ± δθ/2.
    n_s, n_d : int
        Number of fiducial simulations, and of rows of 2 n_params derivative simulations.
    seed : int
        Settles the seeds of all rows. A validation set needs another.
    executor : concurrent.futures.Executor, optional
        A process pool, Dask's ``Client.get_executor()``, ...; None simulates in this process.
    directory : str or path, optional
        Where finished simulations are kept while the campaign runs, and the arrays afterwards:
        fiducial.npy, derivative.npy, seeds.npy, failures.json. Called again after a crash, or with
        another executor, the campaign goes on; when it is done, the arrays are read. A directory
        made with other arguments is refused; the simulator is known by its name only.
    size : int, optional
        Rows simulated by a worker at a time and stored in one file; by default a 256th of all, at
        least one. More workers than 256 want smaller batches.
    replacements : int
        How many times the seed of a row may be replaced. A row whose simulation fails (raises, is
        not finite, has another shape) is repeated with the same seed, and if it fails again, all of
        it is simulated with a new seed, so that it stays matched.
    max_failed : float
        The largest fraction of failures of the first round to put up with, looked at after 100
        simulations and at the end.
    show : bool
        Whether to show a progress bar.

    Returns
    -------
    TrainingSet
        With `fiducial` (n_s,) + input_shape, `derivative` (n_d, 2, n_params) + input_shape, the
        seeds and the failures; unpacks as ``fiducial, derivative``.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used, or `directory` was made with other arguments.
    SimulationError
        If too many simulations fail, one still fails when its seed was replaced as often as
        allowed, or the executor broke (a process pool does when a simulation kills its process;
        Dask starts another worker). What is in `directory` stays there.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import campaign
    >>> def simulator(parameters, seed):
    ...     noise = np.random.default_rng(seed).normal(size=(1, 10))
    ...     return parameters[:, :1] + np.sqrt(parameters[:, 1:]) * noise
    >>> made = campaign.training_set(
    ...     simulator, θ_fid=[0, 1], δθ=[0.1, 0.1], n_s=20, n_d=10, seed=1, show=False
    ... )
    >>> fiducial, derivative = made
    >>> fiducial.shape, derivative.shape, made.failures
    ((20, 10), (10, 2, 2, 10), ())
    """
    plan = Plan.checked(θ_fid, δθ, n_s, n_d, seed)
    rounds = _Rounds(
        _checked_simulator(simulator),
        _checked_executor(executor),
        checks.optional_integer("size", size, 1) or -(-plan.n_rows // 256),
        _checked_fraction(max_failed),
        checks.boolean("show", show),
    )
    replacements = checks.integer("replacements", replacements, 0)
    store = None if directory is None else _store(directory, plan, simulator)
    if store and store.is_finished:
        store.clear()
        return from_arrays(plan, *store.read())
    ledger = Ledger(plan, store)
    for attempt, seeds in enumerate(np.repeat(plan.seeds(replacements), ATTEMPTS, axis=0)):
        rounds.run(ledger, seeds, attempt)
    _check_complete(ledger, replacements)
    return ledger.training_set()


@dataclass(frozen=True)
class _Rounds:
    """How the rows that are missing are simulated."""

    simulator: Callable[..., Any]
    executor: Executor | None
    size: int
    max_failed: float
    show: bool

    def run(self, ledger: Ledger, seeds: np.ndarray, attempt: int) -> None:
        """Attempt every row that is missing with its entry of `seeds` (n_rows,)."""
        plan, missing = ledger.plan, ledger.missing
        if not missing:
            return
        size = self.size if attempt == 0 else 1  # a simulation that kills its worker is alone
        groups = [missing[start : start + size] for start in range(0, len(missing), size)]
        simulated = simulate(
            self.simulator,
            (plan.batch(rows, seeds) for rows in groups),
            executor=self.executor,
            shape=ledger.shape,
            max_failed=self.max_failed if attempt == 0 else 1.0,
            total=sum(map(plan.length, missing)),
            bar=progress_bar(self.show, desc="campaign" if attempt == 0 else f"again ({attempt})"),
            in_flight=IN_FLIGHT,
        )
        try:
            for rows, batch in zip(groups, simulated, strict=True):
                ledger.add(rows, batch, attempt)
        except BrokenExecutor as error:
            expected = "outlive its workers, or be replaced when a simulation kills one"
            remedy = "Call again with a new one; a `directory` keeps what is finished."
            message = checks.wording("`executor`", expected, f"{error!r}", remedy)
            raise SimulationError(message) from error


def _check_complete(ledger: Ledger, replacements: int) -> None:
    missing = ledger.missing
    if missing:
        own = (f for f in ledger.failures if ledger.plan.row(f) == missing[0])
        last = max(own, key=lambda failure: failure.attempt)
        expected = f"succeed within {ATTEMPTS} attempts at each of {1 + replacements} seeds"
        received = f"{len(missing)} rows that failed each time, the first of them {last}"
        remedy = f"Repair it, or raise `replacements`. The traceback:\n{last.traceback}"
        raise SimulationError(checks.wording("`simulator`", expected, received, remedy))


def _checked_simulator(simulator: Any) -> Callable[..., Any]:
    expected = "be callable as simulator(parameters, seed)"
    remedy = "`parameters` has shape (1, n_params), `seed` is an int."
    if not callable(simulator):
        message = checks.wording("`simulator`", expected, checks.describe(simulator), remedy)
        raise TypeError(message)
    with contextlib.suppress(ValueError):  # a built-in has no signature
        signature = inspect.signature(simulator)
        try:
            signature.bind(None, 0)
        except TypeError:
            received = f"one with the signature {signature}"
            message = checks.wording("`simulator`", expected, received, remedy)
            raise TypeError(message) from None
    return simulator


def _checked_executor(executor: Any) -> Executor | None:
    if executor is None or isinstance(executor, Executor):
        return executor
    remedy = "A Dask client gives one with `client.get_executor()`."
    expected = "be a concurrent.futures.Executor or None"
    raise TypeError(checks.wording("`executor`", expected, checks.describe(executor), remedy))


def _checked_fraction(max_failed: Any) -> float:
    result = checks.number("max_failed", max_failed)
    if not 0 <= result <= 1:
        raise ValueError(checks.wording("`max_failed`", "be a fraction from 0 to 1", result))
    return result


def _store(directory: Any, plan: Plan, simulator: Callable[..., Any]) -> Store:
    path = Path(checks.text("directory", directory, "None keeps nothing."))
    return Store(path, {"format": 1, "simulator": _name(simulator)} | plan.as_dict())


def _name(simulator: Callable[..., Any]) -> str:
    """Return the name without its module, which is another when the module is run as a script."""
    if isinstance(simulator, partial):
        return _name(simulator.func)
    return getattr(simulator, "__qualname__", type(simulator).__qualname__)
