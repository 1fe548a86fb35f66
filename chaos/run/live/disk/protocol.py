"""The requests of the kernel's FUSE, and the answers, as bytes: what of linux/fuse.h is needed here (version 7.31)."""

from __future__ import annotations

import os
import struct
from enum import IntEnum
from typing import NamedTuple

MAJOR, MINOR = 7, 31
PAGE = 4096
WRITE_PAGES = 32
MAX_WRITE = WRITE_PAGES * PAGE
MAX_REQUEST = MAX_WRITE + PAGE
VALID_S = 3600
"""How long the kernel may keep names and attributes: nobody but the node changes them."""

BIG_WRITES, PARALLEL_DIROPS, MAX_PAGES = 1 << 5, 1 << 18, 1 << 22
KEEP_CACHE = 1 << 1
"""The kernel's pages of the file stay when it is opened again."""
FDATASYNC = 1
RENAME_NOREPLACE = 1


class Opcode(IntEnum):
    """The kind of a request."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    RENAME2 = 45


class SetAttr(IntEnum):
    """The bits of what a SETATTR changes."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8


class Header(NamedTuple):
    """How a request begins: who (`uid`, `gid`) wants what of the file of this `number`."""

    length: int
    opcode: int
    unique: int
    number: int
    uid: int
    gid: int
    pid: int


HEADER = struct.Struct("<IIQQIII4x")
ANSWER = struct.Struct("<IiQ")
INIT_IN = struct.Struct("<II")
INIT_OUT = struct.Struct("<IIIIHHIIHH32x")
ENTRY = struct.Struct("<QQQQII")
ATTR_VALID = struct.Struct("<QII")
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
OPEN_OUT = struct.Struct("<QIi")
READ_IN = struct.Struct("<QQI")
WRITE_IN = struct.Struct("<QQIIQI4x")
SIZED = struct.Struct("<II")
NUMBER = struct.Struct("<Q")
FORGET_ONE = struct.Struct("<QQ")
FSYNC_IN = struct.Struct("<QI")
FALLOCATE_IN = struct.Struct("<QQQI")
RENAME2_IN = struct.Struct("<QI4x")
CREATE_IN = struct.Struct("<IIII")
MKNOD_IN = struct.Struct("<IIII")
MKDIR_IN = struct.Struct("<II")
STATFS_OUT = struct.Struct("<QQQQQIII28x")
DIRENT = struct.Struct("<QQII")

NO_ENTRY = ENTRY.pack(0, 0, VALID_S, 0, 0, 0) + bytes(ATTR.size)
"""There is no such file, which the kernel may remember."""


def attributes(number: int, status: os.stat_result, removed: int) -> bytes:
    """The attributes of the file of this number, which has lost `removed` of the names that the status counts."""
    return ATTR.pack(
        number,
        status.st_size,
        status.st_blocks,
        *(max(0, ns // 1_000_000_000) for ns in (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)),
        *(ns % 1_000_000_000 for ns in (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)),
        status.st_mode,
        max(0, status.st_nlink - removed),
        status.st_uid,
        status.st_gid,
        status.st_rdev & 0xFFFFFFFF,
        status.st_blksize,
        0,
    )


def entry(number: int, attributes_: bytes) -> bytes:
    return ENTRY.pack(number, 0, VALID_S, VALID_S, 0, 0) + attributes_


def directory_entry(name: bytes, inode: int, next_offset: int, mode: int) -> bytes:
    raw = DIRENT.pack(inode, next_offset, len(name), (mode & 0o170000) >> 12) + name
    return raw + bytes(-len(raw) % 8)
