"""What a system under test, and the network between its nodes, can do: a set of declared names, an ability each.

Nothing is guessed. A schedule is drawn from what is declared (`chaos.schedule.fitting`), a saved one that asks for more
is refused, and what a missing ability would have shown is not judged: unsupported is unknown, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

Ability: TypeAlias = Literal[
    "get",
    "put",
    "append",
    "cas",
    "delete",
    "enqueue",
    "dequeue",
    "exactly_once",
    "kill",
    "stop",
    "wipe",
    "lossy_disk",
    "pause",
    "slow_sync",
    "disk_error",
    "damage",
    "clock",
    "transfer",
    "cut",
    "delay",
    "loss",
    "duplicate",
    "reorder",
    "clog",
    "throttle",
    "reset",
    "corrupt",
    "checksum",
    "heartbeats",
    "leader",
    "term",
    "events",
    "repeats",
    "reads",
    "members",
]

ABILITIES: dict[Ability, str] = {
    "get": "reads a key",
    "put": "writes a key",
    "append": "appends to the list at a key",
    "cas": "writes a key if it has the expected value",
    "delete": "removes a key",
    "enqueue": "puts an element into a queue",
    "dequeue": "takes an element out of a queue, or finds it empty",
    "exactly_once": "each element comes out of a queue once at most, whatever happens",
    "kill": "keeps what it acknowledged when its nodes are killed (SIGKILL) and start again",
    "stop": "its nodes end by themselves, with a clean exit code, when they are asked to (SIGTERM), and lose nothing",
    "wipe": "a minority of its nodes may lose their data folders, and come back as new, empty nodes",
    "lossy_disk": "keeps what it acknowledged also if a kill takes what a node has not synced, as a power failure does",
    "pause": "its nodes may be stopped for a while (SIGSTOP)",
    "slow_sync": "its nodes can make their own syncs slow",
    "disk_error": "its nodes can make their own disks fail; they then end, and lose nothing that was synced",
    "damage": "its nodes find damage to their data when they start, and refuse to",
    "clock": "its nodes live by clocks of their own, which the harness can make wrong",
    "transfer": "its leader hands over to another node when it is asked to",
    "cut": "links between its nodes can be cut, each direction alone",
    "delay": "what its nodes send to each other can be delayed",
    "loss": "single messages between its nodes can be lost",
    "duplicate": "single messages between its nodes can arrive twice",
    "reorder": "messages between its nodes can overtake each other",
    "clog": "links between its nodes can hold all messages for a while, and then let go of them at once",
    "throttle": "links between its nodes can be slow: so many bytes per second",
    "reset": "connections between its nodes can be broken",
    "corrupt": "single bits of what its nodes send to each other can flip",
    "checksum": "its nodes have a checksum of their own for what they send to each other, and close a connection that "
    "brings a wrong one",
    "heartbeats": "its nodes send to each other all the time, so a cut that held nothing back did not work",
    "leader": "its nodes say which of them leads",
    "term": "its nodes say in which term",
    "events": "its nodes report events, so that every invariant of Raft is judged",
    "repeats": "it recognises a command that it has seen before (§8), so clients may send one again",
    "reads": "serves reads without a log entry: linearizable ones (read_index), and from any node's own state (stale)",
    "members": "its nodes can leave the cluster and come back while it works (§6)",
}
"""Each ability, and what it means when a target declares it."""

Abilities: TypeAlias = frozenset[Ability]

OPERATIONS: tuple[Ability, ...] = ("get", "put", "append", "cas", "delete")
OF_LIN_KV: tuple[Ability, ...] = ("get", "put", "cas")
"""The operations of Maelstrom's workload lin-kv."""
OF_QUEUES: tuple[Ability, ...] = ("enqueue", "dequeue")
"""The operations on queues; the others are on keys. A workload of queues needs both."""
ALL: Abilities = frozenset(get_args(Ability)) - {*OF_QUEUES, "exactly_once"}
"""All abilities but those of queues."""
OF_NETWORKS: tuple[Ability, ...] = (
    "cut",
    "delay",
    "loss",
    "duplicate",
    "reorder",
    "clog",
    "throttle",
    "reset",
    "corrupt",
)
"""The abilities of the network between the nodes; all others are those of the nodes themselves."""

OURS: Abilities = ALL.difference(OF_NETWORKS, ("wipe", "lossy_disk"))
"""What the nodes of our own Raft can do: all but to lose their disks, which is outside of Raft's promise. What is not
synced they lose by themselves (`raft.storage.fault_disk`)."""

OF_NETWORK: dict[str, Abilities] = {
    "frames": frozenset(("cut", "delay", "loss", "duplicate", "reorder", "corrupt")),
    "tcp": frozenset(("cut", "delay", "clog", "throttle", "reset", "corrupt")),
    "netns": frozenset(OF_NETWORKS) - {"corrupt"},
    "messages": frozenset(("cut", "delay", "loss", "duplicate", "reorder")),
    "none": frozenset(),
}
"""What each network between real processes can do to a link. A stream of bytes that loses some is no stream any more,
so `tcp` neither loses nor reorders. The kernel would discard a corrupted packet, since its TCP checksum is wrong: with
`netns` that would be a loss, which is there already."""

DISKS = ("kept", "lossy")
"""What a kill does to the data that a node has not synced: it stays, or is lost as at a power failure."""

OF_VIRTUAL_NETWORK: Abilities = frozenset(OF_NETWORKS).difference(("throttle",))
"""What the network in virtual time can do to a link."""


def with_disk(abilities: Abilities, disk: str | None) -> Abilities:
    """These abilities, but a kill takes what is not synced ("lossy") or leaves it ("kept"); None changes nothing."""
    if disk is None:
        return abilities
    return abilities | {"lossy_disk"} if disk == "lossy" else abilities - {"lossy_disk"}


def in_order(abilities: Iterable[Ability]) -> list[Ability]:
    """The abilities, each once, in the order of `ABILITIES`."""
    chosen = set(abilities)
    return [ability for ability in ABILITIES if ability in chosen]
