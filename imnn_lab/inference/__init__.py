"""Likelihood-free inference from an estimate, a Fisher matrix, a simulator and a prior.

Independent of networks: any estimator, prior and simulator works. Begin with the three classes of
`imnn_lab.LFI`; here are their parts, which never modify their arguments:

- priors: `Uniform`, `TruncatedNormal`, `Independent`, and `as_prior` for those of other packages
- simulations: `ForwardModel` from parameters to estimates; `prior_draws` gives `Draws`
- Gaussian approximation: `GaussianPosterior`
- rejection: `accept` and `until_accepted` give an `Acceptance`
- populations: `first_population`, `population_monte_carlo`, `until_stopped` give a `Population`
- results: `Posterior`, which are weighted samples; `Summary`, `Density`
"""

from imnn_lab.inference.density import Density
from imnn_lab.inference.draws import Draws, Target
from imnn_lab.inference.forward import ForwardModel
from imnn_lab.inference.gaussian import GaussianPosterior
from imnn_lab.inference.population import (
    Moves,
    Population,
    Stopping,
    first_population,
    population_monte_carlo,
    until_stopped,
)
from imnn_lab.inference.posterior import Posterior, Summary
from imnn_lab.inference.prior_adapters import as_prior
from imnn_lab.inference.priors import Independent, Prior, TruncatedNormal, Uniform
from imnn_lab.inference.rejection import Acceptance, accept, prior_draws, until_accepted

__all__ = [
    "Acceptance",
    "Density",
    "Draws",
    "ForwardModel",
    "GaussianPosterior",
    "Independent",
    "Moves",
    "Population",
    "Posterior",
    "Prior",
    "Stopping",
    "Summary",
    "Target",
    "TruncatedNormal",
    "Uniform",
    "accept",
    "as_prior",
    "first_population",
    "population_monte_carlo",
    "prior_draws",
    "until_accepted",
    "until_stopped",
]
