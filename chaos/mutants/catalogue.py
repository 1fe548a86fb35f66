"""The mutants by id, with where each mistake was made for real and what it breaks."""

from __future__ import annotations

from dataclasses import dataclass

from raft.core import Core
from raft.messages import HardState, RequestVote
from raft.node import Parts


class VoteNotPersisted(Core):
    def _hard_state(self) -> HardState:
        return HardState(self.current_term, None)


class NoUpToDateCheck(Core):
    def _is_up_to_date(self, m: RequestVote) -> bool:
        return True


class AckBeforeSync(Core):
    def _ack_needs_lsn(self, match_index: int) -> int:
        return 0


@dataclass(frozen=True)
class Mutant:
    """`invariants` are the ones whose violation convicts it; the first is what it is known for."""

    id: str
    mistake: str
    source: str
    invariants: tuple[str, ...]
    parts: Parts


MUTANTS: dict[str, Mutant] = {
    mutant.id: mutant
    for mutant in (
        Mutant(
            "vote_not_persisted",
            "voted_for is not written to disk: a restarted voter may vote again in the same term",
            "PySyncObj #84",
            ("one_vote_per_term", "election_safety"),
            Parts(core=VoteNotPersisted),
        ),
        Mutant(
            "no_up_to_date_check",
            "votes are granted to candidates whose log is behind the voter's",
            "a classic omission of §5.4.1",
            ("leader_completeness", "state_machine_safety", "acknowledged_writes"),
            Parts(core=NoUpToDateCheck),
        ),
        Mutant(
            "ack_before_sync",
            "an AppendEntries is acknowledged before its entries are durable",
            "PySyncObj #84",
            ("leader_completeness", "state_machine_safety", "acknowledged_writes"),
            Parts(core=AckBeforeSync),
        ),
    )
}
