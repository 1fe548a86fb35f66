"""Who may send requests: no page in a browser, any program; and how many connections, and for how long."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nodes import HOST, TIMING, WAIT_S, Nodes
from raft_chaos.raft.server import http_api, http_door
from raft_chaos.raft.server.addresses import is_loopback
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.http_door import AllowedCallers
from raft_chaos.raft.state.timing import Timing

QUICK = Timing(20_000, 40_000, 5_000)
NEVER = Timing(3_600_000_000, 3_600_000_000, 30_000)


def run(main: Callable[[], Awaitable[None]]) -> None:
    run_event_loop(main())


# ---- headers ---------------------------------------------------------------------------------------------------------

OWN = ["localhost", "localhost:8001", "LOCALHOST", "127.0.0.1:8001", "127.9.9.9", "[::1]:8001", "[::1]", None]
FOREIGN = [
    "evil.example",
    "evil.example:8001",
    "localhost.evil.example",
    "10.0.0.1:8001",
    "[::2]",
    "",
    "[",
    ":80",
    "::1",
]


@pytest.mark.parametrize("host", OWN)
def test_a_node_on_loopback_is_called_by_the_names_of_loopback(host: str | None) -> None:
    assert AllowedCallers("127.0.0.1", []).refusal({"Host": host} if host is not None else {}) is None


@pytest.mark.parametrize("host", FOREIGN)
def test_a_request_by_another_name_is_refused_whatever_the_request(host: str) -> None:
    refusal = AllowedCallers("127.0.0.1", []).refusal({"Host": host})
    assert refusal is not None
    assert refusal.startswith(f"Host: this node is not called {host!r}; use its address, or start it with --allow-host")


def test_names_and_addresses_can_be_allowed() -> None:
    callers = AllowedCallers("10.0.0.1", ["Raft.example.", "other"])
    for host in ("10.0.0.1:8001", "raft.example", "RAFT.example.:8001", "other:1", "localhost"):
        assert callers.refusal({"Host": host}) is None
    for host in ("10.0.0.2", "raft.example.org", "example"):
        assert callers.refusal({"Host": host}) is not None
    everywhere = AllowedCallers("0.0.0.0", [])
    assert everywhere.refusal({"Host": "192.168.1.7:8001"}) is None
    assert everywhere.refusal({"Host": "evil.example"}) is not None


def test_pages_of_other_origins_are_refused() -> None:
    callers = AllowedCallers("127.0.0.1", [])
    for origin in ("http://evil.example", "null", "", "http://127.0.0.1:9999", "http://localhost:8001", "file://"):
        refusal = callers.refusal({"Host": "127.0.0.1:8001", "Origin": origin})
        assert refusal is not None
        assert refusal.startswith(f"Origin: requests from the pages of {origin!r} are refused")
    assert callers.refusal({"Host": "127.0.0.1:8001", "Origin": "http://127.0.0.1:8001"}) is None
    assert callers.refusal({"Origin": "http://127.0.0.1:8001"}) is not None
    for site, refused in (("cross-site", True), ("same-origin", False), ("none", False)):
        said = callers.refusal({"Host": "127.0.0.1:8001", "Sec-Fetch-Site": site})
        assert (said is not None) is refused


def test_a_redirect_leads_where_the_client_reaches_the_machine() -> None:
    callers = AllowedCallers("0.0.0.0", [])
    for url, host, location in (
        ("http://127.0.0.1:8002", "localhost:8001", "http://127.0.0.1:8002"),
        ("http://0.0.0.0:8002", "192.168.1.7:8001", "http://192.168.1.7:8002"),
        ("http://[::]:8002", "[fe80::7]:8001", "http://[fe80::7]:8002"),
    ):
        assert callers.location(url, {"Host": host}) == location
    assert callers.location("http://0.0.0.0:8002", {}) == "http://0.0.0.0:8002"


def test_loopback_is_what_no_other_machine_reaches() -> None:
    assert all(is_loopback(address) for address in ("127.0.0.1", "127.8.0.1", "::1", "localhost"))
    assert not any(is_loopback(address) for address in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""))


def test_a_page_can_neither_send_commands_nor_read_the_log_and_programs_can(tmp_path: Path) -> None:
    command = json.dumps({"command": "put x page"}).encode()
    from_pages = [
        {"Origin": "http://evil.example", "Content-Type": "text/plain"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ]

    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK, allowed_hosts=["raft.example"]) as nodes:
            await nodes.start("n1")
            await nodes.leader()
            last_index = (await nodes.get("n1", "/status"))["last_index"]
            for headers in from_pages:
                for method, path in (("POST", "/executeCommand"), ("GET", "/log"), ("GET", "/status"), ("GET", "/no")):
                    data = command if method == "POST" else None
                    status, _, body = await nodes.request("n1", method, path, data=data, headers=headers)
                    assert (status, body["ok"]) == (403, False)
                    assert body["error"].partition(":")[0] in ("Origin", "Host", "Sec-Fetch-Site")
            assert (await nodes.get("n1", "/status"))["last_index"] == last_index
            programs = [
                {"User-Agent": "curl/8.5.0", "Content-Type": "application/x-www-form-urlencoded"},
                {"User-Agent": "PostmanRuntime/7.43", "Postman-Token": "7", "Cache-Control": "no-cache"},
                {"Host": "raft.example:8001"},
            ]
            for headers in programs:
                status, _, body = await nodes.request("n1", "POST", "/executeCommand", data=command, headers=headers)
                assert (status, body["ok"]) == (200, True)

    run(main)


# ---- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "x"])
def test_compressed_bodies_are_refused_unread(tmp_path: Path, encoding: str) -> None:
    bomb = gzip.compress(bytes(http_api.MAX_BODY_BYTES * 20))

    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            status, headers, body = await nodes.request(
                "n1", "POST", "/executeCommand", data=bomb, headers={"Content-Encoding": encoding}
            )
            assert (status, headers["Accept-Encoding"]) == (415, "identity")
            assert body["error"].startswith("Content-Encoding: send the body as it is")

    run(main)


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "REQUEST_TIMEOUT_S", 0.1)

    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            reader, writer = await asyncio.open_connection(HOST, nodes.http_ports["n1"])
            writer.write(b"POST /executeCommand HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            answer = await asyncio.wait_for(reader.readuntil(b"}\n"), WAIT_S)
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"body: not complete within 0.1 s" in answer
            writer.transport.abort()

    run(main)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /status HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"POST /executeCommand HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /executeCommand HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n",
    ],
)
def test_what_is_not_http_is_refused_without_a_traceback(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            reader, writer = await asyncio.open_connection(HOST, nodes.http_ports["n1"])
            writer.write(sent)
            answer = await asyncio.wait_for(reader.readline(), WAIT_S)
            assert b" 400 " in answer
            writer.transport.abort()
            assert (await nodes.get("n1", "/status"))["node"] == "n1"

    run(main)
    assert [record.getMessage() for record in caplog.records] == []


# ---- connections -----------------------------------------------------------------------------------------------------


REQUEST = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), WAIT_S) is not None
    except ConnectionError:
        return True


async def is_served(port: int) -> bool:
    """Whether a new connection gets an answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(REQUEST)
    try:
        return (await asyncio.wait_for(reader.readline(), WAIT_S)).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False
    finally:
        writer.transport.abort()


