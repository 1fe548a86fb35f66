"""Reading a file that may be anything: a FIFO or a device would never end, and a huge file would take all memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_BYTES = 2 << 30
"""The largest file that is read at once."""


def read_regular(file: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises OSError with what was expected."""
    descriptor = open_regular(file)
    try:
        if (size := os.fstat(descriptor).st_size) > most:
            raise OSError(errno.EINVAL, f"expected at most {most} bytes, got {size}", str(file))
        with open(descriptor, "rb", closefd=False) as opened:
            return opened.read()
    finally:
        os.close(descriptor)


def open_regular(file: Path | str, *, within: int | None = None, follow: bool = True) -> int:
    """The descriptor of a regular file, open for reading; `within` is that of the folder which a relative path starts
    from. Without `follow`, a symbolic link is refused. Raises OSError with what was expected."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO would wait for its writer
    descriptor = os.open(file, flags if follow else flags | os.O_NOFOLLOW, dir_fd=within)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "expected a regular file, got a pipe or a device", str(file))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
