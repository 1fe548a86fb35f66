"""Mutants: our Raft with exactly one mistake. A mutant replaces one part by a subclass that overrides one small method.

Mutants test the checkers: each must be convicted by an invariant that its mistake violates. A sabotage is a mistake
that violates no invariant, but makes traces differ (`sabotage`).

Read `mutant` (the data), then the mistakes in `elections`, `pre_vote`, `replication`, `commitment`, `reads`,
`snapshots`, `storage`, `old_entries`, `sessions`, `transfer` and `clocks`; `catalogue` lists all of them.

Importing this package imports none of them: nodes without a mistake, which most are, do not have them in memory. Nor
does it import our Raft, which a command that only knows the mutants' names can do without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raft_chaos.chaos.mutants.catalogue import MUTANTS
    from raft_chaos.chaos.mutants.mutant import Mutant
    from raft_chaos.chaos.mutants.sabotage import SABOTAGES, Sabotage
    from raft_chaos.raft.server.parts import Parts

__all__ = ["MUTANTS", "SABOTAGES", "Mutant", "Sabotage", "parts_of"]

_PLACES = {"MUTANTS": "catalogue", "Mutant": "mutant", "SABOTAGES": "sabotage", "Sabotage": "sabotage"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def parts_of(mutant: str | None) -> Parts:
    """The parts of a node with that mutant or sabotage; the unmodified parts for None.

    Raises KeyError for an unknown id.
    """
    if mutant is None:
        from raft_chaos.raft.server.parts import Parts

        return Parts()
    from raft_chaos.chaos.mutants import catalogue, sabotage

    return (sabotage.SABOTAGES if mutant in sabotage.SABOTAGES else catalogue.MUTANTS)[mutant].parts
