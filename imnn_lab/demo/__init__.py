"""The demonstration: from simulations to the posterior of an observation."""

PROBLEMS = {
    "nile": "annual flow of the Nile 1871-1970, a real observation",
    "gaussian": "mean and variance of ten Gaussian values",
    "slope": "slope of a line in noise",
    "field": "power spectrum of a 16 × 16 Gaussian field",
    "sine": "amplitude, frequency and phase of a sine in noise",
    "blob": "amplitude, position and width of a blob in a noisy image",
    "poisson_blob": "a blob in an image of Poisson counts",
    "bivariate_normal": "means, variances and covariance of 20 pairs",
    "mixture": "share and place of one of two populations",
    "gaussian_process": "standard deviation and length of a Gaussian process",
    "lognormal_field": "an 8 × 8 lognormal field",
}
