"""read_index: a read without a log entry sees all that its node knew to be committed when the read came.

A leader answers such a read from its own state once it has applied all entries up to its commit index of then (Ongaro's
thesis, §6.4), and by a lease in the same way (§6.4.1). If it takes what it has applied for what is committed, the read
may miss a write that a client has the answer to. `linearizability` sees that only if somebody reads that very key.

Violated: the answer names an entry as the last one that its incarnation had applied, and the same incarnation had
reported, with a time before the client asked, that a later one is committed.

Why no correct node is convicted: the read came after the client asked, so the node's commit index was at least that
one. An incarnation's commit index never goes back, and it waits until it has applied all of that. The report of a
commit may come later, since it may wait for the disk, but has the time of the commit; so all are judged at the end.
Both times are the run's. Reads that are stale by intent (`stale_reads`) promise nothing of the kind.

A new leader may know of fewer commits than there were. So it answers once an entry of its own term is committed (§8;
thesis, §6.4, step 1), which our own Raft appends when its term begins (`leader_no_op`). Another system may know its
commits in other ways, or report its leadership before its log: it is not judged by this rule.

Violated as well: the answer names an entry before the first one of that leadership. If the node led more than once
between the question and the answer, before the first one of all of these.

Why no correct node is convicted: whoever answers leads at that moment, and has applied an entry of its term. It asked
for votes only once its own vote was durable, and with that all that it had appended and deleted before. So when it
reports that it leads, it has reported the log behind which it appends that entry. What it did not report before it
crashed is no leadership here.

A leader that was replaced may not know what is committed. So before it answers a read by ReadIndex, a majority, itself
included, must have answered what it sent after the read had come: whoever did, had not voted in a later term by then.
`linearizability` sees that a round is missing only if the leader was replaced in that moment, and the key written.

Violated as well: the answer came although no majority had answered requests that the leader had sent since the client
asked.

Why no correct node is convicted: the read came after the client asked, and the round for it began after that. Each
answer that counts is to a message of this round or of a later one, and came before the read was answered. Whoever
answers has received that message before, and its own reports have that order (`round_trips`). They do not say which
message an answer is to, so an answer to an earlier one may count as well: that convicts nobody. Each configuration
will do that the node used between the two times; it reports at once which one it uses. A read by a lease needs no
round of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.checkers.configuration import Configuration
from raft_chaos.invariants.checkers.node_logs import ReportedLog
from raft_chaos.invariants.checkers.round_trips import RoundTrips
from raft_chaos.invariants.events import CommitAdvanced, ConfigurationUsed, Members, RoleChanged
from raft_chaos.invariants.history import Op
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000
"""In real time the client and the node read the clock at different moments."""
CONFIRMED = (
    "The leader answers a read once a majority has acknowledged a round of heartbeats that began after it came "
    "(thesis, §6.4)."
)
KNOWS_COMMITS = "A leader answers a read once it has committed an entry of its own term (§8; thesis, §6.4)."


@dataclass(slots=True)
class _Leadership:
    """It lasted from `began` on, and its first entry was `first_index`."""

    began: RoleChanged
    first_index: int
    until_us: int | None = None


class ReadIndex(Checker):
    """What a read without a log entry sees, by the commits that its node has reported; and for our own Raft also that
    its leader knew the commits of earlier terms, and that a majority confirmed it."""

    invariant = "read_index"
    goes_by_time = True
    rule = "The leader waits until its state machine has advanced at least as far as the readIndex (thesis, §6.4)."
    nothing_judged = "nobody read by ReadIndex or a lease"
    only_if_judged = True

    def __init__(self, pace: Pace | None, configuration: Configuration, logs: Mapping[str, ReportedLog]) -> None:
        super().__init__()
        self._logs = logs
        self._configuration = configuration
        self._round_trips = RoundTrips() if pace is not None else None
        self._used: dict[tuple[str, int], list[ConfigurationUsed]] = {}  # by incarnation, in its order
        self._commits: dict[tuple[str, int], list[CommitAdvanced]] = {}  # likewise
        self._led: dict[tuple[str, int], list[_Leadership]] = {}  # likewise
        self._asked: dict[str, Op] = {}
        self._answered: list[tuple[Op, Op]] = []

    def handlers(self) -> Handlers:
        if self._round_trips is None:
            return {CommitAdvanced: self._on_commit}
        return {
            CommitAdvanced: self._on_commit,
            RoleChanged: self._on_role,
            ConfigurationUsed: self._on_used,
            **self._round_trips.handlers(),
        }

    def _on_role(self, event: RoleChanged) -> None:
        led = self._led.setdefault((event.node, event.inc), [])
        if led and led[-1].until_us is None:
            led[-1].until_us = event.t_us
        if event.role == "leader":
            led.append(_Leadership(event, len(self._logs[event.node]) + 1))

    def _on_used(self, event: ConfigurationUsed) -> None:
        self._used.setdefault((event.node, event.inc), []).append(event)

    def _on_commit(self, event: CommitAdvanced) -> None:
        self._commits.setdefault((event.node, event.inc), []).append(event)

    def observe_op(self, op: Op) -> None:
        """One line of the clients' history about a read without a log entry."""
        if op.type == "invoke":
            self._asked[op.op] = op
            return
        asked = self._asked.pop(op.op, None)
        if asked is not None and op.type == "ok" and op.node is not None and op.inc is not None:
            self.judged += 1
            self._answered.append((asked, op))

    def verdict(self) -> Verdict:
        """Judges from the start each time: reports may have come since."""
        self.violations, self.violation_count = [], 0
        for asked, answer in self._answered:
            self._judge(asked, answer)
            self._judge_term(asked, answer)
            if answer.consistency == "read_index" and self._round_trips is not None and self._round_trips.are_reported:
                self._judge_round(self._round_trips, asked, answer)
        return super().verdict()

    def _judge(self, asked: Op, answer: Op) -> None:
        commits = self._commits.get((answer.node or "", answer.inc or 0), ())
        before = bisect_left(commits, asked.t_us - TOLERANCE_US, key=lambda event: event.t_us)
        if not before or (answer.index or 0) >= commits[before - 1].index:
            return
        known = commits[before - 1]
        self.violate(
            f"{answer.op} read {answer.value!r} from {answer.key!r} at {answer.node} (incarnation {answer.inc}), which "
            f"had applied up to entry {answer.index or 0}, although it knew before that entry {known.index} is "
            "committed",
            known,
            asked,
            answer,
        )

    def _judge_term(self, asked: Op, answer: Op) -> None:
        from_us, to_us = asked.t_us - TOLERANCE_US, answer.t_us + TOLERANCE_US
        during = [
            led
            for led in self._led.get((answer.node or "", answer.inc or 0), ())
            if led.began.t_us <= to_us and (led.until_us is None or led.until_us >= from_us)
        ]
        least = min(during, key=lambda led: led.first_index, default=None)
        if least is None or (answer.index or 0) >= least.first_index:
            return
        self.violate(
            f"{answer.op} read {answer.value!r} from {answer.key!r} at {answer.node} (incarnation {answer.inc}), which "
            f"had applied up to entry {answer.index or 0}, although its leadership of term {least.began.term} began "
            f"with entry {least.first_index}: it did not know yet what is committed",
            least.began,
            asked,
            answer,
            rule=KNOWS_COMMITS,
        )

    def _judge_round(self, round_trips: RoundTrips, asked: Op, answer: Op) -> None:
        node, inc = answer.node or "", answer.inc or 0
        from_us, to_us = asked.t_us - TOLERANCE_US, answer.t_us + TOLERANCE_US
        peers = (peer for peer in self._configuration.nodes if peer != node)
        confirmed = [node, *(peer for peer in peers if round_trips.answered(node, inc, peer, from_us, to_us))]
        in_force = self._in_force(node, inc, from_us, to_us)
        if any(self._configuration.is_quorum(confirmed, members) for members in in_force):
            return
        self.violate(
            f"{answer.op} read {answer.value!r} from {answer.key!r} at {node} (incarnation {inc}), for which since the "
            f"client asked only {self._configuration.share(confirmed, in_force[-1])} had confirmed that it still leads",
            asked,
            answer,
            rule=CONFIRMED,
        )

    def _in_force(self, node: str, inc: int, from_us: int, to_us: int) -> list[Members]:
        """The configurations that the node used at some moment of that time."""
        members = [self._configuration.first]
        for used in self._used.get((node, inc), ()):
            if used.t_us > to_us:
                break
            if used.t_us < from_us:
                members.clear()
            members.append(used.members)
        return members
