"""What trains a network: its data, its optimiser, and where training stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from imnn_lab.archive.archive import Archive, assign
from imnn_lab.archive.fingerprint import new_fingerprint
from imnn_lab.archive.state import check_directory
from imnn_lab.estimator import Estimator, Summariser
from imnn_lab.fisher import fisher_statistics
from imnn_lab.history import History
from imnn_lab.networks.last_layer import ClosedForm, last_dense_layer
from imnn_lab.networks.setup import same_optimiser
from imnn_lab.replicas import Replicas
from imnn_lab.results import FisherStatistics
from imnn_lab.settings import Settings
from imnn_lab.sources.augmentation import MapFunction
from imnn_lab.sources.source import Source
from imnn_lab.summaries import Compressor
from imnn_lab.training.projected import Projected
from imnn_lab.training.run import START, FitPlan, Run
from imnn_lab.training.step import TrainingGraph

NO_START = (
    "`warm_start`, `whiten` and `seed` must be left out for a network that does not end in a "
    "trained linear `Dense` layer. Make the IMNN with them instead."
)


@dataclass
class Network:
    """A Keras model and all that is known of it.

    Attributes
    ----------
    settings : Settings
    model : keras.Model
        The network, whitening included.
    optimiser : keras.optimizers.Optimizer
        A copy of the user's.
    optimiser_config : dict
        How Keras writes the optimiser down.
    initial : list of ndarray
        All variables of the model before any training.
    history : History
    statistics : dict
        FisherStatistics of "training" and "validation", for the present weights.
    training_state : list of ndarray
        Saved variables of a `TrainingGraph`, until a graph takes them over.
    next : int
        Number of the next iteration of an interrupted training, otherwise −1.
    ridge : ndarray, shape (D,), or None
        Ridge of each feature in the projected objective, None if it was not used.
    preprocess : callable or None
        What is done to data before the network sees them.
    fingerprint : str
        What all saved files of the network carry.
    closed_form : ClosedForm or None
        For its last layer, if there is one already.
    """

    settings: Settings
    model: keras.Model
    optimiser: keras.optimizers.Optimizer
    optimiser_config: dict[str, Any]
    initial: list[np.ndarray]
    history: History = field(default_factory=History)
    statistics: dict[str, FisherStatistics] = field(default_factory=dict)
    summaries: tuple[np.ndarray, np.ndarray] | None = None
    training_state: list[np.ndarray] = field(default_factory=list)
    next: int = -1
    ridge: np.ndarray | None = None
    preprocess: MapFunction | None = None
    fingerprint: str = field(default_factory=new_fingerprint)
    closed_form: ClosedForm | None = None

    def __post_init__(self) -> None:
        self.summariser = Summariser(self.model, self.settings.dtype)

    @property
    def estimator(self) -> Estimator:
        """The estimator with the last frozen weights and statistics."""
        found = self.statistics.get("validation") or self.statistics.get("training")
        if found is None:
            raise RuntimeError("There are no statistics yet: give data or fit the network first.")
        if self.settings.is_preprocessed and self.preprocess is None:
            raise RuntimeError(
                "This IMNN was trained with a `map_fn`, which is code and not saved. "
                "Pass it again: IMNN.load(directory, map_fn=...)."
            )
        θ_fid = np.array(self.settings.θ_fid)
        known = found, θ_fid, self.settings.input_shape, self.preprocess, self.settings.labels
        return Estimator(self.summariser, *known, self.settings.encoding)

    def archive(self) -> Archive:
        """Return what is to be saved."""
        return Archive(
            settings=self.settings,
            weights=arrays_of(self.model.variables),
            initial=self.initial,
            statistics=self.statistics,
            summaries=self.summaries,
            history=self.history,
            optimiser=self.optimiser_config,
            training_state=self.training_state,
            next=self.next,
            ridge=self.ridge,
            fingerprint=self.fingerprint,
        )


class Trainer:
    """Trains a network on its data, one run at a time.

    Parameters
    ----------
    network : Network
        What is trained.
    training, validation : source
        The data; validation may be None.
    path : Path or None
        Directory for checkpoints and for what is saved at the end of a run.
    saves : bool
        Whether to save at the end of a run.
    overwrites : bool
        Whether another network that is saved there may be replaced.
    replicas : Replicas
        What shares the simulations; the first worker alone saves.
    """

    def __init__(
        self,
        network: Network,
        training: Source,
        validation: Source | None,
        path: Path | None,
        saves: bool,
        overwrites: bool,
        replicas: Replicas,
    ) -> None:
        self.network, self.replicas = network, replicas
        self.path = path if replicas.is_chief else None
        self.saves, self.overwrites = saves, overwrites
        self.training, self.validation = training, validation
        self.run: Run | None = None
        self._compressor = Compressor(network.model)
        self._lock = threading.Lock()
        self._graph: TrainingGraph | None = None
        self._projected: Projected | None = None
        self._untrained: list[np.ndarray] = []
        self._as_given = same_optimiser(network.optimiser)
        self._has_written, self._is_warm = False, network.settings.warm_start
        level = network.history["level"][-1:]
        for source in self._sources().values():
            if source.level is not None and np.isfinite(level).any():
                source.level.assign(level[0])

    @property
    def level(self) -> float | None:
        """Level of the `map_fn` now, None if it has none."""
        return None if self.training.level is None else float(self.training.level)

    def new_run(self, plan: FitPlan) -> Run:
        """Return a run that is ready to be driven; refuse while another goes on."""
        self.replicas.check_outside()
        with self._lock:
            if self.run is not None and not self.run.has_ended:
                raise RuntimeError(
                    "Another fit of this IMNN is running. Wait for it (`imnn.run.wait()`) or stop "
                    "it (`imnn.run.stop()`) first."
                )
            if self.path is not None and (self.saves or plan.checkpoint):
                check_directory(self.path, self.network.fingerprint, self.overwrites)
            if plan.objective == "projected" and self._projected is None:
                self._projected = Projected(self._closed_form, self.training)
            self._untrained = []
            if self.network.next < 0 or plan.reset:
                self.network.ridge = None
            if self._chooses_start(plan) and self._closed_form is None:
                raise ValueError(NO_START)
            graph, first = self._ready_graph(plan)
            graph.objective = self._projected if plan.objective == "projected" else None
            graph.gaussianity = plan.gaussianity
            for name, source in self._sources().items():
                n_s, n_d = (getattr(source, "drawn", None) or (source.n_s, source.n_d))[:2]
                self.network.history.counts[name] = n_s, n_d, source.n_external
            run = Run(
                graph,
                self.network.history,
                plan,
                first=first,
                begin=self._begin,
                finish=self._finish,
                checkpoint=self._checkpoint,
            )
            if plan.level is not None:
                run.check_has_level()
            self.run = run
            return run

    def recompute(self) -> None:
        """Freeze the present weights, and find the statistics that belong to them."""
        network = self.network
        network.summariser = network.summariser.refreshed()
        statistics = {}
        for name, source in self._sources().items():
            network.summaries = self._compressor.all_summaries(source)  # validation is the last
            fiducial, derivative = network.summaries
            found = fisher_statistics(
                fiducial, derivative, source.δθ, source.n_external, source.is_present
            )
            statistics[name] = replace(found, names=network.settings.labels)
        network.statistics = statistics

    def _sources(self) -> dict[str, Source]:
        sources = {"training": self.training, "validation": self.validation}
        return {name: source for name, source in sources.items() if source is not None}

    def archive(self) -> Archive:
        """Return what is to be saved, with where training stands."""
        archive = self.network.archive()
        return archive if self._graph is None else replace(archive, training_state=self._state())

    def _state(self) -> list[np.ndarray]:
        return arrays_of(self._graph.state()) if self._graph else self.network.training_state

    @staticmethod
    def _chooses_start(plan: FitPlan) -> bool:
        return any(getattr(plan, name) is not None for name in START)

    def _start_layer(self, plan: FitPlan) -> None:
        """Start the last layer as a plan says, where that is not as the IMNN was made."""
        settings, layer = self.network.settings, self._closed_form
        self._is_warm = settings.warm_start if plan.warm_start is None else plan.warm_start
        if layer is None or not self._chooses_start(plan):
            return
        whitened = settings.whiten if plan.whiten is None else plan.whiten
        training = self.training.fixed()
        if self._is_warm:
            layer.start(training, self.validation, whitened)
        else:
            layer.scratch(training, whitened, plan.seed)

    def _ready_graph(self, plan: FitPlan) -> tuple[TrainingGraph, int]:
        """Return the graph of training in the state from which it goes on, and its iteration."""
        network = self.network
        if self._graph is not None and not self._graph.is_current:
            network.optimiser, self._graph = same_optimiser(self._as_given), None
        if self._graph is None:
            self._graph = TrainingGraph(
                network.model, network.optimiser, self.training, self.validation, self.replicas
            )
        graph = self._graph
        if plan.reset:
            assign(network.model.variables, network.initial, "The network")
            self._start_layer(plan)
            self._start_optimiser_anew(graph)
            network.history, network.training_state, network.next = History(), [], -1
        if network.training_state:
            assign(graph.state(), network.training_state, "The saved state of training")
            network.training_state = []
        if network.next >= 0:
            first, network.next = network.next, -1
            return graph, first
        if not graph.can_update():  # saved after it had met a number that is not finite
            self._start_optimiser_anew(graph)
        graph.forget_best()
        return graph, max(0, len(network.history) - 1)

    def _start_optimiser_anew(self, graph: TrainingGraph) -> None:
        """Forget the optimiser's moments and steps, and what its learning rate was steered to."""
        fresh = same_optimiser(self._as_given)  # built now: ScheduleFreeAdamW copies the weights
        fresh.learning_rate = graph.learning_rate
        fresh.build(graph.model.trainable_variables)
        assign(graph.optimiser.variables, arrays_of(fresh.variables), "The optimiser")
        graph.learning_rate.factor.assign(1.0)

    def _begin(self, run: Run) -> None:
        """Prepare the projected objective, unless an interrupted fit goes on.

        Workers start from the state of the first.
        """
        network, replicas = self.network, self.replicas
        replicas.check_same("arguments of `fit`", (replace(run.plan, callback=None), run.next))
        replicas.share(run.graph.state())
        if self._projected is not None and run.objective == "projected":
            if network.ridge is None:
                ridge = self._projected.choose_ridge(self.training, self.validation)
                network.ridge = replicas.numbers_of_chief(ridge)
                replicas.share(network.model.variables)
                self._untrained = arrays_of(network.model.variables)
            self._projected.ridge.assign(network.ridge)

    def _finish(self, run: Run) -> None:
        """Take the best weights, solve the last layer again, and find the statistics."""
        is_not_finite = isinstance(run.error, FloatingPointError)
        if is_not_finite:
            run.graph.take_best()
            self._start_optimiser_anew(run.graph)
        is_projected = run.objective == "projected"
        if run.plan.best:
            run.graph.take_best()
            changes: list[Callable[[], object]] = []
            closed_form, settings = self._closed_form, self.network.settings
            is_wanted = (not self.training.is_fresh or is_projected) and not run.plan.gaussianity
            if is_wanted and self._is_warm and closed_form is not None:
                solve, given = closed_form.start, (self.validation, settings.whiten)
                changes.append(lambda: solve(self.training.fixed(), *given))
            if is_projected and self._untrained:
                changes.append(lambda: assign(run.graph.model.variables, self._untrained, "It"))
            self._improve(changes)
        if run.error is None or is_not_finite:  # other errors are those of one worker
            self.replicas.share(self.network.model.variables)
        self.recompute()
        if self.saves and self.path is not None and not run.is_left:
            self._write(self.archive(), self.path, run)

    def _write(self, archive: Archive, path: Path, run: Run) -> None:
        archive.write(path, self.network.model, self.network.estimator, run.plan.weight_file)
        self._has_written = True

    @property
    def _closed_form(self) -> ClosedForm | None:
        """Of the last layer, if it is a linear one that is trained."""
        network = self.network
        if last_dense_layer(network.model) is None:
            return None
        network.closed_form = network.closed_form or ClosedForm.of(network.model)
        return network.closed_form

    def _improve(self, changes: Sequence[Callable[[], object]]) -> None:
        """Change the network; undo each change unless validation improves."""
        if self.validation is None or not changes:
            return
        variables = self.network.model.variables
        best = self._compressor.statistics(self.validation).log_det_F
        for change in changes:
            before = arrays_of(variables)
            change()
            value = self._compressor.statistics(self.validation).log_det_F
            if value > best:
                best = value
            else:
                assign(variables, before, "The network")

    def _checkpoint(self, run: Run) -> None:
        """Store where training stands; what is loaded from it uses the best weights so far."""
        if self.path is None:
            return
        network = self.network
        latest, state = arrays_of(network.model.variables), self._state()
        run.graph.take_best()
        try:
            self.recompute()
            archive = replace(network.archive(), training_state=state, next=run.next)
            if self._has_written and (self.path / "model.keras").exists():
                archive.checkpoint(self.path)
            else:
                self._write(archive, self.path, run)
        finally:
            assign(network.model.variables, latest, "The network")


def arrays_of(variables: Any) -> list[np.ndarray]:
    """Return the values of variables as arrays."""
    return [np.array(variable.numpy()) for variable in variables]
