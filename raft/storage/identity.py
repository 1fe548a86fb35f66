"""Whose data folder it is."""

from __future__ import annotations

import msgspec

from raft_chaos.invariants.events import MALFORMED
from raft_chaos.raft.storage.disk import Disk
from raft_chaos.raft.storage.log_file import ADVICE, CorruptLogError

IDENTITY = "identity.json"


class Identity(msgspec.Struct, frozen=True):
    """The owner of a data folder. A node writes it after the log, so a folder with an identity must have a log too."""

    cluster: str
    node: str


def write_identity(disk: Disk, identity: Identity, files: list[str]) -> None:
    """Writes the file of an unused folder that has these files, and makes it durable."""
    staged = IDENTITY + ".new"
    if staged in files:
        disk.remove(staged)
    disk.append(staged, msgspec.json.encode(identity) + b"\n")
    disk.sync(staged)
    disk.rename(staged, IDENTITY)
    disk.sync_folder()


def check_identity(disk: Disk, identity: Identity) -> None:
    """Raises CorruptLogError if the folder is another node's."""
    name = disk.describe(IDENTITY)
    try:
        found = msgspec.json.decode(disk.read(IDENTITY), type=Identity)
    except MALFORMED as error:
        raise CorruptLogError(f"{name}, offset 0: {error}. {ADVICE}") from None
    if found != identity:
        raise CorruptLogError(
            f"{name}: this folder belongs to node {found.node!r} of cluster {found.cluster!r}, "
            f"not to node {identity.node!r} of cluster {identity.cluster!r}. Give each node a folder of its own."
        )
