"""leader_stickiness: with CheckQuorum, a node that hears a leader does not follow a candidate into a later term.

A candidate that cannot hear the leader would depose it, although all others do: one that was cut off, or removed. So
whoever leads, or has heard from a leader within the shortest election timeout, ignores requests for votes (Ongaro's
thesis, §4.2.3); a start counts like a leader's message, since it may have come right after one. Reads by a lease rest
on it (§6.4.1). A candidate whom its leader told to stand (§3.10) is heeded all the same. With PreVote, such a node
grants no pre-vote either (§9.6): who asks would stand, and come back with a later term.

Violated, if less than the shortest election timeout before a node had started, begun to follow a leader, or got
AppendEntries of the leader that it followed; or if it led:
1. It entered a later term as a follower of nobody, at the very time at which a request for its vote arrived and no
   other message.
2. It granted a pre-vote.

Why no correct node is convicted:
- Reports of a term or role have the time by which the core acted, and messages that of their arrival: a message can
  only be the cause of a change of the same time. Where another message arrived at that time, that may be the cause.
- The roles of a node are reported in order, so the last one before the change tells whom it followed. What came from
  that leader counts only if the leader led in no earlier term: then it cannot be a message of that term.
- A pre-vote changes nothing at the voter. Its role at that time is certain once it reports a later one. Whether the
  answer was granted says the report of who received it.
- Who was told to stand is known once all events are: the candidate reports the message, and that it stood, at the same
  time. One that no report says has stood is not judged.
- A node whose clock is wrong counts that time wrongly: what such a time touches is not judged, and in real time no node
  whose clock was ever wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.disturbed import RightClocks
from raft_chaos.invariants.checkers.messages import ABOUT_LEADING, FROM_LEADERS, REPLIES, when_received, when_sent
from raft_chaos.invariants.events import Event, MessageReceived, MessageSent, RoleChanged, Started
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

TOLERANCE_US = 1_000
ASKED, PRE_ASKED, PRE_ANSWERED, TOLD = "RequestVote", "PreVote", "PreVoteReply", "TimeoutNow"
OTHERS = (*REPLIES, *(one for one in ABOUT_LEADING if one not in (ASKED, PRE_ASKED, PRE_ANSWERED, TOLD)))


@dataclass(slots=True)
class _Request:
    """A request for votes, the last message of a leader that came before it, and whether it came alone at its time."""

    event: MessageReceived
    heard: MessageReceived | None
    is_alone: bool


@dataclass(slots=True)
class _Node:
    """One incarnation: its last reported role, and the requests since then that may have changed it. And the last
    request for a pre-vote, and the answers to such requests since then."""

    role: Started | RoleChanged
    heard: MessageReceived | None = None
    other_us: int = -1
    requests: list[_Request] = field(default_factory=list)
    pre_asked: _Request | None = None
    pre_answers: list[_Doubt] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A node that followed a candidate, or answered its pre-vote; it is judged when all elections, all answers and all
    faults of clocks are known."""

    role: Started | RoleChanged
    request: _Request
    did: RoleChanged | MessageSent


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
        self._granted: dict[tuple[str, int, int], MessageReceived] = {}  # pre-votes, by who sent the message

    def handlers(self) -> Handlers:
        if not self._is_owed or not self._shortest_us:
            return {}
        return {
            **self._clocks.handlers(),
            **when_received(self._on_heard, *FROM_LEADERS),
            **when_received(self._on_asked, ASKED),
            **when_received(self._on_pre_asked, PRE_ASKED),
            **when_sent(self._on_pre_answered, PRE_ANSWERED),
            **when_received(self._on_pre_answer, PRE_ANSWERED),
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
        self._count(node, event)

    def _count(self, node: _Node, event: MessageReceived) -> None:
        last = node.heard or node.role
        self.judged += event.t_us - last.t_us < self._shortest_us or _leads(node.role)

    def _on_pre_asked(self, event: MessageReceived) -> None:
        self._on_other(event)
        if (node := self._nodes.get(event.node)) is not None:
            node.pre_asked = _Request(event, node.heard, is_alone=True)
            self._count(node, event)

    def _on_pre_answered(self, event: MessageSent) -> None:
        node = self._nodes.get(event.node)
        asked = node.pre_asked if node is not None else None
        if node is not None and asked is not None and (asked.event.sender, asked.event.t_us) == (event.to, event.t_us):
            node.pre_answers.append(_Doubt(node.role, asked, event))

    def _on_pre_answer(self, event: MessageReceived) -> None:
        self._on_other(event)
        if event.term:
            self._granted[event.sender, event.sender_inc, event.number] = event

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
        self._doubts += (one for one in node.pre_answers if one.did.t_us < event.t_us)
        node.pre_answers.clear()
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
        did, request, contact = doubt.did, doubt.request.event, self._contact(doubt)
        granted = None
        if isinstance(did, RoleChanged):
            if not self._stood_alone(request.sender, did.term):
                return
            what = f"followed {request.sender} into term {did.term}"
        else:
            granted = self._granted.get((did.node, did.inc, did.number))
            if granted is None:
                return
            what = f"granted {request.sender} a pre-vote for term {granted.term}"
        if contact is None:
            return
        since_us = did.t_us if _leads(contact) else contact.t_us
        if did.t_us - since_us >= self._shortest_us - TOLERANCE_US:
            return
        if self._clocks.counted(did.node, since_us, did.t_us):
            self.violate(
                f"{who(did)} {what}, although it {_said(contact, did.t_us)}; its shortest election timeout is "
                f"{self._shortest_us} µs",
                doubt.role,
                contact if contact is not doubt.role else None,
                request,
                did,
                granted,
            )

    def _stood_alone(self, candidate: str, term: int) -> bool:
        """Whether it reported that it stood in that term, and its leader had not told it to."""
        stood_us = self._stood.get((candidate, term))
        return stood_us is not None and (candidate, term - 1, stood_us) not in self._told

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
