"""leader_stickiness: with CheckQuorum, a node that hears a leader does not follow a candidate into a later term.

A candidate that cannot hear the leader would depose it, although all others do: one that was cut off, or removed. So
whoever leads, or has heard from a leader within the shortest election timeout, ignores requests for votes (Ongaro's
thesis, §4.2.3); a start counts like a leader's message, since it may have come right after one. Reads by a lease rest
on it (§6.4.1). A candidate whom its leader told to stand (§3.10) is heeded all the same.

Violated: a node entered a later term as a follower of nobody, at the very time at which a request for its vote arrived
and no other message. Less than the shortest election timeout before, it had started, begun to follow a leader, or got
AppendEntries of the leader that it followed; or it led.

Why no correct node is convicted:
- Reports of a term or role have the time by which the core acted, and messages that of their arrival: a message can
  only be the cause of a change of the same time. Where another message arrived at that time, that may be the cause.
- The roles of a node are reported in order, so the last one before the change tells whom it followed. What came from
  that leader counts only if the leader led in no earlier term: then it cannot be a message of that term.
- Who was told to stand is known once all events are: the candidate reports the message, and that it stood, at the same
  time. One that no report says has stood is not judged.
- A node whose clock is wrong counts that time wrongly: what such a time touches is not judged, and in real time no node
  whose clock was ever wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.disturbed import RightClocks
from raft_chaos.invariants.checkers.messages import ABOUT_LEADING, FROM_LEADERS, REPLIES, when_received
from raft_chaos.invariants.events import Event, MessageReceived, RoleChanged, Started
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000
ASKED, TOLD = "RequestVote", "TimeoutNow"
OTHERS = (*REPLIES, *(one for one in ABOUT_LEADING if one not in (ASKED, TOLD)))


@dataclass(slots=True)
class _Request:
    """A request for votes, the last message of a leader that came before it, and whether it came alone at its time."""

    event: MessageReceived
    heard: MessageReceived | None
    is_alone: bool


@dataclass(slots=True)
class _Node:
    """One incarnation: its last reported role, and the requests since then that may have changed it."""

    role: Started | RoleChanged
    heard: MessageReceived | None = None
    other_us: int = -1
    requests: list[_Request] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A node that followed a candidate; it is judged when all elections and all faults of clocks are known."""

    role: Started | RoleChanged
    request: _Request
    changed: RoleChanged


