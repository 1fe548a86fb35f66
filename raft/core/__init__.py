"""The Raft algorithm (Figure 2, §5), one file for each section of the paper. `core` defines the inputs and the output.

Each class extends the one before, and uses only those before it. Read in this order:

    base        the state of a node, its log, and what it sends and reports once that is durable
    terms       §5.1: the largest term wins
    commitment  §5.3, §5.4.2: what is committed, and what may be applied
    follower    §5.3: the consistency check, and the entries that are stored
    snapshot    §7: the state of the state machine in place of the entries that led to it
    leader      §5.3: heartbeats, entries or a snapshot for each follower, and their replies
    check_quorum    thesis §6.2: a leader without a majority steps down; who hears a leader heeds no candidate
    election    §5.2, §5.4.1: votes, and who may be elected
    pre_vote    thesis §9.6: whether an election would be won; what makes a node enter a larger term
    reads       §8: reads that need no entry (thesis, §6.4)
    membership  §6, thesis chapter 4: members join and leave, by joint consensus or one voter at a time
    lease       thesis §6.4.1: reads without a round of heartbeats, as long as no other leader can have been elected
    transfer    thesis §3.10: a leader hands over to a node of its choice
    core        inputs and output: the contract with the host
"""

from raft_chaos.raft.core.base import Random
from raft_chaos.raft.core.core import Core
from raft_chaos.raft.core.leader import NO_OP
from raft_chaos.raft.state.progress import Progress
from raft_chaos.raft.state.ready import Ready

ALGORITHM = 5
"""Grows when the core gives another output for the same inputs, since no earlier run can then be replayed. 1 had no
streams (`state.progress`), 2 no rounds (`core.reads`), 3 neither configurations nor transfers (`core.membership`,
`core.transfer`), and in 4 a node that had removed itself stood for no election, and a leader compacted its log while a
follower was getting a snapshot."""

__all__ = ["ALGORITHM", "Core", "Ready", "Progress", "Random", "NO_OP"]
