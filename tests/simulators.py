"""Simulators for executors; a module of its own, which workers import without TensorFlow."""

import os
import signal
from pathlib import Path

import numpy as np


def noisy(parameters, seed):
    return parameters + np.random.default_rng(seed).standard_normal(parameters.shape)


def deadly(parameters, seed, *, marks, kills):
    """Simulate, but die the first times that parameters above 0.9 come, `kills` in all.

    `marks` is a directory: each death leaves a file, so that all processes count together.
    """
    if (parameters[:, 0] > 0.9).any() and len(os.listdir(marks)) < kills:
        Path(marks, str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noisy(parameters, seed)
