"""System calls that Python 3.11 does not have: namespaces, and the offloads of a network device."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import struct

NEWUSER = 0x10000000
NEWNET = 0x40000000

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
