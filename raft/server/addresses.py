"""Addresses at which a node can listen, and who reaches it there."""

from __future__ import annotations

import ipaddress


def ip_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for a name that is no address."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine reach a node that listens there."""
    ip = ip_of(address)
    return address.lower() == "localhost" or (ip is not None and ip.is_loopback)


def is_any(address: str) -> bool:
    """Whether a node that listens there listens on all addresses of the machine."""
    ip = ip_of(address)
    return ip is not None and ip.is_unspecified
