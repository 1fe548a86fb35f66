"""The result of a replay: everything is equal, or the first difference of each incarnation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from raft_chaos.raft.replica.inputs import Input
from raft_chaos.raft.replica.output import Output


class ReplayError(Exception):
    """The run cannot be replayed. The message names the file that is missing, or damaged at which offset."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first turn of an incarnation that differs from the recording. Turns count from 1, which is the start.

    `what` is a sentence. If an event differs, `recorded` and `now` are its lines (None if there is no line), and
    `fields` maps each differing field to its two values. `inputs` are the inputs of that turn, and `output` is the
    output now, if there is one. `at_us` is the time of the turn.
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
    """The replay of one node. `turns` and `events` count those that were equal. `differences` has one item per
    incarnation that differs, in order. `deaths` are the errors that incarnations died of, then and now."""

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
        """The differences of all nodes, in order of time."""
        return sorted((one for node in self.nodes for one in node.differences), key=lambda one: one.at_us)
