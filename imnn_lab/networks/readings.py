"""How simulations can be read: the architectures that fit their shape, or how they are encoded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import keras

from imnn_lab.encoding import Encoding, Part
from imnn_lab.encoding.encoding import ONE
from imnn_lab.networks.architectures import (
    MOST_VALUES,
    convolutional_features,
    deep_set_features,
    dense_features,
    filled_features,
    fusion_features,
    linear_features,
)
from imnn_lab.networks.layers import Layers, Tensor

SERIES, SIDE = 16, 6  # shortest series, and side of images and cubes
MOST_COMBINED = 8  # networks of several arrays

MakeFeatures: TypeAlias = Callable[[Tensor, Layers], list[Tensor]]


@dataclass(frozen=True)
class Reading:
    """A way to look at simulations: an architecture, and the shape that it is given."""

    name: str
    kind: str
    make: MakeFeatures
    shape: tuple[int, ...]


def readings_of(shape: tuple[int, ...], encoding: Encoding | None = None) -> Iterator[Reading]:
    """Yield the architectures that fit a shape, or encoded data, simple ones first."""
    if encoding is None:
        yield from _of_shape(shape)
    elif encoding.kind == ONE:
        yield from _of_part(encoding.parts[0])
    else:
        yield from _of_several(encoding)


def _of_shape(shape: tuple[int, ...]) -> Iterator[Reading]:
    """Yield the architectures that fit a shape."""
    n_values = math.prod(shape)
    if n_values <= MOST_VALUES:
        yield Reading("linear", "linear", linear_features, (n_values,))
        yield Reading("dense", "dense", dense_features, (n_values,))
    if len(shape) <= 2 and shape[0] > 1:
        yield Reading("deep_set", "deep_set", deep_set_features, shape)
    fields = list(_fields(shape))
    for name, form in fields:
        of = f" ({name})" if len(fields) > 1 else ""
        for coordinates in (False, True):
            make = partial(convolutional_features, coordinates=coordinates)
            words = ", coordinates" if coordinates else ""
            yield Reading(f"convolutional{of}{words}", f"convolutional{of}", make, form)
    if n_values > MOST_VALUES and not fields:
        yield Reading("dense", "dense", dense_features, (n_values,))


def _fields(shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield how simulations can be read as series, images or cubes, and the shape with channels."""
    if len(shape) == 1 and shape[0] >= SERIES:
        yield "series", (*shape, 1)
    if len(shape) == 2 and shape[0] >= SERIES:
        yield "series", shape
    if len(shape) == 2 and min(shape) >= SIDE:
        yield "image", (*shape, 1)
    if len(shape) == 3 and min(shape[:2]) > 1:
        yield "image", shape
    if len(shape) == 3 and min(shape) >= SIDE:
        yield "cube", (*shape, 1)
    if len(shape) == 4 and min(shape[:3]) > 1:
        yield "cube", shape


def ambiguity(shape: tuple[int, ...], encoding: Encoding | None = None) -> Iterator[str]:
    """Yield what a shape could mean if it has two meanings."""
    if encoding is not None:
        return
    if len(shape) == 2 and min(shape) >= SIDE:
        yield (
            f"Shape {shape} is taken as {shape[0]} entries or positions of {shape[1]} values each, "
            f"and as an image without channels; give {(*shape, 1)} if it is an image."
        )
    if len(shape) == 3 and min(shape) >= SIDE:
        yield (
            f"Shape {shape} is taken as an image of {shape[2]} channels, and as a cube without "
            f"channels; give {(*shape, 1)} if it is a cube."
        )


def _of_part(part: Part) -> Iterator[Reading]:
    """Yield the architectures for an encoded array."""
    shape, masks = part.encoded_shape, part.masks
    if part.is_ragged:
        yield Reading("deep_set", "deep_set", partial(deep_set_features, masks=1), shape)
        return
    inner = part.value_shape
    if masks and not part.is_complex and len(part.shape) == 1:
        inner = inner[:1]
    if part.is_complex and len(inner) > 2 and inner[-2] < SIDE:
        inner = (*inner[:-2], 2 * inner[-2])  # channels, rather than positions along an axis
    for reading in _of_shape(inner):
        make, name = reading.make, reading.name
        if masks and reading.kind == "deep_set":
            if len(shape) > 2:
                continue
            make = partial(deep_set_features, masks=masks)
        elif masks:
            form = reading.shape if reading.kind not in ("linear", "dense") else None
            make = partial(filled_features, make=make, masks=masks, form=form)
        yield replace(reading, name=name, make=make, shape=shape if masks else reading.shape)


def _of_several(encoding: Encoding) -> Iterator[Reading]:
    """Yield architectures for several arrays: one for each, and one for all together."""
    (size,) = encoding.input_shape
    named = list(zip(encoding.names, encoding.parts, strict=True))
    choices = [list(_of_part(part)) for _, part in named]
    combined: Iterable[tuple[Reading, ...]] = itertools.product(*choices)
    if math.prod(map(len, choices)) > MOST_COMBINED:
        longest = max(map(len, choices))
        choices = [each + each[-1:] * (longest - len(each)) for each in choices]
        combined = zip(*choices, strict=True)
    for readings in combined:
        parts = [
            (name, part.encoded_shape, partial(_shaped, reading=reading))
            for (name, part), reading in zip(named, readings, strict=True)
        ]
        words = ", ".join(
            f"{name}: {reading.name}" for (name, _), reading in zip(named, readings, strict=True)
        )
        yield Reading(words, "fusion", partial(fusion_features, parts=parts), (size,))
    if size <= MOST_VALUES and not any(part.masks for _, part in named):
        yield Reading("dense", "dense", dense_features, (size,))


def _shaped(x: Tensor, layers: Layers, reading: Reading) -> list[Tensor]:
    """Return the features of an array in the shape of a reading."""
    if tuple(x.shape[1:]) != reading.shape:
        x = layers.new(keras.layers.Reshape, reading.shape)(x)
    return reading.make(x, layers)
