"""What faults can do in virtual time: all capabilities (`chaos.faults`), on a virtual cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raft_chaos.chaos.faults.clock import Ahead
from raft_chaos.chaos.faults.crash_loop import Struck
from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.disk import RangeUs, Syncs
from raft_chaos.chaos.faults.links import FRAMES, Broken, Link, LinkCounters, LinkState
from raft_chaos.chaos.faults.membership import Asked
from raft_chaos.chaos.faults.process import NO_HOLES, Failpoint
from raft_chaos.chaos.faults.starve import CpuShare, Waits
from raft_chaos.chaos.faults.stop import Stopped, stopped
from raft_chaos.chaos.faults.strike import Signal
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.door import Requests
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import VirtualSignal, VirtualTasks
from raft_chaos.chaos.targets.door import NoAnswer, Outcome
from raft_chaos.raft.state.configuration import Change, encode_change
from raft_chaos.raft.storage.failing import Failing

TRAFFIC_POLL_US = 100
STOP_PATIENCE_US = 2_000_000
"""A node that is asked to stop may take so long: it is paused meanwhile."""


class VirtualWorld:
    """A virtual cluster, as faults see it."""

    heartbeats = True
    traffic = FRAMES

    def __init__(self, cluster: VirtualCluster, scheduler: Scheduler, requests: Requests) -> None:
        self.cluster = cluster
        self._requests = requests
        self._scheduler = scheduler
        self._network = cluster.network

    # ---- processes ------------------------------------------------------------------------------------------------

    def is_up(self, node: str) -> bool:
        return self.cluster.state(node) == "up"

    def incarnation(self, node: str) -> int:
        return self.cluster.incarnation(node)

    async def start(self, node: str) -> bool:
        return self.cluster.start(node)

    async def kill(self, keep_permille: Mapping[str, int], holes: Mapping[str, int] = NO_HOLES) -> list[str]:
        return [
            node for node, permille in keep_permille.items() if self.cluster.kill(node, permille, holes.get(node, 0))
        ]

    async def start_and_kill(self, node: str, step: int) -> Struck | None:
        """A step is an operation of the node's recovery on its disk."""
        if self.cluster.state(node) != "down":
            return None
        if self.cluster.start(node, dies_after=step):
            self.cluster.kill(node, 0)
            return "once up"
        return "in its start" if self.cluster.state(node) == "down" and self.cluster.exit_code(node) is None else None

    async def stop(self, node: str) -> Stopped | None:
        """A node ends at once, or when the pause that holds it up is over."""
        ended = VirtualSignal()
        if not self.cluster.stop(node, ended.set):
            return None
        await VirtualTasks(self._scheduler).first(ended, within_us=STOP_PATIENCE_US)
        return stopped(ended.is_set, self.cluster.exit_code(node), STOP_PATIENCE_US)

    def arm(self, node: str, failpoint: Failpoint, reached: Signal) -> bool:
        return self.cluster.arm(node, failpoint, reached.set)

    def disarm(self, node: str) -> None:
        self.cluster.disarm(node)

    async def pause(self, node: str, on: bool) -> None:
        if on:
            self.cluster.pause(node)
        else:
            self.cluster.resume(node)

    def is_paused(self, node: str) -> bool:
        return self.cluster.state(node) == "paused"

    async def starve(self, node: str, share: CpuShare | None) -> None:
        self.cluster.starve(node, share)

    def waits(self, node: str) -> Waits:
        return self.cluster.waits(node)

    # ---- the leadership -------------------------------------------------------------------------------------------

    def current_leader(self) -> str | None:
        return self.cluster.leader

    async def transfer(self, node: str, to: str) -> bool:
        return self.cluster.transfer(node, to)

    # ---- members --------------------------------------------------------------------------------------------------

    async def change_members(self, node: str, change: Change, within_us: int) -> Asked:
        answered, answers = VirtualSignal(), list[Outcome | NoAnswer]()

        def came(answer: Outcome | NoAnswer) -> None:
            answers.append(answer)
            answered.set()

        self._requests.send(node, encode_change(change), came)
        await VirtualTasks(self._scheduler).first(answered, within_us=within_us)
        match answers:
            case [Outcome(type=how, error=error, index=index)]:
                return Asked(how == "ok", error or "", entry=index or 0)
            case [NoAnswer(ask_next=leader)]:
                return Asked(False, leader=leader)
        return Asked(False)

    # ---- disks and clocks -----------------------------------------------------------------------------------------

    async def slow_sync(self, node: str, longer: RangeUs) -> None:
        self.cluster.slow_sync(node, *longer)

    async def syncs(self, node: str) -> Syncs:
        writes, slowed = self.cluster.syncs(node)
        return Syncs(slowed, writes)

    async def break_disk(self, node: str, failing: Failing | None) -> int | None:
        return self.cluster.break_disk(node, failing)

    async def damage(self, node: str, damage: Damage) -> str:
        return self.cluster.damage(node, damage)

    async def exit_code(self, node: str) -> int | None:
        return self.cluster.exit_code(node)

    async def skew(self, node: str, rate_ppm: int, jump_us: int) -> Ahead:
        return self.cluster.change_clock(node, rate_ppm, jump_us)

    # ---- links ----------------------------------------------------------------------------------------------------

    @property
    def links(self) -> Sequence[Link]:
        return list(self._network.links)

    def set_links(self, states: Mapping[Link, LinkState]) -> None:
        self._network.set_links(states)

    def link_counters(self) -> Mapping[Link, LinkCounters]:
        return self._network.counters()

    def clog_counters(self) -> Mapping[Link, LinkCounters]:
        return self._network.counters()

    def corrupt_counters(self) -> Mapping[Link, LinkCounters]:
        return self._network.counters()

    def reset(self, fault: str, nodes: Sequence[str], delivered: float) -> Broken:
        arrived, lost = self._network.reset(fault, nodes, delivered)
        return Broken(arrived + lost > 0, f"frames in flight: {arrived} delivered, {lost} lost")

    def watch_traffic(self, nodes: Sequence[str], for_us: int, seen: Signal) -> None:
        ends_us = self._scheduler.now_us + for_us

        def look(_: object) -> None:
            if seen.is_set:
                return
            if self._network.in_flight(nodes):
                seen.set()
            elif self._scheduler.now_us < ends_us:
                self._scheduler.after(TRAFFIC_POLL_US, look)

        look(None)

    def arrivals(self, nodes: Sequence[str]) -> int:
        return self._network.arrivals_of(nodes)
