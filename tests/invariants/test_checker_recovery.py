"""recovery and unexpected_exit, judged from the harness's events and the nodes' progress."""

from __future__ import annotations

import msgspec
import pytest

from event_scripts import appends, applies, commits, judged, started
from raft_chaos.invariants.checkers.exits import last_words
from raft_chaos.invariants.events import (
    HARNESS,
    ConfigurationUsed,
    Event,
    Members,
    NodeExited,
    NodeLaunched,
    PhaseStarted,
    RunEnded,
    decode,
    encode,
)
from raft_chaos.invariants.verdict import Verdict

START_US, BOUND_US, END_US = 1_000, 500, 2_000
NODES = [started("n1"), started("n2"), *appends("n1", "1a 1b 1c"), *appends("n2", "1a 1b 1c")]


def liveness(*owed: str, target: int = 2) -> PhaseStarted:
    return PhaseStarted(
        node=HARNESS, inc=1, t_us=START_US, phase="liveness", commit_target=target, owed=owed, bound_us=BOUND_US
    )


def ended(t_us: int = END_US, late_us: int = 0) -> RunEnded:
    return RunEnded(node=HARNESS, inc=1, t_us=t_us, reason="done", max_late_us=late_us)


def recovery(*script: Event) -> Verdict:
    return judged(NODES, *script)["recovery"]


NEW_COMMIT = commits("n1", 3, 1, t_us=1_100)


def test_valid_if_owed_nodes_catch_up_and_the_cluster_commits() -> None:
    script = [liveness("n2"), NEW_COMMIT, applies("n2", 1, 1, t_us=1_150), applies("n2", 2, 1, t_us=1_200), ended()]
    assert recovery(*script).outcome == "valid"
    assert recovery(*reversed(script[:2]), *script[2:]).outcome == "valid"


def test_a_node_that_was_already_there_owes_nothing() -> None:
    assert recovery(applies("n2", 2, 1, t_us=900), liveness("n2"), NEW_COMMIT, ended()).outcome == "valid"


def test_an_entry_applied_only_in_an_earlier_incarnation_does_not_count() -> None:
    script = [applies("n2", 2, 1, t_us=900), started("n2", 2), liveness("n2"), NEW_COMMIT, ended()]
    verdict = recovery(*script)
    assert verdict.outcome == "violated"
    assert "n2 did not catch up to index 2" in verdict.violations[0].message


def test_a_node_that_stopped_for_the_whole_bound() -> None:
    stuck = applies("n2", 1, 1, t_us=1_500)
    verdict = recovery(liveness("n2"), NEW_COMMIT, stuck, ended())
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (liveness("n2"), stuck, ended())


def test_a_node_that_was_still_progressing_is_unknown() -> None:
    verdict = recovery(liveness("n2"), NEW_COMMIT, applies("n2", 1, 1, t_us=1_501), ended())
    assert verdict.outcome == "unknown"
    assert "n2 did not catch up" in verdict.reason


