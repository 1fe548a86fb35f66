"""Reads by a lease in schedules: which seeds have some, and which faults of clocks forbid them."""

from __future__ import annotations

import pytest

from builders.schedules import fault
from raft_chaos.chaos.faults.catalogue import VIRTUAL_KINDS
from raft_chaos.chaos.faults.clock import Clock, Strobe
from raft_chaos.chaos.schedule.check import check_leases, check_schedule
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.chaos.schedule.data import Operation, ScheduleError
from raft_chaos.chaos.schedule.generate import generate
from raft_chaos.chaos.schedule.leases import breaking
from raft_chaos.chaos.schedule.steered.catalogue import OLD_LEASE, episode_of

LEASES = ("check_quorum", "lease_reads")
WIDE = ScheduleConfig(swarm=True, nodes=0, faults=VIRTUAL_KINDS, ops_per_second=20, features=LEASES)
READ = Operation(id="c0/0", client="c0", at_us=1, f="get", key="x", node="n1", consistency="lease")


@pytest.mark.parametrize(
    ("faults", "broken"),
    [
        ([Clock(["n1"], 100_000, 0), Clock(["n2"], -100_000, 0)], ""),
        ([Clock(["n1"], 250_000, 0)], ""),
        ([Clock(["n1"], 250_001, 0)], "f0"),
        ([Clock(["n1"], 200_000, 0), Clock(["n2"], -100_000, 0)], "f1"),
        ([Clock(["n1"], 0, 1)], "f0"),
        ([Strobe(["n1"], 5, 5_000)], "f0"),
        ([], ""),
    ],
)
def test_a_clock_may_run_a_quarter_faster_than_another_and_not_jump(faults: list[Clock], broken: str) -> None:
    drawn = [fault(f"f{place}", 1, action, 9) for place, action in enumerate(faults)]
    assert breaking(drawn) == broken
    check_leases(drawn, [])
    if broken:
        with pytest.raises(ScheduleError, match=f"c0/0 reads by a lease, and fault {broken} makes clocks jump"):
            check_leases(drawn, [READ])
    else:
        check_leases(drawn, [READ])


def test_only_seeds_whose_nodes_have_leases_and_right_clocks_read_by_one() -> None:
    found = probed = 0
    for seed in range(150):
        made = generate(seed, WIDE)
        check_schedule(made)
        by_lease = [one for one in made.operations if one.consistency == "lease"]
        if not made.header.features.lease_reads or breaking(made.faults):
            assert not by_lease
            assert not any(one.client.startswith("probe") for one in made.operations)
        else:
            assert by_lease
            found += 1
        episodes = {episode_of(one.id) for one in made.faults} & set(OLD_LEASE)
        probed += bool(episodes)
        assert not episodes or made.header.features.lease_reads
    assert found > 10 and probed > 4
