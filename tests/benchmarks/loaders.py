"""Functions over arrays, for data that are given one simulation at a time."""


def yielding(array):
    """Return a generator function over an array, as the description of imnn-tf 0.2.0 has it."""

    def fiducial(seed):
        yield array[seed], seed

    def derivative(seed, derivative, parameter):
        yield array[seed, derivative, parameter], (seed, derivative, parameter)

    return fiducial if array.ndim == 2 else derivative
