"""With which code a node ends, and why: the same in every world, so that each can tell one end from another."""

from __future__ import annotations

import errno

from raft_chaos.raft.replica.saved_state import SnapshotError
from raft_chaos.raft.storage.failing import DiskFailedError
from raft_chaos.raft.storage.log_file import CorruptLogError

EXIT_CRASHED = 70
EXIT_DISK = 74
EXIT_STARVED = 75
EXIT_REFUSED = 78
"""Exit codes of a node: an internal error; a disk that failed; too little of the machine (open files, memory, disk); a
data folder or an address that cannot be used."""


def exit_code_of(error: BaseException) -> int:
    """With which code a node ends of this error, in every world."""
    if is_starved(error):
        return EXIT_STARVED
    if isinstance(error, DiskFailedError):
        return EXIT_DISK
    return EXIT_REFUSED if isinstance(error, CorruptLogError | SnapshotError) else EXIT_CRASHED


def exit_code_at_start(error: BaseException) -> int:
    """The same for a node that does not start: an error of no other kind means that it cannot use what it was given."""
    code = exit_code_of(error)
    return EXIT_REFUSED if code == EXIT_CRASHED else code


def is_starved(error: BaseException | None) -> bool:
    """Whether the machine ran out of something, which is no mistake of the node."""
    if isinstance(error, RuntimeError):
        return str(error) == NO_THREAD
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _STARVED)


NO_THREAD = "can't start new thread"
"""All that Python says when there is no memory for a thread, or when the user may have no more of them."""


_STARVED = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOBUFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
}
