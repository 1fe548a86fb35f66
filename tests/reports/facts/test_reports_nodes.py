"""Roles, restarts, catching up and resources of each node."""

from __future__ import annotations

from pathlib import Path

import report_builders as sample
from raft_chaos.invariants.events import HARNESS, AnyEvent, NodeExited, NodeLaunched
from raft_chaos.reports.run.model import RunReport, build
from raft_chaos.reports.run.pages import text_page


def test_nodes_keep_their_roles_over_restarts(report: RunReport) -> None:
    n1, n2, n3, _, n5 = report.nodes
    assert [" ".join(row.roles) for row in report.nodes] == ["F C L / F", "F C L", "F", "F C F", "F"]
    assert (n1.kills, n1.restarts, n1.pauses) == (1, 1, 0)
    assert (n5.kills, n5.restarts, n5.pauses) == (0, 0, 1)
    assert (n2.term, n2.commit_index, n3.term) == (3, 3, 3)


def test_catching_up_counts_from_the_liveness_phase(report: RunReport) -> None:
    n1, n2, *_, n5 = report.nodes
    assert (n1.behind, n1.catch_up_us) == (2, 41_500)
    assert (n2.behind, n2.catch_up_us) == (0, 0)
    # n5 has the entries, but never learnt that they are committed.
    assert (n5.behind, n5.catch_up_us) == (0, None)


def test_catching_up_counts_from_a_later_restart(tmp_path: Path) -> None:
    events = sample.NODE_EVENTS
    late = [
        sample.started("n2", 2, 21_000_000, last_index=2, term=3),
        *sample.entries("n2", 2, 21_001_000, 1, 2),
        *sample.entries("n2", 2, 21_200_000, 3),
        sample.commit("n2", 2, 21_250_000, 3, 3),
    ]
    run = sample.save(tmp_path / "run", sample.info(), nodes=[*events, *late], harness=sample.HARNESS_EVENTS)
    n2 = build(run).nodes[1]
    assert (n2.behind, n2.catch_up_us) == (1, 250_000)


def test_resources_are_means_and_maxima(report: RunReport) -> None:
    used = report.nodes[4].resources
    assert used is not None
    assert (used.samples, used.cpu_mean, used.cpu_max) == (2, 5.75, 8.5)
    assert (used.rss_max_bytes, used.open_files, used.threads) == (34 << 20, 12, 2)


def test_a_node_whose_data_a_fault_damaged_is_excused_until_it_runs_again(tmp_path: Path) -> None:
    def told(*later: AnyEvent) -> str:
        exited = NodeExited(
            node=HARNESS, inc=1, t_us=9_000_000, subject="n1", subject_inc=1, exit_code=78, excused="damaged data"
        )
        harness = [*sample.HARNESS_EVENTS, exited, *later]
        run = sample.save(tmp_path / f"run{len(later)}", sample.info(), nodes=sample.NODE_EVENTS, harness=harness)
        return text_page(build(run))

    down = told()
    assert "excused: damaged data, by a fault; the node owes nothing" in down
    launched = NodeLaunched(node=HARNESS, inc=1, t_us=9_500_000, subject="n1", subject_inc=2)
    assert "excused:" not in told(launched)
