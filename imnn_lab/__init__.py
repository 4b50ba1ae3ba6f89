"""Information-maximising neural networks: train them, watch them, steer them, infer parameters.

A network is trained to compress simulations to a few numbers that keep as much Fisher information
about the parameters as possible (Charnock, Lavaux & Wandelt 2018, arXiv:1802.03537); the posterior
of real data then follows without a likelihood. Begin with

    from imnn_lab import IMNN, LFI, problems

and with ``help(IMNN)``, whose example runs as it stands.

To train:

- `IMNN`: the network; fit, steer, Fisher information, estimates, save and load
- `Parameter`: a parameter with its fiducial value, width, unit and LaTeX
- `networks`: dense, deep_set, convolutional, for different kinds of data
- `augmentations`: noise of a level, rotations and reflections, for `map_fn`
- `Files`: simulations in files of NumPy, HDF5, zarr and FITS, read in parts
- `TFRecords`: writes simulations to files
- `Stencils`: derivatives from the points that they were simulated at
- `Stencil`: those points for one parameter, and their weights
- `campaign`: training_set, matched simulations from any simulator on any cluster
- `matched`: random draws that stay paired when parameters move; a check of any simulator
- `problems`: toy problems with exact answers, and the flow of the Nile

To infer:

- `LFI`: GaussianApproximation, ApproximateBayesianComputation, PopulationMonteCarlo,
  NeuralPosterior, NeuralLikelihood
- `inference`: the same as functions and frozen results; priors
- `handover`: the summaries, draws and priors for sbi and BayesFlow

What they return:

- `Run`: a training, running or ended
- `History`: the record of its iterations
- `FisherStatistics`: mean, covariance and Fisher information of summaries
- `Regularisation`: a valid pair of strength λ and closeness ε

To trust:

- `diagnostics`: how far F, an error bar and a posterior can be trusted

To look at:

- `dashboards`: TrainingDashboard, InferenceDashboard, ResultsDashboard; `IMNN.explore`,
  `IMNN.widget` and `explore` of the four ways of inference open them

Shapes are written as tuples of n_s, n_d (numbers of fiducial and derivative simulations), n_params,
n_summaries and input_shape, the shape of one simulation. Names are loaded when they are first used,
so that ``import imnn_lab`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imnn_lab import (
        augmentations,
        campaign,
        dashboards,
        diagnostics,
        handover,
        inference,
        matched,
        networks,
        problems,
    )
    from imnn_lab import lfi as LFI
    from imnn_lab.files import Files
    from imnn_lab.history import History
    from imnn_lab.imnn import IMNN
    from imnn_lab.parameters import Parameter
    from imnn_lab.regularisation import Regularisation
    from imnn_lab.results import FisherStatistics
    from imnn_lab.sources.tfrecord_writer import TFRecords
    from imnn_lab.stencils import Stencil, Stencils
    from imnn_lab.training.run import Run

__version__ = "0.1.0"

__all__ = [
    "IMNN",
    "LFI",
    "Files",
    "FisherStatistics",
    "History",
    "Parameter",
    "Regularisation",
    "Run",
    "Stencil",
    "Stencils",
    "TFRecords",
    "__version__",
    "augmentations",
    "campaign",
    "dashboards",
    "diagnostics",
    "handover",
    "inference",
    "matched",
    "networks",
    "problems",
]

_NEED_TENSORFLOW = (
    "IMNN",
    "Run",
    "TFRecords",
    "augmentations",
)  # and `networks`, which says so itself

_PLACES = {
    "IMNN": ("imnn_lab.imnn", "IMNN"),
    "FisherStatistics": ("imnn_lab.results", "FisherStatistics"),
    "History": ("imnn_lab.history", "History"),
    "Parameter": ("imnn_lab.parameters", "Parameter"),
    "Regularisation": ("imnn_lab.regularisation", "Regularisation"),
    "Run": ("imnn_lab.training.run", "Run"),
    "Stencil": ("imnn_lab.stencils", "Stencil"),
    "Stencils": ("imnn_lab.stencils", "Stencils"),
    "TFRecords": ("imnn_lab.sources.tfrecord_writer", "TFRecords"),
    "Files": ("imnn_lab.files", "Files"),
    "LFI": ("imnn_lab.lfi", None),
    "augmentations": ("imnn_lab.augmentations", None),
    "campaign": ("imnn_lab.campaign", None),
    "dashboards": ("imnn_lab.dashboards", None),
    "diagnostics": ("imnn_lab.diagnostics", None),
    "handover": ("imnn_lab.handover", None),
    "inference": ("imnn_lab.inference", None),
    "matched": ("imnn_lab.matched", None),
    "networks": ("imnn_lab.networks", None),
    "problems": ("imnn_lab.problems", None),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _NEED_TENSORFLOW:
        from imnn_lab import tensorflow_import

        tensorflow_import.import_tensorflow()
    module, attribute = _PLACES[name]
    loaded = importlib.import_module(module)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
