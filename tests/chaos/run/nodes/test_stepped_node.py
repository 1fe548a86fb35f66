"""One node, step by step: what a step does before a failpoint ends it, and what a crash leaves on the disk."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import get_args

import msgspec
import pytest

from builders.stepped import config
from raft_chaos.chaos.faults.process import Failpoint
from raft_chaos.chaos.run.nodes.driver import DiskState, DriverError, NodeDiedError, end_of
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.nodes.step import StepConfig, StepReport
from raft_chaos.chaos.run.nodes.stepped_node import SteppedNode
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryAppended,
    EntryApplied,
    Event,
    MessageReceived,
    MessageSent,
    Started,
)
from raft_chaos.raft.replica.command import Command, encode_command
from raft_chaos.raft.server.exit_codes import EXIT_CRASHED, EXIT_DISK, EXIT_REFUSED, EXIT_STARVED
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import Append, AppendEntriesReply, HardState, RequestVoteReply
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.disk import MemoryDisk
from raft_chaos.raft.storage.failing import Failing
from raft_chaos.raft.storage.log_file import FILE, decode_records, encode_record
from raft_chaos.raft.storage.snapshot_file import SNAPSHOT

FAILPOINTS: tuple[Failpoint, ...] = get_args(Failpoint)
PUT = encode_command(Command("put", "key", "value"))


class Candidate:
    """n1 of five nodes, one vote short of leading. Each method is one step; `node` is n1."""

    def __init__(self) -> None:
        self.driver = MemoryDriver(Parts())
        peers = ("n2", "n3", "n4", "n5")
        self.node: SteppedNode = self.driver.start(config("n1", peers), 0)
        self.now_us = self.node.first.deadline_us
        self.numbers = 0
        vote = self.node.tick(self.now_us, None)
        self.requests = self.persisted(vote.write_lsn, None)
        self.receive("n2", RequestVoteReply(1, True))

    def receive(self, sender: str, message: object, failpoint: Failpoint | None = None) -> StepReport:
        self.numbers += 1
        return self.node.receive(sender, 1, self.numbers, message, self.now_us, failpoint)  # type: ignore[arg-type]

    def persisted(self, lsn: int, failpoint: Failpoint | None) -> StepReport:
        self.now_us += 1_000
        return self.node.persisted(lsn, self.now_us, failpoint)

    def elected(self, failpoint: Failpoint | None) -> StepReport:
        """Reports its role, sends four messages, and begins to write its first entry."""
        return self.receive("n3", RequestVoteReply(1, True), failpoint)

    def served(self, failpoint: Failpoint | None) -> StepReport:
        """The write of one command is durable, which commits, applies and answers it; that of another begins."""
        no_op = self.elected(None)
        for peer in ("n2", "n3"):
            self.receive(peer, AppendEntriesReply(1, True, 1))
        first = self.persisted(no_op.write_lsn, None)
        assert first.write_lsn == 0
        write = self.node.submit("one", PUT, self.now_us, None)
        self.node.submit("two", PUT, self.now_us, None)
        for peer in ("n2", "n3"):
            self.receive(peer, AppendEntriesReply(1, True, 2))
        return self.persisted(write.write_lsn, failpoint)

    def unsynced(self) -> int:
        return self.node.disk.unsynced_bytes(FILE)

    def on_disk(self) -> list[list[object]]:
        """The records of the disk itself, a list for each write."""
        batches, end = decode_records(self.driver.disk("n1").read(FILE))
        assert end == len(self.driver.disk("n1").read(FILE)), "a torn tail"
        return [list(batch) for batch in batches]


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events if not isinstance(event, MessageSent)]


def sent(report: StepReport) -> list[tuple[str, int]]:
    """(to, number) of what left, which must be what was said to leave."""
    said = [(event.to, event.number) for event in report.events if isinstance(event, MessageSent)]
    left = [(to, number) for to, number, _ in report.sends]
    assert said == left
    return left


# ---- a step without a failpoint ----------------------------------------------------------------------------------


def test_a_step_reports_sends_writes_and_answers() -> None:
    candidate = Candidate()
    report = candidate.elected(None)
    assert not report.stopped and report.accepted
    assert kinds(report.events)[0] is MessageReceived and len(kinds(report.events)) == 2
    assert [to for to, _ in sent(report)] == ["n2", "n3", "n4", "n5"]
    assert report.write_lsn > 0 and candidate.unsynced() > 0
    served = Candidate().served(None)
    assert kinds(served.events) == [EntryAppended, CommitAdvanced, EntryApplied]
    assert [reply.token for reply in served.replies] == ["one"]
    assert served.write_lsn > 0


def test_message_numbers_continue_from_step_to_step() -> None:
    candidate = Candidate()
    numbers = [number for _, number in sent(candidate.requests)] + [
        number for _, number in sent(candidate.elected(None))
    ]
    assert numbers == list(range(1, 9))


def test_a_refused_submission_names_the_known_leader() -> None:
    candidate = Candidate()
    report = candidate.node.submit("x", PUT, candidate.now_us, None)
    assert (report.accepted, report.leader, report.replies) == (False, None, [])


# ---- failpoints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failpoint", "reported", "left"),
    [("before_report", False, 0), ("before_send", True, 0), ("mid_send", True, 2), ("before_write", True, 4)],
)
def test_a_step_that_sends_and_writes_ends_at_its_failpoint(failpoint: Failpoint, reported: bool, left: int) -> None:
    whole, candidate = Candidate().elected(None), Candidate()
    report = candidate.elected(failpoint)
    assert report.stopped and report.write_lsn == 0 and not report.replies
    expected = kinds(whole.events) if reported else [MessageReceived]  # that it came is no output of the step
    assert kinds(report.events) == expected
    assert sent(report) == sent(whole)[:left]
    assert candidate.unsynced() == 0, "nothing was handed to the disk"
    assert candidate.node.crash(1000) == (0, 0)


@pytest.mark.parametrize(
    ("failpoint", "expected"),
    [
        ("before_report", []),
        ("before_write", [EntryAppended, CommitAdvanced]),
        ("before_apply", [EntryAppended, CommitAdvanced]),
        ("before_answer", [EntryAppended, CommitAdvanced, EntryApplied]),
        ("after_sync", []),
    ],
)
def test_a_step_that_applies_and_answers_ends_at_its_failpoint(
    failpoint: Failpoint, expected: list[type[Event]]
) -> None:
    candidate = Candidate()
    report = candidate.served(failpoint)
    assert report.stopped and not report.replies and report.write_lsn == 0
    assert kinds(report.events) == expected
    written = failpoint in ("before_apply", "before_answer")
    assert (candidate.unsynced() > 0) == written, "the next write comes before applying"
    last = [record.index for record in candidate.on_disk()[-1] if isinstance(record, Append)]
    assert last == [2], "what the step began with is synced"


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_failpoint_that_a_step_does_not_reach_changes_nothing(failpoint: Failpoint) -> None:
    """A step with nothing to report, send, write, apply or answer: a vote of an earlier term that came late."""
    plain, armed = Candidate(), Candidate()
    assert armed.receive("n4", RequestVoteReply(0, True), failpoint) == plain.receive("n4", RequestVoteReply(0, True))
    # What was not reached this time is reached in a later step, and then does what it does in any.
    assert armed.elected(None) == plain.elected(None)


@pytest.mark.parametrize("failpoint", ["before_apply", "before_answer", "after_sync"])
def test_a_step_that_applies_nothing_does_not_reach_these_failpoints(failpoint: Failpoint) -> None:
    assert Candidate().elected(failpoint) == Candidate().elected(None)


def test_a_step_with_one_message_does_not_reach_mid_send() -> None:
    single = MemoryDriver(Parts()).start(config("n1", ("n2",)), 0)
    due_us = single.first.deadline_us
    vote = single.tick(due_us, None)
    report = single.persisted(vote.write_lsn, due_us, "mid_send")
    assert not report.stopped and len(report.sends) == 1


def test_the_failpoint_after_sync_makes_the_write_durable_and_does_nothing_else() -> None:
    node = MemoryDriver(Parts()).start(config("n1", ("n2", "n3")), 0)
    due_us = node.first.deadline_us
    vote = node.tick(due_us, None)
    assert node.persisted(vote.write_lsn, due_us + 1, "after_sync") == StepReport([], [], 0, [], 0, stopped=True)
    assert node.disk.unsynced_bytes(FILE) == 0
    batches, _ = decode_records(node.disk.read(FILE))
    assert batches == [[HardState(1, "n1")]]


# ---- crashes -----------------------------------------------------------------------------------------------------


def restarted(candidate: Candidate) -> Started:
    node = candidate.driver.start(config("n1", ("n2", "n3", "n4", "n5"), incarnation=2), candidate.now_us)
    started, *rest = node.first.events
    assert isinstance(started, Started)
    assert kinds(rest) == [EntryAppended] * started.last_index, "every recovered entry is reported again"
    return started


def test_a_crash_loses_what_was_not_synced_and_nothing_else() -> None:
    candidate = Candidate()
    candidate.elected(None)
    before, unsynced = candidate.on_disk(), candidate.unsynced()
    assert unsynced == len(encode_record([Append(1, candidate.node.replica.core.log.entry(1))]))
    assert candidate.node.crash(0) == (0, unsynced)
    assert candidate.on_disk() == before == [[HardState(1, "n1")]]
    started = restarted(candidate)
    assert (started.term, started.voted_for, started.last_index) == (1, "n1", 0)


def test_a_crash_that_keeps_all_loses_nothing() -> None:
    candidate = Candidate()
    candidate.elected(None)
    unsynced = candidate.unsynced()
    assert candidate.node.crash(1000) == (unsynced, 0)
    assert len(candidate.on_disk()) == 1, "only the operating system has the other record"
    assert restarted(candidate).last_index == 1
    assert len(candidate.on_disk()) == 2, "a node makes durable what it recovers"


@pytest.mark.parametrize("keep_permille", [1, 40, 300, 500, 999])
def test_a_crash_tears_a_record_at_any_byte_and_recovery_cuts_it_off(keep_permille: int) -> None:
    candidate = Candidate()
    candidate.served(None)
    before, unsynced = candidate.driver.disk("n1").read(FILE), candidate.unsynced()
    kept, lost = candidate.node.crash(keep_permille)
    assert (kept, lost) == (unsynced * keep_permille // 1000, unsynced - kept)
    assert lost > 0
    left = candidate.driver.disk("n1").read(FILE)
    assert left[: len(before)] == before and len(left) == len(before) + kept
    assert restarted(candidate).last_index == 2, "the entry of the torn record is not there"
    assert candidate.driver.disk("n1").read(FILE) == before


def test_appending_continues_after_a_torn_record() -> None:
    candidate = Candidate()
    candidate.served(None)
    candidate.node.crash(700)
    again = candidate.driver.start(config("n1", ("n2", "n3", "n4", "n5"), incarnation=2), candidate.now_us)
    vote = again.tick(again.first.deadline_us, None)
    again.persisted(vote.write_lsn, again.first.deadline_us, None)
    assert candidate.on_disk()[-1] == [HardState(2, "n1")]


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, "no space"), NodeDiedError(EXIT_STARVED, "x")])
def test_a_node_that_the_machine_gives_too_little_is_not_accused(error: Exception) -> None:
    with pytest.raises(DriverError, match="n1 had too little of this machine to continue: "):
        end_of("n1", error, DiskState())
    assert end_of("n1", ValueError("x"), DiskState()) == (EXIT_CRASHED, "ValueError: x", "", False)


def test_a_fault_of_its_disk_excuses_the_end_that_it_may_cause_and_no_other() -> None:
    no_space, failing = NodeDiedError(EXIT_STARVED, "x"), Failing("sync", "ENOSPC")
    assert end_of("n1", no_space, DiskState(failing)) == (EXIT_STARVED, "x", "a failing disk", True)
    assert end_of("n1", ValueError("x"), DiskState(failing, damaged=True)).excused == ""
    corrupt = NodeDiedError(EXIT_REFUSED, "x")
    assert end_of("n1", corrupt, DiskState(failing)).excused == ""
    assert end_of("n1", corrupt, DiskState(damaged=True)) == (EXIT_REFUSED, "x", "damaged data", False)


def test_an_injected_error_does_not_hide_that_the_machine_has_too_little() -> None:
    no_space = NodeDiedError(EXIT_STARVED, "x")
    with pytest.raises(DriverError):
        end_of("n1", no_space, DiskState(Failing("sync", "EIO")))


def test_a_disk_that_fails_once_has_failed_when_its_node_has_ended() -> None:
    disk = DiskState(Failing("sync", "EIO", once=True))
    assert end_of("n1", NodeDiedError(EXIT_DISK, "x"), disk).can_start
    assert disk.failing is None


def test_the_end_of_a_node_names_the_line_of_its_code() -> None:
    """Also if a library raised the error for it."""
    candidate = Candidate()
    with pytest.raises(TypeError) as caught:
        candidate.node.replica.tick("soon")  # type: ignore[arg-type]
    code, said, *_ = end_of("n1", caught.value, DiskState())
    assert code == EXIT_CRASHED
    assert re.fullmatch(r"TypeError: .+ \(raft/[a-z/_]+\.py:\d+, in \w+\)", said), said


def test_a_crash_between_the_snapshot_and_the_new_log_leaves_a_snapshot_that_recovery_takes() -> None:
    """§7: whether the process or the power ends, the next incarnation has the same state."""
    for keep_permille, base_index in ((0, 0), (500, 0), (1000, 3)):
        disk = MemoryDisk()
        timing = Timing(150_000, 300_000, 50_000).with_features(Features(snapshot_every=3))
        alone = StepConfig.of("n1", ["n1"], 1, seed=0, timing=timing)
        node = SteppedNode(alone, Parts(), disk, 0)
        report = node.tick(node.first.deadline_us, None)
        command = encode_command(Command("put", "x", "1"))
        while node.wal.staged is None:
            if report.write_lsn:
                report = node.persisted(report.write_lsn, report.deadline_us, None)
            else:
                report = node.submit(0, command, report.deadline_us, None)
        assert node.wal.staged is not None and node.wal.staged.snapshot.index == 3
        node.crash(keep_permille)
        assert (SNAPSHOT in disk.list()) is (base_index > 0)
        again = SteppedNode(msgspec.structs.replace(alone, incarnation=2), Parts(), disk, 0)
        core = again.replica.core
        assert (core.log.base_index, core.log.last_index) == (base_index, 3)
