"""The page around dashboards: a title, and a switch between light and dark."""

from __future__ import annotations

from typing import Any

import panel as pn
from panel_material_ui import Page

from imnn_lab import checks
from imnn_lab.dashboards.host.panel_private import without_busy_link
from imnn_lab.dashboards.host.sessions import take_styles_from_here

# What is shown first stands before the scripts, which browsers wait for; style sheets stay before
# those that the theme adds to the head. The spinner does not lie over what is shown first.
TEMPLATE = """{% extends "base.html" %}
{% block loader_css %}{{ super() }}
#loader { background: none; justify-content: flex-end; padding-bottom: 24px; pointer-events: none }
@media (prefers-reduced-motion: reduce) { .spinner { animation: none } }
{% if theme_name == "dark" %}
html { --mui-palette-background-default: #121212 }
#imnn-first img { filter: invert(0.93) hue-rotate(180deg) }
{% endif %}
{% endblock %}
{% block js_resources %}{% if not first %}{{ super() }}{% endif %}{% endblock %}
{% block inner_body %}{% if first %}{{ first | safe }}{{ bokeh_js }}{% endif %}{{ super() }}
{% endblock %}
"""
# The browser tells the server of the theme with each request: pages are dark from the first.
THEME = "imnn_lab_theme"  # cookie
KEEP_THEME = f"""
const theme = source.dark_theme ? "dark" : "light"
document.cookie = `{THEME}=${{theme}}; max-age=31536000; SameSite=Lax`
"""


def page(title: str, *body: Any, first: str = "") -> Page:
    """Return a page for ``panel serve``; its switch between light and dark keeps what runs.

    The browser remembers which of them was chosen.

    Parameters
    ----------
    title : str
        Shown at its top.
    *body : dashboards or panel viewables
        What it shows, from top to bottom.
    first : str
        HTML that is shown until a browser has what draws the page, and takes itself away.

    Returns
    -------
    panel_material_ui.Page
        To be ``.servable()``.
    """
    title = checks.text("title", title)
    take_styles_from_here()
    if pn.state.curdoc is not None:
        pn.state.curdoc.template_variables["first"] = first
    chosen = pn.state.cookies.get(THEME, pn.config.theme)
    whole = Page(
        title=title, main=list(body), busy_indicator=None, template=TEMPLATE,
        dark_theme=chosen == "dark",
    )  # fmt: skip
    whole.jscallback(dark_theme=KEEP_THEME)
    return without_busy_link(whole)
