"""liveness_under_fault: one history that convicts, and each condition without which nothing is owed or nothing missed.

Three nodes. n1 leads and commits entry 1; a partition stands from 100 to 700 µs, and nobody commits meanwhile. The
bound is 500 µs (half of recovery's 1,000).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from event_scripts import appends, commits, follows, judged, leads, started
from raft_chaos.invariants.events import (
    HARNESS,
    Event,
    FaultHealed,
    FaultInjected,
    NodeKilled,
    NodeLaunched,
    NodePaused,
    NodeResumed,
    PhaseStarted,
    RoleChanged,
    RunEnded,
)
from raft_chaos.invariants.verdict import Verdict

NODES = ("n1", "n2", "n3")
N1_ALONE = (("n1", "n2"), ("n1", "n3"), ("n2", "n1"), ("n3", "n1"))
ANSWERS_LOST = (("n2", "n1"), ("n3", "n1"))
BEFORE: list[Event] = [
    *(started(node) for node in NODES),
    replace(leads("n1", 1), t_us=10),
    *appends("n1", "1a"),
    *appends("n2", "1a"),
    commits("n1", 1, 1, t_us=50),
]


def at(t_us: int, kind: type[Event], **fields: object) -> Event:
    return kind(node=HARNESS, inc=1, t_us=t_us, **fields)


def launched(node: str, t_us: int = 0, inc: int = 1) -> Event:
    return at(t_us, NodeLaunched, subject=node, subject_inc=inc)


def cut(*links: tuple[str, str], fault: str = "f1", t_us: int = 100) -> Event:
    return at(t_us, FaultInjected, fault=fault, type="partition", targets=NODES, links=links)


def healed(t_us: int = 700, fault: str = "f1", effective: bool = True) -> Event:
    return at(t_us, FaultHealed, fault=fault, type="partition", effective=effective)


LIVENESS = at(800, PhaseStarted, phase="liveness", within_us=1_000)
IN_REAL_TIME = at(800, PhaseStarted, phase="liveness", bound_us=500)
ENDED = at(2_000, RunEnded, reason="done")


def verdict(
    faults: Iterable[Event], nodes: Iterable[Event] = (), liveness: Event = LIVENESS, ended: Event = ENDED
) -> Verdict | None:
    """The verdict on this history; None if nothing was owed. The harness's events come before the nodes' or after."""
    harness = [*map(launched, NODES), *faults, liveness, ended]
    first, second = (
        judged(one, other).get("liveness_under_fault")
        for one, other in ((harness, [*BEFORE, *nodes]), ([*BEFORE, *nodes], harness))
    )
    assert first == second
    return first


def outcome(faults: Iterable[Event], nodes: Iterable[Event] = ()) -> str | None:
    found = verdict(faults, nodes)
    return found.outcome if found is not None else None


def test_a_majority_that_a_partition_leaves_whole_elects_nobody() -> None:
    found = verdict([cut(*N1_ALONE), healed()])
    assert found is not None
    assert [violation.message for violation in found.violations] == [
        "nothing was committed beyond index 1 for 600 µs (bound 500 µs) while f1 (partition) stood, although n2 n3 "
        "heard each other, and n2 nobody else: no node that hears a majority led"
    ]
    assert [type(event).__name__ for event in found.violations[0].witness] == ["FaultInjected", "CommitAdvanced"]


def test_a_leader_of_the_majority_commits_nothing() -> None:
    led = [replace(leads("n2", 2), t_us=150), *(replace(one, t_us=160) for one in appends("n2", "2b", after="1a"))]
    found = verdict([cut(*N1_ALONE), healed()], led)
    assert found is not None
    assert found.violations[0].message.endswith("n2 led term 2 at the end, and its entry 2 was not committed")


def test_progress_is_a_new_commit_within_the_bound() -> None:
    led = [replace(leads("n2", 2), t_us=300), *appends("n2", "2b", after="1a"), commits("n2", 2, 2, t_us=400)]
    assert outcome([cut(*N1_ALONE), healed()], led) == "valid"
    old = [replace(leads("n2", 2), t_us=300), *appends("n2", "2b", after="1a"), commits("n3", 1, 2, t_us=400)]
    assert outcome([cut(*N1_ALONE), healed()], old) == "violated"


def test_a_leader_with_nothing_to_commit_owes_nothing() -> None:
    assert outcome([cut(*N1_ALONE), healed()], [replace(leads("n2", 2), t_us=150)]) == "valid"
    deposed = [replace(leads("n2", 2), t_us=150), replace(follows("n2", 3), t_us=160)]
    assert outcome([cut(*N1_ALONE), healed()], deposed) == "violated"


def test_the_state_must_last_for_the_bound() -> None:
    assert outcome([cut(*N1_ALONE), healed(599)]) is None


def test_a_start_a_kill_or_a_pause_begins_a_new_state() -> None:
    kill = at(300, NodeKilled, subject="n1", subject_inc=1)
    pause = [at(300, NodePaused, subject="n1", subject_inc=1), at(310, NodeResumed, subject="n1", subject_inc=1)]
    for change in ([kill], pause, [launched("n1", 300, 2)]):
        assert outcome([cut(*N1_ALONE), *change, healed()]) is None


def test_another_fault_begins_a_new_state() -> None:
    clock = at(300, FaultInjected, fault="f2", type="clock", targets=("n1",))
    assert outcome([cut(*N1_ALONE), clock, healed(310, "f2"), healed()]) is None


def test_a_fault_that_names_no_links_takes_its_nodes_out_of_the_majority() -> None:
    for kind in ("network", "clock", "slow_sync", "a kind of a later version"):
        on = [
            at(90, FaultInjected, fault="f2", type=kind, targets=("n2",)),
            cut(*N1_ALONE),
            healed(),
            healed(710, "f2"),
        ]
        assert outcome(on) is None
    outside = [at(90, FaultInjected, fault="f2", type="clock", targets=("n1",)), cut(*N1_ALONE), healed()]
    assert outcome([*outside, healed(710, "f2")]) == "violated"


def test_a_partition_of_an_earlier_version_that_names_no_links_owes_nothing() -> None:
    assert outcome([cut(), healed()]) is None


def test_all_links_within_the_majority_are_open_in_both_directions() -> None:
    assert outcome([cut(*N1_ALONE, ("n2", "n3")), healed()]) is None


def test_a_node_that_is_down_or_paused_is_in_no_majority() -> None:
    for gone in (NodeKilled, NodePaused):
        assert outcome([at(50, gone, subject="n3", subject_inc=1), cut(*N1_ALONE), healed()]) is None


def test_an_outsider_that_all_hear_may_stop_the_cluster_for_ever() -> None:
    assert outcome([cut(*ANSWERS_LOST), healed()]) is None


def test_an_outsider_that_one_member_does_not_hear_may_not() -> None:
    assert outcome([cut(*ANSWERS_LOST, ("n1", "n3")), healed()]) == "violated"


def test_an_outsider_that_stands_for_election_has_the_longer_bound() -> None:
    stands = [RoleChanged(node="n1", inc=1, t_us=200, role="candidate", term=2, leader=None)]
    assert outcome([cut(*ANSWERS_LOST, ("n1", "n3")), healed()], stands) == "valid"
    assert outcome([cut(*N1_ALONE), healed()], stands) == "violated"  # nobody hears it


def test_a_cut_without_its_full_effect_owes_nothing() -> None:
    assert outcome([cut(*N1_ALONE), healed(effective=False)]) is None


def test_two_cuts_leave_what_neither_cuts() -> None:
    two = [cut(*N1_ALONE[:2]), cut(*N1_ALONE[2:], fault="f2", t_us=110), healed(), healed(710, "f2")]
    assert outcome(two) == "violated"


def test_in_real_time_a_late_harness_proves_nothing() -> None:
    faults = [cut(*N1_ALONE), healed()]
    found = verdict(faults, liveness=IN_REAL_TIME, ended=replace(ENDED, max_safety_late_us=0))
    assert found is not None and found.outcome == "violated"
    found = verdict(faults, liveness=IN_REAL_TIME, ended=replace(ENDED, max_safety_late_us=None))
    assert found is not None and found.outcome == "unknown", "nobody knows how late it was"
    found = verdict(faults, liveness=IN_REAL_TIME, ended=replace(ENDED, max_safety_late_us=51))
    assert found is not None
    assert (found.outcome, found.reason) == (
        "unknown",
        "nothing was committed beyond index 1, but the harness itself was up to 51 µs late",
    )


def test_a_run_without_a_liveness_phase_owes_nothing() -> None:
    assert "liveness_under_fault" not in judged([*map(launched, NODES), cut(*N1_ALONE), healed()], BEFORE)
