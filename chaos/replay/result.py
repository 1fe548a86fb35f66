"""What a replay comes to: that all is equal, or where an incarnation first differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from raft_chaos.raft.replica.inputs import Input
from raft_chaos.raft.replica.replica import Output


class ReplayError(Exception):
    """The run cannot be replayed: says which file is missing, or damaged at which offset."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first turn of an incarnation that comes to something else now. Turns count from 1, which is the start.

    `what` says it in a sentence. Where an event differs, `recorded` and `now` are its lines (None: there is none), and
    `fields` the fields that differ, with both values. `inputs` are what the node took in that turn, and `output` what
    comes out of them now, if anything does.
    """

    node: str
    incarnation: int
    turn: int
    at_us: int
    inputs: Sequence[Input]
    what: str
    recorded: str | None = None
    now: str | None = None
    fields: dict[str, tuple[Any, Any]] = {}
    output: Output | None = None


class NodeReplay(msgspec.Struct, frozen=True, kw_only=True):
    """One node. `turns` and `events` are those that were found equal; `differences` has one for each incarnation that
    differs, in order, and `deaths` what incarnations died of, now as then."""

    node: str
    incarnations: int
    turns: int
    events: int
    deaths: list[str]
    differences: list[Difference]


class RunReplay(msgspec.Struct, frozen=True):
    """All nodes that were replayed."""

    nodes: list[NodeReplay]

    @property
    def differences(self) -> list[Difference]:
        """Of all nodes, in the order of time."""
        return sorted((one for node in self.nodes for one in node.differences), key=lambda one: one.at_us)
