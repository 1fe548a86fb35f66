"""The network of nodes that speak JSON lines on stdin and stdout: the controller itself carries each message.

    node > node      subject to the link's rule: cut, lost, delayed, doubled, reordered
    client > node    as it is: clients are no nodes, and their links have no faults

A message to a node that is down is lost. A line that is no message, and a message to one of Maelstrom's services, which
are not there, end the run: a node that waits for such an answer for ever would look guilty.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

import msgspec

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run.live.network.direct import Direct
from raft_chaos.chaos.run.live.network.frame_link import MAX_FRAME
from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.run.live.network.wire import Wire
from raft_chaos.invariants.events import MALFORMED

SERVICES = ("lin-kv", "seq-kv", "lww-kv", "lin-tso")
HARNESS = "harness"
SHOWN = 200
"""How many characters of a line that is no message are shown."""


class MessageNetwork(Direct):
    """All nodes' pipes, and the links between them. Lives in the controller's event loop."""

    def __init__(self, nodes: list[str], seed: int) -> None:
        super().__init__()
        self._nodes = nodes
        self._wires = {(a, b): Wire(a, b, seed) for a in nodes for b in nodes if a != b}
        self._pipes: dict[str, Pipe] = {}
        self._trouble: SetupError | None = None
        self._in_order_until: dict[Link, float] = {}
        self.links: Sequence[Link] = sorted(self._wires)

    # ---- what the harness asks of a network ----------------------------------------------------------------------

    def peers_of(self, node: str, direct: Mapping[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
        return {}

    def route(self, node: str, port: int | None) -> None:
        """The node is down if there is no port; nodes here have none."""
        if port is None and node in self._pipes:
            self._pipes.pop(node).close()

    def set_rules(self, rules: Mapping[Link, LinkRule]) -> None:
        for link, wire in self._wires.items():
            wire.rule = rules.get(link)

    def counters(self) -> dict[Link, LinkCounters]:
        return {link: msgspec.structs.replace(wire.counters) for link, wire in self._wires.items()}

    def check(self) -> None:
        if self._trouble is not None:
            raise self._trouble

    def attach(self, node: str, sock: socket.socket) -> Pipe:
        """A new incarnation of the node is about to speak over this socket."""
        if node in self._pipes:
            self._pipes.pop(node).close()
        pipe = self._pipes[node] = Pipe(node, self._nodes, sock, self._sent)
        return pipe

    # ---- messages -------------------------------------------------------------------------------------------------

    def _sent(self, pipe: Pipe, line: bytes) -> None:
        """A node has written a line."""
        try:
            message = msgspec.json.decode(line)
            dest, body = message["dest"], message["body"]
            if not isinstance(dest, str) or not isinstance(body, dict):
                raise TypeError
        except (*MALFORMED, TypeError, LookupError):
            shown = line[:SHOWN].decode(errors="replace")
            self._fail(f"{pipe.node} wrote a line that is no message (stdout is for messages alone): {shown!r}")
            return
        if dest in SERVICES:
            self._fail(
                f"{pipe.node} asks Maelstrom's service {dest!r}, which is not there: a node must keep its own data"
            )
        elif (pipe.node, dest) in self._wires:
            self._carry((pipe.node, dest), line)
        elif dest == pipe.node:
            self._deliver(dest, line)
        else:
            pipe.replied(body)

    def _fail(self, why: str) -> None:
        self._trouble = self._trouble or SetupError(why)

    def _carry(self, link: Link, line: bytes) -> None:
        wire = self._wires[link]
        wire.messages += 1
        counters, rule = wire.counters, wire.rule
        if rule is None:
            self._arrive(link, line)
            return
        if rule.cut:
            counters.cut += 1
            return
        fate = wire.fate(rule)
        if fate.lost:
            counters.lost += 1
            return
        counters.delayed += fate.delay_us > 0
        loop = asyncio.get_running_loop()
        due = loop.time() + fate.delay_us / 1e6
        if fate.reordered:
            counters.reordered += 1
        else:
            due = self._in_order_until[link] = max(due, self._in_order_until.get(link, 0.0))
        loop.call_at(due, self._arrive, link, line)
        if fate.copy_after_us is not None:
            counters.duplicated += 1
            loop.call_at(due + fate.copy_after_us / 1e6, self._arrive, link, line)

    def _arrive(self, link: Link, line: bytes) -> None:
        wire = self._wires[link]
        if wire.rule is not None and wire.rule.cut:
            wire.counters.cut += 1
            return
        wire.counters.forwarded += 1
        self._deliver(link[1], line)

    def _deliver(self, node: str, line: bytes) -> None:
        if node in self._pipes:
            self._pipes[node].write(line)


class Pipe:
    """The stdin and stdout of one incarnation of a node."""

    def __init__(self, node: str, nodes: list[str], sock: socket.socket, sent: Callable[[Pipe, bytes], None]) -> None:
        self.node = node
        self._sent = sent
        self._ids = count(1)
        self._open: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._begun = False
        self._closed = False
        self._early: list[bytes] = []
        self._task = asyncio.get_running_loop().create_task(self._serve(sock, nodes))

    def is_ready(self) -> bool:
        """Whether the node has answered `init`."""
        return self._begun

    async def request(self, client: str, body: dict[str, Any]) -> dict[str, Any]:
        """Sends a request and waits for its reply. Raises ConnectionRefusedError if the node is down already, another
        ConnectionError if it goes down first."""
        if self._closed:
            raise ConnectionRefusedError("the node is down")
        number = next(self._ids)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[number] = reply
        try:
            self.write(_line(client, self.node, {**body, "msg_id": number}))
            return await reply
        finally:
            del self._open[number]

    def replied(self, body: dict[str, Any]) -> None:
        """The node has sent a message to a client. One that nobody waits for any more is too late."""
        waiting = self._open.get(body.get("in_reply_to", 0))
        if waiting is not None and not waiting.done():
            waiting.set_result(body)

    def write(self, line: bytes) -> None:
        if self._writer is None:
            self._early.append(line)
        elif not self._writer.is_closing():
            self._writer.write(line)

    def close(self) -> None:
        """The node is gone."""
        self._closed = True
        self._task.cancel()
        for reply in self._open.values():
            if not reply.done():
                reply.set_exception(ConnectionError("the node went down"))

    async def _serve(self, sock: socket.socket, nodes: list[str]) -> None:
        reader, self._writer = await asyncio.open_connection(sock=sock, limit=MAX_FRAME)
        init = asyncio.get_running_loop().create_task(
            self.request("c0", {"type": "init", "node_id": self.node, "node_ids": nodes})
        )
        init.add_done_callback(self._answered_init)
        for line in self._early:
            self.write(line)
        try:
            with suppress(ConnectionError):
                while line := await self._line(reader):
                    self._sent(self, line)
        finally:
            init.cancel()
            self._writer.transport.abort()

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """The next line; one that is longer than any message is shown as none, since its rest cannot be found."""
        try:
            return await reader.readline()
        except ValueError:
            return f"more than {MAX_FRAME} bytes without an end of line".encode()

    def _answered_init(self, init: asyncio.Task[dict[str, Any]]) -> None:
        if not init.cancelled() and init.exception() is None:
            self._begun = init.result().get("type") == "init_ok"


def _line(source: str, dest: str, body: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"src": source, "dest": dest, "body": body}) + b"\n"
