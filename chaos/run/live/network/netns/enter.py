"""Brings a process into a node's network namespace, before its program begins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from raft_chaos.chaos.run.live.network.netns import kernel


class Namespace(NamedTuple):
    """A namespace that another process holds open: its number there, its inode, and the kind of namespace."""

    descriptor: int
    inode: int
    kind: int


@dataclass(frozen=True)
class Enter:
    """Called in the node's process, which must have one thread. It then has no right that it did not have before,
    except, until its program begins, in the user namespace."""

    node: str
    switch: int
    namespaces: tuple[Namespace, ...]

    def __call__(self) -> None:
        try:
            opened = [(self._open(one), one.kind) for one in self.namespaces]
            for descriptor, kind in opened:
                kernel.setns(descriptor, kind)
                os.close(descriptor)
        except OSError as error:
            raise SystemExit(f"{self.node} cannot enter its network namespace: {error.strerror}") from None

    def _open(self, one: Namespace) -> int:
        """The switch may be gone, and its number may be another process's."""
        descriptor = os.open(f"/proc/{self.switch}/fd/{one.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(descriptor).st_ino != one.inode:
            os.close(descriptor)
            raise OSError(0, "the switch is gone")
        return descriptor
