"""The scenarios of the mutants that use a disk, the wire or the clock wrongly: short runs in `sim`, whose disks fail,
whose bits flip and whose clocks go back."""

from __future__ import annotations

from msgspec.structs import replace
from scenario_steps import Observed

from builders.runs import TIMING
from builders.schedules import fault, short
from raft_chaos.chaos.faults.at_rest import BitFlip, LostFile, Truncation
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.corrupt import Corrupt
from raft_chaos.chaos.faults.crash_loop import CrashLoop
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.disk_error import DiskError
from raft_chaos.chaos.faults.kill_in_sync import KillInSync
from raft_chaos.chaos.faults.process import WHOLE_PERMILLE, Kill
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.sim.recorder import HISTORY_STREAM, Stream
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.schedule.data import Fault
from raft_chaos.invariants import events, history
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import NONE, Features

EVERY_3 = Features(snapshot_every=3)

RESTARTED = fault("f1", 400_000, Kill(["n3"], [0]))
"""After its second recovery the mark of n3 is durable."""


def sync_error_ignored(parts: Parts) -> Observed:
    """No sync of n3 succeeds any more; it loses power, and recovers once the disk works."""
    broken = fault("f2", 450_000, DiskError(["n3"], "sync", "EIO"), 100_000)
    return _run(parts, broken, fault("f3", 500_000, Kill(["n3"], [100_000])))


def sync_retried(parts: Parts) -> Observed:
    """One sync of n3 fails, and the next one succeeds."""
    broken = fault("f2", 450_000, DiskError(["n3"], "sync", "EIO", once=True), 100_000)
    return _run(parts, broken, fault("f3", 500_000, Kill(["n3"], [100_000])))


def append_error_ignored(parts: Parts) -> Observed:
    """One write of n3 fails half-way."""
    broken = fault("f2", 450_000, DiskError(["n3"], "append", "ENOSPC", once=True), 100_000)
    return _run(parts, broken, fault("f3", 500_000, Kill(["n3"], [100_000])))


def damage_taken_for_torn_tail(parts: Parts) -> Observed:
    """A bit in the middle of the log of n3 flips."""
    return _run(parts, RESTARTED, fault("f2", 600_000, BitFlip(["n3"], 500, 0)))


def mark_ignored(parts: Parts) -> Observed:
    """The log of n3 is cut to a half."""
    return _run(parts, RESTARTED, fault("f2", 600_000, Truncation(["n3"], 500, 0)))


def mark_before_sync(parts: Parts) -> Observed:
    """The power of n3 fails in the middle of a sync: the mark gets to the disk, and a block of the log does not."""
    return _run(parts, fault("f2", 450_000, KillInSync(["n3"], 1, 1_000, WHOLE_PERMILLE, holes=0b1)))


def checksum_not_checked(parts: Parts) -> Observed:
    """A bit in the command of an entry of n3 flips."""
    return _run(parts, RESTARTED, fault("f2", 600_000, BitFlip(["n3"], 404, 0)))


def empty_after_lost_log(parts: Parts) -> Observed:
    """The log of n3 is gone."""
    return _run(parts, RESTARTED, fault("f2", 600_000, LostFile(["n3"], 0, 0)))


def unreadable_log_discarded(parts: Parts) -> Observed:
    """n3 cannot read its log when it starts."""
    return _run(parts, fault("f2", 600_000, DiskError(["n3"], "read", "EIO"), 50_000))


def torn_tail_kept(parts: Parts) -> Observed:
    """A part of a record of n3 reaches its disk; later n3 starts once more."""
    slow = fault("f1", 400_000, SlowSync(["n3"], 20_000, 30_000), 100_000)
    torn = fault("f2", 480_000, Kill(["n3"], [0], [500]))
    return _run(parts, slow, torn, fault("f3", 600_000, Kill(["n3"], [0])))


def commit_meta_first(parts: Parts) -> Observed:
    """The disk of n3 is slow, so a write has several entries and their commit index; a part of it reaches the disk."""
    slow = fault("f1", 400_000, SlowSync(["n3"], 20_000, 30_000), 350_000)
    torn = [fault(f"f{turn}", 430_000 + turn * 37_000, Kill(["n3"], [1_000], [400])) for turn in (2, 3, 4)]
    return _run(parts, slow, *torn, features=Features(persist_commit=True))


def recovery_not_synced(parts: Parts) -> Observed:
    """The process of n3 is killed with a write under way. It starts again, and loses power as soon as it is up."""
    slow = fault("f1", 400_000, SlowSync(["n3"], 20_000, 30_000), 350_000)
    loops = [
        fault(f"f{turn}", 400_000 + turn * 37_000, CrashLoop(["n3"], 0, once_up_us=[0], first_keeps_cache=True))
        for turn in (2, 3, 4)
    ]
    return _run(parts, slow, *loops)


def folder_not_synced(parts: Parts) -> Observed:
    """The power of n3 fails when the log behind its snapshot gets its name. It takes the name of the snapshot."""
    cut = KillInSync(["n3"], 5, 1_000, WHOLE_PERMILLE, holes=0b10)
    return _run(parts, fault("f2", 450_000, cut), features=EVERY_3)


def log_cut_before_snapshot(parts: Parts) -> Observed:
    """The power of n3 fails in the middle of a snapshot, once the first half of it is durable."""
    return _run(parts, fault("f2", 450_000, KillInSync(["n3"], 4, 1_000)), features=EVERY_3)


def frame_checksum_ignored(parts: Parts) -> Observed:
    """A third of the frames to and from n3 have flipped bits for a while."""
    return _run(parts, fault("f1", 400_000, Corrupt(["n3"], 0.3), 400_000), seed=7)


def clock_going_back_panics(parts: Parts) -> Observed:
    """The clock of n3 goes back for a while."""
    return _run(parts, fault("f1", 400_000, Clock(["n3"], 0, -50_000), 100_000))


SCENARIOS = (
    sync_error_ignored,
    sync_retried,
    append_error_ignored,
    damage_taken_for_torn_tail,
    mark_ignored,
    mark_before_sync,
    checksum_not_checked,
    empty_after_lost_log,
    unreadable_log_discarded,
    torn_tail_kept,
    commit_meta_first,
    recovery_not_synced,
    folder_not_synced,
    log_cut_before_snapshot,
    frame_checksum_ignored,
    clock_going_back_panics,
)


def _run(parts: Parts, *faults: Fault, seed: int = 1, features: Features = NONE) -> Observed:
    observed = _Observing()
    plan = short(*faults, seed=seed)
    plan = replace(plan, header=replace(plan.header, features=features))
    VirtualRun(plan, timing=TIMING, driver=MemoryDriver(parts), recorder=observed).go()
    return observed.all


class _Observing:
    """A run's recorder that keeps what happened, in order."""

    def __init__(self) -> None:
        self.all: Observed = []

    def write(self, stream: Stream, lines: bytes, count: int) -> None:
        decode = history.decode if stream == HISTORY_STREAM else events.decode
        self.all += [decode(line) for line in lines.splitlines()]
