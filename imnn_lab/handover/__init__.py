"""Summaries, draws and priors for other packages of inference; what they draw comes back.

`to_sbi` needs sbi (PyTorch) and `to_bayesflow` BayesFlow, when they are called and not before.
`imnn_lab.inference.Posterior.from_draws` takes what these packages, ArviZ and samplers draw, and
`Posterior.to_arviz` and `Posterior.to_getdist` hand posteriors on. `families_of` says what becomes
of a prior.
"""

from imnn_lab.handover.families import Family, families_of
from imnn_lab.handover.packages import to_bayesflow, to_sbi

__all__ = ["Family", "families_of", "to_bayesflow", "to_sbi"]
