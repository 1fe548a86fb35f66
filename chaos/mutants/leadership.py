"""Mistakes in transfers of the leadership (Ongaro's thesis, §3.10)."""

from __future__ import annotations

from msgspec.structs import replace

from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.raft.core import Core
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.messages import TimeoutNow


class TransferToStaleLog(Core):
    def _has_all(self, peer: str) -> bool:
        return True


class TransferNeverGivenUp(Core):
    def _gives_up(self) -> bool:
        return False


class TransferAsksForPreVotes(Core):
    def _on_timeout_now(self, m: TimeoutNow) -> None:
        if m.term == self.current_term and self.role == "follower" and self.configuration.is_voter(self.node):
            self._campaign()


class TransferNeverDone(Core):
    def _has_all(self, peer: str) -> bool:
        return False


class OldTimeoutNow(Core):
    def _on_timeout_now(self, m: TimeoutNow) -> None:
        super()._on_timeout_now(replace(m, term=self.current_term))


LEADERSHIP = (
    Mutant(
        "transfer_to_stale_log",
        "a leader that hands over does not wait until the target has all of its log",
        "Redpanda #2606",
        ("leadership_transfer",),
        Parts(core=TransferToStaleLog),
    ),
    Mutant(
        "transfer_never_given_up",
        "a leader whose transfer has failed takes no proposals until another node leads",
        "openraft #2088",
        ("recovery", "liveness_under_fault"),
        Parts(core=TransferNeverGivenUp),
    ),
    Mutant(
        "transfer_asks_for_pre_votes",
        "a node that is told to stand for election first asks whether it would win: nobody would vote for it who hears "
        "the leader",
        "RedisLabs/raft #88",
        ("election_timer", "recovery"),
        Parts(core=TransferAsksForPreVotes),
    ),
    Mutant(
        "transfer_never_done",
        "a leader agrees to hand over, and never tells the target to stand",
        "classic",
        ("recovery",),
        Parts(core=TransferNeverDone),
    ),
    Mutant(
        "old_timeout_now",
        "a node stands for election when it is told to by a leader of an earlier term, which leads no longer",
        "a classic omission of the thesis, §3.10",
        ("election_timer", "pre_vote", "leader_stickiness"),
        Parts(core=OldTimeoutNow),
    ),
)
