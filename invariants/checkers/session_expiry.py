"""session_expiry: a session is remembered while it is one of the latest, and no longer.

A state machine cannot remember each client for ever, so it remembers a number of sessions, and forgets the one that was
used least recently: by the log, so that all nodes forget the same ones (Ongaro's thesis, §6.3). One that forgets too
soon refuses clients for no reason, since what it refuses it might have answered; one that forgets none grows without
bound. Neither breaks anything else: all nodes are in the same state, and no command is applied twice.

Answers name entries, so the history says when sessions were used. Between two answers to a session S, the entries p and
i, S itself was not used. With n sessions remembered:

- *Too late*: S was answered at i, although n other sessions were answered between p and i. After these S is none of the
  n that were used last, and the latest command of S is at p, so the command at i must have been refused.
- *Too soon*: S was refused as expired, although fewer than n other sessions can have been used since the command of p
  began: those that had an answer since then, and all that may have a command of unknown outcome, then or before.

Why no correct node is convicted: an answer names the entry that decided it, the first one of this command, and there
the session became the latest of all. A command that was repeated later does not change that. A session ends with an
outcome that is unknown (`ClientRecord`), so within one all entries are known; those of others count as used whenever
they may have been. Two sessions of one name cannot be told apart in a history, so a run whose clients begin such ones
is not judged, and neither is a system that does not say how many sessions it remembers (`Pace`).
"""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.invariants.checkers.base import Checker
from raft_chaos.invariants.history import Op, is_expired
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict


@dataclass(slots=True)
class _Session:
    """A session, by its process: the invocation and the answer of its latest command that an entry decided."""

    invoke: Op
    answer: Op
    began: int
    """The place in the history of the invocation."""
    ended: int
    """Likewise of the answer."""


class SessionExpiry(Checker):
    """Which sessions are remembered, by the entries that answers name. Judged for our own Raft with a limit."""

    invariant = "session_expiry"
    goes_by_time = True
    rule = "Servers agree on which sessions to expire: the least recently used ones, by the log (thesis, §6.3)."
    too_late = "A server remembers a bounded number of sessions, and refuses the commands of all others (thesis, §6.3)."
    nothing_judged = "no session could be judged"
    only_if_judged = True

    def __init__(self, pace: Pace | None) -> None:
        super().__init__()
        self._most = pace.max_sessions if pace is not None else 0
        self._place = 0
        self._open: dict[int, tuple[Op, int]] = {}  # by process, its invocation and the place of that
        self._sessions: dict[int, _Session] = {}
        self._unknown: set[int] = set()  # processes with a command of unknown outcome; used for its members and size
        self._answers: list[tuple[int, int]] = []  # the entry of each answer, and its process
        self._gaps: list[tuple[Op, Op]] = []  # the answers to a session, each with the one before
        self._refusals: list[tuple[int, _Session, Op]] = []  # how many others can have been used since that answer

    def observe_op(self, op: Op) -> None:
        """One line of the clients' history about a command, in the order in which the clients saw them."""
        if not self._most:
            return
        self._place += 1
        if op.type == "invoke":
            self._open[op.process] = op, self._place
            return
        invoke, began = self._open.pop(op.process, (op, self._place))
        session = self._sessions.get(op.process)
        if op.type == "info":
            self._unknown.add(op.process)
        elif is_expired(op):
            if session is not None:
                self._refusals.append((self._others_since(session), session, op))
        elif op.index is not None:
            self._answers.append((op.index, op.process))
            if session is not None:
                self._gaps.append((session.answer, op))
            self._sessions[op.process] = _Session(invoke, op, began, self._place)

    def _others_since(self, session: _Session) -> int:
        """How many other sessions can have been used since the command of this answer began."""
        process = session.answer.process
        used = {one for one, other in self._sessions.items() if other.ended > session.began}
        return len((used | self._unknown | self._open.keys()) - {process})

    def verdict(self) -> Verdict:
        """Judges from the start each time: an answer may come after those of later entries."""
        self.violations, self.violation_count = [], 0
        self.judged = len(self._gaps) + len(self._refusals)
        for others, session, refusal in self._refusals:
            if others < self._most:
                self.violate(
                    f"{refusal.op} was refused, since the session of {session.answer.op} had expired, although at most "
                    f"{others} other sessions can have been used since; {self._most} are remembered",
                    session.answer,
                    refusal,
                )
        self._judge_gaps()
        return super().verdict()

    def _judge_gaps(self) -> None:
        answers = sorted(self._answers)
        places = {index: place for place, (index, _) in enumerate(answers)}
        for before, after in self._gaps:
            assert before.index is not None and after.index is not None
            between = answers[places[before.index] + 1 : places[after.index]]
            others = {process for _, process in between}  # used only for its size
            if len(others - {after.process}) >= self._most:
                self.violate(
                    f"{after.op} was answered at entry {after.index}, although {len(others)} other sessions had been "
                    f"used since entry {before.index}, the latest of its own; {self._most} are remembered",
                    before,
                    after,
                    rule=self.too_late,
                )
