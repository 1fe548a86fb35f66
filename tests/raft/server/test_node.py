"""A whole node: what survives a restart, what it reports, and when it refuses to start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from nodes import Nodes
from raft_chaos.invariants.events import (
    AnyEvent,
    EntryAppended,
    EntryApplied,
    MessageReceived,
    MessageSent,
    Started,
    decode,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.node import Node
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import FolderInUseError
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.log_file import CorruptLogError

QUICK = Timing(20_000, 40_000, 5_000)


def run(main: Callable[[], Awaitable[None]]) -> None:
    run_event_loop(main())


def events_of(file: Path) -> list[AnyEvent]:
    return [decode(line) for line in file.read_bytes().splitlines()]


@pytest.mark.parametrize("fault_disk", [False, True])
def test_acknowledged_writes_survive_a_restart(tmp_path: Path, fault_disk: bool) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK, fault_disk=fault_disk) as nodes:
            await nodes.start("n1")
            assert isinstance(nodes.running["n1"].disk, FaultDisk) is fault_disk
            await nodes.leader()
            await nodes.execute("n1", "put x 1", client="c", serial=1)
            term = (await nodes.get("n1", "/status"))["term"]
            await nodes.stop("n1")
            await nodes.start("n1")
            await nodes.leader()
            assert (await nodes.execute("n1", "get x"))[1]["result"] == "1"
            assert (await nodes.get("n1", "/status"))["term"] > term

    run(main)


def test_three_nodes_report_events_that_the_judges_accept(tmp_path: Path) -> None:
    files: list[Path] = []

    async def main() -> None:
        async with Nodes(tmp_path / "data", 3) as nodes:
            for name in nodes.ports:
                files.append(tmp_path / f"{name}.jsonl")
                nodes.override(name, events_file=str(files[-1]))
            await nodes.start(*nodes.ports)
            leader = await nodes.leader()
            answers = await asyncio.gather(*(nodes.execute(leader, f"append x {i}") for i in range(50)))
            assert {status for status, _ in answers} <= {200, 307, 503, 504}  # a slow machine may change leaders
            for name in nodes.ports:
                await nodes.until(name, lambda status: status["last_applied"] > 0)

    run(main)
    judge = Judge()
    received, sent = set(), set()
    for file in files:
        events = events_of(file)
        assert isinstance(events[0], Started)
        for event in events:
            judge.observe(event)
            if isinstance(event, MessageSent):
                sent.add((event.node, event.inc, event.number, event.to, event.type))
            if isinstance(event, MessageReceived):
                received.add((event.sender, event.sender_inc, event.number, event.node, event.type))
        assert any(isinstance(event, EntryApplied) for event in events)
    assert received
    assert received <= sent
    outcomes = {verdict.invariant: verdict.outcome for verdict in judge.verdicts()}
    assert "violated" not in outcomes.values()
    assert outcomes["election_safety"] == outcomes["log_matching"] == outcomes["state_machine_safety"] == "valid"


def test_a_restarted_node_reports_all_that_it_recovered(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path / "data", timing=QUICK) as nodes:
            nodes.override("n1", events_file=str(tmp_path / "1.jsonl"))
            await nodes.start("n1")
            await nodes.leader()
            await nodes.execute("n1", "put x 1")
            await nodes.stop("n1")
            nodes.override("n1", events_file=str(tmp_path / "2.jsonl"))
            await nodes.start("n1")

    run(main)
    before = [e for e in events_of(tmp_path / "1.jsonl") if isinstance(e, EntryAppended)]
    started, *after = events_of(tmp_path / "2.jsonl")
    assert isinstance(started, Started)
    assert (started.last_index, started.digest) == (before[-1].index, before[-1].digest)
    recovered = [e for e in after if isinstance(e, EntryAppended)][: len(before)]
    assert [(e.index, e.term, e.digest) for e in recovered] == [(e.index, e.term, e.digest) for e in before]


def test_a_node_that_cannot_recover_does_not_listen(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            await nodes.leader()
            # Its folder is in use.
            other = Node(nodes.config("n1"), Parts())
            with pytest.raises(FolderInUseError):
                await other.start()
            await other.stop()
            await nodes.stop("n1")
            # Its log is damaged.
            wal = tmp_path / "n1" / "raft.wal"
            damaged = bytearray(wal.read_bytes())
            damaged[10] ^= 0xFF
            wal.write_bytes(damaged)
            other = Node(nodes.config("n1"), Parts())
            with pytest.raises(CorruptLogError, match=r"n1/raft\.wal, offset 8"):
                await other.start()
            assert other.http_url == ""
            await other.stop()

    run(main)


def test_an_occupied_port_is_an_os_error_and_frees_the_folder(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            config = msgspec.structs.replace(nodes.config("n1"), data_dir=str(tmp_path / "other"))
            for _ in range(2):
                other = Node(config, Parts())
                with pytest.raises(OSError):
                    await other.start()
                await other.stop()

    run(main)
