"""Where simulations come from: `as_source` is the only place that asks what the data is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from imnn_lab import checks
from imnn_lab.settings import Settings
from imnn_lab.sources import known, reading
from imnn_lab.sources.arrays import ArraySource
from imnn_lab.sources.augmentation import Augmentation
from imnn_lab.sources.checking import checked_arrays
from imnn_lab.sources.collection import Layout
from imnn_lab.sources.preprocessing import MapFunction, takes_seed
from imnn_lab.sources.simulator import simulator_sources
from imnn_lab.sources.source import Source

LIMIT = 2**30  # bytes that cache="auto" keeps in memory

__all__ = ["Data", "Source", "as_source", "checked_arrays", "sources"]


@dataclass(frozen=True)
class Data:
    """What a user calls data; see `IMNN` for what each may be."""

    fiducial: Any = None
    derivative: Any = None
    validation_fiducial: Any = None
    validation_derivative: Any = None
    external: Any = None
    map_fn: MapFunction | None = None
    simulator: Any = None

    @property
    def arguments(self) -> tuple[Any, Any, Any, Any]:
        """The four data arguments."""
        return (
            self.fiducial,
            self.derivative,
            self.validation_fiducial,
            self.validation_derivative,
        )


def sources(
    settings: Settings, data: Data, is_needed: bool = True
) -> tuple[Source | None, Source | None]:
    """Return the sources for training and validation, None where there are no data.

    Parameters
    ----------
    settings : Settings
        The clean settings of an IMNN.
    data : Data
        What the user gave.
    is_needed : bool
        Whether training data must be given.
    """
    fiducial, derivative, *validation = data.arguments
    if data.simulator is not None:
        _check_alone(data)
        return simulator_sources(data.simulator, settings, data.map_fn)
    external = known.parted(data.external)
    if fiducial is None and derivative is None and not is_needed:
        return None, None
    training = as_source(
        fiducial, derivative, settings, settings.n_s, settings.n_d,
        external=external[:2], map_fn=data.map_fn,
    )  # fmt: skip
    if validation[0] is None and validation[1] is None:
        return training, None
    if (external[0] is None) != (external[2] is None):
        raise ValueError(
            "`external` must hold known summaries of the validation simulations as well. "
            f"Received {sum(part is not None for part in external)} parts. Pass four parts: "
            f"({', '.join(known.NAMES)})."
        )
    n_s, n_d = settings.validation_n_s, settings.validation_n_d
    return training, as_source(
        validation[0], validation[1], settings, n_s, n_d, prefix="validation_",
        external=external[2:], map_fn=data.map_fn,
    )  # fmt: skip


def as_source(
    fiducial: Any,
    derivative: Any,
    settings: Settings,
    n_s: int | None = None,
    n_d: int | None = None,
    prefix: str = "",
    external: tuple[Any, Any] = (None, None),
    map_fn: MapFunction | None = None,
) -> Source:
    """Turn what the user calls data into a source of simulations.

    Parameters
    ----------
    fiducial : array-like of shape (n_s,) + input_shape, callable, list of files or tf.data.Dataset
        Simulations at the fiducial parameters.
    derivative : the same, of shape (n_d, 2, n_params) + input_shape
        Seed-matched simulations below and above the fiducial parameters; where δθ is None, exact
        derivatives of the first n_d fiducial simulations, of shape (n_d, n_params) + input_shape.
    settings : Settings
        The clean settings of an IMNN.
    n_s, n_d : int or None
        How many simulations there must be; None takes what arrays hold, and for other kinds the
        numbers of training.
    prefix : str
        What the names of the arguments start with, for messages.
    external : tuple
        Known summaries of the fiducial and of the derivative simulations, or None.
    map_fn : callable, optional
        Preprocessing or augmentation.

    Raises
    ------
    TypeError, ValueError, RuntimeError, FileNotFoundError
        If simulations have the wrong type or shape, are missing, too many or not finite, or cannot
        be made or read; see `generators`, `record_files` and `datasets`.
    """
    augmentation = preprocess = None
    if map_fn is not None and takes_seed(map_fn):
        augmentation = Augmentation.of(map_fn, settings, is_fixed=bool(prefix))
    elif map_fn is not None:
        preprocess = map_fn
    sides = () if settings.is_exact else (2,)
    layouts = (
        Layout(f"{prefix}fiducial", (n_s or settings.n_s,)),
        Layout(f"{prefix}derivative", (n_d or settings.n_d, *sides, settings.n_params)),
    )
    data = reading.Readable((fiducial, derivative), layouts, settings, preprocess)
    cache = _cache(data, settings)
    if cache != "memory":
        t = known.known_summaries(external, layouts, settings)
        read = reading.from_disk if cache == "disk" else reading.streamed
        return read(data, t, augmentation)
    x, d = checked_arrays(
        *reading.in_memory(data), n_s, n_d, settings.n_params, settings.input_shape,
        settings.is_exact, settings.check_shape, prefix,
    )  # fmt: skip
    counts = x.shape[:1], d.shape[: len(layouts[1].counts)]
    found = Layout(layouts[0].name, counts[0]), Layout(layouts[1].name, counts[1])
    t = known.known_summaries(external, found, settings)
    return ArraySource(x, d, settings.widths, settings.dtype, settings.at_once, t, augmentation)


def _cache(data: reading.Readable, settings: Settings) -> str | None:
    """Return where simulations are kept: "memory", "disk", or None to read them every time."""
    size = data.size * math.prod(settings.input_shape) * np.dtype(settings.dtype).itemsize
    if not data.size or settings.cache == "memory":
        return "memory"
    if settings.cache == "auto":
        if size < LIMIT:
            return "memory"
        return "disk" if settings.is_exact else None
    if settings.cache is None and settings.is_exact:
        remedy = 'Exact derivatives go with the simulations they belong to: use cache="disk".'
        expected = "keep simulations with exact derivatives somewhere"
        raise ValueError(checks.wording("`cache`", expected, "None", remedy))
    return settings.cache


def _check_alone(data: Data) -> None:
    given = [name for name in (*known.NAMES, "external") if getattr(data, name) is not None]
    if given:
        expected = "be the only origin of the simulations"
        received = ", ".join(f"`{name}`" for name in given)
        remedy = "Pass `simulator` or data, not both."
        raise ValueError(checks.wording("`simulator`", expected, f"{received} as well", remedy))
