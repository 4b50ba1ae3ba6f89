"""What of an inference is on disk beside its network: targets, draws, populations, what it learned,
what was checked, and draws of posteriors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imnn_lab import storage
from imnn_lab.dashboards.inference.predicting import Predictive
from imnn_lab.dashboards.inference.state import Choices, InferenceState
from imnn_lab.diagnostics import Calibration
from imnn_lab.diagnostics.rank_band import RankBand
from imnn_lab.inference.amortised import AmortisedPosterior
from imnn_lab.inference.draws import Draws
from imnn_lab.inference.learning import Learned
from imnn_lab.inference.population import Population
from imnn_lab.inference.proposal import Proposal
from imnn_lab.laboratory.build import Built
from imnn_lab.laboratory.packing import TREE, Packing, unpacked

KINDS = (Draws, Population, Proposal, Calibration, RankBand, Predictive)
MOST_BYTES = 64 * 2**20  # of draws of a posterior
SAME = 1e-3  # of a standard deviation: estimates of one network that differ less are the same
OTHER = "the network has been trained since its posteriors were made: infer again"


def inference_of(built: Built) -> InferenceState:
    """Return a new inference with a network, without a target."""
    estimator = built.imnn.estimator
    return InferenceState(
        estimator, estimator.statistics.F, built.prior_here(), built.simulator, built.labels,
        exact=built.exact,
    )  # fmt: skip


def write(path: Path, state: InferenceState) -> None:
    """Write the targets and results of an inference to a file."""
    snapshot, packing = state.snapshot(), Packing(KINDS)
    observations = tuple((each.name, each.data, each.truth) for each in state.observations)
    learned = None
    if snapshot.learned is not None:
        kept = snapshot.learned
        arrays = kept.posterior.to_arrays()
        learned = (tuple(arrays), tuple(arrays.values()), kept.training, kept.held_out, kept.draws)
    predictive = state.predictive
    if predictive is not None and predictive.data.nbytes > MOST_BYTES:
        predictive = None
    parts = {
        "observations": observations,
        "chosen": state.observations.index(state.observation),
        "estimate": snapshot.observation.target.estimate,
        "draws": snapshot.acceptance.draws,
        "populations": tuple(snapshot.populations),
        "learned": learned,
        "calibrations": snapshot.calibrations,
        "checked": state.checked,
        "predictive": predictive,
    }
    tree = {name: packing.tree(part) for name, part in parts.items()}
    tree["choices"] = {name: getattr(state.choices, name) for name in _names_of_choices()}
    packing.write(path, tree)


def read(path: Path, built: Built) -> InferenceState:
    """Return the inference that `write` wrote, with the network that it was made with.

    Raises
    ------
    ValueError
        If the file is damaged, or the network gives other estimates now.
    """
    arrays = storage.read_npz(path)
    with storage.whole(path):
        tree = storage.unpack(arrays.pop(TREE))
        choices = tree.pop("choices")
        parts = {name: unpacked(part, arrays, KINDS) for name, part in tree.items()}
    state = inference_of(built)
    for name, data, truth in parts["observations"]:
        state.observe(name, data, truth)
    chosen = state.observations[parts["chosen"]]
    errors = np.sqrt(np.diag(chosen.gaussian.likelihood_covariance))
    if (np.abs(chosen.target.estimate - parts["estimate"]) > SAME * errors).any():
        raise ValueError(OTHER)
    state.choose_target(chosen, parts["populations"])
    state.add_draws(parts["draws"])
    if parts["learned"] is not None:
        names, values, training, held_out, draws = parts["learned"]
        of_names = dict(zip(names, values, strict=True))
        posterior = AmortisedPosterior.from_arrays(of_names, state.prior)
        state.keep_learned(Learned(posterior, training, held_out, draws))
    state.keep_calibrations(parts.get("calibrations", ()), parts.get("checked"))
    state.predictive = parts.get("predictive")
    state.choices.param.update(**choices)
    return state


def _names_of_choices() -> list[str]:
    return [name for name in Choices.param if name not in ("name", "iteration")]
