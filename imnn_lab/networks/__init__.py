"""Networks that suit kinds of data: `dense`, `convolutional`, `deep_set`."""

from imnn_lab import tensorflow_import

tensorflow_import.import_tensorflow()

from imnn_lab.networks.architectures import convolutional, deep_set, dense  # noqa: E402

__all__ = ["convolutional", "deep_set", "dense"]
