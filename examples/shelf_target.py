"""The store of `shelf.py` as a target in Python: `raft-chaos run --target examples.shelf_target:Shelf`."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from raft_chaos.chaos.targets.api import Answer, Command, Elsewhere, Info, Node, Ok, Operation, Status

PROGRAM = Path(__file__).with_name("shelf.py")


class Shelf:
    name = "shelf"
    can = ("get", "put", "kill", "pause", "leader")
    ports = ("client", "peer")
    network = "tcp"

    def start(self, node: Node) -> Command:
        peers = ",".join(f"{peer}={host}:{port}" for peer, (host, port) in node.peers.items())
        ports = [str(node.ports[name]) for name in self.ports]
        return Command([sys.executable, str(PROGRAM), node.name, node.host, *ports, peers, str(node.data)])

    def invoke(self, node: Node, op: Operation) -> Answer:
        body = None if op.f == "get" else {"value": op.value, "expected": op.expected}
        try:
            value = self._ask(node, op.key, body)
        except urllib.error.HTTPError as error:
            return Elsewhere("the first node is down") if error.code == 503 else Info(f"status {error.code}")
        except ConnectionRefusedError:
            return Elsewhere("the node is down")  # one request, one connection: nothing was sent
        return Ok(value if op.f == "get" else None)

    def status(self, node: Node) -> Status:
        said = self._ask(node, "status", None)
        return Status("leader" if said["leads"] else "follower", None)

    def _ask(self, node: Node, path: str, body: dict | None):
        host, port = node.address
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/{path}", data, timeout=2) as answer:
                return json.load(answer)["value"]
        except urllib.error.URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else error from None
