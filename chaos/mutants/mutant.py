"""What a mutant is, as data."""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.raft.server.node import Parts


@dataclass(frozen=True)
class Mutant:
    """`invariants` are the ones whose violation convicts it; the first is what it is known for."""

    id: str
    mistake: str
    source: str
    invariants: tuple[str, ...]
    parts: Parts
