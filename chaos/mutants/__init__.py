"""Our Raft with exactly one mistake: each mutant puts a subclass that overrides one small method in one part's place.

A mutant is how the judges are judged: it must be convicted, by the invariant that its mistake breaks.
"""

from __future__ import annotations

from chaos.mutants.catalogue import MUTANTS
from chaos.mutants.mutant import Mutant
from raft.node import Parts

__all__ = ["MUTANTS", "Mutant", "parts_of"]


def parts_of(mutant: str | None) -> Parts:
    """The parts of a node with that mistake; the right ones for None. Raises KeyError for an unknown id."""
    return Parts() if mutant is None else MUTANTS[mutant].parts
