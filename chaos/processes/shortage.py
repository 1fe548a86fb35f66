"""What a machine can run out of, and how the harness says that it did.

A run in which the harness itself had too little (open files, memory, disk, ports) says nothing about the system under
test: a proxy that cannot accept a connection looks like a partition that no schedule asked for. So every part of the
harness passes such an error on, and the run ends as a failure of the harness, never with a verdict.

    shortage      what ran out, if an error says that something did
    sentence      any error in one line
    setup_error   whether a run only could not begin
    oom_kills     how many processes the system has killed for want of memory
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

SHORTAGES = {
    errno.EMFILE: "open files: this process may have no more of them (see `ulimit -n`)",
    errno.ENFILE: "open files: the whole system has too many",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "memory for the network",
    errno.EADDRNOTAVAIL: "free ports",
    errno.ENOSPC: "space on the disk",
    errno.EDQUOT: "space on the disk: the user's quota is used up",
    errno.EFBIG: "room in a file: it may not grow further (see `ulimit -f`)",
}


class SetupError(Exception):
    """A run cannot begin as it was asked for, on this machine or with this target. The message says why and what to do.

    It is the user's to mend: neither the harness nor the system under test did anything wrong.
    """


class HarnessError(Exception):
    """The harness itself failed; this says nothing about the system under test. The message says what happened."""


def shortage(error: BaseException) -> str | None:
    """What ran out ("space on the disk"), or None if the error is of another kind."""
    for one in _causes(error):
        if isinstance(one, MemoryError):
            return SHORTAGES[errno.ENOMEM]
        if isinstance(one, RuntimeError) and str(one) == "can't start new thread":  # all that Python says
            return "memory, or threads that this user may have (see `ulimit -v` and `ulimit -u`)"
        if isinstance(one, OSError) and one.errno in SHORTAGES:
            return SHORTAGES[one.errno]
    return None


def sentence(error: BaseException) -> str:
    """The error in one line: what ran out, or what an error of the harness says, or the file and the reason of an
    OSError, or the type and message of any other."""
    causes = list(_causes(error))
    if failure := next((one for one in causes if isinstance(one, (SetupError, HarnessError))), None):
        return str(failure)
    if missing := shortage(error):
        file = next((one.filename for one in causes if isinstance(one, OSError) and one.filename), None)
        return f"it ran out of {missing}" + (f" ({file})" if file else "")
    first = causes[0]
    if isinstance(first, OSError) and first.strerror:
        return f"{first.filename}: {first.strerror}" if first.filename is not None else first.strerror
    return " ".join(f"{type(first).__name__}: {first}".split()).removesuffix(":")


def setup_error(error: BaseException) -> SetupError | None:
    """The SetupError that it is, or that is among its causes."""
    return next((one for one in _causes(error) if isinstance(one, SetupError)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, or the error itself, and what urllib wraps in it."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one)
        return
    yield error
    if isinstance(reason := getattr(error, "reason", None), OSError):
        yield reason


def oom_kills() -> int:
    """How many processes the system has killed since it started because memory ran out; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
