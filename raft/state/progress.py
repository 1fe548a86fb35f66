"""What a leader knows about one follower, and how much it may send to it."""

from __future__ import annotations

import msgspec


class Progress(msgspec.Struct):
    """What a leader knows about one follower (Figure 2, volatile state on leaders).

    Invariant: `match_index < next_index`. While `probing`, one message is in flight at a time, since next_index is a
    guess; afterwards messages follow each other without waiting for replies (pipelining), and next_index runs ahead.
    """

    next_index: int
    match_index: int = 0
    probing: bool = True
    probe_sent: bool = False

    def is_paused(self, max_entries_in_flight: int) -> bool:
        """Whether entries must wait: for the reply to a probe, or, in a pipeline, until fewer are in flight.

        A heartbeat goes out anyway: it is small, and it replaces a lost probe. (The name and the two reasons are those
        of `Progress.IsPaused` in etcd's raft library, tracker/progress.go.)
        """
        if self.probing:
            return self.probe_sent
        return self.next_index - 1 - self.match_index >= max_entries_in_flight
