"""`raft-chaos report`: of one run, of several, of a campaign's folder or file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from builders.commands import Command
from raft_chaos.chaos.campaign.file import describe_campaign
from raft_chaos.chaos.campaign.seed_result import SeedResult
from raft_chaos.chaos.run.settings import Settings
from raft_chaos.chaos.schedule.config import ScheduleConfig
from raft_chaos.invariants.rundir import RunDir, RunInfo
from raft_chaos.invariants.verdict import Outcome, Verdict
from raft_chaos.raft.state.timing import Timing

USAGE = 254


@pytest.fixture(autouse=True)
def _short_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raft_chaos.reports.html.page.library", lambda: "bGlicmFyeQ==")


def saved(path: Path, seed: int, verdict: Outcome) -> Path:
    path.mkdir(parents=True)
    judged = [Verdict("log_matching", verdict, 1, "why" if verdict == "unknown" else "")]
    RunDir(path).save_info(RunInfo(seed=seed, world="sim", state="finished", verdict=verdict, invariants=judged))
    return path


def campaign(folder: Path) -> Path:
    """The file of a campaign of which seed 1 was valid and seed 2 is saved; its last line is torn."""
    run = saved(folder / "20260101T000000-2", 2, "unknown")
    settings = Settings(world="sim", schedule=ScheduleConfig(), timing=Timing())
    header = describe_campaign(settings, [1, 2, 3])
    fields = {"violated": [], "unknown": ["log_matching"], "vacuous": [], "trace_sha256": "", "stats": {}, "repro": ""}
    lines = [
        header,
        SeedResult(seed=1, verdict="valid", run=None, **fields | {"unknown": []}),  # type: ignore[arg-type]
        SeedResult(seed=2, verdict="unknown", run=str(run), **fields),  # type: ignore[arg-type]
    ]
    file = folder / f"campaign-{header.key}.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines) + b'{"kind":"se')
    return file


def test_one_run_is_a_page(tmp_path: Path, command: Command) -> None:
    code, page, _ = command("report", saved(tmp_path / "one", 5, "valid"), "--format", "html")
    assert code == 0 and page.startswith("<!doctype html>") and "seed 5, sim" in page


@pytest.mark.parametrize("shape", ["text", "markdown", "json", "junit", "html"])
def test_several_runs_are_reported_together(shape: str, tmp_path: Path, command: Command) -> None:
    runs = [saved(tmp_path / "one", 5, "valid"), saved(tmp_path / "two", 6, "unknown")]
    for given in (runs, [tmp_path]):
        code, told, _ = command("report", *given, "--format", shape)
        assert code == 0 and "5" in told and "6" in told and "unknown" in told.lower()


@pytest.mark.parametrize("shape", ["text", "markdown", "json", "html"])
def test_a_campaigns_file_knows_the_seeds_without_a_run_directory(shape: str, tmp_path: Path, command: Command) -> None:
    file = campaign(tmp_path)
    for given in (file, tmp_path):
        code, told, _ = command("report", given, "--format", shape)
        assert code == 0 and "1..3" in told and "1 valid" in told.replace('"valid": 1', "1 valid")


def test_what_cannot_be_reported_is_said(tmp_path: Path, command: Command) -> None:
    file = campaign(tmp_path)
    code, _, said = command("report", file, "--format", "junit")
    assert code == USAGE and "expected run directories" in said
    odd = tmp_path / "odd.jsonl"
    odd.write_text("{}\n")
    code, _, said = command("report", odd)
    assert code == USAGE and "odd.jsonl: cannot be read as a campaign" in said
    (tmp_path / "empty").mkdir()
    code, _, said = command("report", tmp_path / "empty")
    assert code == USAGE and "is not a run directory" in said
