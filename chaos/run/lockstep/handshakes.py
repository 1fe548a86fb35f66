"""Both sides of the nodes' handshake, as the gate speaks it if the nodes have a secret (raft.network.handshake).

    receive(listeners, ...)   the receiver's side, towards a node that is starting: the node reports that it is up only
                              after all its links are, so the gate answers it while it waits for that report
    call(route, ...)          the caller's side, towards a node that is up, in the name of the node that sent a frame

No loop or thread serves connections beside the run: `receive` returns once the node says something on its control
connection (that it is up, or that it dies), or is gone.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from raft_chaos.raft.network.codec import (
    MAX_HANDSHAKE,
    Challenge,
    FrameBuffer,
    FrameError,
    Hello,
    Welcome,
    decode_hello,
    decode_reply,
    encode_frame,
)
from raft_chaos.raft.network.handshake import Secret, fresh_nonce

READ_AT_ONCE = 1 << 12


@dataclass
class _Caller:
    """A connection whose handshake is under way."""

    to: str
    connection: socket.socket
    challenge: bytes = field(default_factory=fresh_nonce)
    frames: FrameBuffer = field(default_factory=lambda: FrameBuffer(MAX_HANDSHAKE))


def receive(
    listeners: Mapping[str, socket.socket], secret: Secret, control: int, patience_s: float
) -> dict[str, tuple[socket.socket, Hello]]:
    """For each peer the connection on which the node has proven that it knows the secret, and its Hello.

    `listeners` are those where the node reaches its peers, `control` the descriptor of its control connection. A node
    whose connection was answered late opens another one; the last one that was answered counts. Raises FrameError for a
    handshake that is wrong, TimeoutError if the node says nothing in `patience_s`.
    """
    doors = {listener.fileno(): (peer, listener) for peer, listener in listeners.items()}
    callers: dict[int, _Caller] = {}
    greeted: dict[str, tuple[socket.socket, Hello]] = {}
    poll = select.poll()
    for descriptor in (control, *doors):
        poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + patience_s
    try:
        while True:
            ready = [descriptor for descriptor, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)]
            if not ready:
                raise TimeoutError
            for descriptor in ready:
                if descriptor in doors:
                    caller = _challenged(*doors[descriptor])
                    callers[caller.connection.fileno()] = caller
                    poll.register(caller.connection, select.POLLIN)
                elif descriptor in callers and not _is_waiting(callers[descriptor], secret, greeted):
                    poll.unregister(descriptor)
                    del callers[descriptor]
            if control in ready:
                return greeted
    except BaseException:
        for connection, _ in greeted.values():
            connection.close()
        raise
    finally:
        for caller in callers.values():
            caller.connection.close()


def _challenged(to: str, listener: socket.socket) -> _Caller:
    caller = _Caller(to, listener.accept()[0])
    _write(caller.connection, encode_frame(Challenge(caller.challenge)))
    return caller


def _is_waiting(caller: _Caller, secret: Secret, greeted: dict[str, tuple[socket.socket, Hello]]) -> bool:
    """Reads from the caller; returns whether its Hello is still to come. One that proves itself is `greeted`."""
    connection = caller.connection
    try:
        data = connection.recv(READ_AT_ONCE)
    except ConnectionError:
        data = b""
    if not data:
        connection.close()  # it gave up, and calls again
        return False
    caller.frames.add(data)
    payload = caller.frames.take()
    if payload is None:
        return True
    hello = decode_hello(payload)
    secret.check_caller(hello, caller.to, caller.challenge)
    _write(connection, encode_frame(Welcome(secret.welcome(hello, caller.to, caller.challenge))))
    if caller.to in greeted:
        greeted[caller.to][0].close()
    greeted[caller.to] = (connection, hello)
    return False


def _write(connection: socket.socket, frame: bytes) -> None:
    try:
        connection.sendall(frame)
    except ConnectionError:
        pass  # reading shows the same


def call(route: socket.socket, hello: Hello, to: str, secret: Secret) -> None:
    """Opens a connection to the node `to` in the name of `hello`.

    Raises ConnectionError if the node is gone, FrameError for an answer that is wrong, TimeoutError for none.
    """
    frames = FrameBuffer(MAX_HANDSHAKE)
    challenge = _reply(route, frames)
    if not isinstance(challenge, Challenge):
        raise FrameError("it answered before it was asked")
    proven = secret.proven(hello, to, challenge.nonce)
    route.sendall(encode_frame(proven))
    welcome = _reply(route, frames)
    if not isinstance(welcome, Welcome):
        raise FrameError("it asked for two proofs")
    secret.check_welcome(welcome.proof, proven, to, challenge.nonce)


def _reply(route: socket.socket, frames: FrameBuffer) -> Challenge | Welcome:
    """The receiver's next frame."""
    while (payload := frames.take()) is None:
        data = route.recv(READ_AT_ONCE)
        if not data:
            raise ConnectionResetError("the node closed the connection in the handshake")
        frames.add(data)
    return decode_reply(payload)
