"""The two ports of a real node process: for clients (HTTP) and for peers (frames, or TLS records).

Each input is one connection. Afterwards the node must still run, and answer /status.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Literal

from door import Damage, Entered
from mutation import damaged_bytes, damaged_json
from nodes import HOST, free_ports
from raft_chaos.chaos.targets.certificate_folders import make
from raft_chaos.chaos.targets.certificates import Certificates
from raft_chaos.raft.network.tls import Tls

COMMAND = Path(sys.executable).with_name("raft-chaos")
PATIENCE_S, IMPATIENCE_S = 5.0, 0.02
"""How long a node has for an answer: to a valid input, and to a damaged one."""
STARTED = 1_200
"""So many attempts to reach a node that starts, a twentieth of a second apart."""


class NodeDoor:
    """A node n1 whose peers n2 and n3 do not exist, so that whoever says that it is n2 is believed."""

    def __init__(
        self, folder: Path, samples: list[bytes], damage: Damage, port: Literal["http", "raft"], *options: str
    ) -> None:
        self.name = {"http": "http", "raft": "peers"}[port]
        self._folder = folder
        self._samples = samples
        self._damage = damage
        self._http_port, raft_port = free_ports(2)
        self._port = self._http_port if port == "http" else raft_port
        self._words = [
            *(str(COMMAND), "node", "--name", "n1", "--data", str(folder / "data"), "--cluster-id", "c"),
            *("--peer", f"n2={HOST}:1", "--peer", f"n3={HOST}:2"),
            *("--listen", f"{HOST}:{raft_port}", "--http-port", str(self._http_port)),
            *options,
        ]
        self._process = self._start()

    def samples(self) -> list[bytes]:
        return self._samples

    def damages(self) -> list[Damage]:
        return [damaged_bytes, self._damage]

    def enter(self, data: bytes) -> Entered:
        if self._process.poll() is not None:
            self._process = self._start()
        patience_s = PATIENCE_S if data in self._samples else IMPATIENCE_S
        answer = _exchange(self._port, data, patience_s, ends=self.name != "http")
        status = self._status()
        if (code := self._process.poll()) is not None or status != http.client.OK:
            last = (self._folder / "stderr").read_text(errors="replace")[-2_000:]
            raise AssertionError(f"the node answers {status}, and its exit code is {code}: {last}")
        if answer.startswith(b"HTTP/1.1 500"):
            raise AssertionError(answer.decode(errors="replace"))
        return "accepted" if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 503")) else "refused"

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(self._words, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        for _ in range(STARTED):
            if self._status() == http.client.OK:
                return process
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        process.kill()
        raise AssertionError(f"the node did not start: {(self._folder / 'stderr').read_text()}")

    def _status(self) -> int:
        """The code of its answer to GET /status; 0 if there is none."""
        connection = self._http()
        try:
            connection.request("GET", "/status")
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _http(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self._http_port, timeout=PATIENCE_S)


class TlsDoor(NodeDoor):
    """The raft port of a node with TLS. Each input comes in place of the handshake, and again after a whole one."""

    def __init__(self, folder: Path) -> None:
        make(folder / "tls", ["n1", "n2"])
        certificates = Certificates(folder / "tls")
        files = certificates.files("n1")
        self._tls = Tls(certificates.files("n2")).calling
        super().__init__(
            folder,
            [self._first_bytes(), b"\x17\x03\x03\x00\x20" + bytes(32), b"\x15\x03\x03\x00\x02\x02\x00"],
            damaged_bytes,
            "raft",
            *("--tls-cert", files.cert, "--tls-key", files.key, "--tls-ca", files.ca),
        )
        self.name = "tls"

    def enter(self, data: bytes) -> Entered:
        entered = super().enter(data)
        with socket.create_connection((HOST, self._port), PATIENCE_S) as plain:
            end = self._tls.wrap_socket(plain, server_hostname="n1")
            below = socket.socket(fileno=os.dup(end.fileno()))
            try:
                below.sendall(data)
                below.settimeout(IMPATIENCE_S)
                while below.recv(1 << 16):
                    pass
            except (ConnectionError, TimeoutError):
                pass  # it has been refused, or the node waits for the rest
            below.close()
            end.close()
        return entered

    def _first_bytes(self) -> bytes:
        to_send = ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            self._tls.wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="n1").do_handshake()
        return to_send.read()

    def _http(self) -> http.client.HTTPConnection:
        return http.client.HTTPSConnection(HOST, self._http_port, timeout=PATIENCE_S, context=self._tls)


def _exchange(port: int, data: bytes, patience_s: float, *, ends: bool) -> bytes:
    """Sends all of it, and returns what comes back until the node closes the connection, or says nothing for so long.

    A node may rightly wait for the rest of a damaged request, so the connection is given up then. `ends` tells the node
    that nothing more will come; to an HTTP server that means that the client is gone.
    """
    answer = b""
    try:
        with socket.create_connection((HOST, port), PATIENCE_S) as connection:
            connection.sendall(data)
            connection.settimeout(patience_s)
            if ends:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                answer += piece
    except (ConnectionError, TimeoutError):
        pass
    return answer


def damaged_request(rng: Random, sample: bytes) -> bytes:
    """A well-formed request with an absurd body, and mostly its right length."""
    head, _, body = sample.partition(b"\r\n\r\n")
    damaged = damaged_json(rng, body) if body else body
    if rng.random() < 0.9:
        head = head.replace(b"Content-Length: %d" % len(body), b"Content-Length: %d" % len(damaged))
    return head + b"\r\n\r\n" + damaged


def request(method: bytes, path: bytes, body: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (
        method,
        path,
        len(body),
        body,
    )
