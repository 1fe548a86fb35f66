"""Whether each kind of fault has an effect in each world: runs in which it is drawn, and what they were exposed to.

A kind is drawn alone, but for kills: these bring about the elections that it should meet. In sim it has so many `seeds`
whose schedules have it; where nodes have processes of their own, and a run takes seconds, a fifth of them. As long as
nothing had an effect there are more, up to `seeds` in every world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, wait
from itertools import count
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from raft_chaos.chaos.judgement.analysis import Analysis, analyse
from raft_chaos.chaos.mutants import parts_of
from raft_chaos.chaos.processes.shortage import SetupError
from raft_chaos.chaos.run.nodes.memory_driver import MemoryDriver
from raft_chaos.chaos.run.options import settings_of
from raft_chaos.chaos.run.settings import Settings, describe, new_run_dir
from raft_chaos.chaos.run.sim.run import VirtualRun
from raft_chaos.chaos.run.world import World
from raft_chaos.chaos.run.worlds import run_in_world
from raft_chaos.chaos.schedule.data import Schedule
from raft_chaos.invariants.exposure import Exposure, added

COMPANION = "kill"
FEWER = 5
"""Outside of sim there are so many times fewer seeds."""
MOST_TRIED = 400
"""A kind that none of so many seeds draws is never drawn."""
IN_LIVE: dict[str, Any] = {"duration": 8.0, "rate": 50.0}
"""Options of runs in real time: short ones."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where kinds are measured: a world with our own Raft, or live with a `target` behind a `network`."""

    world: World
    target: str = ""
    network: str = ""

    @property
    def name(self) -> str:
        return f"{self.world} {self.network}".rstrip()

    def settings(self, faults: Sequence[str] | None) -> Settings:
        """The settings of a run there, with these kinds of faults; None for all that exist there.

        Raises OptionError, and TargetError for a target that is not there.
        """
        options: dict[str, Any] = {"world": self.world, "faults": faults, "rate": 30.0}
        if self.world == "live":
            options |= IN_LIVE
        if self.target:
            options |= {"target": self.target, "network": self.network}
        return settings_of(options)[0]


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind met at a place: so many of the `tried` seeds had it `drawn`, and were run.

    `violated` are the seeds that broke an invariant, which the unmodified core must not. `lacking` says why nothing
    more could be run there, "" if it could.
    """

    kind: str
    place: str
    tried: int = 0
    drawn: int = 0
    exposure: Exposure
    violated: list[int] = []
    lacking: str = ""

    @property
    def is_inert(self) -> bool:
        """Whether it was looked for, and never had an effect."""
        return not self.lacking and not self.exposure.effective


def kinds_at(place: Place) -> list[str]:
    """The kinds of faults that exist there."""
    return list(place.settings(None).schedule.faults)


def measure(kind: str, place: Place, seeds: int, stopped: Callable[[], bool] = lambda: False) -> Effects:
    """Runs seeds that draw the kind, until there are enough. Raises HarnessError if the harness fails."""
    exists = kinds_at(place)
    settings = place.settings(list(dict.fromkeys([*([COMPANION] if COMPANION in exists else []), kind])))
    enough = seeds if place.world == "sim" else ceil(seeds / FEWER)
    tried = drawn = 0
    met, violated, lacking = Exposure(kind=kind), list[int](), ""
    for seed in count(1):
        if drawn >= (enough if met.effective else seeds) or (not drawn and tried >= MOST_TRIED) or stopped():
            break
        tried += 1
        plan = settings.make_schedule(seed)
        if all(fault.action.kind() != kind for fault in plan.faults):
            continue
        try:
            analysis = _run(settings, seed, plan)
        except SetupError as error:
            lacking = str(error)
            break
        drawn += 1
        met = added([met], (one for one in analysis.exposure if one.kind == kind))[0]
        violated += [seed] if analysis.verdict == "violated" else []
    return Effects(
        kind=kind, place=place.name, tried=tried, drawn=drawn, exposure=met, violated=violated, lacking=lacking
    )


def measure_all(
    places: Sequence[Place], kinds: Sequence[str], seeds: int, executor: Executor, stopped: Callable[[], bool]
) -> Iterator[Effects]:
    """Each of these kinds at each place that has it: those in sim on the executor, the others one after the other.

    It yields what has been measured until it is stopped. A place that once cannot be run in is not tried again.
    """
    cells = [(kind, place) for place in places for kind in kinds_at(place) if kind in kinds]
    in_sim = [(kind, place) for kind, place in cells if place.world == "sim"]
    for future in [executor.submit(measure, kind, place, seeds) for kind, place in in_sim]:
        while not stopped() and not future.done():
            wait([future], timeout=0.5)
        if stopped():
            return
        yield future.result()
    lacking: dict[Place, str] = {}
    for kind, place in cells:
        if place.world == "sim":
            continue
        if why := lacking.get(place):
            yield Effects(kind=kind, place=place.name, exposure=Exposure(kind=kind), lacking=why)
            continue
        found = measure(kind, place, seeds, stopped)
        if stopped():
            return
        lacking[place] = found.lacking
        yield found


def _run(settings: Settings, seed: int, plan: Schedule) -> Analysis:
    if settings.world == "sim":
        return VirtualRun(plan, timing=settings.timing, driver=MemoryDriver(parts_of(None))).go().analysis
    with TemporaryDirectory(prefix="raft-chaos-effects-") as folder:
        run = new_run_dir(Path(folder), seed)
        run_in_world(settings, plan, run, describe(settings, seed, plan, run))
        return analyse(run)
