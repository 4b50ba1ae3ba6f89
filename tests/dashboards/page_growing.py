"""A page for ``panel serve``: it grows by figures that change in the tick in which they come."""

import panel as pn
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from panel.io import document

from imnn_lab.dashboards.host.sessions import tick_with_session
from imnn_lab.dashboards.page import page

MOST = 5
grown = pn.Column()


def grow():
    if len(grown) < MOST:
        document._WRITE_BLOCK[pn.state.curdoc] = True  # as while the last message is still written
        source = ColumnDataSource({"x": [0], "y": [0]}, name=f"grown {len(grown)}")
        made = figure(height=100, width=100)
        made.scatter("x", "y", source=source)
        grown.append(pn.pane.Bokeh(made))
        source.data = {"x": [1, 2], "y": [1, 2]}
        made.title.text = "grown"


tick_with_session(grow, 0.5)
page("Growing", grown).servable()