class LeaderStickiness(Checker):
    """A node that hears a leader ignores candidates. Judged for our own Raft alone, where it has CheckQuorum."""

    invariant = "leader_stickiness"
    goes_by_time = True
    rule = "Who has heard from a leader within the shortest election timeout ignores RequestVote (thesis, §4.2.3)."
    nothing_judged = "no node that heard a leader was asked for its vote"
    only_if_judged = True

    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._is_owed = pace is not None and pace.check_quorum
        self._shortest_us = pace.election_timeout_us[0] if pace is not None else 0
        self._clocks = RightClocks()
        self._nodes: dict[str, _Node] = {}
        self._doubts: list[_Doubt] = []
        self._first_led: dict[str, int] = {}  # the first term in which each node led
        self._told: set[tuple[str, int, int]] = set()  # a node, the term of its TimeoutNow, and the time
        self._stood: dict[tuple[str, int], int] = {}  # when each node stood for election in a term

    def handlers(self) -> Handlers:
        if not self._is_owed or not self._shortest_us:
            return {}
        return {
            **self._clocks.handlers(),
            **when_received(self._on_heard, *FROM_LEADERS),
            **when_received(self._on_asked, ASKED),
            **when_received(self._on_told, TOLD),
            **when_received(self._on_other, *OTHERS),
            Started: self._on_started,
            RoleChanged: self._on_role,
        }

    def _on_started(self, event: Started) -> None:
        self._nodes[event.node] = _Node(event)

    def _on_heard(self, event: MessageReceived) -> None:
        self._on_other(event)
        if (node := self._nodes.get(event.node)) is not None:
            node.heard = event

    def _on_told(self, event: MessageReceived) -> None:
        self._on_other(event)
        self._told.add((event.node, event.term, event.t_us))

    def _on_other(self, event: MessageReceived) -> None:
        node = self._nodes.get(event.node)
        if node is None:
            return
        node.other_us = event.t_us
        if node.requests and node.requests[-1].event.t_us == event.t_us:
            node.requests[-1].is_alone = False

    def _on_asked(self, event: MessageReceived) -> None:
        node = self._nodes.get(event.node)
        if node is None:
            return
        requests = node.requests
        is_first = not requests or requests[-1].event.t_us != event.t_us
        node.requests.append(_Request(event, node.heard, is_first and node.other_us != event.t_us))
        last = node.heard or node.role
        self.judged += event.t_us - last.t_us < self._shortest_us or _leads(node.role)

    def _on_role(self, event: RoleChanged) -> None:
        node = self._nodes.get(event.node)
        if event.role == "leader":
            self._first_led[event.node] = min(event.term, self._first_led.get(event.node, event.term))
        elif event.role == "candidate":
            self._stood[event.node, event.term] = event.t_us
        if node is None:
            return
        if event.role == "follower" and event.leader is None and event.term > node.role.term:
            same = [one for one in node.requests if one.event.t_us == event.t_us]
            if len(same) == 1 and same[0].is_alone:
                self._doubts.append(_Doubt(node.role, same[0], event))
        node.role = event
        node.requests = [one for one in node.requests if one.event.t_us > event.t_us]

    # ---- the verdict ------------------------------------------------------------------------------------------------

    def verdict(self) -> Verdict:
        """Judges from the start each time: other nodes' and the harness's events may have come before or after."""
        self.violations, self.violation_count = [], 0
        for doubt in self._doubts:
            self._judge(doubt)
        return super().verdict()

    def _judge(self, doubt: _Doubt) -> None:
        changed, request = doubt.changed, doubt.request.event
        stood_us = self._stood.get((request.sender, changed.term))
        if stood_us is None or (request.sender, changed.term - 1, stood_us) in self._told:
            return
        contact = self._contact(doubt)
        if contact is None:
            return
        since_us = changed.t_us if _leads(contact) else contact.t_us
        if changed.t_us - since_us >= self._shortest_us - TOLERANCE_US:
            return
        if self._clocks.counted(changed.node, since_us, changed.t_us):
            self.violate(
                f"{who(changed)} followed {request.sender} into term {changed.term}, although it "
                f"{_said(contact, changed.t_us)}; its shortest election timeout is {self._shortest_us} µs",
                doubt.role,
                contact if contact is not doubt.role else None,
                request,
                changed,
            )

    def _contact(self, doubt: _Doubt) -> Event | None:
        """The last sign of a leader that is certain: its message, that the node began to follow it, or that it led. Or
        its start. None if it followed nobody."""
        role, heard = doubt.role, doubt.request.heard
        if isinstance(role, Started) or role.role == "leader":
            return role
        if role.role != "follower" or role.leader is None:
            return None
        is_certain = heard is not None and heard.sender == role.leader and heard.t_us > role.t_us
        if is_certain and self._first_led.get(role.leader) == role.term:
            return heard
        return role


def _leads(event: Event) -> bool:
    return isinstance(event, RoleChanged) and event.role == "leader"


def _said(contact: Event, now_us: int) -> str:
    ago_us = now_us - contact.t_us
    match contact:
        case Started():
            return f"had started only {ago_us} µs before"
        case MessageReceived():
            return f"had heard from its leader, {contact.sender}, {ago_us} µs before"
        case RoleChanged(role="leader"):
            return "led"
        case RoleChanged(leader=leader):
            return f"had begun to follow {leader} {ago_us} µs before"
    return ""
