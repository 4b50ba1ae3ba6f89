"""Move the fiducial parameters to where the data are, and train there.

An estimate is linear about θ_fid, and F is that at θ_fid: far away both are wrong. Each round makes
new simulations at the estimate of the observation, and starts a copy of the network on them: its
last layer is solved anew in closed form. It ends when the estimate lies near the fiducial.

The observation chooses where the network is trained, and nothing else. Used once more, as when the
posterior of one round becomes the prior of the next, it makes errors too small.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import campaign, checks, storage
from imnn_lab.diagnostics import Light, Verdict
from imnn_lab.executors import Executor
from imnn_lab.inference import Prior, Target, as_prior
from imnn_lab.inference.arguments import as_fisher
from imnn_lab.progress import announce

MANIFEST, FIDUCIAL, NETWORK = "retraining.json", "fiducial.json", "network"
ONCE = (
    "The observation chose where to train; it must not be used twice: keep the prior of before, "
    "not the posterior of an earlier round, and quote only the last posterior."
)


@dataclass(frozen=True, eq=False)
class Retraining:
    """Where the fiducial parameters were moved, and the network that was trained there.

    Attributes
    ----------
    imnn : IMNN
        The last one; that of the call if the fiducial was not moved.
    fiducials : ndarray, shape (rounds + 1, n_params)
        Fiducial parameters, those of the call first.
    estimates : ndarray, shape (rounds + 1, n_params)
        The estimate of the observation by the network of each.
    distances : ndarray, shape (rounds + 1,)
        Of the estimate from the fiducial, in σ: sqrt(Δ·F Δ).
    reason : str
        Why it ended: "settled", "max_rounds", "bounds" if the prior ends before the estimate, or
        "lost" if the estimate lies near only because F has become small there: farther from the
        fiducial than that lies from the first one.
    """

    imnn: Any
    fiducials: np.ndarray
    estimates: np.ndarray
    distances: np.ndarray
    reason: str

    @property
    def rounds(self) -> int:
        """How many times the fiducial was moved."""
        return len(self.distances) - 1

    @property
    def verdict(self) -> Verdict:
        """What this says, in words, with what must not be done with it."""
        last = f"{self.distances[-1]:.2g} σ from the fiducial"
        if not self.rounds and self.reason == "settled":
            return Verdict(Light.GREEN, f"The estimate lies {last}: nothing is to be moved.")
        moved = f"The estimate lay {self.distances[0]:.2g} σ from the fiducial"
        rounds = "1 round" if self.rounds == 1 else f"{self.rounds} rounds"
        words = f"{moved}, and after {rounds} lies {last}."
        if self.reason == "settled":
            return Verdict(Light.GREEN, words, ONCE)
        if self.reason == "lost":
            words += (
                " That is near only because F has become small: the network knows little there."
            )
            remedy = "Train it there (`fit=`), or give a network whose outputs do not saturate."
            return Verdict(Light.RED, words, f"{remedy} {ONCE}")
        if self.reason == "bounds":
            words += " The prior ends before the estimate."
            return Verdict(Light.AMBER, words, f"Look at `imnn.novelty`. {ONCE}")
        return Verdict(Light.AMBER, words, f"Raise `max_rounds`, or simulate more. {ONCE}")

    def __str__(self) -> str:
        rows = [
            f"round {i}: fiducial {np.round(θ, 4).tolist()}, estimate {np.round(x, 4).tolist()}, "
            f"{ρ:.2f} σ apart"
            for i, (θ, x, ρ) in enumerate(
                zip(self.fiducials, self.estimates, self.distances, strict=True)
            )
        ]
        return "\n".join([*rows, str(self.verdict)])


@dataclass(frozen=True)
class Rounds:
    """How simulations are made and networks renewed, round after round.

    Attributes
    ----------
    simulator : callable
    renew : callable
        ``renew(directory, θ_fid, training, validation)``: a copy of the network at other
        parameters, started on these simulations; read from the directory if it is saved there.
    δθ : ndarray, shape (n_params,)
    counts, validation_counts : pair of int
        n_s and n_d.
    seed : int
    executor : concurrent.futures.Executor or None
    directory : Path or None
    verbose : bool
    """

    simulator: Callable[..., Any]
    renew: Callable[..., Any]
    δθ: np.ndarray
    counts: tuple[int, int]
    validation_counts: tuple[int, int]
    seed: int
    executor: Executor | None
    directory: Path | None
    verbose: bool

    def fiducial(self, number: int, θ: np.ndarray) -> np.ndarray:
        """Return the fiducial parameters of a round: those of before, if it has begun before."""
        if self.directory is None:
            return θ
        file = self._place(number) / FIDUCIAL
        if file.is_file():
            with storage.whole(file, "Remove the directory of this round."):
                kept = json.loads(file.read_text(encoding="utf-8"))["θ_fid"]
                return checks.vector("θ_fid", kept, len(θ))
        with storage.aside(file) as temporary:
            storage.save_json(temporary, {"θ_fid": θ.tolist()})
        return θ

    def trained(self, number: int, θ: np.ndarray) -> Any:
        """Return the network of a round."""
        training, validation = (
            self._simulations(number, kind, name, θ, counts)
            for kind, (name, counts) in enumerate(
                [("training", self.counts), ("validation", self.validation_counts)]
            )
        )
        place = None if self.directory is None else self._place(number) / NETWORK
        return self.renew(place, θ, training, validation)

    def n_simulations(self) -> int:
        """Return how many simulations a round makes."""
        pairs = self.counts, self.validation_counts
        return sum(n_s + 2 * len(self.δθ) * n_d for n_s, n_d in pairs)

    def _simulations(
        self, number: int, kind: int, name: str, θ: np.ndarray, counts: tuple[int, int]
    ) -> campaign.TrainingSet:
        words = np.random.SeedSequence([self.seed, number, kind]).generate_state(1, np.uint64)
        return campaign.training_set(
            self.simulator,
            θ,
            self.δθ,
            *counts,
            seed=int(words[0]),
            executor=self.executor,
            directory=None if self.directory is None else self._place(number) / name,
            show=self.verbose,
        )

    def _place(self, number: int) -> Path:
        return Path(self.directory or "", f"round_{number}")


def retrain(
    imnn: Any,
    observation: Any,
    rounds: Rounds,
    prior: Prior | None,
    max_rounds: int,
    settled: float,
) -> Retraining:
    """Move the fiducial to the estimate until it lies near it.

    Parameters
    ----------
    imnn : IMNN
        Where to begin.
    observation : array, shape input_shape
        One observation.
    rounds : Rounds
        Make simulations and networks.
    prior : Prior, optional
        No simulation is made outside its bounds.
    max_rounds : int
        No round begins after this number.
    settled : float
        Distance in σ that is near.
    """
    fiducials, estimates, distances = [imnn.θ_fid], [], []
    start = Target(imnn.θ_fid, as_fisher(imnn.F))
    while True:
        θ = imnn.get_estimate(observation)
        estimates.append(θ)
        target = Target(fiducials[-1], as_fisher(imnn.F))
        distances.append(float(target.distances(θ[None])[0]))
        moved = _inside(θ, rounds.δθ, prior)
        number = len(distances)
        if distances[-1] < settled:
            way = start.distances(np.stack([fiducials[-1], fiducials[-1] + start.estimate - θ]))
            reason = "lost" if way[1] > way[0] > 0 else "settled"
        elif target.distances(moved[None])[0] < settled:
            reason = "bounds"
        elif number > max_rounds:
            reason = "max_rounds"
        else:
            moved = rounds.fiducial(number, moved)
            if rounds.verbose:
                announce(
                    f"Round {number}: {rounds.n_simulations():,} simulations at {moved.tolist()}; "
                    f"the estimate lies {distances[-1]:.2g} σ from the fiducial."
                )
            imnn = rounds.trained(number, moved)
            fiducials.append(moved)
            continue
        history = np.stack(fiducials), np.stack(estimates), np.array(distances)
        return Retraining(imnn, *history, reason)


def checked_directory(directory: Any, **about: Any) -> Path:
    """Return a directory that belongs to this retraining, or is new."""
    path = checks.path("directory", directory, "None keeps no files.")
    storage.described(path / MANIFEST, "retraining", about)
    return path


def checked_prior(prior: Any, δθ: np.ndarray) -> Prior | None:
    """Return a prior whose bounds leave space for the derivative, or None."""
    if prior is None:
        return None
    found = as_prior(prior, len(δθ))
    if not (found.high - found.low > δθ).all():
        received = f"bounds {found.bounds.tolist()}"
        expected = f"be wider than δθ = {δθ.tolist()}"
        raise ValueError(checks.wording("`prior`", expected, received))
    return found


def digest(observation: Any) -> str:
    """Return what tells one observation from another."""
    array = np.ascontiguousarray(checks.real_array("observation", observation), np.float64)
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def _inside(θ: np.ndarray, δθ: np.ndarray, prior: Prior | None) -> np.ndarray:
    return θ if prior is None else np.clip(θ, prior.low + δθ / 2, prior.high - δθ / 2)
