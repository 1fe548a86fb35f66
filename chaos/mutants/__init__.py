"""Mutants: our Raft with exactly one mistake. A mutant replaces one part by a subclass that overrides one small method.

Mutants test the checkers: each must be convicted by an invariant that its mistake violates. A sabotage is a mistake
that violates no invariant, but makes traces differ (`sabotage`).

Read `mutant` (the data), then the mistakes in `elections`, `pre_vote`, `replication`, `commitment`, `reads`,
`snapshots`, `storage`, `old_entries`, `sessions`, `transfer` and `clocks`; `catalogue` lists all of them.
"""

from __future__ import annotations

from raft_chaos.chaos.mutants.catalogue import MUTANTS
from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.chaos.mutants.sabotage import SABOTAGES, Sabotage
from raft_chaos.raft.server.parts import Parts

__all__ = ["MUTANTS", "SABOTAGES", "Mutant", "Sabotage", "parts_of"]


def parts_of(mutant: str | None) -> Parts:
    """The parts of a node with that mutant or sabotage; the unmodified parts for None.

    Raises KeyError for an unknown id.
    """
    if mutant is None:
        return Parts()
    return SABOTAGES[mutant].parts if mutant in SABOTAGES else MUTANTS[mutant].parts
