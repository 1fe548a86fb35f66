"""How a fault names the nodes that it hits: by id, or by the role that a node has when the fault fires.

"leader" is the leader at that time, "others" are all nodes but the leader, and "voter" (in a fault that is anchored to
"vote_granted") is the node that granted this vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

LEADER = "leader"
OTHERS = "others"
VOTER = "voter"
PLACEHOLDERS = (LEADER, OTHERS, VOTER)


def named(names: Sequence[str], nodes: Sequence[str], leader: str | None) -> list[str]:
    """The ids of the named nodes, each once, in the order in which they are first named."""
    meant: list[str] = []
    for name in names:
        if name == OTHERS:
            meant += [node for node in nodes if node != leader]
        else:
            meant.append(leader if name == LEADER and leader is not None else name)
    return list(dict.fromkeys(meant))


def group_of(names: Sequence[str], nodes: Sequence[str]) -> str:
    """A word for the group of named nodes: "leader", "one", "minority", "leader and majority", "all"."""
    if len(names) == 1:
        return names[0] if names[0] not in nodes else "one"
    several = sum(name in nodes for name in names)
    group = "all" if several == len(nodes) else "majority" if 2 * several > len(nodes) else "minority"
    return f"{LEADER} and {group}" if LEADER in names else group


def tally(names: Iterable[str]) -> str:
    """ "leader 3, one 2": most frequent first, then by name."""
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in counts)
