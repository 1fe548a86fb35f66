"""GET /read with real nodes: each consistency, at the leader, at a follower, and at a leader that was cut off."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nodes import HOST, TIMING, WAIT_S, Nodes
from raft_chaos.raft.core import Core
from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello
from raft_chaos.raft.network.transport import Transport
from raft_chaos.raft.replica.command import Command, Read
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.http_requests import parse_read
from raft_chaos.raft.state.messages import RequestVote
from raft_chaos.raft.state.timing import Timing

NEVER = Timing(3_600_000_000, 3_600_000_000, 30_000)
"""For nodes that must not stand for election."""


def run(main: Callable[[], Awaitable[None]]) -> None:
    run_event_loop(main())


async def n1_leads(nodes: Nodes, *followers: str, max_waiting: int = 10) -> None:
    await nodes.start(*followers)
    nodes.override("n1", timing=replace(TIMING, max_waiting=max_waiting))
    await nodes.start("n1")
    assert await nodes.leader() == "n1"


def core_of(nodes: Nodes, name: str) -> Core:
    host = nodes.running[name]._host
    assert host is not None
    return host.replica.core


def test_each_kind_of_read_at_the_leader_and_at_a_follower(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2", "n3")
            await nodes.execute("n1", "put a/b 1")
            put = (await nodes.get("n1", "/status"))["last_index"]
            through_log = await nodes.get("n1", "/read?key=a/b")
            assert through_log == {"ok": True, "index": put + 1, "term": 1, "result": "1"}
            by_index = await nodes.get("n1", "/read?key=a%2Fb&consistency=read_index")
            told = {"node": "n1", "incarnation": core_of(nodes, "n1").incarnation}
            assert by_index == {"ok": True, "index": put + 1, "term": 1, "result": "1"} | told
            assert (await nodes.get("n1", "/status"))["last_index"] == put + 1, "it needed no entry"
            assert (await nodes.get("n1", "/read?key=none&consistency=stale")) == by_index | {"result": None}

            await nodes.until("n2", lambda status: status["last_applied"] == put + 1)
            stale = await nodes.get("n2", "/read?key=a/b&consistency=stale")
            assert (stale["node"], stale["result"], stale["index"]) == ("n2", "1", put + 1)
            for consistency in ("log", "read_index"):
                path = f"/read?key=a/b&consistency={consistency}"
                status, headers, body = await nodes.request("n2", "GET", path)
                assert (status, headers["Location"]) == (307, nodes.running["n1"].http_url + path)
                assert (body["ok"], body["leader"]) == (False, "n1")
                assert (await nodes.request("n2", "GET", path, allow_redirects=True))[2]["result"] == "1"

    run(main)


def test_a_leader_without_a_majority_answers_only_stale_reads(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER, commit_timeout_s=0.1) as nodes:
            await n1_leads(nodes, "n2", max_waiting=1)
            await nodes.execute("n1", "put x 1")
            await nodes.stop("n2")
            status, headers, body = await nodes.request("n1", "GET", "/read?key=x&consistency=read_index")
            assert (status, headers["Retry-After"]) == (503, "1")
            assert body["error"] == "no majority confirmed within 0.1 s that this node leads"
            assert (await nodes.get("n1", "/read?key=x&consistency=stale"))["result"] == "1"
            status, _, body = await nodes.request("n1", "GET", "/read?key=x&consistency=read_index")
            assert (status, body["error"]) == (503, "1 commands and reads are waiting already")

    run(main)


def test_a_deposed_leader_refuses_the_reads_that_wait(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER, commit_timeout_s=WAIT_S) as nodes:
            await n1_leads(nodes, "n2")
            await nodes.stop("n2")
            waiting = asyncio.ensure_future(nodes.request("n1", "GET", "/read?key=x&consistency=read_index"))
            while not core_of(nodes, "n1").waiting_reads:
                await nodes.get("n1", "/status")
            # n3 comes back with a newer term.
            hello = Hello(PROTOCOL_VERSION, "c", "n3", 1)
            n3 = Transport(hello, {"n1": (HOST, nodes.ports["n1"])}, lambda *_: None)
            n3.connect()
            while not waiting.done():
                n3.send(n3.number([("n1", RequestVote(1_000, 0, 0))]))
                await nodes.get("n1", "/status")
            await n3.close()
            status, _, body = await waiting
            assert (status, body["error"]) == (503, "this node lost its leadership before it could answer")
            assert "outcome" not in body, "a read has none"

    run(main)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "key: missing; ask for example for /read?key=x"),
        ({"key": ""}, "key: missing"),
        ({"key": "x", "consistency": "fast"}, "consistency: expected log, read_index, lease or stale, got 'fast'"),
        ({"key": "x", "level": "1"}, "level: no such parameter; there are key, consistency, client, serial"),
        ({"key": "x", "client": "c"}, "serial: expected a number from 1 on beside client, got None"),
        ({"key": "x", "client": "c", "serial": "-1"}, "serial: expected a number from 1 on beside client, got '-1'"),
        ({"key": "x", "serial": "1"}, "client: expected a string beside serial, got None"),
        ({"key": "x\udcff"}, "key and client: expected UTF-8"),
    ],
)
def test_a_wrong_query_says_which_parameter_is_wrong_and_what_was_expected(query: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_read(query)


def test_a_query_is_a_command_through_the_log_or_a_read() -> None:
    named: Any = {"key": "x", "client": "c", "serial": "7"}
    assert parse_read({"key": "x"}) == Command("get", "x")
    assert parse_read(named) == parse_read(named | {"consistency": "log"}) == Command("get", "x", client="c", serial=7)
    assert parse_read(named | {"consistency": "read_index"}) == Read("x", "read_index", "c", 7)
    assert parse_read({"key": "x", "consistency": "stale"}) == Read("x", "stale")
