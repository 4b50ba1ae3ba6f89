"""Private names of Panel 1.9 and panel-material-ui 0.16: all that imnn_lab uses stand here.

``tests/dashboards/test_private_names.py`` has a test for each; it says what an upgrade breaks.
"""

from __future__ import annotations

import functools
import json
import threading
from typing import TYPE_CHECKING, Any

import panel as pn
import panel.io.document as messages
from bokeh.document import Document
from bokeh.models import ImportedStyleSheet, Model, UIElement
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from panel.io.notebook import replace_inline_css
from panel.io.resources import LOCAL_DIST, Resources
from panel.reactive import ReactiveMetaBase
from panel.util import edit_readonly
from pyviz_comms import JupyterCommJS

if TYPE_CHECKING:
    from imnn_lab.dashboards.host.still import StillPicture

JAVASCRIPT = "application/javascript"
# JupyterLab 4.6 sends what opens a comm before the comm has a subshell, so to the main shell, where
# it waits for the cells that run. What follows goes to the subshell, is there first, and the kernel
# drops it: it knows no such comm. So a comm is opened again, and what is said on it is kept, until
# the kernel answers, which it does by opening Panel's other comm (no public issue known).
OPEN_UNTIL_HEARD = """
{
  const kernel = window.PyViz?.kernels?.["PLOT"]
  if (kernel) {
    const {connectToComm, registerCommTarget} = kernel
    const waiting = []
    let heard = false
    kernel.registerCommTarget = (target, take) => registerCommTarget(target, comm => {
      take(comm)
      heard = true
      for (const say of waiting.splice(0)) say()
    })
    kernel.connectToComm = target => {
      const comm = connectToComm(target), {open, send} = comm
      const again = milliseconds => setTimeout(() => {
        if (heard || milliseconds > 300000) return
        open()
        again(2 * milliseconds)
      }, milliseconds)
      comm.open = () => { open(); again(250) }
      comm.send = (...said) => { heard ? send(...said) : waiting.push(() => send(...said)) }
      return comm
    }
  }
}
"""


class LiveColumn(pn.Column):
    """A column that a notebook shows without delay, and that one thread changes at a time.

    Panel puts the style sheets into a notebook's models one by one, a copy for each, which are two
    thirds of a page, and Bokeh looks through the whole document after each: so this is done at
    once, with the document's models frozen and a copy for all (``_render_model``,
    ``replace_inline_css``; no public issue known). Panel sends a change
    as several messages, which must not be mixed with those of another thread (``_on_msg``).

    Attributes
    ----------
    turn : threading.RLock
        Held by the thread that changes what a notebook shows: that of its frontend, or of a ticker.
    still : StillPicture or None
        What a notebook keeps of this column.
    """

    def __init__(self, *objects: Any, **params: Any) -> None:
        super().__init__(*objects, **params)
        self.turn = threading.RLock()
        self.still: StillPicture | None = None

    def prepare(self, document: Document) -> None:
        """Prepare a document that is about to show this column; subclasses may define it."""

    def notebook_html(self) -> str:
        """Return HTML that a notebook shows with this column; subclasses may define it."""
        return ""

    def _on_msg(self, ref: str, manager: Any, msg: Any) -> None:
        with self.turn:
            super()._on_msg(ref, manager, msg)

    def _get_model(
        self,
        doc: Document,
        root: Model | None = None,
        parent: Model | None = None,
        comm: Any = None,
    ) -> Model:
        self.prepare(doc)
        return super()._get_model(doc, root, parent, comm)

    def _render_model(self, doc: Document | None = None, comm: Any = None) -> Model:
        doc = Document() if doc is None else doc
        with doc.models.freeze():
            root = super()._render_model(doc, comm)
            if pn.config.inline:
                _share_inline_stylesheets(root)
        return root

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        if self.still is not None and self.still.is_batch:
            return {"text/html": ""}, {}
        return super()._repr_mimebundle_(include, exclude)

    def _render_mimebundle(self, model: Model, *arguments: Any) -> Any:
        bundle, metadata = super()._render_mimebundle(model, *arguments)
        for comm in self._comms.get(model.ref["id"], ()):
            if isinstance(comm, JupyterCommJS):
                comm.manager.register_target(comm.id, functools.partial(open_once, comm))
        page = bundle["text/html"]
        if self.still is not None:
            first = OPEN_UNTIL_HEARD.replace("PLOT", model.ref["id"])
            page = self.still.opens(page, first)
        return {**bundle, "text/html": page + self.notebook_html()}, metadata


def _share_inline_stylesheets(root: Model) -> None:
    """Put the text of style sheets in place of their addresses, once for all models of a page."""
    texts: dict[str, Any] = {}
    for model in root.select({"type": UIElement}):
        sheets = list(model.stylesheets)
        for i, sheet in enumerate(sheets):
            if isinstance(sheet, ImportedStyleSheet):
                if sheet.url not in texts:
                    texts[sheet.url] = replace_inline_css(sheet)
                sheets[i] = texts[sheet.url]
        if sheets != model.stylesheets:
            model.stylesheets = sheets


