"""The attributes of approximate Bayesian computation, under the seed's names."""

from __future__ import annotations

import numpy as np

from imnn_lab import checks
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.rejection import Acceptance


class DrawAttributes:
    """Draws, and which of them each target accepts.

    What belongs to a target comes as a list, or as an array with a first axis, over the targets.
    """

    _draws: Draws | None = None
    _acceptances: list[Acceptance] | None = None

    @property
    def draws(self) -> Draws:
        """All draws made.

        Raises
        ------
        RuntimeError
            If there are none yet.
        """
        if self._draws is None:
            remedy = "Call it first: ABC(draws=...)."
            message = checks.wording("The ABC", "have made its draws", "none", remedy)
            raise RuntimeError(message)
        return self._draws

    @property
    def acceptances(self) -> list[Acceptance]:
        """What `accept_reject` decided for each target.

        Raises
        ------
        RuntimeError
            If it has not been called since the last draws.
        """
        if self._acceptances is None:
            remedy = "Call ABC.accept_reject(ε), or pass ε along."
            expected = "know which draws to accept"
            raise RuntimeError(checks.wording("The ABC", expected, "draws without ε", remedy))
        return self._acceptances

    @property
    def parameters(self) -> np.ndarray:
        """Parameters whose simulations succeeded, shape (n, n_params)."""
        return self.draws.parameters

    @property
    def estimates(self) -> np.ndarray:
        """Their estimates, shape (n, n_params)."""
        return self.draws.estimates

    @property
    def differences(self) -> np.ndarray:
        """Estimates minus each target's, shape (n_targets, n, n_params)."""
        return np.stack([target.differences(self.estimates) for target in self.targets])  # type: ignore[attr-defined]

    @property
    def distances(self) -> np.ndarray:
        """Distances from each target, shape (n_targets, n)."""
        return np.stack([target.distances(self.estimates) for target in self.targets])  # type: ignore[attr-defined]

    @property
    def num_draws(self) -> int:
        """Number of simulations, accepted + rejected + failed."""
        return self.draws.num_draws

    @property
    def num_failed(self) -> int:
        """Number of simulations that failed."""
        return self.draws.num_failed

    @property
    def failed_parameters(self) -> np.ndarray:
        """Where simulations failed, shape (num_failed, n_params)."""
        return self.draws.failed_parameters

    @property
    def failure(self) -> str | None:
        """What the first failure said."""
        return self.draws.failure

    @property
    def num_accepted(self) -> np.ndarray:
        """Accepted draws of each target, shape (n_targets,)."""
        return np.array([acceptance.num_accepted for acceptance in self.acceptances])

    @property
    def num_rejected(self) -> np.ndarray:
        """Rejected draws of each target, shape (n_targets,)."""
        return np.array([acceptance.num_rejected for acceptance in self.acceptances])

    @property
    def accepted_parameters(self) -> list[np.ndarray]:
        """Parameters of each target's accepted draws, shape (num_accepted[i], n_params)."""
        return [a.draws.parameters[a.accepted] for a in self.acceptances]

    @property
    def accepted_estimates(self) -> list[np.ndarray]:
        """Estimates of each target's accepted draws, shape (num_accepted[i], n_params)."""
        return [a.draws.estimates[a.accepted] for a in self.acceptances]

    @property
    def accepted_differences(self) -> list[np.ndarray]:
        """Differences of each target's accepted draws, shape (num_accepted[i], n_params)."""
        return [a.differences[a.accepted] for a in self.acceptances]

    @property
    def accepted_distances(self) -> list[np.ndarray]:
        """Distances of each target's accepted draws, shape (num_accepted[i],)."""
        return [a.distances[a.accepted] for a in self.acceptances]

    @property
    def rejected_parameters(self) -> list[np.ndarray]:
        """Parameters of each target's rejected draws, shape (num_rejected[i], n_params)."""
        return [a.draws.parameters[~a.accepted] for a in self.acceptances]

    @property
    def rejected_estimates(self) -> list[np.ndarray]:
        """Estimates of each target's rejected draws, shape (num_rejected[i], n_params)."""
        return [a.draws.estimates[~a.accepted] for a in self.acceptances]

    @property
    def rejected_differences(self) -> list[np.ndarray]:
        """Differences of each target's rejected draws, shape (num_rejected[i], n_params)."""
        return [a.differences[~a.accepted] for a in self.acceptances]

    @property
    def rejected_distances(self) -> list[np.ndarray]:
        """Distances of each target's rejected draws, shape (num_rejected[i],)."""
        return [a.distances[~a.accepted] for a in self.acceptances]
