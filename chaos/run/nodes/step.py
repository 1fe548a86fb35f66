"""The parameters of a stepped node, and the report of one of its steps, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import msgspec

from raft_chaos.chaos.schedule.streams import stream_seed
from raft_chaos.invariants.events import Event
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.server.node_clock import RIGHT, Segment
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.failing import Failing


class StepReport(msgspec.Struct):
    """What one step did: events in order, messages as (to, number, message), the number of the write that began (0:
    none), answers to clients, and the deadline of the node's timer (µs of the run).

    `leader` comes with a refused submission: the node believes this one to lead. `stopped` says that the step ended at
    its failpoint, `stale` that the message it received was of an earlier term than the node's. After several
    submissions, `refused` has the tokens of the refused ones.
    """

    events: list[Event]
    sends: list[tuple[str, int, Any]]
    write_lsn: int
    replies: list[Reply]
    deadline_us: int
    accepted: bool = True
    leader: str | None = None
    stopped: bool = False
    stale: bool = False
    refused: list[Any] = []


class StepConfig(msgspec.Struct, frozen=True):
    """The parameters of an incarnation. `seed` feeds its election timer; `clock` is what its clock shows, and
    `failing` is what its disk fails at. It is to die after so many operations of its recovery on the disk, if
    `dies_after` is given."""

    cluster: str
    node: str
    peers: list[str]
    incarnation: int
    timing: Timing
    seed: int
    clock: Segment = RIGHT
    failing: Failing | None = None
    dies_after: int | None = None

    @classmethod
    def of(
        cls,
        node: str,
        nodes: Sequence[str],
        incarnation: int,
        *,
        seed: int,
        timing: Timing,
        clock: Segment = RIGHT,
        cluster: str = "",
        failing: Failing | None = None,
        dies_after: int | None = None,
    ) -> Self:
        """The configuration of this incarnation of a node, in a run with `seed` and all `nodes`. Its timer draws from a
        stream of its own; its clock is right unless `clock` says otherwise."""
        return cls(
            cluster=cluster or f"run-{seed}",
            node=node,
            peers=[peer for peer in nodes if peer != node],
            incarnation=incarnation,
            timing=timing,
            seed=stream_seed(seed, f"timer/{node}/{incarnation}"),
            clock=clock,
            failing=failing,
            dies_after=dies_after,
        )
