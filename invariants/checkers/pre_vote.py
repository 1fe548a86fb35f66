"""pre_vote: with PreVote, a node stands for election only after a majority has said that it would vote for it.

A node whose election timer ran out first asks (Ongaro's thesis, §9.6). Who stands without a majority's answers enters
terms alone, and deposes a leader that all others follow when it comes back.

Violated: a node stood for election in a term without granted answers of a majority, itself included, to what it had
asked about that very term. A node that its leader told to stand (§3.10) need not ask.

Why no correct node is convicted:
- An answer reports the term that it grants, and it arrives before its effect. A majority counts as soon as it is
  complete, by the configuration that the node uses then (§6), as in the core.
- The report of a question may wait for the disk. It has the time at which the node asked, so an answer of that time or
  later belongs to it, even if it is reported before. What the node asked about the same term before, others may answer
  late: such an answer counts, as it does in the core.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.configuration import Configuration, decide
from raft_chaos.invariants.checkers.messages import when_received
from raft_chaos.invariants.events import ConfigurationUsed, MessageReceived, PreVoteStarted, RoleChanged, Started
from raft_chaos.invariants.pace import Pace


@dataclass(slots=True)
class _Question:
    """What a node asked last, the granted answers by their senders, and whether they were a majority."""

    asked: PreVoteStarted
    granted: dict[str, MessageReceived] = field(default_factory=dict)
    is_enough: bool = False


class PreVoting(Checker):
    """Who stands for election was granted that by a majority. Judged for our own Raft alone, where it has PreVote."""

    invariant = "pre_vote"
    goes_by_time = True
    rule = "A candidate increments its term only if a majority would vote for it (thesis, §9.6)."
    nothing_judged = "no node stood for election"
    only_if_judged = True

    def __init__(self, pace: Pace | None, configuration: Configuration) -> None:
        super().__init__()
        self._is_owed = pace is not None and pace.pre_vote
        self._first = configuration.first
        self._used: dict[str, ConfigurationUsed] = {}
        self._questions: dict[str, _Question] = {}
        self._told: dict[str, tuple[int, int]] = {}  # the term of its last TimeoutNow, and when that arrived

    def handlers(self) -> Handlers:
        if not self._is_owed:
            return {}
        return {
            **when_received(self._on_answer, "PreVoteReply"),
            **when_received(self._on_told, "TimeoutNow"),
            Started: self._on_started,
            ConfigurationUsed: self._on_used,
            PreVoteStarted: self._on_asked,
            RoleChanged: self._on_role,
        }

    def _on_started(self, event: Started) -> None:
        self._used.pop(event.node, None)
        self._questions.pop(event.node, None)
        self._told.pop(event.node, None)

    def _on_used(self, event: ConfigurationUsed) -> None:
        self._used[event.node] = event

    def _on_told(self, event: MessageReceived) -> None:
        self._told[event.node] = event.term, event.t_us

    def _on_asked(self, event: PreVoteStarted) -> None:
        before = self._questions.get(event.node)
        question = self._questions[event.node] = _Question(event)
        if before is not None and before.asked.term == event.term:
            question.granted = {node: one for node, one in before.granted.items() if one.t_us >= event.t_us}
        self._count(event.node, question)

    def _on_answer(self, event: MessageReceived) -> None:
        question = self._questions.get(event.node)
        if question is not None and event.term == question.asked.term:
            question.granted[event.sender] = event
            self._count(event.node, question)

    def _count(self, node: str, question: _Question) -> None:
        used = self._used.get(node)
        members = used.members if used is not None else self._first
        question.is_enough |= decide(members, {node, *question.granted})

    def _on_role(self, event: RoleChanged) -> None:
        if event.role != "candidate" or (event.term - 1, event.t_us) == self._told.get(event.node):
            return
        self.judged += 1
        question = self._questions.get(event.node)
        if question is None or question.asked.term != event.term:
            self.violate(f"{who(event)} stood for election in term {event.term}, and had not asked about it", event)
        elif not question.is_enough:
            granted = ", ".join(sorted(question.granted)) or "nobody"
            self.violate(
                f"{who(event)} stood for election in term {event.term}, which only {granted} had granted beside itself",
                question.asked,
                *question.granted.values(),
                event,
            )
