"""A target whose nodes start in milliseconds and do nothing: they only answer orders to their disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import ClassVar

from raft_chaos.chaos.faults.abilities import Abilities
from raft_chaos.chaos.processes.supervisor import Supervisor
from raft_chaos.chaos.targets.door import Door
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.chaos.targets.protocol import Launch, NetworkName, Running, Status


class IdleTarget:
    name: ClassVar[str] = "idle"
    can: ClassVar[Abilities] = frozenset()
    network: ClassVar[NetworkName] = "frames"
    ports: ClassVar[tuple[str, ...]] = ()
    link_port: ClassVar[str | None] = None

    def start(self, supervisor: Supervisor, launch: Launch) -> Running:
        ours, theirs = supervisor.pipe()
        child = supervisor.start(launch.node, idle, theirs)
        theirs.close()
        ours.recv()
        return Running(child, "http://127.0.0.1:0", ours)

    def door(self, session: HttpSession, urls: Callable[[], Mapping[str, str]]) -> Door:
        raise NotImplementedError

    async def status(self, session: HttpSession, url: str) -> Status | None:
        return None

    async def close(self) -> None:
        pass


def idle(control: Connection) -> None:
    """Answers each order to its disk with one slowed sync, and each to its clock with no change."""
    control.send("ready")
    while True:
        try:
            what, _ = control.recv()
        except EOFError:
            return
        control.send((0, 0) if what == "clock" else 1)
