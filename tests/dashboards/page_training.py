"""A page for ``panel serve``: the Gaussian problem, an IMNN of its own for each session."""

import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import panel as pn
from makers import plain_imnn

from imnn_lab import problems
from imnn_lab.dashboards.host.sessions import stop_with_session, tick_with_session
from imnn_lab.dashboards.page import page

problem = problems.gaussian()
imnn = plain_imnn()
stop_with_session(imnn, grace_seconds=0.5)
dashboard = imnn.explore(known_fisher=problem.F, labels=problem.labels)
elsewhere = pn.widgets.Button(label="λ = 10 from elsewhere")
elsewhere.on_click(lambda _: imnn.run.steer(λ=10.0))
page("Gaussian", elsewhere, dashboard).servable()


def runs_in_this_process():
    return sum(thread.name == "imnn_lab run" for thread in threading.enumerate())


def show_count():
    count.object = f"runs: {runs_in_this_process()}"


count = pn.pane.Str("")
count.servable()
tick_with_session(show_count, 0.5)
