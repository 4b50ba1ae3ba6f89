"""Networks that suit kinds of data, and `choose`, which finds the one that suits some data."""

from imnn_lab import tensorflow_import

tensorflow_import.import_tensorflow()

from imnn_lab.networks.architectures import (  # noqa: E402
    convolutional,
    deep_set,
    dense,
    fusion,
    linear,
    recurrent,
)
from imnn_lab.networks.choice import Candidate, Choice, choose  # noqa: E402

__all__ = [
    "Candidate",
    "Choice",
    "choose",
    "convolutional",
    "deep_set",
    "dense",
    "fusion",
    "linear",
    "recurrent",
]
