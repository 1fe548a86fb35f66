"""Partitions as data: pure functions that make a grudge, which says who does not hear whom (Jepsen's term).

A grudge maps a receiver to the senders whose frames it is denied; a node that is not a receiver in it hears all nodes.
It may name roles (`names.ROLES`) such as "leader", the leader when the fault fires; `resolve` replaces these by nodes,
and `cut_links` lists the directed links that are then cut.

A shape's function takes the nodes and the generator to draw from. With n nodes, a majority is n // 2 + 1.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal, TypeAlias

from raft_chaos.chaos.faults.names import LEADER, OTHERS, Roles, named, unknown

Grudge: TypeAlias = dict[str, list[str]]
"""Who does not hear whom: receiver -> the senders whose frames it is denied. May name roles."""

Shape: TypeAlias = Literal["halves", "one", "majority", "majorities_ring", "bridge", "isolate_leader", "one_way"]


def make(shape: Shape, nodes: list[str], rng: Random) -> Grudge:
    """A grudge of that shape among `nodes` (three or more, in any order), drawn from `rng`."""
    return _MAKERS[shape](nodes, rng)


# ---- the shapes --------------------------------------------------------------------------------------------------


def halves(nodes: list[str], rng: Random) -> Grudge:
    """Two random groups of n // 2 and the rest; neither hears the other. With n even, nobody has a majority."""
    drawn = rng.sample(nodes, len(nodes))
    middle = len(nodes) // 2
    return apart([drawn[:middle], drawn[middle:]])


def one(nodes: list[str], rng: Random) -> Grudge:
    """One random node is cut off from all the others."""
    alone = rng.choice(nodes)
    return apart([[alone], [node for node in nodes if node != alone]])


def majority(nodes: list[str], rng: Random) -> Grudge:
    """A random smallest majority stays together; each of the remaining nodes is alone.

    No second group can form, and one more failure in the majority stops the cluster.
    """
    drawn = rng.sample(nodes, len(nodes))
    size = majority_of(len(nodes))
    return apart([drawn[:size], *([node] for node in drawn[size:])])


def majorities_ring(nodes: list[str], rng: Random) -> Grudge:
    """Every node hears a majority, and no two hear the same one: itself and its neighbours in a random ring (Jepsen's
    majorities-ring). If the majority is even, a node hears one more neighbour before it than after it."""
    ring = rng.sample(nodes, len(nodes))
    size = majority_of(len(nodes))
    grudge: Grudge = {}
    for place, node in enumerate(ring):
        heard = [ring[(place - size // 2 + step) % len(ring)] for step in range(size)]
        grudge[node] = [other for other in ring if other not in heard]
    return grudge


def bridge(nodes: list[str], rng: Random) -> Grudge:
    """Two random groups of (n - 1) // 2 and the rest, and one node that exchanges frames with both."""
    _bridge, *drawn = rng.sample(nodes, len(nodes))
    half = len(drawn) // 2
    return apart([drawn[:half], drawn[half:]])


def isolate_leader(nodes: list[str], rng: Random) -> Grudge:
    """The leader is cut off from all the others, in both directions. Draws nothing."""
    return {LEADER: [OTHERS], OTHERS: [LEADER]}


def one_way(nodes: list[str], rng: Random) -> Grudge:
    """The others do not hear one node, but it hears them; or the reverse. Half of the time the node is the leader.

    If a leader hears nobody, but the others hear it, its followers call no election and it cannot commit. If a follower
    hears nobody, but the others hear it, each of its elections raises the others' terms (§5.2).
    """
    node, rest = LEADER, [OTHERS]
    if rng.random() < 0.5:
        node = rng.choice(nodes)
        rest = [other for other in nodes if other != node]
    if rng.random() < 0.5:
        return {node: rest}
    return {other: [node] for other in rest}


_MAKERS: dict[Shape, Callable[[list[str], Random], Grudge]] = {
    "halves": halves,
    "one": one,
    "majority": majority,
    "majorities_ring": majorities_ring,
    "bridge": bridge,
    "isolate_leader": isolate_leader,
    "one_way": one_way,
}

SHAPES: tuple[Shape, ...] = tuple(_MAKERS)


# ---- using one ---------------------------------------------------------------------------------------------------


def names_in(grudge: Grudge) -> list[str]:
    """All nodes and roles that it names, each once."""
    return list(dict.fromkeys([*grudge, *(sender for senders in grudge.values() for sender in senders)]))


def resolve(grudge: Grudge, nodes: list[str], roles: Roles) -> dict[str, list[str]]:
    """The grudge with roles replaced by nodes, in the order of `nodes`. No node is denied its own frames.

    Empty if nobody is known to have one of the roles: the caller may wait until somebody has.
    """
    if unknown(names_in(grudge), roles):
        return {}

    denied: dict[str, list[str]] = {node: [] for node in nodes}
    for receiver, senders in grudge.items():
        for node in named([receiver], roles):
            denied[node].extend(named(senders, roles))
    resolved = {
        node: [other for other in nodes if other in senders and other != node] for node, senders in denied.items()
    }
    return {node: senders for node, senders in resolved.items() if senders}


def cut_links(grudge: dict[str, list[str]]) -> list[tuple[str, str]]:
    """The directed links (sender, receiver) that a resolved grudge cuts, sorted."""
    return sorted((sender, receiver) for receiver, senders in grudge.items() for sender in senders)


def majority_of(count: int) -> int:
    """How many of `count` nodes are a majority."""
    return count // 2 + 1


def apart(groups: list[list[str]]) -> Grudge:
    """No node hears a node of another group (Jepsen's complete grudge)."""
    return {
        node: [other for rest in groups if rest is not group for other in rest] for group in groups for node in group
    }
