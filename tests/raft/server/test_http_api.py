"""The API for clients, with real nodes: each status code, redirects, retries, and the two GETs."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from nodes import HOST, TIMING, WAIT_S, Nodes
from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.server import http_api
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.http_api import parse_request
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.messages import RequestVote
from raft_chaos.raft.state.timing import Timing

QUICK = Timing(20_000, 40_000, 5_000)
NEVER = Timing(3_600_000_000, 3_600_000_000, 30_000)
"""For nodes that must not stand for election."""


def run(main: Callable[[], Awaitable[None]]) -> None:
    run_event_loop(main())


# ---- one node --------------------------------------------------------------------------------------------------------


def test_commands_are_answered_with_result_index_and_term(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            await nodes.leader()
            status, body = await nodes.execute("n1", "put x 1")
            assert (status, body["ok"], body["result"]) == (200, True, None)
            position = (body["index"], body["term"])
            assert await nodes.execute("n1", {"op": "get", "key": "x"}) == (
                200,
                {"ok": True, "index": position[0] + 1, "term": position[1], "result": "1"},
            )
            status, body = await nodes.execute("n1", "cas x 0 2")
            assert (status, body["ok"], body["result"]) == (200, False, "1")
            assert "cas" in body["error"]
            await nodes.execute("n1", "append l a")
            assert (await nodes.execute("n1", "get l"))[1]["result"] == ["a"]

    run(main)


def test_a_retry_with_the_same_client_and_serial_gets_the_same_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            await nodes.leader()
            for _ in range(2):
                _, body = await nodes.execute("n1", {"op": "cas", "key": "x", "value": "1"}, client="c", serial=1)
                assert body["ok"] is True
            await nodes.execute("n1", "put x 2", client="c", serial=2)
            _, body = await nodes.execute("n1", "put x 1", client="c", serial=1)
            assert (body["ok"], "older than this client's latest" in body["error"]) == (False, True)
            assert (await nodes.execute("n1", "get x"))[1]["result"] == "2"

    run(main)


def test_status_and_log(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            await nodes.until("n1", lambda status: status["commit_index"] == 1)
            for value in ("1", "2", "3"):
                await nodes.execute("n1", f"put x {value}", client="c", serial=int(value))
            status = await nodes.get("n1", "/status")
            term = status["term"]
            assert status == {
                "node": "n1",
                "role": "leader",
                "term": term,
                "leader": "n1",
                "commit_index": 4,
                "last_applied": 4,
                "last_index": 4,
                "peers": {},
            }
            log = await nodes.get("n1", "/log")
            assert (log["last_index"], log["commit_index"]) == (4, 4)
            assert log["entries"][0] == {"index": 1, "term": term, "command": None, "committed": True}
            assert log["entries"][3]["command"] == {"op": "put", "key": "x", "value": "3", "client": "c", "serial": 3}
            for query, indices in (
                ("?from=3", [3, 4]),
                ("?from=2&limit=2", [2, 3]),
                ("?from=9", []),
                ("?limit=1", [1]),
            ):
                log = await nodes.get("n1", "/log" + query)
                assert [entry["index"] for entry in log["entries"]] == indices

    run(main)


def test_an_answer_with_long_commands_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_api, "LOG_BYTES_MAX", 1_000)

    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            await nodes.leader()
            last_index = (await nodes.get("n1", "/status"))["last_index"]
            for _ in range(5):
                await nodes.execute("n1", "put x " + "1" * 400)
            log = await nodes.get("n1", f"/log?from={last_index + 1}")
            assert [entry["index"] - last_index for entry in log["entries"]] == [1, 2, 3]
            log = await nodes.get("n1", f"/log?from={last_index + 4}")
            assert [entry["index"] - last_index for entry in log["entries"]] == [4, 5]

    run(main)


def test_refusals_say_in_json_what_is_wrong(tmp_path: Path) -> None:
    malformed: list[tuple[bytes, str]] = [
        (b"", "body: not JSON"),
        (b"\xff\xfe", "body: not JSON"),
        (b"[" * 100_000, "body: not JSON"),
        (b"[]", "body: expected an object"),
        (b"{}", "command: missing"),
        (b'{"command": "put x 1", "ttl": 1}', "ttl: no such field"),
        (b'{"command": {"op": "put", "key": "x"}}', "command.value: put needs a string"),
        (b'{"command": "get x", "serial": 1}', "client: expected a string beside serial"),
        (b'{"command": "get x", "client": "c"}', "serial: expected a number"),
        (b'{"command": "get x", "client": "c", "serial": 0}', "serial: expected a number"),
        (b'{"command": "get x", "client": "c", "serial": true}', "serial: expected a number"),
        (b'{"command": "get x", "client": "", "serial": 1}', "client: expected a string"),
    ]

    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK) as nodes:
            await nodes.start("n1")
            for data, said in malformed:
                status, _, body = await nodes.request("n1", "POST", "/executeCommand", data=data)
                assert (status, body["ok"]) == (400, False)
                assert body["error"].startswith(said)
            for query in ("from=0", "from=x", "from=-1", "from=" + "9" * 5000, "limit=0", "limit=1001", "limit="):
                status, _, body = await nodes.request("n1", "GET", f"/log?{query}")
                name = query.partition("=")[0]
                assert (status, body["error"].startswith(f"{name}: expected a number from 1")) == (400, True)
            too_large = b'{"command": "put x ' + b"1" * http_api.MAX_BODY_BYTES + b'"}'
            status, _, body = await nodes.request("n1", "POST", "/executeCommand", data=io.BytesIO(too_large))
            assert (status, "larger than 1048576 bytes" in body["error"]) == (413, True)
            status, _, body = await nodes.request(
                "n1", "POST", "/executeCommand", data=b"no gzip", headers={"Content-Encoding": "gzip"}
            )
            assert (status, body["error"].startswith("Content-Encoding: send the body as it is")) == (415, True)
            status, _, body = await nodes.request("n1", "GET", "/nowhere")
            assert (status, "there are POST /executeCommand" in body["error"]) == (404, True)
            status, headers, body = await nodes.request("n1", "GET", "/executeCommand")
            assert (status, headers["Allow"], body["error"]) == (405, "POST", "GET is not allowed here; use POST")

    run(main)


def test_requests_without_the_token_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, timing=QUICK, token="sésame") as nodes:
            await nodes.start("n1")
            wrong = [None, "", "Bearer", "Bearer wrong", "sésame", "Basic sésame", "Bearer s\udcff"]
            for path in ("/status", "/log", "/executeCommand", "/nowhere"):
                for given in wrong:
                    headers = {} if given is None else {"Authorization": given}
                    status, answer, body = await _raw_get(nodes.running["n1"].http_url, path, headers)
                    assert (status, answer["www-authenticate"]) == (401, "Bearer")
                    assert b"Authorization: Bearer" in body
            status, _, _ = await _raw_get(nodes.running["n1"].http_url, "/status", {"Authorization": "Bearer sésame"})
            assert status == 200

    run(main)


async def _raw_get(base: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    """A request with header bytes that a well-behaved client would not send."""
    host, _, port = base.removeprefix("http://").partition(":")
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join([*lines, "", ""]).encode(errors="surrogateescape"))
    head, _, body = (await asyncio.wait_for(reader.read(), WAIT_S)).partition(b"\r\n\r\n")
    writer.close()
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in rest}, body


@pytest.mark.parametrize("serial", [-1, 1 << 63, 1.5, "1"])
def test_serials_are_numbers_that_fit_63_bits(serial: Any) -> None:
    body = f'{{"command": "get x", "client": "c", "serial": {serial!r}}}'.replace("'", '"')
    with pytest.raises(ValueError, match="serial: expected a number from 1 on"):
        parse_request(body.encode())


# ---- several nodes ---------------------------------------------------------------------------------------------------


def test_without_a_leader_the_answer_is_to_try_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await nodes.start("n1")
            status, headers, body = await nodes.request("n1", "POST", "/executeCommand", json={"command": "get x"})
            assert (status, headers["Retry-After"]) == (503, "1")
            assert body == {"ok": False, "error": "no leader is known at the moment"}

    run(main)


def test_followers_redirect_to_the_leader_and_the_redirect_can_be_followed(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await nodes.start("n2", "n3")
            nodes.override("n1", timing=TIMING)
            await nodes.start("n1")
            assert await nodes.leader() == "n1"
            url = nodes.running["n1"].http_url + "/executeCommand?a=b"
            for follower in ("n2", "n3"):
                await nodes.until(follower, lambda status: status["leader"] == "n1")
                path = "/executeCommand?a=b"
                status, headers, body = await nodes.request(follower, "POST", path, json={"command": "get x"})
                assert (status, headers["Location"]) == (307, url)
                assert (body["ok"], body["leader"], body["location"]) == (False, "n1", url)
                command = {"command": f"append seen {follower}"}
                status, _, body = await nodes.request(follower, "POST", path, json=command, allow_redirects=True)
                assert (status, body["ok"]) == (200, True)
            assert (await nodes.execute("n1", "get seen"))[1]["result"] == ["n2", "n3"]
            peers = (await nodes.get("n1", "/status"))["peers"]
            assert {name: peer["url"] for name, peer in peers.items()} == {
                name: nodes.running[name].http_url for name in ("n2", "n3")
            }
            assert all(peer["next_index"] > peer["match_index"] for peer in peers.values())

    run(main)


def test_a_forgotten_session_is_told_so_and_a_new_one_begins_with_that_answer(tmp_path: Path) -> None:
    async def main() -> None:
        timing = TIMING.with_features(Features(max_sessions=1))
        async with Nodes(tmp_path, 1, timing=timing) as nodes:
            await nodes.start("n1")
            assert await nodes.leader() == "n1"
            first = {"command": "append x a", "client": "c", "serial": 1}
            assert (await nodes.execute("n1", **first))[1]["ok"] is True
            assert (await nodes.execute("n1", "append x b", client="d", serial=1))[1]["ok"] is True
            status, refused = await nodes.execute("n1", **first)
            assert (status, refused["ok"]) == (200, False)
            assert refused["error"].startswith("session expired, or it began too long ago")
            again = {"command": "append x c", "client": "c", "serial": 1, "since": refused["index"]}
            for _ in range(2):
                assert (await nodes.execute("n1", **again))[1]["ok"] is True
            read = await nodes.get("n1", f"/read?key=x&client=c&serial=2&since={refused['index']}")
            assert read["result"] == ["a", "b", "c"]
            shown = (await nodes.get("n1", f"/log?from={read['index']}"))["entries"][0]["command"]
            assert (shown["client"], shown["serial"], shown["since"]) == ("c", 2, refused["index"])

    run(main)


@pytest.mark.parametrize("since", [-1, 1 << 63, "7", True, 1.5])
def test_since_is_the_index_of_an_entry(since: object) -> None:
    body = msgspec.json.encode({"command": "get x", "client": "c", "serial": 1, "since": since})
    with pytest.raises(ValueError, match="since: expected the index of a log entry"):
        parse_request(body)


def test_since_needs_a_client() -> None:
    with pytest.raises(ValueError, match="client: expected a string beside serial"):
        parse_request(b'{"command": "get x", "since": 3}')


def test_a_leader_that_cannot_commit_refuses_more_bytes_of_commands_at_once(tmp_path: Path) -> None:
    """One command is taken in any case; then the bytes of all that wait count."""

    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER, commit_timeout_s=0.1) as nodes:
            await nodes.start("n2")
            nodes.override("n1", timing=replace(TIMING, max_waiting_bytes=1_000))
            await nodes.start("n1")
            assert await nodes.leader() == "n1"
            await nodes.stop("n2")
            last_index = (await nodes.get("n1", "/status"))["last_index"]
            for _ in range(2):
                assert (await nodes.execute("n1", "put x " + "v" * 450))[0] == 504
            status, headers, body = await nodes.request(
                "n1", "POST", "/executeCommand", json={"command": "put x " + "v" * 450}
            )
            assert (status, headers["Retry-After"]) == (503, "1")
            assert re.fullmatch(r"9\d\d bytes of commands are waiting already, of at most 1000", body["error"])
            assert (await nodes.get("n1", "/status"))["last_index"] == last_index + 2, "it had no effect"
            assert (await nodes.execute("n1", "put x 1"))[0] == 504, "a small one still has room"

            await nodes.start("n2")
            async with asyncio.timeout(WAIT_S):
                while (await nodes.execute("n1", "put x " + "v" * 450))[0] != 200:
                    pass

    run(main)


def test_an_unknown_outcome_is_reported_and_a_retry_is_applied_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER, commit_timeout_s=0.1) as nodes:
            await nodes.start("n2")
            nodes.override("n1", timing=replace(TIMING, max_waiting=1))
            await nodes.start("n1")
            assert await nodes.leader() == "n1"
            await nodes.stop("n2")
            again = {"command": "append x a", "client": "c", "serial": 1}
            status, body = await nodes.execute("n1", **again)
            assert (status, body["outcome"]) == (504, "unknown")
            assert body["error"] == "not committed within 0.1 s"
            log = await nodes.get("n1", "/log")
            assert [entry["committed"] for entry in log["entries"]][-2:] == [True, False]

            status, headers, body = await nodes.request("n1", "POST", "/executeCommand", json=again)
            assert (status, headers["Retry-After"]) == (503, "1")
            assert body["error"] == "1 commands and reads are waiting already"

            await nodes.start("n2")
            async with asyncio.timeout(WAIT_S):
                while (await nodes.execute("n1", **again))[0] != 200:
                    pass
            assert (await nodes.execute("n1", **again))[1]["ok"] is True
            assert (await nodes.execute("n1", "get x"))[1]["result"] == ["a"]

    run(main)


def test_a_deposed_leader_answers_its_clients_with_an_unknown_outcome(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER, commit_timeout_s=WAIT_S) as nodes:
            await nodes.start("n2")
            nodes.override("n1", timing=TIMING)
            await nodes.start("n1")
            await nodes.leader()
            await nodes.stop("n2")
            last_index = (await nodes.get("n1", "/status"))["last_index"]
            waiting = asyncio.ensure_future(nodes.execute("n1", "put x 1"))
            await nodes.until("n1", lambda status: status["last_index"] > last_index)

            # n3 comes back with a newer term.
            hello = Hello(PROTOCOL_VERSION, "c", "n3", 1)
            n3 = Transport(hello, {"n1": (HOST, nodes.ports["n1"])}, lambda *_: None)
            n3.connect()
            while not waiting.done():
                n3.send(n3.number([("n1", RequestVote(1_000, 0, 0))]))
                await nodes.get("n1", "/status")
            await n3.close()
            status, body = await waiting
            assert (status, body["outcome"]) == (504, "unknown")
            assert "lost its leadership" in body["error"]

    run(main)
