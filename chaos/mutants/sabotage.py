"""Mistakes that no checker can see: the node is still a correct Raft, but its traces differ between runs or worlds.

Sabotages test the comparison of traces. Those of the first group make two runs of the same world differ: the trace
depends on the process or on the real time. Those of the second group act only on real files and links. So they are
detected exactly if `lockstep` runs the real codec, recovery and disk, and sends every frame over a real link.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from raft_chaos.raft.core import Core
from raft_chaos.raft.network.transport import Numbered, Transport
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import AppendEntries, Message, Recovered
from raft_chaos.raft.storage.disk import Disk, OsDisk
from raft_chaos.raft.storage.fault_disk import FaultDisk
from raft_chaos.raft.storage.identity import Identity
from raft_chaos.raft.storage.log_file import FILE, decode_records
from raft_chaos.raft.storage.recovery import fold
from raft_chaos.raft.storage.wal import WriteAheadLog


@dataclass(frozen=True)
class Sabotage:
    """`shows` says which traces differ: those of two runs of the same world, or only those of `sim` and `lockstep`."""

    id: str
    mistake: str
    shows: Literal["same world", "lockstep"]
    parts: Parts


# ---- a run that does not repeat -------------------------------------------------------------------------------------


class SetOrder(Core):
    def _reset_progress(self) -> None:
        super()._reset_progress()
        self.progress = {peer: self.progress[peer] for peer in set(self.progress)}


class WallClock(Core):
    def _reset_election_timer(self) -> None:
        super()._reset_election_timer()
        self._election_deadline_us += time.time_ns() // 1000 % 1000


class GlobalRandom(Core):
    def _reset_election_timer(self) -> None:
        timing = self.timing
        timeout_us = random.randint(timing.election_timeout_min_us, timing.election_timeout_max_us)
        self._election_deadline_us = self.now_us + timeout_us


# ---- a simulator that differs from real processes -------------------------------------------------------------------


def _is_real(disk: Disk) -> bool:
    return isinstance(disk.disk.disk if isinstance(disk, FaultDisk) else disk, OsDisk)


class CodecDropsField(Transport):
    def send(self, numbered: Iterable[Numbered]) -> None:
        super().send((to, number, self._lossy(message)) for to, number, message in numbered)

    def _lossy(self, message: Message) -> Message:
        return msgspec.structs.replace(message, leader_commit=0) if isinstance(message, AppendEntries) else message


class FrameSentTwice(Transport):
    def send(self, numbered: Iterable[Numbered]) -> None:
        frames = list(numbered)
        super().send(frames)
        super().send(frame for frame in frames if frame[1] % 50 == 0)


class RecoveryLosesRecord(WriteAheadLog):
    def recover(self, identity: Identity) -> Recovered:
        recovered = super().recover(identity)
        if not _is_real(self.disk):
            return recovered
        batches, _ = decode_records(self.disk.read(FILE))
        return fold(batches[:-1])


class SyncSkipped(FaultDisk):
    def sync(self, name: str) -> None:
        # The first sync creates the file. Without it the node could not restart at all.
        if not (name == FILE and _is_real(self) and name in self.disk.list()):
            super().sync(name)


_ALL = (
    Sabotage(
        "set_order",
        "a leader iterates over its followers in the order of a set of strings, which differs between processes",
        "same world",
        Parts(core=SetOrder),
    ),
    Sabotage(
        "wall_clock",
        "the wall clock adds a little to each election timeout",
        "same world",
        Parts(core=WallClock),
    ),
    Sabotage(
        "global_random",
        "election timeouts are drawn from the process's global generator",
        "same world",
        Parts(core=GlobalRandom),
    ),
    Sabotage(
        "codec_drops_field",
        "the codec drops a field of a message: the leader's commit index arrives as 0",
        "lockstep",
        Parts(transport=CodecDropsField),
    ),
    Sabotage(
        "frame_sent_twice",
        "a link sends some frames twice, as one that resends after a reconnect does",
        "lockstep",
        Parts(transport=FrameSentTwice),
    ),
    Sabotage(
        "recovery_loses_record",
        "recovery from a real file forgets the last record",
        "lockstep",
        Parts(wal=RecoveryLosesRecord),
    ),
    Sabotage(
        "sync_skipped",
        "a sync of the real log does nothing: the unsynced bytes stay in the process",
        "lockstep",
        Parts(disk=SyncSkipped),
    ),
)

SABOTAGES: dict[str, Sabotage] = {sabotage.id: sabotage for sabotage in _ALL}
