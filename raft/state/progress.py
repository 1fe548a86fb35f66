"""What a leader knows about one follower, and how much it may send to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from zlib import crc32

from raft_chaos.raft.state.messages import Entry, Snapshot

UNLIMITED = 1 << 62
_command = attrgetter("command")


@dataclass(slots=True)
class Progress:
    """What a leader knows about one follower (Figure 2, volatile state on leaders).

    Invariant: `match_index < next_index`. While `probing`, one message is in flight at a time, since next_index is a
    guess; afterwards messages follow each other without waiting for replies (pipelining), and next_index runs ahead.

    What is sent from one move back of next_index to the next is a stream. Its number is in each request and comes back
    in a rejection: one of an earlier stream is outdated, since all that it rejects has been sent again.

    A pipeline breaks when the network loses or reorders a message: the follower rejects all that follow, so they were
    sent in vain. From then on at most half as many entries are in flight, and one more for each that the follower
    acknowledges (like TCP: RFC 5681). So however bad the network is, the entries sent in vain are at most twice those
    of the first flight and those acknowledged.

    `flight` has the last index and the bytes of commands of each message of the pipeline that is not acknowledged, and
    `bytes_in_flight` the sum: whatever a follower that is slow or dead is owed, the messages to it take no more memory.

    A follower whose next_index is not in the leader's log any more gets a `snapshot` instead (§7), in parts, one in
    flight at a time; `offset` is where the next part begins. Once it has begun to arrive, the transfer goes on although
    the leader may take newer snapshots meanwhile: what lies between is then in its log, or in the next transfer.

    `round` is the latest round of heartbeats of which the follower has answered a message (`core.reads`).

    A follower that has got a snapshot needs the entries behind it, up to `bridge`: all that the leader had when the
    snapshot arrived. The leader keeps these, unless the follower is silent (`core.leader.Leader.must_keep_log`).

    A learner catches up in rounds (thesis, §4.2.1): the present one began at `since_us`, and ends when the learner has
    all up to `goal`; 0 if no round runs.
    """

    next_index: int
    match_index: int = 0
    probing: bool = True
    probe_sent: bool = False
    stream: int = 0
    most_in_flight: int = UNLIMITED
    contact_us: int = 0
    """When it last answered in this term."""
    snapshot: Snapshot | None = None
    offset: int = 0
    checksum: int = 0
    bridge: int = 0
    round: int = 0
    goal: int = 0
    since_us: int = 0
    is_caught_up: bool = False
    flight: deque[tuple[int, int]] = field(default_factory=deque)
    bytes_in_flight: int = 0

    @property
    def may_begin_transfer(self) -> bool:
        """Whether no transfer is under way that still brings something."""
        return self.snapshot is None or self.snapshot.index <= self.match_index

    def begin_transfer(self, snapshot: Snapshot) -> None:
        """Begins to send this snapshot. What was in flight before is lost, or is covered by it."""
        self.snapshot, self.offset, self.checksum = snapshot, 0, crc32(snapshot.data)
        self.probing = self.probe_sent = True
        self._nothing_in_flight()

    def is_paused(self, max_entries_in_flight: int, max_bytes_in_flight: int = UNLIMITED) -> bool:
        """Whether entries must wait: for the reply to a probe, or, in a pipeline, until fewer are in flight.

        A heartbeat goes out anyway: it is small, and it replaces a lost probe. (The name and the two reasons are those
        of `Progress.IsPaused` in etcd's raft library, tracker/progress.go.)
        """
        if self.probing:
            return self.probe_sent
        if self.bytes_in_flight >= max_bytes_in_flight:
            return True
        return self._in_flight >= min(max_entries_in_flight, self.most_in_flight)

    def sends(self, entries: Sequence[Entry]) -> None:
        """These entries follow in the pipeline."""
        size = sum(map(len, map(_command, entries)))
        self.next_index += len(entries)
        self.flight.append((self.next_index - 1, size))
        self.bytes_in_flight += size

    def _nothing_in_flight(self) -> None:
        self.flight.clear()
        self.bytes_in_flight = 0

    @property
    def _in_flight(self) -> int:
        return self.next_index - 1 - self.match_index

    def matches_up_to(self, index: int) -> None:
        """The follower has acknowledged this. Acknowledgements may overtake each other; match_index never decreases."""
        if index > self.match_index:
            self.most_in_flight += index - self.match_index
            self.match_index = index
            while self.flight and self.flight[0][0] <= index:
                self.bytes_in_flight -= self.flight.popleft()[1]
        if index >= self.next_index - 1:  # otherwise, while probing, this does not answer the probe
            self.next_index = index + 1
            self.probing = False

    def move_back(self, next_index: int) -> None:
        """A new stream begins at `next_index`, with a probe."""
        if not self.probing:
            self.most_in_flight = max(1, self._in_flight // 2)
        self._nothing_in_flight()
        self.next_index = next_index
        self.stream += 1
        self.probing = True
        self.probe_sent = False
