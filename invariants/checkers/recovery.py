"""recovery: after all faults are healed, the cluster commits again and the nodes that faults hit catch up.

Raft promises progress only while timing holds (§5.6), and a slow machine breaks no promise. So missing progress is a
violation only if progress had stopped for the whole bound when the run ended, while the harness's own sentinel timer
was on time. Otherwise the verdict is unknown. In virtual time no machine is slow: everything is due within a given time
(`within_us`), and anything missing after that is a violation, whatever progress there was.

The harness's events may be observed before or after the nodes' events, so the checker can judge only at the end. It
keeps the last commit and the last applied entry of each incarnation, and `verdict` judges them. Within an incarnation
both the index and the time only grow, so the last one covers all earlier ones.

A node that is no member at the end owes nothing, since no leader sends it the log (§6). It may have been removed
although the fault that removes nodes says that nobody left: its leader can have appended the entry and fallen, and
whoever leads after the healing commits it. But all nodes are to be members again, so the verdict is unknown then:
nothing shows whether such a node would catch up.

Where members change, all nodes are to vote again. Before the phase begins the harness asks for that, for as long as the
whole recovery may take (40 of the longest election timeouts). In virtual time a node that has no vote by then, although
none has ended by itself, was refused what §6 promises: a new server catches up, and gets its vote.

At the end nobody asks for anything any more, and all members that are up owe what is committed by then: the leader's
heartbeats tell them (§5.3), and it sends what they lack without a new command.

Before that, in virtual time, it is asked for what it does beside commands: reads that need no log entry (thesis, §6.4),
and to hand over the leadership (§3.10). A leader that does not, with all nodes up and nothing in the way, never will.
And a node owes its clients an answer to each request that it took, if only that it does not know what came of it.

Nothing is owed either once too few voters are left. Faults may damage the data of less than a quorum of the nodes for
good, which then end, as they must. But while the fault that removes nodes stands, fewer vote, and the others may be no
majority of these: then nobody can bring the removed ones back.
"""

from __future__ import annotations

from raft_chaos.invariants.checkers.base import Checker, Handlers
from raft_chaos.invariants.checkers.committed_members import CommittedMembers
from raft_chaos.invariants.checkers.configuration import Configuration, decide
from raft_chaos.invariants.checkers.exits import last_words
from raft_chaos.invariants.events import (
    CommitAdvanced,
    EntryApplied,
    NodeExited,
    NodeLaunched,
    PhaseStarted,
    RunEnded,
    SnapshotRestored,
    Started,
)
from raft_chaos.invariants.verdict import Verdict

LATE_SHARE = 10
"""The harness was on time if its sentinel was never later than a tenth of the bound."""


