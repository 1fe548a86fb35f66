"""Candidates, votes and winners, term by term."""

from __future__ import annotations

from pathlib import Path

import report_builders as sample
from raft_chaos.invariants.events import RoleChanged, VoteGranted
from raft_chaos.reports.run.model import RunReport, build


def test_elections_by_term(report: RunReport) -> None:
    first, split, third = report.elections
    assert (first.term, first.candidates, first.votes, first.leaders) == (1, ["n1"], {"n1": 3}, ["n1"])
    assert (first.at_us, first.took_us) == (276_400, 16_400)
    assert (split.candidates, split.votes, split.leaders) == (["n2", "n4"], {"n2": 2, "n4": 2}, [])
    assert (split.at_us, split.took_us) == (1_600_000, None)
    assert third.leaders == ["n2"]


def test_a_vote_that_is_reported_twice_counts_once_and_two_leaders_are_both_named(tmp_path: Path) -> None:
    vote = VoteGranted(node="n3", inc=1, t_us=5, term=7, candidate="n1")
    leads = [RoleChanged(node=n, inc=1, t_us=t, role="leader", term=7, leader=n) for n, t in (("n2", 9), ("n1", 8))]
    [row] = build(sample.save(tmp_path / "run", sample.info(), nodes=[vote, vote, *leads])).elections
    assert row.votes == {"n1": 1}
    assert row.leaders == ["n1", "n2"]
