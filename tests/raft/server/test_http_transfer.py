"""POST /transfer with real nodes: at the leader, at a follower, to a node that is down, and what is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nodes import TIMING, Nodes
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.http_requests import parse_transfer
from raft_chaos.raft.state.timing import Timing

NEVER = Timing(3_600_000_000, 3_600_000_000, 30_000)
"""For nodes that must not stand for election by themselves."""


def run(main: Callable[[], Awaitable[None]]) -> None:
    run_event_loop(main())


async def n1_leads(nodes: Nodes, *followers: str) -> None:
    await nodes.start(*followers)
    nodes.override("n1", timing=TIMING)
    await nodes.start("n1")
    assert await nodes.leader() == "n1"


def test_the_leader_hands_over_and_answers_once_the_target_leads(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2", "n3")
            await nodes.execute("n1", "put x 1")
            answer = await nodes.request("n1", "POST", "/transfer", data=b'{"target": "n3"}')
            assert (answer[0], answer[2]) == (200, {"ok": True, "from": "n1", "to": "n3", "term": 2})
            await nodes.until("n3", lambda status: status["role"] == "leader" and status["commit_index"] >= 3)
            await nodes.until("n2", lambda status: status["leader"] == "n3")
            status, _, body = await nodes.request("n2", "POST", "/transfer", allow_redirects=True)
            assert (status, body["from"], body["to"]) == (200, "n3", body["to"]), "307 keeps the method"
            assert body["to"] in ("n1", "n2"), "whoever is most up to date"

    run(main)


def test_while_it_hands_over_it_takes_no_commands_and_then_it_leads_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2")
            waiting = asyncio.ensure_future(nodes.request("n1", "POST", "/transfer", data=b'{"target": "n3"}'))
            host = nodes.running["n1"]._host
            assert host is not None
            while host.replica.core.successor is None:
                await asyncio.sleep(0)
            status, headers, body = await nodes.request("n1", "POST", "/executeCommand", data=b'{"command": "put x 1"}')
            assert (status, headers["Retry-After"]) == (503, "1")
            assert body["error"] == "this node hands over the leadership to n3"
            status, _, body = await nodes.request("n1", "POST", "/transfer")
            assert (status, body["error"]) == (503, "n1 hands over to n3 already")
            status, _, body = await waiting
            assert (status, body["error"]) == (503, "n3 did not take over; n1 leads")
            assert (await nodes.execute("n1", "put x 2"))[0] == 200

    run(main)


@pytest.mark.parametrize("client_goes", [False, True])
def test_whoever_asked_is_told_when_it_ends(tmp_path: Path, client_goes: bool) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2")
            host = nodes.running["n1"]._host
            assert host is not None
            given_up = host.transfer("n3")
            assert given_up is not None and host.transfer("n2") is None
            if client_goes:
                given_up.cancel()
                await nodes.until("n1", lambda status: host.replica.core.successor is None)
            else:
                assert await given_up == ("n1", 1), "n3 is down"
            done = host.transfer("n2")
            assert done is not None and await done == ("n2", 2)

    run(main)


def test_what_it_refuses(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2")
            for target, why in (
                ("n1", "target: n1 leads already"),
                ("n9", "target: 'n9' is no voter of this cluster; expected one of n2, n3"),
            ):
                status, _, body = await nodes.request("n1", "POST", "/transfer", json={"target": target})
                assert (status, body["error"]) == (400, why)
            status, headers, _ = await nodes.request("n2", "POST", "/transfer", json={"target": "n2"})
            assert (status, headers["Location"]) == (307, nodes.running["n1"].http_url + "/transfer")
            assert (await nodes.request("n1", "GET", "/transfer"))[0] == 405

    run(main)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "body: not JSON"),
        (b"[]", 'body: expected nothing, or an object such as {"target": "n2"}, got list'),
        (b'{"to": "n2"}', "to: no such field; there is target"),
        (b'{"target": 2}', "target: expected the name of a node, got 2"),
    ],
)
def test_a_wrong_body_says_what_was_expected(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_transfer(body)


def test_a_body_may_be_empty_or_name_a_target() -> None:
    assert parse_transfer(b"") is parse_transfer(b" {}") is parse_transfer(b'{"target": null}') is None
    assert parse_transfer(b'{"target": "n2"}') == "n2"
