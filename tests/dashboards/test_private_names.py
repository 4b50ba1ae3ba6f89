"""Private names of Panel, Bokeh, ipykernel, jupyter_bokeh: a test of each fails when it changes.

Every message says which upgrade breaks what. What the names are for stands in the modules
``imnn_lab/dashboards/host/*_private.py``.
"""

import asyncio
import functools
import gc
import inspect
from importlib.metadata import version
from types import SimpleNamespace
from typing import ClassVar

import panel as pn
import panel.io.document as messages
import pytest
from bokeh.document import Document
from bokeh.models import Div, ImportedStyleSheet, InlineStyleSheet
from bokeh.server.tornado import BokehTornado
from comm.base_comm import BaseComm, CommManager
from jupyter_bokeh import BokehModel
from panel.io.resources import CDN_DIST, Resources
from panel_material_ui import Page
from param import parameterized
from pyviz_comms import JupyterComm, JupyterCommJS

from imnn_lab.dashboards.host import panel_private
from imnn_lab.dashboards.host.ipykernel_private import hear_where_asked
from imnn_lab.dashboards.host.jupyter_bokeh_private import SentFigures
from imnn_lab.dashboards.host.notebooks import has_answered


def broken(library, name, harm):
    return f"{library} {version(library)} has changed `{name}`: {harm}"


@pytest.mark.parametrize(
    ("name", "parameters", "harm"),
    [
        ("_on_msg", ["ref", "manager", "msg"], "messages of two threads are mixed in notebooks"),
        ("_get_model", ["doc", "root", "parent", "comm"], "controls have no accessible names"),
        ("_render_model", ["doc", "comm"], "dashboards take seconds to appear in notebooks"),
        (
            "_render_mimebundle",
            ["model", "doc", "comm", "location"],
            "controls have no accessible names in notebooks",
        ),
    ],
)
def test_panel_calls_the_methods_that_columns_override(name, parameters, harm):
    method = getattr(pn.Column, name, None)
    assert method is not None, broken("panel", f"Column.{name}", harm)
    received = [p for p in inspect.signature(method).parameters if p != "self"]
    assert received == parameters, broken("panel", f"Column.{name}", harm)


def test_panel_get_model_prepares_documents(monkeypatch):
    prepared = []
    monkeypatch.setattr(
        panel_private.LiveColumn, "prepare", lambda self, document: prepared.append(document)
    )
    document = Document()
    panel_private.LiveColumn("text").get_root(document)
    assert prepared == [document], broken(
        "panel", "Column._get_model", "documents that show a column are not prepared"
    )


def test_panel_render_mimebundle_returns_data_and_metadata(monkeypatch):
    monkeypatch.setattr(panel_private.LiveColumn, "notebook_html", lambda self: "<script>")
    comm = pn.state._comm_manager.get_server_comm()
    column, document = panel_private.LiveColumn("text"), Document()
    model = column._render_model(document, comm)
    data, _ = column._render_mimebundle(model, document, comm)
    assert data["text/html"].endswith("<script>"), broken(
        "panel", "Column._render_mimebundle", "notebooks do not get the script that names controls"
    )


def test_panel_replace_inline_css():
    found = panel_private.replace_inline_css(ImportedStyleSheet(url=f"{CDN_DIST}css/loading.css"))
    assert isinstance(found, InlineStyleSheet), broken(
        "panel", "replace_inline_css", "notebooks show dashboards without style sheets"
    )


def test_panel_loaded():
    assert pn.extension._loaded in (True, False), broken(
        "panel", "extension._loaded", "Panel's scripts are sent to a notebook again and again"
    )
    assert panel_private.scripts_are_loaded() is bool(pn.extension._loaded)


def test_panel_loaded_extensions():
    assert isinstance(pn.extension._loaded_extensions, list), broken(
        "panel", "extension._loaded_extensions", "pages in notebooks miss what writes LaTeX"
    )


def test_comm_that_is_opened_again(monkeypatch):
    said = []

    class Comm(BaseComm):
        def publish_msg(self, kind, *arguments, **keywords):
            said.append(kind)

    def opened(comm, message):
        client._comm = comm

    monkeypatch.setattr("comm.create_comm", Comm)
    manager = CommManager()
    client = SimpleNamespace(_comm=None, _handle_open=opened, manager=manager)
    manager.register_target("readers", functools.partial(panel_private.open_once, client))
    for _ in range(2):
        content = {"comm_id": "one", "target_name": "readers"}
        manager.comm_open(None, None, {"content": content})
        gc.collect()
    assert manager.comms == {"one": client._comm}
    assert said == []
    Comm(comm_id="two", primary=False)
    gc.collect()
    assert said == ["comm_close"], broken(
        "comm", "BaseComm.__del__", "nothing any more: `open_once` need not say that it is closed"
    )


def test_param_docstrings():
    assert parameterized.docstring_describe_params in (True, False), broken(
        "param", "docstring_describe_params", "dashboards open more slowly in notebooks"
    )


def test_panel_comms_of_a_display():
    harm = "notebooks push to frontends that are not there, or do not hear them while a cell runs"
    column, document = pn.Column(), Document()
    comm = pn.state._comm_manager.get_server_comm()
    model = column._render_model(document, comm)
    column._render_mimebundle(model, document, comm)
    ours, readers = column._comms[model.ref["id"]]
    assert ours is comm, broken("panel", "Viewable._comms", harm)
    assert panel_private.open_comms(column) == []
    ours._comm, readers._comm = kernels = [SimpleNamespace(), SimpleNamespace()]
    assert panel_private.open_comms(column) == kernels
    assert has_answered(column)
    assert [comm._reply_subshell_for({}, "a subshell") for comm in kernels] == ["a subshell"] * 2
    for method in (JupyterComm.init, JupyterCommJS._handle_open):
        assert "self._comm = " in inspect.getsource(method), broken(
            "pyviz_comms", "JupyterComm._comm", harm
        )


