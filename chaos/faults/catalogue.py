"""All kinds of faults by name: the classes with a tag in the families' files, in the order of the files.

A new kind needs no line here: it is one class in its family's file, and a new family is one name in `families`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias, Union

from raft_chaos.chaos.faults.abilities import OF_NETWORK, OF_VIRTUAL_NETWORK, OURS
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.families import FAMILIES

FaultKind: TypeAlias = str
"""The name of a kind: "kill", "partition"."""


def _kinds() -> Iterator[type[Action]]:
    for family in FAMILIES:
        for value in vars(family).values():
            if isinstance(value, type) and issubclass(value, Action) and value.__module__ == family.__name__:
                yield value


KINDS: dict[FaultKind, type[Action]] = {kind.kind(): kind for kind in _kinds()}
FAULT_KINDS: tuple[FaultKind, ...] = tuple(KINDS)
LIVE_KINDS: tuple[FaultKind, ...] = tuple(
    name for name, kind in KINDS.items() if kind.in_live and kind.exists(OURS | OF_NETWORK["frames"])
)
"""The kinds that our own Raft suffers in real time: real processes with real clocks, behind a proxy."""
VIRTUAL_KINDS: tuple[FaultKind, ...] = tuple(
    name for name, kind in KINDS.items() if kind.exists(OURS | OF_VIRTUAL_NETWORK)
)
"""The kinds that exist in virtual time."""

if TYPE_CHECKING:
    AnyAction: TypeAlias = Action
else:
    AnyAction = Union[tuple(KINDS.values())]  # noqa: UP007 - there is no other way to write one that is computed
    """The actions that a schedule's file may hold, distinguished by "type"."""
