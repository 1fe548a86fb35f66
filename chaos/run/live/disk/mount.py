"""Mounts a folder over itself, where only the node sees it: in a namespace of mounts of its own.

The process that serves the folder holds the namespace, and whatever is beneath the mount. Outside of it the folder is
what it was: the harness reads there what the node has written last. The mount is gone once that process and the node's
are, however they end.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from raft_chaos.chaos.run.live import kernel
from raft_chaos.chaos.run.live.enter import Namespace, namespace, own_namespace, unshare_as_user

DEVICE = "/dev/fuse"


class ImpossibleError(Exception):
    """This machine cannot do it: the message says in one line what is missing, and what to do."""


class Mounted(NamedTuple):
    """Where the kernel's requests come from, the folder beneath the mount, and the namespaces in which it is seen."""

    requests: int
    folder: int
    namespaces: tuple[Namespace, ...]


def mount(folder: Path) -> Mounted:
    """Moves this process, which must have one thread, into namespaces of its own, and mounts there. Raises
    ImpossibleError."""
    spaces = _unshare()
    with _step("changes to its mounts"):
        kernel.mount("none", b"/", "", kernel.MS_REC | kernel.MS_PRIVATE, "")
    beneath = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    requests = _device()
    # The node may run as another user than the one that starts it: the kernel looks at the owners and modes of files.
    options = f"fd={requests},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    with _step("mounts of FUSE"):
        kernel.mount(
            "raft-chaos",
            os.fsencode(folder),
            "fuse.lossy",
            kernel.MS_NOSUID | kernel.MS_NODEV,
            f"{options},allow_other,default_permissions",
        )
    return Mounted(requests, beneath, spaces)


def _unshare() -> tuple[Namespace, ...]:
    """The namespaces to enter. Root needs no user namespace, and neither does who has entered one for the network."""
    try:
        kernel.unshare(kernel.NEWNS)
        return (namespace(own_namespace("mnt"), kernel.NEWNS),)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise ImpossibleError(f"the system refuses namespaces of mounts: {error.strerror}") from None
    with _step("user namespaces to this user (run as root, or allow them)"):
        unshare_as_user(kernel.NEWNS)
    user = namespace(own_namespace("user"), kernel.NEWUSER)
    return (user, namespace(own_namespace("mnt"), kernel.NEWNS))


def _device() -> int:
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        raise ImpossibleError(f"this user may not open {DEVICE} (run as root, or chmod 666 {DEVICE})") from None
    except OSError as error:
        why = f"there is no FUSE here: {DEVICE}: {error.strerror} (modprobe fuse; a container needs --device {DEVICE})"
        raise ImpossibleError(why) from None


@contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImpossibleError(f"the system refuses {what}: {error.strerror}") from None
