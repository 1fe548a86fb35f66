"""The seal of a run: which files it covers, and how each difference is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.seal import DamagedError, changed, refuse_changed, seal

FILES = (
    "schedule.jsonl",
    "history.jsonl",
    "harness.jsonl",
    "order",
    "nodes/n1/events-0001.jsonl",
    "nodes/n1/journal-0001",
    "nodes/n1/data/raft.wal",
)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path)
    for name in FILES:
        (run.path / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / name).write_bytes(b"a line\n")
    run.save_info(RunInfo(seed=1, state="finished", evidence=seal(run)))
    return run


def differences(run: RunDir) -> list[str]:
    return changed(run, run.load_info())


def test_the_seal_has_each_evidence_file_with_size_and_digest(run: RunDir) -> None:
    evidence = run.load_info().evidence
    assert evidence is not None and sorted(evidence) == sorted(FILES)
    assert {file.size for file in evidence.values()} == {7}
    assert {len(file.sha256) for file in evidence.values()} == {64}


def test_reports_and_logs_are_no_evidence(run: RunDir) -> None:
    for name in ("report.txt", "junit.xml", "reproduction.json", "proxy.log", "nodes/n1/stderr.log"):
        (run.path / name).write_text("written later")
    assert differences(run) == []
    refuse_changed(run)


def test_each_difference_is_named(run: RunDir) -> None:
    run.history.write_bytes(b"b line\n")
    run.harness.write_bytes(b"a line\na line\n")
    run.order.unlink()
    run.node_events("n2", 1).parent.mkdir()
    run.node_events("n2", 1).write_bytes(b"")
    assert differences(run) == [
        "harness.jsonl: has 14 bytes; it had 7 when the run ended",
        "history.jsonl: has other content than when the run ended",
        "order: is missing; it was there when the run ended",
        "nodes/n2/events-0001.jsonl: was added after the run had ended",
    ]
    with pytest.raises(DamagedError, match=r"unknown, since its files are damaged: harness\.jsonl: has 14 bytes"):
        refuse_changed(run)


def test_something_else_in_place_of_a_file_is_a_difference(run: RunDir) -> None:
    """A pipe is not read, since that would wait for a writer."""
    run.history.unlink()
    os.mkfifo(run.history)
    run.harness.unlink()
    run.harness.mkdir()
    assert differences(run) == [
        "harness.jsonl: is no regular file any more",
        "history.jsonl: is no regular file any more",
    ]


def test_a_run_without_a_seal_has_no_differences(run: RunDir) -> None:
    run.save_info(RunInfo(seed=1, state="running"))
    run.history.unlink()
    assert differences(run) == []
