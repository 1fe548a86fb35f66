"""Connections of the network `tcp`, in this process."""

from __future__ import annotations

import asyncio
import socket

from raft_chaos.chaos.run.live.network.rules import LinkRule
from raft_chaos.chaos.run.live.network.stream_link import Dialled, StreamConnection, StreamWire


def test_who_gave_up_during_a_cut_reaches_nobody_even_if_the_loop_has_not_said_so_yet() -> None:
    async def scenario(sent: bytes) -> tuple[int, bool]:
        dialled: list[Dialled] = []

        def dial() -> Dialled:
            dialled.append([])
            return []

        there, back = StreamWire("a", "b", 1), StreamWire("b", "a", 1)
        there.rule = LinkRule(cut=True)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            node = socket.create_connection(listening.getsockname())
            opener, _ = listening.accept()
        connection = StreamConnection(there, back, opener, dial, failed=lambda error: None)
        node.sendall(sent)
        node.close()
        there.rule = None
        there.rule_changed()  # in the same turn of the loop in which the node has closed
        await asyncio.sleep(0)
        return len(dialled), connection.is_closed

    for sent in (b"", b"some bytes"):
        assert asyncio.run(scenario(sent)) == (0, True)
