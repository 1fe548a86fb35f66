"""The mutants and the sabotages."""

from __future__ import annotations

from docs.tools.reference.markdown import code, page, paragraphs, table
from raft_chaos.chaos.mutants import MUTANTS, SABOTAGES, sabotage


def text() -> str:
    mutants = [
        [code(m.id), m.mistake, m.source, ", ".join(_link(one) for one in m.invariants) or "nothing yet"]
        for m in MUTANTS.values()
    ]
    survivors = [[code(m.id), m.survives] for m in MUTANTS.values() if m.survives]
    shows = {"same world": "two runs in the same world", "lockstep": "sim and lockstep"}
    sabotages = [[code(s.id), s.mistake, shows[s.shows]] for s in SABOTAGES.values()]
    return page(
        "Mutants",
        "Mistakes for `raft-chaos run --mutant ID`: our Raft with exactly one of them. A violation of any of the named "
        "invariants convicts a mutant; the first is the typical one.",
        "chaos/mutants",
        table(["mutant", "mistake", "where it was found", "convicted by"], mutants),
        *(["Some survive campaigns:", table(["mutant", "why"], survivors)] if survivors else []),
        "## Sabotages",
        *paragraphs(sabotage)[:2],
        "They are for [`raft-chaos selfcheck --mutant ID`](../determinism.md).",
        table(["sabotage", "mistake", "makes these traces differ"], sabotages),
    )


def _link(invariant: str) -> str:
    return f"[{invariant}](invariants.md#{invariant})"
