#!/usr/bin/env bash
# ipykernel 7.4.0: a comm that the main shell answered once is not heard again while a cell runs.
#
# JupyterLab sends what a reader does on a comm to a subshell, so that it is heard while a cell runs.
# But ipykernel remembers for each comm the shell that last sent on it, and hands later messages to
# that shell, whatever subshell they ask for. A frontend that speaks before the kernel has made its
# subshell (a matter of milliseconds, so it depends on the load) is answered from the main shell; a
# thread's answers count as the main shell's too. From then on a dashboard's buttons and sliders do
# nothing until the cell ends, although the same page worked in the last run.
#
# Seen: two comms, the first message of one without a subshell, of the other with one; while a cell
#   sleeps for 6 s, each gets a message for the subshell: heard after 6 s and at once.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q ipykernel==7.4.0 jupyter_client==8.10.0
"$work/venv/bin/python" - <<'PY'
import time

from jupyter_client.manager import start_new_kernel

SLEEP = 6
CELL = """
import time
from IPython import get_ipython

heard = {}

def opened(comm, message):
    def take(message):
        heard.setdefault(message["content"]["data"], []).append(time.time())
        comm.send("answer")
    comm.on_msg(take)

get_ipython().kernel.comm_manager.register_target("page", opened)
"""

manager, client = start_new_kernel()


def send(kind, content, subshell=None):
    message = client.session.msg(kind, content)
    message["header"]["subshell_id"] = subshell
    client.shell_channel.send(message)


try:
    client.execute(CELL, reply=True)
    client.control_channel.send(client.session.msg("create_subshell_request", {}))
    subshell = client.get_control_msg(timeout=30)["content"]["subshell_id"]
    for name, first in (("early", None), ("late", subshell)):
        send("comm_open", {"comm_id": name, "target_name": "page", "data": {}})
        send("comm_msg", {"comm_id": name, "data": f"first of {name}"}, first)
    time.sleep(3)
    client.execute(f"began = time.time(); time.sleep({SLEEP})")
    time.sleep(1)
    for name in ("early", "late"):
        send("comm_msg", {"comm_id": name, "data": name}, subshell)
    time.sleep(SLEEP + 2)
    reply = client.execute(
        "", reply=True, user_expressions={n: f"heard[{n!r}][0] - began" for n in ("early", "late")}
    )
    expressions = reply["content"]["user_expressions"]
    early, late = (float(expressions[n]["data"]["text/plain"]) for n in ("early", "late"))
    print(f"after {early:.1f} s where the main shell had answered, {late:.1f} s where the subshell had")
    assert early >= SLEEP > 4 > late, "messages are heard where they are sent now"
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
PY
