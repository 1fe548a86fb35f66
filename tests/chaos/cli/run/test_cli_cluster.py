"""`raft-chaos cluster`: a plain cluster in the foreground, from its first command to Ctrl-C."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from builders.commands import RAFT_CHAOS, Background, background, raft_chaos
from builders.processes import FIRST_PORT, accepts, free_ports
from builders.waiting import eventually
from raft_chaos.raft.network.codec import PROTOCOL_VERSION, Hello, encode_frame

pytestmark = pytest.mark.live

NODES = ["n1", "n2", "n3", "n4"]


def ask(url: str, body: Any = None) -> tuple[int, str, Any]:
    """(status, Location, JSON body) of one request; no redirect is followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET" if body is None else "POST", parts.path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        return response.status, response.headers.get("Location", ""), json.loads(response.read())
    finally:
        connection.close()


def execute(url: str, command: str) -> Any:
    """Sends a command to that node, and then to the leader that it names. (503 until there is one.)"""

    def once() -> Any:
        status, location, answer = ask(f"{url}/executeCommand", {"command": command})
        if status == 307:
            status, _, answer = ask(location, {"command": command})
        return answer if status == 200 else None

    return eventually(f"{url} has {command!r} carried out", once)


def committed(url: str) -> list[str]:
    """The keys of the committed puts in that node's log, in order; none while the node is down."""
    try:
        _, _, log = ask(f"{url}/log")
    except OSError:
        return []
    return [entry["command"]["key"] for entry in log["entries"] if entry["command"] and entry["committed"]]


def nodes_of(command: Background) -> dict[str, list[tuple[str, int]]]:
    """For each node the (URL, pid) of all its starts that were announced."""
    started: dict[str, list[tuple[str, int]]] = {}
    for name, url, pid in re.findall(r"^(n\d)  (http://\S+)  \(pid (\d+)\)$", command.stderr, re.MULTILINE):
        started.setdefault(name, []).append((url, int(pid)))
    return started


@pytest.mark.slow
def test_a_cluster_serves_from_every_node_restarts_killed_nodes_and_ends_with_ctrl_c() -> None:
    http_port = free_ports(4, FIRST_PORT)
    raft_port = free_ports(4, http_port + 4)
    with background(
        *(RAFT_CHAOS, "cluster", "--nodes", "4", "--election-timeout", "150-300"),
        *("--http-port", str(http_port), "--raft-port", str(raft_port)),
    ) as command:
        eventually("the cluster is up", lambda: "Ctrl-C ends the cluster" in command.stderr)
        command.family()
        urls = {name: starts[0][0] for name, starts in nodes_of(command).items()}
        assert urls == {name: f"http://127.0.0.1:{http_port + place}" for place, name in enumerate(NODES)}
        indices = [execute(url, f"put {name} 1")["index"] for name, url in urls.items()]
        assert indices == sorted(set(indices))
        for url in urls.values():
            eventually(f"all four entries are committed at {url}", lambda url=url: committed(url) == NODES)  # type: ignore[misc]

        (_, pid) = nodes_of(command)["n3"][0]
        os.kill(pid, signal.SIGKILL)
        (url, new_pid) = eventually("n3 is started again", lambda: nodes_of(command)["n3"][1:])[0]
        assert new_pid != pid and url == urls["n3"]
        assert f"n3 was killed (signal {signal.SIGKILL:d}); starting it again" in command.stderr
        eventually("n3 has its entries again", lambda: committed(url) == NODES)
        execute(url, "put after 1")
        eventually("n3 follows again", lambda: committed(url) == [*NODES, "after"])

        command.family()
        assert command.interrupt() == 0
        assert command.stderr.endswith("the cluster has ended\n")
        eventually("every process is gone", command.all_gone)
        assert not any(accepts(first + place) for first in (http_port, raft_port) for place in range(4))
        assert not list(command.temp.iterdir())


