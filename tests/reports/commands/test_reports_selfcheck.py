"""The result of a selfcheck: its page and its exit code."""

from __future__ import annotations

from raft_chaos.chaos.campaign.selfcheck import Checked
from raft_chaos.chaos.campaign.selfcheck_worker import Answer
from raft_chaos.reports.commands.selfcheck import SelfcheckTotals, selfcheck_page


def test_a_failure_of_the_harness_is_printed_and_a_difference_outranks_it() -> None:
    totals = SelfcheckTotals("raft-chaos", "1..3", 3, ["--lockstep"])
    assert totals.exit_code == 0
    totals.observe(
        Checked(1, [Answer("sim-1", "ab", {"elections": 3}), Answer("sim-2", failed="OSError: \x1b", run="r/1")])
    )
    assert totals.exit_code == 255
    totals.stopped, totals.broken = "a worker process died while these seeds were under way: 2..3", True
    assert list(selfcheck_page(totals, 80))[-6:] == [
        r"HARNESS FAILED on seed 1, sim-2: OSError: \x1b",
        "  r/1",
        "STOPPED: a worker process died while these seeds were under way: 2..3",
        "seeds 1..3: 0 of 1 equal (3 were asked for)",
        "Reproduce:",
        "raft-chaos selfcheck --seeds 1 --lockstep",
    ]
    sides = (Answer("sim-1", "ab", {"elections": 4}), Answer("sim-2", "cd"))
    totals.observe(Checked(2, list(sides), sides))
    assert (totals.exit_code, totals.sums["elections"]) == (1, 7)
    assert totals.repro == "raft-chaos selfcheck --seeds 2 --lockstep", "what is different comes first"
