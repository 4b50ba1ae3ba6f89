"""The work of one visitor: building a network, fits, an inference; all end with the session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab.archive.state import SavedTraining
from imnn_lab.dashboards.common.background import Work
from imnn_lab.dashboards.results.files import Results
from imnn_lab.dashboards.training.state import TrainingState
from imnn_lab.laboratory.build import Built
from imnn_lab.laboratory.kept import PERIOD, Kept
from imnn_lab.laboratory.kept_inference import read, write
from imnn_lab.laboratory.offer import Offer
from imnn_lab.laboratory.pool import Pool, PooledNetwork
from imnn_lab.laboratory.sent import Sent
from imnn_lab.laboratory.stored import TAKEN

SAME_FISHER = 1e-9  # relative: F of one network differs by its rounding alone
TRAINED_SINCE = "The network was trained since: these posteriors are of the one before."


class LaboratorySession:
    """The work of one visitor.

    Parameters
    ----------
    pool : Pool
        Bounds what runs at once on this server.
    offer : Offer, optional
        What the server offers.
    kept : Kept, optional
        Keeps it on disk.

    Attributes
    ----------
    sent, sent_results : Sent
        The files that the visitor sent: simulations, and results of another session.
    wanted : dict
        Settings that the address of the page asks for.
    looked_at : float
        Share of own data that is looked at before a network is built.
    training : TrainingState or None
        What is chosen on the page that was opened last.
    """

    def __init__(self, pool: Pool, offer: Offer | None = None, kept: Kept | None = None) -> None:
        self.pool, self.offer, self.kept = pool, offer or Offer(), kept
        most = self.offer.most_bytes
        self.sent, self.sent_results = Sent(most, TAKEN), Sent(most, (".npz",))
        self.wanted: dict[str, Any] = {}
        self.training: TrainingState | None = None
        self.building, self.looked_at = Work("building a network"), 0.0
        self.built: Built | None = None
        self.network: PooledNetwork | None = None
        self.inference: Any = None
        self._keeping, self._due = Work("keeping an inference"), 0.0
        self._kept_key: object = None
        pool.workers.add(self)

    def build(
        self,
        make: Callable[[], Built],
        check: Callable[[Callable[[float], bool]], object] | None = None,
    ) -> None:
        """Stop all work, and make a network in a thread once the pool has a slot.

        Parameters
        ----------
        make : callable
            Returns the network.
        check : callable, optional
            Called in the thread, before anything is stopped; if it raises, all goes on. It is
            given what to call with the share that it has looked at, and whether to go on returns.
        """
        if self.building.is_running:
            return

        def task(stop: threading.Event) -> str:
            def go_on(share: float) -> bool:
                self.looked_at = share
                return not stop.is_set()

            self.looked_at = 0.0
            if check is not None:
                check(go_on)
                if stop.is_set():
                    return "cancelled while looking at the simulations"
            self.looked_at = 1.0
            self._stop_all_else()
            if stop.is_set() or not self.pool.enter(self, stop.is_set):
                return "cancelled while queued"
            try:
                built = make()
            finally:
                self.pool.leave()
            if self.kept is not None:
                self.kept.keep(built)
            self.inference, lost = self._kept_inference(built)
            network, record = PooledNetwork(built.imnn, self.pool, self.kept), {}
            if self.kept is not None:
                record = self.kept.recall(network)
                found, reasons = self.kept.answers()
                network.questions.restore(found)
                try:
                    network.ghosts.restore(self.kept.past())
                except (OSError, ValueError) as error:
                    reasons.append(str(error))
                lost += "".join(f" ({reason})" for reason in reasons)
            self.network, self.built = network, built
            Kept.go_on(network, record)
            return f"{built.title} is ready{lost}"

        self.building.start(task)

    def show(self, built: Built) -> None:
        """Show a network that did not have to be built."""
        self.network, self.built = PooledNetwork(built.imnn, self.pool, self.kept), built

    def prepare(self) -> None:
        """Make the network of what is shown, in a thread once the pool has a slot.

        A fit that runs or waits makes it itself.
        """
        built, fit = self.built, None if self.network is None else self.network.pooled
        if built is None or built.is_ready or (fit is not None and not fit.has_ended):
            return

        def task(stop: threading.Event) -> str:
            if not self.pool.enter(self, stop.is_set):
                return "cancelled while queued"
            try:
                built.imnn.network()
            finally:
                self.pool.leave()
            return f"{built.title}: the network is ready"

        self.building.start(task)

    @property
    def is_used(self) -> bool:
        """Whether the visitor has asked for something."""
        has_run = self.network is not None and self.network.run is not None
        has_network = self.built is not None and getattr(self.built, "is_ready", True)
        return has_run or has_network or self.building.state != "idle"

    def new_place(self) -> Path | None:
        """Return where the next network is saved, None if it is not."""
        return None if self.kept is None else self.kept.new_place()

    @property
    def position(self) -> int:
        """Position in this server's queue, 0 when nothing of this session waits."""
        fit = None if self.network is None else self.network.pooled
        return self.pool.position(self) or (0 if fit is None else fit.position)

    def stop(self) -> None:
        """End all work of this session."""
        self.building.stop()
        self._stop_all_else()

    def _stop_all_else(self) -> None:
        run = None if self.network is None else self.network.run
        if run is not None:
            run.stop()
        if self.network is not None:
            self.network.questions.stop()
        if self.inference is not None:
            self.inference.stop()

    @property
    def is_trained_since(self) -> bool:
        """Whether the network was trained after it was taken for the inference."""
        if self.inference is None or self.built is None or not self.built.is_ready:
            return False
        imnn = self.built.imnn
        found = imnn.validation or imnn.training
        return found is not None and not np.allclose(
            self.inference.Fisher, found.F, rtol=SAME_FISHER, atol=0.0
        )

    def keep_inference(self, now: bool = False) -> None:
        """Write the inference to disk if it has changed: when it pauses, else now and then.

        Parameters
        ----------
        now : bool
            Whether to write it at once, and wait for it.
        """
        if now:
            self._keeping.wait()
        state = self.inference
        if self.kept is None or state is None or self._keeping.is_running:
            return
        is_due = now or time.monotonic() >= self._due
        if not is_due and any(work.is_running for work in state.works):
            return
        shown = state.snapshot()
        n_epochs = 0 if shown.learned is None else len(shown.learned.training)
        n_predicted = 0 if state.predictive is None else len(state.predictive.data)
        results = shown.populations, shown.calibrations, state.observations
        numbers = shown.acceptance.draws.num_draws, n_epochs, n_predicted, *map(len, results)
        key = (state, state.changes, *numbers)
        path = self.kept.inference
        if path is None or (key == self._kept_key and not now):
            return
        self._kept_key, self._due = key, time.monotonic() + PERIOD

        def task(stop: threading.Event) -> str:
            write(path, state)
            return "kept"

        self._keeping.start(task)
        if now:
            self._keeping.wait()

    def _kept_inference(self, built: Built) -> tuple[Any, str]:
        """Return the inference that is kept with a network, and why it is lost if it is."""
        path = None if self.kept is None else self.kept.inference
        if path is None or not path.is_file():
            return None, ""
        try:
            return read(path, built), ""
        except (OSError, TypeError, ValueError, KeyError) as error:
            return None, f" ({error})"

    def end(self) -> None:
        """End all work, keep what is kept, and remove the files that were sent."""
        self.stop()
        self.keep_inference(now=True)
        for sent in (self.sent, self.sent_results):
            sent.close()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all work of this session is over; return whether it is.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which to give up.
        """
        works: list[Any] = [self.building]
        if self.network is not None:
            works += self.network.questions.works
            works += [] if self.network.pooled is None else [self.network.pooled]
        if self.inference is not None:
            works += self.inference.works
        end = None if timeout is None else time.monotonic() + timeout
        return all(
            work.wait(None if end is None else max(0.0, end - time.monotonic())) for work in works
        )

    def results(self) -> Results:
        """Return the results of this session so far."""
        trainings, posteriors = {}, {}
        if self.built is not None and self.built.is_ready:
            imnn = self.built.imnn
            both = {"training": imnn.training, "validation": imnn.validation}
            statistics = {name: s for name, s in both.items() if s is not None}
            trainings["this session"] = SavedTraining(imnn.settings, statistics, imnn.history)
        if self.inference is not None:
            samples = self.inference.snapshot().samples
            posteriors = {name: p for name, p in samples.items() if p is not None}
        note = TRAINED_SINCE if posteriors and self.is_trained_since else ""
        return Results(trainings, posteriors, note)
