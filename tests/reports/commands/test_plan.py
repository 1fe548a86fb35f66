"""The page of a planned run: its faults in words, on any terminal."""

from __future__ import annotations

from typing import Any

import pytest

from raft_chaos.reports.commands.plan import Plan, plan_page

HEADER = {
    "kind": "schedule",
    "nodes": ["n1", "n2", "n3"],
    "safety_from_us": 1_500_000,
    "safety_until_us": 15_000_000,
    "liveness_for_us": 3_000_000,
}


def fault(id: str, when: dict[str, Any], **action: Any) -> dict[str, Any]:
    return {"kind": "fault", "id": id, "when": when, "action": action, "duration_us": 250_000}


FAULTS = [
    fault("f1", {"on": "leader_elected", "nth": 2, "after_us": 1_500}, type="pause", nodes=["leader"]),
    fault("f2", {"on": "vote_granted"}, type="clock", nodes=["n1"], rate_ppm=0, jump_us=734_000),
    fault("f3", {"at_us": 5_000_000}, type="partition", shape="one_way", grudge={"n3": ["n1", "n2"]}),
    fault("f4", {"at_us": 2_000_000}, type="kill", nodes=["n1", "n2"], restart_after_us=[851_000, 0], wipe=False),
]


def page(width: int) -> list[str]:
    plan = Plan(seed=5, world="sim", target="raft", mutant=None, drawn=["kill: n1 1"], schedule=[HEADER, *FAULTS])
    return list(plan_page(plan, width))


def test_faults_are_in_order_of_time_and_those_that_wait_come_last() -> None:
    rows = [" ".join(line.split()) for line in page(120)[6:]]
    assert rows == [
        "f4 2.000 s kill nodes n1, n2; restart_after 851 ms, 0.0 ms 0.250",
        "f3 5.000 s partition shape one_way; n3 does not hear n1, n2 0.250",
        "f1 1.5 ms after leader_elected number 2 pause nodes leader 0.250",
        "f2 at vote_granted clock nodes n1; jump 734 ms 0.250",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_the_terminal(width: int) -> None:
    assert max(len(line) for line in page(width)) <= width
