"""System calls that Python 3.11 does not have: namespaces, mounts, space for a file, and the offloads of a device."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import struct

NEWNS = 0x00020000
NEWUSER = 0x10000000
NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x4000, 0x40000

SIOCETHTOOL = 0x8946
CHECKSUMS, SCATTER_GATHER, TSO, GSO, GRO = 0x17, 0x19, 0x1F, 0x24, 0x2C
"""ETHTOOL_STXCSUM, _SSG, _STSO, _SGSO, _SGRO: each sets one offload."""

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(kinds: int) -> None:
    """Moves this process into new namespaces of these kinds."""
    if _libc.unshare(kinds):
        raise _error("unshare")


def setns(namespace: int, kind: int) -> None:
    """Moves this thread into the namespace that the open file stands for."""
    if _libc.setns(namespace, kind):
        raise _error("setns")


def mount(source: str, target: bytes, kind: str, flags: int, options: str) -> None:
    """Mounts a file system of this kind at the folder `target`."""
    if _libc.mount(source.encode(), target, kind.encode(), ctypes.c_ulong(flags), options.encode()):
        raise _error("mount")


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """Gives the file room for these bytes, or takes it away, as the mode says (fallocate(2))."""
    if _libc.fallocate(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)):
        raise _error("fallocate")


def without_offloads(device: str) -> None:
    """Has the kernel finish each packet before the device gets it: its checksum, and no more than one packet at a time.

    A user's program that copies packets from one device to another cannot pass on what a device was to do later.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for offload in (TSO, GSO, GRO, SCATTER_GATHER, CHECKSUMS):
            value = array.array("B", struct.pack("II", offload, 0))
            request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
            fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
