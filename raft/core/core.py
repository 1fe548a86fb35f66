"""The Raft algorithm (Figure 2, §5), and nothing else: no socket, file, clock, thread, or randomness of its own. Only
entries that are not in memory any more it asks from whoever made it (`state.log.EntrySource`), and waits for them.

Inputs are method calls, each with the time: `receive`, `tick`, `propose`, `read`, `change_members`, `transfer`,
`persisted`. Afterwards the host takes one `Ready` and does what it says, in this order:

    1. report   write `events` where they are collected
    2. send     give `messages` to the network, which may lose, repeat and reorder them
    3. persist  start writing `write` to the log; when it is durable, call `persisted(write.lsn)`
    4. apply    hand `committed` entries to the state machine
    5. read     answer `reads` from the state machine, or refuse them
    6. wait     for the next input, and call `tick` when `deadline_us` comes

Durability is an input like any other. The core holds messages and events that must wait until a record is on disk: as
data (`state.held`), under the number (lsn) of that record (`state.pending`); `held` lists them. A leader sends its
entries without waiting for its own disk: its followers write in parallel, and it counts itself only once its own write
is durable (Ongaro's thesis, §10.2.1).

Time is integer microseconds. A node's name is a string; `peers` are all other nodes that are or can be members.
"""

from __future__ import annotations

from raft_chaos.raft.core.transfer import Transfer
from raft_chaos.raft.state.held import CountOwnVote, Held, ReleaseCommit, ReportEvent, SendMessage
from raft_chaos.raft.state.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raft_chaos.raft.state.ready import Ready, Write


class Core(Transfer):
    """One Raft node without I/O: its inputs and its output. Roles, terms and indices are the paper's."""

    # ---- inputs -----------------------------------------------------------------------------------------------------

    def receive(self, source: str, message: Message, now_us: int) -> None:
        """A message from `source` arrived, perhaps late, perhaps again."""
        self.now_us = now_us
        if message.term > self.current_term and not self._heed(message):
            return
        # `is` costs less than isinstance, here and in `_carry_out`.
        if type(message) is AppendEntries:
            self._on_append_entries(source, message)
        elif type(message) is AppendEntriesReply:
            self._on_append_entries_reply(source, message)
        elif type(message) is RequestVote:
            self._on_request_vote(source, message)
        elif type(message) is RequestVoteReply:
            self._on_request_vote_reply(source, message)
        elif type(message) is PreVote:
            self._on_pre_vote(source, message)
        elif type(message) is PreVoteReply:
            self._on_pre_vote_reply(source, message)
        elif type(message) is InstallSnapshot:
            self._on_install_snapshot(source, message)
        elif type(message) is InstallSnapshotReply:
            self._on_install_snapshot_reply(source, message)
        elif type(message) is TimeoutNow:
            self._on_timeout_now(message)

    def tick(self, now_us: int) -> None:
        """Time passed. An early call has no effect."""
        self.now_us = now_us
        if self.role == "leader":
            if now_us >= self._heartbeat_deadline_us:
                self._keep_leading()
        elif now_us >= self._election_deadline_us:
            self._campaign()

    def propose(self, command: bytes, now_us: int) -> tuple[int, int] | None:
        """A client's command. Returns the (index, term) at which it may commit, or None if this node takes none, since
        it does not lead, or hands over."""
        self.now_us = now_us
        if self.role != "leader" or not self._takes_proposals():
            return None
        index = self._append(Entry(self.current_term, command))
        self._replicate = True
        return index, self.current_term

    def persisted(self, lsn: int, now_us: int) -> None:
        """The write whose last record is `lsn` is durable."""
        self.now_us = now_us
        self.log.mark_durable(lsn)
        # Entries that have become durable are reported first, and a commit of them after that.
        self._carry_out(self._pending.written(lsn))
        if self.role == "leader":
            self._advance_commit()

    def _carry_out(self, due: list[Held]) -> None:
        """Carries out what waited for records that are now durable."""
        for held in due:
            if type(held) is SendMessage:
                self._messages.append((held.to, held.message))
            elif type(held) is ReportEvent:
                self._events.append(held.event)
            elif type(held) is ReleaseCommit:
                self._release_commit(held.event)
            elif type(held) is CountOwnVote:
                self._count_vote(self.node, held.term)

    # ---- output -----------------------------------------------------------------------------------------------------

    def take_ready(self) -> Ready:
        """Takes all that has become due since the last call. The host must carry out all of it."""
        if self._replicate:
            self._replicate = False
            for peer in self.progress:
                self._send_entries(peer)
        if self.successor is not None:
            self._advance_transfer()
        # Most steps have nothing to write and nothing to apply; checking that here is cheaper.
        write = self._next_write() if self._pending.unwritten else None
        committed = self._take_committed() if self._apply_limit > self.last_applied else []
        reads = self._advance_reads() if self._reads.count else ()
        ready = Ready(self._events, self._messages, write, committed, self.deadline_us, self._made, reads)
        self._events, self._messages, self._made = [], [], []
        return ready

    def next_write(self) -> Write | None:
        """The write of what was recorded since `take_ready`, if none is under way: a snapshot that was just taken."""
        return self._next_write()

    @property
    def deadline_us(self) -> int:
        """When `tick` is due next."""
        return self._heartbeat_deadline_us if self.role == "leader" else self._election_deadline_us

    @property
    def held(self) -> list[tuple[int, Held]]:
        """What waits for a write, each with the lsn of its record, in the order in which it will become due."""
        return self._pending.held
