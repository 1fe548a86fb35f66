"""Branches of a run: the same up to a moment, and different from there on; and deliveries by priorities of links."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from builders.campaigns import settings
from raft_chaos.chaos.exploration.attempt import Reached, carry_out
from raft_chaos.chaos.exploration.explorer import branched
from raft_chaos.chaos.run.sim.priorities import LAG_US, Priorities
from raft_chaos.chaos.run.sim.scheduler import Scheduler
from raft_chaos.chaos.schedule.data import Branch, Schedule, ScheduleError
from raft_chaos.chaos.schedule.file import load, save
from raft_chaos.chaos.shrink.candidates import header_candidates

WHOLE = settings().make_schedule(1)
AT_US = 1_500_000
LINKS = [("n1", "n2"), ("n2", "n1"), ("n1", "n3")]


def run(schedule: Schedule) -> Reached:
    return carry_out(schedule, settings().timing, None)


def up_to(reached: Reached, at_us: int) -> list[tuple[int, int]]:
    return [(state, us) for state, us in reached.first_us.items() if us < at_us]


@pytest.mark.parametrize("depth", [0, 3])
def test_a_branch_is_the_same_until_its_moment_and_different_then(depth: int) -> None:
    whole, branch = run(WHOLE), run(branched(WHOLE, Branch(AT_US, 77, depth)))
    assert up_to(branch, AT_US) == up_to(whole, AT_US)
    assert branch.first_us != whole.first_us
    assert run(branched(WHOLE, Branch(AT_US, 77, depth))).first_us == branch.first_us


def test_a_branch_replaces_later_ones() -> None:
    twice = branched(branched(WHOLE, Branch(1_000, 1)), Branch(3_000, 2))
    assert branched(twice, Branch(2_000, 3)).header.branches == [Branch(1_000, 1), Branch(2_000, 3)]


def test_a_file_has_its_branches_and_says_nothing_without_any(tmp_path: Path) -> None:
    file = tmp_path / "schedule.jsonl"
    save(branched(WHOLE, Branch(AT_US, 77, 2)), file)
    assert load(file) == branched(WHOLE, Branch(AT_US, 77, 2))
    save(WHOLE, file)
    assert b"branches" not in file.read_bytes()


def test_a_branch_before_the_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "schedule.jsonl"
    save(branched(WHOLE, Branch(-1, 77)), file)
    with pytest.raises(ScheduleError, match=r"branches\.at_us"):
        load(file)


def test_shrinking_first_tries_without_branches() -> None:
    first = next(iter(header_candidates(branched(WHOLE, Branch(AT_US, 77)))))
    assert first.header.branches is msgspec.UNSET


def test_priorities_order_the_links_until_one_loses_its_own() -> None:
    scheduler = Scheduler()
    priorities = Priorities(LINKS, 1_000, 5, 2, 500, scheduler)
    before = {link: priorities.of[link].one(0) for link in LINKS}
    assert sorted(before.values()) == [0, 1 / 3, 2 / 3]
    scheduler.run_until(500)
    slow, *others = LINKS
    assert priorities.of[slow].one(1) >= before[slow] + LAG_US[0] / 1_000  # it was the next to send
    assert [priorities.of[link].one(1) for link in others] == [before[link] for link in others]
