"""Mistakes in what a cluster remembers of its clients' sessions (§8; thesis, §6.3)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.invariants.events import Event
from raft_chaos.raft.replica.command import decode_command, encode_command
from raft_chaos.raft.replica.machine import Machine, SessionName
from raft_chaos.raft.replica.output import Reply
from raft_chaos.raft.replica.replica import Replica
from raft_chaos.raft.replica.result import NOWHERE, Place, Result
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import decode_change
from raft_chaos.raft.state.configuration_mark import is_configuration
from raft_chaos.raft.state.messages import Entry

LIFETIME_US = 500_000


class SessionExpiryByClock(Replica):
    def _apply(self, index: int, entry: Entry, events: list[Event]) -> None:
        now_us, sessions = self.core.now_us, self.machine._sessions
        used: dict[SessionName, int] = self.__dict__.setdefault("used", {})
        for name in [name for name in sessions if now_us - used.get(name, now_us) > LIFETIME_US]:
            self.machine._forget(name)
        super()._apply(index, entry, events)
        if sessions:
            used[next(reversed(sessions))] = now_us


class DedupInLeaderMemory(Replica):
    def submit(self, token: Any, command: bytes, now_us: int) -> bool:
        if decode_change(command) is not None:
            return super().submit(token, command, now_us)
        asked = decode_command(command)
        name = asked.client, asked.serial
        taken: set[tuple[str | None, int]] = self.__dict__.setdefault("taken", set())
        if name in taken:
            self._replies.append(Reply(token, 0, 0, None))  # its outcome is that of the first copy
            return True
        accepted = super().submit(token, encode_command(replace(asked, client=None, serial=0, since=0)), now_us)
        if accepted and asked.client is not None:
            taken.add(name)
        return accepted


class FailuresNotRemembered(Machine):
    def _remember(self, name: SessionName, serial: int, answer: Result) -> None:
        if answer.ok:
            super()._remember(name, serial, answer)


class SessionsNeverForgotten(Machine):
    def _forget(self, name: SessionName) -> None:
        pass


class OldestSessionForgotten(Machine):
    def _forget(self, name: SessionName) -> None:
        super()._forget(min(self._sessions, key=lambda one: one[1]))  # it began first, and may be in use


class SessionNamedByClient(Machine):
    def apply(self, command: bytes, place: Place = NOWHERE) -> Result | None:
        self.decided = place
        if not command or is_configuration(command):
            return None
        asked = decode_command(command)
        if asked.client is None:
            return self._execute(asked)
        name = (asked.client, 0)
        session = self._sessions.get(name)
        if session is None:
            if asked.since < self.horizon or 0 < place[0] <= asked.since:
                return self._refuse(asked.since)
        elif asked.serial <= session.serial:
            return self._answer_again(asked.serial, session)
        result = self._execute(asked)
        self._remember(name, asked.serial, result)
        return result


SESSIONS = (
    Mutant(
        "session_expiry_by_clock",
        "a node forgets a session that was not used for a while by its own clock, when it applies an entry",
        "classic; thesis, §6.3",
        ("state_machine_safety",),
        Parts(replica=SessionExpiryByClock),
    ),
    Mutant(
        "dedup_in_leader_memory",
        "only the leader that took a command remembers it, so a retry at the next leader is applied again",
        "classic",
        ("acknowledged_writes", "linearizability", "stale_reads"),
        Parts(replica=DedupInLeaderMemory),
    ),
    Mutant(
        "failures_not_remembered",
        "a command that failed is not remembered, so a late duplicate of it is tried again, and may succeed",
        "a classic omission of §8",
        ("repeated_answers", "linearizability", "acknowledged_writes", "monotonic_reads", "stale_reads"),
        Parts(machine=FailuresNotRemembered),
    ),
    Mutant(
        "session_named_by_client",
        "a session is named by its client alone, so a new one of that client gets the answers of the old one",
        "a classic mistake of sessions (thesis, §6.3)",
        ("acknowledged_writes", "linearizability", "monotonic_reads", "stale_reads", "repeated_answers"),
        Parts(machine=SessionNamedByClient),
    ),
    Mutant(
        "sessions_never_forgotten",
        "the state machine remembers every session that there ever was, and grows without bound",
        "a classic omission of sessions (thesis, §6.3)",
        ("session_expiry",),
        Parts(machine=SessionsNeverForgotten),
    ),
    Mutant(
        "oldest_session_forgotten",
        "the session that began first is forgotten, however often it is used, and not the one used least recently",
        "a classic mistake of sessions (thesis, §6.3)",
        ("session_expiry",),
        Parts(machine=OldestSessionForgotten),
    ),
)
