"""Both ways in which the live host makes a write durable: in the event loop, and in a thread while the disk is slow."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from random import Random

import pytest

from raft import host as host_module
from raft.codec import PROTOCOL_VERSION, Hello
from raft.core import Core
from raft.disk import OsDisk
from raft.host import LiveHost
from raft.machine import Command, Machine, encode_command
from raft.node import run_event_loop
from raft.replica import Replica
from raft.timing import Timing
from raft.transport import Transport
from raft.wal import Identity, WriteAheadLog

WAIT_S = 20.0


class NotedDisk(OsDisk):
    """A real folder that notes in which threads it was synced."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.synced_in: list[str] = []

    def sync(self, name: str) -> None:
        self.synced_in.append(threading.current_thread().name)
        super().sync(name)


@pytest.mark.parametrize(("limit_us", "thread"), [(10**9, "MainThread"), (-1, "sync_0")])
def test_a_command_is_answered_after_a_sync_wherever_that_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_us: int, thread: str
) -> None:
    monkeypatch.setattr(host_module, "IN_PLACE_SYNC_US", limit_us)

    async def main() -> None:
        disk = NotedDisk(tmp_path)
        wal = WriteAheadLog(disk)
        recovered = wal.recover(Identity("c", "n1"))

        def make_replica(now_us: int) -> Replica:
            core = Core(
                node="n1",
                peers=[],
                incarnation=1,
                timing=Timing(1_000, 2_000, 500),
                random=Random(1),
                recovered=recovered,
                now_us=now_us,
            )
            return Replica(core, Machine())

        host = LiveHost(make_replica=make_replica, wal=wal, epoch_us=0, random=Random(1), events=None)
        host.start(Transport(Hello(PROTOCOL_VERSION, "c", "n1", 1, ""), {}, host.on_message))
        async with asyncio.timeout(WAIT_S):
            while host.replica.core.commit_index == 0:
                await asyncio.sleep(0.001)
            before = len(disk.synced_in)
            index, _, result = await host.submit(encode_command(Command("put", "x", "1")))
        assert (index, result.ok) == (2, True)
        assert disk.synced_in[before:] == [thread]
        await host.close()
        disk.close()

    run_event_loop(main())
