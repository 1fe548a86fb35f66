"""`raft-chaos serve`: shows the saved runs of a folder in a browser, and those that go on."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import typer

from raft_chaos.chaos.cli.common import fail
from raft_chaos.chaos.cli.read.run_names import is_run, runs_folder
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.serve.folder import Folder
from raft_chaos.chaos.cli.serve.making import PRELOAD
from raft_chaos.chaos.cli.start import importing
from raft_chaos.chaos.processes import interrupts, system_cas
from raft_chaos.chaos.processes.supervisor import Supervisor


def serve(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="The folder with the runs.", show_default="as for `runs`"),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Where to listen on 127.0.0.1; 0: any free port.")
    ] = 0,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> Result:
    """Shows saved runs in a browser, and those that go on.

    It only reads, and only programs of this machine reach it. Ctrl-C ends it.

    Exit codes: 0 ended by Ctrl-C, SIGTERM or SIGHUP, 254 bad arguments or a port that is in use.
    """
    there = folder or runs_folder()
    if is_run(there):
        fail(f"FOLDER: {there} is one run; expected the folder that it is in, {there.resolve().parent}")
    try:
        shown = Folder(there)
    except OSError as error:
        fail(f"FOLDER: {there} cannot be read ({error.strerror})")
    with closing(shown), Supervisor(PRELOAD) as supervisor:
        listeners = _listening(port)
        with importing(), system_cas.not_loaded():
            from raft_chaos.chaos.cli.serve import server  # while the fork server imports what makes reports
        interrupts.raise_if_received()
        server.run(shown, str(there), supervisor, listeners, opens=opens)
    return Result()


def _listening(port: int) -> list[socket.socket]:
    """Sockets on 127.0.0.1, and on the same port of ::1, if that exists and is free: a browser may take localhost for
    either."""
    sockets = [_bound(socket.AF_INET, "127.0.0.1", port)]
    number = sockets[0].getsockname()[1]
    with suppress(OSError):
        sockets.append(_bound(socket.AF_INET6, "::1", number))
    return sockets


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        if family is socket.AF_INET:
            fail(f"--port: cannot listen on {address}:{port} ({error.strerror}); 0 takes any free port")
        raise
    return listener
