"""The live host: the two ways to make a write durable, the outputs of a turn, and their order."""

from __future__ import annotations

import asyncio
import errno
import threading
from contextlib import nullcontext
from pathlib import Path
from random import Random

import pytest

from raft_chaos.invariants.events import MessageReceived, Started, decode
from raft_chaos.raft.core import Core
from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.replica.command import Command
from raft_chaos.raft.replica.inputs import Persisted, Received, Submitted
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.server import host as host_module
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.host import EventFile, LiveHost, NotLeaderError
from raft_chaos.raft.server.node_clock import RIGHT, Segment
from raft_chaos.raft.state.messages import RequestVote
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import Disk, MemoryDisk, OsDisk
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.journal import Journal, JournalRecord, Start, Turn, read_journal
from raft_chaos.raft.storage.wal import WriteAheadLog

WAIT_S = 20.0


class NotedDisk(OsDisk):
    """A real folder that notes in which threads it was synced."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.synced_in: list[str] = []

    def sync(self, name: str) -> None:
        self.synced_in.append(threading.current_thread().name)
        super().sync(name)


def host_on(
    disk: Disk,
    core: type[Core] = Core,
    peers: tuple[str, ...] = (),
    events: EventFile | None = None,
    journal: Journal | None = None,
) -> LiveHost:
    """n1 with this disk, core and files, not started."""
    wal = WriteAheadLog(disk)
    recovered = wal.recover(Identity("c", "n1"))
    timing = Timing(1_000, 2_000, 500)

    def make_replica(now_us: int) -> Replica:
        if journal is not None:
            journal.start(Start("c", "n1", list(peers), 1, timing, 1, wal.size(), [(0, 0, 0)], now_us))
        made = core(
            node="n1",
            peers=peers,
            incarnation=1,
            timing=timing,
            random=Random(1),
            recovered=recovered,
            now_us=now_us,
        )
        return Replica(made, Machine())

    return LiveHost(make_replica=make_replica, wal=wal, epoch_us=0, random=Random(1), events=events, journal=journal)


@pytest.mark.parametrize(("limit_us", "thread"), [(10**9, "MainThread"), (-1, "sync_0")])
def test_a_command_is_answered_after_a_sync_in_the_loop_or_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit_us: int, thread: str
) -> None:
    monkeypatch.setattr(host_module, "IN_PLACE_SYNC_US", limit_us)

    async def main() -> None:
        disk = NotedDisk(tmp_path)
        host = host_on(disk)
        host.start(Transport(Hello(PROTOCOL_VERSION, "c", "n1", 1), {}, host.on_message))
        async with asyncio.timeout(WAIT_S):
            while host.replica.core.commit_index == 0:
                await asyncio.sleep(0.001)
            before = len(disk.synced_in)
            index, _, result = await host.submit(Command("put", "x", "1"))
        assert (index, result.ok) == (2, True)
        assert disk.synced_in[before:] == [thread]
        await host.close()
        disk.close()

    run_event_loop(main())


# ---- turns -----------------------------------------------------------------------------------------------------------


class SecondThought(EventFile):
    """Reads the journal before it writes."""

    def __init__(self, file: Path, journal: Path) -> None:
        super().__init__(file)
        self.journaled: list[tuple[list[bytes], list[JournalRecord]]] = []
        self._journal = journal

    def write(self, lines: list[bytes]) -> None:
        self.journaled.append((lines, list(read_journal(self._journal))))
        super().write(lines)


VOTE = RequestVote(5, 0, 0)


def test_a_turn_is_in_the_journal_before_anybody_can_see_it_and_is_reported_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        events = SecondThought(tmp_path / "events", tmp_path / "journal")
        host = host_on(MemoryDisk(), peers=("n2", "n3"), events=events, journal=Journal(tmp_path / "journal"))
        for number, sender in ((1, "n2"), (2, "n3")):
            host.on_message(sender, 1, number, VOTE)
        with pytest.raises(NotLeaderError):
            host.submit(Command("get", "x"))
        assert len(events.journaled) == 1, "only its start; what came in belongs to the turn that is not over"
        async with asyncio.timeout(WAIT_S):
            while len(events.journaled) < 3:  # the turn, and the one in which its write is durable
                await asyncio.sleep(0)
        await host.close()
        assert isinstance(events.journaled[0][1][0], Start)
        for place, (_, records) in enumerate(events.journaled, 1):
            turns = [record for record in records if isinstance(record, Turn)]
            assert len(turns) == place
        (started, *_), (received, turn_records), (_, durable_records) = events.journaled
        assert [type(decode(line)) for line in started] == [Started]
        assert [type(decode(line)) for line in received] == [MessageReceived, MessageReceived]
        last = turn_records[-1]
        assert isinstance(last, Turn)
        assert [type(given) for given in last.inputs] == [Received, Received, Submitted]
        durable = durable_records[-1]
        assert isinstance(durable, Turn)
        assert (durable.inputs[0].__class__, durable.unsent) == (Persisted, [0, 1]), "both answers had no link"

    run_event_loop(main())


class Fragile(Core):
    def _on_request_vote(self, source: str, m: RequestVote) -> None:
        if source == "n3":
            raise ArithmeticError("no vote for n3")
        super()._on_request_vote(source, m)


def test_a_node_whose_replica_fails_keeps_its_inputs_and_does_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
        events, journal = EventFile(tmp_path / "events"), Journal(tmp_path / "journal")
        host = host_on(MemoryDisk(), Fragile, ("n2", "n3"), events, journal)
        host.on_message("n2", 1, 1, VOTE)
        with pytest.raises(ArithmeticError):
            host.on_message("n3", 1, 2, VOTE)
        host.on_message("n2", 1, 3, VOTE)
        assert [str(error) for error in failures] == ["no vote for n3"]
        await host.close()
        _, first, last = read_journal(tmp_path / "journal")
        assert isinstance(first, Turn) and isinstance(last, Turn)
        assert (first.inputs, [given.sender for given in last.inputs if isinstance(given, Received)]) == (
            [],
            ["n2", "n3"],
        )
        assert (len(first.digest), last.digest) == (8, b"")
        reported = [decode(line) for line in (tmp_path / "events").read_bytes().splitlines()]
        assert [type(event) for event in reported] == [Started, MessageReceived, MessageReceived]

    run_event_loop(main())


class FullDisk(MemoryDisk):
    """Fails each append once it is told to."""

    fails = False

    def append(self, name: str, data: bytes) -> None:
        if self.fails:
            raise OSError(errno.EIO, "Input/output error")
        super().append(name, data)


@pytest.mark.parametrize("clock", [RIGHT, (0, 5_000_000, 0)], ids=["right", "wrong"])
def test_a_disk_that_fails_ends_the_node_whoever_gave_the_input(clock: Segment) -> None:
    """With a wrong clock the write is made in the call of the client's handler, which answers 500 and goes on."""

    async def main() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
        disk = FullDisk()
        host = host_on(disk, peers=("n2", "n3"))
        host.set_clock(clock)
        disk.fails = True
        with nullcontext() if clock == RIGHT else pytest.raises(DiskFailedError):
            host.on_message("n2", 1, 1, VOTE)
        async with asyncio.timeout(WAIT_S):
            while not failures:
                await asyncio.sleep(0)
        assert isinstance(failures[0], DiskFailedError)
        with pytest.raises(NotLeaderError):
            host.submit(Command("put", "x", "1"))
        host.on_message("n3", 1, 1, VOTE)
        assert host.replica.core.voted_for == "n2", "it takes nothing more"

    run_event_loop(main())
