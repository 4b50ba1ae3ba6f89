"""The inference dashboard in a notebook that no browser shows."""

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
LATER = """
import time
dashboard.state.choices.draws = 5000
dashboard.state.draw()
while dashboard.state.abc_work.is_running:
    time.sleep(0.1)
"""


def test_explore_keeps_a_picture_of_the_posteriors_and_their_table():
    made = notebook(MAKE, "dashboard = GA.explore(problem.simulator)", "dashboard", LATER)
    nbclient.NotebookClient(made, timeout=300, kernel_name="python3").execute()
    shown = [output.get("data", {}) for output in made.cells[2].outputs]
    (picture,) = [data for data in shown if "image/png" in data]
    for words in "Of: <b>", "det F", "Gaussian approximation", "a: mean ± sd", "ABC", "<img":
        assert words in picture["text/html"], words
