"""Lines of a node's log that say who became leader, found by a regular expression.

    [[events]]
    event = "leader_elected"
    file = "stderr"                                # or "stdout", or a path in the node's data folder
    pattern = 'became leader at term (?P<term>\\d+)'

The node that logs the line leads in `term`, unless a group `leader` (or `node`) names another one: by the text that
`named` gives for it. What such a line means is only known once `raft-chaos target check` has compared it with what the
cluster does, and has left a stamp for exactly this description of the target.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol, runtime_checkable

import msgspec

from raft_chaos.chaos.targets import template
from raft_chaos.chaos.targets.addresses import HOST
from raft_chaos.chaos.targets.template import TemplateError

OUTPUT = ("stdout", "stderr")
"""Both are appended to one file of the run, `stderr.log`."""
GROUPS = ("term", "leader", "node")
NAMED = ("node", "number", "host")
TERM_MOST = 1 << 53

CHECK_VERSION = 1
"""Grows when `target check` asks more of these lines than before: earlier stamps then no longer count."""


class LogLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One expression, and the file in which each node writes such lines."""

    pattern: str
    event: Literal["leader_elected"] = "leader_elected"
    file: str = "stderr"
    named: str = "{node}"

    def check(self, ports: tuple[str, ...]) -> None:
        """Raises TemplateError."""
        try:
            groups = re.compile(self.pattern).groupindex
        except (re.error, RecursionError, OverflowError) as error:
            raise TemplateError(f"pattern: {error}") from None
        if "term" not in groups:
            raise TemplateError("pattern: expected a group for the term, such as (?P<term>\\d+)")
        if unknown := [name for name in groups if name not in GROUPS]:
            raise TemplateError(f"pattern: group {unknown[0]!r}: {template.nearest(unknown[0], GROUPS)}")
        if {"leader", "node"} <= groups.keys():
            raise TemplateError("pattern: the groups leader and node mean the same; give one of them")
        path = PurePosixPath(self.file.removeprefix("{data}/"))
        if not self.file or path.is_absolute() or ".." in path.parts or not path.name or "{" in str(path):
            raise TemplateError(f'file: expected "stderr", "stdout" or a path in {{data}}, got {self.file!r}')
        template.check(self.named, (*NAMED, *(f"port.{port}" for port in ports)))

    def path(self, folder: Path) -> Path:
        """The file of the node that has this folder in the run."""
        return folder / "stderr.log" if self.file in OUTPUT else folder / "data" / self.file.removeprefix("{data}/")

    def nodes_by_name(
        self, nodes: Sequence[str], ports: Mapping[str, Mapping[str, int]], hosts: Mapping[str, str]
    ) -> dict[str, str]:
        """What lines call each node -> the node."""

        def fields(number: int, node: str) -> dict[str, object]:
            of_ports = {f"port.{name}": port for name, port in ports.get(node, {}).items()}
            return {"node": node, "number": number, "host": hosts.get(node, HOST), **of_ports}

        return {template.fill(self.named, fields(number, node)): node for number, node in enumerate(nodes, 1)}


@runtime_checkable
class SaysWhoLeads(Protocol):
    """A target whose nodes' logs say who became leader. `described_by` is what describes the target; b"" if that cannot
    be read, and then nothing is known of its lines."""

    @property
    def log_lines(self) -> tuple[LogLine, ...]: ...
    @property
    def described_by(self) -> bytes: ...


def log_lines_of(target: object) -> tuple[LogLine, ...]:
    return target.log_lines if isinstance(target, SaysWhoLeads) else ()


# ---- the stamp ---------------------------------------------------------------------------------------------------


def stamp_of(target: SaysWhoLeads) -> Path:
    """The file that says that `target check` has shown the lines of this description to be right."""
    digest = hashlib.sha256(b"log lines, check %d\n" % CHECK_VERSION + target.described_by).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    folder = cache if cache.is_absolute() else Path.home() / ".cache"
    return folder / "raft-chaos" / "checked" / digest


def is_checked(target: object) -> bool:
    try:
        return isinstance(target, SaysWhoLeads) and target.described_by != b"" and stamp_of(target).is_file()
    except (OSError, RuntimeError):
        return False  # there is no home folder, or nobody may look into it


def leave_stamp(target: SaysWhoLeads) -> Path:
    """Raises OSError or RuntimeError if it cannot be kept."""
    stamp = stamp_of(target)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    return stamp
