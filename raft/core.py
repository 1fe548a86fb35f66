"""The Raft algorithm (Figure 2, §5), and nothing else: no socket, file, clock, thread, or randomness of its own.

Inputs are method calls, each with the time: `receive`, `tick`, `propose`, `persisted`. Afterwards the host takes one
`Ready` and does what it says, in this order:

    1. report   write `events` where they are collected
    2. send     give `messages` to the network, which may lose, repeat and reorder them
    3. persist  start writing `write` to the log; when it is durable, call `persisted(write.lsn)`
    4. apply    hand `committed` entries to the state machine
    5. wait     for the next input, and call `tick` when `deadline_us` comes

Durability is an input like any other. The core holds whatever must not be said before a record is on disk: as data
(`state.held`), under the number (lsn) of that record (`state.pending`); `held` lists it. A leader sends its entries
without waiting for its own disk: its followers write in parallel, and it counts itself only once its own write is
durable (Ongaro's thesis, §10.2.1).

Time is integer microseconds. A node's name is a string; `peers` are the other voters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from raft_chaos.invariants.events import CommitAdvanced, Event, Role
from raft_chaos.raft.state.held import CountOwnVote, Held, ReleaseCommit, ReportEvent, SendMessage
from raft_chaos.raft.state.log import Log
from raft_chaos.raft.state.messages import (
    Append,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    Message,
    Recovered,
    RequestVote,
    RequestVoteReply,
    Truncate,
)
from raft_chaos.raft.state.pending import Pending, Write
from raft_chaos.raft.state.progress import Progress
from raft_chaos.raft.state.reporter import Reporter
from raft_chaos.raft.state.timing import Timing

__all__ = ["Core", "Ready", "Progress", "Random", "NO_OP"]

NO_OP = b""


class Random(Protocol):
    """The one thing that the core needs of a `random.Random`."""

    def getrandbits(self, k: int, /) -> int: ...


class Ready(msgspec.Struct, gc=False):
    """What the host must do now; see the module's header. `committed` are (index, entry) in order."""

    events: list[Event]
    messages: list[tuple[str, Message]]
    write: Write | None
    committed: list[tuple[int, Entry]]
    deadline_us: int


