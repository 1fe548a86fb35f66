"""A real node with too few descriptors for those who call it: it goes on leading and serving."""

from __future__ import annotations

import http.client
import resource
import socket
from pathlib import Path

import pytest

from node_process import Caller, NodeProcess, eventually
from nodes import HOST

IDLE = 90
EACH_LOOP = pytest.mark.parametrize(
    "uvloop", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["uvloop", "asyncio"]
)


@EACH_LOOP
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


@EACH_LOOP
def test_a_node_that_could_not_accept_a_connection_accepts_it_later(tmp_path: Path, uvloop: bool) -> None:
    """Some versions of uvloop close the listening socket for good then (0.17), and nobody reaches the node again."""
    with NodeProcess(tmp_path, uvloop=uvloop) as node:
        eventually("it stands for election, so its files are open", lambda: node.status()["term"] > 0)
        pid, earlier = node.process.pid, http.client.HTTPConnection(HOST, node.http_port, timeout=10)
        earlier.request("GET", "/status")
        assert earlier.getresponse().read()
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        callers = [socket.create_connection((HOST, port), 5) for port in (node.raft_port, node.http_port)]
        for _ in range(2):  # its event loop has seen the callers when it answers the second time
            earlier.request("GET", "/status")
            assert earlier.getresponse().read()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        with Caller(node.raft_port) as peer:
            peer.says_hello("n3")
            assert node.becomes_leader(peer) > 0
        for one in (*callers, earlier):
            one.close()
        assert node.process.poll() is None and "Traceback" not in node.stderr
