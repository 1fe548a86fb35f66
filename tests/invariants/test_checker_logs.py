"""leader_append_only, committed_log_append_only, log_matching and durability: each way to violate them, with a similar
correct run."""

from __future__ import annotations

import pytest

from event_scripts import appends, commits, follows, judged, leads, started, truncates, violated
from raft_chaos.invariants.events import EntryAppended, Event


def test_a_leader_deletes_its_own_entries() -> None:
    cut = truncates("n1", 2)
    verdict = judged(started("n1"), leads("n1", 1), appends("n1", "1a 1b"), cut)["leader_append_only"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (*appends("n1", "1b", after="1a"), leads("n1", 1), cut)


def test_a_leader_overwrites_its_own_entry() -> None:
    script = [started("n1"), *appends("n1", "1a 1b"), leads("n1", 2), *appends("n1", "2c", after="1a")]
    assert "leader_append_only" in violated(judged(script))


def test_a_deposed_leader_may_truncate_and_a_leader_elected_anew_may_append() -> None:
    script = [
        started("n1"),
        leads("n1", 1),
        *appends("n1", "1a 1b"),
        leads("n2", 2),
        follows("n1", 2),
        truncates("n1", 2),
    ]
    script += [*appends("n1", "2c", after="1a"), leads("n1", 3), *appends("n1", "3d", after="1a 2c")]
    verdicts = judged(script)
    assert violated(verdicts) == []
    assert verdicts["leader_append_only"].outcome == "valid"


def test_a_restarted_leader_is_a_follower() -> None:
    script = [started("n1"), leads("n1", 1), *appends("n1", "1a 1b"), started("n1", 2, 1, "n1", "1a 1b")]
    assert violated(judged(script, appends("n1", "1a 1b", inc=2), truncates("n1", 2, inc=2))) == []


def test_unknown_without_an_append_by_a_leader() -> None:
    verdicts = judged(started("n1"), appends("n1", "1a"), truncates("n1", 1))
    assert verdicts["leader_append_only"].outcome == "unknown"


# ---- committed_log_append_only ----


def test_a_node_deletes_what_it_committed() -> None:
    cut = truncates("n1", 2)
    script = [started("n1"), *appends("n1", "1a 1b 1c"), commits("n1", 2, 1), cut, truncates("n1", 2)]
    verdict = judged(script)["committed_log_append_only"]
    assert (verdict.outcome, verdict.violation_count) == ("violated", 1)
    assert verdict.violations[0].witness == (*appends("n1", "1b", after="1a"), commits("n1", 2, 1), cut)
    assert "deleted entry 2 of its log" in verdict.violations[0].message


def test_a_node_deletes_what_an_earlier_incarnation_committed() -> None:
    script = [started("n1"), *appends("n1", "1a 1b"), commits("n1", 2, 1), *restart("1a 1b"), truncates("n1", 1, inc=2)]
    verdict = judged(script)["committed_log_append_only"]
    assert "deleted entries 1 to 2 of its log" in verdict.violations[0].message


def test_a_lower_commit_of_the_next_incarnation_frees_nothing() -> None:
    script = [
        started("n1"),
        *appends("n1", "1a 1b"),
        commits("n1", 2, 1),
        *restart("1a 1b"),
        commits("n1", 1, 9, inc=2),
    ]
    assert violated(judged(script, truncates("n1", 2, inc=2))) == ["committed_log_append_only"]


@pytest.mark.parametrize("from_index", [3, 4])
def test_what_is_above_the_commit_may_be_deleted(from_index: int) -> None:
    script = [started("n1"), *appends("n1", "1a 1b 1c"), commits("n1", 2, 1), truncates("n1", from_index)]
    assert judged(script)["committed_log_append_only"].outcome == "valid"


def test_another_nodes_commit_forbids_nothing() -> None:
    script = [started("n1"), started("n2"), *appends("n1", "1a"), *appends("n2", "1b"), commits("n1", 1, 1)]
    assert judged(script, truncates("n2", 1))["committed_log_append_only"].outcome == "valid"


def test_what_a_crash_lost_is_a_matter_of_durability() -> None:
    script = [started("n1"), *appends("n1", "1a 1b"), commits("n1", 2, 1), *restart("1a")]
    script += [*appends("n1", "2c", after="1a", inc=2), truncates("n1", 2, inc=2)]
    assert violated(judged(script)) == ["durability"]


# ---- log_matching ----


def test_one_index_and_term_with_different_logs_before_it() -> None:
    verdict = judged(started("n1"), started("n2"), appends("n1", "1a 3c"), appends("n2", "2b 3c"))["log_matching"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (*appends("n1", "3c", after="1a"), *appends("n2", "3c", after="2b"))


def test_one_index_and_term_twice_in_one_node() -> None:
    script = [started("n1"), *appends("n1", "1a 2b"), truncates("n1", 2), *appends("n1", "2c", after="1a")]
    assert violated(judged(script)) == ["log_matching"]


def test_an_announced_truncation_explains_another_entry() -> None:
    script = [started("n1"), *appends("n1", "1a 2b 2c"), truncates("n1", 2), *appends("n1", "3d", after="1a")]
    verdicts = judged(script, started("n2"), appends("n2", "1a 3d"))
    assert violated(verdicts) == []
    assert verdicts["log_matching"].outcome == "valid"


@pytest.mark.parametrize("after", ["1a 1b 1c", ""], ids=["hole", "overwrite"])
def test_a_log_grows_only_at_its_end(after: str) -> None:
    verdict = judged(started("n1"), appends("n1", "1a 1b"), appends("n1", "2x", after=after))["log_matching"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness[-1] == appends("n1", "2x", after=after)[0]


def test_terms_never_decrease_along_a_log() -> None:
    verdict = judged(started("n1"), appends("n1", "2a 1b"))["log_matching"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == tuple(appends("n1", "2a 1b"))
    assert judged(started("n1"), appends("n1", "1a 1b 2c"))["log_matching"].outcome == "valid"


# ---- durability ----


def restart(log: str, inc: int = 2, reported: int | None = None) -> list[Event]:
    """n1 recovers `log` in that incarnation, and reports the first `reported` entries of it."""
    return [started("n1", inc=inc, term=9, log=log), *appends("n1", log, inc=inc)[:reported]]


def test_an_entry_is_gone_after_a_restart() -> None:
    verdict = judged(started("n1"), appends("n1", "1a 1b"), restart("1a"))["durability"]
    assert verdict.outcome == "violated"
    assert verdict.violations[0].witness == (*appends("n1", "1b", after="1a"), started("n1", 2, 9, log="1a"))


def test_an_entry_is_another_one_after_a_restart() -> None:
    verdict = judged(started("n1"), appends("n1", "1a 1b 1c"), restart("1a 2b 2c 2d"))["durability"]
    assert verdict.outcome == "violated"
    assert verdict.violation_count == 1
    lost, _, found = verdict.violations[0].witness
    assert isinstance(lost, EntryAppended) and isinstance(found, EntryAppended)
    assert (lost.digest, found.digest) == ("1a 1b", "1a 2b")


def test_all_entries_are_there_and_the_disk_may_be_ahead() -> None:
    verdicts = judged(started("n1"), appends("n1", "1a 1b"), restart("1a 1b 2c"))
    assert violated(verdicts) == []
    assert verdicts["durability"].outcome == "valid"


@pytest.mark.parametrize("recovered", ["1a", "1a 1b 1c", "1a 2d"], ids=["done", "not done", "and replaced"])
def test_an_announced_truncation_may_have_been_done_or_not(recovered: str) -> None:
    script = [started("n1"), *appends("n1", "1a 1b 1c"), truncates("n1", 2)]
    verdicts = judged(script, restart(recovered))
    assert violated(verdicts) == []
    assert verdicts["durability"].outcome == "valid"


def test_a_torn_report_of_the_recovery_leaves_the_rest_owed() -> None:
    script = [started("n1"), *appends("n1", "1a 1b 1c"), *restart("1a 1b 1c", inc=2, reported=1)]
    assert violated(judged(script)) == []
    assert violated(judged(script, restart("1a 1b 1c", inc=3))) == []
    assert violated(judged(script, restart("1a 1b", inc=3))) == ["durability"]
    assert violated(judged(script, restart("1a 1b 2c", inc=3))) == ["durability"]


def test_entries_appended_after_a_recovery_are_owed_by_the_next_incarnation() -> None:
    script = [started("n1"), *appends("n1", "1a"), *restart("1a", inc=2), *appends("n1", "1b", after="1a", inc=2)]
    assert violated(judged(script, restart("1a 1b", inc=3))) == []
    assert violated(judged(script, restart("1a", inc=3))) == ["durability"]


def test_no_verdict_without_a_restart() -> None:
    assert "durability" not in judged(started("n1"), appends("n1", "1a"))


def test_unknown_if_no_log_met_a_restart() -> None:
    assert judged(started("n1"), restart("", inc=2))["durability"].outcome == "unknown"
