"""What the faults of a run met, by kind."""

from __future__ import annotations

from raft_chaos.invariants.events import HARNESS, FaultHealed, FaultInjected
from raft_chaos.invariants.exposure import Exposure, added, exposure


def injected(fault: str, kind: str, at_us: int, *targets: str) -> FaultInjected:
    return FaultInjected(node=HARNESS, inc=1, t_us=at_us, fault=fault, type=kind, targets=targets)


def healed(fault: str, kind: str, at_us: int, *, effective: bool = True) -> FaultHealed:
    return FaultHealed(node=HARNESS, inc=1, t_us=at_us, fault=fault, type=kind, effective=effective)


def test_a_kind_is_counted_as_planned_injected_and_effective() -> None:
    events = [
        injected("f1", "kill", 10, "n1"),
        healed("f1", "kill", 20),
        injected("f2", "kill", 30, "n1", "n2"),
        healed("f2", "kill", 40, effective=False),
    ]
    (kill,) = exposure(["kill"] * 3, events, [])
    assert kill == Exposure(kind="kill", planned=3, injected=2, effective=1, in_election=0, nodes=3)


def test_an_election_counts_from_the_fault_to_its_healing_and_to_the_end_without_one() -> None:
    events = [injected("f1", "pause", 10, "n1"), healed("f1", "pause", 20), injected("f2", "clog", 30, "n2")]

    def in_election(*times_us: int) -> list[int]:
        return [one.in_election for one in exposure([], events, times_us)]

    assert in_election(9, 21) == [0, 0]
    assert in_election(10) == in_election(20) == [0, 1]
    assert in_election(999, 29) == [1, 0]


def test_a_fault_that_never_fired_is_planned_alone() -> None:
    assert exposure(["reset"], [], [5]) == [Exposure(kind="reset", planned=1)]


def test_sums_are_by_kind_in_the_order_of_their_names() -> None:
    one, other = Exposure(kind="pause", planned=1, nodes=2), Exposure(kind="clog", injected=1)
    assert added([one, other], [one]) == [other, Exposure(kind="pause", planned=2, nodes=4)]
