"""One node without its host: the core and the state machine in step, and the clients that wait for an answer.

Like the core it does no I/O. A host gives it inputs, then calls `advance` and carries out the `Output`.
The live host and the simulator run this same code.
"""

from __future__ import annotations

from typing import Any

from raft_chaos.invariants.events import EntryApplied, Event, SnapshotRestored
from raft_chaos.raft.core import Core, Ready
from raft_chaos.raft.replica.command import Read
from raft_chaos.raft.replica.machine import Machine
from raft_chaos.raft.replica.output import Output, Reply
from raft_chaos.raft.replica.result import Result
from raft_chaos.raft.state.configuration import ChangeError, decode_change, decode_configuration
from raft_chaos.raft.state.configuration_mark import is_configuration
from raft_chaos.raft.state.messages import MAX_SNAPSHOT_BYTES, Entry, Snapshot
from raft_chaos.raft.state.progress import UNLIMITED


class Replica:
    """A Raft node as a pure object: messages, time, submissions and completed writes go in; `Output` comes out.

    `reports` is False for a node whose events nobody takes: then there are none of what is applied, and nobody pays for
    the digests of the state.
    """

    reports = True

    def __init__(self, core: Core, machine: Machine) -> None:
        self.core = core
        self.machine = machine
        self._waiting: dict[int, tuple[int, Any, int]] = {}  # log index -> (term, token, bytes of the command)
        self._waiting_bytes = 0
        self._applied_term = 0  # of the last applied entry, which the log may not have any more
        self._replies: list[Reply] = []  # the answers in the next output
        self._snapshot_after = core.timing.features.snapshot_every or UNLIMITED  # so many entries
        # These inputs are the core's own methods: a wrapper would cost time with every message.
        self.receive = core.receive
        self.tick = core.tick
        self.persisted = core.persisted
        self.transfer = core.transfer

    @property
    def waiting(self) -> int:
        """How many submissions and reads have no answer yet."""
        return len(self._waiting) + self.core.waiting_reads

    def busy(self, size: int = 0) -> str:
        """Why this node takes no more commands and reads now, or none of this `size` in bytes; "" if it does.

        Whatever a leader takes stays in its memory until it is applied. If the leader cannot commit, that may be never,
        and its clients go on asking.
        """
        timing = self.core.timing
        if self.waiting >= timing.max_waiting:
            return f"{timing.max_waiting} commands and reads are waiting already"
        if self._waiting and self._waiting_bytes + size > timing.max_waiting_bytes:
            return f"{self._waiting_bytes} bytes of commands are waiting already, of at most {timing.max_waiting_bytes}"
        return ""

    def submit(self, token: Any, command: bytes, now_us: int) -> bool:
        """A client's command; its `Reply` will carry `token`. False: this node is not the leader, or is busy, and did
        nothing.

        For a change of the members (`state.configuration.encode_change`) the reply comes once the last entry of the
        change is applied, or at once with the reason why it is refused.
        """
        if self.busy(len(command)):
            return False
        try:
            change = decode_change(command)
            if change is None:
                position = self.core.propose(command, now_us)
            else:
                position = self.core.change_members(change, now_us)
        except ChangeError as error:
            self._replies.append(Reply(token, 0, 0, Result(False, error=str(error))))
            return True
        if position is None:
            return False
        index, term = position
        self._waiting[index] = (term, token, len(command))
        self._waiting_bytes += len(command)
        return True

    def read(self, token: Any, read: Read, now_us: int) -> bool:
        """A client's read; its `Reply` will carry `token`. False: this node cannot serve it, since it does not lead, or
        is busy."""
        if read.consistency == "stale":
            self.core.now_us = now_us
            self._answer_read(token, read.key)
            return True
        ask = self.core.read_by_lease if read.consistency == "lease" else self.core.read
        return not self.busy() and ask((token, read.key), now_us)

    def advance(self) -> Output:
        """Everything that has become due since the last call."""
        ready = self.core.take_ready()
        if ready.committed:
            for index, entry in ready.committed:
                if isinstance(entry, Snapshot):
                    self._restore(entry, ready.events)
                else:
                    self._apply(index, entry, ready.events)
            applied = self.core.last_applied - self.core.log.base_index
            if applied >= self._snapshot_after and not self.core.must_keep_log:
                self._take_snapshot(ready)
        for (token, key), is_refused in ready.reads:
            if is_refused:
                self._replies.append(Reply(token, 0, 0, None, is_read=True))
            else:
                self._answer_read(token, key)
        if self._waiting and self.core.role != "leader":
            self._give_up([index for index in self._waiting if index > self.core.commit_index])
        replies: list[Reply] = []
        if self._replies:
            replies, self._replies = self._replies, replies
        return Output(ready.events, ready.messages, ready.write, ready.deadline_us, replies, ready.made)

    def _give_up(self, indices: list[int]) -> None:
        """This node will not learn what becomes of these submissions, since it leads no longer. What is committed it
        does learn: it applies that as soon as it is durable here, and that alone may take a while after a leader has
        removed itself (§6)."""
        for index in indices:
            term, token, size = self._waiting.pop(index)
            self._waiting_bytes -= size
            self._replies.append(Reply(token, index, term, None))

    def _answer_read(self, token: Any, key: str) -> None:
        applied = self.core.last_applied
        self._replies.append(Reply(token, applied, self._applied_term, self.machine.read(key), is_read=True))

    def _restore(self, snapshot: Snapshot, events: list[Event]) -> None:
        """The state machine takes over the snapshot in place of all that it has (§7). It does not say what the answers
        to the commands were that led to it."""
        self.machine.restore(snapshot.data)
        self._give_up([index for index in self._waiting if index <= snapshot.index])
        self._applied_term = snapshot.term
        if not self.reports:
            return
        core = self.core
        events.append(
            SnapshotRestored(
                node=core.node,
                inc=core.incarnation,
                t_us=core.now_us,
                index=snapshot.index,
                term=snapshot.term,
                digest=self.machine.digest,
            )
        )

    def _take_snapshot(self, ready: Ready) -> None:
        """Compacts the log up to what was applied. The write of it begins at once, if none is under way."""
        if self.core.saves_snapshot:
            return
        data = self.machine.snapshot()
        if len(data) <= MAX_SNAPSHOT_BYTES:
            self.core.compact(data, self.machine.digest if self.reports else "")
            if ready.write is None:
                ready.write = self.core.next_write()

    def _apply(self, index: int, entry: Entry, events: list[Event]) -> None:
        result = self.machine.apply(entry.command, (index, entry.term))
        self._applied_term = entry.term
        if self.reports:
            core = self.core
            events.append(
                EntryApplied(
                    node=core.node,
                    inc=core.incarnation,
                    t_us=core.now_us,
                    index=index,
                    term=entry.term,
                    digest=self.machine.digest,
                )
            )
        if self._waiting and (waiting := self._waiting.pop(index, None)) is not None:
            term, token, size = waiting
            self._waiting_bytes -= size
            if term == entry.term and is_configuration(entry.command):
                self._end_change(index, term, token)
            elif term == entry.term:
                self._replies.append(Reply(token, *self.machine.decided, result))
            else:  # an entry of another term at this index means that ours was overwritten
                self._replies.append(Reply(token, index, term, None))

    def _end_change(self, index: int, term: int, token: Any) -> None:
        """A configuration that a client asked for is applied. If its voters are joint (§6), the change ends with the
        next one, which the leader has appended when it committed this one."""
        if not decode_configuration(self.core.log.entry(index).command).is_joint:
            self._replies.append(Reply(token, index, term, Result(True)))
        elif (next_index := self.core.next_configuration_after(index)) is not None:
            self._waiting[next_index] = (term, token, 0)
        else:  # this node does not lead any more; whoever does ends the change
            self._replies.append(Reply(token, index, term, None))
