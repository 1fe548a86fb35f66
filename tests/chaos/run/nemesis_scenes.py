"""Scenes for the nemesis: what faults make of a cluster, alone and together; one run of a world plays them all.

    played = play("live", folder)           all scenes that the world has the kinds for, in one run
    played.injected("two pauses/1")         the harness's event
    played.moments["-two pauses/1"]         what was so, in the nodes and links themselves, when it was healed

Times are ticks: about a tenth of the longest election timeout of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from builders.processes import process_state
from builders.schedules import ISOLATED, NODES, TIMING, schedule
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.catalogue import LIVE_KINDS, VIRTUAL_KINDS
from raft_chaos.chaos.faults.clock import Clock
from raft_chaos.chaos.faults.disk import SlowSync
from raft_chaos.chaos.faults.links import Degraded, Link
from raft_chaos.chaos.faults.network import Network, Reset
from raft_chaos.chaos.faults.partition import Clog, Partition
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.faults.process import Kill
from raft_chaos.chaos.run.fault_log import FaultLog, Span
from raft_chaos.chaos.run.live.capabilities import LiveWorld
from raft_chaos.chaos.run.live.cluster import LiveCluster
from raft_chaos.chaos.run.live.run import run_live
from raft_chaos.chaos.run.lockstep.run import run_lockstep
from raft_chaos.chaos.run.nemesis import Nemesis
from raft_chaos.chaos.run.sim.capabilities import VirtualWorld
from raft_chaos.chaos.run.sim.cluster import VirtualCluster
from raft_chaos.chaos.run.sim.world import run_sim
from raft_chaos.chaos.schedule.data import Fault, Schedule, When
from raft_chaos.chaos.targets.raft import RaftTarget
from raft_chaos.invariants.events import AnyEvent, FaultHealed, FaultInjected, PhaseStarted
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.raft.state.timing import Timing

WorldName: TypeAlias = Literal["sim", "lockstep", "live"]
LIVE_TIMING = Timing(150_000, 300_000, 50_000)

# ---- the scenes ----------------------------------------------------------------------------------------------------

ALONE_N1 = {"n2": ["n1"], "n3": ["n1"]}
"""No node hears n1."""
CROSSED = {"n1": ["n2", "n3"], "n2": ["n1"]}
"""n1 hears no node, and n2 does not hear n1."""
SLIGHT = Network(["n1", "n2"], delay_max_us=300, duplicate=0.2)
LOSSY = Network(["n2", "n3"], loss=0.05, delay_mean_us=400)
BAD = Network(["leader"], delay_max_us=3_000, loss=0.2, duplicate=0.3, reorder=0.3, delay_mean_us=500)


@dataclass(frozen=True)
class Scene:
    """Faults with their start and duration in ticks, and the number of ticks until the cluster has recovered."""

    name: str
    lasts: int
    faults: Callable[[int], list[tuple[int, Action, int]]]
    """Given the µs of a tick: the start, the action and the duration of each fault."""
    in_live: bool = True

    def kinds(self) -> set[str]:
        return {action.kind() for _, action, _ in self.faults(1)}


SCENES = [
    Scene("leader slow", 18, lambda us: [(0, SlowSync(["leader"], 2_000, 3_000), 15)]),
    Scene(
        "two slow syncs",
        35,
        lambda us: [(0, SlowSync(["n1", "n2"], 1_000, 1_000), 20), (10, SlowSync(["n2", "n3"], 2_000, 2_000), 20)],
    ),
    Scene("two pauses", 40, lambda us: [(0, Pause(["n1", "n2"]), 10), (5, Pause(["n2"]), 10)]),
    Scene("leader cut off", 55, lambda us: [(0, Partition("isolate_leader", ISOLATED), 30)]),
    Scene("two cuts", 40, lambda us: [(0, Partition("one_way", ALONE_N1), 10), (5, Partition("one_way", CROSSED), 10)]),
    Scene("bad network", 30, lambda us: [(0, BAD, 20)]),
    Scene("two bad networks", 35, lambda us: [(0, SLIGHT, 20), (10, LOSSY, 20)]),
    Scene("kill within a pause", 50, lambda us: [(0, Pause(["n1"]), 20), (5, Kill(["n1"], [5 * us]), 5)]),
    Scene("pause within a kill", 50, lambda us: [(0, Kill(["n1"], [20 * us]), 20), (5, Pause(["n1"]), 5)]),
    Scene("two leaders", 60, lambda us: [(0, Kill(["leader"], [30 * us]), 30), (1, Pause(["leader"]), 10)]),
    # ---- in virtual time only ----
    Scene("two clogs", 30, lambda us: [(0, Clog({"n1": ["n2", "n3"]}), 5), (3, Clog({"n1": ["n2"], "n3": ["n1"]}), 5)]),
    Scene(
        "two clocks",
        30,
        lambda us: [(0, Clock(["n1", "n2"], 200_000, 0), 15), (5, Clock(["n2", "n3"], -100_000, 900), 15)],
    ),
    Scene("reset", 20, lambda us: [(0, Reset(["leader"], 0.5), 0)]),
    Scene("kill at a failpoint", 50, lambda us: [(0, Kill(["leader"], [5 * us], [400], "mid_send"), 5)], in_live=False),
]

LATE = 2
"""The faults in `LASTING` start this many ticks before the end of the safety phase, and would last far longer."""
LASTING: list[Action] = [
    Pause(["n2"]),
    SlowSync(NODES, 1_000, 2_000),
    Partition("one", {"n3": ["n1", "n2"], "n1": ["n3"], "n2": ["n3"]}),
    Network(NODES, loss=0.5),
    Clog({"n1": ["n2", "n3"]}),
    Clock(["n3"], 100_000, 0),
]


def plan(tick_us: int, *, live: bool) -> Schedule:
    """All scenes of the world in one safety phase, with anchored faults around them and lasting ones at its end."""
    kinds = set(LIVE_KINDS if live else VIRTUAL_KINDS)
    from_us = 35 * tick_us
    late = Network(["n3"], delay_min_us=100, delay_max_us=200)
    anchored = [
        ("anchor/passed", When(on="leader_elected", nth=1, after_us=tick_us), late),
        ("anchor/to come", When(on="leader_elected", nth=2, after_us=tick_us), late),
        ("anchor/never", When(on="leader_elected", nth=99), Kill(["n1"], [0])),
    ]
    faults = [Fault(id=name, when=when, action=action, duration_us=8 * tick_us) for name, when, action in anchored]
    at_us = from_us + 10 * tick_us
    for scene in SCENES:
        if scene.kinds() <= kinds and (scene.in_live or not live):
            for number, (begins, action, lasts) in enumerate(scene.faults(tick_us), 1):
                when = When(at_us=at_us + begins * tick_us)
                faults.append(Fault(id=f"{scene.name}/{number}", when=when, action=action, duration_us=lasts * tick_us))
            at_us += scene.lasts * tick_us
    lasting = [action for action in [*LASTING, Kill(["n1"], [90 * tick_us])] if action.kind() in kinds]
    faults += [
        Fault(id=f"end/{action.kind()}", when=When(at_us=at_us), action=action, duration_us=90 * tick_us)
        for action in lasting
    ]
    until_us = at_us + LATE * tick_us
    too_late = When(at_us=until_us + 15 * tick_us)
    faults.append(Fault(id="end/too late", when=too_late, action=Pause(["n3"]), duration_us=1))
    return schedule(faults, safety_us=(from_us, until_us), liveness_us=20 * tick_us, every_us=30_000)


# ---- the state of a world ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """What is so at one moment: of nodes that are down, paused or up, and of links in force. Links without a fault,
    and nodes with a good disk or clock, are not named."""

    states: dict[str, str]
    slow_us: dict[str, int]
    cut: set[Link]
    clogged: set[Link]
    degraded: dict[Link, tuple[Degraded, ...]]
    rates_ppm: dict[str, int]


def look(world: object) -> Moment:
    """Asks the nodes and links themselves: in real time the operating system, whether a process stands still."""
    if isinstance(world, LiveWorld):
        links = {link: state for link, state in world.link_states.items() if state.cut or state.degraded}
        return Moment(
            {node: process_state(world.cluster.child(node)) for node in NODES},
            _slow(world.cluster),
            {link for link, state in links.items() if state.cut},
            set(),
            {link: state.degraded for link, state in links.items() if state.degraded},
            {},
        )
    assert isinstance(world, VirtualWorld)
    cluster = world.cluster
    return Moment(
        {node: cluster.state(node) for node in NODES},
        _slow(cluster),
        {name for name, link in cluster.network.links.items() if link.cut},
        {name for name, link in cluster.network.links.items() if link.clog},
        {name: link.rules for name, link in cluster.network.links.items() if link.rules},
        {node: rate for node in NODES if (rate := cluster.rate_ppm(node))},
    )


def _slow(cluster: LiveCluster | VirtualCluster) -> dict[str, int]:
    return {node: most for node in NODES if (most := cluster.slow_sync_us(node)[1])}


# ---- one run of all ------------------------------------------------------------------------------------------------


@dataclass
class Played:
    """One run, with what was so when each fault set in ("+" and its id), was healed ("-"), and at the end ("end")."""

    world: WorldName
    plan: Schedule
    tick_us: int
    run: RunDir
    moments: dict[str, Moment] = field(default_factory=dict)
    events: list[AnyEvent] = field(default_factory=list)

    @property
    def zero_us(self) -> int:
        """When the schedule's times began to count."""
        return self.phase("warmup").t_us

    def phase(self, name: str) -> PhaseStarted:
        (event,) = [event for event in self.events if isinstance(event, PhaseStarted) and event.phase == name]
        return event

    def fault(self, name: str) -> Fault:
        (fault,) = [fault for fault in self.plan.faults if fault.id == name]
        return fault

    def injected(self, name: str) -> FaultInjected:
        (event,) = [event for event in self.events if isinstance(event, FaultInjected) and event.fault == name]
        return event

    def healed(self, name: str) -> FaultHealed:
        (event,) = [event for event in self.events if isinstance(event, FaultHealed) and event.fault == name]
        return event

    def during(self, scene: str) -> list[AnyEvent]:
        """What the harness reported from when the scene's first fault set in to when its last one was healed."""
        mine = [
            place
            for place, event in enumerate(self.events)
            if isinstance(event, FaultInjected | FaultHealed) and event.fault.startswith(f"{scene}/")
        ]
        first = self.events[mine[0]]
        assert isinstance(first, FaultInjected)
        # The world tells of a node before the nemesis tells of the fault that did it.
        begun = next(place for place in range(mine[0] + 1) if self.events[place].t_us >= first.t_us - self.tick_us)
        return self.events[begun : mine[-1] + 1]

    def all_four(self, scene: str) -> tuple[Moment, Moment, Moment, Moment]:
        """Of two faults of which the second outlasts the first: one, both, the other, none."""
        return tuple(self.moments[f"{sign}{scene}/{number}"] for sign in "+-" for number in (1, 2))  # type: ignore[return-value]


