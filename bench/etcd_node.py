"""One node of etcd (Debian: etcd-server), as shipped: it syncs its log before it answers, as our nodes do.

Its clients speak JSON over HTTP to etcd's own gateway:

    POST /v3/kv/put               a put, answered after it was committed and applied; followers pass it on
    POST /v3/maintenance/status   the leader, the last applied index
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
from multiprocessing.connection import Connection, wait
from typing import Any

import msgspec

from bench.http import HOST, json_of, post

PROGRAM = shutil.which("etcd")
HEARTBEAT_MS, ELECTION_MS = 50, 250
"""etcd asks for at least five heartbeats; it draws timeouts from this one to twice as much. Ours: 150 to 300 ms."""
POLL_S = 0.01


class EtcdConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`peers` has the ports at which the nodes hear each other, this one's among them."""

    node: str
    data_dir: str
    client_port: int
    peers: dict[str, int]


def etcd_main(config: EtcdConfig, control: Connection) -> None:
    """Runs a node until its controller is gone. It is in this process's group, and ends with it."""
    assert PROGRAM is not None
    client = f"http://{HOST}:{config.client_port}"
    peers = {name: f"http://{HOST}:{port}" for name, port in config.peers.items()}
    options = {
        "name": config.node,
        "data-dir": config.data_dir,
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peers[config.node],
        "initial-advertise-peer-urls": peers[config.node],
        "initial-cluster": ",".join(f"{name}={url}" for name, url in peers.items()),
        "heartbeat-interval": HEARTBEAT_MS,
        "election-timeout": ELECTION_MS,
        "logger": "zap",
        "log-level": "error",
    }
    with subprocess.Popen([PROGRAM, *(f"--{name}={value}" for name, value in options.items())]) as process:
        # It serves clients only once it has heard a majority, so the first node of a cluster waits for the second one.
        while not _listens(config.peers[config.node]):
            if process.poll() is not None or wait([control], POLL_S):
                process.kill()
                return  # whoever waits for the message sees the end of the pipe
        control.send(None)
        wait([control])
        process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def put_to_etcd(key: str, value: str) -> bytes:
    """The bytes of one put."""
    body = b'{"key":"%s","value":"%s"}' % (base64.b64encode(key.encode()), base64.b64encode(value.encode()))
    return post("/v3/kv/put", body)


def get_etcd_status(port: int) -> dict[str, Any] | None:
    """The node's role and last applied index, as `bench.http.get_status` gives it; None while it does not answer."""
    status = json_of(port, "POST", "/v3/maintenance/status", b"{}")
    if status is None or "header" not in status:
        return None
    role = "leader" if status.get("leader") == status["header"]["member_id"] else "follower"
    return {"role": role, "last_applied": int(status.get("raftAppliedIndex", 0))}
