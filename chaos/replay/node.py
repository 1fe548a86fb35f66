"""Replays all incarnations of one node, and all nodes of a run.

Each incarnation starts from its own recorded log. So a difference ends only the replay of its incarnation, and the next
incarnation is replayed independently. With other code each incarnation may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raft_chaos.chaos.replay.incarnation import Incarnation, Recorded, ReplayedTurn
from raft_chaos.chaos.replay.result import Difference, NodeReplay, ReplayError, RunReplay
from raft_chaos.chaos.run.nodes.driver import exit_status
from raft_chaos.invariants.regular_file import read_regular
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.storage.journal import MAGIC, JournalError, Start, read_journal
from raft_chaos.raft.storage.log_file import FILE, base_of


def replay_run(run: RunDir, parts: Parts, nodes: Sequence[str] | None = None) -> RunReplay:
    """Replays these nodes, or all. Raises ReplayError or RunDirError if the run or one of its files cannot be used."""
    return RunReplay([replay_node(run, node, parts) for node in nodes or run.load_info().nodes])


def replay_node(run: RunDir, node: str, parts: Parts) -> NodeReplay:
    """Replays all incarnations of one node with these parts. Raises ReplayError."""
    turns, events = 0, 0
    deaths: list[str] = []
    differences: list[Difference] = []
    incarnations = recorded_incarnations(run, node)
    for recorded, there in zip(incarnations, _logs_left(incarnations), strict=True):
        one = Incarnation(recorded, parts)
        last = None
        for turn in one.turns():
            last = turn
            turns += 1
        events += one.events
        if last is not None and last.error is not None:
            deaths.append(f"incarnation {recorded.incarnation}: {exit_status(last.error)[1]}")
        difference = one.difference or _compare_log(one, last, there)
        if difference is not None:
            differences.append(difference)
    return NodeReplay(
        node=node,
        incarnations=len(incarnations),
        turns=turns,
        events=events,
        deaths=deaths,
        differences=differences,
    )


def recorded_incarnations(run: RunDir, node: str) -> list[Recorded]:
    """The incarnations that left a journal. Raises ReplayError if there is none, or if a file is missing."""
    journals = dict(run.journals().get(node, []))
    if not journals:
        raise ReplayError(
            f"{run.node(node)}: no journals; the run was made without them, or its target does not keep any"
        )
    for incarnation, events in run.event_files().get(node, []):
        if incarnation not in journals:
            raise ReplayError(f"{run.node_journal(node, incarnation)}: missing, but there is {events.name}")
    for incarnation, journal in journals.items():
        if not run.node_events(node, incarnation).exists() and journal.stat().st_size > len(MAGIC):
            raise ReplayError(f"{run.node_events(node, incarnation)}: missing, but there is {journal.name}")
    undamaged = run.node_undamaged(node)
    log = undamaged if undamaged.exists() else run.node(node) / "data" / FILE
    content = _read(log)
    return [
        Recorded(node, incarnation, journal, run.node_events(node, incarnation), log, content)
        for incarnation, journal in journals.items()
    ]


def _read(file: Path) -> bytes:
    try:
        return read_regular(file)
    except OSError as error:
        raise ReplayError(f"{file}: cannot be read ({error.strerror})") from None


def _logs_left(incarnations: Sequence[Recorded]) -> list[bytes]:
    """For each incarnation, the log that it left: what the next one that recorded its start recovered."""
    logs: list[bytes] = []
    there = incarnations[0].log_bytes
    for recorded in reversed(incarnations):
        logs.append(there)
        try:
            start = next(read_journal(recorded.journal), None)
        except JournalError as error:
            raise ReplayError(str(error)) from None
        if isinstance(start, Start):
            there = start.files.get(FILE, recorded.log_bytes[: start.log_size])
    return logs[::-1]


def _compare_log(one: Incarnation, last: ReplayedTurn | None, there: bytes) -> Difference | None:
    """The difference if the log that the incarnation left is not a prefix of what it wrote."""
    if last is None:
        return None
    written = one.written(base_of(there))
    if written.startswith(there):
        return None
    offset = next((place for place, (a, b) in enumerate(zip(there, written, strict=False)) if a != b), len(written))
    return one.differs(last, f"{one.recorded.log}, offset {offset}: not what the node wrote there")
