"""Campaigns: all the matched simulations of a training set, from any Python simulator.

``training_set(simulator, θ_fid, δθ, n_s, n_d, seed)`` runs here or on any
`concurrent.futures.Executor`, tolerates failing simulations, and resumes in its directory after a
crash. NumPy only: workers never load TensorFlow.
"""

from imnn_lab.campaign.design import Failure
from imnn_lab.campaign.ledger import TrainingSet
from imnn_lab.campaign.rounds import training_set
from imnn_lab.simulate import SimulationError

__all__ = ["Failure", "SimulationError", "TrainingSet", "training_set"]
