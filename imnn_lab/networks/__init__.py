"""Networks that suit kinds of data: `dense`, `convolutional`, `deep_set`."""

from imnn_lab.networks.architectures import convolutional, deep_set, dense

__all__ = ["convolutional", "deep_set", "dense"]
