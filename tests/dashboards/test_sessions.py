"""What stays of served pages once they are left."""

import gc
import time
import weakref

import panel as pn
from dashboards.scripted import ScriptedNetwork
from dashboards.short_sessions import served_in_this_process
from panel_material_ui import Page

from imnn_lab.dashboards import TrainingDashboard
from imnn_lab.dashboards.page import page

SESSIONS = 3


def what_stays(make, seconds):
    """Return how many pages and documents are in memory some time after they were left."""
    made = []

    def session():
        shown = make()
        made.extend(weakref.ref(what) for what in (shown, pn.state.curdoc))
        return shown

    with served_in_this_process(session) as open_and_leave:
        for _ in range(SESSIONS):
            open_and_leave()
        end = time.monotonic() + seconds
        while (stay := sum(what() is not None for what in made)) and time.monotonic() < end:
            time.sleep(0.2)
            gc.collect()
    assert len(made) == 2 * SESSIONS
    return stay


def test_nothing_stays_of_a_page_that_was_left():
    network = ScriptedNetwork()
    network.train(100)
    assert what_stays(lambda: page("Gaussian", TrainingDashboard(network)), seconds=30) == 0


def test_a_page_that_follows_the_flag_of_activity_stays():
    # the control: what `calm` takes from a page is what would keep it
    unlike = what_stays(lambda: Page(title="Gaussian", main=[pn.Column()]), seconds=5)
    assert unlike == 2 * SESSIONS
