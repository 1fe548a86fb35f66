"""What comes of a campaign: the reports of its saved runs, and the result of the command."""

from __future__ import annotations

from pathlib import Path

from raft_chaos.chaos.campaign.campaign import Campaign
from raft_chaos.chaos.cli.result import Result
from raft_chaos.chaos.cli.width import columns
from raft_chaos.invariants.rundir import RunDir
from raft_chaos.reports.campaign.seeds import SeedTotals, seeds_document, seeds_markdown, seeds_text
from raft_chaos.reports.formats.github import on_github, publish
from raft_chaos.reports.run.model import build
from raft_chaos.reports.write import write_reports


def report(run: str) -> None:
    """Writes the reports of a saved run."""
    write_reports(RunDir(Path(run)))


def result(campaign: Campaign, totals: SeedTotals, *, as_json: bool, interrupted: bool) -> Result:
    """The page; its last line is the command that repeats a failure."""
    run = totals.worst.run if totals.worst is not None and on_github() else None
    published = publish([build(RunDir(Path(run)))] if run else [], seeds_markdown(totals))
    page = [*published, seeds_text(totals, columns()).removesuffix("\n")]
    document = {**seeds_document(totals), "file": str(campaign.path)}
    notes = [*published, totals.repro] if totals.repro else published
    notes = notes if as_json else []
    return Result(totals.exit_code, page, document, as_json, notes, judged=True, interrupted=interrupted)
