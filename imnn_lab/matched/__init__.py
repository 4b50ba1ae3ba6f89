"""Random draws that stay paired when their parameters move, and a check of any simulator.

An IMNN needs simulations below and above the fiducial parameters with the same random numbers. A
generator that is seeded alike is not enough: NumPy draws Poisson, gamma, beta, t, binomial and
other numbers in ways that depend on the parameters, so that one seed gives unrelated draws. Those
here invert the distribution function at one uniform each; names and parameters are those of
`numpy.random.Generator`, which, or a seed, comes first. `imnn_lab.matched.graph` has them in
TensorFlow. `check` measures how well any simulator pairs.
"""

from imnn_lab.matched.draws import (
    beta,
    binomial,
    draw,
    gamma,
    negative_binomial,
    poisson,
    standard_t,
    uniform,
    vonmises,
)
from imnn_lab.matched.pairing import Pairing, check

__all__ = [
    "Pairing",
    "beta",
    "binomial",
    "check",
    "draw",
    "gamma",
    "negative_binomial",
    "poisson",
    "standard_t",
    "uniform",
    "vonmises",
]
