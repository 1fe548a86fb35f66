"""The reaper: a process that ends whatever the controller leaves behind, even if that is killed with SIGKILL.

It holds one end of a pipe to the controller. When the pipe closes, it kills the process groups that are left, and then
removes the temporary folders that it was told of. Messages are pairs:

    ("add", PID)        this process leads a group now
    ("remove", PID)     nothing is left of that group
    ("folder", PATH)    this folder is to be removed, or will be there soon
    ("done", 0)         the controller ends in good order, and removes its folders itself

The controller starts it before it has any process or folder, by running this file. So it has only the standard library,
and starts in hundredths of a second. It leads a session: a signal to the controller's group does not reach it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path


def main(pipe: Connection) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, str] = {}
    folders: list[str] = []
    try:
        pipe.send_bytes(b"ready")
        while (message := pipe.recv())[0] != "done":
            what, value = message
            if what == "add":
                groups[value] = _began(value)
            elif what == "remove":
                groups.pop(value, None)
            else:
                folders.append(value)
        folders.clear()
    except (EOFError, OSError):
        pass  # the controller is gone
    for pid, began in groups.items():
        # A leader that has ended may have left members behind. The kernel does not reuse its number while they live.
        if _began(pid) in (began, ""):
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass  # nothing is left of it
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _began(pid: int) -> str:
    """When the process was started, in the kernel's units; "" if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return fields[19]


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
