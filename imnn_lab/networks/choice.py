"""Chooses the network that suits the data, among those of `imnn_lab.networks` and their unions.

Each candidate is started in closed form, and valued by ln det F on simulations that its last layer
was not solved for: solved on training and evaluated on validation, and the other way round.
Candidates share their input, so that the features of several can stand side by side before one last
layer. Among those that are nearly as good as the best, the one with the fewest weights is taken;
those of which the value is not known to a factor of e in det F are only if all are so.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imnn_lab import checks
from imnn_lab.encoding import Encoding
from imnn_lab.networks.fitted_layers import BATCH, fit_layers
from imnn_lab.networks.last_layer import moments_of_features, solve
from imnn_lab.networks.layers import Layers, Tensor
from imnn_lab.networks.readings import Reading, ambiguity, readings_of
from imnn_lab.progress import progress_bar
from imnn_lab.settings import Settings
from imnn_lab.sources import encoded, smallest_count, sources
from imnn_lab.sources.external import NAMES
from imnn_lab.sources.source import FIRST, ArraySource, Rows, Source
from imnn_lab.stencils import Stencils
from imnn_lab.summaries import Compressor, comfortable_chunk, values_of, with_external

MOST_ROWS = 20_000  # simulations of a set
MOST_COMPUTED = 2**31  # values that a candidate computes for them
FEWEST_ROWS = 600
MOST_FEATURES = 1600  # of networks side by side
UNKNOWN = 1.0  # error of ln det F with which a candidate is not compared with others
TIE, MOST_TIE = 0.01, 0.5  # ln det F that a simpler network may lose: at least, if it is noisy


@dataclass(frozen=True)
class Candidate:
    """A network that was tried, or why it was not.

    Attributes
    ----------
    name : str
        Its parts, and how it reads the data.
    log_det_F : float
        ln det F on simulations that its last layer was not solved for; NaN if it was left out.
    error : float
        Standard error of `log_det_F`, from four parts of the simulations.
    n_weights : int
        Number of its weights.
    seconds : float
        Time to make and value it.
    note : str
        Why it was left out.
    is_chosen : bool
        Whether it is the one that was taken.
    """

    name: str
    log_det_F: float
    error: float
    n_weights: int
    seconds: float
    note: str = ""
    is_chosen: bool = False

    @property
    def result(self) -> str:
        """ln det F with its error, or why there is none."""  # noqa: D403
        if self.note or self.log_det_F == -np.inf:
            return self.note or "F is singular"
        return f"{self.log_det_F:.3f} ± {self.error:.3f}"


@dataclass(frozen=True)
class Choice:
    """The network that was chosen, and all that were tried; printed as a table.

    Attributes
    ----------
    model : keras.Model
        Its layers are fitted; an `IMNN` takes it as `model`.
    candidates : tuple of Candidate
        In the order in which they were tried; those that were left out are last.
    note : str
        How the shape was read, and on how many simulations the candidates were tried.
    """

    model: keras.Model
    candidates: tuple[Candidate, ...]
    note: str = ""

    def __str__(self) -> str:
        width = max(len(candidate.name) for candidate in self.candidates)
        lines = [f"  {'network':{width}s}    ln det F           weights  seconds"]
        for each in self.candidates:
            mark = "→" if each.is_chosen else " "
            cost = f"{each.n_weights:9,d} {each.seconds:8.1f}"
            lines.append(f"{mark} {each.name:{width}s}  {each.result:>17s} {cost}")
        return "\n".join([*lines, *([self.note] if self.note else [])])


def choose(
    fiducial: Any,
    derivative: Any,
    validation_fiducial: Any = None,
    validation_derivative: Any = None,
    *,
    δθ: Any,
    n_summaries: int | None = None,
    dtype: str = "float32",
    seed: int | None = None,
    verbose: bool = True,
    input_shape: Any = None,
    missing: str | None = None,
    longest: int | None = None,
) -> Choice:
    """Choose the network that keeps most information of some simulations.

    Parameters
    ----------
    fiducial : ndarray, shape (n_s,) + input_shape
        Simulations at the fiducial parameters.
    derivative : ndarray, shape (n_d, 2, n_params) + input_shape
        Seed-matched simulations below and above them; for δθ=None exact derivatives, without the
        axis of 2, or `imnn_lab.Stencils`.
    validation_fiducial, validation_derivative : ndarray, optional
        Other simulations; without them halves of the first are used.
    δθ : sequence of float, shape (n_params,), or None
        Full width of the central difference, in the units of the parameters.
    n_summaries : int, optional
        Number of summaries; n_params by default.
    dtype : str
        "float32" or "float64".
    seed : int, optional
        Makes initial weights reproducible.
    verbose : bool
        Whether to show a bar and print the table.
    input_shape : tuple of int, dict or list, optional
        Shape of one simulation, as for `IMNN`; by default that of the arrays. It is needed for sets
        of any number of entries and for several arrays.
    missing, longest : optional
        As for `IMNN`.

    Returns
    -------
    Choice
        Its `model` is to be passed to `IMNN`; `candidates` are all that were tried.

    Raises
    ------
    TypeError, ValueError
        If arrays have wrong shapes or hold what is no data, as for `IMNN`.

    Examples
    --------
    >>> from imnn_lab import networks, problems
    >>> problem = problems.gaussian()
    >>> data = [x for seed in (1, 2) for x in problem.training_set(500, 500, seed)]
    >>> choice = networks.choose(*data, δθ=problem.δθ, seed=1, verbose=False)
    >>> choice.model.name
    'deep_set'
    """
    stencils = derivative if isinstance(derivative, Stencils) else None
    data = fiducial, derivative, validation_fiducial, validation_derivative
    n_axes = 2 if δθ is None else 3
    if input_shape is None:
        shapes = [checks.as_array(x).shape for x in (fiducial, derivative)]
        if stencils is not None:
            shapes[1], n_axes = (0, len(stencils)), 2
        if len(shapes[0]) < 2 or len(shapes[1]) <= n_axes - 1:
            expected = "be arrays (n_s,) + input_shape and (n_d, 2, n_params) + input_shape"
            raise ValueError(checks.wording("`fiducial` and `derivative`", expected, shapes))
        input_shape = shapes[0][1:]
    encoding = Encoding.declared(input_shape, missing, longest)
    n_s = encoding.lengths(fiducial, 1)[0]
    if stencils is None:
        n_d, *_, n_params = encoding.lengths(derivative, n_axes)
    else:
        n_d, n_params = smallest_count(stencils, fiducial, None, encoding.is_several), len(stencils)
    held_out = [
        None if x is None or isinstance(x, Stencils) else encoding.lengths(x, 1)[0]
        for x in data[2:]
    ]
    settings = Settings.checked(
        n_s=n_s, n_d=n_d, n_params=n_params,
        n_summaries=n_params if n_summaries is None else n_summaries, θ_fid=np.zeros(n_params),
        δθ=δθ, input_shape=input_shape, validation_n_s=held_out[0],
        validation_n_d=held_out[1], at_once=None,
        check_shape=True, stencils=stencils and stencils.description, dtype=dtype, itype="int32",
        verbose=verbose, warm_start=True, whiten=True, seed=seed, missing=missing, longest=longest,
    )  # fmt: skip
    settings = encoded(settings, **dict(zip(NAMES, data, strict=True)))
    training, validation = sources(settings, *data)
    assert training is not None
    choice = chosen_network(settings, training, validation)
    if settings.verbose:
        print(choice)
    return choice


def chosen_network(settings: Settings, training: Source, validation: Source | None) -> Choice:
    """Return the network that keeps most information of the simulations of two sources."""
    shape, n_summaries = settings.input_shape, settings.n_summaries
    inputs = keras.Input(shape, dtype=settings.dtype)
    readings = list(readings_of(shape, settings.encoding))
    states = np.random.SeedSequence(settings.seed).generate_state(len(readings) + 1)
    *seeds, last_seed = (int(state >> 1) for state in states)
    trials = [
        _Single.of(inputs, reading, settings, seed)
        for reading, seed in zip(readings, seeds, strict=True)
    ]
    cheapest = min(trial.n_values for trial in trials)
    most = max(cheapest, MOST_COMPUTED // FEWEST_ROWS)
    left_out = {trial: trial.reason(n_summaries, most) for trial in trials}
    singles = [trial for trial in trials if not left_out[trial]]
    if not singles:
        expected = "be at most the number of features of a network for these data"
        raise ValueError(checks.wording("`n_summaries`", expected, n_summaries))
    sets, note = _sets(training, validation, max(trial.n_values for trial in singles))
    bar = progress_bar(settings.verbose, desc="choosing a network", unit="network")
    with bar(total=len(singles)) as shown:
        for trial in singles:
            trial.value(sets, n_summaries)
            shown.update(1)
    tried = [*singles, *_unions(singles, sets, n_summaries)]
    chosen = _chosen(tried)
    output = Layers(settings.dtype, last_seed).readout(chosen.features, n_summaries)
    model = keras.Model(inputs, output, name=chosen.model_name)
    candidates = [replace(trial.candidate(), is_chosen=trial is chosen) for trial in tried]
    candidates += [replace(t.candidate(), note=reason) for t, reason in left_out.items() if reason]
    return Choice(model, tuple(candidates), " ".join([*ambiguity(shape, settings.encoding), *note]))


# Candidates ---------------------------------------------------------------------------------


@dataclass(eq=False)
class _Trial:
    """A candidate while it is tried; its features are kept in memory, which unions take up."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    features: list[Tensor]
    n_weights: int = 0
    seconds: float = 0.0
    outputs: list[np.ndarray] = field(default_factory=list)  # of each set
    values: np.ndarray = field(default_factory=lambda: np.full(4, np.nan))

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of features in each group."""
        return tuple(int(part.shape[-1]) for part in self.features)

    @property
    def mean(self) -> float:
        """Ln det F on simulations that the last layer was not solved for."""
        return float(np.mean(self.values))

    @property
    def error(self) -> float:
        """Standard error of `mean`, NaN if it is −∞."""
        with np.errstate(invalid="ignore"):
            return float(np.std(self.values, ddof=1) / np.sqrt(len(self.values)))

    @property
    def model_name(self) -> str:
        """Name of the Keras model."""
        return "_and_".join(kind.split()[0] for kind in self.kinds)

    def last_weights(self, n_summaries: int) -> int:
        """Return the number of weights of its last layer."""
        return (sum(self.widths) + 1) * n_summaries

    def candidate(self) -> Candidate:
        """Return what is told of this candidate."""
        name = " + ".join(self.names)
        return Candidate(name, self.mean, self.error, self.n_weights, self.seconds)

    def is_as_good_as(self, best: _Trial) -> bool:
        """Return whether this loses no more than TIE, or than two errors of the difference."""
        if not (np.isfinite(self.mean) and np.isfinite(best.mean)):
            return self.mean == best.mean
        difference = best.values - self.values
        error = np.std(difference, ddof=1) / np.sqrt(len(difference))
        return bool(np.mean(difference) <= np.clip(2 * error, TIE, MOST_TIE))

    def union(self, other: _Trial, sets: Sequence[ArraySource], n_summaries: int) -> _Trial:
        """Return a candidate with the features of both."""
        started = time.perf_counter()
        both = _Trial(
            self.names + other.names, self.kinds + other.kinds, self.features + other.features
        )
        inner = [trial.n_weights - trial.last_weights(n_summaries) for trial in (self, other)]
        both.n_weights = sum(inner) + both.last_weights(n_summaries)
        both.outputs = [
            np.hstack([x, y[:, sets[0].n_external :]])
            for x, y in zip(self.outputs, other.outputs, strict=True)
        ]
        both.score(sets, n_summaries)
        both.seconds = time.perf_counter() - started
        return both

    def score(self, sets: Sequence[ArraySource], n_summaries: int) -> None:
        """Find ln det F of readouts on parts of simulations that they do not know; −∞ for none.

        With one set they are those of its halves.
        """
        pooled = [
            moments_of_features(source, x).pooled
            for source, x in zip(sets, self.outputs, strict=True)
        ]
        first, second = pooled if len(pooled) > 1 else pooled[0].halves
        try:
            self.values = solve(first, second, n_summaries, self.widths).values
        except ValueError:
            self.values = np.full(4, -np.inf)


class _Single(_Trial):
    """A candidate that reads simulations in one way, with a model of its own."""

    model: keras.Model

    @classmethod
    def of(cls, inputs: Tensor, reading: Reading, settings: Settings, seed: int) -> _Single:
        """Return the candidate of a reading."""
        started = time.perf_counter()
        owner = "".join(c if c.isalnum() else "_" for c in reading.name)
        layers = Layers(settings.dtype, seed, owner)
        x = inputs
        if tuple(x.shape[1:]) != reading.shape:
            x = layers.new(keras.layers.Reshape, reading.shape)(x)
        features = reading.make(x, layers)
        model = keras.Model(inputs, layers.joined(features))
        trial = cls((reading.name,), (reading.kind,), features)
        trial.model = model
        trial.n_weights = model.count_params() + trial.last_weights(settings.n_summaries)
        trial.seconds = time.perf_counter() - started
        return trial

    @property
    def n_values(self) -> int:
        """How many values its layers compute for a simulation."""
        return values_of(self.model)

    def reason(self, n_summaries: int, most: int) -> str:
        """Return why this candidate is left out, if it is; `most` values are not too slow."""
        if sum(self.widths) < n_summaries:
            return "too few features"
        return "left out: too slow" if self.n_values > most else ""

    def value(self, sets: Sequence[ArraySource], n_summaries: int) -> None:
        """Fit the layers and find ln det F on each half of the other set, in both directions."""
        started = time.perf_counter()
        fit_layers(self.model, sets[0].fiducial(sets[0].n_s))
        self.outputs = _outputs(Compressor(self.model), sets)
        self.score(sets, n_summaries)
        self.seconds += time.perf_counter() - started


def _known(trials: Sequence[_Trial]) -> Sequence[_Trial]:
    """Return the trials whose information is known, all of them if none is."""
    return [trial for trial in trials if trial.error <= UNKNOWN] or trials


def _chosen(tried: Sequence[_Trial]) -> _Trial:
    """Return the trial with the fewest weights of those that are as good as the best."""
    known = _known(tried)
    best = max(known, key=lambda trial: trial.mean)
    return min((t for t in known if t.is_as_good_as(best)), key=lambda t: t.n_weights)


def _unions(
    singles: list[_Single], sets: Sequence[ArraySource], n_summaries: int
) -> Iterator[_Trial]:
    """Yield the best candidate with others beside it, and the best of these with one more.

    Where a linear network is as good as the best there is nothing that others could add.
    """
    best: _Trial = max(_known(singles), key=lambda trial: trial.mean)
    if any(trial.kinds == ("linear",) and trial.is_as_good_as(best) for trial in singles):
        return
    by_kind = {trial.kinds[0]: trial for trial in sorted(singles, key=lambda trial: trial.mean)}
    for _ in range(2):
        found = [
            best.union(other, sets, n_summaries)
            for kind, other in by_kind.items()
            if kind not in (*best.kinds, "linear")
            and sum(best.widths) + sum(other.widths) <= MOST_FEATURES
        ]
        yield from found
        better = [trial for trial in _known(found) if not best.is_as_good_as(trial)]
        if not better:
            return
        best = max(better, key=lambda trial: trial.mean)


# Simulations --------------------------------------------------------------------------------


def _sets(
    training: Source, validation: Source | None, n_values: int
) -> tuple[list[ArraySource], list[str]]:
    """Return the sets in memory, of so many simulations that choosing takes seconds.

    Parameters
    ----------
    training, validation : source
    n_values : int
        How many values the largest candidate computes for a simulation.
    """
    given = [source.fixed() for source in (training, validation) if source is not None]
    most = int(np.clip(MOST_COMPUTED // (len(given) * n_values), FEWEST_ROWS, MOST_ROWS))
    sets, words = [], []
    for source in given:
        share = min(1.0, most / source.size)
        n_s, n_d = (math.ceil(share * n) for n in (source.n_s, source.n_d))
        sets.append(source.first(n_s, n_d))
        if share < 1:
            words.append(f"n_s = {n_s:,} of {source.n_s:,} and n_d = {n_d:,} of {source.n_d:,}")
    return sets, [f"Tried with {'; '.join(words)} simulations."] if words else []


def _outputs(compressor: Compressor, sets: Sequence[ArraySource]) -> list[np.ndarray]:
    """Return the features of all rows (size, D) of each set, after external summaries."""
    shape, dtype = sets[0].input_shape, sets[0].dtype
    x, positions = tf.TensorSpec((None, *shape), dtype), tf.TensorSpec((None,), tf.int32)
    compress = tf.function(
        lambda *rows: compressor.compress(Rows(*rows), training=False), autograph=False
    )
    plain = compress.get_concrete_function(x, positions)
    tangent = compress.get_concrete_function(x, positions, x) if sets[0].is_exact else plain
    most = min(comfortable_chunk(compressor.model) or BATCH, BATCH)
    found = []
    for source in sets:
        parts = []
        for piece in source.feed(FIRST).pieces:
            starts = range(0, len(piece.positions), most)
            traced = plain if piece.tangents is None else tangent
            chunks = [piece.part(start, most) for start in starts]
            parts += [traced(*(x for x in rows if x is not None)) for rows in chunks]
        found.append(with_external(source, tf.concat(parts, 0)).numpy())
    return found
