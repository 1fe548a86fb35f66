"""A target whose nodes start in milliseconds and do nothing: they only answer orders to their disk."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import ClassVar

from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.targets.protocol import Launch, Running


class IdleTarget:
    name: ClassVar[str] = "idle"
    reports_events: ClassVar[bool] = False
    knows_repeated_commands: ClassVar[bool] = False

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        ours, theirs = supervisor.pipe()
        child = supervisor.start(launch.node, idle, theirs)
        theirs.close()
        ours.recv()
        return Running(child, "http://127.0.0.1:0", None, ours)


def idle(control: Connection) -> None:
    """Answers each order to its disk with one slowed sync."""
    control.send("ready")
    while True:
        try:
            control.recv()
        except EOFError:
            return
        control.send(1)