class Core:
    """One Raft node without its surroundings. Roles, terms and indices are named as in the paper."""

    def __init__(
        self,
        *,
        node: str,
        peers: Sequence[str],
        incarnation: int,
        timing: Timing,
        random: Random,
        recovered: Recovered,
        now_us: int,
    ) -> None:
        self.node = node
        self.peers = tuple(peers)
        self.incarnation = incarnation
        self.timing = timing
        self.random = random
        self.now_us = now_us

        # Persistent state (Figure 2).
        self.current_term = recovered.hard_state.term
        self.voted_for = recovered.hard_state.voted_for
        self.log = Log()

        # Volatile state.
        self.role: Role = "follower"
        self.leader: str | None = None
        self.commit_index = 0
        self.last_applied = 0
        self.progress: dict[str, Progress] = {}  # valid only while this node leads
        self._votes: set[str] = set()  # asked for membership and size only, never iterated
        self._election_deadline_us = 0
        self._heartbeat_deadline_us = 0
        self._timeouts = timing.election_timeout_max_us - timing.election_timeout_min_us + 1  # to draw from
        self._timeout_bits = self._timeouts.bit_length()

        # `_pending` holds what must be durable first; `_hard_state_lsn` is the record with the current term and vote.
        self._pending = Pending()
        self._hard_state_lsn = 0

        # What the next Ready will hold.
        self._reporter = Reporter(node, incarnation)
        self._events: list[Event] = []
        self._messages: list[tuple[str, Message]] = []
        self._apply_limit = 0
        self._replicate = False

        self._recover(recovered)
        self._reset_election_timer()

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def receive(self, source: str, message: Message, now_us: int) -> None:
        """A message from `source` arrived, perhaps late, perhaps again."""
        self.now_us = now_us
        if message.term > self.current_term:
            # §5.1: a larger term always wins, whatever carries it.
            self._become_follower(message.term, leader=None)
        if isinstance(message, AppendEntries):
            self._on_append_entries(source, message)
        elif isinstance(message, AppendEntriesReply):
            self._on_append_entries_reply(source, message)
        elif isinstance(message, RequestVote):
            self._on_request_vote(source, message)
        else:
            self._on_request_vote_reply(source, message)

    def tick(self, now_us: int) -> None:
        """Time passed. Harmless when called early."""
        self.now_us = now_us
        if self.role == "leader":
            if now_us >= self._heartbeat_deadline_us:
                self._broadcast_heartbeat()
        elif now_us >= self._election_deadline_us:
            self._start_election()

    def propose(self, command: bytes, now_us: int) -> tuple[int, int] | None:
        """A client's command. Returns the (index, term) at which it may commit, or None if this is not the leader."""
        self.now_us = now_us
        if self.role != "leader":
            return None
        index = self._append(Entry(self.current_term, command))
        self._replicate = True
        return index, self.current_term

    def persisted(self, lsn: int, now_us: int) -> None:
        """The write whose last record is `lsn` is durable."""
        self.now_us = now_us
        self.log.mark_durable(lsn)
        # Entries that have become durable are reported first, and a commit of them after that.
        for held in self._pending.written(lsn):
            self._carry_out(held)
        if self.role == "leader":
            self._advance_commit()

    def _carry_out(self, held: Held) -> None:
        """What waited for a record is due."""
        if isinstance(held, SendMessage):
            self._messages.append((held.to, held.message))
        elif isinstance(held, ReportEvent):
            self._events.append(held.event)
        elif isinstance(held, ReleaseCommit):
            self._release_commit(held.event)
        else:
            self._count_vote(self.node, held.term)

    # ---- output ---------------------------------------------------------------------------------------------------

    def take_ready(self) -> Ready:
        """Takes all that has become due since the last call. The host must carry out all of it."""
        if self._replicate:
            self._replicate = False
            for peer in self.progress:
                self._send_entries(peer)
        # Most steps have nothing to write and nothing to apply, and it costs less to see that here.
        write = self._pending.next_write() if self._pending.unwritten else None
        committed = self._take_committed() if self._apply_limit > self.last_applied else []
        ready = Ready(self._events, self._messages, write, committed, self.deadline_us)
        self._events, self._messages = [], []
        return ready

    @property
    def deadline_us(self) -> int:
        """When `tick` is due next."""
        return self._heartbeat_deadline_us if self.role == "leader" else self._election_deadline_us

    @property
    def held(self) -> list[tuple[int, Held]]:
        """What waits for a write, each with the lsn of its record, in the order in which it will become due."""
        return self._pending.held

    # ---- elections (§5.2) -----------------------------------------------------------------------------------------

    def _reset_election_timer(self) -> None:
        # Every heartbeat draws a timeout, so this is what `randint` does, without the three calls that it takes.
        draw, bits = self.random.getrandbits, self._timeout_bits
        drawn = draw(bits)
        while drawn >= self._timeouts:
            drawn = draw(bits)
        self._election_deadline_us = self.now_us + self.timing.election_timeout_min_us + drawn

    def _start_election(self) -> None:
        self.role = "candidate"
        self.leader = None
        self._votes = set()
        self._enter_term(self.current_term + 1, self.node)
        self._report_role()
        self._report_vote()
        self._reset_election_timer()
        request = RequestVote(self.current_term, self.log.last_index, self.log.last_term)
        for peer in self.peers:
            self._send(peer, request)
        # Its own vote counts like any other: once it is durable.
        self._pending.hold(self._hard_state_lsn, CountOwnVote(self.current_term))

    def _on_request_vote(self, source: str, m: RequestVote) -> None:
        grant = m.term == self.current_term and self._may_vote_for(source) and self._is_up_to_date(m)
        if grant:
            self._grant_vote(source)
        self._send(source, RequestVoteReply(self.current_term, grant))

    def _grant_vote(self, candidate: str) -> None:
        if self.voted_for is None:
            self.voted_for = candidate
            self._persist_hard_state()
            self._report_vote()
        # Without this, a voter would soon start an election against the candidate that it voted for.
        self._reset_election_timer()

    def _may_vote_for(self, candidate: str) -> bool:
        """One vote a term, first come first served; the same answer again when asked again."""
        return self.voted_for is None or self.voted_for == candidate

    def _is_up_to_date(self, m: RequestVote) -> bool:
        """§5.4.1: the candidate's log is at least as up to date as ours."""
        return (m.last_log_term, m.last_log_index) >= (self.log.last_term, self.log.last_index)

    def _on_request_vote_reply(self, source: str, m: RequestVoteReply) -> None:
        if m.vote_granted:
            self._count_vote(source, m.term)

    def _count_vote(self, voter: str, term: int) -> None:
        # A vote of an earlier candidacy says nothing about this one.
        if self.role != "candidate" or term != self.current_term:
            return
        self._votes.add(voter)
        if len(self._votes) >= self._majority():
            self._become_leader()

    def _majority(self) -> int:
        return (len(self.peers) + 1) // 2 + 1

    def _become_leader(self) -> None:
        self.role = "leader"
        self.leader = self.node
        self._reset_progress()
        self._report_role()
        self._heartbeat_deadline_us = self.now_us + self.timing.heartbeat_us
        # §8, §5.4.2: entries of earlier terms commit only behind one of this term, so it makes one at once.
        self._append(Entry(self.current_term, NO_OP))
        self._replicate = True

    def _reset_progress(self) -> None:
        """Reinitialized after election (Figure 2): what this node knew as an earlier leader may be false by now."""
        self.progress = {peer: Progress(next_index=self.log.last_index + 1) for peer in self.peers}

    def _become_follower(self, term: int, leader: str | None) -> None:
        """Follower in `term`. In the same term voted_for stays: a vote is not taken back (§5.2)."""
        was_leader = self.role == "leader"
        changed = self.role != "follower" or self.leader != leader or term > self.current_term
        self.role = "follower"
        self.leader = leader
        if term > self.current_term:
            self._enter_term(term, None)
        if was_leader:
            self._replicate = False
            self._reset_election_timer()  # a leader has none running
        if changed:
            self._report_role()

    def _enter_term(self, term: int, voted_for: str | None) -> None:
        self.current_term = term
        self.voted_for = voted_for
        self._persist_hard_state()

    # ---- replication: the follower's side (§5.3) ------------------------------------------------------------------

    def _on_append_entries(self, source: str, m: AppendEntries) -> None:
        if m.term < self.current_term:
            self._send(source, AppendEntriesReply(self.current_term, False, 0))
            return
        if self.role == "leader":
            return  # Election Safety excludes another leader in this term; if there is one, the checkers report it
        if self.leader != source:  # true of every candidate
            self._become_follower(m.term, leader=source)
        self._reset_election_timer()

        if not self._matches(m.prev_log_index, m.prev_log_term):
            self._send(source, self._rejection(m.prev_log_index))
            return
        last_new_index = self._store_entries(m.prev_log_index, m.entries)
        self._follow_commit(m.leader_commit, last_new_index)
        ack = AppendEntriesReply(self.current_term, True, last_new_index)
        self._send(source, ack, after_lsn=self._ack_needs_lsn(last_new_index))

    def _matches(self, prev_log_index: int, prev_log_term: int) -> bool:
        """The consistency check: our log holds the entry that precedes the new ones."""
        return prev_log_index <= self.log.last_index and self.log.term_at(prev_log_index) == prev_log_term

    def _rejection(self, prev_log_index: int) -> AppendEntriesReply:
        log = self.log
        if prev_log_index > log.last_index:
            return AppendEntriesReply(self.current_term, False, 0, prev_log_index, log.last_index + 1, 0)
        first = log.first_index_of_term_at(prev_log_index)
        return AppendEntriesReply(self.current_term, False, 0, prev_log_index, first, log.term_at(prev_log_index))

    def _store_entries(self, prev_log_index: int, entries: Sequence[Entry]) -> int:
        """Stores what is new; returns the index of the last entry that the message covers.

        Only a real conflict truncates (Figure 2, step 3): a delayed, shorter AppendEntries must not cut off entries
        that a later one brought, since the leader may have counted them.
        """
        index = prev_log_index
        for entry in entries:
            index += 1
            if index <= self.log.last_index:
                if self.log.term_at(index) == entry.term:
                    continue
                self._truncate(index)
            self._append(entry)
        return index

    def _follow_commit(self, leader_commit: int, last_new_index: int) -> None:
        """Figure 2, step 5: never past the last entry known to match the leader's (§5.3)."""
        index = leader_commit if leader_commit < last_new_index else last_new_index
        if index > self.commit_index:  # a new leader may know of fewer commits than we do
            self._set_commit_index(index)

    def _ack_needs_lsn(self, match_index: int) -> int:
        """The leader counts this acknowledgement towards commitment, so the entries must be durable first."""
        return self.log.lsn(match_index)

    # ---- replication: the leader's side (§5.3) --------------------------------------------------------------------

    def _broadcast_heartbeat(self) -> None:
        self._heartbeat_deadline_us = self.now_us + self.timing.heartbeat_us
        for peer, progress in self.progress.items():
            # A probe that was not answered by now is lost: the heartbeat takes its place.
            progress.probe_sent = True
            self._send_append(peer, progress.next_index, [])

    def _send_entries(self, peer: str) -> None:
        """Sends what the follower lacks, as much as may be in flight."""
        progress, log, timing = self.progress[peer], self.log, self.timing
        while progress.next_index <= log.last_index and not progress.is_paused(timing.max_entries_in_flight):
            entries = log.slice(progress.next_index, timing.max_entries_per_message, timing.max_bytes_per_message)
            self._send_append(peer, progress.next_index, entries)
            if progress.probing:
                progress.probe_sent = True
            else:
                progress.next_index += len(entries)

    def _send_append(self, peer: str, next_index: int, entries: list[Entry]) -> None:
        prev = next_index - 1
        message = AppendEntries(self.current_term, prev, self.log.term_at(prev), self.commit_index, entries)
        self._send(peer, message)

    def _on_append_entries_reply(self, source: str, m: AppendEntriesReply) -> None:
        if self.role != "leader" or m.term < self.current_term:
            return
        progress = self.progress[source]
        if m.success:
            self._on_ack(progress, m.match_index)
        elif not self._on_rejection(progress, m):
            return
        self._send_entries(source)

    def _on_ack(self, progress: Progress, match_index: int) -> None:
        # Replies overtake each other, and match_index never shrinks.
        if match_index > progress.match_index:
            progress.match_index = match_index
        if progress.next_index <= progress.match_index:
            progress.next_index = progress.match_index + 1
        progress.probing = False
        if progress.match_index > self.commit_index:  # if not, it adds nothing to any majority
            self._advance_commit()

    def _on_rejection(self, progress: Progress, m: AppendEntriesReply) -> bool:
        """Goes back to where the logs may agree (§5.3). Returns False for a rejection that is out of date."""
        stale = m.rejected_index <= progress.match_index or m.rejected_index >= progress.next_index
        if stale or (progress.probing and m.rejected_index != progress.next_index - 1):
            return False
        hint = m.conflict_index
        if m.conflict_term and (same := self.log.last_index_of_term(m.conflict_term, m.rejected_index)):
            hint = same + 1
        # The hint names a place to try, not a place that matches; progress is made in any case.
        progress.next_index = max(progress.match_index + 1, min(hint, m.rejected_index))
        progress.probing = True
        progress.probe_sent = False
        return True

    # ---- commitment (§5.3, §5.4) ----------------------------------------------------------------------------------

    def _advance_commit(self) -> None:
        """Commits up to the largest index that a majority has durably, if its entry is of this term."""
        held = [progress.match_index for progress in self.progress.values()]
        held.append(self.log.durable_index)
        held.sort()
        index = held[len(held) - self._majority()]
        if index > self.commit_index and self._may_commit(index):
            self._set_commit_index(index)

    def _may_commit(self, index: int) -> bool:
        """§5.4.2, Fig. 8: entries of earlier terms are never committed by counting replicas."""
        return self.log.term_at(index) == self.current_term

    def _set_commit_index(self, index: int) -> None:
        self.commit_index = index
        event = self._reporter.commit_advanced(self.now_us, index, self.current_term)
        # Only durable entries are applied, so no crash takes an entry whose client already has the answer.
        lsn = max(self._hard_state_lsn, self.log.lsn(index))
        if lsn <= self._pending.durable_lsn:
            self._release_commit(event)
        else:
            self._pending.hold(lsn, ReleaseCommit(event))

    def _release_commit(self, event: CommitAdvanced) -> None:
        self._events.append(event)
        self._apply_limit = max(self._apply_limit, event.index)

    def _take_committed(self) -> list[tuple[int, Entry]]:
        limit = min(self._apply_limit, self.log.durable_index)
        committed = [(index, self.log.entry(index)) for index in range(self.last_applied + 1, limit + 1)]
        self.last_applied = max(self.last_applied, limit)
        return committed

    # ---- the log, records, and what waits for them ----------------------------------------------------------------

    def _append(self, entry: Entry) -> int:
        lsn = self._pending.record(Append(self.log.last_index + 1, entry))
        index = self.log.append(entry, lsn)
        self._report_appended(index, lsn)
        return index

    def _truncate(self, from_index: int) -> None:
        # Reported before it is written, and after the appends that it undoes: see `Pending.next_write`.
        self._report(self._reporter.log_truncated(self.now_us, from_index), self._pending.last_lsn)
        self._pending.record(Truncate(from_index))
        self.log.truncate(from_index)

    def _persist_hard_state(self) -> None:
        self._hard_state_lsn = self._pending.record(self._hard_state())

    def _hard_state(self) -> HardState:
        """Term and vote go to disk together: a vote without its term, or the reverse, is a vote to give again."""
        return HardState(self.current_term, self.voted_for)

    def _send(self, to: str, message: Message, after_lsn: int = 0) -> None:
        """Sends once the term and vote that the message rests on are durable (Figure 2: before responding)."""
        lsn = after_lsn if after_lsn > self._hard_state_lsn else self._hard_state_lsn
        if lsn <= self._pending.durable_lsn:
            self._messages.append((to, message))
        else:
            self._pending.hold(lsn, SendMessage(to, message))

    # ---- reports --------------------------------------------------------------------------------------------------

    def _recover(self, recovered: Recovered) -> None:
        """Takes over what was on disk, and reports all of it."""
        for entry in recovered.entries:
            self.log.append(entry, 0)
        self.log.mark_durable(0)
        self._events.append(self._reporter.started(self.now_us, self.current_term, self.voted_for, self.log))
        # At once: what was on disk is durable.
        appended = self._reporter.entry_appended
        self._events += [appended(self.now_us, index, self.log) for index in range(1, self.log.last_index + 1)]

    def _report_role(self) -> None:
        event = self._reporter.role_changed(self.now_us, self.role, self.current_term, self.leader)
        self._report(event, self._hard_state_lsn)

    def _report_vote(self) -> None:
        assert self.voted_for is not None
        self._report(self._reporter.vote_granted(self.now_us, self.current_term, self.voted_for), self._hard_state_lsn)

    def _report_appended(self, index: int, lsn: int) -> None:
        self._report(self._reporter.entry_appended(self.now_us, index, self.log), lsn)

    def _report(self, event: Event, after_lsn: int) -> None:
        """Events claim that something is durable, so they wait like messages."""
        if after_lsn <= self._pending.durable_lsn:
            self._events.append(event)
        else:
            self._pending.hold(after_lsn, ReportEvent(event))
