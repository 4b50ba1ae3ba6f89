"""The inference dashboard in a notebook, without any browser."""

import nbclient
from dashboards.lab import notebook
from dashboards.serving import ROOT

MAKE = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from dashboards import inference_problem as problem
from imnn_lab import LFI
arguments = (problem.OBSERVED, problem.PRIOR, problem.F, problem.get_estimate)
GA = LFI.GaussianApproximation(*arguments, problem.LABELS)
"""


def test_explore_loads_what_a_notebook_needs_to_show_it():
    made = notebook(MAKE, "dashboard = GA.explore(problem.simulator)", "dashboard")
    nbclient.NotebookClient(made, timeout=300, kernel_name="python3").execute()
    loaded, shown = (
        {kind for output in cell.outputs for kind in output.get("data", {})}
        for cell in made.cells[1:]
    )
    assert "application/javascript" in loaded, "Panel's scripts are in the notebook"
    assert "application/vnd.holoviews_exec.v0+json" in shown
