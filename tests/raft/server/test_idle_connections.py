"""A real node with few descriptors and more idle connections than it could hold: it goes on leading and serving."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from node_process import Caller, NodeProcess, eventually
from nodes import HOST

IDLE = 90


@pytest.mark.parametrize("uvloop", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["uvloop", "asyncio"])
def test_idle_connections_neither_end_a_node_nor_keep_peers_and_clients_out(tmp_path: Path, uvloop: bool) -> None:
    with NodeProcess(tmp_path, open_files=80, uvloop=uvloop) as node:
        idle = [
            socket.create_connection((HOST, port), 5) for _ in range(IDLE) for port in (node.raft_port, node.http_port)
        ]

        def leads() -> bool:
            """n3 votes, over a connection that the node may drop; then it calls again."""
            try:
                with Caller(node.raft_port) as peer:
                    peer.says_hello("n3")
                    return node.becomes_leader(peer) > 0
            except OSError:
                return False

        eventually("the node leads", leads)
        assert node.process.poll() is None, node.stderr[-2000:]
        assert "Traceback" not in node.stderr
        for one in idle:
            one.close()
