"""A small world for tests of kinds of faults: it can do everything, in memory and at once, and says what it was asked.

    stage = Stage()                                     n1, n2 and n3 are up, and n2 leads
    stage.play(fault("f1", 10, Pause(["n1"]), 100))     virtual time, until everything is over
    stage.world.asked                                   [(10, "pause", "n1"), (110, "resume", "n1")]
    stage.healed().effect                               "seen stopped: n1"

What a fault is to have an effect on is scripted with `at`: frames that are cut, syncs that are slowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from raft_chaos.chaos.faults.clock import Ahead
from raft_chaos.chaos.faults.crash_loop import Struck
from raft_chaos.chaos.faults.damage import Damage
from raft_chaos.chaos.faults.disk import RangeUs, Syncs
from raft_chaos.chaos.faults.links import FRAMES, Broken, Link, LinkCounters, LinkState
from raft_chaos.chaos.faults.membership import Asked
from raft_chaos.chaos.faults.process import NO_HOLES, Failpoint
from raft_chaos.chaos.faults.starve import CpuShare, Waits
from raft_chaos.chaos.faults.stop import Stopped
from raft_chaos.chaos.faults.strike import Signal
from raft_chaos.chaos.run.cluster_view import ClusterView
from raft_chaos.chaos.run.fault_log import FaultLog
from raft_chaos.chaos.run.nemesis import Nemesis, World
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.run.sim.tasks import VirtualTasks
from raft_chaos.chaos.schedule.data import Fault
from raft_chaos.invariants.events import (
    CommitAdvanced,
    ConfigurationUsed,
    FaultHealed,
    FaultInjected,
    HarnessEvent,
    Members,
)
from raft_chaos.raft.server.node_clock import NodeClock
from raft_chaos.raft.state.configuration import TRY_AGAIN, Change, ChangeError, Configuration
from raft_chaos.raft.storage.failing import Failing

NODES = ["n1", "n2", "n3"]
LINKS: list[Link] = [(a, b) for a in NODES for b in NODES if a != b]

T = TypeVar("T")


class ScriptedWorld:
    """A world with all capabilities. Nodes in `lost` never start again, those in `hanging` do not end when asked to."""

    heartbeats = True
    traffic = FRAMES

    def __init__(self, now_us: Callable[[], int]) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.states = dict.fromkeys(NODES, "up")
        self.incarnations = dict.fromkeys(NODES, 1)
        self.lost: set[str] = set()
        self.hanging: set[str] = set()
        self.leading: str | None = None
        self.deaf_to_transfers: set[str] = set()
        """The nodes that never take over."""
        self.members = Configuration(tuple(NODES))
        self.one_at_a_time = False
        """Whether the members change one voter at a time, and not by joint consensus."""
        self.catching_up = 0
        """How often a promotion is refused yet."""
        self.waited = dict.fromkeys(NODES, Waits(0, 0))
        self.armed: dict[str, Signal] = {}
        self.writes: dict[str, int | None] = dict.fromkeys(NODES, 0)
        self.files = dict.fromkeys(NODES, 3)
        self.failures = dict.fromkeys(NODES, 0)
        self.exit_codes: dict[str, int] = {}
        self.damages = "damaged"
        """What a damage does, in words."""
        self.slowed = dict.fromkeys(NODES, 0)
        self.clocks = {node: NodeClock() for node in NODES}
        self.silent: set[str] = set()
        """The nodes that do not say what their clocks show."""
        self.counters = {link: LinkCounters() for link in LINKS}
        self.in_flight = (0, 0)
        """What a reset finds: frames that arrive, and frames that are lost."""
        self.watching: list[Signal] = []
        self.passed = 0
        self._now_us = now_us

    def _ask(self, *what: Any) -> None:
        self.asked.append((self._now_us(), *what))

    # ---- processes ----

    def is_up(self, node: str) -> bool:
        return self.states[node] == "up"

    def incarnation(self, node: str) -> int:
        return self.incarnations[node]

    async def start(self, node: str) -> bool:
        self._ask("start", node)
        if self.states[node] == "down" and node not in self.lost:
            self.states[node] = "up"
            self.incarnations[node] += 1
        return self.states[node] == "up"

    async def kill(self, keep_permille: Mapping[str, int], holes: Mapping[str, int] = NO_HOLES) -> list[str]:
        self._ask("kill", dict(keep_permille), *([dict(holes)] if any(holes.values()) else []))
        hit = [node for node in keep_permille if self.states[node] != "down"]
        self.states.update(dict.fromkeys(hit, "down"))
        return hit

    async def start_and_kill(self, node: str, step: int) -> Struck | None:
        """It has three steps."""
        self._ask("start_and_kill", node, step)
        if self.states[node] != "down":
            return None
        self.incarnations[node] += 1
        return "in its start" if step < 3 else "once up"

    async def stop(self, node: str) -> Stopped | None:
        """It ends by itself, unless it is one of those that hang."""
        self._ask("stop", node)
        if self.states[node] == "down":
            return None
        if node in self.hanging:
            return Stopped(False, "did not end within 2 s")
        self.states[node] = "down"
        return Stopped(True, "ended by itself")

    def arm(self, node: str, failpoint: Failpoint, reached: Signal) -> bool:
        self._ask("arm", node, failpoint)
        self.armed[node] = reached
        return self.states[node] != "down"

    def disarm(self, node: str) -> None:
        self._ask("disarm", node)

    async def wipe(self, node: str) -> int:
        self._ask("wipe", node)
        return self.files[node]

    async def pause(self, node: str, on: bool) -> None:
        self._ask("pause" if on else "resume", node)
        if self.states[node] != "down":
            self.states[node] = "paused" if on else "up"

    def is_paused(self, node: str) -> bool:
        return self.states[node] == "paused"

    async def starve(self, node: str, share: CpuShare | None) -> None:
        self._ask("starve", node, share)

    def waits(self, node: str) -> Waits:
        return self.waited[node]

    # ---- the leadership ----

    def current_leader(self) -> str | None:
        return self.leading

    async def transfer(self, node: str, to: str) -> bool:
        self._ask("transfer", node, to)
        if to not in self.deaf_to_transfers:
            self.leading = to
        return node not in self.hanging

    # ---- members ----

    async def change_members(self, node: str, change: Change, within_us: int) -> Asked:
        """Only the leader does it. A node in `hanging` does not answer."""
        self._ask("change_members", node, str(change))
        if node in self.hanging or self.leading is None:
            return Asked(False)
        if node != self.leading:
            return Asked(False, leader=self.leading)
        if self.one_at_a_time and len(change.promote + change.remove) > 1:
            return Asked(False, "this cluster changes one voter at a time; ask for one, and then for the next")
        if change.promote and self.catching_up:
            self.catching_up -= 1
            return Asked(False, f"promote {change.promote[0]}: it has not caught up yet; {TRY_AGAIN}")
        try:
            self.members = change.applied_to(self.members, NODES)
        except ChangeError as error:
            return Asked(False, str(error))
        return Asked(True)

    # ---- disks and clocks ----

    async def slow_sync(self, node: str, longer: RangeUs) -> None:
        self._ask("slow_sync", node, longer)

    async def syncs(self, node: str) -> Syncs:
        return Syncs(self.slowed[node], self.writes[node])

    async def break_disk(self, node: str, failing: Failing | None) -> int | None:
        self._ask("break_disk", node, failing)
        return self.failures[node] if self.states[node] == "up" else None

    async def damage(self, node: str, damage: Damage) -> str:
        self._ask("damage", node, damage)
        return self.damages

    async def exit_code(self, node: str) -> int | None:
        return self.exit_codes.get(node)

    async def skew(self, node: str, rate_ppm: int, jump_us: int) -> Ahead | None:
        self._ask("skew", node, rate_ppm, jump_us)
        clock, now_us = self.clocks[node], self._now_us()
        before_us = clock.ahead_us(now_us)
        clock.change(now_us, rate_ppm, jump_us)
        return Ahead(before_us, clock.ahead_us(now_us)) if node not in self.silent else None

    # ---- links ----

    @property
    def links(self) -> Sequence[Link]:
        return LINKS

    def set_links(self, states: Mapping[Link, LinkState]) -> None:
        self._ask("set_links", dict(states))

    def link_counters(self) -> Mapping[Link, LinkCounters]:
        return {link: msgspec.structs.replace(counters) for link, counters in self.counters.items()}

    def clog_counters(self) -> Mapping[Link, LinkCounters]:
        return self.link_counters()

    def throttle_counters(self) -> Mapping[Link, LinkCounters]:
        return self.link_counters()

    def corrupt_counters(self) -> Mapping[Link, LinkCounters]:
        return self.link_counters()

    def reset(self, fault: str, nodes: Sequence[str], delivered: float) -> Broken:
        self._ask("reset", fault, tuple(nodes), delivered)
        arrived, lost = self.in_flight
        return Broken(arrived + lost > 0, f"frames in flight: {arrived} delivered, {lost} lost")

    def watch_traffic(self, nodes: Sequence[str], for_us: int, seen: Signal) -> None:
        self._ask("watch_traffic", tuple(nodes), for_us)
        self.watching.append(seen)
        if any(self.in_flight):
            seen.set()

    def send(self, in_flight: tuple[int, int]) -> None:
        """From now on frames are in flight, which a reset finds."""
        self.in_flight = in_flight
        for seen in self.watching:
            seen.set()

    def arrivals(self, nodes: Sequence[str]) -> int:
        return self.passed


class PoorWorld:
    """A world that can only kill and start."""

    def __init__(self, rich: ScriptedWorld) -> None:
        self.is_up, self.incarnation, self.start, self.kill = rich.is_up, rich.incarnation, rich.start, rich.kill
        self.exit_code = rich.exit_code


class Stage:
    """A nemesis over a scripted world, in virtual time, and what was reported."""

    def __init__(
        self,
        leader: str | None = "n2",
        *,
        poor: bool = False,
        world: Callable[[Callable[[], int]], ScriptedWorld] = ScriptedWorld,
        members: Sequence[str] = NODES,
    ) -> None:
        self.scheduler = Scheduler()
        self.world = world(lambda: self.scheduler.now_us)
        self.events: list[HarnessEvent] = []
        self.view = ClusterView(
            NODES, lambda event, number, reporter: self.nemesis.happened(event, number, reporter), members
        )
        self.log = FaultLog(NODES, lambda: self.scheduler.now_us, self.events.append)
        self.tasks = VirtualTasks(self.scheduler)
        seen: World = PoorWorld(self.world) if poor else self.world
        self.nemesis = Nemesis(world=seen, view=self.view, log=self.log, nodes=NODES, tasks=self.tasks)
        self.world.leading = leader
        if leader is not None:
            self.view.status(leader, "leader", 1)

    def at(self, at_us: int, action: Callable[[], object]) -> None:
        """The world does this by itself at the given time."""
        self.scheduler.at(at_us, lambda _: action())

    def commit_members(self, at_us: int, *voters: str) -> None:
        """The nodes commit that these are the members, from now on."""
        used = ConfigurationUsed(node="n1", inc=1, t_us=at_us, index=at_us, members=Members(voters=voters))
        committed = CommitAdvanced(node="n1", inc=1, t_us=at_us, index=at_us, term=1)
        for event in (used, committed):
            self.at(at_us, lambda event=event: self.view.observe(event))

    def count(self, at_us: int, link: Link, field: str, more: int = 1) -> None:
        """Increases this counter of the link at the given time."""
        counters = self.world.counters[link]
        self.at(at_us, lambda: setattr(counters, field, getattr(counters, field) + more))

    def play(self, *faults: Fault, end_us: int = 2_000_000) -> Stage:
        """Plays the safety phase, from 0 to `end_us`."""
        self.nemesis.start(faults)
        self.scheduler.run_until(end_us)
        self.tasks.spawn(self.nemesis.end(), "the end of the safety phase")
        return self

    def injected(self, name: str = "f1") -> FaultInjected:
        return self._only(FaultInjected, name)

    def healed(self, name: str = "f1") -> FaultHealed:
        return self._only(FaultHealed, name)

    def seen(self, name: str = "f1") -> tuple[bool, str, str]:
        """The observed effect of the fault: whether it was effective, in words, and its excuse."""
        event = self.healed(name)
        return event.effective, event.effect, event.moot

    def asked(self, what: str) -> list[tuple[Any, ...]]:
        """The calls of this kind that the world got."""
        return [one for one in self.world.asked if one[1] == what]

    def _only(self, kind: type[T], name: str) -> T:
        (event,) = [one for one in self.events if isinstance(one, kind) and getattr(one, "fault", "") == name]
        return event
