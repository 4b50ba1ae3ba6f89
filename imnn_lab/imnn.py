"""The information-maximising neural network: data in, estimator out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tqdm

from imnn_lab import checks, preparation
from imnn_lab.archive import Archive
from imnn_lab.compression import Compressor, comfortable_chunk
from imnn_lab.estimator import Estimator
from imnn_lab.fisher import fisher_statistics
from imnn_lab.progress import ProgressBar
from imnn_lab.regularisation import Regularisation
from imnn_lab.results import FisherStatistics, History
from imnn_lab.run import Plan, Run
from imnn_lab.settings import Settings
from imnn_lab.sources import Data, Source, checked_arrays, known, sources
from imnn_lab.sources.collection import Layout
from imnn_lab.sources.preprocessing import takes_seed
from imnn_lab.trainer import Network, Trainer, arrays_of

DEFAULT_LEARNING_RATE = 3e-4


class IMNN:
    """An information-maximising neural network (Charnock, Lavaux & Wandelt 2018).

    Parameters
    ----------
    n_s : int
        Number of fiducial simulations, which give the covariance of the summaries.
    n_d : int
        Number of derivative simulations, which give the derivative of their mean.
    n_params : int
        Number of parameters.
    n_summaries : int
        Number of summaries that the data are compressed to, at least n_params.
    θ_fid : array-like, shape (n_params,)
        Fiducial parameters, in the units of the parameters.
    δθ : array-like, shape (n_params,), or None
        Full width of the central difference: derivative simulations sit at θ_fid ± δθ/2. None
        where the derivatives of the simulations are exact.
    input_shape : tuple of int
        Shape of one simulation.
    fiducial : array of shape (n_s,) + input_shape, callable, list of files or tf.data.Dataset
        Simulations at θ_fid for training. A callable ``fiducial(seed)`` yields (or returns)
        (simulation, seed) for seeds 0 to n_s − 1; files are those of `TFRecords`; a dataset has
        elements (simulation, seed). Where what is not an array is kept is said by `cache`.
    derivative : array of shape (n_d, 2, n_params) + input_shape, or another of these kinds
        Simulations below (``[:, 0]``) and above (``[:, 1]``) θ_fid in each parameter, all of one
        row made from the same seed. A callable ``derivative(seed, derivative, parameter)`` yields
        (simulation, (seed, derivative, parameter)), as do the elements of a dataset. With δθ=None
        they are ∂d/∂θ of the first n_d fiducial simulations, (n_d, n_params) + input_shape,
        labelled (seed, parameter).
    validation_fiducial, validation_derivative : the same, or None
        The same for validation; arrays of any number, other kinds of n_s and n_d simulations or
        `validation_n_s` and `validation_n_d`. Without them the best weights are those with the
        largest det F of the training set, which overestimates the information.
    model : keras.Model, optional
        Network from input_shape to n_summaries; None picks one from `imnn_lab.networks`. It is
        trained in place: its `Normalization` layers are adapted if they are not, and its linear
        last layer is started in closed form (`warm_start`) with whitened outputs, in which case
        `imnn.model` is `model`. A model with another ending gets a fixed whitening layer behind
        it, and `imnn.model` is the two together.
    optimiser : keras.optimizers.Optimizer, optional
        A copy of it is used, so that it can serve several networks. Default: Adam.
    save : bool
        Whether to save to ``directory/filename`` at the end of each fit.
    load : bool
        Whether to load what was saved there.
    weights : str, optional
        Name of a file of weights in that directory to load instead of those of the network.
    directory, filename : str, optional
        Where to save and load.
    at_once : int, optional
        How many simulations are in the network at once; None chooses by the size of the network.
    map_fn : callable, optional
        ``map_fn(simulation)``: preprocessing, which is the same every time; `get_estimate` does it
        to data as well. ``map_fn(simulation, seed)``: augmentation in TensorFlow code with random
        numbers of ``tf.random.stateless_*`` and the seed (2,), which is another one in every
        iteration and the same for a pair. Both return a simulation of shape input_shape.
    check_shape : bool
        False skips the check of the shapes of the data.
    verbose : bool
        False prints nothing and shows no progress.
    dtype : tf.DType or str
        float32 or float64; the network must have the same.
    itype : tf.DType or str
        Integer type of indices.
    warm_start : bool
        Whether the last layer starts in closed form (see `imnn_lab.warm_start`).
    whiten : bool
        Whether the summaries start with unit covariance.
    seed : int, optional
        Makes the network chosen for model=None, fresh simulations and augmentation reproducible.
    validation_n_s, validation_n_d : int, optional
        Numbers of validation simulations; None takes what the arrays hold, and n_s and n_d for
        other kinds of data.
    cache : str or None
        Where simulations that are not given as arrays are kept: "memory"; "disk", a temporary file
        that is read in every iteration; None, nowhere: they are read from where they are, or made
        by their function, in every iteration; "auto", memory for less than 1 GiB and else None (or
        "disk" for exact derivatives). Without memory, `at_once` simulations are there at a time.
    external : tuple, optional
        Known summaries of the same simulations, (fiducial, derivative, validation_fiducial,
        validation_derivative): arrays of shape (n_s, n_external), (n_d, 2, n_params, n_external),
        …, or any other kind of data. The network's summaries are trained to add to them: F is that
        of both together, λ and ε hold for the network's alone, and n_summaries may be less than
        n_params. `imnn.statistics.without_network` is what is known without the network.
    simulator : callable, optional
        ``simulator(parameters, seed)`` instead of the data arguments: new simulations in every
        iteration. It gets parameters (n, n_params) and an int32 seed (2,), and returns simulations
        (n,) + input_shape with the same random numbers for the same seed. Written in TensorFlow it
        runs in the graph, and with δθ=None it is differentiated; written in NumPy it runs in a
        thread, one iteration ahead, with δθ. Statistics are those of a set of n_s and n_d (or
        `validation_n_s`, `validation_n_d`) simulations that are held back, and the weights that
        are kept are averages of the latest.

    Attributes
    ----------
    settings : Settings
        The arguments that are numbers and words, checked.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape, sign or range, before any work starts; or if
        simulations are missing, there twice, damaged or not finite, by index or file.
    FileNotFoundError, RuntimeError
        If a file of simulations is not there, or a function of them raises.

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
        n_s: int,
        n_d: int,
        n_params: int,
        n_summaries: int,
        θ_fid: Any,
        δθ: Any,
        input_shape: tuple[int, ...],
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
    ) -> None:
        settings = Settings.checked(
            n_s=n_s, n_d=n_d, n_params=n_params, n_summaries=n_summaries, θ_fid=θ_fid, δθ=δθ,
            input_shape=input_shape, at_once=at_once, check_shape=check_shape, verbose=verbose,
            dtype=dtype, itype=itype, warm_start=warm_start, whiten=whiten, seed=seed,
            validation_n_s=validation_n_s, validation_n_d=validation_n_d, cache=cache,
            has_external=external is not None,
            is_preprocessed=map_fn is not None and not takes_seed(map_fn),
        )  # fmt: skip
        place = _place(directory, filename)
        saves = checks.boolean("save", save)
        if place is None and (checks.boolean("load", load) or saves or weights is not None):
            raise ValueError(
                "save=True, load=True and `weights` need `directory` and `filename`. "
                "Files go to directory/filename/."
            )
        archive = Archive.read(place) if load and place is not None else None
        data = Data(
            fiducial, derivative, validation_fiducial, validation_derivative, external, map_fn,
            simulator,
        )  # fmt: skip
        self._assemble(settings, data, model, optimiser, archive, place, saves)
        if weights is not None and place is not None:
            self._load_weights(_weights_path(place, checks.text("weights", weights)))

    def _assemble(
        self,
        settings: Settings,
        data: Data,
        model: keras.Model | None,
        optimiser: keras.optimizers.Optimizer | None,
        archive: Archive | None,
        place: Path | None,
        saves: bool = False,
    ) -> None:
        self.settings, self._place = settings, place
        training, validation = sources(settings, data, is_needed=archive is None)
        self._trainer: Trainer | None = None
        if archive is not None and place is not None:
            _check_same(archive.settings, settings)
            self._network = _restored(archive, archive.model(place, model), optimiser)
        elif training is not None:
            self._network = self._prepared(model, optimiser, training, validation)
        if self.settings.is_preprocessed:
            self._network.preprocess = data.map_fn
        if training is not None:
            self._trainer = Trainer(self._network, training, validation, place, saves)
            if archive is None:
                self._trainer.recompute()
                preparation.warn_of_wide_differences(self.F, self.δθ)

    def _prepared(
        self,
        model: keras.Model | None,
        optimiser: keras.optimizers.Optimizer | None,
        training: Source,
        validation: Source | None,
    ) -> Network:
        """Return a network that is ready for training."""
        copied = _copied_optimiser(optimiser)
        network = self._default_network() if model is None else model
        network = preparation.checked_network(network, self.settings)
        _check_layers(network, training)
        for source in (training, validation):
            if source is not None:
                source.limit(comfortable_chunk(network))
        network = preparation.prepared_network(network, self.settings, training, validation)
        config = keras.optimizers.serialize(copied)
        return Network(self.settings, network, copied, config, arrays_of(network.variables))

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
    ) -> Run:
        """Train the network, and return when it is done.

        Ctrl-C ends the training after the current graph call; the statistics and weights are then
        those of the best iteration, as after any other end.

        Parameters
        ----------
        n_iterations : int, optional
            Number of iterations; may be None when there is a `patience`.
        λ : float
            Strength of the regularisation.
        ε : float
            Distance of the covariance (and its inverse) from the identity; see `Regularisation`.
        reset : bool
            Whether to start again from the weights before any training, with an empty history.
        patience : int, optional
            Stop when ln det F of validation has not improved for this many iterations.
        min_iterations : int, optional
            Do not stop for want of patience before this many iterations.
        checkpoint : int, optional
            Save the state of training after every so many iterations (needs `directory`).
        tqdm_notebook : bool, optional
            Kind of progress bar; None finds out.
        weight_file : str
            Name of the file of weights that is saved.
        best : bool
            Whether to keep the weights of the best iteration; False keeps the last.
        callback : callable, optional
            Called with the run after every graph call.

        Returns
        -------
        Run
            The run, ended; its `reason` says why.

        Raises
        ------
        TypeError, ValueError
            If an argument is not valid; nothing has been done then.
        RuntimeError
            If another fit of this network is running.
        FloatingPointError
            If a number that is not finite came up. The best weights are restored.

        Examples
        --------
        >>> run = imnn.fit(20, λ=10, ϵ=0.1)
        >>> run.reason
        'all 20 iterations are done'
        >>> imnn.history["val_det_F"].shape  # the untrained network is the first
        (21,)
        """
        plan = self._plan(
            n_iterations, λ, ε, patience, min_iterations, checkpoint, weight_file, best
        )
        run = self._new_run(plan, reset, callback)
        with ProgressBar(self.settings.verbose, tqdm_notebook) as bar:
            run.drive(bar)
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
    ) -> Run:
        """Train the network in a thread of its own; return the run at once.

        No bar is shown: look at `run.state` and `imnn.history`. What makes the training fail is
        not raised but kept as `run.error`.

        Parameters
        ----------
        n_iterations, λ, ε, reset, patience, min_iterations, checkpoint, weight_file, best, callback
            As for `fit`.
        tqdm_notebook : bool, optional
            Taken so that positions are those of `fit`; there is no bar.

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
        plan = self._plan(
            n_iterations, λ, ε, patience, min_iterations, checkpoint, weight_file, best
        )
        return self._new_run(plan, reset, callback).start()

    @property
    def run(self) -> Run | None:
        """The last run, None before the first."""
        return self._trainer.run if self._trainer else None

    # Results --------------------------------------------------------------------------------

    @property
    def model(self) -> keras.Model:
        """The network, whitening included."""
        return self._network.model

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
        """Statistics of validation when there is one, otherwise of training."""
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
    def θ_fid(self) -> np.ndarray:
        """Fiducial parameters, shape (n_params,)."""
        return np.array(self.settings.θ_fid)

    @property
    def δθ(self) -> np.ndarray | None:
        """Full width of the central difference, shape (n_params,); None for exact derivatives."""
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
            Known summaries of the data, needed where the IMNN was made with such.

        Returns
        -------
        ndarray, shape (n_params,) or (n, n_params)
            θ̂ = θ_fid + F⁻¹ ∂μ C⁻¹ (f(d) − μ), in the units of the parameters. While a fit runs it
            is that of the last one.

        Raises
        ------
        TypeError, ValueError
            If the data have another shape, or `external` is missing or too much.

        Examples
        --------
        >>> imnn.get_estimate(fiducial[0]).shape, imnn.get_estimate(fiducial).shape
        ((2,), (300, 2))
        """
        return self.estimator(data, external)

    def evaluate(self, fiducial: Any, derivative: Any, external: Any = None) -> FisherStatistics:
        """Return the statistics of other simulations, of any number, for the present network.

        Parameters
        ----------
        fiducial : array, shape (n_s,) + input_shape
            As the network takes them: `map_fn` is not applied.
        derivative : array, shape (n_d, 2, n_params) + input_shape
            Or (n_d, n_params) + input_shape for exact derivatives.
        external : tuple of arrays, optional
            Known summaries of both, shapes (n_s, n_external) and (n_d, 2, n_params, n_external).

        Returns
        -------
        FisherStatistics

        Raises
        ------
        TypeError, ValueError
            If the simulations have other shapes or are not finite.

        Examples
        --------
        >>> imnn.evaluate(*problem.training_set(n_s=1000, n_d=1000, seed=4)).F.shape
        (2, 2)
        """
        settings, summariser = self.settings, self._network.summariser
        x, d = checked_arrays(
            fiducial,
            derivative,
            None,
            None,
            settings.n_params,
            settings.input_shape,
            settings.is_exact,
        )
        shape = d.shape[: d.ndim - len(settings.input_shape)]
        if settings.is_exact:
            derivatives = summariser.derivatives(x[: len(d)], d)
        else:
            derivatives = summariser(d.reshape((-1, *settings.input_shape)))
            derivatives = derivatives.reshape((*shape, -1))
        summaries = [summariser(x), derivatives]
        layouts = (Layout("fiducial", x.shape[:1]), Layout("derivative", shape))
        t = known.known_summaries(known.parted(external)[:2], layouts, settings)
        known.check_width(t, self.statistics.n_external)
        if t is not None:
            first, second = np.split(t, [len(x)])
            pairs = (first, second.reshape((*shape, -1)))
            summaries = [np.concatenate(p, -1) for p in zip(pairs, summaries, strict=True)]
        found = fisher_statistics(summaries[0], summaries[1], self.δθ)
        return replace(found, n_external=self.statistics.n_external)

    def plot(
        self,
        regulariser: bool = True,
        known_det_fisher: float | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Any:
        """Plot the history of training with matplotlib.

        Parameters
        ----------
        regulariser : bool
            Whether to show Λ2 and r as well.
        known_det_fisher : float, optional
            Determinant of the Fisher information where it is known, drawn as a line.
        figsize : tuple of float, optional
            Width and height in inches.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from imnn_lab.figures import curves, static_curves

        described = curves.training_curves(self.history, regulariser, known_det_fisher)
        return static_curves.draw_curves(described, figsize)

    def explore(self, known_fisher: Any = None, labels: Sequence[str] | None = None) -> Any:
        """Return a dashboard that trains this network and shows any of its fits, live.

        Parameters
        ----------
        known_fisher : array-like, shape (n_params, n_params), optional
            The exact Fisher information, drawn where it is known.
        labels : sequence of str, optional
            Names of the parameters.

        Returns
        -------
        imnn_lab.dashboards.TrainingDashboard
            Shown by a notebook; ``.servable()`` in a script for ``panel serve``.
        """
        from imnn_lab.dashboards.notebooks import prepare_notebook
        from imnn_lab.dashboards.training import TrainingDashboard

        prepare_notebook()
        return TrainingDashboard(self, known_fisher, labels)

    def widget(self, known_det_fisher: float | None = None) -> Any:
        """Return ipywidgets that train this network in a notebook and show any of its fits, live.

        Parameters
        ----------
        known_det_fisher : float, optional
            The exact det F, drawn where it is known.

        Returns
        -------
        imnn_lab.widgets.TrainingWidget
        """
        from imnn_lab.widgets import TrainingWidget

        return TrainingWidget(self, known_det_fisher)

    # Saving ---------------------------------------------------------------------------------

    def save(self, directory: str | Path | None = None, weight_file: str = "weights") -> Path:
        """Save everything but the data.

        Written are ``model.keras``, ``<weight_file>.weights.h5`` and ``estimator.npz`` (θ_fid,
        Finv, dμ_dθ, Cinv, μ), for use without this package, and ``state.npz``, which `load` reads.

        Parameters
        ----------
        directory : str or Path, optional
            Where to; by default the ``directory/filename`` given at the start.
        weight_file : str
            Name of the file of weights.

        Returns
        -------
        Path
            The directory.

        Raises
        ------
        ValueError
            If there is no directory.

        Examples
        --------
        >>> import tempfile
        >>> place = imnn.save(tempfile.mkdtemp())
        >>> sorted(file.name for file in place.iterdir())
        ['estimator.npz', 'model.keras', 'state.npz', 'weights.weights.h5']
        >>> bool((IMNN.load(place).F == imnn.F).all())
        True
        """
        place = self._place if directory is None else Path(checks.text("directory", directory))
        if place is None:
            raise ValueError("There is no place to save to. Pass `directory`.")
        archive = self._trainer.archive() if self._trainer else self._network.archive()
        archive.write(place, self.model, self.estimator, weight_file)
        return place

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
    ) -> IMNN:
        """Load a saved IMNN; give it its data again to go on with its training.

        Parameters
        ----------
        directory : str or Path
            Where it was saved.
        model : keras.Model, optional
            A network like the saved one, needed where Keras cannot load it without its code.
        fiducial, derivative, validation_fiducial, validation_derivative : data, optional
            Of any kind that `IMNN` takes.
        external, map_fn, simulator : data or callable, optional
            The others of its arguments that are not saved.

        Returns
        -------
        IMNN

        Raises
        ------
        FileNotFoundError, ValueError
            If there is none in the directory, its network needs code, or the data do not fit.
        """
        place = Path(checks.text("directory", directory))
        archive = Archive.read(place)
        imnn = cls.__new__(cls)
        data = Data(
            fiducial, derivative, validation_fiducial, validation_derivative, external, map_fn,
            simulator,
        )  # fmt: skip
        imnn._assemble(archive.settings, data, model, None, archive, place)
        return imnn

    # Inside ---------------------------------------------------------------------------------

    def _plan(
        self,
        n_iterations: Any,
        λ: Any,
        ε: Any,
        patience: Any,
        min_iterations: Any,
        checkpoint: Any,
        weight_file: Any,
        best: Any,
    ) -> Plan:
        plan = Plan(
            regularisation=Regularisation(λ, ε),
            n_iterations=checks.optional_integer("n_iterations", n_iterations, 0),
            patience=checks.optional_integer("patience", patience, 1),
            min_iterations=checks.optional_integer("min_iterations", min_iterations, 0) or 0,
            checkpoint=checks.optional_integer("checkpoint", checkpoint, 1),
            best=checks.boolean("best", best),
            weight_file=checks.text("weight_file", weight_file),
        )
        if plan.n_iterations is None and plan.patience is None:
            raise ValueError(
                "fit needs `n_iterations`, `patience` or both, or it would never end. "
                "Try fit(patience=100)."
            )
        if plan.checkpoint is not None and self._place is None:
            raise ValueError("`checkpoint` needs a place: pass `directory` and `filename` to IMNN.")
        return plan

    def _new_run(self, plan: Plan, reset: bool, callback: Callable[[Run], Any] | None) -> Run:
        reset = checks.boolean("reset", reset)
        if callback is not None and not callable(callback):
            raise TypeError(checks.wording("`callback`", "be callable", checks.describe(callback)))
        if self._trainer is None:
            raise RuntimeError(
                "This IMNN was loaded without data. Pass them to IMNN.load(directory, "
                "fiducial=..., derivative=...) to go on with its training."
            )
        return self._trainer.new_run(plan, reset, callback)

    def _default_network(self) -> keras.Model:
        network = preparation.default_network(self.settings)
        if self.settings.verbose:
            tqdm.tqdm.write(
                f"model=None: using imnn_lab.networks.{network.name} for simulations of shape "
                f"{self.settings.input_shape}, {network.count_params()} weights."
            )
        return network

    def _load_weights(self, path: Path) -> None:
        self.model.load_weights(path)
        if self._trainer is not None:
            self._trainer.recompute()
        else:
            self._network.summariser = self._network.summariser.refreshed()


def _place(directory: Any, filename: Any) -> Path | None:
    if directory is None and filename is None:
        return None
    remedy = "Files go to directory/filename/; give both."
    named = {"directory": directory, "filename": filename}
    return Path(*(checks.text(name, value, remedy) for name, value in named.items()))


def _restored(
    archive: Archive, model: keras.Model, optimiser: keras.optimizers.Optimizer | None
) -> Network:
    copied = _copied_optimiser(optimiser or keras.optimizers.deserialize(archive.optimiser))
    return Network(
        archive.settings,
        model,
        copied,
        keras.optimizers.serialize(copied),
        archive.initial,
        archive.history,
        archive.statistics,
        archive.training_state if optimiser is None else [],
        archive.next,
    )


def _copied_optimiser(optimiser: Any) -> keras.optimizers.Optimizer:
    """Return a fresh optimiser with the same settings, so that IMNNs share no state."""
    if optimiser is None:
        return keras.optimizers.Adam(learning_rate=DEFAULT_LEARNING_RATE)
    if not isinstance(optimiser, keras.optimizers.Optimizer):
        remedy = "For example keras.optimizers.Adam(1e-3)."
        received = checks.describe(optimiser)
        raise TypeError(checks.wording("`optimiser`", "be a Keras optimiser", received, remedy))
    return type(optimiser).from_config(optimiser.get_config())


def _check_layers(model: keras.Model, training: Source) -> None:
    """Refuse layers whose output depends on which simulations are in the network together."""
    compressor = Compressor(model)
    if training.is_exact and compressor.batch_normalisations:
        raise ValueError(
            "`model` has BatchNormalization layers, whose statistics depend on the parameters as "
            "well, which exact derivatives (δθ=None) of single simulations leave out. "
            "Use LayerNormalization, or central differences."
        )
    if training.in_chunks and not compressor.is_plain:
        raise ValueError(
            "`model` has layers that draw random numbers or use statistics of the batch (Dropout, "
            "BatchNormalization), which need all simulations in the network at once. "
            f"Received at_once={training.at_once} for {training.size} simulations. "
            "Leave `at_once` out, or use another layer (LayerNormalization, kernel_regularizer)."
        )


def _check_same(saved: Settings, here: Settings) -> None:
    for name in ("n_params", "n_summaries", "input_shape", "θ_fid", "dtype"):
        if getattr(saved, name) != getattr(here, name):
            expected = f"be {getattr(saved, name)!r} as in the saved IMNN"
            raise ValueError(checks.wording(f"`{name}`", expected, repr(getattr(here, name))))


def _weights_path(place: Path, name: str) -> Path:
    file = name if name.endswith(".weights.h5") else f"{name}.weights.h5"
    if not (place / file).is_file():
        raise FileNotFoundError(f"`weights`: there is no file {file!r} in {str(place)!r}.")
    return place / file
