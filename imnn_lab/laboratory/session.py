"""What one visitor does: a network built, fits, an inference; all of it ends with the session."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from imnn_lab.dashboards.results_files import Results
from imnn_lab.dashboards.work import Work
from imnn_lab.laboratory.building import Built
from imnn_lab.laboratory.pool import Pool, PooledNetwork
from imnn_lab.saved import SavedTraining


class LaboratorySession:
    """The work of one visitor.

    Parameters
    ----------
    pool : Pool
        Bounds what runs at once on this server.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.building = Work("building a network")
        self.built: Built | None = None
        self.network: PooledNetwork | None = None
        self.inference: Any = None
        self.problem = ""

    def build(self, make: Callable[[], Built]) -> None:
        """Make a network in a thread, when there is a place; the last one is stopped."""
        if self.building.is_running:
            return
        self.stop()

        def task(stop: threading.Event) -> str:
            if not self.pool.enter(self, stop.is_set):
                return "it was left"
            try:
                built = make()
            finally:
                self.pool.leave()
            self.network, self.built = PooledNetwork(built.imnn, self.pool), built
            return f"{built.title} is ready"

        self.building.start(task)

    @property
    def position(self) -> int:
        """Position in the line of this server, 0 when nothing of this session waits."""
        run = None if self.network is None else self.network.run
        return self.pool.position(self) or int(getattr(run, "position", 0))

    @property
    def run(self) -> LaboratorySession:
        """What is stopped when the session ends."""
        return self

    def stop(self) -> None:
        """End all work of this session."""
        self.building.stop()
        run = None if self.network is None else self.network.run
        if run is not None:
            run.stop()
        if self.inference is not None:
            self.inference.stop()

    def results(self) -> Results:
        """Return what this session has found so far."""
        trainings, posteriors = {}, {}
        if self.built is not None:
            imnn = self.built.imnn
            found = {"training": imnn.training, "validation": imnn.validation}
            statistics = {name: s for name, s in found.items() if s is not None}
            trainings["this session"] = SavedTraining(imnn.settings, statistics, imnn.history)
        if self.inference is not None:
            samples = self.inference.snapshot().samples
            posteriors = {name: p for name, p in samples.items() if p is not None}
        return Results(trainings, posteriors)
