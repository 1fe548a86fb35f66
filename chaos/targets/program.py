"""A node that is a program of somebody else: started by its command line, and watched until it answers.

The program runs in a process group of the harness, with the limits, the environment and the working folder that the
user chose, and in the network that the run has for it. What it prints goes to `stderr.log` in its folder.
"""

from __future__ import annotations

import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from raft_chaos.chaos.processes import open_files
from raft_chaos.chaos.processes.execute import execute
from raft_chaos.chaos.processes.shortage import HarnessError, shortage
from raft_chaos.chaos.processes.supervisor import Child, Supervisor
from raft_chaos.chaos.targets.protocol import START_TIMEOUT_S, EndedError, Launch, tail

POLL_S = 0.02
ASK_S = 1.0
ENDING_S = 5.0
"""How long a program that ended may take to be gone, with its last words written."""


def started(
    supervisor: Supervisor,
    launch: Launch,
    argv: list[str],
    environment: Mapping[str, str],
    answers: Callable[[], bool],
    stdin_and_stdout: socket.socket | None = None,
    within_s: float = START_TIMEOUT_S,
) -> tuple[Child, bool]:
    """Starts the program; returns its process, and whether it answered `within_s`.

    `answers` asks once. Raises TargetError if the program ended before it answered.
    """
    folder = launch.run.node(launch.node)
    folder.mkdir(parents=True, exist_ok=True)
    stderr = folder / "stderr.log"
    child = supervisor.start(
        launch.node,
        execute,
        argv,
        dict(environment),
        open_files.users_limit(),
        launch.enter,
        stdin_and_stdout,
        stderr=stderr,
    )
    deadline = time.monotonic() + within_s
    while child.is_alive:
        if answers():
            return child, True
        if time.monotonic() >= deadline:
            return child, False
        time.sleep(POLL_S)
    child.wait(ENDING_S)
    code = child.exit_code
    child.kill()  # its group may still have processes
    raise EndedError(launch.node, code if code is not None else -signal.SIGKILL, tail(stderr))


# ---- whether it answers ------------------------------------------------------------------------------------------


def answers_http(url: str) -> bool:
    """Whether an HTTP server answers there, with whatever status. Raises HarnessError if this process cannot ask."""
    try:
        with urllib.request.urlopen(url, timeout=ASK_S):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError as error:
        _refuse_shortage(error, url)
        return False
    except ValueError:
        return False  # something else answers, or half of an answer came


def accepts_tcp(host: str, port: int) -> bool:
    """Whether something accepts connections there. Raises HarnessError if this process cannot ask."""
    try:
        socket.create_connection((host, port), ASK_S).close()
    except OSError as error:
        _refuse_shortage(error, f"{host}:{port}")
        return False
    return True


def _refuse_shortage(error: OSError, where: str) -> None:
    if missing := shortage(error):
        raise HarnessError(f"the harness ran out of {missing}, and cannot ask {where}") from None


def data_folder(launch: Launch) -> Path:
    """The folder in which the node keeps its data, over all incarnations."""
    folder = launch.run.node(launch.node) / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
