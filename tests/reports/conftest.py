"""Run directories of each outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

import report_builders as sample
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.run.model import RunReport, build


@pytest.fixture
def violated(tmp_path: Path) -> RunDir:
    return sample.five_nodes(tmp_path / "violated", sample.violated_info())


@pytest.fixture
def valid(tmp_path: Path) -> RunDir:
    return sample.five_nodes(tmp_path / "valid", sample.info(seed=7))


@pytest.fixture
def vacuous(tmp_path: Path) -> RunDir:
    info = sample.info(seed=9, verdict="unknown", vacuous=["fault f3 (pause of n5) had no effect"])
    return sample.five_nodes(tmp_path / "vacuous", info)


@pytest.fixture
def interrupted(tmp_path: Path) -> RunDir:
    return sample.five_nodes(tmp_path / "interrupted", sample.info(state="running", verdict=None, invariants=[]))


@pytest.fixture
def report(violated: RunDir) -> RunReport:
    return build(violated)
