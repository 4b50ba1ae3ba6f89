"""A page of tabs for ``panel serve``: each holds a figure."""

import panel as pn
from bokeh.plotting import figure

from imnn_lab.dashboards.common.layout import body, figure_pane
from imnn_lab.dashboards.common.tabs import Tab, Tabs
from imnn_lab.dashboards.host.sessions import tick_with_session
from imnn_lab.dashboards.page import page

made = []


def make(name):
    made.append(name)
    drawn = figure(height=200, sizing_mode="stretch_width", name=name)
    drawn.line([0, 1], [0, 1])
    return figure_pane(drawn)


names = ("Curves", "Ellipse", "Regulariser")
tabs = Tabs([Tab(name, lambda name=name: make(name), lambda _: word.value) for name in names])
word = pn.widgets.TextInput(label="word", value="waits")
page("Tabs", body(word, tabs)).servable()
tick_with_session(lambda: tabs.refresh(None), 0.1)
