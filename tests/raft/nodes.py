"""Real nodes on loopback, in this process: real sockets, clock and disk."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from raft_chaos.raft.server.node import Node
from raft_chaos.raft.server.node_config import NodeConfig
from raft_chaos.raft.server.parts import Parts
from raft_chaos.raft.state.timing import Timing

HOST = "127.0.0.1"
TIMING = Timing(150_000, 300_000, 30_000)
WAIT_S = 30.0  # how long a test that fails hangs; one that passes never waits for it


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind((HOST, 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Nodes:
    """n1 to n<size> of one cluster, started one by one; `async with` stops them all.

    Requests go to a node by its name; the answer is (status, headers, decoded body).
    """

    def __init__(self, folder: Path, size: int = 1, **options: Any) -> None:
        names = [f"n{number}" for number in range(1, size + 1)]
        ports = free_ports(2 * size)
        self.ports = dict(zip(names, ports, strict=False))
        self.http_ports = dict(zip(names, ports[size:], strict=True))
        self.running: dict[str, Node] = {}
        self._folder = folder
        self._options = {"timing": TIMING, **options}
        self._overrides: dict[str, dict[str, Any]] = {}
        self._starts = 0

    def config(self, name: str) -> NodeConfig:
        self._starts += 1
        urls = {peer: f"http://{HOST}:{port}" for peer, port in self.http_ports.items() if peer != name}
        return NodeConfig(
            cluster="c",
            node=name,
            peers={peer: (HOST, port) for peer, port in self.ports.items() if peer != name},
            raft_port=self.ports[name],
            http_port=self.http_ports[name],
            seed=self._starts,
            incarnation=self._starts,
            **{"data_dir": str(self._folder / name), "client_urls": urls}
            | self._options
            | self._overrides.get(name, {}),
        )

    def override(self, name: str, **options: Any) -> None:
        """From its next start on, this node's configuration differs from the others'."""
        self._overrides[name] = options

    async def start(self, *names: str) -> None:
        for name in names:
            node = self.running[name] = Node(self.config(name), Parts())
            await node.start()

    async def stop(self, name: str) -> None:
        await self.running.pop(name).stop()

    async def __aenter__(self) -> Nodes:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        for name in list(self.running):
            await self.stop(name)

    # ---- requests ---------------------------------------------------------------------------------------------------

    async def request(self, name: str, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        url = self.running[name].http_url + path
        async with self._session.request(method, url, **{"allow_redirects": False, **options}) as response:
            return response.status, response.headers, await response.json()

    async def get(self, name: str, path: str) -> Any:
        return (await self.request(name, "GET", path))[2]

    async def execute(self, name: str, command: Any, **more: Any) -> tuple[int, Any]:
        status, _, body = await self.request(name, "POST", "/executeCommand", json={"command": command, **more})
        return status, body

    async def leader(self) -> str:
        """The name of a node that leads and has committed in its term; waits for one."""
        async with asyncio.timeout(WAIT_S):
            while True:
                for name in self.running:
                    if (await self.execute(name, "get leader"))[0] == 200:
                        return name

    async def until(self, name: str, holds: Callable[[Any], bool]) -> None:
        """Waits until the node's status fulfils the condition."""
        async with asyncio.timeout(WAIT_S):
            while not holds(await self.get(name, "/status")):
                pass
