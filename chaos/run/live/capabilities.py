"""What faults can do in real time: to processes, disks and clocks, and to links as the network can (`chaos.faults`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from raft_chaos.chaos.faults.clock import Ahead
from raft_chaos.chaos.faults.crash_loop import Struck
from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.disk import RangeUs, Syncs
from raft_chaos.chaos.faults.links import TRAFFIC, Broken, Link, LinkCounters, LinkState
from raft_chaos.chaos.faults.membership import Asked
from raft_chaos.chaos.faults.process import NO_HOLES
from raft_chaos.chaos.faults.starve import CpuShare, Waits
from raft_chaos.chaos.faults.stop import Stopped
from raft_chaos.chaos.faults.strike import Signal
from raft_chaos.chaos.run.live.cluster import LiveCluster
from raft_chaos.chaos.run.live.cpu import CpuSlices
from raft_chaos.chaos.run.live.network.backend import Network
from raft_chaos.chaos.run.live.network.rules import rule_of
from raft_chaos.chaos.targets import our_api
from raft_chaos.chaos.targets.http import HttpSession
from raft_chaos.raft.state.configuration import Change
from raft_chaos.raft.storage.failing import Failing

RESET_POLL_US = 5_000
STEP_US = 4_000
"""The length of a step of a node's start: with a few of them a node of our own is just about to answer."""


class LiveWorld:
    """Real processes and the network between them, as faults see them."""

    def __init__(self, cluster: LiveCluster, network: Network, session: HttpSession) -> None:
        self.heartbeats = "heartbeats" in cluster.target.can
        self.traffic = TRAFFIC[cluster.target.network]
        self.cluster = cluster
        self._network = network
        self._session = session
        self._cpu = CpuSlices(cluster)
        self.links: Sequence[Link] = network.links
        self.link_states: dict[Link, LinkState] = {}
        """The state of each link that a fault has ever touched."""
        self._breaking: asyncio.Task[int]  # of the latest reset: how many connections it broke

    # ---- processes ------------------------------------------------------------------------------------------------

    def is_up(self, node: str) -> bool:
        return self.cluster.state(node) == "up"

    def incarnation(self, node: str) -> int:
        return self.cluster.incarnation(node)

    async def start(self, node: str) -> bool:
        return await self.cluster.start(node)

    async def kill(self, keep_permille: Mapping[str, int], holes: Mapping[str, int] = NO_HOLES) -> list[str]:
        """Our own nodes lose all unsynced bytes, since SIGKILL leaves them no time to keep some. A lossy disk keeps the
        first ones; `holes` are of virtual time."""
        return await self.cluster.kill(list(keep_permille), keep_permille)

    def unsynced_lost(self, nodes: Sequence[str]) -> str:
        losses = [lost for node in nodes if (lost := self.cluster.lost(node)) is not None]
        if not losses:
            return ""
        written, names = (sum(part) for part in zip(*losses, strict=True))
        return f"lost {written} unsynced bytes and {names} unsynced names"

    async def start_and_kill(self, node: str, step: int) -> Struck | None:
        """A step lasts as long as many operations: nobody counts those of a real process."""
        return await self.cluster.start_and_kill(node, step * STEP_US / 1e6)

    async def stop(self, node: str) -> Stopped | None:
        return await self.cluster.stop(node)

    async def wipe(self, node: str) -> int:
        return await self.cluster.wipe(node)

    async def pause(self, node: str, on: bool) -> None:
        await (self.cluster.pause(node) if on else self.cluster.resume(node))

    def is_paused(self, node: str) -> bool:
        return self.cluster.state(node) == "paused"

    async def starve(self, node: str, share: CpuShare | None) -> None:
        await self._cpu.starve(node, share)

    def waits(self, node: str) -> Waits:
        return self._cpu.waits(node)

    # ---- the leadership -------------------------------------------------------------------------------------------

    def current_leader(self) -> str | None:
        return self.cluster.leader

    async def transfer(self, node: str, to: str) -> bool:
        return await self.cluster.transfer(node, to)

    # ---- members --------------------------------------------------------------------------------------------------

    async def change_members(self, node: str, change: Change, within_us: int) -> Asked:
        cluster = self.cluster
        urls = {one: url for one in cluster.names if (url := cluster.url(one))}
        if node not in urls:
            return Asked(False)
        said = await our_api.change_members(self._session, urls[node], change, within_us)
        leader = next((one for one, url in urls.items() if url == said.leader), "")
        return said._replace(leader=leader)

    # ---- disks and clocks -----------------------------------------------------------------------------------------

    async def slow_sync(self, node: str, longer: RangeUs) -> None:
        await self.cluster.slow_sync(node, longer)

    async def syncs(self, node: str) -> Syncs:
        return Syncs(await self.cluster.slowed_syncs(node), writes=None)

    async def break_disk(self, node: str, failing: Failing | None) -> int | None:
        return await self.cluster.break_disk(node, failing)

    async def damage(self, node: str, damage: Damage) -> str:
        return await self.cluster.damage(node, damage)

    async def exit_code(self, node: str) -> int | None:
        """An end may just have happened, so it looks."""
        self.cluster.find_exits()
        return self.cluster.exit_code(node)

    async def skew(self, node: str, rate_ppm: int, jump_us: int) -> Ahead | None:
        return await self.cluster.change_clock(node, rate_ppm, jump_us)

    # ---- links ----------------------------------------------------------------------------------------------------

    def set_links(self, states: Mapping[Link, LinkState]) -> None:
        self.link_states.update(states)
        rules = {link: rule_of(state) for link, state in self.link_states.items() if state != LinkState()}
        self._network.set_rules(rules)

    def link_counters(self) -> Mapping[Link, LinkCounters]:
        return self._network.counters()

    def clog_counters(self) -> Mapping[Link, LinkCounters]:
        return self._network.counters()

    def throttle_counters(self) -> Mapping[Link, LinkCounters]:
        return self._network.counters()

    def corrupt_counters(self) -> Mapping[Link, LinkCounters]:
        return self._network.counters()

    # ---- connections ----------------------------------------------------------------------------------------------

    def watch_traffic(self, nodes: Sequence[str], for_us: int, seen: Signal) -> None:
        """Tries again and again, since a connection may last for one request only, and be gone when it was seen."""

        links = [link for link in self.links if link[0] in nodes or link[1] in nodes]

        async def watch() -> int:
            try:
                for _ in range(for_us // RESET_POLL_US):
                    if seen.is_set:
                        break
                    if broken := self._network.reset(links):
                        return broken
                    await asyncio.sleep(RESET_POLL_US / 1e6)
                return 0
            finally:
                seen.set()

        self._breaking = asyncio.get_running_loop().create_task(watch())

    def reset(self, fault: str, nodes: Sequence[str], delivered: float) -> Broken:
        """What `watch_traffic` has broken; raises its HarnessError. What was in flight arrives or not, as the kernels
        have it."""
        broken = self._breaking.result() if self._breaking.done() else 0
        return Broken(broken > 0, f"{broken} connections broken")

    def arrivals(self, nodes: Sequence[str]) -> int:
        """Without any connection there is nothing to break, whatever has been sent before."""
        return 0
