"""A JupyterLab of a test's own, driven through its commands."""

import contextlib
import json
import os
import sys
from pathlib import Path

import nbformat
from dashboards.serving import served, until


def notebook(*cells):
    """Return a notebook with a kernel named, so that no dialog asks for one."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    return made


@contextlib.contextmanager
def laboratory(place, comms):
    """Run a JupyterLab in a directory, with kernel comms as said; yields its address."""
    settings = place / "settings"
    settings.mkdir()
    (settings / "overrides.json").write_text(json.dumps(overrides(comms)))
    command = [
        "jupyterlab", "--port=PORT", "--ip=127.0.0.1", "--no-browser", "--allow-root",
        "--LabApp.expose_app_in_browser=True", "--IdentityProvider.token=",
        f"--ServerApp.root_dir={place}", f"--LabApp.app_settings_dir={settings}",
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--ServerApp.data_dir={place / 'data'}",
    ]  # fmt: skip
    home = {"HOME": str(place), "JUPYTER_PATH": os.path.join(sys.prefix, "share", "jupyter")}
    with served(command, "/lab", **home) as address:
        yield address


def overrides(comms):
    """Return settings of the laboratory: how messages of widgets reach the kernel."""
    return {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
        "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
        "@jupyterlab/apputils-extension:kernels-settings": {"commsOverSubshells": comms},
    }


def open_notebook(page, address, name):
    """Open a notebook, in a workspace where nothing else is, and wait until its kernel is idle."""
    page.goto(f"{address}/lab/workspaces/{Path(name).stem}/tree/{name}")
    page.wait_for_function(
        "name => window.jupyterapp?.shell?.currentWidget?.context?.path === name", arg=name
    )
    page.wait_for_function("window.jupyterapp.shell.currentWidget.sessionContext?.session")
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel?.status === 'idle'"
    )


def save(page):
    """Save the open notebook."""
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")


def end_kernel(page):
    """End the kernel of the open notebook."""
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")


def run_cell(page, index):
    """Run a cell of the open notebook without waiting for it."""
    page.evaluate(
        """index => {
          const notebook = window.jupyterapp.shell.currentWidget.content
          notebook.activeCellIndex = index
          notebook.deselectAll()
          void window.jupyterapp.commands.execute('notebook:run-cell')
        }""",
        index,
    )


def is_busy(page):
    """Say whether a cell runs; the kernel's own state is also that of what widgets ask for."""
    return "running" in cells(page, "w.model.executionState")


def run_all(page, seconds):
    """Run the open notebook's cells, one after the other; each must end without an error."""
    page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    until(page, lambda: None not in cells(page, "w.model.executionCount") or errors(page), seconds)
    assert errors(page) == []
    until(page, lambda: not is_busy(page), seconds)
    assert errors(page) == []


def errors(page):
    """Return what the errors said that cells of the open notebook ended with."""
    outputs = cells(page, "w.model.outputs.toJSON()")
    found = [output for several in outputs for output in several]
    return [output["evalue"] for output in found if output["output_type"] == "error"]


def cells(page, what):
    """Return something of each code cell `w` of the open notebook."""
    return page.evaluate(
        f"""() => window.jupyterapp.shell.currentWidget.content.widgets
          .filter(w => w.model.type === 'code').map(w => {what})"""
    )


def columns(page, source, name):
    """Return a column of each data source of that name: one of every front end that is shown."""
    code = """([source, name]) => {
      if (window.Bokeh == null) return []
      const roots = Bokeh.index.roots.map(root => root.model.document)
      return [...new Set([...Bokeh.documents, ...roots])]
        .map(document => document?.get_model_by_name(source))
        .filter(found => found != null).map(found => Array.from(found.data[name] ?? []))
    }"""
    return page.evaluate(code, [source, name])


def marks(page):
    """Return what each front end says of the changes of settings."""
    return columns(page, "steering_marks", "label")
