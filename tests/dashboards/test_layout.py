"""How dashboards stand on a page."""

import contextlib
import threading

import panel as pn
import pytest
from bokeh.document.models import DocumentModelManager
from bokeh.models import InlineStyleSheet, UIElement
from panel.io.notebook import patch_inline_stylesheets
from panel.io.resources import set_resource_mode

from imnn_lab.dashboards.common.layout import body


@pytest.fixture
def searches(monkeypatch):
    """Count how often a whole document is looked through."""
    counted, recompute = [], DocumentModelManager.recompute

    def counting(manager):
        counted.append(1)
        recompute(manager)

    monkeypatch.setattr(DocumentModelManager, "recompute", counting)
    monkeypatch.setattr(pn.config, "inline", True)
    return counted


def show_in_a_notebook(kind):
    """Do what Panel does to show something in a notebook, up to its style sheets."""
    shown = kind(*(pn.widgets.FloatSlider(start=0, end=1) for _ in range(20)))
    with set_resource_mode("inline"):
        root = shown._render_model()
    for model in root.select({"type": UIElement}):
        patch_inline_stylesheets(model)
    return root


def test_a_body_is_shown_in_a_notebook_without_a_search_for_each_part(searches):
    show_in_a_notebook(body)
    assert len(searches) < 5


def test_a_notebook_gets_each_style_sheet_once(monkeypatch):
    monkeypatch.setattr(pn.config, "inline", True)
    copies = {}
    for kind in body, pn.Column:
        sheets = [
            sheet
            for model in show_in_a_notebook(kind).select({"type": UIElement})
            for sheet in model.stylesheets
            if isinstance(sheet, InlineStyleSheet)
        ]
        copies[kind] = len({sheet.id for sheet in sheets}) / len({sheet.css for sheet in sheets})
    assert copies[body] == 1 < copies[pn.Column], "the control has copies"


def test_a_column_is_searched_for_each_part(searches):
    # the control, and why there are bodies
    show_in_a_notebook(pn.Column)
    assert len(searches) > 20


@pytest.mark.parametrize(("kind", "waits"), [(body, True), (pn.Column, False)])
def test_what_a_frontend_sends_waits_its_turn(monkeypatch, kind, waits):
    # the control: a column does not wait, and messages of two threads are mixed
    came = threading.Event()
    monkeypatch.setattr(pn.Column, "_on_msg", lambda *_: came.set())
    shown = kind()
    frontend = threading.Thread(target=shown._on_msg, args=("ref", None, None))
    with getattr(shown, "turn", contextlib.nullcontext()):
        frontend.start()
        assert came.wait(0.5) is not waits
    frontend.join(60)
    assert came.is_set()
