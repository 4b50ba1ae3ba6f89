"""What ABC and population Monte Carlo share: a distance between estimates and the target's."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from imnn_lab import checks
from imnn_lab.executors import Executor
from imnn_lab.inference import Target
from imnn_lab.inference.distances import Distance, as_distance
from imnn_lab.lfi.base import SimulatedInference


class ComparingInference(SimulatedInference):
    """Inference that keeps what is near to the target.

    Parameters
    ----------
    target_data, prior, Fisher, get_estimate, simulator, labels, seed, executor, max_failed
        See `SimulatedInference`.
    verbose, directory
        See `SimulatedInference`. The draws in a directory know no distance, and serve any.
    distance : "fisher", "mad" or callable
        See `ApproximateBayesianComputation`.
    """

    _distance: Distance = "fisher"

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
        distance: Distance = "fisher",
    ) -> None:
        super().__init__(
            target_data, prior, Fisher, get_estimate, simulator, labels,
            seed=seed, executor=executor, max_failed=max_failed, verbose=verbose,
            directory=directory,
        )  # fmt: skip
        self._distance = as_distance(distance, self.Fisher)

    @property
    def distance(self) -> Distance:
        """What counts as near: "fisher", "mad" or a function; as given, it does not change."""
        return self._distance

    @property
    def targets(self) -> list[Target]:
        """The targets' estimates, with the distance from them, in the units of the draws."""
        return [replace(target, distance=self._distance) for target in super().targets]

    def _dashboard(self, simulator: Callable[..., Any] | None, **results: Any) -> Any:
        if self._distance != "fisher":
            received = f"distance={self._distance!r}"
            remedy = "Build another object without `distance`; `directory=` gives it these draws."
            expected = 'have distance="fisher", the one that it shows'
            raise ValueError(checks.wording("The page of an inference", expected, received, remedy))
        return super()._dashboard(simulator, **results)
