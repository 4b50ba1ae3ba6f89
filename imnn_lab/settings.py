"""The settings of an IMNN: its arguments that are numbers or text, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.encoding import Encoding, as_shape
from imnn_lab.parameters import Label, Parameter, check_names, label_of
from imnn_lab.stencils import Description, checked_description

DTYPES = ("float32", "float64")
ITYPES = ("int32", "int64")
OBJECTIVES = ("imnn", "projected")  # of a fit
FLAGS = ("check_shape", "verbose", "warm_start", "whiten")
FEW = 10  # simulations for each summary, with fewer F is far too large


@dataclass(frozen=True)
class Settings:
    """The checked settings of an IMNN, named as its arguments."""

    n_s: int
    n_d: int
    n_params: int
    n_summaries: int
    θ_fid: tuple[float, ...]
    δθ: tuple[float, ...] | None
    input_shape: tuple[int, ...]
    validation_n_s: int | None
    validation_n_d: int | None
    at_once: int | None
    check_shape: bool
    verbose: bool
    dtype: str
    itype: str
    warm_start: bool
    whiten: bool
    seed: int | None
    cache: str | None = "auto"
    simulation_seed: int = 0
    is_preprocessed: bool = False
    stencils: Description | None = None
    names: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    latex: tuple[str | None, ...] | None = None
    encoding: Encoding | None = None  # None: simulations are arrays of real numbers
    resample: bool = False

    @classmethod
    def checked(cls, **given: Any) -> Settings:
        """Check the arguments of a user.

        Raises
        ------
        TypeError, ValueError
            If one has the wrong type, shape, sign or range, or they contradict each other.
        """
        counts = {
            name: checks.integer(name, given[name], 1) for name in ("n_params", "n_summaries")
        }
        counts |= {name: checks.integer(name, given[name], 2) for name in ("n_s", "n_d")}
        _check_counts(counts, given.get("has_external", False))
        n_params = counts["n_params"]
        encoding = Encoding.declared(
            given["input_shape"], given.get("missing"), given.get("longest")
        )
        clean: dict[str, Any] = dict(counts)
        clean |= {
            name: checks.optional_integer(name, given[name], 2)
            for name in ("validation_n_s", "validation_n_d")
        }
        clean |= {name: checks.boolean(name, given[name]) for name in FLAGS}
        stencils, labels = given.get("stencils"), given.get("labels")
        if stencils is not None:
            _check_stencils(stencils, n_params, given["δθ"])
            labels = _labels_of(stencils, labels)
        elif given["δθ"] is None:
            _check_counts_of_exact("", clean["n_s"], clean["n_d"])
            n_s, n_d = (clean[f"validation_{name}"] or clean[name] for name in ("n_s", "n_d"))
            _check_counts_of_exact("validation_", n_s, n_d)
        return cls(
            **clean,
            θ_fid=tuple(checks.vector("θ_fid", given["θ_fid"], n_params).tolist()),
            δθ=_widths(given["δθ"], n_params),
            input_shape=encoding.input_shape,
            encoding=None if encoding.is_plain else encoding,
            at_once=checks.optional_integer("at_once", given["at_once"], 1),
            dtype=as_dtype("dtype", given["dtype"], DTYPES),
            itype=as_dtype("itype", given["itype"], ITYPES),
            seed=(seed := checks.seed_or_none("seed", given["seed"])),
            cache=_cache(given.get("cache", "auto")),
            simulation_seed=_any_seed() if seed is None else seed % 2**31,
            is_preprocessed=given.get("is_preprocessed", False),
            stencils=stencils,
            resample=checks.boolean("resample", given.get("resample", False)),
            **_parts(labels),
        )

    @property
    def labels(self) -> tuple[Label, ...] | None:
        """The names of the parameters with their units, None if they have no names."""
        if self.names is None:
            return None
        none = (None,) * len(self.names)
        parts = zip(self.names, self.units or none, self.latex or none, strict=True)
        return tuple(Label(name, unit or "", latex) for name, unit, latex in parts)

    def labelled_as(self, other: Settings) -> Settings:
        """Return these settings, with the names of others if these have none."""
        return self if self.names is not None else replace(self, **_parts(other.labels))

    def parameters_at(self, θ_fid: np.ndarray) -> dict[str, Parameter] | None:
        """Return the parameters at other fiducial values, None if they have no names."""
        if self.labels is None:
            return None
        widths = self.δθ or (None,) * self.n_params
        parts = zip(self.labels, θ_fid, widths, strict=True)
        return {name: Parameter(θ, δθ, name.unit, name.latex) for name, θ, δθ in parts}

    @property
    def is_exact(self) -> bool:
        """Whether the derivatives of the simulations are exact: neither δθ nor stencils."""
        return self.δθ is None and self.stencils is None

    @property
    def widths(self) -> np.ndarray | None:
        """δθ as an array, shape (n_params,); None if derivatives are exact or those of stencils."""
        return None if self.δθ is None else np.array(self.δθ)

    @property
    def steps(self) -> np.ndarray | None:
        """δθ, or the mean distance of neighbouring points; None if derivatives are exact."""
        if self.stencils is None:
            return self.widths
        each = (offsets for _, offsets, _ in self.stencils)
        return np.array([(offsets[-1] - offsets[0]) / (len(offsets) - 1) for offsets in each])

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """Make settings from the dict of `as_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If one is missing, has another name, or cannot be.
        """
        n_params = checks.integer("n_params", values["n_params"], 1)
        clean: dict[str, Any] = {
            "θ_fid": tuple(checks.vector("θ_fid", values["θ_fid"], n_params).tolist()),
            "δθ": _widths(values["δθ"], n_params),
            "input_shape": as_shape(values["input_shape"]),
            "dtype": as_dtype("dtype", checks.text("dtype", values["dtype"]), DTYPES),
            "itype": as_dtype("itype", checks.text("itype", values["itype"]), ITYPES),
            "seed": checks.seed_or_none("seed", values["seed"]),
            "cache": _cache(values.get("cache", "auto")),
            "stencils": checked_description(values.get("stencils"), n_params),
            "encoding": Encoding.from_dict(values.get("encoding")),
        } | _parts(_saved_labels(values, n_params))
        for name in ("n_s", "n_d", "n_summaries"):
            checks.integer(name, values[name], 1)
        for name in ("validation_n_s", "validation_n_d", "at_once"):
            checks.optional_integer(name, values[name], 1)
        checks.seed_or_none("simulation_seed", values.get("simulation_seed"))
        for name in (*FLAGS, "is_preprocessed", "resample"):
            checks.boolean(name, values.get(name, False))
        return cls(**values | clean)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as a dict that JSON can hold."""
        return asdict(self)


def _check_stencils(stencils: Description, n_params: int, δθ: Any) -> None:
    if len(stencils) != n_params:
        expected = f"hold a stencil for each of n_params = {n_params} parameters"
        names = ", ".join(name for name, *_ in stencils)
        received = f"{len(stencils)} ({names})" if names.strip(", ") else str(len(stencils))
        raise ValueError(checks.wording("`derivative`", expected, received))
    if δθ is not None:
        expected = "be None if `derivative` holds Stencils"
        remedy = "The points of stencils have offsets of their own."
        raise ValueError(checks.wording("`δθ`", expected, checks.describe(δθ), remedy))


def _labels_of(stencils: Description, labels: Sequence[Label] | None) -> Sequence[Label] | None:
    """Return the labels, or those that the stencils have; refuse the names of others."""
    names = [name for name, *_ in stencils if name]
    if not names:
        return labels
    if labels is None:
        found = tuple(label_of(name, Parameter(0.0)) for name in names)
        check_names("derivative", found)
        return found
    if [checks.normalise(x) for x in names] != [checks.normalise(x) for x in labels]:
        expected = f"hold stencils for {', '.join(labels)}, in this order"
        received = ", ".join(names)
        raise ValueError(checks.wording("`derivative`", expected, received))
    return labels


def _parts(labels: Sequence[Label] | None) -> dict[str, Any]:
    """Return the fields that hold labels."""
    if labels is None:
        return dict.fromkeys(("names", "units", "latex"))
    return {
        "names": tuple(str(label) for label in labels),
        "units": tuple(label.unit for label in labels),
        "latex": tuple(label.latex for label in labels),
    }


def _saved_labels(values: dict[str, Any], n_params: int) -> tuple[Label, ...] | None:
    """Return the labels in a dict of `as_dict`; those before names were saved have none."""
    if values.get("names") is None:
        return None
    parts = zip(values["names"], values["units"], values["latex"], strict=True)
    labels = tuple(
        label_of(name, Parameter(0.0, unit=unit, latex=latex)) for name, unit, latex in parts
    )
    check_names("names", labels)
    if len(labels) != n_params:
        raise ValueError(checks.wording("`names`", f"hold {n_params} names", labels))
    return labels


def _any_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0] % 2**31)


def _widths(value: Any, n_params: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    δθ = checks.vector("δθ", value, n_params)
    if not (δθ > 0).all():
        remedy = "δθ is the full width of the central difference, θ⁺ − θ⁻."
        raise ValueError(checks.wording("`δθ`", "be positive", δθ.tolist(), remedy))
    return tuple(δθ.tolist())


def _check_counts(counts: dict[str, int], has_external: bool) -> None:
    n_params, n_summaries, n_s = counts["n_params"], counts["n_summaries"], counts["n_s"]
    if n_summaries < n_params and not has_external:
        expected = f"be at least n_params = {n_params}, or F is singular"
        remedy = "Usually n_summaries = n_params is enough; fewer need `external` summaries."
        raise ValueError(checks.wording("`n_summaries`", expected, n_summaries, remedy))
    check_enough("n_s", n_s, n_summaries)


def check_enough(name: str, n_s: int, n_summaries: int) -> None:
    """Refuse so few simulations that C is singular, or the mean of C⁻¹ does not exist.

    Parameters
    ----------
    name : str
        Name of the argument that the number belongs to.
    n_s : int
        Number of fiducial simulations.
    n_summaries : int
        Number of summaries, external ones included.
    """
    if n_s <= n_summaries + 2:
        expected = (
            f"be above n_summaries + 2 = {n_summaries + 2}, or C is singular or its inverse has no "
            "mean"
        )
        raise ValueError(checks.wording(f"`{name}`", expected, n_s, "Make more simulations."))


def warn_of_few(name: str, n_s: int, n_summaries: int) -> None:
    """Warn where F of so few simulations is too large by more than a tenth or so; see above."""
    if n_s < FEW * n_summaries:
        factor = (n_s - 1) / (n_s - n_summaries - 2)
        checks.warn(
            f"`{name}` = {n_s} simulations are few for {n_summaries} summaries: F is too large by "
            f"a factor of {factor:.2g} on average, more after training on them. Use at least "
            f"{FEW * n_summaries}; `imnn.statistics.F_hartlap` is corrected for the bias.",
        )


def _check_counts_of_exact(prefix: str, n_s: int, n_d: int) -> None:
    if n_d > n_s:
        expected = f"be at most {prefix}n_s = {n_s} if δθ is None"
        remedy = "Exact derivatives are those of the first n_d fiducial simulations."
        raise ValueError(checks.wording(f"`{prefix}n_d`", expected, n_d, remedy))


def _cache(value: Any) -> str | None:
    return checks.one_of("cache", value, ("auto", "memory", "disk", None))


def as_dtype(name: str, value: Any, allowed: Sequence[str] = DTYPES) -> str:
    """Return the name of a type of numbers, given as NumPy's, TensorFlow's or a string."""
    try:
        name_of_type = getattr(value, "name", None)
        dtype = name_of_type if isinstance(name_of_type, str) else np.dtype(value).name
    except (TypeError, ValueError):
        dtype = None
    if value is None or dtype not in allowed:  # NumPy takes None for float64
        raise ValueError(
            checks.wording(f"`{name}`", f"be one of {allowed}", checks.describe(value))
        )
    return str(dtype)