class Recovery(Checker):
    """In the liveness phase each owed node applies the log up to `commit_target`, and a new entry is committed."""

    invariant = "recovery"
    rule = "While a majority is up and timing holds, entries commit and followers catch up (§5.5, §5.6)."
    nothing_judged = "the run had no liveness phase"

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self._members = CommittedMembers(configuration.first if configuration.nodes else None)
        self._phase: PhaseStarted | None = None
        self._settled: PhaseStarted | None = None
        self._ended: RunEnded | None = None
        self._current_inc: dict[str, int] = {}
        self._exits: dict[str, NodeExited] = {}  # of the nodes that have not been launched again
        self._committed: dict[tuple[str, int], CommitAdvanced] = {}
        self._applied: dict[tuple[str, int], EntryApplied | SnapshotRestored] = {}

    def handlers(self) -> Handlers:
        return {
            PhaseStarted: self._on_phase,
            RunEnded: self._on_ended,
            **self._members.handlers(),
            Started: self._on_started,
            NodeExited: self._on_exited,
            NodeLaunched: self._on_launched,
            CommitAdvanced: self._on_commit,
            EntryApplied: self._on_applied,
            SnapshotRestored: self._on_applied,
        }

    def _on_phase(self, event: PhaseStarted) -> None:
        if event.phase == "liveness":
            self._phase = event
        elif event.phase == "settled":
            self._settled = event

    def _on_ended(self, event: RunEnded) -> None:
        self._ended = event

    def _on_exited(self, event: NodeExited) -> None:
        self._exits[event.subject] = event

    def _on_launched(self, event: NodeLaunched) -> None:
        self._exits.pop(event.subject, None)

    def _on_started(self, event: Started) -> None:
        self._current_inc[event.node] = event.inc
        self._members.on_started(event)

    def _on_commit(self, event: CommitAdvanced) -> None:
        self._committed[event.node, event.inc] = event
        self._members.on_commit(event)

    def _on_applied(self, event: EntryApplied | SnapshotRestored) -> None:
        self._applied[event.node, event.inc] = event

    def verdict(self) -> Verdict:
        """Judges from the start each time. Violations are found only here, since they need the end of the run."""
        self.judged, self.violations, self.violation_count = 0, [], 0
        phase, ended = self._phase, self._ended
        if phase is None:
            return self.conclude("unknown", self.nothing_judged)
        if ended is None:
            return self.conclude("unknown", "the run did not end on its own terms")
        if gone := self._leave_no_majority():
            return self.conclude("unknown", f"no majority of the voters is left: {' and '.join(gone)} had to end")
        undecided: list[str] = []
        self._judge_commit(phase, ended, undecided)
        if phase.within_us and not self._exits:
            self._judge_votes(phase)
        for missing in ended.unserved:
            self.violate(f"when all was healed and nothing else was to do, the cluster still owed {missing}", ended)
        for owing in (phase, *([self._settled] if self._settled is not None else [])):
            for node in owing.owed:
                if self._members.includes(node):
                    self._judge_node(node, owing, ended, undecided)
                else:
                    undecided.append(f"{node} is no member at the end, so nothing shows whether it would catch up")
        if self.violation_count or not undecided:
            return super().verdict()
        return self.conclude("unknown", "; ".join(undecided))

    def _judge_commit(self, phase: PhaseStarted, ended: RunEnded, undecided: list[str]) -> None:
        self.judged += 1
        commits = self._committed.values()
        if any(c.index > phase.commit_target and c.t_us > phase.t_us for c in commits):
            return
        last = max(commits, key=lambda c: (c.t_us, c.index), default=None)
        self._judge_shortfall(
            f"nothing was committed beyond index {phase.commit_target}{self._ended_before()}",
            last,
            phase,
            ended,
            undecided,
        )

    def _judge_votes(self, phase: PhaseStarted) -> None:
        for node in phase.without_vote:
            self.judged += 1
            self.violate(
                f"{node} had no vote again when all was healed, although it was asked for for a long time", phase
            )

    def _judge_node(self, node: str, phase: PhaseStarted, ended: RunEnded, undecided: list[str]) -> None:
        self.judged += 1
        applied = [event for (name, _), event in self._applied.items() if name == node]
        current_inc = self._current_inc.get(node)
        if phase.commit_target == 0 or any(
            a.index >= phase.commit_target and (a.t_us >= phase.t_us or a.inc == current_inc) for a in applied
        ):
            return
        last = max(applied, key=lambda a: a.inc, default=None)
        missed = f"{node} did not catch up to index {phase.commit_target}{self._ended_before(node)}"
        self._judge_shortfall(missed, last, phase, ended, undecided)

    def _leave_no_majority(self) -> list[str]:
        """The nodes that had to end for good, if a configuration that is in use has no majority without them."""
        gone = sorted(node for node, end in self._exits.items() if end.excused)
        for members in self._members.all_in_use() if gone else ():
            if not decide(members, [node for node in (*members.voters, *members.old_voters) if node not in gone]):
                return gone
        return []

    def _ended_before(self, node: str | None = None) -> str:
        """Why no more can come from the node, or from some node: the end of its process."""
        ends = [end for end in self._exits.values() if node in (None, end.subject)]
        if not ends:
            return ""
        last = ends[-1]
        words = f" with {said}" if (said := last_words(last.log_tail)) else ""
        return f" ({last.subject} had ended by itself{words})"

    def _judge_shortfall(
        self,
        missed: str,
        last: CommitAdvanced | EntryApplied | SnapshotRestored | None,
        phase: PhaseStarted,
        ended: RunEnded,
        undecided: list[str],
    ) -> None:
        """Reports a violation, or adds to `undecided` why the missing progress proves nothing."""
        judge = _by_deadline if phase.within_us else _by_standstill
        excuse, proof = judge(last, phase, ended)
        if excuse:
            undecided.append(f"{missed}, but {excuse}")
        else:
            self.violate(f"{missed}: {proof}", phase, *([last] if last is not None else []), ended)


def _by_standstill(
    last: CommitAdvanced | EntryApplied | SnapshotRestored | None, phase: PhaseStarted, ended: RunEnded
) -> tuple[str, str]:
    """(excuse, proof), one of them empty. Proof: progress stopped for the whole bound, and the harness was on time."""
    since_us = max(last.t_us, phase.t_us) if last is not None else phase.t_us
    stopped_us = ended.t_us - since_us
    if stopped_us < phase.bound_us:
        return f"the run ended {stopped_us} µs after the last progress, before the bound", ""
    if ended.max_late_us * LATE_SHARE > phase.bound_us:
        return f"the harness itself was up to {ended.max_late_us} µs late", ""
    reached = f"it had stopped at index {last.index}" if last is not None else "it never began"
    return "", f"{reached}, and made no progress for {stopped_us} µs (bound {phase.bound_us} µs)"


def _by_deadline(
    last: CommitAdvanced | EntryApplied | SnapshotRestored | None, phase: PhaseStarted, ended: RunEnded
) -> tuple[str, str]:
    """(excuse, proof), one of them empty. Proof: in virtual time, the time given was over."""
    lasted_us = ended.t_us - phase.t_us
    if lasted_us < phase.within_us:
        return f"the run ended {lasted_us} µs into the phase, before all was owed", ""
    reached = f"it was at index {last.index}" if last is not None else "it never began"
    return "", f"{reached} {lasted_us} µs into the phase (owed within {phase.within_us} µs)"
