"""The clients' records, in every world: their operations under process numbers, and the history of all clients.

Each world carries out operations in its own way; all worlds record them alike. A process has at most one operation
open. An operation of unknown outcome never ends, so its client continues as a new process, in a new session. So does a
client whose session has expired.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from raft_chaos.chaos.schedule.data import Operation
from raft_chaos.chaos.targets.door import Outcome
from raft_chaos.invariants.history import Op, OpType, is_elsewhere

OPERATION_TIMEOUT_S = 2.0
"""How long a client tries to get an answer to an operation."""
PINNED_TIMEOUT_S = 0.5
"""How long it waits if it asks one node alone. A node that is cut off may never answer, and must be asked often: some
answer may be out of date."""
PATIENCE_S = 0.5
"""How long it waits for one node's answer before it asks the next one, if the target recognises repeated commands. An
isolated leader that had all of its clients for the whole time would leave its successor none, and nothing to miss."""
RETRY_S = 0.05
"""How long it waits before it asks again."""


class History:
    """Counts the operations of all clients and passes them to `observe`, in the order in which the clients saw them."""

    def __init__(self, observe: Callable[[Op], None]) -> None:
        self._observe = observe
        self.counts: dict[OpType, int] = {"invoke": 0, "ok": 0, "fail": 0, "info": 0}
        self.elsewhere = 0
        """How many of the failed ones no node took."""

    def write(self, op: Op) -> None:
        self.counts[op.type] += 1
        self.elsewhere += is_elsewhere(op)
        self._observe(op)


class ClientRecord:
    """One client's part of the history.

    `process` starts at the client's place among the `clients` of the run (their number), and grows by `clients` after
    each unknown outcome, so no two clients ever share one. `serial` numbers the commands of a session, from 1 (§8).
    """

    def __init__(self, *, name: str, place: int, clients: int, history: History, now_us: Callable[[], int]) -> None:
        self.name = name
        self.process = place
        self._clients = clients
        self._history = history
        self._now_us = now_us
        self._serials = count(1)
        self._expired_at = 0
        self._latest = 0  # the last log entry that an answer named
        self.since = 0
        """The index of a log entry before the session: of the one that told the client that its session had expired, or
        of the last one that it knew of when it began anew."""

    @property
    def session(self) -> str:
        """The session (§8) of the present process, which its commands name. Begun anew it has another `since`."""
        return f"{self.name}.{self.process}"

    def next_serial(self) -> int:
        """The serial of a new command; a command that is sent again keeps its serial."""
        return next(self._serials)

    def begins_anew(self) -> None:
        """The client begins another session under the same name, as if it had been started again: since the last entry
        that it knows of."""
        if self._latest > self.since:
            self.since = self._latest
            self._serials = count(1)

    def invoked(self, operation: Operation) -> None:
        """The operation begins now."""
        self._write(operation, Outcome("invoke", operation.value))

    def expired(self, index: int) -> None:
        """The log entry at this index says that the session has expired; it goes on until the operation ends."""
        self._expired_at = index

    def ended(self, operation: Operation, outcome: Outcome) -> None:
        """The operation ends now; after `info`, and in an expired session, the client continues as a new process."""
        self._write(operation, outcome)
        self._latest = max(self._latest, outcome.index or 0)
        if outcome.type == "info" or self._expired_at:
            self.since, self._expired_at = self._expired_at or self.since, 0
            self.process += self._clients
            self._serials = count(1)

    def _write(self, operation: Operation, outcome: Outcome) -> None:
        self._history.write(
            Op(
                type=outcome.type,
                process=self.process,
                client=self.name,
                op=operation.id,
                f=operation.f,
                key=operation.key,
                t_us=self._now_us(),
                value=outcome.value,
                expected=operation.expected,
                index=outcome.index,
                term=outcome.term,
                error=outcome.error,
                final=operation.final,
                consistency=operation.consistency,
                node=outcome.node,
                inc=outcome.inc,
            )
        )