def play(world: WorldName, folder: Path) -> Played:
    """Runs all scenes that there are for the world."""
    live = world == "live"
    timing = LIVE_TIMING if live else TIMING
    tick_us = 25_000 if live else TIMING.election_timeout_max_us // 10
    run, info = RunDir(folder / world), RunInfo(seed=1, world=world, nodes=["n1", "n2", "n3"])
    played = Played(world, plan(tick_us, live=live), tick_us, run)
    with _watched(played):
        if live:
            run_live(played.plan, RaftTarget(timing), run, info)
        elif world == "lockstep":
            run_lockstep(played.plan, timing, None, run, info)
        else:
            run_sim(played.plan, timing, None, run, info)
    played.events = run.harness_events()
    return played


@contextmanager
def _watched(played: Played) -> Iterator[None]:
    """Looks at the world whenever the nemesis reports, and when it has ended."""
    start, end, injected, healed = Nemesis.start, Nemesis.end, FaultLog.injected, FaultLog.healed
    worlds: list[object] = []

    def starting(nemesis: Nemesis, faults: list[Fault]) -> None:
        worlds.append(nemesis.world)
        start(nemesis, faults)

    def looking(mark: str, report: Callable[..., None]) -> Callable[..., None]:
        def reporting(log: FaultLog, span: Span, *said: Any, **more: Any) -> None:
            report(log, span, *said, **more)
            played.moments[mark + span.fault.id] = look(worlds[0])

        return reporting

    async def ending(nemesis: Nemesis) -> None:
        await end(nemesis)
        played.moments["end"] = look(nemesis.world)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Nemesis, "start", starting)
        patch.setattr(Nemesis, "end", ending)
        patch.setattr(FaultLog, "injected", looking("+", injected))
        patch.setattr(FaultLog, "healed", looking("-", healed))
        yield