def test_a_connection_without_a_request_is_closed_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_door, "REQUEST_TIMEOUT_S", 0.1)

    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            assert (await nodes.get("n1", "/status"))["node"] == "n1"  # this connection stays, and is used again
            for sent in (b"", b"GET /status HT", b"GET /status HTTP/1.1\r\nHost: localhost\r\n"):
                reader, writer = await asyncio.open_connection(HOST, nodes.http_ports["n1"])
                writer.write(sent)
                assert await is_closed(reader)
                writer.close()
            assert (await nodes.get("n1", "/status"))["node"] == "n1"

    run(main)


def test_silent_connections_give_way_to_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_door, "MAX_CONNECTIONS", 3)

    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            port = nodes.http_ports["n1"]
            silent = [await asyncio.open_connection(HOST, port) for _ in range(6)]
            for reader, _ in silent[:3]:
                assert await is_closed(reader)
            clients = []
            for reader, _ in silent[3:]:
                client = await asyncio.open_connection(HOST, port)
                client[1].write(REQUEST)
                assert (await asyncio.wait_for(client[0].readline(), WAIT_S)).startswith(b"HTTP/1.1 200")
                clients.append(client)
                assert await is_closed(reader)
            assert not await is_served(port), "all three are clients, so there is no room"
            clients[0][1].transport.abort()
            async with asyncio.timeout(WAIT_S):
                while not await is_served(port):
                    pass
            for _, one in (*silent, *clients):
                one.transport.abort()

    run(main)


# ---- curl ------------------------------------------------------------------------------------------------------------


async def curl(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--noproxy", "*", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    return output.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("token", "options"),
    [(None, ["-L"]), ("s3cret", ["--location-trusted", "-H", "Authorization: Bearer s3cret"])],
    ids=["no token", "token"],
)
def test_curl_reaches_the_leader_from_a_follower_as_the_manual_shows(
    tmp_path: Path, token: str | None, options: list[str]
) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER, token=token) as nodes:
            nodes.override("n1", timing=TIMING, token=token)
            await nodes.start("n2", "n3", "n1")
            url = nodes.running["n2"].http_url + "/executeCommand"
            async with asyncio.timeout(WAIT_S):
                while "no leader" in (answer := await curl(*options, url, "-d", '{"command": "put x 1"}')):
                    pass
            assert json.loads(answer)["ok"] is True
            answer = await curl(*options, url, "-d", '{"command": "get x"}')
            assert json.loads(answer)["result"] == "1"

    run(main)
