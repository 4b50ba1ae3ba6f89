"""The demonstration: from simulations to the posterior of an observation."""

PROBLEMS = {
    "nile": "annual flow of the Nile 1871-1970, a real observation",
    "gaussian": "mean and variance of ten Gaussian values",
    "slope": "slope of a line in noise",
    "field": "power spectrum of a 16 × 16 Gaussian field",
}
