"""Finds the target that a user names: our own Raft, one of its mutants, a command line, or a described system.

That kind of target alone is imported: the others bring what parses descriptions, and fills in command lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from raft_chaos.chaos.faults.abilities import with_disk
from raft_chaos.chaos.targets.protocol import NetworkName, Target, TargetError
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.raft.state.timing import Timing

if TYPE_CHECKING:
    from raft_chaos.chaos.targets.certificates import Certificates

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
        from raft_chaos.chaos.targets.command import CommandTarget

        return CommandTarget(command, cast(NetworkName, network or "frames"), disk)
    if name is None:
        return RaftTarget(timing, mutant, certificates)
    if name.startswith(STDIO):
        return _stdio(name.removeprefix(STDIO), disk)
    file = Path(name)
    if file.suffix == ".toml":
        return _described(file, network, disk)
    if file.is_dir() or (file.is_file() and file.suffix):
        what = "a folder" if file.is_dir() else "no target file"
        raise TargetError(f"{name} is {what}; expected a file that ends in .toml, module:Class, or an installed name")
    return _of_class(name, network, disk)


def _stdio(command: str, disk: str | None) -> Target:
    from raft_chaos.chaos.targets.stdio import StdioTarget

    return StdioTarget(command, declared=with_disk(frozenset(), disk))


def _of_class(name: str, network: str | None, disk: str | None) -> Target:
    """A class, or what an installed package offers by this name."""
    from raft_chaos.chaos.targets import class_names
    from raft_chaos.chaos.targets.python_class import ClassTarget

    return ClassTarget(name, class_names.load(name), network, disk)


def _described(file: Path, network: str | None, disk: str | None) -> Target:
    """The system that a file describes: nodes with an HTTP API, or on stdin and stdout."""
    from raft_chaos.chaos.targets import description
    from raft_chaos.chaos.targets.described import DescribedTarget
    from raft_chaos.chaos.targets.stdio import described_by

    described = description.load(file)
    if described.protocol == "maelstrom":
        return described_by(described, file, disk)
    chosen = cast(NetworkName, network or described.network)
    return DescribedTarget(described, described.name or file.stem, chosen, file.parent, disk)
