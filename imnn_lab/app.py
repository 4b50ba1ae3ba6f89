"""What is served: ``imnn-lab serve``, or ``panel serve`` on this file."""

from __future__ import annotations

import panel as pn

from imnn_lab.laboratory.page import laboratory_page

if pn.state.served:
    laboratory_page().servable()
