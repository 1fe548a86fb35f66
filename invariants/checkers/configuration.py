"""The nodes that vote, and which sets of them decide (§5.2, §5.3)."""

from __future__ import annotations

from collections.abc import Collection, Sequence


class Configuration:
    """A fixed set of voters. A set of them is a quorum if it is a majority: any two such sets have a node in common."""

    def __init__(self, voters: Sequence[str]) -> None:
        self.voters = tuple(voters)
        self.majority = len(self.voters) // 2 + 1

    def is_quorum(self, nodes: Collection[object]) -> bool:
        """Whether these voters, each named once, are enough to elect and to commit."""
        return len(nodes) >= self.majority

    def share(self, nodes: Collection[str]) -> str:
        """For a message: which of the voters these are, and how many it takes."""
        who = " and ".join(nodes) if nodes else "no node"
        return f"{who} ({len(nodes)} of {len(self.voters)}; a majority is {self.majority})"
