"""A page for ``panel serve``: inference with an exact estimator, of each session its own.

Every simulation is counted on the page, so that a test sees when there are none.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import panel as pn
from dashboards import inference_problem as problem

from imnn_lab import LFI
from imnn_lab.dashboards.host.sessions import tick_with_session
from imnn_lab.dashboards.page import page

counted = {"simulations": 0}


def simulator(parameters, seed):
    counted["simulations"] += len(parameters)
    return problem.simulator(parameters, seed)


ABC = LFI.ApproximateBayesianComputation(
    problem.OBSERVED, problem.PRIOR, problem.F, problem.get_estimate, simulator, problem.LABELS
)
dashboard = ABC.explore(exact=problem.exact)
count = pn.pane.HTML("")


def tell():
    count.object = f"simulated {counted['simulations']} in this session"


tick_with_session(tell, 0.2)
page("Inference", count, dashboard).servable()
