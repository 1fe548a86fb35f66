"""Which reproductions run in real time."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from builders.schedules import TIMING, fault, schedule
from raft_chaos.chaos.faults.action import Action
from raft_chaos.chaos.faults.network import Throttle
from raft_chaos.chaos.faults.pause import Pause
from raft_chaos.chaos.reproduction.file import Expected, Origin, Reproduction, Scenario
from raft_chaos.chaos.reproduction.live_rate import not_applicable
from raft_chaos.chaos.reproduction.system import System
from raft_chaos.invariants.verdict import Violation

SHELF = System(name="shelf", target="examples/shelf.toml")


def found(action: Action, system: System | None) -> Reproduction:
    plan = schedule([fault("f1", 800_000, action, 100_000)])
    made = Reproduction(
        expected=Expected(violation=Violation("linearizability", "", ""), trace_sha256=""),
        mutant=None,
        origin=Origin(world="live", seed=1),
        scenario=Scenario(timing=TIMING, schedule=plan),
    )
    return made if system is None else replace(made, system=system)


@pytest.mark.parametrize(
    ("action", "ours", "theirs"),
    [
        (Pause(["n1"]), True, True),
        (Throttle(["n1"], 1000), False, True),  # only networks of other systems can be slow
    ],
)
def test_a_fault_that_a_system_suffered_in_real_time_can_be_repeated(action: Action, ours: bool, theirs: bool) -> None:
    assert (not_applicable(found(action, None)) == "") is ours
    assert (not_applicable(found(action, SHELF)) == "") is theirs
