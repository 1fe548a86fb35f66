"""How the whole product handles a new kind of fault: tests for a process of their own.

`test_new_fault_kind` runs them. The family is put in place before anything reads the catalogue, as a new line in
`chaos/faults/families.py` would.
"""

from __future__ import annotations

from pathlib import Path

import deaf
import pytest
from deaf import Deaf
from msgspec.structs import replace

from raft_chaos.chaos.faults import families

families.FAMILIES.append(deaf)

from hypothesis import find, settings  # noqa: E402

# What the seeds that are written down give stays as it is beside the new kind: these run here once more.
from test_generate import test_the_schedules_of_known_seeds_do_not_change  # noqa: E402, F401

from builders.schedules import (  # noqa: E402
    NODES,
    fault,
    schedule,
)
from builders.scripted_world import ScriptedWorld, Stage  # noqa: E402
from raft_chaos.chaos.faults.abilities import OURS  # noqa: E402
from raft_chaos.chaos.faults.catalogue import FAULT_KINDS, KINDS, LIVE_KINDS  # noqa: E402
from raft_chaos.chaos.faults.process import Kill  # noqa: E402
from raft_chaos.chaos.run.options import kinds_of  # noqa: E402
from raft_chaos.chaos.run.sim.capabilities import VirtualWorld  # noqa: E402
from raft_chaos.chaos.schedule.check import check_schedule  # noqa: E402
from raft_chaos.chaos.schedule.config import ScheduleConfig  # noqa: E402
from raft_chaos.chaos.schedule.data import Schedule, ScheduleError  # noqa: E402
from raft_chaos.chaos.schedule.describe import drawn  # noqa: E402
from raft_chaos.chaos.schedule.file import load, save  # noqa: E402
from raft_chaos.chaos.schedule.generate import generate  # noqa: E402
from raft_chaos.chaos.schedule.swarm import draw  # noqa: E402
from raft_chaos.chaos.shrink.candidates import fault_candidates  # noqa: E402
from raft_chaos.chaos.testing.strategies import faults  # noqa: E402

OTHERS = tuple(kind for kind in FAULT_KINDS if kind != "deaf")
WIDE = ScheduleConfig(swarm=True, nodes=0, faults=FAULT_KINDS, ops_per_second=20)
WITHOUT = ScheduleConfig(swarm=True, nodes=0, faults=OTHERS, ops_per_second=20)
PLAIN = ScheduleConfig(ops_per_second=20)
PLAIN_WITHOUT = ScheduleConfig(ops_per_second=20, faults=tuple(kind for kind in LIVE_KINDS if kind != "deaf"))
SEEDS = range(60)


def plan(*actions: Deaf) -> Schedule:
    return schedule([fault(f"f{place}", place, action, 9) for place, action in enumerate(actions)])


def test_it_is_one_of_the_kinds() -> None:
    assert KINDS["deaf"] is Deaf and FAULT_KINDS[-1] == "deaf"
    assert "deaf" in LIVE_KINDS and "deaf" in kinds_of(None, "live", OURS)
    assert not isinstance(VirtualWorld.__new__(VirtualWorld), Deaf.needs)


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    saved = plan(Deaf(["leader", "n1"], 30))
    save(saved, tmp_path / "schedule.jsonl")
    assert '"action":{"type":"deaf","nodes":["leader","n1"],"percent":30}' in (tmp_path / "schedule.jsonl").read_text()
    assert load(tmp_path / "schedule.jsonl") == saved


def test_it_is_checked() -> None:
    with pytest.raises(ScheduleError, match=r"f0: action\.percent: expected 1 to 100, got 101"):
        check_schedule(plan(Deaf(["n1"], 101)))
    with pytest.raises(ScheduleError, match=r"action\.nodes: 'n9' is unknown"):
        check_schedule(plan(Deaf(["n9"], 1)))


def test_a_seed_draws_it_and_draws_everything_else_as_before() -> None:
    present = 0
    for seed in SEEDS:
        swarm, before = draw(seed, WIDE), draw(seed, WITHOUT)
        present += "deaf" in swarm.kinds
        assert tuple(kind for kind in swarm.kinds if kind != "deaf") == before.kinds
        assert [swarm.of(kind) for kind in OTHERS] == [before.of(kind) for kind in OTHERS]
        assert (swarm.nodes, swarm.model, swarm.fault_interval_s) == (
            before.nodes,
            before.model,
            before.fault_interval_s,
        )
        assert swarm.flat()["deaf_percent"] == swarm.of("deaf").deaf_percent
    assert len(SEEDS) / 3 < present < len(SEEDS)


@pytest.mark.parametrize("wide", [True, False])
def test_it_is_in_schedules_and_changes_nothing_else(wide: bool) -> None:
    found = 0
    for seed in SEEDS:
        made, before = generate(seed, WIDE if wide else PLAIN), generate(seed, WITHOUT if wide else PLAIN_WITHOUT)
        check_schedule(made)
        assert made.operations == before.operations
        others = [fault for fault in made.faults if not isinstance(fault.action, Deaf)]
        found += len(others) < len(made.faults)
        assert [replace(fault, id="") for fault in others] == [replace(fault, id="") for fault in before.faults]
    assert found > len(SEEDS) / 4


def test_alone_it_has_the_configured_fault_interval() -> None:
    config = replace(PLAIN, faults=("deaf",), duration_s=60.0)
    counts = [len(generate(seed, config).faults) for seed in SEEDS]
    drawn_in = [count for count in counts if count]
    expected = (config.duration_s - config.warmup_s) / config.fault_interval_s
    assert expected / 1.3 < sum(drawn_in) / len(drawn_in) < expected * 1.3


class DeafWorld(ScriptedWorld):
    """A scripted world that has doors."""

    async def deafen(self, node: str, percent: int) -> None:
        self._ask("deafen", node, percent)

    def unheard(self, node: str) -> int:
        return 3


def test_the_nemesis_carries_it_out_alone_and_beside_others() -> None:
    stage = Stage(world=DeafWorld, leader="n2")
    stage.play(
        fault("f1", 10, Deaf(["leader"], 30), 100),
        fault("f2", 50, Deaf(["n1", "n2"], 80), 20),
        fault("f3", 60, Kill(["n3"], [5])),
    )
    assert stage.asked("deafen") == [
        (10, "deafen", "n2", 30),
        (50, "deafen", "n1", 80),
        (50, "deafen", "n2", 80),
        (70, "deafen", "n1", 0),
        (70, "deafen", "n2", 30),
        (110, "deafen", "n2", 0),
    ]
    assert (stage.injected().type, stage.injected().detail) == ("deaf", "n2: 30 % is not heard")
    assert stage.seen() == (True, "3 not heard", "") and stage.seen("f3")[0]


def test_it_is_summarised() -> None:
    assert "deaf: 2, up to 30 %" in drawn(plan(Deaf(["n1"], 30), Deaf(["leader"], 2)))


def test_it_is_shrunk() -> None:
    smaller = [one.action for one in fault_candidates(fault("f1", 1, Deaf(["n1", "n2"], 30), 10_000))]
    assert Deaf(["n1", "n2"], 15) in smaller and Deaf(["n1"], 30) in smaller


def test_hypothesis_draws_it() -> None:
    few = settings(max_examples=25, derandomize=True, database=None, deadline=None)
    assert find(faults(NODES, kinds=["deaf"]), lambda one: True, settings=few).action == Deaf(["n1"], 1)
    assert find(faults(NODES), lambda one: isinstance(one.action, Deaf), settings=settings(few, max_examples=500))
