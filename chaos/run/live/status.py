"""Asks nodes over HTTP who leads: for targets whose nodes report no events."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from raft_chaos.chaos.run.live.cluster import LiveCluster
from raft_chaos.chaos.run.live.door import refuse_shortage
from raft_chaos.chaos.run.live.watcher import Watcher

POLL_S = 0.1
ANSWER_TIMEOUT_S = 0.5


async def poll_status(session: aiohttp.ClientSession, cluster: LiveCluster, watcher: Watcher, nodes: list[str]) -> None:
    """Asks every running node for its role and term, again and again; an answer with neither changes nothing."""
    while True:
        for node in nodes:
            url = cluster.url(node)
            if url is not None and cluster.state(node) == "up":
                await _ask(session, f"{url}/status", node, watcher)
        await asyncio.sleep(POLL_S)


async def _ask(session: aiohttp.ClientSession, url: str, node: str, watcher: Watcher) -> None:
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)) as response:
            status: Any = await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        if isinstance(error, aiohttp.ClientError):
            refuse_shortage(error)
        return  # it is down or paused, or does not answer in JSON: its state is unknown
    role, term = (status.get("role"), status.get("term")) if isinstance(status, dict) else (None, None)
    if role in ("follower", "candidate", "leader") and isinstance(term, int):
        watcher.status(node, role, term)
