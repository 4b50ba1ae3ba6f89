"""The information-maximising neural network: data in, estimator out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from imnn_lab import checks, retraining, storage
from imnn_lab.archive.archive import Archive
from imnn_lab.archive.state import STATE, check_directory
from imnn_lab.diagnostics import (
    FisherFlow,
    Forecast,
    HonestFisher,
    LearningCurve,
    Novelty,
    SummarySet,
    honest_fisher,
    novelty,
)
from imnn_lab.diagnostics.fisher import TEST
from imnn_lab.encoding import Encoding, holds_several
from imnn_lab.estimator import Estimator, Summariser, packed_network, unpacked_network
from imnn_lab.executors import Executor, as_executor
from imnn_lab.flow import FlowRecord, Layers, summary_set
from imnn_lab.history import History
from imnn_lab.keras_private import give_one_copy
from imnn_lab.networks import cross_fitting, last_layer, setup
from imnn_lab.networks.choice import Candidate, chosen_network
from imnn_lab.networks.cross_fitting import cross_fitted
from imnn_lab.networks.last_layer import ClosedForm
from imnn_lab.parameters import as_arguments
from imnn_lab.progress import announce, told
from imnn_lab.replicas import Replicas
from imnn_lab.results import FisherStatistics
from imnn_lab.settings import Settings
from imnn_lab.sources import (
    Source,
    array_source,
    encoded,
    refuse_known,
    smallest_count,
    sources,
)
from imnn_lab.sources.augmentation import has_level, is_augmentation
from imnn_lab.sources.checking import warn_of_wide_differences
from imnn_lab.sources.shapes import completed
from imnn_lab.sources.source import ArraySource
from imnn_lab.stencils import Stencils
from imnn_lab.subsets import halves, learning_curve
from imnn_lab.summaries import comfortable_chunk
from imnn_lab.training.run import FitPlan, Run
from imnn_lab.training.trainer import Network, Trainer, arrays_of

if TYPE_CHECKING:
    from imnn_lab.report import Report

DATA = (
    "fiducial", "derivative", "validation_fiducial", "validation_derivative", "external", "map_fn",
    "simulator",
)  # fmt: skip

NO_DATA = (
    "This IMNN was loaded without data, or is a copy, which has none. Save it and pass them to "
    "IMNN.load(directory, fiducial=..., derivative=...)"
)


class IMNN:
    """An information-maximising neural network (Charnock, Lavaux & Wandelt 2018).

    Its pickles and deep copies are as after `save` and `load`: without data and directory.

    Parameters
    ----------
    n_s : int, optional
        Number of fiducial simulations, which give the covariance of the summaries. It, n_d and
        input_shape are those of the arrays unless they are given; other kinds of data need them.
    n_d : int, optional
        Number of derivative simulations, which give the derivative of their mean; of `Stencils`,
        the smallest number of a parameter.
    n_params : int, optional
        Number of parameters: of θ_fid, or of `parameters`.
    n_summaries : int, optional
        Number of summaries that the data are compressed to, at least and by default n_params.
    θ_fid : array-like, shape (n_params,)
        Fiducial parameters, in the units of the parameters.
    δθ : array-like, shape (n_params,), or None
        Full width of the central difference: derivative simulations are at θ_fid ± δθ/2. None
        if the derivatives of the simulations are exact, or `derivative` holds stencils.
    input_shape : tuple of int, dict or list, optional
        Shape of one simulation. (None,) or (None, d): any number of entries, given as lists of
        arrays. A dict or list of shapes: a dict or list of arrays. Such data, complex ones, and
        those with missing values become one real array of shape ``settings.input_shape``, which
        the network takes: see `encode`.
    fiducial : array of shape (n_s,) + input_shape, callable, list of files or tf.data.Dataset
        Simulations at θ_fid for training. Arrays of h5py, zarr, dask and xarray, memory maps and
        `Files` are read in slices. A callable ``fiducial(seed)`` yields (or returns)
        (simulation, seed) for seeds 0 to n_s − 1; files are those of `TFRecords`; a dataset has
        elements (simulation, seed). `cache` says where data that are not arrays are kept.
    derivative : array of shape (n_d, 2, n_params) + input_shape, or another of these kinds
        Simulations below (``[:, 0]``) and above (``[:, 1]``) θ_fid in each parameter, all of one
        row made from the same seed. A callable ``derivative(seed, derivative, parameter)`` yields
        (simulation, (seed, derivative, parameter)), as do the elements of a dataset. With δθ=None
        they are ∂d/∂θ of the first n_d fiducial simulations, (n_d, n_params) + input_shape,
        labelled (seed, parameter). `Stencils` hold simulations at other points, and may have other
        numbers of them for each parameter.
    validation_fiducial, validation_derivative : the same, or None
        The same for validation: arrays of any length; other kinds hold n_s and n_d simulations, or
        `validation_n_s` and `validation_n_d`. Without them the best weights are those with the
        largest det F of the training set, which overestimates the information.
    model : keras.Model, optional
        Network from input_shape to n_summaries; None lets `imnn_lab.networks.choose` find the one
        that keeps most information, and `candidates` are all that it tried. A network is
        trained in place: `Normalization` layers that are not adapted yet are adapted, and a linear
        last layer is started in closed form (`warm_start`) with whitened outputs; `imnn.model` is
        then `model`. A model with another last layer gets a fixed whitening layer appended, and
        `imnn.model` is the two together.
    optimiser : keras.optimizers.Optimizer, optional
        It is copied, so that it can serve several networks. Its learning rate is a number or a
        schedule. `MultiOptimizer`, functions as learning rate, `exclude_from_weight_decay` and
        ``use_ema=True`` without `ema_overwrite_frequency` are refused. Default: Adam.
    save : bool
        Whether to save to ``directory/filename`` at the end of each fit.
    load : bool
        Whether to load what was saved there.
    weights : str, optional
        Name of a file of weights in that directory to load instead of those of the network.
    directory, filename : str, optional
        Where to save and load. A directory that holds another saved network is refused, as is one
        that cannot be written, before any work.
    at_once : int, optional
        How many simulations are in the network at once; None chooses by the size of the network.
    map_fn : callable, optional
        ``map_fn(simulation)``: deterministic preprocessing; `get_estimate` applies it to data as
        well. ``map_fn(simulation, seed)``: augmentation in TensorFlow code with random numbers of
        ``tf.random.stateless_*`` and the seed (2,), which changes with every iteration and is the
        same for a pair. ``map_fn(simulation, seed, level)``: the same with a number that `fit`
        chooses and `Run.steer` changes. All return a simulation of shape input_shape; some are in
        `imnn_lab.augmentations`.
    check_shape : bool
        False skips the check of the shapes of the data.
    verbose : bool
        False prints nothing and shows no progress.
    dtype : tf.DType or str
        float32 or float64; the network must have the same.
    itype : tf.DType or str
        Integer type of indices.
    warm_start : bool
        Whether the last layer starts in closed form (see `imnn_lab.networks.last_layer`).
    whiten : bool
        Whether the summaries start with unit covariance.
    seed : int, optional
        Makes the network chosen for model=None, fresh simulations and augmentation reproducible.
    validation_n_s, validation_n_d : int, optional
        Numbers of validation simulations; None takes what the arrays hold, and n_s and n_d for
        other kinds of data.
    cache : str or None
        Where simulations that are not arrays in memory are kept: "memory"; "disk", a temporary file
        that is read in every iteration; None, nowhere: they are read from their files, or made by
        their function, in every iteration; "auto", memory for less than 1 GiB and otherwise None
        ("disk" for exact derivatives). Unless cached in memory, at most `at_once` simulations are
        loaded at a time. Arrays in memory stay there whatever it is.
    external : tuple, optional
        External summaries of the same simulations, (fiducial, derivative, validation_fiducial,
        validation_derivative): arrays of shape (n_s, n_external), (n_d, 2, n_params, n_external),
        …, or any other kind of data. The network's summaries are trained to add to them: F is that
        of both together, λ and ε act on the network's alone, and n_summaries may be less than
        n_params. `imnn.statistics.without_network` holds the statistics of the external ones.
    simulator : callable, optional
        ``simulator(parameters, seed)`` instead of the data arguments: new simulations in every
        iteration. It gets parameters (n, n_params) and an int32 seed (2,), and returns simulations
        (n,) + input_shape with the same random numbers for the same seed. Written in TensorFlow it
        runs in the graph, and with δθ=None it is differentiated; written in NumPy it runs in a
        thread, one iteration ahead, and needs δθ. Statistics are those of a held-out set of n_s and
        n_d (or `validation_n_s`, `validation_n_d`) simulations, and the weights that are kept are
        averages of the latest.
    overwrite : bool
        Whether to replace another network that is saved in ``directory/filename``.
    parameters : mapping from str to pair, number or Parameter, optional
        Instead of n_params, θ_fid and δθ: {name: (fiducial value, full width)}, or {name: fiducial
        value} for exact derivatives; `Parameter` holds a unit and LaTeX as well. The names stand
        in every table, figure, file and page.
    missing : str, optional
        "mask" takes simulations and observations with missing values: NaN, masked arrays, and the
        marks of healpy and netCDF. What is missing in all of them is dropped; otherwise the network
        gets 0 for it, and a mask as additional last channels. None refuses them.
    longest : int, optional
        The largest number of entries if an axis of `input_shape` is None, by default that of the
        data.
    resample : bool
        Whether the fiducial and derivative simulations, arrays, are a pool of more than n_s and
        n_d, of which every iteration draws n_s and n_d anew. The statistics at the end are those of
        the whole pool; those of the history, of what was drawn.
    strategy : tf.distribute.Strategy, optional
        `OneDeviceStrategy`, `MirroredStrategy` or `MultiWorkerMirroredStrategy`: in each iteration
        of a fit the simulations of training and validation are shared out among its replicas, and
        summaries and gradients are summed over them, so that F and gradient are those of one
        device. All else (checks of the data, fitted layers, closed form, layers that do not
        change, final statistics) is computed by each worker for all simulations, which it keeps in
        memory. Workers are given the same arguments and call the same methods; weights, seed and
        the choice of model=None are those of the first one (the chief), which alone saves, shows
        progress and is steered. A stop of any worker stops all. It is never saved.

    Attributes
    ----------
    settings : Settings
        The arguments that are numbers and words, checked.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape, sign or range, before any work starts; or if
        simulations are missing, duplicated, damaged, not finite, masked, marks of missing data,
        all equal, or in training and validation as well; the message names index or file.
    FileNotFoundError, RuntimeError
        If a file of simulations is missing, or a function of them raises.

    Examples
    --------
    >>> from imnn_lab import IMNN, problems
    >>> problem = problems.gaussian()  # ten values, of mean μ and variance Σ
    >>> fiducial, derivative = problem.training_set(n_s=300, n_d=300, seed=1)
    >>> fiducial.shape, derivative.shape
    ((300, 10), (300, 2, 2, 10))
    >>> validation = problem.training_set(n_s=300, n_d=300, seed=2)
    >>> imnn = IMNN(
    ...     300, 300, 2, 2, problem.θ_fid, problem.δθ, (10,), fiducial, derivative, *validation,
    ...     verbose=False, seed=3,
    ... )
    >>> imnn.F.shape, imnn.statistics_from
    ((2, 2), 'validation')
    """

    @checks.greek_keywords
    def __init__(
        self,
        n_s: int | None = None,
        n_d: int | None = None,
        n_params: int | None = None,
        n_summaries: int | None = None,
        θ_fid: Any = None,
        δθ: Any = None,
        input_shape: tuple[int, ...] | None = None,
        fiducial: Any = None,
        derivative: Any = None,
        validation_fiducial: Any = None,
        validation_derivative: Any = None,
        model: keras.Model | None = None,
        optimiser: keras.optimizers.Optimizer | None = None,
        save: bool = False,
        load: bool = False,
        weights: str | None = None,
        directory: str | None = None,
        filename: str | None = None,
        at_once: int | None = None,
        map_fn: Callable[..., Any] | None = None,
        check_shape: bool = True,
        verbose: bool = True,
        dtype: Any = "float32",
        itype: Any = "int32",
        *,
        warm_start: bool = True,
        whiten: bool = True,
        seed: int | None = None,
        validation_n_s: int | None = None,
        validation_n_d: int | None = None,
        cache: str | None = "auto",
        external: Any = None,
        simulator: Callable[[Any, Any], Any] | None = None,
        overwrite: bool = False,
        strategy: Any = None,
        parameters: Mapping[str, Any] | None = None,
        missing: str | None = None,
        longest: int | None = None,
        resample: bool = False,
    ) -> None:
        stencils = None
        if isinstance(derivative, Stencils):
            if resample is True:
                expected = "be False with Stencils, whose simulations are all taken"
                raise ValueError(checks.wording("`resample`", expected, "True"))
            n_d = checks.optional_integer("n_d", n_d, 2)
            n_d = smallest_count(derivative, fiducial, n_d, holds_several(input_shape))
            stencils = derivative.description
        is_preprocessed = map_fn is not None and not is_augmentation(map_fn)
        given = as_arguments(parameters, n_params=n_params, θ_fid=θ_fid, δθ=δθ)
        given |= {"n_s": n_s, "n_d": n_d, "n_summaries": n_summaries, "input_shape": input_shape}
        kind = {"keeps_shape": not is_preprocessed, "is_pool": resample is True}
        settings = Settings.checked(
            **completed(given, fiducial, derivative, **kind), resample=resample,
            at_once=at_once, check_shape=check_shape, verbose=verbose,
            dtype=dtype, itype=itype, warm_start=warm_start, whiten=whiten, seed=seed,
            validation_n_s=validation_n_s, validation_n_d=validation_n_d, cache=cache,
            has_external=external is not None, stencils=stencils, is_preprocessed=is_preprocessed,
            missing=missing, longest=longest,
        )  # fmt: skip
        replicas = Replicas.checked(strategy)
        path = _path(directory, filename)
        saves, loads = checks.boolean("save", save), checks.boolean("load", load)
        if path is None and (loads or saves or weights is not None):
            raise ValueError(
                "save=True, load=True and `weights` need `directory` and `filename`. "
                "Files go to directory/filename/."
            )
        self._overwrites = checks.boolean("overwrite", overwrite)
        weights_file = (
            None if path is None or weights is None else storage.weights_file(path, weights)
        )
        archive = Archive.read(path) if loads and path is not None else None
        if archive is not None and derivative is None and settings.δθ is None:
            settings = replace(settings, stencils=archive.settings.stencils)
        if path is not None and saves and replicas.is_chief:
            fingerprint = archive.fingerprint if archive else "a new network"
            check_directory(path, fingerprint, self._overwrites)
        data = _data(
            fiducial, derivative, validation_fiducial, validation_derivative, external, map_fn,
            simulator,
        )  # fmt: skip
        settings = _encoded(settings, data, archive)
        with replicas.placed():
            self._assemble(settings, data, model, optimiser, archive, path, saves, replicas)
        if weights_file is not None:
            with storage.whole(weights_file):
                if archive is not None:
                    archive.check_weights(weights_file)
                self.model.load_weights(weights_file)
            self._refresh()

    def _assemble(
        self,
        settings: Settings,
        data: dict[str, Any],
        model: keras.Model | None,
        optimiser: keras.optimizers.Optimizer | None,
        archive: Archive | None,
        path: Path | None,
        saves: bool = False,
        replicas: Replicas | None = None,
    ) -> None:
        self._replicas = replicas = replicas or Replicas()
        _check_shared(settings, data, replicas)
        settings = _of_chief(settings, replicas)
        self.settings, self._path = settings, path
        self._candidates: tuple[Candidate, ...] = ()
        given = None if optimiser is None else setup.copied_optimiser(optimiser)
        if given is not None:
            setup.check_type(given, settings.dtype)
        in_memory = settings if replicas.n == 1 else replace(settings, cache="memory")
        training, validation = sources(in_memory, **data, is_needed=archive is None)
        if replicas.has_others:
            replicas.check_same("settings and data", _digest(settings, training, validation))
        self._trainer: Trainer | None = None
        if archive is not None:
            _check_same(archive.settings, settings)
            archive = archive.labelled_as(settings)
            self.settings = settings.labelled_as(archive.settings)
            where = path or Path()  # copies have none, but a model
            network = setup.checked_network(archive.model(where, model), archive.settings)
            give_one_copy(network)
            setup.check_shared(network, replicas.n)
            with storage.whole(where / STATE, setup.OWN_OPTIMISER):
                saved = setup.saved_optimiser(archive.optimiser)
            self._network = _restored(archive, network, given or saved, given is None)
        elif training is not None:
            network = self._chosen_network(training, validation) if model is None else model
            network = setup.checked_network(network, settings)
            give_one_copy(network)
            setup.check_shared(network, replicas.n)
            replicas.share(network.variables)
            most = comfortable_chunk(network)
            training = training.limited(most)
            validation = validation and validation.limited(most)
            self._network = self._prepared(network, given, training, validation)
        if self.settings.is_preprocessed:
            self._network.preprocess = data["map_fn"]
        if training is not None:
            self._trainer = Trainer(
                self._network, training, validation, path, saves, self._overwrites, replicas
            )
            if archive is None:
                self._trainer.recompute()
                warn_of_wide_differences(self.F, self.settings.steps)

    def _prepared(
        self,
        model: keras.Model,
        optimiser: keras.optimizers.Optimizer | None,
        training: Source,
        validation: Source | None,
    ) -> Network:
        """Return a network that is ready for training."""
        optimiser = optimiser or setup.copied_optimiser(None)
        setup.check_layers(model, training)
        closed_form, sets = ClosedForm.of(model), (training, validation)
        network = setup.prepared_network(model, self.settings, *sets, closed_form)
        self._replicas.share(network.variables)
        return Network(
            self.settings,
            network,
            optimiser,
            keras.optimizers.serialize(optimiser),
            arrays_of(network.variables),
            closed_form=closed_form if network is model else None,
        )

    # Training -------------------------------------------------------------------------------

    @checks.greek_keywords
    def fit(
        self,
        n_iterations: int | None = None,
        λ: float = 10.0,
        ε: float = 0.1,
        reset: bool = False,
        patience: int | None = None,
        min_iterations: int | None = None,
        checkpoint: int | None = None,
        tqdm_notebook: bool | None = None,
        weight_file: str = "weights",
        *,
        best: bool = True,
        callback: Callable[[Run], Any] | None = None,
        objective: str = "imnn",
        gaussianity: float = 0.0,
        level: float | Callable[[int], Any] | None = None,
        warm_start: bool | None = None,
        whiten: bool | None = None,
        seed: int | None = None,
    ) -> Run:
        """Train the network, and return at the end of training.

        Ctrl-C ends the training after the current graph call; the statistics and weights are then
        those of the best iteration, as after any other end.

        Parameters
        ----------
        n_iterations : int, optional
            Number of iterations; may be None if `patience` is set.
        λ : float
            Strength of the regularisation.
        ε : float
            Distance of the covariance (and its inverse) from the identity; see `Regularisation`.
        reset : bool
            Whether to start again from the weights before any training, with an empty history.
        patience : int, optional
            Stop when ln det F of validation has not improved for this many iterations.
        min_iterations : int, optional
            Patience cannot stop training before this iteration.
        checkpoint : int, optional
            Save the state of training after every so many iterations (needs `directory`).
        tqdm_notebook : bool, optional
            Kind of progress bar; None detects it.
        weight_file : str
            Name of the file of weights that is saved.
        best : bool
            Whether to keep the weights of the best iteration; False keeps the last.
        callback : callable, optional
            Called with the run after every graph call.
        objective : str
            "imnn" trains all layers for −ln det F + r Λ2. "projected" trains those before the last
            for ln det F of their best linear summaries, solved on some seeds and evaluated on
            others; the last layer, which must be a linear `Dense` layer, is solved anew in each
            iteration, λ and ε have no effect, and what does not improve validation is not kept.
        gaussianity : float
            Weight, not negative, of Γ in the loss of "imnn": the sum of squared skewness and excess
            kurtosis of the whitened summaries of the fiducial simulations, which is 0 for Gaussian
            ones. The best weights are then those with the largest ln det F − `gaussianity` Γ, and
            the last layer, which is otherwise solved again for ln det F, stays as it is.
        level : float or callable, optional
            Level of a ``map_fn(simulation, seed, level)``, not negative, or a function from the
            number of the iteration to it, a schedule of Keras for example; by default the last one
            recorded, or 1. Validation is at the level of the iteration as well; the best weights
            are those of the present level, chosen anew wherever it changes, and patience begins
            there. The statistics at the end are those at the last level.
        warm_start : bool, optional
            With `reset`: whether the last layer starts in closed form, or at random, from where all
            is left to training, also at the end, where the layer is not solved again. None starts
            it as the IMNN did.
        whiten : bool, optional
            With `reset`: whether the summaries start with unit covariance; None as the IMNN did.
        seed : int, optional
            With ``warm_start=False``: seed of the last layer; None draws another one each time.

        Returns
        -------
        Run
            The run, ended; its `reason` says why.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid; nothing is changed then.
        RuntimeError
            If another fit of this network is running.
        FloatingPointError
            If a recorded number is not finite. The best weights are restored, and the optimiser
            starts anew with the learning rate it was made with.

        Examples
        --------
        >>> run = imnn.fit(20, λ=10, ε=0.1)
        >>> run.reason
        'all 20 iterations are done'
        >>> imnn.history["val_det_F"].shape  # the untrained network is the first
        (21,)
        """
        run = self._new_run(
            n_iterations=n_iterations, λ=λ, ε=ε, reset=reset, patience=patience,
            min_iterations=min_iterations, checkpoint=checkpoint, weight_file=weight_file,
            best=best, callback=callback, objective=objective, gaussianity=gaussianity,
            level=level, warm_start=warm_start, whiten=whiten, seed=seed,
        )  # fmt: skip
        run.drive(self.settings.verbose and self._replicas.is_chief, tqdm_notebook)
        return run

    @checks.greek_keywords
    def start(
        self,
        n_iterations: int | None = None,
        λ: float = 10.0,
        ε: float = 0.1,
        reset: bool = False,
        patience: int | None = None,
        min_iterations: int | None = None,
        checkpoint: int | None = None,
        tqdm_notebook: bool | None = None,
        weight_file: str = "weights",
        *,
        best: bool = True,
        callback: Callable[[Run], Any] | None = None,
        objective: str = "imnn",
        gaussianity: float = 0.0,
        level: float | Callable[[int], Any] | None = None,
        warm_start: bool | None = None,
        whiten: bool | None = None,
        seed: int | None = None,
    ) -> Run:
        """Train the network in a thread of its own; return the run at once.

        No bar is shown: read `run.state` and `imnn.history`. An error of the training is not raised
        but kept as `run.error`.

        Parameters
        ----------
        n_iterations, λ, ε, reset, patience, min_iterations, checkpoint, weight_file
            As for `fit`.
        best, callback, objective, gaussianity, level, warm_start, whiten, seed
            As for `fit`.
        tqdm_notebook : bool, optional
            Ignored; keeps positional arguments compatible with `fit`.

        Returns
        -------
        Run
            The run, to `steer`, `pause`, `resume`, `stop` and `wait` for.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As for `fit`.

        Examples
        --------
        >>> run = imnn.start(patience=1000)
        >>> run.steer(λ=5)
        >>> run.stop()
        >>> run.wait(), run.state
        (True, 'stopped')
        """
        run = self._new_run(
            n_iterations=n_iterations, λ=λ, ε=ε, reset=reset, patience=patience,
            min_iterations=min_iterations, checkpoint=checkpoint, weight_file=weight_file,
            best=best, callback=callback, objective=objective, gaussianity=gaussianity,
            level=level, warm_start=warm_start, whiten=whiten, seed=seed,
        )  # fmt: skip
        return run.start()

    @property
    def run(self) -> Run | None:
        """The last run, None before the first."""
        return self._trainer.run if self._trainer else None

    @property
    def level(self) -> float | None:
        """Level of the `map_fn` in the last iteration, 1 before the first; None if it has none."""
        return self._trainer.level if self._trainer else None

    # Results --------------------------------------------------------------------------------

    @property
    def model(self) -> keras.Model:
        """The network, whitening included."""
        return self._network.model

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The networks that model=None chose from; empty if a model was given or loaded.

        Of several workers, the first alone has them.
        """
        return self._candidates

    @property
    def optimiser(self) -> keras.optimizers.Optimizer:
        """The optimiser: a copy of the one given."""
        return self._network.optimiser

    @property
    def history(self) -> History:
        """All iterations so far, readable while a fit runs."""
        return self._network.history

    @property
    def training(self) -> FisherStatistics | None:
        """Statistics of the training set for the present weights."""
        return self._network.statistics.get("training")

    @property
    def validation(self) -> FisherStatistics | None:
        """Statistics of the validation set for the present weights, None without one."""
        return self._network.statistics.get("validation")

    @property
    def statistics(self) -> FisherStatistics:
        """Statistics of the validation set if there is one, otherwise of the training set."""
        return self._network.estimator.statistics

    @property
    def statistics_from(self) -> str:
        """Where `F` and the other statistics come from: "validation" or "training"."""
        return "training" if self.validation is None else "validation"

    @property
    def F(self) -> np.ndarray:
        """Fisher information, shape (n_params, n_params)."""
        return self.statistics.F

    @property
    def Finv(self) -> np.ndarray:
        """Inverse Fisher information, the covariance of estimates, shape (n_params, n_params)."""
        return self.statistics.Finv

    @property
    def C(self) -> np.ndarray:
        """Covariance of the summaries, shape (n_summaries, n_summaries)."""
        return self.statistics.C

    @property
    def Cinv(self) -> np.ndarray:
        """Inverse covariance of the summaries, shape (n_summaries, n_summaries)."""
        return self.statistics.Cinv

    @property
    def μ(self) -> np.ndarray:
        """Mean of the summaries, shape (n_summaries,)."""
        return self.statistics.μ

    @property
    def dμ_dθ(self) -> np.ndarray:
        """Derivative of the mean of the summaries, shape (n_params, n_summaries)."""
        return self.statistics.dμ_dθ

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the parameters, as `parameters` gave them; None without."""
        return self.settings.labels

    @property
    def θ_fid(self) -> np.ndarray:
        """Fiducial parameters, shape (n_params,)."""
        return np.array(self.settings.θ_fid)

    @property
    def δθ(self) -> np.ndarray | None:
        """Full width of the central difference, (n_params,); None for other derivatives."""
        return self.settings.widths

    @property
    def estimator(self) -> Estimator:
        """The estimator with the present network and statistics; later fits do not change it."""
        return self._network.estimator

    def get_estimate(self, data: Any, external: Any = None) -> np.ndarray:
        """Return estimates of the parameters.

        Parameters
        ----------
        data : array, shape input_shape or (n,) + input_shape
            One simulation or observation, or several; or a tuple of this and `external`.
        external : array, shape (n_external,) or (n, n_external), optional
            External summaries of the data, needed if the IMNN was trained with them.

        Returns
        -------
        ndarray, shape (n_params,) or (n, n_params)
            θ̂ = θ_fid + F⁻¹ ∂μ C⁻¹ (f(d) − μ), in the units of the parameters. While a fit runs,
            they are those of the one before.

        Raises
        ------
        TypeError, ValueError
            If the data have another shape or hold values that are no data (not finite, masked, or
            marks of missing data as healpy's UNSEEN), or `external` is missing or unexpected. Of
            several data, those too large for the dtype have an estimate of NaN, with a warning.

        Examples
        --------
        >>> imnn.get_estimate(fiducial[0]).shape, imnn.get_estimate(fiducial).shape
        ((2,), (300, 2))
        """
        return self.estimator(data, external)

    def gradient(self, data: Any) -> np.ndarray:
        """Return ∂θ̂/∂d: by how much each value of the data moves each estimate.

        Parameters
        ----------
        data : array, shape input_shape or (n,) + input_shape
            One simulation or observation, or several, without external summaries. Of an encoded
            network, or one with a `map_fn`, the gradient is that of what the network takes.

        Returns
        -------
        ndarray, shape (n_params,) + input_shape or (n, n_params) + input_shape

        Examples
        --------
        >>> imnn.gradient(fiducial[0]).shape
        (2, 10)
        """
        return self.estimator.gradient(data)

    def summaries(self, data: Any, external: Any = None) -> np.ndarray:
        """Return the summaries that the network makes of data, the external ones first.

        The estimates of `get_estimate` are linear in them. Other packages learn from them in place
        of the data: see `imnn_lab.handover`.

        Parameters
        ----------
        data, external
            As for `get_estimate`.

        Returns
        -------
        ndarray, shape (n, n_summaries)
            One row for each simulation or observation, also if it is one. While a fit runs, they
            are those of the network before it.

        Raises
        ------
        TypeError, ValueError
            As `get_estimate` does.

        Examples
        --------
        >>> imnn.summaries(fiducial[0]).shape, imnn.summaries(fiducial).shape
        ((1, 2), (300, 2))
        """
        return self.estimator.summaries(data, external)

    def encode(self, data: Any) -> np.ndarray:
        """Return simulations or observations as the network takes them, before any `map_fn`.

        Complex numbers become real and imaginary parts, missing values 0 with a mask, sets are
        padded with a mask, and several arrays stand one after another; plain arrays stay as they
        are. All methods take data encoded as well, and a simulator for `imnn_lab.LFI` can return
        them.

        Parameters
        ----------
        data
            As for `get_estimate`, one or several.

        Returns
        -------
        ndarray, shape (n,) + settings.input_shape

        Raises
        ------
        TypeError, ValueError
            As `get_estimate` does.

        Examples
        --------
        >>> imnn.encode(fiducial[0]).shape
        (1, 10)
        """
        return self.estimator.encode(data)

    def evaluate(self, fiducial: Any, derivative: Any, external: Any = None) -> FisherStatistics:
        """Return the statistics of any number of other simulations for the present network.

        Parameters
        ----------
        fiducial : array, shape (n_s,) + input_shape
            As the network takes them: `map_fn` is not applied.
        derivative : array, shape (n_d, 2, n_params) + input_shape
            Or (n_d, n_params) + input_shape for exact derivatives, or `Stencils` of arrays.
        external : tuple of arrays, optional
            External summaries of both, shapes (n_s, n_external) and (n_d, 2, n_params, n_external).

        Returns
        -------
        FisherStatistics

        Raises
        ------
        TypeError, ValueError
            If the simulations have other shapes or hold values that are no data.

        Examples
        --------
        >>> imnn.evaluate(*problem.training_set(n_s=1000, n_d=1000, seed=4)).F.shape
        (2, 2)
        """
        source = self._other_source(fiducial, derivative, external)
        return replace(self._network.summariser.statistics(source), names=self.names)

    def forecast(self) -> Forecast:
        """Return F as a forecast: errors, priors, other parameters, and a table in LaTeX.

        Returns
        -------
        imnn_lab.diagnostics.Forecast

        Examples
        --------
        >>> imnn.forecast().errors.shape
        (2,)
        """
        return Forecast(self.F, self.θ_fid, self.names)

    def summary_set(
        self, fiducial: Any = None, derivative: Any = None, external: Any = None
    ) -> SummarySet:
        """Return the summaries that F is estimated from, or those of other simulations.

        Parameters
        ----------
        fiducial, derivative, external : optional
            As for `evaluate`. By default the simulations of the validation set, or of the training
            set without one.

        Returns
        -------
        SummarySet

        Raises
        ------
        TypeError, ValueError
            As `evaluate` does.
        RuntimeError
            Without simulations, if the IMNN was loaded without data and its file has none:
            version 0.1.0 did not save the summaries, and more than 64 MB are never saved.

        Examples
        --------
        >>> imnn.summary_set().statistics.F.shape
        (2, 2)
        """
        given = fiducial, derivative, external
        if any(part is not None for part in given):
            return self._set_of(self._network.summariser, self._other_source(*given))
        if self._network.summaries is None:
            raise RuntimeError(f"{NO_DATA}, or give simulations.")
        x, d = self._network.summaries
        is_stencil, n_external = self.settings.stencils is not None, self.statistics.n_external
        return SummarySet(x, d, self.θ_fid, self.δθ, n_external, is_stencil, self.names)

    def novelty(self, data: Any, external: Any = None) -> Novelty:
        """Tell whether observations are like the simulations that F is estimated from.

        Compared are the estimate, the summaries, and the features that a linear last layer makes
        them of, beyond what other parameters explain; see `imnn_lab.diagnostics.novelty`. An IMNN
        that was loaded without its data compares no features.

        Parameters
        ----------
        data, external
            As for `get_estimate`.

        Returns
        -------
        imnn_lab.diagnostics.Novelty

        Raises
        ------
        TypeError, ValueError
            As `get_estimate` does.
        RuntimeError
            As `summary_set` does; or while a fit runs.

        Examples
        --------
        >>> imnn.novelty(fiducial[:3]).is_novel.shape
        (3,)
        """
        self._refuse_while_fitting("compare data with its simulations")
        estimator = self.estimator
        compared = estimator.summaries(data, external), self.summary_set()
        summariser = self._before_last()
        if summariser is None or self._trainer is None:
            return novelty(*compared)
        others = estimator.statistics, estimator.θ_fid, estimator.input_shape
        before = Estimator(summariser, *others, estimator.preprocess, encoding=estimator.encoding)
        observed = before.summaries(data, external)
        return novelty(*compared, observed, self._set_of(summariser, self._source()))

    def honest_fisher(
        self,
        test: Any = None,
        *,
        cross_fit: bool = False,
        level: float = 0.95,
        labels: Sequence[str] | None = None,
        progress: Callable[[float], Any] | None = None,
    ) -> HonestFisher:
        """Return the Fisher information with a bracket: how far F can be trusted.

        Parameters
        ----------
        test : tuple of arrays, optional
            Simulations that took part in no choice, (fiducial, derivative) or (fiducial,
            derivative, external), as for `evaluate`; those of training or validation are refused,
            if their data are at hand. By default those of the validation set, on
            which the ridge of the last layer and the best iteration were chosen, or of the training
            set without one; the verdict says which.
        cross_fit : bool
            Whether to solve the last layer, which must be a linear `Dense` layer, on one half of
            these simulations and take F from the other, both ways. With fewer simulations for it
            than the network had, F is rather too small; a large difference from F of the network
            shows that it over-fits. Of a training set it is too large still.
        level : float
            The probability of the brackets.
        labels : sequence of str, optional
            Names of the parameters; by default those of the IMNN.
        progress : callable, optional
            Is told the share that is done, from 0 to 1, as it goes on; what it raises ends it.

        Returns
        -------
        HonestFisher

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, there are too few simulations, or `cross_fit` is True and
            the network has no linear last layer.
        RuntimeError
            Without simulations, if the IMNN was loaded without its data.

        Examples
        --------
        >>> found = imnn.honest_fisher(test=problem.training_set(n_s=1000, n_d=1000, seed=5))
        >>> low, high = found.det_bracket
        >>> low < found.det_F < high
        True
        """
        source = self._test_source(test)
        role = self.statistics_from if source is None else "test"
        if checks.boolean("cross_fit", cross_fit):
            summaries = self._cross_fitted(source or self._source())
            role = "training" if role == "training" else "cross-fitted"
        else:
            summaries = self._tested(source)
        return honest_fisher(summaries, level=level, labels=labels, role=role, progress=progress)

    def retrain_at_estimate(
        self,
        observation: Any,
        simulator: Callable[[np.ndarray, int], Any],
        seed: int,
        *,
        prior: Any = None,
        max_rounds: int = 3,
        settled: float = 0.5,
        fit: Callable[[IMNN], Any] | None = None,
        directory: str | Path | None = None,
        executor: Executor | None = None,
        verbose: bool | None = None,
    ) -> retraining.Retraining:
        """Move the fiducial parameters to the estimate of an observation, and train there.

        In each round, a campaign makes as many simulations at the estimate as this IMNN has, for
        training and for validation; a copy of the network starts on them, with its linear last
        layer solved anew in closed form. This IMNN stays as it is.

        The observation chooses where the network is trained, and nothing else. It must not be used
        twice: the prior stays that of before, never the posterior of an earlier round, and only
        the last posterior is quoted.

        Parameters
        ----------
        observation : array, shape input_shape
            One observation, without external summaries.
        simulator : callable
            ``simulator(parameters, seed)`` as for `imnn_lab.campaign.training_set`.
        seed : int
            Determines all simulations.
        prior : any, optional
            Simulations stay within its bounds; see `imnn_lab.inference.as_prior`.
        max_rounds : int
            No round begins after this number.
        settled : float
            It ends when the estimate lies less than this many σ from the fiducial.
        fit : callable, optional
            ``fit(imnn)`` trains the network of each round further.
        directory : str or Path, optional
            Keeps simulations, networks and fiducial parameters; the same call resumes there.
        executor : concurrent.futures.Executor, optional
            Where to simulate.
        verbose : bool, optional
            Print the number of simulations of each round before it begins, and show progress; by
            default as this IMNN does.

        Returns
        -------
        imnn_lab.retraining.Retraining
            With the last IMNN, and the fiducial parameters of all rounds.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid, the IMNN has external summaries, exact derivatives or an
            encoding, or `directory` belongs to another retraining.
        RuntimeError
            While a fit runs.
        SimulationError
            If too many simulations fail.

        Examples
        --------
        >>> import numpy as np
        >>> observed = problem.simulator(np.array([[0.5, 2.5]]), 8)[0]  # far from θ_fid = (0, 1)
        >>> moved = imnn.retrain_at_estimate(observed, problem.simulator, seed=9)
        >>> moved.reason, bool(moved.distances[-1] < 0.5 < moved.distances[0])
        ('settled', True)
        """
        self._refuse_while_fitting("retrain it elsewhere")
        is_encoded = self.settings.encoding is not None
        if self.δθ is None or self.statistics.n_external or is_encoded:
            without = "exact derivatives" if self.settings.is_exact else "stencils"
            received = without if self.δθ is None else "external summaries"
            received = "simulations that are encoded" if is_encoded else received
            expected = "be trained with arrays of simulations at θ_fid ± δθ/2 alone"
            raise ValueError(checks.wording("An IMNN that is retrained", expected, received))
        if self.get_estimate(observation).ndim != 1:
            expected = f"be one, of shape {self.settings.input_shape}"
            received = f"shape {np.shape(observation)}"
            raise ValueError(checks.wording("`observation`", expected, received))
        fit = None if fit is None else checks.function("fit", fit, "an IMNN to anything")
        simulator = checks.function("simulator", simulator, "(parameters, seed) to a simulation")
        executor = as_executor(executor)
        within = retraining.checked_prior(prior, self.δθ)
        max_rounds = checks.integer("max_rounds", max_rounds, 0)
        settled = checks.number("settled", settled, above=0)
        seed = checks.integer("seed", seed, 0, maximum=checks.LARGEST_SEED)
        show = self.settings.verbose if verbose is None else checks.boolean("verbose", verbose)
        counts = self.settings.n_s, self.settings.n_d
        held_out = counts if self.validation is None else (self.validation.n_s, self.validation.n_d)
        if directory is not None:
            directory = retraining.checked_directory(
                directory, observation=retraining.digest(observation), seed=seed,
                θ_fid=self.θ_fid.tolist(), counts=[*counts, *held_out],
            )  # fmt: skip

        def renew(place: Path | None, θ: np.ndarray, training: Any, validation: Any) -> IMNN:
            data = dict(zip(DATA, [*training, *validation], strict=False))
            return self._renewed(place, θ, data, fit)

        given = self.δθ, counts, held_out, seed, executor, directory, show
        rounds = retraining.Rounds(simulator, renew, *given)
        return retraining.retrain(self, observation, rounds, within, max_rounds, settled)

    def fisher_flow(self, progress: Callable[[float], Any] | None = None) -> FisherFlow:
        """Return the information that a linear readout finds in each layer, untrained and now.

        A readout is solved on one half of the validation simulations (or of training, without
        them) and applied to the other, both ways. Layers of more than 1,000 features are left out.

        Parameters
        ----------
        progress : callable, optional
            Is told the share that is done, from 0 to 1, as it goes on; what it raises ends it.

        Returns
        -------
        imnn_lab.diagnostics.FisherFlow

        Raises
        ------
        RuntimeError
            If the IMNN was loaded without its data, while a fit runs, or if its network is not made
            of layers that follow each other.
        TypeError, ValueError
            If `progress` is no function, or there are fewer than 8 simulations of a kind.

        Examples
        --------
        >>> imnn.fisher_flow().layers[-1] == imnn.model.layers[-1].name
        True
        """
        tell = told(progress)
        layers = self._layers()
        before = layers.information(self._network.initial, lambda share: tell(share / 2))
        now = layers.information(tell=lambda share: tell((1 + share) / 2))
        return layers.flow([0, max(0, len(self.history) - 1)], [before, now])

    def learning_curve(self, progress: Callable[[float], Any] | None = None) -> LearningCurve:
        """Return F against the number of simulations that the last layer is solved on.

        The layers before the last stay as they are. The last one is solved in closed form on parts
        of the training set; F is taken from the validation set, or, without one, from one half of
        the training set for the other half. Where the network does not end in a linear `Dense`
        layer, the parts solve one behind its summaries.

        Parameters
        ----------
        progress : callable, optional
            Is told the share that is done, from 0 to 1, as it goes on; what it raises ends it.

        Returns
        -------
        imnn_lab.diagnostics.LearningCurve

        Raises
        ------
        RuntimeError
            If the IMNN was loaded without its data, or while a fit runs.
        TypeError, ValueError
            If `progress` is no function, or there are too few simulations or summaries.

        Examples
        --------
        >>> curve = imnn.learning_curve()
        >>> bool(curve.n_s[-1] == imnn.training.n_s)
        True
        """
        tell = told(progress)
        self._refuse_while_fitting("solve its last layer on fewer simulations")
        before, layer = self._before_last(), last_layer.last_dense_layer(self.model)
        summariser, n_summaries = self._network.summariser, self.settings.n_summaries
        widths: tuple[int, ...] = ()
        if before is not None and layer is not None:
            summariser, n_summaries = before, layer.units
            widths = last_layer.groups(self.model)
        sets = [self._set_of(summariser, source) for source in self._sources()]
        features, held_out = sets if len(sets) == 2 else halves(sets[0])
        return learning_curve(features, held_out, n_summaries, widths, tell)

    def record_flow(self, every: int = 10) -> FlowRecord:
        """Return a callback for `fit` that follows the information in each layer over training.

        Parameters
        ----------
        every : int
            Number of iterations from one look to the next, at least; a look takes about as long as
            `fisher_flow`, so that fits become slower.

        Returns
        -------
        imnn_lab.flow.FlowRecord
            Its `flow` is a `FisherFlow` of all looks, which
            `imnn_lab.figures.diagnostics.fisher_flow` draws.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As for `fisher_flow`, or if `every` is no positive integer.

        Examples
        --------
        >>> record = imnn.record_flow(every=5)
        >>> run = imnn.fit(10, callback=record)
        >>> record.flow.log_det_F.shape[1] == len(record.flow.layers)
        True
        """
        return FlowRecord(self._layers(), checks.integer("every", every, 1))

    def report(
        self,
        test: Any = None,
        *,
        labels: Sequence[str] | None = None,
        known_fisher: Any = None,
        progress: Callable[[float], Any] | None = None,
    ) -> Report:
        """Return one page on how far the results of this network can be trusted.

        Each question has a light, an answer in words, its numbers and a figure. A notebook shows
        the page; ``report.save("report.html")`` writes it.

        Parameters
        ----------
        test : tuple of arrays, optional
            As for `honest_fisher`.
        labels : sequence of str, optional
            Names of the parameters.
        known_fisher : array-like, shape (n_params, n_params), optional
            The exact Fisher information, if known.
        progress : callable, optional
            Is told the share that is done, from 0 to 1, before each check and at the end; what it
            raises ends it.

        Returns
        -------
        imnn_lab.report.Report

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid.
        RuntimeError
            As `summary_set` does.

        Examples
        --------
        >>> report = imnn.report(test=problem.training_set(n_s=1000, n_d=1000, seed=5))
        >>> report.answers[0].question, report.answers[0].verdict.light.name
        ('How much information is there?', 'GREEN')
        """
        from imnn_lab.report import about_training

        role = self.statistics_from if test is None else "test"
        return about_training(
            self._tested(self._test_source(test)),
            role=role,
            training=None if role == "training" else self.training,
            labels=labels,
            known_fisher=known_fisher,
            network=f"network ({self.model.name}, {self.model.count_params():,} weights)",
            progress=progress,
        )

    def plot(
        self,
        regulariser: bool = True,
        known_det_fisher: float | None = None,
        figsize: tuple[float, float] | None = None,
        *,
        against: str = "iteration",
    ) -> Any:
        """Plot the history of training with matplotlib.

        Parameters
        ----------
        regulariser : bool
            Whether to show Λ2 and r as well.
        known_det_fisher : float, optional
            Exact determinant of the Fisher information, drawn as a line.
        figsize : tuple of float, optional
            Width and height in inches.
        against : {"iteration", "seconds"}
            The horizontal axis; seconds are those of training, without pauses.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from imnn_lab.figures import draw, training_curves

        given = self.history, regulariser, known_det_fisher
        return draw(training_curves(*given, against=against), figsize=figsize)

    def explore(self, known_fisher: Any = None, labels: Sequence[str] | None = None) -> Any:
        """Return a dashboard that trains this network and shows any of its fits, live.

        Parameters
        ----------
        known_fisher : array-like, shape (n_params, n_params), optional
            The exact Fisher information, drawn if given.
        labels : sequence of str, optional
            Names of the parameters.

        Returns
        -------
        imnn_lab.dashboards.TrainingDashboard
            Shown by a notebook; ``.servable()`` in a script for ``panel serve``.
        """
        self._replicas.check_chief("`explore`")
        from imnn_lab.dashboards.host.panel_import import import_panel

        import_panel()
        from imnn_lab.dashboards.training.dashboard import TrainingDashboard

        return TrainingDashboard(self, known_fisher, labels)

    def widget(self, known_det_fisher: float | None = None) -> Any:
        """Return ipywidgets that train this network in a notebook and show any of its fits, live.

        Parameters
        ----------
        known_det_fisher : float, optional
            The exact det F, drawn if given.

        Returns
        -------
        imnn_lab.widgets.TrainingWidget
        """
        self._replicas.check_chief("`widget`")
        from imnn_lab.widgets import TrainingWidget

        return TrainingWidget(self, known_det_fisher)

    # Saving ---------------------------------------------------------------------------------

    def save(
        self,
        directory: str | Path | None = None,
        weight_file: str = "weights",
        *,
        overwrite: bool = False,
    ) -> Path:
        """Save everything but the data; of several workers, the first alone does.

        Written are ``model.keras``, ``<weight_file>.weights.h5`` and ``estimator.npz`` (θ_fid,
        Finv, dμ_dθ, Cinv, μ, and names if there are), for use without this package, and
        ``state.npz``, which `load` reads.

        Parameters
        ----------
        directory : str or Path, optional
            Where to; by default the ``directory/filename`` given to `IMNN`.
        weight_file : str
            Name of the file of weights.
        overwrite : bool
            Whether to replace another network that is saved there.

        Returns
        -------
        Path
            The directory.

        Raises
        ------
        TypeError, ValueError
            If there is no directory, it cannot be written or holds another saved network, or
            `weight_file` is not a name without a directory.

        Examples
        --------
        >>> import tempfile
        >>> directory = imnn.save(tempfile.mkdtemp())
        >>> sorted(file.name for file in directory.iterdir())
        ['estimator.npz', 'model.keras', 'state.npz', 'weights.weights.h5']
        >>> bool((IMNN.load(directory).F == imnn.F).all())
        True
        """
        path = self._path if directory is None else checks.path("directory", directory)
        if path is None:
            raise ValueError("No directory to save to: pass `directory`.")
        weight_file = checks.file_name("weight_file", weight_file)
        overwrites = checks.boolean("overwrite", overwrite)
        overwrites |= self._overwrites and directory is None
        if not self._replicas.is_chief:
            return path
        check_directory(path, self._network.fingerprint, overwrites)
        self._archive().write(path, self.model, self.estimator, weight_file)
        return path

    @classmethod
    def load(
        cls,
        directory: str | Path,
        model: keras.Model | None = None,
        *,
        fiducial: Any = None,
        derivative: Any = None,
        validation_fiducial: Any = None,
        validation_derivative: Any = None,
        external: Any = None,
        map_fn: Callable[..., Any] | None = None,
        simulator: Callable[[Any, Any], Any] | None = None,
        strategy: Any = None,
    ) -> IMNN:
        """Load a saved IMNN; with its data, its training can resume.

        Parameters
        ----------
        directory : str or Path
            Where it was saved.
        model : keras.Model, optional
            A network like the saved one, needed if Keras cannot load it without its code.
        fiducial, derivative, validation_fiducial, validation_derivative : data, optional
            Of any kind that `IMNN` takes.
        external, map_fn, simulator, strategy : data, callable or strategy, optional
            The other arguments of `IMNN` that are not saved.

        Returns
        -------
        IMNN

        Raises
        ------
        FileNotFoundError, ValueError
            If the directory holds none, its network needs code, or the data do not fit.
        """
        replicas = Replicas.checked(strategy)
        path = checks.path("directory", directory)
        archive = Archive.read(path)
        data = _data(
            fiducial, derivative, validation_fiducial, validation_derivative, external, map_fn,
            simulator,
        )  # fmt: skip
        return cls._from_archive(archive, data, model, path, replicas)

    @classmethod
    def _from_archive(
        cls,
        archive: Archive,
        data: dict[str, Any],
        model: keras.Model | None,
        path: Path | None,
        replicas: Replicas,
    ) -> IMNN:
        imnn = cls.__new__(cls)
        imnn._overwrites = False
        with replicas.placed():
            imnn._assemble(archive.settings, data, model, None, archive, path, False, replicas)
        return imnn

    def __reduce__(self) -> tuple[Any, ...]:  # pickle and copy.deepcopy
        self._refuse_while_fitting("copy or pickle the IMNN")
        network = packed_network(self.model)
        return _unpickled, (type(self), self._archive(), network, self._network.preprocess)

    # Inside ---------------------------------------------------------------------------------

    def _layers(self) -> Layers:
        """Return the layers, for the information in each."""
        self._refuse_while_fitting("look into its layers")
        source = self._source()
        if not getattr(self.model, "inputs", None):
            raise RuntimeError("The layers of a network that is a class of its own are not known.")
        if min(source.n_s, source.n_d) < cross_fitting.FEWEST:
            expected = f"have at least {cross_fitting.FEWEST} simulations of each kind"
            received = f"n_s = {source.n_s}, n_d = {source.n_d}"
            raise ValueError(checks.wording("The set", expected, received))
        return Layers(self.model, source, self.θ_fid)

    def _refuse_while_fitting(self, what: str) -> None:
        if self.run is not None and not self.run.has_ended:
            raise RuntimeError(
                "A fit of this IMNN is running. Wait for it (`imnn.run.wait()`) or stop it "
                f"(`imnn.run.stop()`) before you {what}."
            )

    def _archive(self) -> Archive:
        return self._trainer.archive() if self._trainer else self._network.archive()

    def _renewed(
        self,
        place: Path | None,
        θ_fid: np.ndarray,
        data: dict[str, Any],
        fit: Callable[[IMNN], Any] | None,
    ) -> IMNN:
        """Return a copy at other fiducial parameters, started on data, or as it was saved."""
        preprocess = self._network.preprocess
        if place is not None and (place / STATE).is_file():
            return type(self).load(place, **data, map_fn=preprocess)
        kept = asdict(self.settings)
        named = {"n_params", "θ_fid", "δθ"} if self.names else {"θ_fid"}
        for name in (
            "warm_start", "simulation_seed", "is_preprocessed", "stencils", "names", "units",
            "latex", "encoding", "resample", *named,
        ):  # fmt: skip
            del kept[name]
        kept |= (
            {"parameters": self.settings.parameters_at(θ_fid)} if self.names else {"θ_fid": θ_fid}
        )
        kept |= {"validation_n_s": None, "validation_n_d": None, "map_fn": preprocess}
        model = unpacked_network(packed_network(self.model))
        optimiser = setup.saved_optimiser(self._network.optimiser_config)
        renewed = type(self)(model=model, optimiser=optimiser, **kept, **data)
        if fit is not None:
            fit(renewed)
        if place is not None:
            renewed.save(place)
        return renewed

    def _sources(self) -> list[Source]:
        """Return the source of training, and that of validation if there is one."""
        if self._trainer is None:
            raise RuntimeError(f"{NO_DATA}, or give simulations.")
        training, validation = self._trainer.training, self._trainer.validation
        return [training] if validation is None else [training, validation]

    def _source(self) -> Source:
        """Return the source of validation, or of training without one."""
        return self._sources()[-1]

    def _cross_fitted(self, source: Source) -> SummarySet:
        """Return summaries of a source, with the last layer solved on the half they are not of."""
        summariser, layer = self._before_last(), last_layer.last_dense_layer(self.model)
        if summariser is None or layer is None:
            received = "True, and a network without a linear `Dense` layer at its end"
            raise ValueError(
                checks.wording("`cross_fit`", "be False for this network", received, TEST)
            )
        features = self._set_of(summariser, source)
        widths = last_layer.groups(self.model)
        fiducial, slopes = cross_fitted(
            features.fiducial, features.slopes, source.n_external, layer.units, widths,
            features.is_present,
        )  # fmt: skip
        return replace(features, fiducial=fiducial, derivative=slopes, δθ=None)

    def _before_last(self) -> Summariser | None:
        """Return what computes the features of a linear last layer, None without one."""
        before = last_layer.before_last_layer(self.model)
        return None if before is None else Summariser(before, self.settings.dtype)

    def _set_of(self, summariser: Summariser, source: Source) -> SummarySet:
        return replace(summary_set(summariser, source, self.θ_fid), names=self.names)

    def _test_source(self, test: Any) -> Source | None:
        """Return simulations for a test, which must be in neither training nor validation."""
        if test is None:
            return None
        source = self._other_source(*_test_simulations(test), prefix="test_")
        if self._trainer is not None:
            for known in (self._trainer.training, self._trainer.validation):
                if known is not None:
                    refuse_known(source, known)
        return source

    def _tested(self, source: Source | None) -> SummarySet:
        """Return the summaries of simulations for a test, or those that F is estimated from."""
        if source is None:
            return self.summary_set()
        return self._set_of(self._network.summariser, source)

    def _other_source(
        self, fiducial: Any, derivative: Any, external: Any, prefix: str = ""
    ) -> Source:
        given = fiducial, derivative, external
        source = array_source(*given, self.statistics.n_external, self.settings, prefix)
        return source.limited(comfortable_chunk(self.model))

    def _new_run(self, **given: Any) -> Run:
        plan = FitPlan.checked(**given)
        if plan.checkpoint is not None and self._path is None:
            raise ValueError(
                "`checkpoint` needs a directory: pass `directory` and `filename` to IMNN."
            )
        if self._trainer is None:
            raise RuntimeError(f"{NO_DATA} to resume its training.")
        return self._trainer.new_run(plan)

    def _chosen_network(self, training: Source, validation: Source | None) -> keras.Model:
        if not self._replicas.is_chief:
            return unpacked_network(self._replicas.bytes_of_chief(b""))
        choice = chosen_network(self.settings, training, validation)
        self._candidates = choice.candidates
        if self.settings.verbose:
            announce(str(choice))
        if self._replicas.has_others:
            self._replicas.bytes_of_chief(packed_network(choice.model))
        return choice.model

    def _refresh(self) -> None:
        """Find what belongs to weights that were given to the network from elsewhere."""
        if self._trainer is not None:
            self._trainer.recompute()
        else:
            self._network.summariser = self._network.summariser.refreshed()


def _unpickled(
    cls: type[IMNN], archive: Archive, network: bytes, map_fn: Callable[..., Any] | None
) -> IMNN:
    """Return what was pickled or copied: as after save and load, without data or directory."""
    data = dict.fromkeys(DATA) | {"map_fn": map_fn}
    return cls._from_archive(archive, data, unpacked_network(network), None, Replicas())


def _check_shared(settings: Settings, data: dict[str, Any], replicas: Replicas) -> None:
    """Refuse simulations that replicas cannot share."""
    if replicas.n == 1:
        return
    if data["simulator"] is not None:
        remedy = "Make the simulations first (`imnn_lab.simulate`), or use one replica."
        expected = f"be given data, of which each of its {replicas.n} replicas has a share"
        raise ValueError(checks.wording("`strategy`", expected, "`simulator`", remedy))
    if replicas.has_others and has_level(data["map_fn"]):
        expected = "be one process if `map_fn` has a level"
        raise ValueError(checks.wording("`strategy`", expected, "one of several workers"))
    if settings.resample:
        expected = f"be False with a `strategy` of {replicas.n} replicas"
        raise ValueError(checks.wording("`resample`", expected, "True"))
    if settings.cache in ("disk", None):
        expected = f'be "memory" or "auto" with a `strategy` of {replicas.n} replicas'
        raise ValueError(checks.wording("`cache`", expected, repr(settings.cache)))


def _of_chief(settings: Settings, replicas: Replicas) -> Settings:
    """Return the settings with the seeds of the first worker."""
    (seed,) = replicas.numbers_of_chief([settings.simulation_seed])
    return replace(settings, simulation_seed=int(seed))


def _digest(settings: Settings, *given: Source | None) -> tuple[Settings, list[int]]:
    """Return what must be the same for all workers."""
    sums = [source.checksum() for source in given if isinstance(source, ArraySource)]
    return replace(settings, seed=None, verbose=True), sums


def _data(*given: Any) -> dict[str, Any]:
    """Return the arguments that are data, in the order of `DATA`, by name."""
    return dict(zip(DATA, given, strict=True))


def _test_simulations(test: Any) -> tuple[Any, Any, Any]:
    """Return fiducial and derivative simulations, and external summaries or None."""
    parts = checks.entries("test", test, "arrays")
    if len(parts) not in (2, 3):
        expected = "be (fiducial, derivative) or (fiducial, derivative, external)"
        raise ValueError(checks.wording("`test`", expected, f"{len(parts)} entries"))
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None


def _path(directory: Any, filename: Any) -> Path | None:
    if directory is None and filename is None:
        return None
    remedy = "Files go to directory/filename/; give both."
    folder = checks.path("directory", directory, remedy)
    return folder / checks.file_name("filename", filename, remedy)


def _restored(
    archive: Archive, model: keras.Model, optimiser: keras.optimizers.Optimizer, is_saved: bool
) -> Network:
    return Network(
        archive.settings,
        model,
        optimiser,
        keras.optimizers.serialize(optimiser),
        archive.initial,
        archive.history,
        archive.statistics,
        archive.summaries,
        archive.training_state if is_saved else [],
        archive.next,
        archive.ridge,
        fingerprint=archive.fingerprint,
    )


def _check_same(saved: Settings, here: Settings) -> None:
    here = here.labelled_as(saved)
    compared = ["n_params", "n_summaries", "input_shape", "θ_fid", "dtype", "encoding"]
    for name in compared if saved.names is None else [*compared, "names"]:
        if getattr(saved, name) != getattr(here, name):
            expected = f"be {getattr(saved, name)!r} as in the saved IMNN"
            raise ValueError(checks.wording(f"`{name}`", expected, repr(getattr(here, name))))


def _encoded(settings: Settings, data: dict[str, Any], archive: Archive | None) -> Settings:
    """Return the settings with the encoding of the data, or that of a saved IMNN."""
    if archive is None:
        found = encoded(settings, **data)
        if found.encoding is not None and settings.verbose:
            announce(found.encoding.describe())
        return found
    saved = archive.settings.encoding
    declared = settings.encoding or Encoding.declared(settings.input_shape)
    if saved is None or not saved.is_like(declared):
        return settings
    return replace(settings, encoding=saved, input_shape=archive.settings.input_shape)
