"""`raft-chaos node` as a process of its own, and callers of its raft port that say whatever a test wants.

With TLS, `client` is the context of the node's clients.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from nodes import HOST, free_ports
from raft_chaos.raft.network.codec import (
    PROTOCOL_VERSION,
    Challenge,
    Envelope,
    FrameBuffer,
    Hello,
    decode_reply,
    encode_frame,
)
from raft_chaos.raft.network.handshake import Secret
from raft_chaos.raft.state.messages import Message, RequestVoteReply

RAFT_CHAOS = str(Path(sys.executable).with_name("raft-chaos"))
WITHOUT_UVLOOP = (
    sys.executable,
    "-c",
    "import sys; sys.modules['uvloop'] = None; from raft_chaos.chaos.cli.entry import main; main()",
)
PATIENCE_S = 30.0
"""Only a test that fails waits this long."""

T = TypeVar("T")


def eventually(what: str, condition: Callable[[], T]) -> T:
    """The first true value of `condition`."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:g} s: {what}"
        time.sleep(0.005)
    return value


class NodeProcess:
    """n1 of a cluster of three, alone: n2 and n3 are whoever calls. A context manager, which ends the process."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        election_timeout: str = "150-300",
        open_files: int = 1024,
        uvloop: bool = True,
        client: ssl.SSLContext | None = None,
    ) -> None:
        self._client = client
        self.raft_port, self.http_port, self.n2_port, self.n3_port = free_ports(4)
        self._stderr = folder / "stderr"
        argv = [
            *((RAFT_CHAOS,) if uvloop else WITHOUT_UVLOOP),
            *("node", "--name", "n1", "--data", str(folder / "n1")),
            *("--listen", f"{HOST}:{self.raft_port}", "--http-port", str(self.http_port)),
            *("--peer", f"n2={HOST}:{self.n2_port}", "--peer", f"n3={HOST}:{self.n3_port}"),
            *("--election-timeout", election_timeout, *options),
        ]
        argv = ["sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *argv]
        with self._stderr.open("wb") as err:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=err, stderr=err)

    def __enter__(self) -> NodeProcess:
        try:
            eventually("the node listens", lambda: "n1  http" in self.stderr or self.process.poll() is not None)
            assert self.process.poll() is None, self.stderr
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def complaints(self) -> list[str]:
        """What it logged of connections that it closed."""
        return [line for line in self.stderr.splitlines() if "closed the connection from" in line]

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = (
            http.client.HTTPConnection(HOST, self.http_port, timeout=PATIENCE_S)
            if self._client is None
            else http.client.HTTPSConnection(HOST, self.http_port, timeout=PATIENCE_S, context=self._client)
        )
        try:
            sent = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, sent, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def status(self) -> Any:
        return self.ask("/status")[1]

    def becomes_leader(self, voter: Caller) -> int:
        """`voter` votes for it until it leads; returns its term."""

        def leads() -> bool:
            status = self.status()
            if status["role"] == "candidate":
                voter.sends(RequestVoteReply(status["term"], True))
            return bool(status["role"] == "leader")

        eventually("n1 leads", leads)
        return int(self.status()["term"])


class Caller:
    """A connection to a node's raft port; with `tls` it is encrypted, and shows the certificate in it."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection((HOST, port), PATIENCE_S)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="n1")
        self._frames = FrameBuffer()
        self._number = 0

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def says_hello(self, node: str = "n2", secret: Secret | None = None) -> None:
        """The whole handshake; the node it calls is n1."""
        hello = Hello(PROTOCOL_VERSION, "cluster", node, 1)
        if secret is not None:
            challenge = self.reply()
            assert isinstance(challenge, Challenge)
            hello = secret.proven(hello, "n1", challenge.nonce)
        self.socket.sendall(encode_frame(hello))
        if secret is not None:
            self.reply()

    def reply(self) -> Any:
        """The next frame that comes back."""
        while True:
            for payload in self._frames.feed(self.socket.recv(1 << 16)):
                return decode_reply(payload)

    def sends(self, *messages: Message) -> None:
        self.socket.sendall(b"".join(self.frame(message) for message in messages))

    def frame(self, message: Message) -> bytes:
        """The frame, also of what a node does not encode."""
        self._number += 1
        return encode_frame(Envelope(self._number, message))

    def sends_bytes(self, data: bytes) -> None:
        with suppress(ConnectionError):  # it may be refused before its end
            self.socket.sendall(data)

    def is_dropped(self) -> bool:
        """Waits for the end of the connection."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True
