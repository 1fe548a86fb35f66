"""check_quorum: a leader that steps down has lost its majority, and one that has lost it steps down.

In plain Raft a leader gives up only for a larger term. With CheckQuorum (Ongaro's thesis, §6.2) it also does so in its
own term, once no majority, itself included, has answered for the shortest election timeout.

- Too soon: it stepped down in its own term, although a majority had acknowledged entries of this term within that time.
- Too soon as well: it has no vote in its own configuration, and stepped down before that was committed (§6).
- Too late, if the cluster has CheckQuorum: it sent AppendEntries although no majority had answered for that time and a
  heartbeat interval more. It looks whether it still has its majority whenever a heartbeat is due.

Why no correct node is convicted:
- Reports have the time by which the core acted. What counts as an answer is doubtful: one of an earlier term may come
  late. So for the first rule only acknowledgements of its own term count, and for the second anything that is an answer
  to AppendEntries. A restart or a new term begins anew, with all peers heard.
- A node whose clock is wrong counts time wrongly: what such a time touches is not judged, and in real time, where the
  harness reports it late, no node whose clock was ever wrong.
- Too late is judged in virtual time alone. A node that was paused or starved sends entries before it looks at the time:
  what such a time touches is not judged as too late.

- Which voters are a majority, the configuration says that the leader uses (§6). One that does not vote in it has to
  step down once that is committed. The report of that commit may come later, since it may wait for the disk, but has
  the time of the commit. So the first commit index that the node reports and that covers the configuration decides.

A leader that hands over (thesis, §3.10) does not step down by itself: it leads until it hears of a later term, and
sends heartbeats until then, so both rules hold for it as they are.

In plain Raft the first rule still holds, and convicts a leader that gives up without a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.configuration import Configuration, decide
from raft_chaos.invariants.checkers.disturbed import RightClocks
from raft_chaos.invariants.checkers.messages import FROM_LEADERS, REPLIES, when_received, when_sent
from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    Event,
    Members,
    MessageReceived,
    MessageSent,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000


@dataclass(slots=True)
class _Leading:
    """A leadership: by peer, the last acknowledgement of its term, and the time of the last answer of any kind. It uses
    its `members` since `members_us`; entry `members_index` says who they are. It has reported that all up to
    `commit_index` is committed."""

    began: RoleChanged
    members: Members
    members_us: int
    members_index: int = 0
    commit_index: int = 0
    acknowledged: dict[str, MessageReceived] = field(default_factory=dict)
    answered_us: dict[str, int] = field(default_factory=dict)
    in_time_until_us: int = 0
    """Before this it is not late, whatever comes: an answer only makes it later."""
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A leader that seems wrong; it is judged when all faults of clocks are known. From `from_us` to `to_us` its time
    must have been right."""

    message: str
    node: str
    from_us: int
    to_us: int
    is_late: bool
    shown: tuple[Event, ...]


