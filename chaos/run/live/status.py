"""Asks nodes who leads, for targets that say so and whose nodes report no events."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from raft_chaos.chaos.run.live.watcher import Watcher
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.chaos.targets.log_lines import log_lines_of
from raft_chaos.chaos.targets.protocol import Target

if TYPE_CHECKING:
    from raft_chaos.chaos.run.live.cluster import LiveCluster

POLL_S = 0.1


async def poll_status(target: Target, session: HttpSession, cluster: LiveCluster, watcher: Watcher) -> None:
    """Asks all running nodes at once for role and term, again and again; an answer with neither changes nothing.

    A node that does not answer holds nobody up: a new leader must be known before the next fault that is meant for it.
    """

    by_lines = log_lines_of(target) != ()

    async def ask(node: str) -> None:
        url, incarnation = cluster.url(node), cluster.incarnation(node)
        if url is None or cluster.state(node) != "up":
            return
        status = await target.status(session, url)
        if status is None or status.role is None:
            return
        if cluster.state(node) != "up" or cluster.incarnation(node) != incarnation:
            return
        if status.term is None and by_lines:
            return  # elections are told apart by their terms, which the logs have
        term = status.term or 0
        if status.role == "leader" and (watcher.nodes[node].role, watcher.nodes[node].term) != ("leader", term):
            cluster.leader_observed(node, term)
        watcher.status(node, status.role, term)

    async def again(node: str) -> None:
        while True:
            await ask(node)
            await asyncio.sleep(POLL_S)

    async with asyncio.TaskGroup() as group:
        for node in watcher.nodes:
            group.create_task(again(node))
