"""A mutant as data."""

from __future__ import annotations

from dataclasses import dataclass

from raft_chaos.raft.server.parts import Parts

LOST_COMMIT = (
    "leader_completeness",
    "state_machine_safety",
    "committed_log_append_only",
    "acknowledged_writes",
    "linearizability",
)
"""What breaks once a committed entry is lost or replaced."""


@dataclass(frozen=True)
class Mutant:
    """`mistake` describes it, and `source` names the system and the issue where it was found.

    A violation of any of `invariants` convicts it; the first is the typical one. `survives` says why campaigns do not
    convict it yet; "" for all that they do convict.
    """

    id: str
    mistake: str
    source: str
    invariants: tuple[str, ...]
    parts: Parts
    survives: str = ""
