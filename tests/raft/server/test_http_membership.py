"""POST and GET /membership with real nodes: at the leader, at a follower, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from nodes import TIMING, Nodes
from raft_chaos.raft.server.event_loop import run_event_loop
from raft_chaos.raft.server.exit_codes import EXIT_REFUSED, exit_code_at_start
from raft_chaos.raft.server.http_requests import parse_change
from raft_chaos.raft.server.node import Node
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.configuration import Change
from raft_chaos.raft.state.features import Features
from raft_chaos.raft.state.timing import Timing
from raft_chaos.raft.storage.log_file import CorruptLogError

FEATURES = Features(check_quorum=True, membership="joint")
QUICK = replace(TIMING, features=FEATURES)
NEVER = Timing(150_000, 3_600_000_000, 30_000, features=FEATURES)
"""For nodes that do not stand for election by themselves, and heed candidates soon after their start."""


def run(main: Callable[[], Awaitable[None]]) -> None:
    run_event_loop(main())


async def n1_leads(nodes: Nodes, *followers: str) -> None:
    await nodes.start(*followers)
    nodes.override("n1", timing=QUICK)
    await nodes.start("n1")
    assert await nodes.leader() == "n1"


def test_the_leader_changes_the_members_and_every_node_shows_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2", "n3")
            first = await nodes.get("n2", "/membership")
            assert first == {
                "node": "n2",
                "voters": ["n1", "n2", "n3"],
                "leader": "n1",
                "configuration_index": 0,
                "committed": True,
            }
            status, _, body = await nodes.request("n1", "POST", "/membership", data=b'{"remove": "n3"}')
            assert (status, body["ok"], body["voters"], body["committed"]) == (200, True, ["n1", "n2"], True)
            assert body["index"] == body["configuration_index"] and body["term"] == 1
            status, _, body = await nodes.request("n1", "POST", "/membership", json={"add": ["n3"]})
            assert (status, body["voters"], body["learners"]) == (200, ["n1", "n2"], ["n3"])
            await nodes.until("n3", lambda status: status["commit_index"] >= body["index"])
            assert (await nodes.get("n3", "/membership"))["learners"] == ["n3"]
            log = await nodes.get("n1", "/log")
            shown = [entry["command"]["members"] for entry in log["entries"] if "members" in (entry["command"] or {})]
            assert shown == [
                {"voters": ["n1", "n2"], "old_voters": ["n1", "n2", "n3"]},
                {"voters": ["n1", "n2"]},
                {"voters": ["n1", "n2"], "learners": ["n3"]},
            ]

    run(main)


def test_a_leader_on_a_slow_disk_answers_that_it_removed_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others commit that, and it leads no more, long before its own disk has it: what it committed is no secret."""

    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2", "n3")
            monkeypatch.setattr(nodes.running["n1"]._host, "_sync_delay_us", lambda: 100_000)
            status, _, body = await nodes.request("n1", "POST", "/membership", data=b'{"remove": "n1"}')
            assert (status, body["ok"], body["voters"], body["committed"]) == (200, True, ["n2", "n3"], True)
            assert body["leader"] is None and (await nodes.get("n1", "/status"))["role"] == "follower"

    run(main)


def test_a_follower_redirects_and_the_method_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2", "n3")
            change = {"json": {"remove": "n3"}}
            status, headers, body = await nodes.request("n2", "POST", "/membership", **change)
            assert (status, headers["Location"]) == (307, nodes.running["n1"].http_url + "/membership")
            assert body["leader"] == "n1"
            assert (await nodes.request("n2", "POST", "/membership", allow_redirects=True, **change))[0] == 200
            assert (await nodes.request("n1", "PUT", "/membership"))[0] == 405

    run(main)


def test_what_cannot_be_done_is_a_409_with_the_reason(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2", "n3")
            for change, why in (
                ({"add": "n9"}, "n9 is unknown; there are n1, n2, n3"),
                ({"add": "n2"}, "add n2: it is a member already"),
                ({"remove": ["n1", "n2", "n3"]}, "the cluster would have no voters left"),
                ({}, "nothing is asked for; name the nodes to add, promote or remove"),
            ):
                status, _, body = await nodes.request("n1", "POST", "/membership", json=change)
                assert (status, body["error"]) == (409, why)
            status, _, body = await nodes.request("n1", "POST", "/membership", data=b"{")
            assert status == 400 and body["error"].startswith("body: not JSON")

    run(main)


def test_without_the_feature_the_members_are_fixed(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path) as nodes:
            await nodes.start("n1")
            await nodes.leader()
            status, _, body = await nodes.request("n1", "POST", "/membership", json={"add": "n2"})
            assert status == 409 and "start its nodes with the feature membership" in body["error"]

    run(main)


def test_without_a_majority_nobody_knows_what_becomes_of_it(tmp_path: Path) -> None:
    """The leader cannot commit it: first no answer comes in time, and then CheckQuorum ends its leadership."""

    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER, commit_timeout_s=0.05) as nodes:
            await nodes.start("n2")
            nodes.override("n1", timing=replace(QUICK, election_timeout_min_us=290_000))
            await nodes.start("n1")
            assert await nodes.leader() == "n1"
            await nodes.stop("n2")
            status, _, body = await nodes.request("n1", "POST", "/membership", json={"remove": "n3"})
            assert (status, body["outcome"]) == (504, "unknown")
            await nodes.until("n1", lambda status: status["role"] != "leader")
            status, headers, body = await nodes.request("n1", "POST", "/membership", json={"remove": "n3"})
            assert (status, headers["Retry-After"]) == (503, "1")

    run(main)


def test_a_log_with_a_member_of_which_the_node_was_not_told_stops_its_start(tmp_path: Path) -> None:
    async def main() -> None:
        async with Nodes(tmp_path, 3, timing=NEVER) as nodes:
            await n1_leads(nodes, "n2", "n3")
            assert (await nodes.request("n1", "POST", "/membership", json={"remove": "n2"}))[0] == 200
            await nodes.stop("n1")
            config = nodes.config("n1")
            config = replace(config, peers={"n2": config.peers["n2"]})
            with pytest.raises(CorruptLogError) as refused:
                await Node(config, Parts()).start()
            assert exit_code_at_start(refused.value) == EXIT_REFUSED == 78
            assert str(refused.value) == (
                f"{config.data_dir}: the log has n3 as a member of the cluster, and this node was not told where to "
                "find it. Start the node with all members among its peers."
            )

    run(main)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body: not JSON"),
        (b"[]", 'body: expected an object such as {"add": "n4"}, got list'),
        (b'{"join": "n4"}', "join: no such field; there are add, promote, remove"),
        (b'{"add": 4}', "add: expected the name of a node, or a list of names, got 4"),
        (b'{"remove": ["n1", ""]}', "remove: expected the name of a node, or a list of names, got ['n1', '']"),
        (b'{"add": "' + b"n" * 257 + b'"}', "add: a name of 257 characters; the maximum is 256"),
        (b'{"add": [' + b'"n",' * 1_000 + b'"n"]}', "add: 1001 names; the maximum is 1000"),
        (b'{"promote": null}', "promote: expected the name of a node, or a list of names, got None"),
    ],
)
def test_a_wrong_body_says_what_was_expected(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_change(body)


def test_a_name_alone_or_a_list_of_names() -> None:
    expected = Change(("n4",), ("n3",), ("n1", "n2"))
    assert parse_change(b'{"add": "n4", "promote": ["n3"], "remove": ["n1", "n2"]}') == expected