def test_panel_local_dist():
    assert panel_private.local_resources().endswith("static/extensions/panel/"), broken(
        "panel", "LOCAL_DIST", "pages of slow browsers ask a host outside for style sheets"
    )


class Connection:
    """A page to which messages are written, one after the other; each takes until `written`."""

    class Socket:
        pass

    def __init__(self):
        self._socket, self.sent, self.written = self.Socket(), [], []
        self.protocol = SimpleNamespace(create=lambda kind, events: events[0])

    def write(self, _, msg):
        self.sent.append(msg)
        self.written.append(asyncio.get_running_loop().create_future())
        return self.written[-1:]


def test_panel_forgets_a_message_that_comes_when_the_last_one_is_written(monkeypatch):
    document, page = Document(), Connection()
    monkeypatch.setitem(messages.extra_socket_handlers, Connection.Socket, page.write)

    async def a_moment():
        for _ in range(5):
            await asyncio.sleep(0)

    async def send_two():
        messages.schedule_write_events(document, [page], ["first"])
        await a_moment()
        page.written[0].set_result(None)
        messages.schedule_write_events(document, [page], ["second"])
        await a_moment()
        assert page.sent == ["first"], "Panel sends it now: `send_what_waits` is not needed"
        panel_private.send_what_waits(document)
        await a_moment()
        assert page.sent == ["first", "second"], broken(
            "panel", "_WRITE_MSGS, _WRITE_BLOCK, _dispatch_msgs", "pages miss what was last"
        )

    asyncio.run(send_two())


def test_bokeh_tornado():
    server = pn.serve(pn.Column(), address="127.0.0.1", show=False, start=False, verbose=False)
    application = panel_private.application_of(server)
    server.stop()
    harm = "the laboratory answers foreign hosts, and other pages can frame it"
    assert isinstance(application, BokehTornado), broken("bokeh", "BaseServer._tornado", harm)


def test_panel_looks_for_the_files_of_its_components(monkeypatch):
    harm = "each page of the laboratory costs the server a third more"
    find = Resources.extra_resources
    received = [p for p in inspect.signature(find).parameters if p != "self"]
    assert received == ["resources", "resource_type"], broken("panel", "extra_resources", harm)
    asked = []

    def counted(self, resources, resource_type):
        asked.append(resource_type)
        find(self, resources, resource_type)

    monkeypatch.setattr(Resources, "extra_resources", counted)
    panel_private.remember_component_files()
    resources, given = Resources(mode="server"), ["of the page"]
    css = [list(given) for _ in range(3)]
    find(resources, css[0], "_bundle_css")
    resources.extra_resources(css[1], "_bundle_css")
    asked_before = len(asked)
    resources.extra_resources(css[2], "_bundle_css")
    assert css[0] == css[1] == css[2] != given
    assert len(asked) == asked_before == 1

    class Another(pn.reactive.ReactiveHTML):
        _bundle_css: ClassVar = ["another.css"]

    resources.extra_resources(css[2], "_bundle_css")
    assert css[2][:-1] == css[1]
    assert css[2][-1].endswith("another.css")


def test_panel_material_ui_follows_the_flag_of_activity_by_one_watcher():
    def watchers():
        return len(pn.state.param.watchers.get("busy", {}).get("value", []))

    harm = "pages of sessions that have ended stay in memory"
    before = watchers()
    page = Page()
    assert watchers() == before + 1, broken("panel-material-ui", "Page.busy", harm)
    assert Page.param["busy"].readonly, "Page.busy can be set now: `edit_readonly` is not needed"
    panel_private.without_busy_link(page)
    assert watchers() == before, broken("panel", "state.param.watchers, follower.self", harm)


def test_ipykernel_asks_comms_for_the_subshell():
    from ipykernel.comm.comm import BaseComm
    from ipykernel.kernelbase import Kernel

    harm = "nothing that a reader does reaches the kernel while a cell runs"
    asks = inspect.getsource(Kernel)
    assert 'getattr(comm, "_reply_subshell_for", None)' in asks, broken(
        "ipykernel", "comm._reply_subshell_for", harm
    )
    method = BaseComm._reply_subshell_for
    assert list(inspect.signature(method).parameters) == ["self", "data", "default"]
    comm = type("Comm", (), {})()
    hear_where_asked(comm)
    assert comm._reply_subshell_for({}, "a subshell") == "a subshell"


def test_jupyter_bokeh_sync_model(monkeypatch):
    harm = "the widget's curves lose points that its browser returns late"
    received = []
    monkeypatch.setattr(SentFigures, "_sync_model", lambda *content: received.append(content))
    widget = SentFigures(Div())
    widget._handle_custom_msg({"event": "jsevent"}, [])
    widget.close()
    assert received, broken("jupyter_bokeh", "BokehModel._sync_model", harm)
    parameters = list(inspect.signature(BokehModel._sync_model).parameters)
    assert parameters == ["self", "_model", "content", "_buffers"], broken(
        "jupyter_bokeh", "BokehModel._sync_model", harm
    )


def test_jupyter_bokeh_raises_when_a_widget_is_closed_again():
    widget = SentFigures(Div())
    widget.close()
    widget.close()  # as ipywidgets does when it collects the widget
    unlike = BokehModel(Div())
    unlike.close()
    with pytest.raises(KeyError):  # the control: without an error, `SentFigures.close` may go
        unlike.close()
    unlike._model.document.on_change_dispatch_to(unlike)  # it is closed again when collected
