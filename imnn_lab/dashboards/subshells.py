"""Where a kernel hears what a reader does: in the subshell that the frontend asked for."""

from __future__ import annotations

from typing import Any


def hear_where_asked(comm: Any) -> None:
    """Let what a frontend says on a comm reach the kernel while a cell runs.

    Frontends send it to a subshell. But ipykernel 7.4 hands it to the shell from which the comm
    was last answered, and that is the main one, where the cell runs, once a thread of our own did
    so, or if the frontend began to speak before it had a subshell.

    Parameters
    ----------
    comm : comm.base_comm.BaseComm
    """
    comm._reply_subshell_for = lambda data, asked_for: asked_for
