"""The process of a lossy disk: serves one incarnation of one node, until the controller says that its node is gone.

It answers one request at a time, so the changes have one order. It syncs nothing itself. It leads a session of its own:
what kills the node does not reach it. It ends when its connection to the controller closes, when that asks for the
loss, or when it is in trouble itself, of which it first tells the controller.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from raft_chaos.chaos.processes import open_files
from raft_chaos.chaos.processes.shortage import sentence
from raft_chaos.chaos.run.live.disk import protocol
from raft_chaos.chaos.run.live.disk.folder import LossyFolder
from raft_chaos.chaos.run.live.disk.mount import ImpossibleError, mount
from raft_chaos.chaos.run.live.disk.requests import Requests


def disk_main(control: Connection, folder: Path, graves: Path, enter: Callable[[], None] | None) -> None:
    """The main function of the process. It first enters the node's network by `enter`, since the node can be in one
    user namespace only. Then it says how to enter its own namespaces: (its number, namespaces), or why it has none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the controller still needs us
    open_files.raise_limit()
    os.umask(0)  # the kernel has taken the node's own into account
    try:
        if enter is not None:
            enter()
        mounted = mount(folder)
        beside = os.open(graves, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (ImpossibleError, OSError) as error:
        control.send(str(error))
        return
    lossy = LossyFolder(mounted.folder, beside)
    control.send((os.getpid(), mounted.namespaces))
    try:
        if serve(mounted.requests, Requests(lossy), control):
            keep_permille: int = control.recv()
            control.send(lossy.lose(keep_permille))
    except Exception as error:
        control.send(sentence(error))
        raise
    except EOFError:
        pass  # the controller is gone


def serve(kernel_: int, requests: Requests, control: Connection) -> bool:
    """Answers requests until the controller sends something; returns whether it did, and is not gone."""
    buffer = bytearray(protocol.MAX_REQUEST)
    view = memoryview(buffer)
    poll = select.poll()
    poll.register(kernel_, select.POLLIN)
    poll.register(control.fileno(), select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if control.fileno() in ready:
            return True
        try:
            length = os.readv(kernel_, [buffer])
        except (InterruptedError, FileNotFoundError):
            continue  # the request is gone again
        if (answer := requests.answer(view[:length])) is not None:
            try:
                os.write(kernel_, answer)
            except FileNotFoundError:
                pass  # who asked was killed meanwhile
