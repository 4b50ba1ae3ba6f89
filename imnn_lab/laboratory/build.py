"""Makes the network that a visitor asked for; TensorFlow is first loaded here."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from imnn_lab import checks, storage, tensorflow_import
from imnn_lab.archive.state import STATE
from imnn_lab.demo.problems import CASES
from imnn_lab.files.rows import Rows, as_rows
from imnn_lab.inference.exact import exact_posterior
from imnn_lab.inference.priors import Uniform

SCRATCH = "small, from scratch"
NETWORKS = (
    "the one that suits", "chosen among all", "linear", "dense", "deep_set", "convolutional",
    SCRATCH,
)  # fmt: skip
SCRATCH_WIDTH, SCRATCH_RATE = 16, 1e-3
MOST_SIMULATIONS, MOST_SEED = 20_000, 2**30
WIDTH = 10.0  # standard deviations of the estimate that the prior of own data reaches
NAMES = ("fiducial", "derivative", "validation_fiducial", "validation_derivative", "target")
NUMBERS = ("θ_fid", "δθ")
OWN = "own"  # directory of the files that were sent
LOOKED_AT, FEWEST = 100 * 2**20, 100  # bytes of each array that are read first; simulations
READ_VALUES = 2**22  # at a time of all the others


@dataclass(frozen=True, eq=False)
class Built:
    """A network, and what inference with it needs.

    Attributes
    ----------
    imnn : IMNN
    title : str
    labels : tuple of str
    target : ndarray, shape (n_targets,) + input_shape
    prior : Uniform, or None for one around θ_fid
    simulator, exact : callable, optional
    known_fisher : ndarray, optional
    recipe : dict
        What it was built from, as JSON can hold it; arrays by name.
    place : Path, optional
        Where it is saved.
    """

    imnn: Any
    title: str
    labels: tuple[str, ...]
    target: np.ndarray
    prior: Uniform | None = None
    simulator: Callable[..., Any] | None = None
    exact: Callable[[Any], Any] | None = None
    known_fisher: np.ndarray | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    place: Path | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the network is made."""
        return bool(getattr(self.imnn, "is_ready", True))

    def prior_here(self) -> Uniform:
        """Return the prior: as given, or flat over ten standard deviations around θ_fid."""
        if self.prior is not None:
            return self.prior
        reach = WIDTH * np.sqrt(np.diag(self.imnn.Finv))
        return Uniform(self.imnn.θ_fid - reach, self.imnn.θ_fid + reach)


@dataclass(frozen=True)
class Sizes:
    """How much to simulate, and the seed of simulations and network."""

    n_s: int = 1000
    n_d: int = 1000
    seed: int = 0


def build_problem(name: str, network: str, sizes: Sizes, place: Path | None = None) -> Built:
    """Simulate a problem and make a network for it.

    Parameters
    ----------
    name : str
        A key of `CASES`.
    network : str
        One of `NETWORKS`; the one that suits a problem is known.
    sizes : Sizes
    place : Path, optional
        Where to save it; what is saved there is loaded instead.
    """
    imnn_class, _ = _tensorflow()
    case, saved = CASES[name], _saved(place)
    problem = case.make()
    name_of_network = problem.network if network == NETWORKS[0] else network
    model, optimiser = made(name_of_network, problem.input_shape, problem.n_params, sizes.seed)
    model = None if saved.get("load") else model
    sets = [problem.training_set(sizes.n_s, sizes.n_d, 2 * sizes.seed + i) for i in range(2)]
    values = zip(problem.θ_fid, problem.δθ, strict=True)
    imnn = imnn_class(
        sizes.n_s, sizes.n_d, None, problem.n_params, None, None, problem.input_shape, *sets[0],
        *sets[1], parameters=dict(zip(problem.labels, values, strict=True)), model=model,
        optimiser=optimiser, seed=sizes.seed, verbose=False, **saved,
    )  # fmt: skip
    described = described_problem(name, sizes)
    title = f"{case.words}, {imnn.model.name} network"
    recipe = {"problem": name, "network": network} | asdict(sizes)
    return replace(described, imnn=imnn, title=title, recipe=recipe, place=place)


def described_problem(name: str, sizes: Sizes) -> Built:
    """Return what is known of a problem without a network: `imnn` is the problem itself."""
    case = CASES[name]
    problem = case.make()
    return Built(
        problem,
        case.words,
        problem.labels,
        case.observation(problem, sizes.seed)[None],
        case.prior,
        problem.simulator,
        lambda data: exact_posterior(problem, data, case.prior, cells=10_000),
        problem.F,
    )


