"""A run at one moment, as a live view shows it: the controller's own (`run`), or one of another process (`follow`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raft_chaos.invariants.verdict import Violation


@dataclass(frozen=True)
class NodeLine:
    """One node as the live view shows it."""

    name: str
    state: str
    role: str
    incarnation: int
    term: int
    commit_index: int
    applied_index: int


@dataclass(frozen=True)
class RunStatus:
    """A run at one moment, as the live view shows it. `left_s` is an estimate."""

    seed: int
    phase: str
    elapsed_s: float
    left_s: float
    nodes: list[NodeLine]
    faults: list[str]
    ops: dict[str, int]
    events: int
    violations: list[Violation]


@dataclass
class Watch:
    """An observer of a run: called regularly with a status, and at once with each violation."""

    progress: Callable[[RunStatus], None] = lambda status: None
    violation: Callable[[Violation], None] = lambda violation: None
    every_s: float = 0.25
