"""The fault proxy: a process that stands on every directed link, and holds back, delays, loses or doubles frames.

For each link a>b it listens on a port of its own: a connects there to send to b, and the proxy connects on to the port
where b listens at the time (`frame_link` says what happens to frames). The controller sends its requests over one
`multiprocessing` connection, through a `ProxyClient`; the proxy ends when that connection closes, because the
controller is done or dead.

Trouble of the proxy itself, such as too few open files, would look like a cut that no schedule asked for. So the proxy
tells the controller at once, in a message that no request asked for, and then stops accepting connections.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from raft_chaos.chaos.faults.links import Link, LinkCounters
from raft_chaos.chaos.processes.shortage import HarnessError, sentence, shortage
from raft_chaos.chaos.run.live.network.frame_link import MAX_FRAME, LinkRule, Wire, accepted_by
from raft_chaos.raft.network.tls import Tls, TlsFiles

REPLY_TIMEOUT_S = 30.0


class ProxyError(HarnessError):
    """The proxy is in trouble, does not answer, or refuses a request: the message says which and why."""


class Trouble(NamedTuple):
    """What the proxy sends when it cannot do its work any more: what happened, in one line."""

    what: str


# ---- the controller's side ---------------------------------------------------------------------------------------


class ProxyClient:
    """Asks the proxy at the other end of a `multiprocessing` connection. Every call waits for its answer.

    Each method raises ProxyError when the proxy is gone, silent for 30 s, or refuses. Not thread-safe.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def addresses(self) -> dict[Link, int]:
        """For each link (a, b) the port on 127.0.0.1 where a reaches b."""
        addresses: dict[Link, int] = self._ask("addresses")
        return addresses

    def set_target(self, node: str, port: int | None) -> None:
        """From now on connections to `node` go to `port` on 127.0.0.1; with None they are closed at once."""
        self._ask("set_target", node, port)

    def set_rules(self, rules: dict[Link, LinkRule]) -> None:
        """Replaces all rules; a link that is not mentioned has none. The rules are in force when this returns."""
        self._ask("set_rules", rules)

    def counters(self) -> dict[Link, LinkCounters]:
        """For each link, what happened to its messages so far."""
        counters: dict[Link, LinkCounters] = self._ask("counters")
        return counters

    def check(self) -> None:
        """Raises ProxyError if the proxy has reported trouble. One that is gone reports nothing."""
        with suppress(EOFError, OSError):
            if self._connection.poll():
                self._received()

    def close(self) -> None:
        """Ends the proxy."""
        self._connection.close()

    def _ask(self, request: str, *arguments: Any) -> Any:
        try:
            self._connection.send((request, *arguments))
            if not self._connection.poll(REPLY_TIMEOUT_S):
                raise ProxyError(f"{request}: no answer from the proxy in {REPLY_TIMEOUT_S:.0f} s")
            answer, error = self._received()
        except (EOFError, OSError) as error:
            raise ProxyError(f"{request}: the proxy process is gone ({error!r})") from None
        if error is not None:
            raise ProxyError(f"{request}: {error}")
        return answer

    def _received(self) -> Any:
        """The next message of the proxy: an answer, unless it is in trouble."""
        received = self._connection.recv()
        if isinstance(received, Trouble):
            raise ProxyError(f"the proxy between the nodes failed: {received.what}")
        return received


# ---- the proxy's process -----------------------------------------------------------------------------------------


def proxy_main(
    control: Connection,
    nodes: list[str],
    seed: int,
    max_frame: int = MAX_FRAME,
    tls_files: Mapping[str, TlsFiles] | None = None,
) -> None:
    """The main function of the proxy's process: serves all directed links between `nodes` until `control` closes.

    With the TLS files of the nodes it is the other end of all their connections: towards b it is a, and towards a, b.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the controller still needs us
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_Proxy(control, nodes, seed, max_frame, tls_files).run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, where it is installed; that only makes the proxy faster."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Proxy:
    """All links, and the answers to the controller."""

    def __init__(
        self,
        control: Connection,
        nodes: list[str],
        seed: int,
        max_frame: int,
        tls_files: Mapping[str, TlsFiles] | None,
    ) -> None:
        self._control = control
        self._wires = {(a, b): Wire(a, b, seed, max_frame) for a in nodes for b in nodes if a != b}
        if tls_files is not None:
            tls = {node: Tls(tls_files[node]) for node in nodes}
            for (a, b), wire in self._wires.items():
                wire.sender_tls, wire.receiver_tls = tls[a], tls[b]
        self._ports: dict[Link, int] = {}
        self._listening: list[socket.socket] = []
        self._accepting: set[asyncio.Task[Any]] = set()  # only kept, so the order does not matter
        self._in_trouble = False
        self._answers: dict[str, Callable[..., Any]] = {
            "addresses": lambda: self._ports,
            "set_target": self._set_target,
            "set_rules": self._set_rules,
            "counters": lambda: {link: wire.counters for link, wire in self._wires.items()},
        }

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._unexpected)
        try:
            for link, wire in self._wires.items():
                self._ports[link] = self._listen(wire)
        except OSError as error:
            self._failed(error)
        ended = asyncio.Event()
        loop.add_reader(self._control.fileno(), self._answer, ended)
        await ended.wait()

    def _listen(self, wire: Wire) -> int:
        """Accepts connections for this link; returns the port.

        Not with a server of the event loop: when a process has no descriptor left, uvloop closes the connections that
        come, and tells nobody.
        """
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self._listening.append(listening)
        asyncio.get_running_loop().add_reader(listening, self._accept, listening, wire)
        port: int = listening.getsockname()[1]
        return port

    def _accept(self, listening: socket.socket, wire: Wire) -> None:
        try:
            connection, _ = listening.accept()
        except OSError as error:
            if shortage(error):
                self._failed(error)
            return  # otherwise it is gone again already
        loop = asyncio.get_running_loop()
        accepted = loop.create_task(loop.connect_accepted_socket(partial(accepted_by, wire, self._failed), connection))
        self._accepting.add(accepted)
        accepted.add_done_callback(self._accepted)

    def _accepted(self, task: asyncio.Task[Any]) -> None:
        self._accepting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)

    def _unexpected(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error that no part of the proxy handles. A connection that breaks is none: its nodes will notice."""
        loop.default_exception_handler(context)
        error: BaseException = context.get("exception") or RuntimeError(str(context.get("message")))
        if shortage(error) or not isinstance(error, OSError):
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        """The proxy itself is in trouble: tells the controller, and accepts no more connections."""
        if self._in_trouble:
            return
        self._in_trouble = True
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening)
        with suppress(OSError):  # the controller is gone, which the control pipe will show
            self._control.send(Trouble(sentence(error)))

    def _answer(self, ended: asyncio.Event) -> None:
        """One request, one answer: (result, None) or (None, what was wrong)."""
        try:
            request, *arguments = self._control.recv()
            try:
                answer: tuple[Any, str | None] = (self._answers[request](*arguments), None)
            except ValueError as error:
                answer = (None, str(error))
            self._control.send(answer)
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            ended.set()

    def _set_target(self, node: str, port: int | None) -> None:
        into = [wire for (_, receiver), wire in self._wires.items() if receiver == node]
        if not into:
            raise ValueError(f"node {node!r} is unknown")
        for wire in into:
            wire.target = port

    def _set_rules(self, rules: dict[Link, LinkRule]) -> None:
        if unknown := [link for link in rules if link not in self._wires]:
            raise ValueError(f"link {unknown[0]} is unknown")
        for link, wire in self._wires.items():
            wire.rule = rules.get(link)
