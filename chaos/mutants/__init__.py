"""Our Raft with exactly one mistake: each mutant puts a subclass that overrides one small method in one part's place.

A mutant is how the judges are judged: it must be convicted, by the invariant that its mistake breaks. A sabotage is a
mistake that breaks no invariant but the comparison of traces (`sabotage`).

Read `mutant` (what one is), then the mistakes in `elections`, `replication`, `commitment` and `reads`; `catalogue` has
them all.
"""

from __future__ import annotations

from raft_chaos.chaos.mutants.catalogue import MUTANTS
from raft_chaos.chaos.mutants.mutant import Mutant
from raft_chaos.chaos.mutants.sabotage import SABOTAGES, Sabotage
from raft_chaos.raft.server.node import Parts

__all__ = ["MUTANTS", "SABOTAGES", "Mutant", "Sabotage", "parts_of"]


def parts_of(mutant: str | None) -> Parts:
    """The parts of a node with that mistake, a mutant or a sabotage; the right ones for None.

    Raises KeyError for an unknown id.
    """
    if mutant is None:
        return Parts()
    return SABOTAGES[mutant].parts if mutant in SABOTAGES else MUTANTS[mutant].parts
