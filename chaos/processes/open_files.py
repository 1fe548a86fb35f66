"""How many files a process of the harness may have open, and whether that is enough for a run.

A shell often allows 1024, and the system allows much more to whoever asks. So the harness asks at its start: all its
processes inherit the raised limit. A target's command gets back the limit that the user chose, since some programs do
something for each number that they may use.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping

from raft_chaos.chaos.processes.shortage import SetupError

MOST = 65536
"""Enough for any run. Some systems name no bound, and accept none as a limit."""

_users: int | None = None


class TooFewFilesError(SetupError):
    """The limit is too low for a run. The message says what is needed, what there is, and what to do."""


def raise_limit() -> None:
    """Raises the soft limit as far as the hard one allows. Calling it again changes nothing."""
    global _users
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _users is None:
        _users = soft
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def users_limit() -> int:
    """The soft limit before `raise_limit`."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] if _users is None else _users


def set_limit(soft: int) -> None:
    """Lowers the soft limit of this process to `soft`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def require(needed: Mapping[str, int], what: str) -> None:
    """Raises TooFewFilesError if a process of the run may not open as many files as it needs.

    `needed` is the number for each kind of process; `what` is the run in words.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    process, number = max(needed.items(), key=lambda item: item[1])
    if allowed != resource.RLIM_INFINITY and allowed < number:
        raise TooFewFilesError(
            f"{what} needs {number} open files in {process}, and the system allows {allowed}: "
            f"raise the limit (`ulimit -n {number}`, as root if it is the hard one), or use fewer nodes or clients"
        )
