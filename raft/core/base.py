"""The state of a node (Figure 2), its log, and its messages and events, which wait for the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raft_chaos.invariants.events import Event, Role
from raft_chaos.raft.state.configuration import (
    Configuration,
    Configurations,
    decode_configuration,
    first_configuration,
)
from raft_chaos.raft.state.configuration_mark import is_configuration
from raft_chaos.raft.state.held import ReportEvent, SendMessage
from raft_chaos.raft.state.log import CACHE_BYTES, EntrySource, Log
from raft_chaos.raft.state.messages import Append, Entry, HardState, Message, Recovered, Snapshot, Truncate
from raft_chaos.raft.state.pending import Pending
from raft_chaos.raft.state.progress import Progress
from raft_chaos.raft.state.reads import SentRounds, WaitingReads
from raft_chaos.raft.state.reporter import Reporter
from raft_chaos.raft.state.timing import Timing

RECOVERED_AT_ONCE = 1_000
"""After so many entries from the disk those may leave the memory that are too many for it."""


class Random(Protocol):
    """The only method of a `random.Random` that the core needs."""

    def getrandbits(self, k: int, /) -> int: ...


class Base:
    """One node's state, and the ways to change its log, to send and to report. Names are the paper's."""

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
        source: EntrySource | None = None,
        reports_entries: bool = True,
    ) -> None:
        """`source` is where old entries can be read back; without one all of them stay in memory. `reports_entries` is
        False for a node whose events nobody takes: most of them are of entries."""
        self.reports_entries = reports_entries
        self.node = node
        self.others = tuple(peers)
        """All other nodes that are or can be members."""
        self._configurations = Configurations(first_configuration((node, *peers), timing.features.first_voters))
        self.incarnation = incarnation
        self.timing = timing
        self.features = timing.features
        self.random = random
        self.now_us = now_us

        # Persistent state (Figure 2).
        self.current_term = recovered.hard_state.term
        self.voted_for = recovered.hard_state.voted_for
        self._source = source
        self.log = self._log_from(0, 0, "")
        self.snapshot: Snapshot | None = None
        """What replaces the entries up to the log's base (§7); None while nothing does."""

        # Volatile state.
        self.role: Role = "follower"
        self.leader: str | None = None
        self.commit_index = 0
        self.last_applied = 0
        self.progress: dict[str, Progress] = {}  # valid only while this node leads
        self.round = 0  # counts the rounds of heartbeats that confirmed reads
        self._reads = WaitingReads()
        self._rounds = SentRounds()
        self._votes: set[str] = set()  # used only for membership and size, never iterated
        self._pre_votes: set[str] = set()  # the same; valid only while this node asks for pre-votes
        self._pre_vote_term = 0  # the term whose election this node might begin; 0: it does not ask
        self._heard_us = now_us  # when AppendEntries of a leader came last; a start counts, since its lease may last
        self._election_deadline_us = 0
        self._heartbeat_deadline_us = 0
        self._timeouts = timing.election_timeout_max_us - timing.election_timeout_min_us + 1  # to draw from
        self._timeout_bits = self._timeouts.bit_length()

        # `_pending` holds what must be durable first; `_hard_state_lsn` is the record with the current term and vote.
        self._pending = Pending()
        self._hard_state_lsn = 0

        # What the next Ready will hold.
        self._reporter = Reporter(node, incarnation)
        self._set_configuration(*self._configurations.latest)
        self._events: list[Event] = []
        self._made: list[Event] = []  # events that wait for their records
        self._messages: list[tuple[str, Message]] = []
        self._apply_limit = 0
        self._commit_written = 0  # the commit index that the log on the disk says, at least
        self._replicate = False

        self._recover(recovered)
        self._reset_election_timer()

    def _reset_election_timer(self) -> None:
        # Every heartbeat draws a timeout, so this is `randint` without its three nested calls.
        draw, bits = self.random.getrandbits, self._timeout_bits
        drawn = draw(bits)
        while drawn >= self._timeouts:
            drawn = draw(bits)
        self._election_deadline_us = self.now_us + self.timing.election_timeout_min_us + drawn

    # ---- the log, records, and what waits for them ------------------------------------------------------------------

    def _append(self, entry: Entry) -> int:
        lsn = self._pending.record(Append(self.log.last_index + 1, entry))
        index = self.log.append(entry, lsn)
        if self.reports_entries:
            self._report(self._reporter.entry_appended(self.now_us, index, self.log), lsn)
        if is_configuration(entry.command):
            self._configurations.append(index, decode_configuration(entry.command))
            self._use_configuration()
        return index

    def _truncate(self, from_index: int) -> None:
        self._forget_configurations(from_index)
        # The node reports it before it writes it, and after the appends that it undoes: see `Pending.next_write`.
        self._report(self._reporter.log_truncated(self.now_us, from_index), self._pending.last_lsn)
        self._pending.record(Truncate(from_index))
        self.log.truncate(from_index)

    def _persist_hard_state(self) -> None:
        self._hard_state_lsn = self._pending.record(self._hard_state())

    def _hard_state(self) -> HardState:
        """Writes term and vote together: with only one of them on disk, a restarted node might vote twice in a term."""
        return HardState(self.current_term, self.voted_for)

    def _send(self, to: str, message: Message, after_lsn: int = 0) -> None:
        """Sends once the term and vote on which the message depends are durable (Figure 2: before responding)."""
        lsn = after_lsn if after_lsn > self._hard_state_lsn else self._hard_state_lsn
        if lsn <= self._pending.durable_lsn:
            self._messages.append((to, message))
        else:
            self._pending.hold(lsn, SendMessage(to, message))

    # ---- the members (§6) -------------------------------------------------------------------------------------------

    def _forget_configurations(self, from_index: int) -> None:
        """A change that is rolled back is rolled back everywhere: the entries from `from_index` on are deleted."""
        self._configurations.truncate(from_index)
        self._use_configuration()

    def _use_configuration(self) -> None:
        """The configurations in the log may have changed: the node uses the latest one, committed or not."""
        index, configuration = self._effective_configuration()
        if index != self.configuration_index or configuration != self.configuration:
            self._events.append(self._reporter.configuration_used(self.now_us, index, configuration))
            self._set_configuration(index, configuration)

    def _effective_configuration(self) -> tuple[int, Configuration]:
        return self._configurations.latest

    def _set_configuration(self, index: int, configuration: Configuration) -> None:
        self.configuration_index = index
        """The index of its entry; 0 for that with which the cluster began."""
        self.configuration = configuration
        members = configuration.members
        self.peers = tuple(node for node in self.others if node in members)
        """The other members, in the order of `others`."""
        self.other_voters = tuple(node for node in self.peers if configuration.is_voter(node))
        self._electorates = configuration.electorates

    # ---- reports ----------------------------------------------------------------------------------------------------

    def _recover(self, recovered: Recovered) -> None:
        """Takes over the state from disk, and reports all of it."""
        snapshot = self.snapshot = recovered.snapshot
        if snapshot is not None:
            self.log = self._log_from(snapshot.index, snapshot.term, snapshot.digest)
            # It is of committed entries. The state machine is empty yet: the first Ready gives it the snapshot.
            self.commit_index = self._apply_limit = snapshot.index
            self._configurations.replace(snapshot.configuration_index, snapshot.configuration)
        # Report at once: the state from disk is durable. An entry may leave the memory again once it is reported.
        log, appended = self.log, self._reporter.entry_appended
        entries = list[Event]()
        for entry in recovered.entries:
            index = log.append(entry, 0)
            if self.reports_entries:
                entries.append(appended(self.now_us, index, log))
            if index % RECOVERED_AT_ONCE == 0:
                log.mark_durable(0)
            if is_configuration(entry.command):
                self._configurations.append(index, decode_configuration(entry.command))
        log.mark_durable(0)
        self._events.append(self._reporter.started(self.now_us, self.current_term, self.voted_for, log))
        self._use_configuration()
        self._events += entries
        if recovered.commit_index > self.commit_index:
            self.commit_index = self._apply_limit = recovered.commit_index
            self._events.append(self._reporter.commit_advanced(self.now_us, self.commit_index, self.current_term))

    def _log_from(self, base_index: int, base_term: int, base_digest: str) -> Log:
        cache_bytes = self.features.cache_bytes or CACHE_BYTES
        return Log(base_index, base_term, base_digest, source=self._source, cache_bytes=cache_bytes)

    def _report_role(self) -> None:
        event = self._reporter.role_changed(self.now_us, self.role, self.current_term, self.leader)
        self._report(event, self._hard_state_lsn)

    def _report(self, event: Event, after_lsn: int) -> None:
        """Events claim that something is durable, so they wait like messages."""
        if after_lsn <= self._pending.durable_lsn:
            self._events.append(event)
        else:
            self._pending.hold(after_lsn, ReportEvent(event))
            self._made.append(event)
