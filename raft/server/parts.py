"""The parts of a node: `Parts` has the classes of which it consists, so that a mutant can replace exactly one of them.

This file knows neither HTTP nor the event loop nor sockets: whoever carries the messages itself, as the simulator does,
does not wait until these are imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from raft_chaos.raft.core import Core
from raft_chaos.raft.network.codec import FrameBuffer
from raft_chaos.raft.replica.machine import MAX_SESSIONS, Machine
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.state.log import EntrySource
from raft_chaos.raft.state.messages import Recovered
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.wal import WriteAheadLog

if TYPE_CHECKING:
    from raft_chaos.raft.network.transport import Transport


@dataclass(frozen=True)
class Parts:
    """The classes of which a node consists. Without a `transport` a node with sockets has `network.transport`'s."""

    core: type[Core] = Core
    wal: type[WriteAheadLog] = WriteAheadLog
    machine: type[Machine] = Machine
    replica: type[Replica] = Replica
    disk: type[FaultDisk] = FaultDisk
    transport: type[Transport] | None = None
    frames: type[FrameBuffer] = FrameBuffer


def make_replica(
    parts: Parts,
    *,
    node: str,
    peers: Sequence[str],
    incarnation: int,
    timing: Timing,
    seed: int,
    recovered: Recovered,
    now_us: int,
    source: EntrySource | None = None,
    reports: bool = True,
) -> Replica:
    """One incarnation's replica, the same in every world; `seed` feeds its election timer. It reads old entries back
    from `source`, the log that it was recovered from; without one it keeps all of them in memory. `reports` is False
    for one whose events nobody takes."""
    core = parts.core(
        node=node,
        peers=peers,
        incarnation=incarnation,
        timing=timing,
        random=Random(f"{seed}/timer"),
        recovered=recovered,
        now_us=now_us,
        source=source,
        reports_entries=reports,
    )
    replica = parts.replica(core, parts.machine(timing.features.max_sessions or MAX_SESSIONS))
    replica.reports = reports
    return replica
