"""A real node with TLS on both ports: whom it serves, and what it bears."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest

from node_process import Caller, NodeProcess, eventually
from nodes import HOST, WAIT_S, Nodes
from raft_chaos.chaos.targets.certificate_folders import make
from raft_chaos.chaos.targets.certificates import CLIENT, Certificates
from raft_chaos.raft.network.tls import Tls
from raft_chaos.raft.server import http_door
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.exit_codes import EXIT_REFUSED
from raft_chaos.raft.state.messages import RequestVote

STALLED = 60


def options(certificates: Certificates, owner: str = "n1") -> tuple[str, ...]:
    files = certificates.files(owner)
    return ("--tls-cert", files.cert, "--tls-key", files.key, "--tls-ca", files.ca)


def context(certificates: Certificates, owner: str = CLIENT) -> ssl.SSLContext:
    return Tls(certificates.files(owner)).calling


@pytest.mark.parametrize("uvloop", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["uvloop", "asyncio"])
def test_a_flood_of_handshakes_that_stall_or_fail_keeps_neither_peers_nor_clients_out(
    tmp_path: Path, uvloop: bool, certificates: Certificates
) -> None:
    """Silent callers, halves of a handshake, plain text and noise, all at once, at a node with few descriptors."""
    hello = half_a_handshake(certificates)
    with NodeProcess(
        tmp_path, *options(certificates), open_files=80, uvloop=uvloop, client=context(certificates)
    ) as node:
        flood = []
        for number in range(STALLED):
            for port in (node.raft_port, node.http_port):
                one = socket.create_connection((HOST, port), 5)
                one.sendall((b"", hello, hello[:40], b"GET / HTTP/1.1\r\n\r\n", os.urandom(300))[number % 5])
                flood.append(one)

        def leads() -> bool:
            try:
                with Caller(node.raft_port, context(certificates, "n3")) as peer:
                    peer.says_hello("n3")
                    return node.becomes_leader(peer) > 0
            except (OSError, http.client.HTTPException):
                return False

        eventually("the node leads", leads)
        assert node.process.poll() is None, node.stderr[-2000:]
        assert "Traceback" not in node.stderr and "CRITICAL" not in node.stderr
        assert any("does not speak TLS" in line for line in node.complaints)
        for one in flood:
            one.close()


def half_a_handshake(certificates: Certificates) -> bytes:
    to_send = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context(certificates).wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="n1").do_handshake()
    return to_send.read()


@pytest.mark.slow
def test_noise_after_the_handshake_ends_the_connection_and_nothing_else(
    tmp_path: Path, certificates: Certificates
) -> None:
    with NodeProcess(tmp_path, *options(certificates), client=context(certificates)) as node:
        for owner in ("n2", CLIENT):
            port = node.raft_port if owner == "n2" else node.http_port
            with socket.create_connection((HOST, port), WAIT_S) as plain:
                end = context(certificates, owner).wrap_socket(
                    plain, server_hostname="n1", do_handshake_on_connect=True, suppress_ragged_eofs=True
                )
                raw = socket.socket(fileno=os.dup(end.fileno()))
                raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))  # a record that nobody has encrypted
                raw.close()
                try:
                    while end.recv(4096):
                        pass
                except OSError:
                    pass  # an alert or a reset
                end.close()
        eventually("it is logged", lambda: any("bad record mac" in line for line in node.complaints))
        assert node.status()["node"] == "n1"


@pytest.mark.slow
def test_a_node_with_unusable_files_refuses_to_start_with_one_sentence(tmp_path: Path) -> None:
    """`test_tls` has all that can be wrong with them."""
    make(tmp_path / "tls", ["n1"], days=0)
    node = NodeProcess(tmp_path, *options(Certificates(tmp_path / "tls")))
    try:
        assert node.process.wait(WAIT_S) == EXIT_REFUSED
    finally:
        node.__exit__()
    (line,) = node.stderr.splitlines()
    assert line.startswith("n1: ") and "n1.pem: the certificate, or the CA in" in line


# ---- HTTP ------------------------------------------------------------------------------------------------------------


def test_clients_with_a_certificate_are_served_and_redirected_to_https(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        async with TlsNodes(tmp_path, certificates) as nodes:
            await nodes.start("n1", "n2", "n3")
            leader = await nodes.leader()
            for name in nodes.running:
                status, headers, _ = await nodes.request(
                    name, "POST", "/executeCommand", json={"command": "put x 1"}, ssl=nodes.tls
                )
                assert status == (200 if name == leader else 307)
                if status == 307:
                    assert headers["Location"].startswith(f"https://{HOST}:{nodes.http_ports[leader]}/")
            assert (await nodes.get("n1", "/status"))["peers"]["n2"]["url"].startswith("https://")

    run_event_loop(main())


def test_a_page_of_the_node_itself_has_an_origin_with_https(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        async with TlsNodes(tmp_path, certificates, 1) as nodes:
            await nodes.start("n1")
            port = nodes.http_ports["n1"]
            for origin, expected in (
                (f"https://{HOST}:{port}", 200),
                (f"http://{HOST}:{port}", 403),
                ("https://evil.example", 403),
            ):
                status, _, _ = await nodes.request("n1", "GET", "/status", headers={"Origin": origin})
                assert status == expected
            status, _, _ = await nodes.request("n1", "GET", "/status", headers={"Host": "n1"})
            assert status == 200, "a name in its certificate is its own"

    run_event_loop(main())


def test_clients_without_a_certificate_or_without_tls_are_told(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        async with TlsNodes(tmp_path, certificates, 1) as nodes:
            await nodes.start("n1")
            stranger = ssl.create_default_context(cafile=certificates.ca)
            with pytest.raises(aiohttp.ClientError, match=r"(?i)certificate required|reset|disconnected"):
                await nodes.request("n1", "GET", "/status", ssl=stranger)
            reader, writer = await asyncio.open_connection(HOST, nodes.http_ports["n1"])
            writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, body = (await asyncio.wait_for(reader.read(), WAIT_S)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ") and "this port speaks https" in json.loads(body)["error"]
            writer.close()
            assert (await nodes.get("n1", "/status"))["node"] == "n1"

    run_event_loop(main())


def test_a_handshake_counts_for_the_time_of_the_first_request_and_for_the_connections(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    hello = half_a_handshake(certificates)

    async def main() -> None:
        async with TlsNodes(tmp_path, certificates, 1) as nodes:
            monkeypatch.setattr(http_door, "MAX_CONNECTIONS", 4)
            monkeypatch.setattr(http_door, "REQUEST_TIMEOUT_S", 0.3)
            await nodes.start("n1")
            port = nodes.http_ports["n1"]
            for sent in (b"", hello, hello[:30]):
                reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(sent)
                await asyncio.wait_for(ended(reader), WAIT_S)
                writer.transport.abort()
            monkeypatch.setattr(http_door, "REQUEST_TIMEOUT_S", 1_000.0)
            streams = [await asyncio.open_connection(HOST, port) for _ in range(9)]
            for _, writer in streams:
                writer.write(hello)
            assert (await nodes.get("n1", "/status"))["node"] == "n1", "the oldest have made room"
            for reader, _ in streams[:5]:
                await asyncio.wait_for(ended(reader), WAIT_S)
            for _, writer in streams:
                writer.transport.abort()

    run_event_loop(main())


async def ended(reader: asyncio.StreamReader) -> None:
    try:
        await reader.read()
    except ConnectionError:
        pass  # a reset is as good an end


class TlsNodes(Nodes):
    """Real nodes with TLS, and a client that has its certificate."""

    def __init__(self, folder: Path, certificates: Certificates, size: int = 3) -> None:
        super().__init__(folder, size)
        urls = {name: f"https://{HOST}:{port}" for name, port in self.http_ports.items()}
        for name in urls:
            self.override(
                name,
                tls=certificates.files(name),
                client_urls={peer: url for peer, url in urls.items() if peer != name},
            )
        self.tls = context(certificates)

    async def request(self, name: str, method: str, path: str, **more: object):  # type: ignore[no-untyped-def]
        return await super().request(name, method, path, **{"ssl": self.tls} | more)


def test_a_vote_over_tls_counts(tmp_path: Path, certificates: Certificates) -> None:
    """The whole way, with the frames of a peer that is not ours."""
    with NodeProcess(tmp_path, *options(certificates), client=context(certificates)) as node:
        with Caller(node.raft_port, context(certificates, "n2")) as peer:
            peer.says_hello("n2")
            peer.sends(RequestVote(50, 9, 9))
            eventually("it has the term", lambda: node.status()["term"] >= 50)
        with Caller(node.raft_port, context(certificates, "n3")) as liar:
            liar.says_hello("n2")
            liar.sends(RequestVote(5_000, 9, 9))
            assert liar.is_dropped()
        assert node.status()["term"] < 5_000