class CheckQuorum(Checker):
    """A leader steps down in its own term if, and only if, it has lost its majority. Judged for our own Raft alone,
    whose timeouts are known."""

    invariant = "check_quorum"
    goes_by_time = True
    rule = "A leader steps down if an election timeout elapses without answers of a majority (thesis, §6.2)."
    nothing_judged = "no leader was heard or stepped down"
    only_if_judged = True

    def __init__(self, pace: Pace | None, configuration: Configuration) -> None:
        super().__init__()
        self._shortest_us = pace.election_timeout_us[0] if pace is not None else 0
        self._heartbeat_us = pace.heartbeat_us if pace is not None else 0
        self._is_owed = pace is not None and pace.check_quorum
        self._has_others = len(configuration.nodes) > 1
        self._first = configuration.first
        self._members: dict[str, Members] = {}  # those that each node uses
        self._clocks = RightClocks()
        self._leading: dict[str, _Leading] = {}
        self._doubts: list[_Doubt] = []
        self._left: dict[str, tuple[int, _Doubt]] = {}  # leaders without a vote that stepped down, by the entry's index
        self._seen = 0

    def handlers(self) -> Handlers:
        if not self._shortest_us or not self._has_others:
            return {}
        asked = when_sent(self._on_sent, *FROM_LEADERS) if self._is_owed else {}
        return {
            **self._clocks.handlers(),
            **asked,
            **when_received(self._on_received, *REPLIES),
            Started: self._on_started,
            RoleChanged: self._on_role,
            ConfigurationUsed: self._on_used,
            CommitAdvanced: self._on_commit,
        }

    def _on_started(self, event: Started) -> None:
        self._leading.pop(event.node, None)
        self._left.pop(event.node, None)
        self._members.pop(event.node, None)

    def _on_used(self, event: ConfigurationUsed) -> None:
        self._members[event.node] = event.members
        if (led := self._leading.get(event.node)) is not None:
            led.members, led.members_us, led.in_time_until_us = event.members, event.t_us, 0
            led.members_index = event.index

    def _on_role(self, event: RoleChanged) -> None:
        led = self._leading.pop(event.node, None)
        if event.role == "leader":
            self._seen += self._is_owed
            self._leading[event.node] = _Leading(event, self._members.get(event.node, self._first), event.t_us)
        elif led is not None and event.term == led.began.term:
            self._steps_down(led, event)

    def _on_received(self, event: MessageReceived) -> None:
        led = self._leading.get(event.node)
        if led is None:
            return
        led.answered_us[event.sender] = event.t_us
        if event.term == led.began.term:
            led.acknowledged[event.sender] = event

    def _steps_down(self, led: _Leading, event: RoleChanged) -> None:
        self._seen += not self._is_owed
        recent = [one for one in led.acknowledged.values() if event.t_us - one.t_us < self._shortest_us - TOLERANCE_US]
        recent.sort(key=lambda one: -one.t_us)
        needed = self._needed(led, [one.sender for one in recent])
        if needed is None or led.members_us > event.t_us:
            return  # or it uses these members only since it stepped down, which is reported later
        counted = recent[:needed]
        from_us = counted[-1].t_us if counted else event.t_us
        message = (
            f"{who(event)} stepped down in its own term {event.term}, although a majority had acknowledged entries of "
            f"this term within {event.t_us - from_us} µs; its shortest election timeout is {self._shortest_us} µs"
        )
        doubt = _Doubt(message, event.node, from_us, event.t_us, False, (led.began, *counted, event))
        if led.members.votes(event.node):
            self._doubts.append(doubt)
        elif led.commit_index < led.members_index:
            why = f"{message}; it has no vote by entry {led.members_index}, which was not committed yet"
            self._left[event.node] = led.members_index, replace(doubt, message=why)

    def _on_commit(self, event: CommitAdvanced) -> None:
        if (led := self._leading.get(event.node)) is not None:
            led.commit_index = event.index
        index, doubt = self._left.get(event.node, (0, None))
        if doubt is not None and event.index >= index:
            del self._left[event.node]
            if event.t_us > doubt.to_us:
                self._doubts.append(replace(doubt, shown=(*doubt.shown, event)))

    def _on_sent(self, event: MessageSent) -> None:
        led = self._leading.get(event.node)
        if led is None or event.t_us < led.in_time_until_us or led.is_late:
            return
        answered = sorted(led.answered_us, key=lambda peer: -led.answered_us[peer])
        needed = self._needed(led, answered)
        if needed == 0:
            return  # the only voter is a majority by itself
        heard_us = led.members_us  # whoever is a member from then on counts as heard
        if needed:
            heard_us = max(heard_us, led.answered_us[answered[needed - 1]])
        led.in_time_until_us = heard_us + self._shortest_us + self._heartbeat_us + TOLERANCE_US
        if event.t_us < led.in_time_until_us:
            return
        led.is_late, silent_us = True, event.t_us - heard_us
        message = (
            f"{who(event)} led term {led.began.term} on, although no majority had answered for {silent_us} µs; it has "
            f"CheckQuorum, and its shortest election timeout is {self._shortest_us} µs"
        )
        self._doubts.append(_Doubt(message, event.node, heard_us, event.t_us, True, (led.began, event)))

    def _needed(self, led: _Leading, peers: Sequence[str]) -> int | None:
        """How many of these, from the first on, decide together with the leader; None if all are too few."""
        deciding = {led.began.node}
        for needed, peer in enumerate((*peers, "")):
            if decide(led.members, deciding):
                return needed
            deciding.add(peer)
        return None

    # ---- the verdict ------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Judges from the start each time: the harness's events may have come before the nodes' or after them."""
        self.judged, self.violations, self.violation_count = self._seen, [], 0
        for doubt in self._doubts:
            if self._convicts(doubt):
                self.judged = max(1, self.judged)
                self.violate(doubt.message, *doubt.shown)
        return super().verdict()

    def _convicts(self, doubt: _Doubt) -> bool:
        clocks = self._clocks
        if not clocks.counted(doubt.node, doubt.from_us, doubt.to_us):
            return False
        return not doubt.is_late or (clocks.is_virtual and not clocks.held.meet(doubt.node, doubt.from_us, doubt.to_us))
