"""The design of a campaign: the parameters and seeds of its simulations, in rows.

A campaign has n_s + n_d rows, each with one seed. A fiducial row is one simulation at θ_fid; a
derivative row is 2 n_params simulations, at θ_fid − δθ_α/2 for each α, then at θ_fid + δθ_α/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.simulate import Batch, spawn_seeds


@dataclass(frozen=True)
class Failure:
    """A simulation that failed, and how.

    Attributes
    ----------
    kind : str
        "fiducial" or "derivative".
    index : tuple of int
        Its index in that array: (row,), or (row, side, parameter) with side 0 the lower.
    parameters : tuple of float, length n_params
        Its parameters.
    seed : int
        Its seed.
    attempt : int
        Number of failed attempts at the row before, in the same call of `training_set`.
    traceback : str
        Traceback of the simulator, or a description.
    """

    kind: str
    index: tuple[int, ...]
    parameters: tuple[float, ...]
    seed: int
    attempt: int
    traceback: str

    def __str__(self) -> str:
        where = f"{self.kind}[{', '.join(map(str, self.index))}]"
        return f"{where} at parameters {list(self.parameters)} with seed {self.seed}"

    def as_dict(self) -> dict[str, Any]:
        """Return the failure as a dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Failure:
        """Make a failure from the dict of `as_dict`.

        Parameters
        ----------
        values : dict
            The result of `as_dict`.
        """
        lists = {name: tuple(v) for name, v in values.items() if isinstance(v, list)}
        return cls(**values | lists)


@dataclass(frozen=True)
class Design:
    """The checked arguments of a campaign; rows are numbered with the fiducial ones first."""

    θ_fid: tuple[float, ...]
    δθ: tuple[float, ...]
    n_s: int
    n_d: int
    seed: int

    @classmethod
    def checked(cls, θ_fid: Any, δθ: Any, n_s: Any, n_d: Any, seed: Any) -> Design:
        """Check arguments as the user gave them.

        Raises
        ------
        TypeError, ValueError
            If one has the wrong type, shape, sign or range.
        """
        centre = np.atleast_1d(checks.real_array("θ_fid", θ_fid))
        if centre.ndim != 1 or not centre.size:
            expected = "have one entry for each parameter, shape (n_params,)"
            raise ValueError(checks.wording("`θ_fid`", expected, f"shape {centre.shape}"))
        width = checks.vector("δθ", δθ, len(centre))
        if not (width > 0).all():
            remedy = "δθ is the full width of the central difference, θ⁺ − θ⁻."
            raise ValueError(checks.wording("`δθ`", "be positive", width.tolist(), remedy))
        return cls(
            tuple(checks.vector("θ_fid", centre, len(centre)).tolist()),
            tuple(width.tolist()),
            checks.integer("n_s", n_s, 1, maximum=checks.MOST),
            checks.integer("n_d", n_d, 1, maximum=checks.MOST),
            checks.integer("seed", seed, 0, maximum=checks.LARGEST_SEED),
        )

    @property
    def n_params(self) -> int:
        """Number of parameters."""
        return len(self.θ_fid)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.n_s + self.n_d

    def as_dict(self) -> dict[str, Any]:
        """Return the design as a dict that JSON can hold."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    def seeds(self, replacements: int) -> np.ndarray:
        """Return the first seed of each row and those that replace it, (1 + replacements, n_rows).

        All are different, and none depends on `replacements`.
        """
        return spawn_seeds(self.seed, (1 + replacements) * self.n_rows).reshape(-1, self.n_rows)

    def length(self, row: int) -> int:
        """Return the number of simulations in a row."""
        return 1 if row < self.n_s else 2 * self.n_params

    def parameters(self, row: int) -> np.ndarray:
        """Return the parameters of a row, (length, n_params)."""
        centre = np.array(self.θ_fid)[None]
        if row < self.n_s:
            return centre
        steps = 0.5 * np.diag(self.δθ)
        return np.concatenate([centre - steps, centre + steps])

    def batch(self, rows: Sequence[int], seeds: np.ndarray) -> Batch:
        """Return a batch of some rows, each with its entry of `seeds` (n_rows,)."""
        parameters = np.concatenate([self.parameters(row) for row in rows])
        return Batch(parameters, np.repeat(seeds[list(rows)], [self.length(row) for row in rows]))

    def row(self, failure: Failure) -> int:
        """Return the row of a failure."""
        return failure.index[0] + (self.n_s if failure.kind == "derivative" else 0)

    def failure(self, row: int, number: int, seed: int, attempt: int, traceback: str) -> Failure:
        """Return the failure of one simulation of a row, by its number in the row."""
        side_and_parameter = tuple(divmod(number, self.n_params))
        fiducial = row < self.n_s
        return Failure(
            "fiducial" if fiducial else "derivative",
            (row,) if fiducial else (row - self.n_s, *side_and_parameter),
            tuple(self.parameters(row)[number].tolist()),
            seed,
            attempt,
            traceback,
        )
