"""Likelihood-free inference with any estimator, prior and simulator.

    from imnn_lab import LFI

    GA = LFI.GaussianApproximation(target_data, prior, Fisher, get_estimate)
    ABC = LFI.ApproximateBayesianComputation(target_data, prior, Fisher, get_estimate, simulator)
    PMC = LFI.PopulationMonteCarlo(target_data, prior, Fisher, get_estimate, simulator)
    NP = LFI.NeuralPosterior(target_data, prior, Fisher, get_estimate, simulator)

The results of all four are by target: ``samples()[i]``, ``accepted_parameters[i]``, ... belong to
``target_data[i]``.
"""

from imnn_lab.lfi.gaussian import GaussianApproximation
from imnn_lab.lfi.neural import NeuralPosterior
from imnn_lab.lfi.population import PopulationMonteCarlo
from imnn_lab.lfi.rejection import ApproximateBayesianComputation

__all__ = [
    "ApproximateBayesianComputation",
    "GaussianApproximation",
    "NeuralPosterior",
    "PopulationMonteCarlo",
]
