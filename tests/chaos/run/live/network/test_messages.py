"""The network of nodes on stdin and stdout: what it carries, what it holds back, and what ends the run."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run.live.network.messages import MessageNetwork
from raft_chaos.chaos.run.live.network.rules import LinkRule

PATIENCE_S = 10.0


class Node:
    """The node's end of its pipe."""

    def __init__(self, network: MessageNetwork, name: str) -> None:
        ours, theirs = socket.socketpair()
        self.name = name
        self.pipe = network.attach(name, ours)
        self._theirs = theirs

    async def begin(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(sock=self._theirs)
        init = await self.read()
        assert init["body"]["type"] == "init" and init["body"]["node_id"] == self.name
        self.send("c0", {"type": "init_ok", "in_reply_to": init["body"]["msg_id"]})
        await until(self.pipe.is_ready)

    def send(self, dest: str, body: dict[str, object]) -> None:
        self.writer.write(msgspec.json.encode({"src": self.name, "dest": dest, "body": body}) + b"\n")

    async def read(self) -> dict[str, dict[str, object]]:
        async with asyncio.timeout(PATIENCE_S):
            line = await self.reader.readline()
        decoded: dict[str, dict[str, object]] = msgspec.json.decode(line)
        return decoded

    def close(self) -> None:
        self.writer.transport.abort()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


def play(scene: Callable[[MessageNetwork, Node, Node], Awaitable[None]]) -> None:
    async def run() -> None:
        network = MessageNetwork(["n1", "n2"], seed=1)
        one, two = Node(network, "n1"), Node(network, "n2")
        try:
            await one.begin()
            await two.begin()
            await scene(network, one, two)
        finally:
            for node in (one, two):
                network.route(node.name, None)
                node.close()
            await asyncio.sleep(0)

    asyncio.run(run())


def test_messages_reach_the_other_node_in_order_and_are_counted() -> None:
    async def scene(network: MessageNetwork, one: Node, two: Node) -> None:
        for number in range(3):
            one.send("n2", {"type": "hello", "number": number})
        assert [(await two.read())["body"]["number"] for _ in range(3)] == [0, 1, 2]
        assert network.counters()["n1", "n2"].forwarded == 3
        assert network.counters()["n2", "n1"].forwarded == 0

    play(scene)


def test_a_cut_holds_back_its_direction_alone() -> None:
    async def scene(network: MessageNetwork, one: Node, two: Node) -> None:
        network.set_rules({("n1", "n2"): LinkRule(cut=True)})
        one.send("n2", {"type": "lost"})
        two.send("n1", {"type": "arrives"})
        assert (await one.read())["body"]["type"] == "arrives"
        await until(lambda: network.counters()["n1", "n2"].cut == 1)
        network.set_rules({})
        one.send("n2", {"type": "after"})
        assert (await two.read())["body"]["type"] == "after"

    play(scene)


def test_degraded_links_lose_double_and_delay() -> None:
    async def scene(network: MessageNetwork, one: Node, two: Node) -> None:
        network.set_rules({("n1", "n2"): LinkRule(loss=0.5, duplicate=0.5, delay_min_us=1000, delay_max_us=3000)})
        for number in range(100):
            one.send("n2", {"type": "hello", "number": number})
        await until(lambda: network.counters()["n1", "n2"].delayed + network.counters()["n1", "n2"].lost == 100)
        counters = network.counters()["n1", "n2"]
        assert 20 < counters.lost < 80 and counters.duplicated and counters.delayed == 100 - counters.lost
        await until(lambda: network.counters()["n1", "n2"].forwarded == counters.delayed + counters.duplicated)

    play(scene)


def test_a_request_gets_its_reply_and_a_node_that_goes_down_gives_none() -> None:
    async def scene(network: MessageNetwork, one: Node, two: Node) -> None:
        asked = asyncio.ensure_future(one.pipe.request("c1", {"type": "read", "key": "k"}))
        request = await one.read()
        one.send("c1", {"type": "read_ok", "value": "v", "in_reply_to": request["body"]["msg_id"]})
        assert (await asked)["value"] == "v"
        asked = asyncio.ensure_future(one.pipe.request("c1", {"type": "read", "key": "k"}))
        await one.read()
        network.route("n1", None)
        with pytest.raises(ConnectionError, match="went down"):
            await asked
        with pytest.raises(ConnectionRefusedError, match="is down"):
            await one.pipe.request("c1", {"type": "read", "key": "k"})

    play(scene)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"starting up...\n", "n1 wrote a line that is no message (stdout is for messages alone): 'starting up...\\n'"),
        (b'{"src": "n1"}\n', "no message"),
        (b'{"src": "n1", "dest": "lin-kv", "body": {"type": "read"}}\n', "asks Maelstrom's service 'lin-kv'"),
    ],
)
def test_what_cannot_be_carried_ends_the_run_and_convicts_nobody(line: bytes, said: str) -> None:
    async def scene(network: MessageNetwork, one: Node, two: Node) -> None:
        network.check()
        one.writer.write(line)

        def failed() -> bool:
            try:
                network.check()
            except SetupError as error:
                assert said in str(error)
                return True
            return False

        await until(failed)

    play(scene)
