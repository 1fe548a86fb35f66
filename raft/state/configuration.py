"""Which nodes are members of the cluster, and which sets of them decide (§6; thesis, chapter 4).

A configuration is an entry of the log. Its command begins with a byte with which no client's command begins. A node
uses the latest configuration in its log, committed or not, so `Configurations` follows the log: an entry that is
deleted takes its configuration with it, and a snapshot brings the one that its prefix ends with.

Before the first such entry the cluster has the configuration with which all of its nodes were started.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, TypeAlias

import msgspec

from raft_chaos.invariants.events import MALFORMED, Members
from raft_chaos.raft.state.configuration_mark import MARK, is_configuration

MOST_NAMES, LONGEST_NAME = 1_000, 256

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
_Names = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=MOST_NAMES)]
_Voters = Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1, max_length=MOST_NAMES)]

Index: TypeAlias = int

TRY_AGAIN = "try again"
"""How the reason of a refusal ends that may not last."""
NO_MEMBER, IS_MEMBER, IS_VOTER = "it is no member", "it is a member already", "it votes already"
"""How the reason of a refusal ends if all is as it was asked for."""


class Configuration(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """`voters` elect and commit. In joint consensus (§6) `old_voters` must agree, too: a majority of each of the two.
    `learners` get the log, and have no vote (thesis, §4.2.1)."""

    voters: _Voters
    old_voters: _Names = ()
    learners: _Names = ()

    @property
    def is_joint(self) -> bool:
        return bool(self.old_voters)

    @property
    def electorates(self) -> tuple[tuple[str, ...], ...]:
        """The sets of which each must give a majority."""
        return (self.voters, self.old_voters) if self.old_voters else (self.voters,)

    @property
    def members(self) -> frozenset[str]:
        """All nodes that get the log."""
        return frozenset((*self.voters, *self.old_voters, *self.learners))

    def is_voter(self, node: str) -> bool:
        return node in self.voters or node in self.old_voters

    @property
    def after_joint(self) -> Configuration:
        """The new configuration alone, which ends joint consensus."""
        return Configuration(self.voters, (), self.learners)

    def as_members(self) -> Members:
        """The same, as events report it."""
        return Members(voters=self.voters, old_voters=self.old_voters, learners=self.learners)


class Change(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="change"):
    """What a client asks for: nodes that become learners, learners that become voters, members that leave."""

    add: _Names = ()
    promote: _Names = ()
    remove: _Names = ()

    def __str__(self) -> str:
        asked = {"add": self.add, "promote": self.promote, "remove": self.remove}
        return ", ".join(f"{verb} {' '.join(nodes)}" for verb, nodes in asked.items() if nodes) or "no change"

    def applied_to(self, configuration: Configuration, known: Collection[str]) -> Configuration:
        """The configuration with these changes; `known` are all nodes that can be members.

        Raises ChangeError, which says what is wrong and what to do instead.
        """
        voters, learners = list(configuration.voters), list(configuration.learners)
        named = (*self.add, *self.promote, *self.remove)
        if not named:
            raise ChangeError("nothing is asked for; name the nodes to add, promote or remove")
        for node in named:
            if named.count(node) > 1:
                raise ChangeError(f"{node} is named twice")
            if node not in known:
                raise ChangeError(f"{node} is unknown; there are {', '.join(in_order(known))}")
        for node in self.add:
            if node in configuration.members:
                raise ChangeError(f"add {node}: {IS_MEMBER}")
            learners.append(node)
        for node in self.promote:
            if node in voters:
                raise ChangeError(f"promote {node}: {IS_VOTER}")
            if node not in learners:
                raise ChangeError(f"promote {node}: it is no member yet; add it first")
            learners.remove(node)
            voters.append(node)
        for node in self.remove:
            if node not in configuration.members:
                raise ChangeError(f"remove {node}: {NO_MEMBER}")
            (learners if node in learners else voters).remove(node)
        if not voters:
            raise ChangeError("the cluster would have no voters left")
        return Configuration(in_order(voters), (), in_order(learners))


class ChangeError(Exception):
    """A change of the configuration is refused. The message says why, and what to do instead."""


def is_satisfied(refusal: str) -> bool:
    """Whether a change of one node is refused since it is done already."""
    return refusal.endswith((NO_MEMBER, IS_MEMBER, IS_VOTER))


class Configurations:
    """Those in a node's log, with their indices, in order; the first is that of the log's base.

    The configuration before any entry has index 0.
    """

    __slots__ = ("_all", "_first")

    def __init__(self, first: Configuration) -> None:
        self._first = first
        self._all: list[tuple[Index, Configuration]] = [(0, first)]

    @property
    def latest(self) -> tuple[Index, Configuration]:
        return self._all[-1]

    @property
    def before_latest(self) -> Configuration | None:
        """The one before the latest; None if that is the first in the log, or its base."""
        return self._all[-2][1] if len(self._all) > 1 else None

    def after(self, index: Index) -> Index | None:
        """The index of the first one behind `index`."""
        return next((at for at, _ in self._all if at > index), None)

    def at(self, index: Index) -> tuple[Index, Configuration]:
        """The latest one up to `index`, which must not lie before the base."""
        return next(one for one in reversed(self._all) if one[0] <= index)

    def append(self, index: Index, configuration: Configuration) -> None:
        self._all.append((index, configuration))

    def truncate(self, from_index: Index) -> None:
        """The entries from `from_index` on are deleted."""
        while len(self._all) > 1 and self._all[-1][0] >= from_index:
            self._all.pop()

    def compact(self, index: Index) -> None:
        """The log begins behind `index` from now on."""
        base = self.at(index)
        self._all = [base, *(one for one in self._all if one[0] > index)]

    def replace(self, index: Index, configuration: Configuration | None) -> None:
        """The log is empty behind a snapshot, whose latest configuration this is; None if it has none."""
        self._all = [(index, configuration) if configuration is not None else (0, self._first)]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Configuration).decode
_decode_change = msgspec.msgpack.Decoder(Change).decode


def encode_configuration(configuration: Configuration) -> bytes:
    """The command of its entry."""
    return MARK + _encode(configuration)


def decode_configuration(command: bytes) -> Configuration:
    """Raises ValueError for a damaged one."""
    try:
        return _decode(memoryview(command)[1:])
    except MALFORMED as error:
        raise ValueError(f"a configuration cannot be decoded: {error}") from None


def unknown_members(commands: Iterable[bytes], known: Collection[str]) -> list[str]:
    """The members that the configurations among these commands name, and that are not `known`. Raises ValueError for a
    damaged one."""
    named = (decode_configuration(command).members for command in commands if is_configuration(command))
    return sorted({name for members in named for name in members}.difference(known))


def encode_change(change: Change) -> bytes:
    """What a client submits in place of a command."""
    return MARK + _encode(change)


def decode_change(submitted: bytes) -> Change | None:
    """The change that a client submitted; None if it is a command. Raises ValueError for a damaged one."""
    if not submitted.startswith(MARK):
        return None
    try:
        return _decode_change(memoryview(submitted)[1:])
    except MALFORMED as error:
        raise ValueError(f"a change of the members cannot be decoded: {error}") from None


def first_configuration(nodes: Iterable[str], voters: int = 0) -> Configuration:
    """That of a new cluster: all of its nodes vote, or only the first so many."""
    names = in_order(nodes)
    return Configuration(names[:voters] if voters else names)


def in_order(nodes: Iterable[str]) -> tuple[str, ...]:
    """In the order of their names, n2 before n10."""
    return tuple(sorted(nodes, key=lambda node: (len(node), node)))
