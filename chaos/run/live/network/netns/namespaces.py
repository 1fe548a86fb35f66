"""Makes the network namespaces: one for each node, and one for the switch between them (the hub).

Each node's namespace has its loopback and one device, `eth0`, the end of a veth pair whose other end is in the hub. All
runs use the same addresses, since nobody outside of its own namespaces sees them. Nobody asks for a neighbour (ARP):
each namespace knows all of them from the beginning.

Root makes the namespaces directly, and its nodes keep all rights that they have elsewhere. Anyone else, and root
without the right to it (in a container), makes a user namespace first, in which it has the right; its only user is the
one that runs the harness.

A namespace exists as long as a process is in it or holds it open. The switch holds them all, and no file system does:
they vanish with it and with the nodes' processes, however these end.
"""

from __future__ import annotations

import errno
import importlib.util
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from raft_chaos.chaos.run.live import kernel
from raft_chaos.chaos.run.live.enter import own_namespace, unshare_as_user

NODES_MAX = 250
PREFIX = 24
MTU = 1500
RETRANSMITTED_MS = 1000
"""The least that the kernel takes as `tcp_rto_max_ms`."""
LOOPBACK = 1
"""The index of the device `lo`, in every namespace."""


class ImpossibleError(Exception):
    """This machine cannot do it: the message says in one line what is missing."""


class Place(NamedTuple):
    """A node's place in the network: its name, its number from 1, and its namespace (an open file)."""

    node: str
    number: int
    namespace: int

    @property
    def device(self) -> str:
        """The hub's end of its veth pair."""
        return f"node{self.number}"


class Namespaces(NamedTuple):
    """Open files of this process. `user` is None without a user namespace."""

    user: int | None
    hub: int
    places: list[Place]


def address(number: int) -> str:
    return f"10.77.0.{number}"


def hardware_address(number: int) -> str:
    """That of the node's end; the hub's end has another, so that the hub's kernel takes no packet for its own."""
    return f"02:00:00:00:00:{number:02x}"


def build(nodes: Sequence[str]) -> Namespaces:
    """Makes them, and leaves this process in the hub. It must have one thread. Raises ImpossibleError."""
    if len(nodes) > NODES_MAX:
        raise ImpossibleError(f"it has room for {NODES_MAX} nodes, not for {len(nodes)}")
    if importlib.util.find_spec("pyroute2") is None:
        raise ImpossibleError("the package pyroute2 is not installed (pip install 'raft-chaos[netns]')")
    user = _unshare()
    hub = own_namespace("net")
    places = []
    with _step("network namespaces"):
        for number, node in enumerate(nodes, 1):
            kernel.unshare(kernel.NEWNET)
            places.append(Place(node, number, own_namespace("net")))
        kernel.setns(hub, kernel.NEWNET)
    with _step("veth devices"):
        _connect(places)
    for place in places:
        with _step("addresses in a network namespace"), within(place.namespace, hub):
            _furnish(place, len(nodes))
    return Namespaces(user, hub, places)


@contextmanager
def within(namespace: int, hub: int) -> Iterator[None]:
    """In the block this thread is in that namespace, then in the hub again. A socket stays where it was made."""
    kernel.setns(namespace, kernel.NEWNET)
    try:
        yield
    finally:
        kernel.setns(hub, kernel.NEWNET)


@contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # pyroute2 has errors of its own
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImpossibleError(f"the system refuses {what}: {said}") from None


def _unshare() -> int | None:
    """Moves this process into a network namespace of its own; returns the user namespace that it took, if any."""
    try:
        kernel.unshare(kernel.NEWNET)
        return None
    except OSError as error:
        if error.errno != errno.EPERM:
            raise ImpossibleError(f"the system refuses network namespaces: {error.strerror}") from None
    with _step("user namespaces to this user"):
        unshare_as_user(kernel.NEWNET)
        return own_namespace("user")


def _connect(places: Sequence[Place]) -> None:
    """In the hub: a veth pair for each node."""
    with _netlink() as netlink:
        for place in places:
            peer = {
                "ifname": "eth0",
                "net_ns_fd": place.namespace,
                "address": hardware_address(place.number),
                "mtu": MTU,
            }
            netlink.link("add", ifname=place.device, kind="veth", mtu=MTU, peer=peer)
            _quiet(place.device)
            netlink.link("set", index=socket.if_nametoindex(place.device), state="up")


def _furnish(place: Place, nodes: int) -> None:
    """In a node's namespace: its address, and the way to all others."""
    with _netlink() as netlink:
        _prompt()
        _quiet("eth0")
        kernel.without_offloads("eth0")
        device = socket.if_nametoindex("eth0")
        netlink.link("set", index=LOOPBACK, state="up")
        netlink.addr("add", index=device, address=address(place.number), prefixlen=PREFIX)
        netlink.link("set", index=device, state="up")
        for number in range(1, nodes + 1):
            if number != place.number:
                known = {"dst": address(number), "lladdr": hardware_address(number), "state": "permanent"}
                netlink.neigh("add", ifindex=device, **known)


def _prompt() -> None:
    """After a cut, connections go on within RETRANSMITTED_MS, where the kernel knows that limit (Linux 6.15).

    Each packet that was lost doubles the time until the next attempt. After a cut of four seconds a link would stay
    silent for three more, in a phase in which all is healed.
    """
    try:
        Path("/proc/sys/net/ipv4/tcp_rto_max_ms").write_bytes(b"%d" % RETRANSMITTED_MS)
    except OSError:
        pass


def _quiet(device: str) -> None:
    """Without IPv6 the kernel says nothing of its own accord. Where it keeps IPv6, the switch forwards none of it."""
    try:
        Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6").write_bytes(b"1")
    except OSError:
        pass


def _netlink() -> Any:
    """Configures the network namespace in which this thread is now."""
    from pyroute2 import IPRoute

    return IPRoute()
