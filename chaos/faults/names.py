"""How a fault names the nodes that it hits: by id, or by the role that a node has when the fault fires.

`ROLES` lists the roles. A role may also be that of an earlier moment: "leader@f07" is the node that led when fault f07
struck, whoever leads now. So the faults of an episode can treat the same nodes in turn, although no seed knows which
ones these will be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from raft_chaos.chaos.faults.abilities import Ability

LEADER = "leader"
OTHERS = "others"
PIVOT = "pivot"
NEAR = "near"
FAR = "far"
VOTER = "voter"
NEWEST = "newest"
HOLDER = "holder"
LACKER = "lacker"
DISSENTER = "dissenter"

ROLES: dict[str, str] = {
    LEADER: "the leader",
    OTHERS: "all nodes but the leader",
    PIVOT: "the first follower after the leader in the ring of nodes",
    NEAR: "the followers after the pivot that make a smallest majority with it and the leader; none of three nodes",
    FAR: "all other followers",
    NEWEST: "the node whose last entry is the newest, if that is not committed",
    HOLDER: "the first follower that holds the leader's last entry",
    LACKER: "the first follower that lacks it",
    DISSENTER: "the first node that voted against the leader in its term",
    VOTER: "the node that granted the vote for which the fault waited",
}
PLACEHOLDERS = tuple(ROLES)
SINGLE = (LEADER, PIVOT, NEWEST, HOLDER, LACKER, DISSENTER, VOTER)
"""The roles of one node."""
OF_LEADERS = (LEADER, OTHERS, PIVOT, NEAR, FAR)
"""The roles that only ask who leads."""

Roles: TypeAlias = Mapping[str, Sequence[str]]
"""The nodes of each role, at one moment. A role that nobody is known to have is absent."""


def around(leader: str, nodes: Sequence[str]) -> dict[str, list[str]]:
    """The roles that follow from who leads.

    Two smallest majorities meet in the pivot alone if the number of nodes is odd: leader, pivot and near, and pivot and
    far. So do leader, pivot and near, and leader and far, in the leader alone. If it is even, they meet in both.
    """
    place = list(nodes).index(leader)
    ring = [*nodes[place + 1 :], *nodes[:place]]
    middle = len(nodes) // 2
    others = [node for node in nodes if node != leader]
    return {LEADER: [leader], OTHERS: others, PIVOT: ring[:1], NEAR: ring[1:middle], FAR: ring[middle:]}


def role_of(name: str) -> str:
    """The role that a name stands for, without the fault of "role@fault"; "" for the id of a node."""
    role = name.partition("@")[0]
    return role if role in ROLES else ""


def fault_of(name: str) -> str:
    """The fault at whose moment a name means its role: "f07" of "leader@f07"; "" if it means the present."""
    return name.partition("@")[2]


def unknown(names: Iterable[str], roles: Roles) -> bool:
    """Whether one of the names stands for a role that nobody is known to have."""
    return any(role_of(name) and name not in roles for name in names)


def asked_by(names: Iterable[str]) -> Iterator[Ability]:
    """What a target must tell the harness, so that these names mean nodes."""
    for role in map(role_of, names):
        if role:
            yield "leader" if role in OF_LEADERS else "events"


def named(names: Sequence[str], roles: Roles) -> list[str]:
    """The ids of the named nodes, each once, in the order in which they are first named."""
    return list(dict.fromkeys(node for name in names for node in roles.get(name, (name,))))


def group_of(names: Sequence[str], nodes: Sequence[str]) -> str:
    """A word for the group of named nodes: "leader", "one", "minority", "leader and majority", "all"."""
    if len(names) == 1:
        return names[0].partition("@")[0] if names[0] not in nodes else "one"
    several = sum(name in nodes for name in names)
    group = "all" if several == len(nodes) else "majority" if 2 * several > len(nodes) else "minority"
    return f"{LEADER} and {group}" if LEADER in names else group


def tally(names: Iterable[str]) -> str:
    """ "leader 3, one 2": most frequent first, then by name."""
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in counts)