@contextmanager
def kept_cluster(data: Path) -> Iterator[tuple[Background, int, int]]:
    """A cluster of three that keeps its data; with its first HTTP port and its first raft port."""
    http_port = free_ports(3, FIRST_PORT)
    raft_port = free_ports(3, http_port + 3)
    with background(
        *(RAFT_CHAOS, "cluster", "--election-timeout", "150-300", "--data", str(data)),
        *("--http-port", str(http_port), "--raft-port", str(raft_port)),
    ) as command:
        eventually("the cluster is up", lambda: "Ctrl-C ends the cluster" in command.stderr)
        yield command, http_port, raft_port
        command.family()
        assert command.interrupt() == 0
        assert "Traceback" not in command.stderr
        eventually("every process is gone", command.all_gone)


def test_a_caller_of_a_cluster_must_know_its_secret(tmp_path: Path) -> None:
    with kept_cluster(tmp_path) as (command, http_port, raft_port):
        secret = tmp_path / "cluster.secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert not any(secret.read_bytes().hex() in " ".join(one.cmdline()) for one in command.family())

        with socket.create_connection(("127.0.0.1", raft_port), 30) as liar:
            liar.sendall(encode_frame(Hello(PROTOCOL_VERSION, "cluster", "n2", 1)))
            while liar.recv(4096):
                pass
        assert "closed the connection from an unknown caller: the caller sent no proof" in command.stderr
        execute(f"http://127.0.0.1:{http_port}", "put x 1")


@pytest.mark.slow
def test_a_node_that_ends_again_and_again_is_started_later_each_time(tmp_path: Path) -> None:
    with kept_cluster(tmp_path) as (command, http_port, _):
        execute(f"http://127.0.0.1:{http_port}", "put before 1")
        wal = tmp_path / "n3" / "raft.wal"
        (_, pid) = nodes_of(command)["n3"][0]
        wal.write_bytes(b"damaged")
        os.kill(pid, signal.SIGKILL)
        eventually(
            "n3 refuses to start, and the others go on",
            lambda: "n3 refused to start (exit code 78, see above); starting it again in 6 s" in command.stderr,
        )
        execute(f"http://127.0.0.1:{http_port}", "put after 1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cluster", "--host", "0.0.0.0"], "--host: other machines can reach 0.0.0.0, so --token must be given"),
        (["cluster", "--host", "192.0.2.1", "--no-peer-auth"], "so --token and --peer-auth must be given"),
        (
            ["node", "--name", "n1", "--data", "d", "--listen", "0.0.0.0:9001", "--token", "t"],
            "so --secret-file must be",
        ),
        (["node", "--name", "n1", "--data", "d", "--secret-file", "none"], "none: cannot read the cluster's secret"),
        (["node", "--name", "n1", "--data", "d", "--peer", "n2=127.0.0.1:9/x"], "--peer: expected host:port"),
    ],
)
def test_an_open_door_must_be_asked_for_by_name(tmp_path: Path, words: list[str], said: str) -> None:
    done = raft_chaos(*words, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (78 if "none" in words else 254, False)
    assert said in done.stderr
    if done.returncode == 254:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("taken", ["--http-port", "--raft-port"])
def test_a_port_in_use_is_an_error_and_leaves_nothing(taken: str) -> None:
    ports = {"--http-port": free_ports(3, FIRST_PORT)}
    ports["--raft-port"] = free_ports(3, ports["--http-port"] + 3)
    options = [word for option, port in ports.items() for word in (option, str(port))]
    with (
        socket.create_server(("127.0.0.1", ports[taken] + 1)),
        background(RAFT_CHAOS, "cluster", "--nodes", "3", *options) as command,
    ):
        command.family()
        assert command.process.wait(30) == 254
        assert f"n2: [Errno 98] error while attempting to bind on address ('127.0.0.1', {ports[taken] + 1})" in (
            command.stderr
        )
        assert command.stderr.endswith("raft-chaos: n2 did not start (see above); are its ports free?\n")
        eventually("every process is gone", command.all_gone)
        assert not any(accepts(first + place) for first in ports.values() for place in (0, 2))
        assert not list(command.temp.iterdir())
