"""The result of one step of a node, for a reader: its input, and everything that the node did.

It is what the text shows (`chaos.execution.format`), whether a file's execution is described or a transcript's grows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from raft_chaos.chaos.execution.player import Frame, Link, Player
from raft_chaos.chaos.execution.steps import Deliver, NodeStep
from raft_chaos.chaos.run.nodes.step import StepReport
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.invariants.events import NodeExited
from raft_chaos.raft.state.messages import FileRecord, Record
from raft_chaos.raft.storage.log_file import FILE, decode_records


class StepResult(msgspec.Struct):
    """One input to one node, and its result. `at_us` is the time of the step.

    The input is the frame `received`, as it was sent, whether or not it `is_corrupted`; or it is described by `input`.
    `written` are the records of the write that began.
    `lost` are frames that the node sent into a cut, or that arrived while it was down. `report` is None if the node did
    nothing, and `end` says why.
    """

    node: str
    at_us: int
    input: str = ""
    received: Frame | None = None
    report: StepReport | None = None
    sent: list[Frame] = []
    lost: list[Frame] = []
    written: Sequence[Record | FileRecord] = []
    end: str = ""
    is_corrupted: bool = False


def result_of(player: Player, number: int, step: NodeStep, given: str, cut: Collection[Link] = ()) -> StepResult:
    """The result of the step that the player has just done. `given` describes an input that is not a frame."""
    node = player.nodes[step.node]
    result = StepResult(step.node, player.now_us, given, report=player.report)
    if isinstance(step, Deliver):
        result.received = player.sent_to(step)[step.nth]
        result.is_corrupted = bool(step.flips)
    if player.report is None:
        result.end = _end(player, step.node)
        return result
    for frame in player.sent.get(number, ()):
        (result.lost if frame.link in cut else result.sent).append(frame)
    if player.report.write_lsn and isinstance(node.driven, SteppedNode):
        wal = node.driven.wal
        # One write is under way at a time, so it is a snapshot, or the last batch of the file.
        result.written = [wal.staged] if wal.staged is not None else decode_records(wal.disk.read(FILE))[0][-1]
    return result


def _end(player: Player, node: str) -> str:
    """Why a step has no report: the node died, or acts only after its next input."""
    for event in reversed(player.trace.harness_events):
        if isinstance(event, NodeExited) and event.subject == node:
            return f"ends by itself with exit code {event.exit_code}: {event.log_tail}"
    return "does not act yet"