def scripts_are_loaded() -> bool:
    """Return whether ``pn.extension()`` was called in this kernel (``_loaded``)."""
    return bool(pn.extension._loaded)


def scripts_of(*extensions: str) -> str:
    """Return the scripts of Panel and of its extensions, from this machine, as JavaScript.

    ``pn.extension()`` would put them out twice, for a notebook to keep: it is called, but nothing
    that it puts out is sent. What it has loaded before (``_loaded_extensions``) is among them.
    """
    return _captured_scripts(frozenset((*pn.extension._loaded_extensions, *extensions)))


@functools.cache
def _captured_scripts(extensions: frozenset[str]) -> str:
    from IPython.utils.capture import capture_output

    with capture_output(stdout=False, stderr=False) as captured:
        pn.extension(*sorted(extensions), inline=True)
    bundles = [output.data for output in captured.outputs]
    scripts = [bundle[JAVASCRIPT] for bundle in bundles if JAVASCRIPT in bundle]
    styles = [bundle["text/html"] for bundle in bundles if set(bundle) == {"text/html"}]
    add = f"document.head.insertAdjacentHTML('beforeend', {json.dumps(''.join(styles))})"
    name = json.dumps(" ".join(["Panel", pn.__version__, *sorted(extensions)]))
    code = ";\n".join([f"window.imnn_lab_loaded = {name}", add, *scripts])
    return f"if (window.imnn_lab_loaded !== {name}) {{\n{code}\n}}"


def open_comms(view: pn.viewable.Viewable) -> list[Any]:
    """Return the kernel's comms of the displays of a view that a frontend has opened.

    Each display has two (``_comms``): Panel speaks on one, the frontend on the other. They have a
    comm of the kernel (``_comm``) once the frontend has opened them. A push to a frontend that
    never does is repeated for ever.
    """
    pairs = view._comms.values()
    comms = [getattr(comm, "_comm", None) for pair in pairs for comm in pair]
    return [comm for comm in comms if comm is not None]


def open_once(client: JupyterCommJS, comm: Any, message: Any) -> None:
    """Open what a frontend speaks on, of which it may tell the kernel several times.

    The kernel has made a comm each time. Of those that replace another (``_comm``), the other would
    tell the frontend that it is closed, when it is collected; so would this one (``_closed``).
    """
    if client._comm is None:
        client._handle_open(comm, message)
    else:
        comm._closed = True
        client.manager.register_comm(client._comm)


def send_what_waits(document: Document) -> None:
    """Send the messages to a served page that Panel has kept, and forgotten.

    Messages that cannot be sent at once wait (``_WRITE_MSGS``) for a task (``_dispatch_msgs``),
    which does nothing if another has just said that all are sent (``_WRITE_BLOCK``): they would
    wait until something else changes (no public issue known).
    """
    if document in messages._WRITE_MSGS and document not in messages._WRITE_BLOCK:
        messages._WRITE_BLOCK[document] = True
        messages._dispatch_write_task(document, messages._dispatch_msgs, document)


def local_resources() -> str:
    """Return where this server serves Panel's style sheets (``LOCAL_DIST``)."""
    return f"{pn.state.rel_path}/{LOCAL_DIST}" if pn.state.rel_path else LOCAL_DIST


def application_of(server: BaseServer) -> BokehTornado:
    """Return what answers a server's requests (Bokeh's ``_tornado``), to be made more careful."""
    return server._tornado


def without_busy_link(page: Any) -> Any:
    """Return a page that does not follow the flag of activity, which is one for all sessions.

    The link keeps every page that was ever served in memory, and every event of any session costs
    a search through the models of all of them (no public issue known).

    Parameters
    ----------
    page : panel_material_ui.Page
        Its `busy` is read-only (``edit_readonly``), and the watcher of the flag belongs to the
        object whose attribute ``self`` is the page.
    """
    with edit_readonly(page):
        page.busy = False  # no longer follows the flag, whose watcher is still there
    for watcher in list(pn.state.param.watchers.get("busy", {}).get("value", [])):
        follower = getattr(watcher.fn, "__self__", None)
        if getattr(follower, "self", None) is page:
            pn.state.param.unwatch(watcher)
    return page


def remember_component_files() -> None:
    """Let Panel look once, and not for each page, for the files of its classes of components.

    Otherwise it asks every class that exists several times for each page, which is a fifth of the
    work of a page (``Resources.extra_resources``; no public issue known). What it finds depends on
    the mode, the path of the server, which extensions are loaded and wanted, and which classes
    there are.
    """
    find = Resources.extra_resources
    if hasattr(find, "__wrapped__"):
        return
    found: dict[tuple[Any, ...], list[str]] = {}

    @functools.wraps(find)
    def remembered(self: Resources, resources: list[str], resource_type: str) -> None:
        wanted = pn.state._extensions
        key = (
            resource_type, self.mode, pn.state.rel_path, None if wanted is None else tuple(wanted),
            tuple(ReactiveMetaBase._loaded_extensions), len(Model.model_class_reverse_map),
        )  # fmt: skip
        if key not in found:
            found[key] = []
            find(self, found[key], resource_type)
        resources += [file for file in found[key] if file not in resources]

    Resources.extra_resources = remembered
