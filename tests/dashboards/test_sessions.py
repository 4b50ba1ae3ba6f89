"""What stays of served pages once they are left."""

import functools
import gc
import time
import weakref

import panel as pn
from bokeh.events import DocumentReady
from dashboards.scripted import ScriptedNetwork
from dashboards.short_sessions import served_in_this_process
from panel_material_ui import Page

from imnn_lab.dashboards import TrainingDashboard
from imnn_lab.dashboards.host.sessions import tick_with_session
from imnn_lab.dashboards.page import page

SESSIONS = 2


def what_stays(make, seconds):
    """Return how many pages and documents are in memory some time after they were left."""
    made = []

    def session():
        shown = make()
        made.extend(weakref.ref(what) for what in (shown, pn.state.curdoc))
        return shown

    with served_in_this_process(session) as opened:
        for _ in range(SESSIONS):
            opened().close()
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


def test_nothing_is_done_for_a_page_that_was_left_though_its_session_lasts():
    documents, ticks, ended = [], [], []

    def session():
        documents.append(pn.state.curdoc)
        tick_with_session(lambda: ticks.append(None), 0.02)
        pn.state.on_session_destroyed(ended.append)
        return pn.Column()

    with served_in_this_process(session, lifetime=60) as opened:
        page_of_a_browser = opened()
        is_drawn = functools.partial(documents[-1].callbacks.trigger_event, DocumentReady())
        documents[-1].add_next_tick_callback(is_drawn)
        end = time.monotonic() + 20
        while len(ticks) < 5 and time.monotonic() < end:
            time.sleep(0.02)
        assert len(ticks) >= 5
        page_of_a_browser.close()
        time.sleep(0.5)  # until the server has noticed
        done = len(ticks)
        time.sleep(0.5)
        assert len(ticks) == done
        assert not ended
