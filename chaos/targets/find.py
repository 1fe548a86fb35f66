"""Finds the target that a user names: our own Raft, one of its mutants, a command line, or a described system."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec

from raft_chaos.chaos.faults.abilities import with_disk
from raft_chaos.chaos.targets import python_class
from raft_chaos.chaos.targets.certificates import Certificates
from raft_chaos.chaos.targets.command import CommandTarget
from raft_chaos.chaos.targets.described import DescribedTarget
from raft_chaos.chaos.targets.description import Description, load
from raft_chaos.chaos.targets.program import found_beside
from raft_chaos.chaos.targets.protocol import STOPPING, NetworkName, Target, TargetError
from raft_chaos.chaos.targets.python_class import ClassTarget
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.chaos.targets.stdio import StdioTarget
from raft_chaos.raft.state.timing import Timing

STDIO = "stdio:"
"""How the name of a target begins that is a command line of nodes on stdin and stdout."""


def find(
    timing: Timing,
    *,
    mutant: str | None = None,
    command: str | None = None,
    name: str | None = None,
    network: str | None = None,
    disk: str | None = None,
    certificates: Certificates | None = None,
) -> Target:
    """The target: a `command` line, what `name` says, or our own Raft with these times, or its `mutant`.

    `network` and `disk` replace the target's own choices; `certificates` are for our own Raft with TLS. Raises
    TargetError if there is no such target.
    """
    if command is not None:
        return CommandTarget(command, cast(NetworkName, network or "frames"), disk)
    if name is not None:
        return _named(name, network, disk)
    return RaftTarget(timing, mutant, certificates)


def _named(name: str, network: str | None, disk: str | None) -> Target:
    """A target's file, a class, or what an installed package offers by this name."""
    if name.startswith(STDIO):
        return StdioTarget(name.removeprefix(STDIO), declared=with_disk(frozenset(), disk))
    file = Path(name)
    if file.suffix != ".toml":
        if file.is_dir() or (file.is_file() and file.suffix):
            what = "a folder" if file.is_dir() else "no target file"
            raise TargetError(
                f"{name} is {what}; expected a file that ends in .toml, module:Class, or an installed name"
            )
        return ClassTarget(name, python_class.load(name), network, disk)
    described = load(file)
    if described.protocol == "maelstrom":
        return _stdio(described, file, disk)
    chosen = cast(NetworkName, network or described.network)
    return DescribedTarget(described, described.name or file.stem, chosen, file.parent, disk)


def _stdio(described: Description, file: Path, disk: str | None) -> StdioTarget:
    """The nodes on stdin and stdout that a file describes."""
    return StdioTarget(
        found_beside(described.words, file.parent),
        declared=with_disk(described.can, disk),
        name=described.name or file.stem,
        environment=described.environment,
        log_lines=described.events,
        described_by=msgspec.json.encode(described),
        rate=described.rate,
        stopping=described.stop or STOPPING,
    )
