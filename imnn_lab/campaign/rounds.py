"""Simulate the missing rows, round after round, until the training set is complete.

The first round simulates every missing row, the second repeats those that failed with the same seed
(a licence server was unreachable, a worker died); then their seeds are replaced for the next two
rounds, and so on. Each call of `training_set` starts again with the first seeds, so that the seeds
do not depend on interruptions.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.campaign.design import Design
from imnn_lab.campaign.ledger import Ledger, TrainingSet, from_arrays
from imnn_lab.campaign.store import Store
from imnn_lab.executors import Executor, as_executor
from imnn_lab.matched.pairing import FEWEST, pairing, warn_of_pairing
from imnn_lab.progress import progress_bar
from imnn_lab.simulate import SimulationError, name_of, simulate

ATTEMPTS = 2  # at each seed
PAIRS = 20  # derivative rows, simulated first, that show whether the simulator pairs
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
        give the same randomness at any parameters: see `imnn_lab.matched`. For processes it must be
        picklable: defined in a module, not in a session.
    θ_fid : array-like, shape (n_params,)
        Fiducial parameters.
    δθ : array-like, shape (n_params,)
        Full width of the central difference: derivative simulations sit at θ_fid ± δθ/2.
    n_s, n_d : int
        Number of fiducial simulations, and of rows of 2 n_params derivative simulations.
    seed : int
        Determines the seeds of all rows. A validation set needs another.
    executor : concurrent.futures.Executor, optional
        A process pool, loky, Dask's ``Client.get_executor()``, or another object with `submit`;
        None simulates in this process.
    directory : str or path, optional
        Keeps finished simulations while the campaign runs, and the arrays afterwards: fiducial.npy,
        derivative.npy, seeds.npy, failures.json. A call after a crash, or with another executor,
        resumes the campaign; once it is finished, a call reads the arrays. A directory made with
        other arguments is refused; of the simulator only the name is compared.
    size : int, optional
        Rows per task of a worker, stored in one file; by default a 256th of all, at least one. More
        than 256 workers need a smaller size.
    replacements : int
        Largest number of times the seed of a row is replaced. A row with a simulation that fails
        (raises, is not finite, has another shape) is repeated with the same seed; if it fails
        again, the whole row is simulated with a new seed, so that it stays matched. So is one
        whose worker dies, but only if it dies in eight runs.
    max_failed : float
        Largest tolerated fraction of failures in the first round, checked from 100 simulations on
        and at its end. Those that dead workers lose are counted by themselves.
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
        If an argument cannot be used, the simulator cannot be sent to the executor, or `directory`
        was made with other arguments.
    SimulationError
        If too many simulations fail, or one still fails after the last replacement of its seed. An
        `ExecutorError`, which is one as well, if the executor breaks (as a process pool does if a
        simulation kills its process; Dask starts another worker) or loses too many. The content of
        `directory` is kept.

    Warns
    -----
    UserWarning
        If the first 20 rows of derivative simulations, which are made first, look unmatched.

    Examples
    --------
    >>> import numpy as np
    >>> from imnn_lab import campaign
    >>> def simulator(parameters, seed):
    ...     noise = np.random.default_rng(seed).normal(size=(1, 10))
    ...     return parameters[:, :1] + np.sqrt(parameters[:, 1:]) * noise
    >>> training = campaign.training_set(
    ...     simulator, θ_fid=[0, 1], δθ=[0.1, 0.1], n_s=20, n_d=10, seed=1, show=False
    ... )
    >>> fiducial, derivative = training
    >>> fiducial.shape, derivative.shape, training.failures
    ((20, 10), (10, 2, 2, 10), ())
    """
    design = Design.checked(θ_fid, δθ, n_s, n_d, seed)
    rounds = _Rounds(
        _checked_simulator(simulator),
        as_executor(executor),
        checks.optional_integer("size", size, 1) or -(-design.n_rows // 256),
        checks.fraction("max_failed", max_failed),
        checks.boolean("show", show),
    )
    replacements = checks.integer("replacements", replacements, 0, maximum=10**6)
    store = None if directory is None else _store(directory, design, simulator)
    if store and store.is_finished:
        store.clear()
        return from_arrays(design, *store.read())
    ledger = Ledger(design, store)
    for attempt, seeds in enumerate(np.repeat(design.seeds(replacements), ATTEMPTS, axis=0)):
        rounds.run(ledger, seeds, attempt)
    _check_complete(ledger, replacements)
    return ledger.training_set()


@dataclass(frozen=True)
class _Rounds:
    """Simulates missing rows."""

    simulator: Callable[..., Any]
    executor: Executor | None
    size: int
    max_failed: float
    show: bool

    def run(self, ledger: Ledger, seeds: np.ndarray, attempt: int) -> None:
        """Attempt every missing row with its entry of `seeds` (n_rows,)."""
        design, missing = ledger.design, ledger.missing
        if not missing:
            return
        missing.sort(key=lambda row: row < design.n_s)  # pairs first, which may be unmatched
        judged = design.n_d < FEWEST or attempt > 0
        size = self.size if attempt == 0 else 1  # one may kill its worker
        groups = [missing[start : start + size] for start in range(0, len(missing), size)]
        tolerated = self.max_failed if attempt == 0 else 1.0
        simulated = simulate(
            self.simulator,
            (design.batch(rows, seeds) for rows in groups),
            executor=self.executor,
            shape=ledger.shape,
            max_failed=tolerated,
            max_lost=tolerated,
            total=sum(map(design.length, missing)),
            bar=progress_bar(self.show, desc="campaign" if attempt == 0 else f"again ({attempt})"),
            in_flight=IN_FLIGHT,
        )
        for rows, batch in zip(groups, simulated, strict=True):
            ledger.add(rows, batch, attempt)
            if not judged and len(pairs := ledger.pairs(PAIRS)) >= min(PAIRS, design.n_d):
                warn_of_pairing("`simulator`", pairing(pairs))
                judged = True


def _check_complete(ledger: Ledger, replacements: int) -> None:
    missing = ledger.missing
    if missing:
        of_row = (f for f in ledger.failures if ledger.design.row(f) == missing[0])
        last = max(of_row, key=lambda failure: failure.attempt)
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
        by_name = {"seed": 0} if "seed" in signature.parameters else {}
        try:
            signature.bind(*((None,) if by_name else (None, 0)), **by_name)
        except TypeError:
            received = f"one with the signature {signature}"
            message = checks.wording("`simulator`", expected, received, remedy)
            raise TypeError(message) from None
    return simulator


def _store(directory: Any, design: Design, simulator: Callable[..., Any]) -> Store:
    path = checks.path("directory", directory, "None stores no files.")
    return Store(path, {"format": 1, "simulator": name_of(simulator)} | design.as_dict())
