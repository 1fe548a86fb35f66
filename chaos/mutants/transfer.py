"""Mistakes between the wire and the algorithm."""

from __future__ import annotations

from raft_chaos.chaos.mutants.mutant import LOST_COMMIT, Mutant
from raft_chaos.raft.network.codec import FrameBuffer
from raft_chaos.raft.server.parts import Parts


class FrameChecksumIgnored(FrameBuffer):
    def _check(self, payload: bytes, checksum: int) -> None:
        pass


TRANSFER = (
    Mutant(
        "frame_checksum_ignored",
        "a message whose bits flipped on the way is taken, if it can still be decoded",
        "Amazon S3, July 2008 (gossip between servers)",
        (
            "log_matching",
            "quorum_log",
            "consistency_check",
            "election_safety",
            "leader_append_only",
            "leader_votes_quorum",
            "followed_leader",
            "one_vote_per_term",
            "term_has_candidate",
            "monotonicity",
            "durability",
            "recovery",
            "unexpected_exit",
            "monotonic_reads",
            *LOST_COMMIT,
        ),
        Parts(frames=FrameChecksumIgnored),
    ),
)
