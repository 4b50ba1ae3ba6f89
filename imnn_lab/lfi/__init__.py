"""Likelihood-free inference with any estimator, prior and simulator.

    from imnn_lab import LFI

    GA = LFI.GaussianApproximation(target_data, prior, Fisher, get_estimate)
    ABC = LFI.ApproximateBayesianComputation(target_data, prior, Fisher, get_estimate, simulator)
    PMC = LFI.PopulationMonteCarlo(target_data, prior, Fisher, get_estimate, simulator)
    NP = LFI.NeuralPosterior(target_data, prior, Fisher, get_estimate, simulator)
    NL = LFI.NeuralLikelihood(target_data, prior, Fisher, get_estimate, simulator)

The results of the first four are by target: ``samples()[i]``, ``accepted_parameters[i]``, ...
belong to ``target_data[i]``. The last has one posterior of all targets, which it takes for
independent observations of the same parameters.
"""

from imnn_lab.lfi.gaussian import GaussianApproximation
from imnn_lab.lfi.neural import NeuralPosterior
from imnn_lab.lfi.neural_likelihood import NeuralLikelihood
from imnn_lab.lfi.population import PopulationMonteCarlo
from imnn_lab.lfi.rejection import ApproximateBayesianComputation

__all__ = [
    "ApproximateBayesianComputation",
    "GaussianApproximation",
    "NeuralLikelihood",
    "NeuralPosterior",
    "PopulationMonteCarlo",
]
