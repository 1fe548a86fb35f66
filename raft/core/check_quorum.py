"""CheckQuorum (Ongaro's thesis, §6.2, §4.2.3): a leader that has lost its majority steps down, and a node that hears a
leader does not let candidates disturb it.

The second needs the first: voters that refuse candidates on behalf of a leader that can commit nothing would block the
others for ever. Both are off without the feature `check_quorum`.
"""

from __future__ import annotations

from operator import attrgetter

from raft_chaos.raft.core.leader import Leader

_contact_us = attrgetter("contact_us")


class CheckQuorum(Leader):
    """Who is heard by whom: a leader by its majority, and a follower's leader by the follower."""

    def _keep_leading(self) -> None:
        """Another heartbeat is due: a leader sends it if it still has its majority, or else steps down."""
        if self.features.check_quorum and not self._hears_majority():
            self._become_follower(self.current_term, leader=None)
        else:
            self._broadcast_heartbeat()

    def _hears_majority(self) -> bool:
        """Whether a majority, this node included, answered within the shortest election timeout.

        Any answer counts, a rejection too: it shows that the peer hears this leader and follows its term."""
        return self.now_us - self._reached(self.now_us, _contact_us) < self.timing.election_timeout_min_us

    def _is_settled(self) -> bool:
        """Whether this node leads, or has heard from a leader within the shortest election timeout: then no correct
        node's timer runs out, so whoever asks for its vote cannot reach the leader, or was removed (§6)."""
        if not self.features.check_quorum:
            return False
        return self.role == "leader" or self.now_us - self._heard_us < self.timing.election_timeout_min_us
