"""All mutants by id. Each names the real system that had this bug, and the invariants that it violates."""

from __future__ import annotations

from raft_chaos.chaos.mutants.clocks import CLOCKS
from raft_chaos.chaos.mutants.commitment import COMMITMENT
from raft_chaos.chaos.mutants.elections import ELECTIONS
from raft_chaos.chaos.mutants.leadership import LEADERSHIP
from raft_chaos.chaos.mutants.membership import MEMBERSHIP
from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.chaos.mutants.old_entries import OLD_ENTRIES
from raft_chaos.chaos.mutants.pre_vote import PRE_VOTE
from raft_chaos.chaos.mutants.reads import READS
from raft_chaos.chaos.mutants.replication import REPLICATION
from raft_chaos.chaos.mutants.sessions import SESSIONS
from raft_chaos.chaos.mutants.snapshots import SNAPSHOTS
from raft_chaos.chaos.mutants.storage import STORAGE
from raft_chaos.chaos.mutants.transfer import TRANSFER

MUTANTS: dict[str, Mutant] = {
    mutant.id: mutant
    for mutant in (
        *ELECTIONS,
        *PRE_VOTE,
        *REPLICATION,
        *COMMITMENT,
        *READS,
        *LEADERSHIP,
        *MEMBERSHIP,
        *SNAPSHOTS,
        *STORAGE,
        *OLD_ENTRIES,
        *SESSIONS,
        *TRANSFER,
        *CLOCKS,
    )
}
