"""The nodes of a cluster, those of them that vote, and which sets of these decide (§5.2, §5.3, §6)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from raft_chaos.invariants.events import Members


class Configuration:
    """The `nodes` of a cluster, and its first members: all of them vote, or only `first_voters`.

    A node may later use other members, which it reports. Voters decide if they are a majority, and while old and new
    voters are joint, a majority of each of the two. Any two such sets have a node in common.
    """

    def __init__(self, nodes: Sequence[str], first_voters: Sequence[str] = ()) -> None:
        self.nodes = tuple(nodes)
        self.first = Members(voters=tuple(first_voters) or self.nodes)
        self.all_vote = len(self.first.voters) == len(self.nodes)
        self._majority = len(self.nodes) // 2 + 1

    def is_quorum(self, nodes: Collection[str], members: Members | None = None) -> bool:
        """Whether these nodes, each named once, are enough to elect and to commit, by these members or the first."""
        if self.all_vote and (members is None or members is self.first):
            return len(nodes) >= self._majority
        return decide(members or self.first, nodes)

    def share(self, nodes: Collection[str], members: Members | None = None) -> str:
        """For a message: which of the voters these are, and how many it takes."""
        used = members or self.first
        who = " and ".join(nodes) if nodes else "no node"
        if used.old_voters:
            return f"{who} ({_share(used.old_voters, nodes)} old voters; {_share(used.voters, nodes)} new voters)"
        return f"{who} ({_share(used.voters, nodes)})"


def decide(members: Members, nodes: Collection[str]) -> bool:
    """Whether these nodes decide: a majority of the voters, and of the old ones too while they are joint (§6)."""
    voters, old = members.voters, members.old_voters
    return (not voters or _has_majority(voters, nodes)) and (not old or _has_majority(old, nodes))


def _has_majority(voters: Sequence[str], nodes: Collection[str]) -> bool:
    return 2 * sum(map(nodes.__contains__, voters)) > len(voters)


def _share(voters: Sequence[str], nodes: Collection[str]) -> str:
    return f"{sum(node in nodes for node in voters)} of {len(voters)}; a majority is {len(voters) // 2 + 1}"
