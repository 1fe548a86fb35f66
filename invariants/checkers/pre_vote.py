"""pre_vote: with PreVote, a node stands for election only after a majority has said that it would vote for it.

A node whose election timer ran out first asks (Ongaro's thesis, §9.6). Who stands without a majority's answers enters
terms alone, and deposes a leader that all others follow when it comes back. So does a node that lacks committed
entries, for which nobody may vote.

Violated:
1. A node stood for election in a term without granted answers of a majority, itself included, to what it had asked
   about that very term. A node that its leader told to stand (§3.10) need not ask.
2. It had such answers, although a leader of the same members had committed an entry before it asked, and its log was
   less up to date than one that ends with that entry (§5.4.1).

Why no correct node is convicted:
- An answer reports the term that it grants, and it arrives before its effect. A majority counts as soon as it is
  complete, by the configuration that the node uses then (§6), as in the core.
- The report of a question may wait for the disk. It has the time at which the node asked, so an answer of that time or
  later belongs to it, even if it is reported before. What the node asked about the same term before, others may answer
  late: such an answer counts, as it does in the core. So an entry counts only if it was committed before the first
  question about that term, and the log is that of the last one.
- A majority had the committed entry on disk, and never deletes it. One of them is in each majority of the same voters;
  its log is at least as up to date as that entry, so it refuses. Both times are the run's. A node that has used other
  members since it asked is not judged: it may have begun to after it stood, which is reported later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raft_chaos.invariants.checkers.base import Checker, Handlers, who
from raft_chaos.invariants.checkers.configuration import Configuration, decide
from raft_chaos.invariants.checkers.messages import when_received
from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    Members,
    MessageReceived,
    PreVoteStarted,
    RoleChanged,
    Started,
)
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict


@dataclass(slots=True)
class _Question:
    """What a node asked last, and `first` about that term; the granted answers by their senders, and whether they were
    a majority."""

    asked: PreVoteStarted
    first: PreVoteStarted
    granted: dict[str, MessageReceived] = field(default_factory=dict)
    is_enough: bool = False


@dataclass(frozen=True, slots=True)
class _Granted:
    """A node `stands` after a majority has answered its question, by the `members` that it uses."""

    question: _Question
    members: Members
    stands: RoleChanged


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
        self._told: dict[str, set[tuple[int, int]]] = {}  # the terms of its TimeoutNow, and when these arrived
        self._leading: set[str] = set()  # used only for membership tests
        self._commits: dict[Members, list[CommitAdvanced]] = {}  # of leaders, by the members that they used
        self._granted: list[_Granted] = []  # those that are not convicted

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
            CommitAdvanced: self._on_commit,
        }

    def _on_started(self, event: Started) -> None:
        self._used.pop(event.node, None)
        self._questions.pop(event.node, None)
        self._told.pop(event.node, None)
        self._leading.discard(event.node)

    def _on_used(self, event: ConfigurationUsed) -> None:
        self._used[event.node] = event

    def _on_told(self, event: MessageReceived) -> None:
        self._told.setdefault(event.node, set()).add((event.term, event.t_us))

    def _on_asked(self, event: PreVoteStarted) -> None:
        before = self._questions.get(event.node)
        question = self._questions[event.node] = _Question(event, event)
        if before is not None and before.asked.term == event.term:
            question.first = before.first
            question.granted = {node: one for node, one in before.granted.items() if one.t_us >= event.t_us}
        self._count(event.node, question)

    def _on_answer(self, event: MessageReceived) -> None:
        question = self._questions.get(event.node)
        if question is not None and event.term == question.asked.term:
            question.granted[event.sender] = event
            self._count(event.node, question)

    def _count(self, node: str, question: _Question) -> None:
        question.is_enough |= decide(self._members(node), {node, *question.granted})

    def _members(self, node: str) -> Members:
        used = self._used.get(node)
        return used.members if used is not None else self._first

    def _used_since(self, node: str) -> int:
        used = self._used.get(node)
        return used.t_us if used is not None else 0

    def _on_commit(self, event: CommitAdvanced) -> None:
        if event.node in self._leading:  # then the entry is of its term (§5.4.2)
            self._commits.setdefault(self._members(event.node), []).append(event)

    def _on_role(self, event: RoleChanged) -> None:
        (self._leading.add if event.role == "leader" else self._leading.discard)(event.node)
        if event.role != "candidate" or (event.term - 1, event.t_us) in self._told.get(event.node, ()):
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
        elif question.asked.last_term is not None and self._used_since(event.node) <= question.first.t_us:
            stood = _Granted(question, self._members(event.node), event)
            if not self._convicts(stood):
                self._granted.append(stood)

    def _convicts(self, granted: _Granted) -> bool:
        question, event = granted.question, granted.stands
        last, commits = question.asked, self._commits.get(granted.members, ())
        ended = (last.last_term or 0, last.last_index or 0)
        before = (one for one in commits if one.t_us < question.first.t_us and (one.term, one.index) > ended)
        if (committed := max(before, key=lambda one: one.index, default=None)) is None:
            return False
        self.violate(
            f"{who(event)} stood for election in term {event.term}, which a majority had granted, although its log "
            f"ended with entry {last.last_index} of term {last.last_term}: entry {committed.index} of term "
            f"{committed.term} had been committed before it asked",
            committed,
            question.first,
            last if last is not question.first else None,
            *question.granted.values(),
            event,
        )
        return True

    def verdict(self) -> Verdict:
        """Judges again who was not convicted: nodes report in any order, so that of a commit may have come since."""
        self._granted = [granted for granted in self._granted if not self._convicts(granted)]
        return super().verdict()