def test_a_late_harness_proves_nothing() -> None:
    assert recovery(liveness("n2"), NEW_COMMIT, ended(late_us=BOUND_US // 10)).outcome == "violated"
    assert recovery(liveness("n2"), NEW_COMMIT, ended(late_us=BOUND_US // 10 + 1)).outcome == "unknown"


def test_a_new_commit_is_required_even_if_no_node_must_catch_up() -> None:
    old = commits("n1", 3, 1, t_us=900)
    verdict = recovery(old, liveness(target=3), ended())
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (liveness(target=3), old, ended())
    assert recovery(commits("n1", 2, 1, t_us=900), liveness(), NEW_COMMIT, ended()).outcome == "valid"


def test_a_commit_before_the_phase_is_not_a_new_one() -> None:
    assert recovery(commits("n1", 3, 1, t_us=900), liveness(target=2), ended()).outcome == "violated"


def test_the_bound_is_counted_from_the_start_of_the_phase() -> None:
    script = [commits("n1", 2, 1, t_us=10), applies("n2", 1, 1, t_us=20), liveness("n2")]
    assert recovery(*script, ended(START_US + BOUND_US - 1)).outcome == "unknown"
    assert recovery(*script, ended(START_US + BOUND_US)).outcome == "violated"


def test_a_commit_up_to_the_target_is_not_a_new_one() -> None:
    assert recovery(liveness(), commits("n1", 2, 1, t_us=1_100), ended()).outcome == "violated"


def test_unknown_without_a_liveness_phase_or_an_end() -> None:
    assert recovery(ended()).outcome == "unknown"
    assert recovery(liveness("n2")).outcome == "unknown"
    safety = PhaseStarted(node=HARNESS, inc=1, t_us=0, phase="safety")
    assert recovery(safety, ended()).outcome == "unknown"


def test_asking_twice_gives_the_same_verdict() -> None:
    verdict = recovery(liveness("n2"), ended())
    assert verdict.violation_count == 2  # the node, and the commit
    assert verdict == recovery(liveness("n2"), ended())


# ---- recovery in virtual time, where the bound is exact ----

WITHIN_US = 800


def exact(*owed: str, target: int = 2) -> PhaseStarted:
    return msgspec.structs.replace(liveness(*owed, target=target), within_us=WITHIN_US)


def test_missing_an_exact_bound_is_a_violation() -> None:
    before, due = ended(START_US + WITHIN_US - 1), ended(START_US + WITHIN_US)
    assert recovery(exact("n2"), NEW_COMMIT, before).outcome == "unknown"
    verdict = recovery(exact("n2"), NEW_COMMIT, due)
    assert (verdict.outcome, verdict.violation_count) == ("violated", 1)
    assert verdict.violations[0].witness == (exact("n2"), due)
    assert verdict.violations[0].message == (
        "n2 did not catch up to index 2: it never began 800 µs into the phase (owed within 800 µs)"
    )


def test_progress_until_the_end_does_not_excuse_a_missed_exact_bound() -> None:
    nearly, due = applies("n2", 1, 1, t_us=START_US + WITHIN_US - 1), ended(START_US + WITHIN_US)
    assert recovery(liveness("n2"), NEW_COMMIT, nearly, due).outcome == "unknown"
    verdict = recovery(exact("n2"), NEW_COMMIT, nearly, due)
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (exact("n2"), nearly, due)


def test_a_new_commit_is_owed_within_the_time_as_well() -> None:
    old = commits("n1", 2, 1, t_us=START_US + 1)
    assert recovery(exact(), old, ended(START_US + WITHIN_US - 1)).outcome == "unknown"
    verdict = recovery(exact(), old, ended(START_US + WITHIN_US))
    assert verdict.outcome == "violated"
    assert "nothing was committed beyond index 2: it was at index 2" in verdict.violations[0].message


def test_neither_a_standstill_nor_lateness_counts_where_the_bound_is_exact() -> None:
    """`bound_us` has long passed without progress, but the time that was given has not; and lateness needs a clock."""
    assert START_US + BOUND_US < START_US + WITHIN_US - 1
    assert recovery(exact("n2"), ended(START_US + WITHIN_US - 1)).outcome == "unknown"
    assert recovery(exact("n2"), ended(START_US + WITHIN_US, late_us=BOUND_US)).outcome == "violated"


def test_catching_up_within_the_time() -> None:
    caught_up = [applies("n2", 1, 1, t_us=1_150), applies("n2", 2, 1, t_us=1_200)]
    assert recovery(exact("n2"), NEW_COMMIT, *caught_up, ended(1_200)).outcome == "valid"


def test_a_phase_without_an_exact_bound_has_no_field_for_it() -> None:
    assert b"within_us" not in encode(liveness("n2"))
    assert decode(encode(exact("n2"))) == exact("n2")


# ---- unexpected_exit ----

LAUNCHED = NodeLaunched(node=HARNESS, inc=1, t_us=0, subject="n1", subject_inc=1)


def test_a_node_ends_by_itself() -> None:
    exited = NodeExited(node=HARNESS, inc=1, t_us=9, subject="n1", subject_inc=1, exit_code=-6, log_tail="assert\n")
    verdict = judged(LAUNCHED, exited)["unexpected_exit"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (exited,)
    assert "signal 6" in verdict.violations[0].message and "assert" in verdict.violations[0].message


PYTHON = """Traceback (most recent call last):
  File "/srv/app/main.py", line 3, in <module>
    serve()
  File "/srv/app/log.py", line 88, in entry
    return self.entries[index]
           ~~~~~~~~~~~~^^^^^^^
IndexError: list index out of range
"""
GROUP = """  | Traceback (most recent call last):
  |   File "/srv/app/log.py", line 88, in entry
  |     return self.entries[index]
  | IndexError: list index out of range
  +------------------------------------
"""
GO = """2026/01/01 00:00:00 term 3: stepping down
panic: runtime error: index out of range [5] with length 5

goroutine 1 [running]:
main.(*Log).Entry(0x1, 0x5)
\t/srv/app/log.go:88 +0x1d
exit status 2
"""
RUST = """thread 'main' panicked at src/log.rs:88:9:
index out of bounds: the len is 5 but the index is 5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
JAVA = """Exception in thread "main" java.lang.IndexOutOfBoundsException: Index 5 out of bounds
\tat org.example.Log.entry(Log.java:88)
\tat org.example.Main.main(Main.java:3)
"""


@pytest.mark.parametrize(
    ("log_tail", "words"),
    [
        (PYTHON, "IndexError: list index out of range (log.py:88)"),
        (GROUP, "IndexError: list index out of range (log.py:88)"),
        (GO, "panic: runtime error: index out of range [5] with length 5 (log.go:88)"),
        (RUST, "thread 'main' panicked at src/log.rs:88:9:"),
        (JAVA, 'Exception in thread "main" java.lang.IndexOutOfBoundsException: Index 5 out of bounds (Log.java:88)'),
        ("IndexError: x (raft/core/leader.py:84, in _on_ack)", "IndexError: x (raft/core/leader.py:84, in _on_ack)"),
        ("ready\nout of disk\n", "out of disk"),
        ("", ""),
    ],
)
def test_the_error_and_its_place_are_found_in_the_log(log_tail: str, words: str) -> None:
    assert last_words(log_tail) == words


def test_a_node_that_ended_by_itself_explains_why_it_does_not_catch_up() -> None:
    exited = NodeExited(node=HARNESS, inc=1, t_us=9, subject="n2", subject_inc=1, exit_code=70, log_tail=PYTHON)
    verdict = recovery(LAUNCHED, exited, liveness("n2"), NEW_COMMIT, ended())
    (violation,) = [one for one in verdict.violations if "n2" in one.message]
    why = "n2 had ended by itself with IndexError: list index out of range (log.py:88)"
    assert violation.message.startswith(f"n2 did not catch up to index 2 ({why}): ")


def test_a_node_that_runs_again_has_not_ended() -> None:
    exited = NodeExited(
        node=HARNESS, inc=1, t_us=9, subject="n2", subject_inc=1, exit_code=74, excused="a failing disk"
    )
    again = NodeLaunched(node=HARNESS, inc=1, t_us=10, subject="n2", subject_inc=2)
    verdict = recovery(LAUNCHED, exited, again, liveness("n2"), NEW_COMMIT, ended())
    assert not any("had ended by itself" in one.message for one in verdict.violations)
    assert any("n2 did not catch up" in one.message for one in verdict.violations)


def test_launched_nodes_that_stay_up() -> None:
    assert judged(LAUNCHED)["unexpected_exit"].outcome == "valid"
    assert judged()["unexpected_exit"].outcome == "unknown"


# ---- members (§6) ----------------------------------------------------------------------------------------------------

TWO = Members(voters=("n1", "n2"))
JOINT = Members(voters=("n1", "n2"), old_voters=("n1", "n2", "n3"))


def uses(node: str, index: int, members: Members, inc: int = 1) -> Event:
    return ConfigurationUsed(node=node, inc=inc, t_us=0, index=index, members=members)


def test_a_node_that_was_removed_owes_nothing_once_that_is_committed() -> None:
    """The entry may be older than the phase, and be committed in it. But nothing shows then that it would catch up."""
    script = [liveness("n3"), uses("n1", 1, JOINT), uses("n1", 3, TWO), NEW_COMMIT, ended()]
    before = [uses("n1", 1, JOINT), uses("n1", 3, TWO), NEW_COMMIT, liveness("n3"), ended()]
    for one in (script, before):
        verdict = recovery(*one)
        assert verdict.outcome == "unknown" and "n3 is no member at the end" in verdict.reason


def test_it_owes_all_as_long_as_that_is_not_committed() -> None:
    for script in ([uses("n1", 1, JOINT)], [uses("n1", 1, JOINT), uses("n1", 4, TWO)]):
        assert recovery(*script, liveness("n3"), NEW_COMMIT, ended()).outcome == "violated"


def test_a_learner_gets_the_log_like_a_voter() -> None:
    learns = Members(voters=("n1", "n2"), learners=("n3",))
    assert recovery(uses("n1", 2, learns), liveness("n3"), NEW_COMMIT, ended()).outcome == "violated"


def damaged(node: str) -> NodeExited:
    return NodeExited(node=HARNESS, inc=1, t_us=900, subject=node, subject_inc=1, exit_code=78, excused="damaged data")


def test_nothing_is_owed_if_those_that_had_to_end_leave_no_majority_of_the_voters() -> None:
    verdict = recovery(uses("n1", 2, TWO), damaged("n2"), liveness(), ended())
    assert (verdict.outcome, verdict.reason) == ("unknown", "no majority of the voters is left: n2 had to end")
    assert recovery(damaged("n2"), liveness(), ended()).outcome == "violated", "n1 and n3 are two of three"
    assert recovery(uses("n1", 2, JOINT), damaged("n3"), liveness(), ended()).outcome == "violated"
    again = NodeLaunched(node=HARNESS, inc=1, t_us=950, subject="n2", subject_inc=2)
    assert recovery(uses("n1", 2, TWO), damaged("n2"), again, liveness(), ended()).outcome == "violated"
    by_itself = msgspec.structs.replace(damaged("n2"), excused="")
    assert recovery(uses("n1", 2, TWO), by_itself, liveness(), ended()).outcome == "violated"


def test_a_node_that_got_no_vote_again_is_owed_one() -> None:
    phase = msgspec.structs.replace(liveness(), within_us=500, without_vote=("n2",))
    script = [phase, NEW_COMMIT, ended()]
    (violation,) = recovery(*script).violations
    assert violation.message == ("n2 had no vote again when all was healed, although it was asked for for a long time")
    assert violation.witness == (phase,)
    real = msgspec.structs.replace(phase, within_us=0)
    assert recovery(real, *script[1:]).outcome == "valid", "a busy machine is slow"
    exited = NodeExited(node=HARNESS, inc=1, t_us=900, subject="n2", subject_inc=1, exit_code=1)
    assert all("no vote" not in one.message for one in recovery(exited, *script).violations)


# ---- when all was healed ---------------------------------------------------------------------------------------------


def settled(*owed: str, target: int) -> PhaseStarted:
    return msgspec.structs.replace(exact(*owed, target=target), phase="settled", t_us=1_300)


def test_all_members_learn_what_is_committed_although_nobody_asks_for_anything() -> None:
    before = [exact("n2"), NEW_COMMIT, applies("n2", 2, 1, t_us=1_150)]
    owing = settled("n1", "n2", target=3)
    late = ended(t_us=owing.t_us + owing.within_us)
    behind = recovery(*before, applies("n1", 3, 1, t_us=1_200), owing, late)
    assert behind.outcome == "violated"
    assert [one.message.partition(":")[0] for one in behind.violations] == ["n2 did not catch up to index 3"]
    there = [applies(node, 3, 1, t_us=1_200) for node in ("n1", "n2")]
    assert recovery(*before, *there, owing, late).outcome == "valid"


def test_what_the_cluster_would_not_do_once_all_was_healed() -> None:
    before = [exact("n2"), NEW_COMMIT, applies("n2", 2, 1, t_us=1_150)]
    end = msgspec.structs.replace(ended(), unserved=("a transfer of the leadership to n2 (asked for 3 times)",))
    found = recovery(*before, end)
    assert found.outcome == "violated"
    assert found.violations[0].message == (
        "when all was healed and nothing else was to do, the cluster still owed a transfer of the leadership to n2 "
        "(asked for 3 times)"
    )
