"""Brings a node's process into the namespaces that another process made for it, before its program begins.

A namespace exists as long as a process is in it or holds it open. Its holder is a process of the harness: no file
system knows it, and it vanishes with its holder and with the node.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from raft_chaos.chaos.run.live import kernel


class Namespace(NamedTuple):
    """A namespace that another process holds open: its number there, its inode, and the kind of namespace."""

    descriptor: int
    inode: int
    kind: int


def namespace(descriptor: int, kind: int) -> Namespace:
    """The namespace that this process holds open, as others name it."""
    return Namespace(descriptor, os.fstat(descriptor).st_ino, kind)


def own_namespace(name: str) -> int:
    """Holds a namespace of this process open: "net", "mnt" or "user"."""
    return os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)


def unshare_as_user(kinds: int) -> None:
    """Moves this process into a user namespace, where it has every right, and into new namespaces of these kinds. The
    user that runs this process is its only one. Raises OSError where the system refuses that."""
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.NEWUSER | kinds)
    Path("/proc/self/setgroups").write_bytes(b"deny")
    Path("/proc/self/uid_map").write_bytes(b"%d %d 1" % (uid, uid))
    Path("/proc/self/gid_map").write_bytes(b"%d %d 1" % (gid, gid))


@dataclass(frozen=True)
class Enter:
    """Called in the node's process, which must have one thread. It then has no right that it did not have before,
    except, until its program begins, in the user namespace. `what` is what the namespaces are, in words."""

    node: str
    what: str
    holder: int
    namespaces: tuple[Namespace, ...]

    def __call__(self) -> None:
        folder = Path.cwd()
        try:
            opened = [(self._open(one), one.kind) for one in self.namespaces]
            for descriptor, kind in opened:
                kernel.setns(descriptor, kind)
                os.close(descriptor)
            os.chdir(folder)  # another namespace of mounts begins at its root
        except OSError as error:
            raise SystemExit(f"{self.node} cannot enter {self.what}: {error.strerror}") from None

    def _open(self, one: Namespace) -> int:
        """The holder may be gone, and its number may be another process's."""
        descriptor = os.open(f"/proc/{self.holder}/fd/{one.descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(descriptor).st_ino != one.inode:
            os.close(descriptor)
            raise OSError(0, "its holder is gone")
        return descriptor


@dataclass(frozen=True)
class InTurn:
    """Enters one after the other."""

    steps: tuple[Callable[[], None], ...]

    def __call__(self) -> None:
        for step in self.steps:
            step()


def in_turn(*steps: Callable[[], None] | None) -> Callable[[], None] | None:
    """All of these that there are; None if there is none."""
    there = tuple(step for step in steps if step is not None)
    return InTurn(there) if there else None
