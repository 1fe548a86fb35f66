"""log_bounded: n1 takes a snapshot after five entries."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from raft_chaos.invariants.checkers.log_bounded import MORE, TIMES
from raft_chaos.invariants.events import (
    HARNESS,
    EntryApplied,
    Event,
    MessageSent,
    PhaseStarted,
    RunEnded,
    SnapshotTaken,
    Started,
)
from raft_chaos.invariants.judge import Judge
from raft_chaos.invariants.pace import Pace
from raft_chaos.invariants.verdict import Verdict

PACE = Pace(20_000, 10, 1, snapshot_every=5)
MOST = TIMES * PACE.snapshot_every + MORE
SETTLED = PhaseStarted(node=HARNESS, inc=1, t_us=90, phase="settled", owed=("n1",), within_us=1)
ENDED = RunEnded(node=HARNESS, inc=1, t_us=99, reason="done")


def applied(index: int) -> EntryApplied:
    return EntryApplied(node="n1", inc=1, t_us=50, index=index, term=1, digest="")


def taken(index: int) -> Event:
    return SnapshotTaken(node="n1", inc=1, t_us=40, index=index, term=1, digest="", state="")


def starts(base: int = 0) -> Event:
    return Started(node="n1", inc=1, t_us=0, term=1, voted_for=None, last_index=0, digest="", base_index=base)


def verdict(*events: Event, pace: Pace = PACE) -> Verdict | None:
    judge = Judge(voters=("n1",), pace=pace)
    for event in events:
        judge.observe(event)
    return next((one for one in judge.verdicts() if one.invariant == "log_bounded"), None)


def test_a_node_that_takes_no_snapshot_any_more_is_convicted() -> None:
    found = verdict(starts(), taken(5), applied(6 + MOST), SETTLED, ENDED)
    assert found is not None and found.outcome == "violated"
    (violation,) = found.violations
    assert violation.message == (
        f"n1 (incarnation 1) has applied {MOST + 1} entries since its last snapshot, of entry 5; it is to take one "
        f"after 5, and at most {MOST} are plausible"
    )


@pytest.mark.parametrize("begins", [[starts(), taken(10)], [starts(10)]])
def test_its_last_snapshot_counts_and_the_one_with_which_it_began(begins: list[Event]) -> None:
    found = verdict(*begins, applied(10 + MOST), SETTLED, ENDED)
    assert found is not None and (found.outcome, found.judged) == ("valid", 1)


def test_it_is_judged_only_once_a_run_has_settled_in_virtual_time() -> None:
    events = [starts(), applied(1_000)]
    assert verdict(*events, ENDED) is None
    assert verdict(*events, replace(SETTLED, within_us=0), ENDED) is None
    assert verdict(*events, replace(SETTLED, owed=()), ENDED) is None
    assert verdict(*events, SETTLED, ENDED, pace=replace(PACE, snapshot_every=0)) is None


def sends(at_us: int, index: int) -> Event:
    """A part of the snapshot up to this entry."""
    return MessageSent(
        node="n1", inc=1, t_us=at_us, to="n2", number=1, type="InstallSnapshot", prev_log_index=index, size=1
    )


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        (sends(60, 5), None),  # n2 is silent, and n1 keeps the log for it
        (sends(99 - 20, 5), "violated"),  # for so long that n2 is taken for dead
        (sends(60, 4), "violated"),  # it has a later snapshot than the one that n2 gets
    ],
)
def test_a_leader_may_keep_the_log_for_a_follower_that_is_silent(sent: Event, outcome: str | None) -> None:
    pace = replace(PACE, election_timeout_us=(1, 4 if sent.t_us == 60 else 2))
    found = verdict(starts(), taken(5), sent, applied(6 + MOST), SETTLED, ENDED, pace=pace)
    assert (found.outcome if found is not None else None) == outcome