@dataclass(frozen=True)
class OwnData:
    """The data that a visitor sent, or chose from those of the server.

    Attributes
    ----------
    arrays : mapping from name to ndarray or Files
        See `NAMES`; only fiducial and derivative are needed.
    θ_fid, δθ : ndarray, shape (n_params,)
    name : str
        Which of the server's sets it is, empty for data that were sent.
    calls : mapping from name to str
        Python code that opens the arrays.
    place : Path, optional
        Directory of the files that were sent.
    names : tuple of str
        Of the parameters; empty for θ₁, θ₂ and so on.
    """

    arrays: Mapping[str, Any] = field(default_factory=dict)
    θ_fid: np.ndarray = field(default_factory=lambda: np.empty(0))
    δθ: np.ndarray = field(default_factory=lambda: np.empty(0))
    name: str = ""
    calls: Mapping[str, str] = field(default_factory=dict)
    place: Path | None = None
    names: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the parameters as they are shown."""
        return self.names or checks.default_labels(len(self.θ_fid))


def build_from_data(own: OwnData, network: str, sizes: Sizes, place: Path | None = None) -> Built:
    """Make a network for data that a visitor sent.

    Parameters
    ----------
    own : OwnData
    network : str
        One of `NETWORKS`.
    sizes : Sizes
        Of which the seed counts.
    place : Path, optional
        Where to save network and data; a network that is saved there is loaded instead.

    Raises
    ------
    TypeError, ValueError
        If arrays are missing, or do not fit one another.
    """
    _check_own(own)
    imnn_class, _ = _tensorflow()
    fiducial, derivative = own.arrays["fiducial"], own.arrays["derivative"]
    n_params, shape = len(own.θ_fid), fiducial.shape[1:]
    held_out = [own.arrays.get(name) for name in NAMES[2:4]]
    n_s, n_d = (None if array is None else len(array) for array in held_out)
    name = NETWORKS[1] if network == NETWORKS[0] else network
    saved = _saved(place)
    model, optimiser = made(name, shape, n_params, sizes.seed)
    model = None if saved.get("load") else model
    values = zip(own.θ_fid, own.δθ, strict=True)
    imnn = imnn_class(
        len(fiducial), len(derivative), None, n_params, None, None, shape, fiducial, derivative,
        *held_out, parameters=dict(zip(own.labels, values, strict=True)), model=model,
        optimiser=optimiser, seed=sizes.seed, verbose=False, validation_n_s=n_s,
        validation_n_d=n_d, **saved,
    )  # fmt: skip
    if place is not None and not saved["load"] and own.place is not None:
        _keep(own.place, place / OWN)
    target = own.arrays.get("target", fiducial[:1])
    target = target[None] if target.shape == shape else target
    title = f"{own.name or 'own data'}, {len(fiducial):,} fiducial simulations"
    recipe: dict[str, Any] = {"network": network, "arrays": list(own.arrays)} | asdict(sizes)
    recipe |= {"θ_fid": own.θ_fid.tolist(), "δθ": own.δθ.tolist()}
    recipe |= {"names": list(own.names), "name": own.name, "calls": dict(own.calls)}
    return Built(imnn, title, own.labels, target, recipe=recipe, place=place)


def check_data(own: OwnData, go_on: Callable[[float], bool] = lambda share: True) -> None:
    """Refuse simulations that no network can be made for, as `IMNN` does, without making one.

    The first simulations of each array are looked at together, then the values of all, some at a
    time.

    Parameters
    ----------
    own : OwnData
    go_on : callable
        Called with the share of the values that was read; returns whether to read on.

    Raises
    ------
    TypeError, ValueError
        If arrays are missing, do not fit one another, are not finite or do not differ.
    """
    _check_own(own)
    tensorflow_import.import_tensorflow()
    from imnn_lab.settings import Settings
    from imnn_lab.sources import sources

    n, shape = len(own.θ_fid), own.arrays["fiducial"].shape[1:]
    if (target := own.arrays.get("target")) is not None:
        if target.shape != shape and target.shape[1:] != shape:
            expected = f"have the shape of a simulation, {shape}, or of several"
            raise ValueError(checks.wording("`target`", expected, f"shape {target.shape}"))
        checks.finite("target", checks.real_array("target", target))
    sets = [None if (x := own.arrays.get(name)) is None else _first(x) for name in NAMES[:4]]
    n_s, n_d, *of_validation = (None if x is None else len(x) for x in sets)
    settings = Settings.checked(
        n_s=n_s, n_d=n_d, n_params=n, n_summaries=n, θ_fid=own.θ_fid, δθ=own.δθ,
        input_shape=shape, validation_n_s=of_validation[0], validation_n_d=of_validation[1],
        at_once=None, check_shape=True, verbose=False, dtype="float32", itype="int32",
        warm_start=True, whiten=True, seed=0,
    )  # fmt: skip
    sources(settings, *sets)
    others = {
        name: own.arrays[name]
        for name, first in zip(NAMES[:4], sets, strict=True)
        if first is not None and len(first) < len(own.arrays[name])
    }
    _look_through(others, go_on)


def _look_through(arrays: Mapping[str, Any], go_on: Callable[[float], bool]) -> None:
    """Refuse values that are no data, wherever they are."""
    from imnn_lab.sources.collection import checked_simulation

    read, total = 0, sum(math.prod(array.shape) for array in arrays.values())
    for name, array in arrays.items():
        rows = as_rows(name, array, ("seed",)) or Rows(array, array.shape, array.dtype)
        for start, stop in rows.spans(max(1, READ_VALUES // math.prod(array.shape[1:]))):
            block = np.asarray(rows.read(start, stop))
            try:
                checks.data(f"`{name}` from seed {start} on", block, "float32")
            except ValueError:
                for seed, values in enumerate(block, start):
                    checked_simulation(f"`{name}` at seed {seed}", values, dtype="float32")
                raise
            read += (stop - start) * math.prod(array.shape[1:])
            if not go_on(read / total):
                return


def _check_own(own: OwnData) -> None:
    """Refuse data without simulations of both kinds, and names of other parameters."""
    for name in NAMES[:2]:
        if name not in own.arrays:
            received = ", ".join(own.arrays) or "no array of these names"
            remedy = f"Name files or members of an .npz {', '.join(NAMES)}."
            raise ValueError(checks.wording("The data", f"have `{name}`", received, remedy))
        if own.arrays[name].ndim < 2:
            expected = "have one row for each simulation, of one value at least"
            received = checks.describe(own.arrays[name])
            raise ValueError(checks.wording(f"`{name}`", expected, received))
    if len(own.labels) != len(own.θ_fid):
        expected = f"be one for each of the {len(own.θ_fid)} values of θ_fid, or none"
        received = f"{len(own.names)}: {', '.join(own.names)}"
        raise ValueError(checks.wording("`names`", expected, received))


def _first(array: Any) -> np.ndarray:
    """Return the first rows of an array: as many as are read soon."""
    row = max(1, math.prod(array.shape[1:]) * array.dtype.itemsize)
    return np.asarray(array[: max(FEWEST, LOOKED_AT // row)])


def build_again(recipe: Mapping[str, Any], place: Path, own: OwnData | None = None) -> Built:
    """Make the network that is saved in a place, by the recipe that is kept of it.

    Parameters
    ----------
    recipe : mapping
    place : Path
    own : OwnData, optional
        Own simulations, if it was built from such.
    """
    sizes = Sizes(**{name: recipe[name] for name in asdict(Sizes())})
    if "problem" in recipe:
        return build_problem(recipe["problem"], recipe["network"], sizes, place)
    own = replace(own or OwnData(), names=tuple(recipe.get("names", ())))
    return build_from_data(own, recipe["network"], sizes, place)


def _keep(sent: Path, place: Path) -> None:
    """Copy files that were sent to where they are kept."""
    for file in sent.iterdir():
        if not file.name.startswith("."):
            with storage.aside(place / file.name) as temporary:
                shutil.copyfile(file, temporary)


def _saved(place: Path | None) -> dict[str, Any]:
    """Return the arguments of an IMNN that is saved in a place, and loaded if it is there."""
    if place is None:
        return {}
    is_there = (place / "imnn" / STATE).is_file()
    return {"directory": place, "filename": "imnn", "save": True, "load": is_there}


def made(network: str, shape: tuple[int, ...], n: int, seed: int) -> tuple[Any, Any]:
    """Return a model and its optimiser; None for one that is to be chosen."""
    if network == NETWORKS[1]:
        return None, None
    if network == SCRATCH:
        return _from_scratch(shape, n, seed)
    _, networks = _tensorflow()
    return getattr(networks, network)(shape, n, seed=seed), None


def _from_scratch(shape: tuple[int, ...], n: int, seed: int) -> tuple[Any, Any]:
    """Return a small network of random weights, whose last layer an IMNN solves, and its rate."""
    tensorflow_import.import_tensorflow()
    import keras

    def weights(layer: int) -> Any:
        return keras.initializers.GlorotUniform(100 * seed + layer)

    hidden = [
        keras.layers.Dense(SCRATCH_WIDTH, "leaky_relu", kernel_initializer=weights(layer))
        for layer in range(2)
    ]
    last = keras.layers.Dense(n, kernel_initializer=weights(2))
    layers = [keras.Input(shape), keras.layers.Flatten(), *hidden, last]
    return keras.Sequential(layers, name="small"), keras.optimizers.Adam(SCRATCH_RATE)


def _tensorflow() -> tuple[Any, Any]:
    tensorflow_import.import_tensorflow()
    from imnn_lab import networks
    from imnn_lab.imnn import IMNN

    return IMNN, networks
